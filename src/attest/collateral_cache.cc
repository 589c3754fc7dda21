#include "attest/collateral_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "attest/quote_platform.h"
#include "attest/strict_json.h"
#include "base/unique_fd.h"
#include "crypto/hash.h"
#include "evidence/snp_report.h"

namespace casemate::attest {
namespace {

constexpr std::string_view kMagic = "casemate-collateral-1 ";
constexpr std::string_view kSuffix = ".collateral";
constexpr std::size_t kDigestDigits = 64;
constexpr std::size_t kMaximumSize = std::size_t{2} << 20;

std::string digest_of(std::string_view content) {
  return crypto::to_hex(crypto::sha256(crypto::as_byte_view(content)));
}

std::string dcap_name(bool is_tdx, crypto::ByteView fmspc) {
  return std::string(is_tdx ? "tdx-" : "sgx-") + crypto::to_hex(fmspc);
}

// CHIP_ID is 64 bytes and may be masked: a digest makes a name of one size.
Result<std::string> snp_name(crypto::ByteView bytes) {
  const evidence::SnpReport report = CASEMATE_TRY(evidence::parse_snp_report(bytes));
  return "snp-" + digest_of(crypto::to_hex(report.chip_id)).substr(0, 32) + "-" + crypto::to_hex(report.reported_tcb);
}

Result<TcbInfo> tcb_info_of(const DcapCollateral& collateral) {
  if (!collateral.tcb_info) return Error(ErrorCategory::kFormat, "collateral without TCB info cannot be cached");
  const Json json = CASEMATE_TRY(parse_strict_json(*collateral.tcb_info));
  if (!json.is_object() || !json.contains("tcbInfo")) return parse_tcb_info(*collateral.tcb_info);
  return parse_tcb_info(CASEMATE_TRY(raw_member(*collateral.tcb_info, "tcbInfo")));
}

Result<std::string> name_for_quote(crypto::ByteView bytes) {
  const QuotePlatform platform = CASEMATE_TRY(platform_of_quote(bytes));
  return dcap_name(platform.is_tdx, platform.fmspc);
}

Result<void> write_all(int file, std::string_view content, const std::string& path) {
  while (!content.empty()) {
    const ssize_t written = ::write(file, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return Error::from_errno("cannot write " + path, errno);
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(file) != 0) return Error::from_errno("cannot write " + path, errno);
  return {};
}

Result<std::string> read_all(int file, const std::string& path) {
  std::string content;
  char piece[16384];
  while (true) {
    const ssize_t size = ::read(file, piece, sizeof piece);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Error::from_errno("cannot read " + path, errno);
    if (size == 0) return content;
    content.append(piece, static_cast<std::size_t>(size));
    if (content.size() > kMaximumSize) return Error(ErrorCategory::kFormat, path + " is larger than 2 MiB");
  }
}

std::string snp_to_json(const SnpEndorsements& endorsements) {
  Json json = {{"certificates", Json::array()}, {"revocation_lists", Json::array()}};
  for (const auto& der : endorsements.certificates) json["certificates"].push_back(crypto::to_base64(der));
  for (const auto& der : endorsements.revocation_lists) json["revocation_lists"].push_back(crypto::to_base64(der));
  return json.dump(1) + "\n";
}

Result<std::vector<crypto::Bytes>> base64_list(const JsonReader& reader, const char* key) {
  std::vector<crypto::Bytes> list;
  for (const std::string& text : CASEMATE_TRY(reader.texts(key))) {
    list.push_back(CASEMATE_TRY(crypto::from_base64(text)));
  }
  return list;
}

}  // namespace

Result<void> CollateralCache::put(const std::string& name, const std::string& content) const {
  if (content.size() > kMaximumSize - kMagic.size() - kDigestDigits - 1) {
    return Error(ErrorCategory::kExhausted, name + ": collateral of more than 2 MiB is not kept");
  }
  if (::mkdir(directory_.c_str(), 0755) != 0 && errno != EEXIST) {
    return Error::from_errno("cannot make " + directory_, errno);
  }
  const std::string path = directory_ + "/" + name + std::string(kSuffix);
  std::string temporary = path + ".XXXXXX";
  const UniqueFd file(::mkstemp(temporary.data()));
  if (!file.is_open()) return Error::from_errno("cannot write " + path, errno);
  Result<void> written = write_all(file.get(), std::string(kMagic) + digest_of(content) + "\n" + content, path);
  if (written && (::fchmod(file.get(), 0644) != 0 || ::rename(temporary.c_str(), path.c_str()) != 0)) {
    written = Error::from_errno("cannot write " + path, errno);
  }
  if (!written) ::unlink(temporary.c_str());
  return written;
}

Result<std::optional<std::string>> CollateralCache::get(const std::string& name) const {
  const std::string path = directory_ + "/" + name + std::string(kSuffix);
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file.is_open()) {
    if (errno == ENOENT) return std::optional<std::string>();
    return Error::from_errno("cannot open " + path, errno);
  }
  const std::string whole = CASEMATE_TRY(read_all(file.get(), path));
  const std::size_t head_size = kMagic.size() + kDigestDigits + 1;
  const bool has_head = whole.size() >= head_size && whole.starts_with(kMagic) && whole[head_size - 1] == '\n';
  if (!has_head || digest_of(std::string_view(whole).substr(head_size)) != whole.substr(kMagic.size(), kDigestDigits)) {
    return Error(ErrorCategory::kFormat, path + " is damaged; import the collateral again");
  }
  return std::optional(whole.substr(head_size));
}

Result<StoreOutcome> CollateralCache::store(const DcapCollateral& collateral) const {
  const TcbInfo info = CASEMATE_TRY(tcb_info_of(collateral));
  const std::string name = dcap_name(info.id == "TDX", info.fmspc);
  // What cannot be read any more is replaced.
  if (const auto old_text = get(name); old_text && old_text.value()) {
    const Result<DcapCollateral> old = parse_dcap_collateral(*old_text.value());
    const Result<TcbInfo> old_info = old ? tcb_info_of(old.value()) : Result<TcbInfo>(old.error());
    if (old_info && old_info.value().issue_date > info.issue_date) return StoreOutcome::kKeptNewer;
  }
  if (Result<void> stored = put(name, to_json(collateral)); !stored) return stored.error();
  return StoreOutcome::kStored;
}

Result<std::optional<DcapCollateral>> CollateralCache::find_for_quote(crypto::ByteView quote) const {
  const Result<std::string> name = name_for_quote(quote);
  if (!name) return std::optional<DcapCollateral>();
  const std::optional<std::string> text = CASEMATE_TRY(get(name.value()));
  if (!text) return std::optional<DcapCollateral>();
  return std::optional(CASEMATE_TRY(parse_dcap_collateral(*text)));
}

Result<void> CollateralCache::store(crypto::ByteView snp_report, const SnpEndorsements& endorsements) const {
  const std::string name = CASEMATE_TRY(snp_name(snp_report));
  return put(name, snp_to_json(endorsements));
}

Result<std::optional<SnpEndorsements>> CollateralCache::find_for_report(crypto::ByteView snp_report) const {
  const Result<std::string> name = snp_name(snp_report);
  if (!name) return std::optional<SnpEndorsements>();
  const std::optional<std::string> text = CASEMATE_TRY(get(name.value()));
  if (!text) return std::optional<SnpEndorsements>();
  const Json json = CASEMATE_TRY(parse_strict_json(*text));
  const JsonReader reader = CASEMATE_TRY(JsonReader::of(json, "cached SNP endorsements"));
  SnpEndorsements endorsements;
  endorsements.certificates = CASEMATE_TRY(base64_list(reader, "certificates"));
  endorsements.revocation_lists = CASEMATE_TRY(base64_list(reader, "revocation_lists"));
  return std::optional(std::move(endorsements));
}

Result<std::vector<std::string>> CollateralCache::list() const {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(directory_.c_str()), ::closedir);
  if (directory == nullptr) {
    if (errno == ENOENT) return names;
    return Error::from_errno("cannot open " + directory_, errno);
  }
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    if (name.ends_with(kSuffix)) names.emplace_back(name.substr(0, name.size() - kSuffix.size()));
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace casemate::attest
