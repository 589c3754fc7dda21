#include "casemate-fetch/transfer.h"

#include <curl/curl.h>

#include <algorithm>
#include <memory>
#include <string_view>

namespace casemate::fetch {
namespace {

constexpr int kMaximumRedirections = 3;
constexpr long kConnectSeconds = 10;
// Issuer chains come in headers, percent-encoded: a few kilobytes.
constexpr std::size_t kMaximumHeadSize = std::size_t{64} << 10;

struct CurlFree {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
  void operator()(char* text) const { curl_free(text); }
};
using Handle = std::unique_ptr<CURL, CurlFree>;

struct Collected {
  Response response;
  std::size_t head_size = 0, maximum_body_size = 0;
  bool is_too_large = false;
};

// libcurl counts anything but the full size as "stop".
std::size_t take_body(char* data, std::size_t, std::size_t size, void* user) {
  auto* collected = static_cast<Collected*>(user);
  if (size > collected->maximum_body_size - collected->response.body.size()) {
    collected->is_too_large = true;
    return 0;
  }
  collected->response.body.append(data, size);
  return size;
}

std::size_t take_header(char* data, std::size_t, std::size_t size, void* user) {
  auto* collected = static_cast<Collected*>(user);
  collected->head_size += size;
  if (collected->head_size > kMaximumHeadSize) {
    collected->is_too_large = true;
    return 0;
  }
  std::string line(data, size);
  while (line.ends_with('\n') || line.ends_with('\r')) line.pop_back();
  const std::size_t colon = line.find(':');
  if (colon == std::string::npos) return size;  // the status line and the empty one
  const std::size_t value = std::min(line.find_first_not_of(' ', colon + 1), line.size());
  std::string name = line.substr(0, colon);
  std::ranges::transform(name, name.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
  collected->response.headers.push_back(name + ": " + line.substr(value));
  return size;
}

void configure(CURL* handle, const Request& request, Collected& collected) {
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "https");
  curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(handle, CURLOPT_PROXY, "");
  curl_easy_setopt(handle, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  curl_easy_setopt(handle, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  curl_easy_setopt(handle, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(handle, CURLOPT_SSL_VERIFYHOST, 2L);
  curl_easy_setopt(handle, CURLOPT_CAINFO, request.ca_file.c_str());
  curl_easy_setopt(handle, CURLOPT_CAPATH, nullptr);
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, std::min(kConnectSeconds, request.timeout_seconds));
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_USERAGENT, "casemate");
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &collected);
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, &collected);
}

// "https://host:port", all of them as libcurl understands them.
std::string origin_of(const std::string& text) {
  const std::unique_ptr<CURLU, CurlFree> url(curl_url());
  if (curl_url_set(url.get(), CURLUPART_URL, text.c_str(), CURLU_DISALLOW_USER) != CURLUE_OK) return "";
  std::string origin;
  for (CURLUPart part : {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT}) {
    char* value = nullptr;
    if (curl_url_get(url.get(), part, &value, CURLU_DEFAULT_PORT) != CURLUE_OK) return "";
    const std::unique_ptr<char, CurlFree> owned(value);
    origin.append(value).push_back('\n');
  }
  return origin;
}

Error failure(CURLcode code, const std::string& detail, const std::string& url) {
  const std::string why = detail.empty() ? curl_easy_strerror(code) : detail;
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
      return Error(ErrorCategory::kSystem, url + ": cannot be reached: " + why);
    case CURLE_OPERATION_TIMEDOUT:
      return Error(ErrorCategory::kSystem, url + ": no whole answer in time (--timeout): " + why);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return Error(ErrorCategory::kSystem, url + ": the server's certificate is not trusted (--ca): " + why);
    default:
      return Error(ErrorCategory::kSystem, url + ": " + why);
  }
}

// The answer, or where it sends.
struct Step {
  Response response;
  std::string redirection;
};
Result<Step> get_once(CURL* handle, const Request& request, const std::string& url, long milliseconds) {
  char detail[CURL_ERROR_SIZE] = "";
  Collected collected;
  collected.maximum_body_size = request.maximum_body_size;
  curl_easy_reset(handle);
  configure(handle, request, collected);
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, detail);
  curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, milliseconds);
  const CURLcode code = curl_easy_perform(handle);
  if (collected.is_too_large) {
    return Error(ErrorCategory::kSystem,
                 url + ": the answer is larger than " + std::to_string(request.maximum_body_size >> 10) + " KiB");
  }
  if (code != CURLE_OK) return failure(code, detail, url);
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &collected.response.status);
  const char* redirection = nullptr;
  curl_easy_getinfo(handle, CURLINFO_REDIRECT_URL, &redirection);
  return Step{std::move(collected.response), redirection == nullptr ? "" : redirection};
}

}  // namespace

Result<Response> get(const Request& request) {
  const std::string origin = origin_of(request.url);
  if (!origin.starts_with("https\n")) return Error(ErrorCategory::kUsage, request.url + ": no https URL");
  const Handle handle(curl_easy_init());
  if (handle == nullptr) return Error(ErrorCategory::kSystem, "cannot start the HTTP library");
  std::string url = request.url;
  long milliseconds = request.timeout_seconds * 1000;
  for (int i = 0; i <= kMaximumRedirections; ++i) {
    Step step = CASEMATE_TRY(get_once(handle.get(), request, url, milliseconds));
    if (step.redirection.empty()) return std::move(step.response);
    if (origin_of(step.redirection) != origin) {
      return Error(ErrorCategory::kSystem, url + ": sends to another place, " + step.redirection.substr(0, 256) +
                                               ": not followed; name that service if you trust it");
    }
    curl_off_t microseconds = 0;
    curl_easy_getinfo(handle.get(), CURLINFO_TOTAL_TIME_T, &microseconds);
    milliseconds = std::max(1L, milliseconds - static_cast<long>(microseconds / 1000));
    url = step.redirection;
  }
  return Error(ErrorCategory::kSystem, request.url + ": sends from one place to the next without end");
}

}  // namespace casemate::fetch
