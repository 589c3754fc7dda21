#include "attest/tcb_info.h"

#include <algorithm>

#include "attest/strict_json.h"

namespace casemate::attest {
namespace {

constexpr std::uint64_t kMaximum8 = 0xff, kMaximum16 = 0xffff, kMaximum32 = 0xffffffff;
constexpr std::uint32_t kTcbInfoVersion2 = 2, kTcbInfoVersion3 = 3, kQeIdentityVersion = 2;

Error malformed(const std::string& what) { return Error(ErrorCategory::kFormat, what); }

Result<TcbStatus> read_status(const JsonReader& reader) {
  const std::string text = CASEMATE_TRY(reader.text("tcbStatus"));
  const std::optional<TcbStatus> status = tcb_status_from_text(text);
  const bool is_listable = status && *status != TcbStatus::kNotSupported && *status != TcbStatus::kTdRelaunchAdvised &&
                           *status != TcbStatus::kTdRelaunchAdvisedConfigurationNeeded;
  if (!is_listable) return malformed("TCB level: unknown status \"" + text + "\"");
  return *status;
}

// Version 3: [{"svn": n}, ...].
Result<ComponentSvns> read_component_list(const JsonReader& reader, const char* key) {
  const Json& list = *CASEMATE_TRY(reader.array(key));
  ComponentSvns svns{};
  if (list.size() != svns.size()) return malformed(std::string("TCB level: \"") + key + "\" has not 16 entries");
  for (std::size_t i = 0; i < svns.size(); ++i) {
    const JsonReader entry = CASEMATE_TRY(JsonReader::of(list[i], "TCB component"));
    svns[i] = static_cast<std::uint8_t>(CASEMATE_TRY(entry.number("svn", kMaximum8)));
  }
  return svns;
}

// Version 2: "sgxtcbcomp01svn" to "sgxtcbcomp16svn".
Result<ComponentSvns> read_named_components(const JsonReader& reader) {
  ComponentSvns svns{};
  for (std::size_t i = 0; i < svns.size(); ++i) {
    const std::string number = std::to_string(i + 1);
    const std::string key = "sgxtcbcomp" + std::string(number.size() == 1 ? "0" : "") + number + "svn";
    svns[i] = static_cast<std::uint8_t>(CASEMATE_TRY(reader.number(key.c_str(), kMaximum8)));
  }
  return svns;
}

Result<TcbLevel> read_level(const Json& json, const TcbInfo& info) {
  const JsonReader reader = CASEMATE_TRY(JsonReader::of(json, "TCB level"));
  const Json* tcb_json = CASEMATE_TRY(reader.object("tcb"));
  const JsonReader tcb = CASEMATE_TRY(JsonReader::of(*tcb_json, "TCB level"));
  TcbLevel level;
  if (info.version == kTcbInfoVersion2) {
    level.sgx_svns = CASEMATE_TRY(read_named_components(tcb));
  } else {
    level.sgx_svns = CASEMATE_TRY(read_component_list(tcb, "sgxtcbcomponents"));
  }
  if (info.id == "TDX") level.tdx_svns = CASEMATE_TRY(read_component_list(tcb, "tdxtcbcomponents"));
  level.pce_svn = static_cast<std::uint16_t>(CASEMATE_TRY(tcb.number("pcesvn", kMaximum16)));
  level.status = CASEMATE_TRY(read_status(reader));
  level.date = CASEMATE_TRY(reader.text("tcbDate"));
  level.advisories = CASEMATE_TRY(reader.texts("advisoryIDs"));
  return level;
}

bool is_same_tcb(const TcbLevel& left, const TcbLevel& right) {
  return left.sgx_svns == right.sgx_svns && left.tdx_svns == right.tdx_svns && left.pce_svn == right.pce_svn;
}

Result<void> read_levels(const JsonReader& reader, TcbInfo& info) {
  for (const Json& json : *CASEMATE_TRY(reader.array("tcbLevels"))) {
    TcbLevel level = CASEMATE_TRY(read_level(json, info));
    const bool is_duplicate =
        std::ranges::any_of(info.levels, [&](const TcbLevel& other) { return is_same_tcb(level, other); });
    if (is_duplicate) return malformed("TCB info: the same TCB level twice");
    info.levels.push_back(std::move(level));
  }
  if (info.levels.empty()) return malformed("TCB info: no TCB levels");
  return {};
}

Result<std::vector<SvnLevel>> read_svn_levels(const JsonReader& reader, const std::string& what) {
  std::vector<SvnLevel> levels;
  for (const Json& json : *CASEMATE_TRY(reader.array("tcbLevels"))) {
    const JsonReader fields = CASEMATE_TRY(JsonReader::of(json, what));
    const Json* tcb_json = CASEMATE_TRY(fields.object("tcb"));
    const JsonReader tcb = CASEMATE_TRY(JsonReader::of(*tcb_json, what));
    SvnLevel level;
    level.isv_svn = static_cast<std::uint32_t>(CASEMATE_TRY(tcb.number("isvsvn", kMaximum32)));
    level.status = CASEMATE_TRY(read_status(fields));
    const bool is_possible = level.status == TcbStatus::kUpToDate || level.status == TcbStatus::kOutOfDate ||
                             level.status == TcbStatus::kRevoked;
    if (!is_possible) return malformed(what + ": impossible status " + to_text(level.status));
    level.date = CASEMATE_TRY(fields.text("tcbDate"));
    level.advisories = CASEMATE_TRY(fields.texts("advisoryIDs"));
    levels.push_back(std::move(level));
  }
  if (levels.empty()) return malformed(what + ": no TCB levels");
  return levels;
}

Result<TdxModule> read_module(const JsonReader& reader) {
  TdxModule module;
  module.mr_signer = CASEMATE_TRY(reader.hex("mrsigner", 48));
  module.attributes = CASEMATE_TRY(reader.hex("attributes", 8));
  module.attributes_mask = CASEMATE_TRY(reader.hex("attributesMask", 8));
  return module;
}

Result<void> read_modules(const JsonReader& reader, TcbInfo& info) {
  const Json* module_json = CASEMATE_TRY(reader.object("tdxModule"));
  const JsonReader module = CASEMATE_TRY(JsonReader::of(*module_json, "TDX module"));
  info.tdx_module = CASEMATE_TRY(read_module(module));
  if (!reader.has("tdxModuleIdentities")) return {};
  for (const Json& json : *CASEMATE_TRY(reader.array("tdxModuleIdentities"))) {
    const JsonReader fields = CASEMATE_TRY(JsonReader::of(json, "TDX module identity"));
    TdxModuleIdentity identity;
    identity.id = CASEMATE_TRY(fields.text("id"));
    std::ranges::transform(identity.id, identity.id.begin(), [](char letter) {
      return letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 'a' + 'A') : letter;
    });
    if (std::ranges::find(info.tdx_module_identities, identity.id, &TdxModuleIdentity::id) !=
        info.tdx_module_identities.end()) {
      return malformed("TCB info: TDX module identity " + identity.id + " twice");
    }
    identity.module = CASEMATE_TRY(read_module(fields));
    identity.levels = CASEMATE_TRY(read_svn_levels(fields, "TDX module identity"));
    info.tdx_module_identities.push_back(std::move(identity));
  }
  return {};
}

Result<std::uint32_t> read_number32(const JsonReader& reader, const char* key) {
  return static_cast<std::uint32_t>(CASEMATE_TRY(reader.number(key, kMaximum32)));
}

// JSON gives MISCSELECT as the digits of the number, most significant first.
Result<std::uint32_t> read_big_endian(const JsonReader& reader, const char* key) {
  std::uint32_t value = 0;
  for (std::byte digit : CASEMATE_TRY(reader.hex(key, 4))) value = value << 8 | std::to_integer<std::uint32_t>(digit);
  return value;
}

}  // namespace

const SvnLevel* find_level(const std::vector<SvnLevel>& levels, std::uint32_t isv_svn) {
  const auto found = std::ranges::find_if(levels, [&](const SvnLevel& level) { return isv_svn >= level.isv_svn; });
  return found == levels.end() ? nullptr : &*found;
}

const TdxModuleIdentity* TcbInfo::find_module_identity(std::uint8_t major_version) const {
  std::string digits = crypto::to_hex(crypto::Bytes{std::byte{major_version}});
  for (char& digit : digits) {
    if (digit >= 'a') digit = static_cast<char>(digit - 'a' + 'A');
  }
  const auto found = std::ranges::find(tdx_module_identities, "TDX_" + digits, &TdxModuleIdentity::id);
  return found == tdx_module_identities.end() ? nullptr : &*found;
}

Result<TcbInfo> parse_tcb_info(std::string_view text) {
  const Json json = CASEMATE_TRY(parse_strict_json(text));
  const JsonReader reader = CASEMATE_TRY(JsonReader::of(json, "TCB info"));
  TcbInfo info;
  info.version = CASEMATE_TRY(read_number32(reader, "version"));
  if (info.version != kTcbInfoVersion2 && info.version != kTcbInfoVersion3) {
    return malformed("TCB info: version " + std::to_string(info.version) + " is not supported");
  }
  info.id = info.version == kTcbInfoVersion2 ? "SGX" : CASEMATE_TRY(reader.text("id"));
  if (info.id != "SGX" && info.id != "TDX") return malformed("TCB info: unknown id \"" + info.id + "\"");
  info.issue_date = CASEMATE_TRY(reader.moment("issueDate"));
  info.next_update = CASEMATE_TRY(reader.moment("nextUpdate"));
  info.fmspc = CASEMATE_TRY(reader.hex("fmspc", 6));
  info.pce_id = CASEMATE_TRY(reader.hex("pceId", 2));
  if (CASEMATE_TRY(reader.number("tcbType", kMaximum32)) != 0) return malformed("TCB info: tcbType is not 0");
  info.evaluation_data_number = CASEMATE_TRY(read_number32(reader, "tcbEvaluationDataNumber"));
  if (info.id == "TDX") {
    if (Result<void> read = read_modules(reader, info); !read) return read.error();
  }
  if (Result<void> read = read_levels(reader, info); !read) return read.error();
  return info;
}

Result<QeIdentity> parse_qe_identity(std::string_view text) {
  const Json json = CASEMATE_TRY(parse_strict_json(text));
  const JsonReader reader = CASEMATE_TRY(JsonReader::of(json, "QE identity"));
  const std::uint64_t version = CASEMATE_TRY(reader.number("version", kMaximum32));
  if (version != kQeIdentityVersion) {
    return malformed("QE identity: version " + std::to_string(version) + " is not supported");
  }
  QeIdentity identity;
  identity.id = CASEMATE_TRY(reader.text("id"));
  identity.issue_date = CASEMATE_TRY(reader.moment("issueDate"));
  identity.next_update = CASEMATE_TRY(reader.moment("nextUpdate"));
  identity.evaluation_data_number = CASEMATE_TRY(read_number32(reader, "tcbEvaluationDataNumber"));
  identity.misc_select = CASEMATE_TRY(read_big_endian(reader, "miscselect"));
  identity.misc_select_mask = CASEMATE_TRY(read_big_endian(reader, "miscselectMask"));
  identity.attributes = CASEMATE_TRY(reader.hex("attributes", 16));
  identity.attributes_mask = CASEMATE_TRY(reader.hex("attributesMask", 16));
  identity.mr_signer = CASEMATE_TRY(reader.hex("mrsigner", 32));
  identity.isv_product_id = static_cast<std::uint16_t>(CASEMATE_TRY(reader.number("isvprodid", kMaximum16)));
  identity.levels = CASEMATE_TRY(read_svn_levels(reader, "QE identity"));
  return identity;
}

}  // namespace casemate::attest
