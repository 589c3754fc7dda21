// What to ask Intel's provisioning certification service (PCS, API version 4), a cache of it (PCCS) and AMD's key
// distribution service (KDS) for, and what to make of their answers. Pure: who carries the requests is the caller's
// business. docs/attestation.md lists the requests.
//   Intel, "Provisioning Certification Service for ECDSA Attestation", API v4; AMD 57230, "VCEK Certificate and KDS
//   Interface Specification", chapter 4.
//
// What a hostile service can do here -> what we answer
//  - give anything as anything -> content type and form are checked for each part, and check_collateral() judges the
//    whole like any other collateral: signatures up to the pinned root, dates, platform. Nothing is kept before that
//  - withhold newer collateral -> what it gives counts until it expires, and no longer
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "attest/dcap_collateral.h"
#include "attest/quote_platform.h"
#include "attest/snp_verifier.h"
#include "evidence/snp_report.h"

namespace casemate::attest {

inline constexpr std::string_view kIntelPcs = "https://api.trustedservices.intel.com";
inline constexpr std::string_view kIntelRootCrl = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der";
inline constexpr std::string_view kAmdKds = "https://kdsintf.amd.com";

// Without a slash at the end.
struct CollateralServices {
  std::string pcs{kIntelPcs};
  std::string kds{kAmdKds};
};
// A base as people write it: "https://HOST[:PORT][/PATH]", also with the API's own path behind it, as Intel's quote
// provider library has it in its configuration. Errors: kUsage for anything but https, credentials, queries.
Result<std::string> service_base(std::string_view text);

enum class CollateralPart { kTcbInfo, kQeIdentity, kPckCrl, kRootCrl, kLeaf, kAuthorities, kRevocationList };

struct CollateralRequest {
  CollateralPart part;
  std::string url;
};

struct CollateralResponse {
  long status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

// No answer of a service is larger.
inline constexpr std::size_t kMaximumResponseSize = std::size_t{512} << 10;

std::vector<CollateralRequest> requests_for_quote(const QuotePlatform& platform, const CollateralServices& services);
// `generation`: counts only for reports of version 2, which do not name their processor. VLEK certificates are given to
// cloud providers only, so for a report signed with one the leaf is not asked for.
// Errors: kUsage when the generation is not known, or when the host masks the chip's id.
Result<std::vector<CollateralRequest>> requests_for_report(const evidence::SnpReport& report,
                                                           std::optional<evidence::SnpGeneration> generation,
                                                           const CollateralServices& services);

// Takes an answer apart into what belongs to it. Errors, all naming the URL: kNotFound when the service does not know
// the platform; kSystem for other HTTP errors; kFormat for another content type or form.
Result<void> take_response(DcapCollateral& collateral, const CollateralRequest& request,
                           const CollateralResponse& response);
Result<void> take_response(SnpEndorsements& endorsements, const CollateralRequest& request,
                           const CollateralResponse& response);

// That the whole is genuine, complete, in date at `now` and for this platform; gives until when that holds. Errors:
// kFormat with the first thing that is wrong.
Result<Moment> check_collateral(const DcapCollateral& collateral, const QuotePlatform& platform,
                                const TrustAnchors& anchors, Moment now);

}  // namespace casemate::attest
