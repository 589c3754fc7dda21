#include "casemate/cas/state_files.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "casemate/cas/client_state.h"
#include "crypto/secret.h"

namespace casemate::cas_tool {

Result<void> make_state_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return Error::from_errno("cannot make " + path, errno);
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0) return Error::from_errno(path, errno);
  if ((status.st_mode & 077) != 0) {
    return Error(ErrorCategory::kUsage, path + " may be used by others: chmod 700 " + path);
  }
  return {};
}

Result<std::unique_ptr<cas::UnsealMethod>> unseal_method(const Options& options, KeyFile key_file) {
  if (!options.passphrase_file.empty()) {
    std::string passphrase = CASEMATE_TRY(read_private_file(options.passphrase_file));
    while (!passphrase.empty() && passphrase.back() == '\n') passphrase.pop_back();
    auto value = cas::SecretValue::copy_of(passphrase);
    crypto::wipe(std::as_writable_bytes(std::span<char>(passphrase)));
    return cas::unseal_with_passphrase(std::move(value));
  }
  const std::string path = options.key_file.empty() ? options.state + "/unseal.key" : options.key_file;
  if (key_file == KeyFile::kMayBeMade && !std::filesystem::exists(path)) return cas::unseal_with_new_key_file(path);
  return cas::unseal_with_key_file(path);
}

std::unique_ptr<cas::FreshnessAnchor> tpm_anchor_of(const std::string& words, cas::TpmCounter if_missing) {
  cas::TpmAnchorOptions options;
  options.if_missing = if_missing;
  if (words.starts_with(':')) {
    const std::size_t at = words.rfind('@');
    const bool has_index = at != std::string::npos;
    if (has_index) options.index = static_cast<std::uint32_t>(std::strtoul(words.c_str() + at + 1, nullptr, 16));
    const std::string device = words.substr(1, has_index ? at - 1 : std::string::npos);
    if (!device.empty()) options.device = device;
  }
  return cas::make_tpm_anchor(options);
}

std::unique_ptr<cas::FreshnessAnchor> anchor_of(const Options& options, cas::TpmCounter if_missing) {
  constexpr std::string_view kTpm = "tpm";
  const bool is_tpm = options.anchor == kTpm || options.anchor.starts_with("tpm:");
  if (is_tpm) return tpm_anchor_of(options.anchor.substr(kTpm.size()), if_missing);
  return cas::make_file_anchor(options.anchor.empty() ? options.state + "/anchor" : options.anchor);
}

cas::StoreOptions store_options(const Options& options, cas::FreshnessAnchor* anchor) {
  cas::StoreOptions store;
  store.directory = options.state + "/store";
  store.software = "casemate " CASEMATE_VERSION;
  store.anchor = anchor;
  store.anchor_interval = std::chrono::seconds(options.anchor_seconds);
  return store;
}

Result<OpenedStore> open_store(const Options& options) {
  if (auto made = make_state_directory(options.state); !made) return made.error();
  OpenedStore opened;
  opened.is_new = !std::filesystem::exists(options.state + "/store");
  opened.anchor = anchor_of(options, opened.is_new ? cas::TpmCounter::kMake : cas::TpmCounter::kMustExist);
  opened.options = store_options(options, opened.anchor.get());
  opened.method = CASEMATE_TRY(unseal_method(options, opened.is_new ? KeyFile::kMayBeMade : KeyFile::kMustExist));
  opened.store = CASEMATE_TRY(opened.is_new ? cas::Store::create(opened.options, {opened.method.get()})
                                            : cas::Store::open(opened.options, *opened.method));
  return opened;
}

}  // namespace casemate::cas_tool
