// `casemate cas restore`: a store out of a backup, or going on with an older state. Both begin a new epoch of the log,
// so everybody can see that it happened, and fence the instance before.
#include <cstdio>
#include <filesystem>

#include "casemate/cas/client_state.h"
#include "casemate/cas/state_files.h"
#include "crypto/key_agreement.h"
#include "crypto/secret.h"

namespace casemate::cas_tool {
namespace {

Result<cas::SecretShare> open_own_share(const cas::ShareSlot& slot, const std::string& path) {
  std::string pem = CASEMATE_TRY(read_private_file(path));
  const auto key = crypto::AgreementKey::from_pem(pem);
  crypto::wipe(std::as_writable_bytes(std::span<char>(pem)));
  if (!key) return key.error().with_context(path);
  for (const cas::SealedShare& share : slot.shares) {
    if (share.holder == key.value().public_key()) return cas::open_share(share, key.value());
  }
  return Error(ErrorCategory::kNotFound, path + " is no key of a holder of this backup");
}

Result<int> accept_older_state(const Options& options) {
  const auto anchor = anchor_of(options, cas::TpmCounter::kMake);
  const auto method = CASEMATE_TRY(unseal_method(options, KeyFile::kMustExist));
  const auto store = CASEMATE_TRY(
      cas::Store::open_in_new_epoch(store_options(options, anchor.get()), *method, {"accepted rollback", {}}));
  std::printf("epoch %llu begun: what this state lacks is lost, and the log says so\n",
              static_cast<unsigned long long>(store->snapshot().head().head.epoch));
  return 0;
}

}  // namespace

Result<int> restore(const Options& options) {
  if (options.accept) return accept_older_state(options);
  if (options.from.empty()) return Error(ErrorCategory::kUsage, "restore takes --from BACKUP, or --accept");
  const cas::ShareSlot slot = CASEMATE_TRY(cas::share_slot_of(options.from));
  if (options.holder_keys.size() < slot.threshold) {
    return Error(ErrorCategory::kUsage, "this backup needs " + std::to_string(slot.threshold) + " of its " +
                                            std::to_string(slot.shares.size()) +
                                            " holders: --holder-key FILE for each");
  }
  std::vector<cas::SecretShare> shares;
  for (const std::string& path : options.holder_keys) {
    cas::SecretShare share = CASEMATE_TRY(open_own_share(slot, path));
    shares.push_back(std::move(share));
  }
  if (auto made = make_state_directory(options.state); !made) return made.error();
  const auto anchor = anchor_of(options, cas::TpmCounter::kMake);
  const auto method = CASEMATE_TRY(unseal_method(options, KeyFile::kMayBeMade));
  const auto opener = cas::unseal_with_shares(std::move(shares));
  const auto store = CASEMATE_TRY(
      cas::restore_store(store_options(options, anchor.get()), options.from, *opener, {method.get()}, {"restore", {}}));
  std::printf("restored into %s: epoch %llu of log %s; start it with: casemate cas serve --state %s\n",
              options.state.c_str(), static_cast<unsigned long long>(store->snapshot().head().head.epoch),
              crypto::to_hex(store->log_id()).c_str(), options.state.c_str());
  return 0;
}

}  // namespace casemate::cas_tool
