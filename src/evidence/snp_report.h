// SEV-SNP attestation reports of versions 2 to 5 (AMD "SEV Secure Nested Paging Firmware ABI", table
// ATTESTATION_REPORT) and the extension of the VCEK and VLEK certificates that sign them (AMD "VCEK Certificate and KDS
// Interface Specification").
//
// What a hostile host can do here: every byte is the host's until the signature is checked. The size is exact, the
// version names which fields exist, and reserved bytes that a version leaves out stay unread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/certificate.h"
#include "evidence/byte_reader.h"

namespace casemate::evidence {

inline constexpr std::size_t kSnpReportSize = 1184, kSnpSignedSize = 672;
inline constexpr std::uint32_t kSnpOldestVersion = 2, kSnpNewestVersion = 5, kSnpVersionWithCpuid = 3,
                               kSnpVersionWithMitigations = 5;
inline constexpr std::uint32_t kSnpSignatureEcdsaP384 = 1;

// Bits of SnpReport::policy.
inline constexpr std::uint64_t kSnpPolicySmt = std::uint64_t{1} << 16, kSnpPolicyReservedOne = std::uint64_t{1} << 17,
                               kSnpPolicyMigrationAgent = std::uint64_t{1} << 18,
                               kSnpPolicyDebug = std::uint64_t{1} << 19,
                               kSnpPolicySingleSocket = std::uint64_t{1} << 20;

// Processor generations differ in the order of security version numbers and in their root keys.
enum class SnpGeneration { kMilan, kGenoa, kTurin };

const char* to_text(SnpGeneration generation);
// From the product name of a leaf certificate ("Milan-B0", "Genoa", "Siena-...").
std::optional<SnpGeneration> generation_of_product(std::string_view product);
// From CPUID family and model, combined values; empty for processors that are not known here.
std::optional<SnpGeneration> generation_of_processor(std::uint8_t family, std::uint8_t model);

// A TCB_VERSION, decoded. `fmc` exists since Turin and is 0 before.
struct SnpTcb {
  std::uint8_t fmc = 0, bootloader = 0, tee = 0, snp = 0, microcode = 0;

  bool operator==(const SnpTcb&) const = default;
  // Component by component; TCBs are only partially ordered.
  bool is_at_least(const SnpTcb& minimum) const;
};
std::string to_text(const SnpTcb& tcb, SnpGeneration generation);
SnpTcb decode_snp_tcb(const FixedBytes<8>& raw, SnpGeneration generation);
FixedBytes<8> encode_snp_tcb(const SnpTcb& tcb, SnpGeneration generation);

enum class SnpSigningKey : std::uint32_t { kVcek = 0, kVlek = 1, kNone = 7 };

struct SnpFirmwareVersion {
  std::uint8_t build = 0, minor = 0, major = 0;
};

struct SnpReport {
  std::uint32_t version = kSnpOldestVersion;
  std::uint32_t guest_svn = 0;
  std::uint64_t policy = kSnpPolicyReservedOne;
  FixedBytes<16> family_id{}, image_id{};
  std::uint32_t vmpl = 0;
  std::uint32_t signature_algorithm = kSnpSignatureEcdsaP384;
  FixedBytes<8> current_tcb{};
  std::uint64_t platform_info = 0;
  std::uint32_t flags = 0;
  FixedBytes<64> report_data{};
  FixedBytes<48> measurement{};
  FixedBytes<32> host_data{};
  FixedBytes<48> id_key_digest{}, author_key_digest{};
  FixedBytes<32> report_id{}, report_id_migration_agent{};
  FixedBytes<8> reported_tcb{};
  std::uint8_t cpuid_family = 0, cpuid_model = 0, cpuid_stepping = 0;  // since version 3
  FixedBytes<64> chip_id{};
  FixedBytes<8> committed_tcb{};
  SnpFirmwareVersion current_firmware, committed_firmware;
  FixedBytes<8> launch_tcb{};
  std::uint64_t launch_mitigations = 0, current_mitigations = 0;  // since version 5
  FixedBytes<72> signature_r{}, signature_s{};                    // little-endian

  bool has_author_key() const { return (flags & 1) != 0; }
  bool masks_chip_key() const { return (flags & 2) != 0; }
  std::uint32_t signing_key() const { return flags >> 2 & 7; }
  bool is_debug() const { return (policy & kSnpPolicyDebug) != 0; }
};

// Errors: kFormat for another size or a version that is not published.
Result<SnpReport> parse_snp_report(ByteView data);
Bytes build(const SnpReport& report);
// r || s, big-endian, as PublicKey::verify takes it; empty when a number does not fit P-384.
Bytes snp_signature(const SnpReport& report);

// What VCEK and VLEK say about the chip they belong to.
struct SnpCertificateFields {
  std::string product;  // "Milan-B0"
  SnpTcb tcb;
  std::optional<Bytes> hardware_id;     // VCEK: 64 bytes, 8 on Turin
  std::optional<std::string> provider;  // VLEK: which cloud provider loads it
};

// Errors: kFormat for missing or malformed fields.
Result<SnpCertificateFields> parse_snp_certificate_fields(const std::vector<crypto::CertificateExtension>& extensions);
std::vector<crypto::CertificateExtension> build_snp_certificate_fields(const SnpCertificateFields& fields);

}  // namespace casemate::evidence
