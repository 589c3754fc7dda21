// The part of aesmd's protocol that DCAP quotes need (intel/linux-sgx, psw/ae/aesm_service: proto2 messages Request and
// Response, of which one field each is set), written out by hand: three kinds of message are not worth a library.
//
// What a hostile aesmd can do here -> what we answer
//  - send anything -> every length is compared with what is left; fields of the wrong kind or size are errors
#pragma once

#include <cstdint>

#include "base/result.h"
#include "crypto/bytes.h"

namespace casemate::las {

inline constexpr std::size_t kAttestationKeyIdSize = 256;  // sgx_att_key_id_ext_t
inline constexpr std::size_t kAesmMessageLimit = 256 * 1024;
inline constexpr std::uint32_t kAesmTimeoutMicroseconds = 10'000'000;
inline constexpr std::uint32_t kAesmKeyNotInitialised = 42;

// ECDSA P-256 by Intel's quoting enclave.
crypto::Bytes ecdsa_attestation_key_id();

enum class KeyIdWanted { kSizeOnly, kBytes };

// Requests, without the length that precedes them on the socket. `buffer_size`: how long the answer's bytes may be.
crypto::Bytes init_quote_request(KeyIdWanted wanted, std::uint64_t buffer_size);
crypto::Bytes quote_size_request();
crypto::Bytes quote_request(crypto::ByteView report, std::uint32_t quote_size);

struct InitQuoteResponse {
  std::uint32_t error = 0;
  crypto::Bytes target_info;
  std::uint64_t key_id_size = 0;
};
struct QuoteSizeResponse {
  std::uint32_t error = 0;
  std::uint32_t size = 0;
};
struct QuoteResponse {
  std::uint32_t error = 0;
  crypto::Bytes quote;
};

// Errors: kFormat, also when the response answers another kind of request.
Result<InitQuoteResponse> parse_init_quote_response(crypto::ByteView message);
Result<QuoteSizeResponse> parse_quote_size_response(crypto::ByteView message);
Result<QuoteResponse> parse_quote_response(crypto::ByteView message);

}  // namespace casemate::las
