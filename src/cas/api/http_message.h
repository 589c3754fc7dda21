// Requests and answers of the client API, free of any HTTP library.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "policy/approval.h"

namespace casemate::cas {

struct HttpRequest {
  std::string method;    // "GET"
  std::string target;    // "/v1/sessions/a%2Fb?limit=3", as it came
  std::string if_match;  // header field, empty when missing
  std::string body;
  policy::Caller caller;  // as the TLS connection authenticated it; its key hash is empty without a certificate
};

struct HttpAnswer {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> fields;  // further header fields
};

}  // namespace casemate::cas
