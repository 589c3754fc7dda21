// Where a CAS keeps what on its machine, and how its store is opened.
//
//   STATE/store/       the sealed store
//   STATE/unseal.key   the root key's key file, unless --key-file or --passphrase-file says otherwise (development)
//   STATE/anchor       the freshness anchor, unless --anchor names another file (same disk: notices accidents only) or
//   a TPM STATE/claim-token  the one-time token, until the CAS is claimed STATE/backups/     what `casemate cas backup`
//   makes
#pragma once

#include <memory>
#include <string>

#include "cas/store/store.h"
#include "casemate/cas/cas_options.h"

namespace casemate::cas_tool {

struct OpenedStore {
  std::unique_ptr<cas::FreshnessAnchor> anchor;
  std::unique_ptr<cas::UnsealMethod> method;
  cas::StoreOptions options;
  std::unique_ptr<cas::Store> store;
  bool is_new = false;
};

// Makes the directory. Errors: kSystem.
Result<void> make_state_directory(const std::string& path);
// The method that the words name; `make_key` when the default key file may be made.
enum class KeyFile { kMustExist, kMayBeMade };
Result<std::unique_ptr<cas::UnsealMethod>> unseal_method(const Options& options, KeyFile key_file);
cas::StoreOptions store_options(const Options& options, cas::FreshnessAnchor* anchor);
// --anchor: a file, or tpm[:DEVICE[@INDEX]] with the index in hexadecimal digits. `if_missing`: of the TPM's counter.
std::unique_ptr<cas::FreshnessAnchor> anchor_of(const Options& options, cas::TpmCounter if_missing);
// Opens the store, or makes one on the first start. Errors: those of Store::open and Store::create.
Result<OpenedStore> open_store(const Options& options);

}  // namespace casemate::cas_tool
