#include "policy/session.h"

#include <algorithm>
#include <array>
#include <span>

#include "crypto/secret.h"

namespace casemate::policy {
namespace {

template <typename T>
const T* find(const std::vector<T>& all, std::string_view name) {
  const auto found = std::find_if(all.begin(), all.end(), [&](const T& one) { return one.name == name; });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace

SecretText::~SecretText() { crypto::wipe(std::as_writable_bytes(std::span<char>(text_))); }

bool Security::tolerates(std::string_view what) const {
  return std::find(tolerate.begin(), tolerate.end(), what) != tolerate.end();
}

const Secret* Session::find_secret(std::string_view secret) const { return find(secrets, secret); }
const Volume* Session::find_volume(std::string_view volume) const { return find(volumes, volume); }
const Image* Session::find_image(std::string_view image) const { return find(images, image); }
const Service* Session::find_service(std::string_view service) const { return find(services, service); }

std::string_view name_of(SecretKind kind) {
  constexpr std::array<std::string_view, 8> kNames = {"ascii",   "binary",  "private-key",     "x509",
                                                      "x509-ca", "pgp-key", "config-fragment", "aad-token"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string_view name_of(Version version) {
  constexpr std::array<std::string_view, 3> kNames = {"0.3", "0.3.10", "casemate-1"};
  return kNames[static_cast<std::size_t>(version)];
}

}  // namespace casemate::policy
