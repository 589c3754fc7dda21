// Dispatch: which route, who may use it, what a refusal looks like. The routes' own work is in client_api_routes.cc.
#include "cas/api/client_api.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cas/api/client_api_internal.h"
#include "crypto/kdf.h"
#include "crypto/secret.h"

namespace casemate::cas {

// ---- the table of routes --------------------------------------------------------------------------------------------

struct RouteTable {
  static const std::vector<ClientApi::Route>& all();
};

const std::vector<ClientApi::Route>& RouteTable::all() {
  using enum RouteAccess;
  static const std::vector<ClientApi::Route> table = {
      {"GET", "/v1/health", kPublic, &ClientApi::health},
      {"GET", "/v1/metrics", kOwner, &ClientApi::metrics},
      {"GET", "/v1/openapi", kPublic, &ClientApi::openapi},
      {"GET", "/v1/status", kPublic, &ClientApi::status},
      {"POST", "/v1/claim", kCertificate, &ClientApi::claim},
      {"GET", "/v1/sessions", kCertificate, &ClientApi::list_sessions},
      {"GET", "/v1/sessions/{name}", kCertificate, &ClientApi::read_session},
      {"PUT", "/v1/sessions/{name}", kCertificate, &ClientApi::put_session},
      {"DELETE", "/v1/sessions/{name}", kCertificate, &ClientApi::remove_session},
      {"GET", "/v1/proposals", kCertificate, &ClientApi::list_proposals},
      {"POST", "/v1/proposals/of/{name}", kCertificate, &ClientApi::propose},
      {"GET", "/v1/proposals/{id}", kCertificate, &ClientApi::read_proposal},
      {"DELETE", "/v1/proposals/{id}", kCertificate, &ClientApi::withdraw_proposal},
      {"POST", "/v1/proposals/{id}/decisions", kCertificate, &ClientApi::decide_proposal},
      {"POST", "/v1/proposals/{id}/apply", kCertificate, &ClientApi::apply_proposal},
      {"GET", "/v1/log/head", kPublic, &ClientApi::log_head},
      {"POST", "/v1/log/consistency", kPublic, &ClientApi::log_consistency},
      {"GET", "/v1/log/export", kCertificate, &ClientApi::log_export},
      {"POST", "/v1/backups", kOwner, &ClientApi::make_backup},
      {"GET", "/v1/refusals/{id}", kCertificate, &ClientApi::read_refusal},
      {"GET", "/v1/certificates/{name}", kPublic, &ClientApi::read_certificate},
  };
  return table;
}

namespace {

using Json = nlohmann::ordered_json;

// What "{name}" (the rest, slashes included) or "{id}" (one segment) stands for; nothing when the path is another one.
std::optional<std::string> match(std::string_view pattern, std::string_view path) {
  const std::size_t open = pattern.find('{');
  if (open == std::string_view::npos) return pattern == path ? std::optional<std::string>("") : std::nullopt;
  const std::size_t close = pattern.find('}');
  const std::string_view before = pattern.substr(0, open), behind = pattern.substr(close + 1);
  if (!path.starts_with(before) || !path.ends_with(behind)) return std::nullopt;
  if (path.size() <= before.size() + behind.size()) return std::nullopt;
  const std::string_view value = path.substr(before.size(), path.size() - before.size() - behind.size());
  const bool is_whole_rest = pattern.substr(open, close - open + 1) == "{name}";
  if (!is_whole_rest && value.find('/') != std::string_view::npos) return std::nullopt;
  return std::string(value);
}

struct KindRow {
  RefusalKind kind;
  unsigned status;
  const char* type;
  const char* title;
};
constexpr KindRow kKinds[] = {
    {RefusalKind::kMalformed, 400, "malformed", "Malformed request or session"},
    {RefusalKind::kUnauthorized, 401, "unauthorized", "Client certificate needed"},
    {RefusalKind::kForbidden, 403, "forbidden", "Not allowed"},
    {RefusalKind::kNotFound, 404, "not-found", "Not found"},
    {RefusalKind::kConflict, 409, "conflict", "Conflict"},
    {RefusalKind::kRace, 409, "conflict", "Conflict"},
    {RefusalKind::kPrecondition, 412, "precondition", "Another version is stored"},
    {RefusalKind::kTooLarge, 413, "too-large", "Too large"},
    {RefusalKind::kLimit, 429, "limit", "Too many"},
    {RefusalKind::kStorageFull, 507, "storage-full", "Storage of the CAS is full"},
    {RefusalKind::kUnavailable, 503, "unavailable", "The CAS cannot serve this now"},
    {RefusalKind::kDefect, 500, "defect", "A defect of the CAS"},
};

const char* const kReadMethods[] = {"GET"};

bool changes_something(const std::string& method) {
  return std::find(std::begin(kReadMethods), std::end(kReadMethods), method) == std::end(kReadMethods);
}

}  // namespace

namespace internal {

Json findings_json(const std::vector<policy::Diagnostic>& findings) {
  Json list = Json::array();
  for (const policy::Diagnostic& one : findings) {
    Json row = {{"line", one.where.line}, {"column", one.where.column}, {"message", one.message}};
    if (!one.advice.empty()) row["advice"] = one.advice;
    list.push_back(std::move(row));
  }
  return list;
}

HttpAnswer json_answer(const Json& json, unsigned status) {
  HttpAnswer answer;
  answer.status = status;
  answer.body = json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  return answer;
}

HttpAnswer problem_answer(const Refusal& refusal) {
  const auto row =
      std::find_if(std::begin(kKinds), std::end(kKinds), [&](const KindRow& one) { return one.kind == refusal.kind; });
  Json json = {{"type", std::string("urn:casemate:problem:") + row->type},
               {"title", row->title},
               {"status", row->status},
               {"detail", refusal.message}};
  if (!refusal.advice.empty()) json["advice"] = refusal.advice;
  if (!refusal.findings.empty()) json["findings"] = findings_json(refusal.findings);
  if (!refusal.explanation.empty()) json["explanation"] = refusal.explanation;
  HttpAnswer answer = json_answer(json, row->status);
  answer.content_type = "application/problem+json";
  if (refusal.kind == RefusalKind::kLimit || refusal.kind == RefusalKind::kUnavailable) {
    answer.fields.emplace_back("Retry-After", "1");
  }
  return answer;
}

}  // namespace internal

ClientApi::ClientApi(Store& store, SessionRegistry& registry, ApiOptions options)
    : store_(store), registry_(registry), options_(std::move(options)), started_(std::chrono::steady_clock::now()) {}

ClientApi::~ClientApi() = default;

std::vector<RouteName> ClientApi::routes() {
  std::vector<RouteName> names;
  for (const Route& route : RouteTable::all()) names.push_back({route.method, route.pattern});
  return names;
}

HttpAnswer ClientApi::handle(const HttpRequest& request) {
  const auto begin = std::chrono::steady_clock::now();
  std::string route_name = "none";
  const HttpAnswer answer = dispatch(request, route_name);
  const auto elapsed = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
  {
    const std::lock_guard lock(counts_mutex_);
    ++counts_[{route_name, answer.status}];
  }
  if (options_.log && (answer.status >= 400 || changes_something(request.method))) {
    options_.log("request", {{"route", route_name},
                             {"status", std::to_string(answer.status)},
                             {"client", request.caller.key_hash.substr(0, 16)},
                             {"microseconds", std::to_string(elapsed.count())}});
  }
  return answer;
}

HttpAnswer ClientApi::dispatch(const HttpRequest& request, std::string& route_name) {
  const auto target = parse_target(request.target);
  if (!target) return internal::problem_answer(target.error());
  std::string allowed;
  for (const Route& route : RouteTable::all()) {
    const auto value = match(route.pattern, target.value().path);
    if (!value) continue;
    if (request.method != route.method) {
      allowed += (allowed.empty() ? "" : ", ") + std::string(route.method);
      continue;
    }
    route_name = route.method + (" " + std::string(route.pattern));
    if (const auto admitted = admit(route, request); !admitted) return internal::problem_answer(admitted.error());
    Outcome<HttpAnswer> answer = (this->*route.run)({request, target.value(), *value});
    return answer ? std::move(answer).value() : internal::problem_answer(answer.error());
  }
  if (allowed.empty()) {
    return internal::problem_answer(
        Refusal(RefusalKind::kNotFound, "there is nothing at this address", "/v1/openapi describes what there is"));
  }
  HttpAnswer answer = internal::json_answer(Json{{"type", "urn:casemate:problem:method"},
                                                 {"title", "Method not allowed"},
                                                 {"status", 405},
                                                 {"detail", "this address knows " + allowed}},
                                            405);
  answer.content_type = "application/problem+json";
  answer.fields.emplace_back("Allow", allowed);
  return answer;
}

Outcome<Done> ClientApi::admit(const Route& route, const HttpRequest& request) {
  const bool is_public =
      route.access == RouteAccess::kPublic || (options_.public_metrics && route.run == &ClientApi::metrics);
  const bool needs_trust = route.run != &ClientApi::health && route.run != &ClientApi::status &&
                           route.run != &ClientApi::openapi && route.run != &ClientApi::metrics;
  if (rolled_back_ && needs_trust) {
    return Refusal(RefusalKind::kUnavailable,
                   "this CAS was rolled back: a client showed a newer head of its log than it has",
                   "its owner must put the newest database back, or accept the loss: casemate cas restore --accept");
  }
  if (stopping_ && changes_something(request.method)) {
    return Refusal(RefusalKind::kUnavailable, "this CAS is stopping", "try again when it has started again");
  }
  if (is_public) return Done{};
  if (request.caller.key_hash.empty()) {
    return Refusal(RefusalKind::kUnauthorized, "this needs a client certificate with an EC, Ed25519 or RSA key",
                   "`casemate identity` makes one");
  }
  if (!takes_token(request.caller.key_hash)) {
    return Refusal(RefusalKind::kLimit, "this key sends more requests than it may", "wait a second");
  }
  if (route.access == RouteAccess::kOwner && !registry_.is_owner(request.caller)) {
    return Refusal(RefusalKind::kForbidden, "only the owner of this CAS may do this",
                   "`casemate cas status` shows the owner's key");
  }
  return Done{};
}

bool ClientApi::takes_token(const std::string& key) {
  constexpr std::size_t kMostKeys = 20'000;
  const auto now = std::chrono::steady_clock::now();
  const std::lock_guard lock(buckets_mutex_);
  // Keys cost nothing: those that are full again need not be remembered.
  if (buckets_.size() >= kMostKeys && !buckets_.contains(key)) buckets_.clear();
  auto [entry, is_new] = buckets_.try_emplace(key, Bucket{options_.burst, now});
  Bucket& bucket = entry->second;
  const double seconds = std::chrono::duration<double>(now - bucket.filled).count();
  bucket.tokens = std::min(options_.burst, bucket.tokens + seconds * options_.requests_per_second);
  bucket.filled = now;
  if (bucket.tokens < 1) return false;
  bucket.tokens -= 1;
  return true;
}

Result<std::string> claim_proof(const std::string& token, ClaimSide side, const std::string& server_key,
                                const std::string& owner_key, const std::string& log_id) {
  const crypto::Bytes secret = CASEMATE_TRY(crypto::from_hex(token));
  const std::string bound = server_key + " " + owner_key + " " + log_id;
  const char* label = side == ClaimSide::kClient ? "casemate owner claim v1" : "casemate owner claim answer v1";
  const auto proof = CASEMATE_TRY(crypto::derive_key<32>(secret, crypto::as_byte_view(bound), label));
  return crypto::to_hex(proof.expose());
}

}  // namespace casemate::cas
