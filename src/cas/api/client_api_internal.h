// What the files of the client API share.
#pragma once

#include <nlohmann/json.hpp>

#include "cas/api/client_api.h"

namespace casemate::cas {

struct ClientApi::Call {
  const HttpRequest& request;
  const Target& target;
  const std::string& value;  // of the pattern's variable
};

struct ClientApi::Route {
  const char* method;
  const char* pattern;
  RouteAccess access;
  Answer (ClientApi::*run)(const Call& call);
};

namespace internal {

nlohmann::ordered_json findings_json(const std::vector<policy::Diagnostic>& findings);
HttpAnswer json_answer(const nlohmann::ordered_json& json, unsigned status = 200);
HttpAnswer problem_answer(const Refusal& refusal);

}  // namespace internal
}  // namespace casemate::cas
