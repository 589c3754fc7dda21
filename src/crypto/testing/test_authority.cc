#include "crypto/testing/test_authority.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdlib>
#include <memory>

namespace casemate::crypto::testing {
namespace {

template <auto kFree>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using File = std::unique_ptr<BIO, Deleter<BIO_free>>;
using List = std::unique_ptr<X509_CRL, Deleter<X509_CRL_free>>;

void require(bool good) {
  if (!good) std::abort();
}

template <typename Write>
std::string to_pem_text(Write write) {
  const File file(BIO_new(BIO_s_mem()));
  require(write(file.get()) == 1);
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(file.get(), &bytes);
  return std::string(bytes, static_cast<std::size_t>(size));
}

Key new_key() { return Key(EVP_EC_gen("P-256")); }
std::string text_of(EVP_PKEY* key) {
  return to_pem_text(
      [&](BIO* file) { return PEM_write_bio_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr); });
}
std::string text_of(X509* certificate) {
  return to_pem_text([&](BIO* file) { return PEM_write_bio_X509(file, certificate); });
}
Key key_from(const std::string& text) {
  const File file(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  return Key(PEM_read_bio_PrivateKey(file.get(), nullptr, nullptr, nullptr));
}
Certificate certificate_from(const std::string& text) {
  const File file(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  return Certificate(PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr));
}

void extend(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  require(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

Certificate begin_certificate(const LeafRequest& request, EVP_PKEY* key, long serial) {
  Certificate certificate(X509_new());
  X509* const raw = certificate.get();
  X509_NAME* const name = X509_get_subject_name(raw);
  const auto* text = reinterpret_cast<const unsigned char*>(request.common_name.c_str());
  require(X509_set_version(raw, X509_VERSION_3) == 1 && ASN1_INTEGER_set(X509_get_serialNumber(raw), serial) == 1 &&
          X509_gmtime_adj(X509_getm_notBefore(raw), request.not_before) != nullptr &&
          X509_gmtime_adj(X509_getm_notAfter(raw), request.not_after) != nullptr &&
          X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, text, -1, -1, 0) == 1 && X509_set_pubkey(raw, key) == 1);
  return certificate;
}

long g_next_serial = 1000;

}  // namespace

TestAuthority::TestAuthority(const std::string& common_name) {
  const Key key = new_key();
  LeafRequest request;
  request.common_name = common_name;
  request.not_before = -24L * 3600;
  request.not_after = 24L * 3600;
  const Certificate certificate = begin_certificate(request, key.get(), ++g_next_serial);
  X509* const raw = certificate.get();
  require(X509_set_issuer_name(raw, X509_get_subject_name(raw)) == 1);
  extend(raw, raw, NID_basic_constraints, "critical,CA:TRUE");
  extend(raw, raw, NID_key_usage, "critical,keyCertSign,cRLSign");
  extend(raw, raw, NID_subject_key_identifier, "hash");
  require(X509_sign(raw, key.get(), EVP_sha256()) > 0);
  certificate_ = text_of(raw);
  key_ = text_of(key.get());
}

Leaf TestAuthority::issue(const LeafRequest& request) const {
  const Key key = new_key(), authority_key = key_from(key_);
  const Certificate authority = certificate_from(certificate_);
  Leaf leaf;
  leaf.serial = ++g_next_serial;
  const Certificate certificate = begin_certificate(request, key.get(), leaf.serial);
  X509* const raw = certificate.get();
  require(X509_set_issuer_name(raw, X509_get_subject_name(authority.get())) == 1);
  std::string names;
  for (const std::string& name : request.names) names += (names.empty() ? "" : ",") + name;
  if (!names.empty()) extend(raw, authority.get(), NID_subject_alt_name, names);
  if (!request.purpose.empty()) extend(raw, authority.get(), NID_ext_key_usage, request.purpose);
  require(X509_sign(raw, authority_key.get(), EVP_sha256()) > 0);
  leaf.certificate = text_of(raw);
  leaf.key = text_of(key.get());
  return leaf;
}

std::string TestAuthority::revoke(const std::vector<long>& serials, std::int64_t next_update) const {
  const Key key = key_from(key_);
  const Certificate authority = certificate_from(certificate_);
  const List list(X509_CRL_new());
  ASN1_TIME* const before = X509_gmtime_adj(nullptr, -7200);
  ASN1_TIME* const next = X509_gmtime_adj(nullptr, next_update);
  require(X509_CRL_set_version(list.get(), 1) == 1 &&
          X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(authority.get())) == 1 &&
          X509_CRL_set1_lastUpdate(list.get(), before) == 1 && X509_CRL_set1_nextUpdate(list.get(), next) == 1);
  for (const long serial : serials) {
    X509_REVOKED* const entry = X509_REVOKED_new();
    ASN1_INTEGER* const number = ASN1_INTEGER_new();
    require(ASN1_INTEGER_set(number, serial) == 1 && X509_REVOKED_set_serialNumber(entry, number) == 1 &&
            X509_REVOKED_set_revocationDate(entry, before) == 1 && X509_CRL_add0_revoked(list.get(), entry) == 1);
    ASN1_INTEGER_free(number);
  }
  ASN1_TIME_free(before);
  ASN1_TIME_free(next);
  require(X509_CRL_sign(list.get(), key.get(), EVP_sha256()) > 0);
  return to_pem_text([&](BIO* file) { return PEM_write_bio_X509_CRL(file, list.get()); });
}

}  // namespace casemate::crypto::testing
