#include "casemate/cas/client_state.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/unique_fd.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "crypto/self_signed.h"

namespace casemate::cas_tool {
namespace {

constexpr std::size_t kLargestFile = 16 << 20;

std::string key_path(const std::string& directory) { return directory + "/client-key.pem"; }
std::string certificate_path(const std::string& directory) { return directory + "/client-certificate.pem"; }
std::string known_path(const std::string& directory) { return directory + "/known-cas.json"; }

Result<void> make_directory(const std::string& directory) {
  std::error_code code;
  const std::filesystem::path parent = std::filesystem::path(directory).parent_path();
  if (!parent.empty()) std::filesystem::create_directories(parent, code);
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return Error::from_errno("cannot make " + directory, errno);
  }
  return {};
}

Result<Identity> make_identity(const std::string& directory) {
  if (auto made = make_directory(directory); !made) return made.error();
  const crypto::PrivateKey key = CASEMATE_TRY(crypto::PrivateKey::generate(crypto::KeyKind::kEcP256));
  const std::int64_t now = std::time(nullptr);
  const crypto::Bytes certificate =
      CASEMATE_TRY(crypto::self_signed_certificate(key, "casemate client", now - kDay, now + kCertificateDays * kDay));
  if (auto written = replace_private_file(certificate_path(directory), crypto::to_pem(certificate, "CERTIFICATE"));
      !written) {
    return written.error();
  }
  std::string pem = key.to_pem();
  const auto written = replace_private_file(key_path(directory), pem);
  crypto::wipe(std::as_writable_bytes(std::span<char>(pem)));
  if (!written) return written.error();
  return load_identity(directory);
}

Result<nlohmann::json> read_known(const std::string& directory) {
  auto text = read_private_file(known_path(directory));
  if (!text && text.error().category() == ErrorCategory::kNotFound) return nlohmann::json(nlohmann::json::object());
  if (!text) return text.error();
  nlohmann::json known = nlohmann::json::parse(text.value(), nullptr, false);
  if (!known.is_object()) return Error(ErrorCategory::kFormat, known_path(directory) + " is damaged; remove it");
  return known;
}

std::string text_of(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

Result<std::string> default_client_directory() {
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && *state == '/') return std::string(state) + "/casemate";
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home == '/') return std::string(home) + "/.local/state/casemate";
  return Error(ErrorCategory::kUsage, "neither HOME nor XDG_STATE_HOME is set: say --client-dir DIRECTORY");
}

Result<std::string> read_private_file(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open() && errno == ENOENT) return Error(ErrorCategory::kNotFound, path + " does not exist");
  struct stat status = {};
  if (!file.is_open() || ::fstat(file.get(), &status) != 0) return Error::from_errno("cannot open " + path, errno);
  if ((status.st_mode & 077) != 0 || (status.st_uid != ::geteuid() && status.st_uid != 0)) {
    return Error(ErrorCategory::kUsage, path + " may be read or was made by others: chmod 600, or make a new one");
  }
  std::string text;
  char buffer[65536];
  for (;;) {
    const ssize_t size = ::read(file.get(), buffer, sizeof(buffer));
    if (size < 0) return Error::from_errno("cannot read " + path, errno);
    if (size == 0) return text;
    text.append(buffer, static_cast<std::size_t>(size));
    if (text.size() > kLargestFile) return Error(ErrorCategory::kFormat, path + " is too large");
  }
}

Result<void> replace_private_file(const std::string& path, std::string_view contents) {
  const std::string fresh = path + ".new" + std::to_string(::getpid());
  const UniqueFd file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.is_open()) return Error::from_errno("cannot write " + fresh, errno);
  while (!contents.empty()) {
    const ssize_t size = ::write(file.get(), contents.data(), contents.size());
    if (size < 0) return Error::from_errno("cannot write " + fresh, errno);
    contents.remove_prefix(static_cast<std::size_t>(size));
  }
  if (::fsync(file.get()) != 0 || ::rename(fresh.c_str(), path.c_str()) != 0) {
    return Error::from_errno("cannot write " + path, errno);
  }
  return {};
}

Result<Identity> load_identity(const std::string& directory) {
  Identity identity;
  identity.files.key_pem = CASEMATE_TRY(read_private_file(key_path(directory)));
  identity.files.certificate_pem = CASEMATE_TRY(read_private_file(certificate_path(directory)));
  const auto key = crypto::PrivateKey::from_pem(identity.files.key_pem);
  if (!key) return Error(ErrorCategory::kFormat, key_path(directory) + " holds no private key");
  identity.key_hash = crypto::to_hex(crypto::sha256(key.value().public_key().to_subject_public_key_info()));
  return identity;
}

Result<Identity> load_or_make_identity(const std::string& directory, bool& is_new) {
  auto identity = load_identity(directory);
  is_new = !identity && identity.error().category() == ErrorCategory::kNotFound;
  return is_new ? make_identity(directory) : identity;
}

Result<KnownCas> find_known(const std::string& directory, const std::string& address) {
  const nlohmann::json known = CASEMATE_TRY(read_known(directory));
  if (address.empty() && known.size() != 1) {
    return Error(known.empty() ? ErrorCategory::kNotFound : ErrorCategory::kUsage,
                 known.empty()
                     ? "no CAS is known yet: claim yours (casemate cas claim), or pin one (casemate cas trust)"
                     : "several CAS are known: say --cas IP:PORT");
  }
  const auto found = address.empty() ? known.begin() : known.find(address);
  if (found == known.end() || !found->is_object()) {
    return Error(ErrorCategory::kNotFound,
                 "the CAS at " + address +
                     " is not known: claim it (casemate cas claim), or pin the key that its owner "
                     "tells you (casemate cas trust " +
                     address + " --server-key HEX --log-id HEX)");
  }
  return KnownCas{found.key(), text_of(*found, "server_key"), text_of(*found, "log_id"), text_of(*found, "head")};
}

Result<void> remember(const std::string& directory, const KnownCas& known) {
  if (auto made = make_directory(directory); !made) return made;
  nlohmann::json all = CASEMATE_TRY(read_known(directory));
  all[known.address] = {{"server_key", known.server_key}, {"log_id", known.log_id}, {"head", known.head}};
  return replace_private_file(known_path(directory), all.dump(2) + "\n");
}

}  // namespace casemate::cas_tool
