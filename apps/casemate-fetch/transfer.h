// One GET over HTTPS, by libcurl.
//
// What a hostile server or network can do here -> what we answer
//  - be another one -> TLS 1.2 or newer, the certificate checked against the CA file and the URL's host
//  - send without end, slowly, or nothing -> limits for head, body and the whole time
//  - send elsewhere -> a redirection is followed within scheme, host and port of the first URL, three times at most
//  - what the environment says (proxies, netrc, key logs) -> `casemate` starts this program with an empty one; proxies
//    are switched off besides
// What is received is nobody's word for anything: `casemate` verifies signatures over it.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"

namespace casemate::fetch {

struct Request {
  std::string url;      // https
  std::string ca_file;  // PEM: who may vouch for the server
  std::size_t maximum_body_size = 0;
  long timeout_seconds = 0;  // for everything together
};

struct Response {
  long status = 0;
  std::vector<std::string> headers;  // "name: value" with the name in lower case; of the last answer
  std::string body;
};

// Any HTTP status is a response. Errors: kSystem, with the URL and what to do; kUsage for other schemes. Blocks until
// the whole is there or the time is over.
Result<Response> get(const Request& request);

}  // namespace casemate::fetch
