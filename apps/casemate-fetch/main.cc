// casemate-fetch URL CA_FILE MAXIMUM_BODY_SIZE TIMEOUT_SECONDS: started by `casemate quote` (apps/casemate/quote/
// download.cc), not by people. Writes to standard output, exit code 0: a line with the HTTP status, a line for each
// header, an empty line, the body. Exit code 1: one line that says what failed.
#include <curl/curl.h>

#include <charconv>
#include <cstdio>
#include <string_view>

#include "casemate-fetch/transfer.h"

namespace {

using casemate::Result;
using casemate::fetch::Request;
using casemate::fetch::Response;

template <typename Number>
bool read_number(std::string_view text, Number& number) {
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  return code == std::errc() && end == text.data() + text.size() && number > 0;
}

int print(std::string_view text, int exit_code) {
  const bool is_written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  return is_written ? exit_code : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Request request;
  if (argc != 5 || !read_number(argv[3], request.maximum_body_size) || !read_number(argv[4], request.timeout_seconds)) {
    return print("usage: casemate-fetch URL CA_FILE MAXIMUM_BODY_SIZE TIMEOUT_SECONDS", 1);
  }
  request.url = argv[1];
  request.ca_file = argv[2];
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return print("cannot start the HTTP library", 1);
  const Result<Response> response = casemate::fetch::get(request);
  if (!response) return print(response.error().message(), 1);
  std::string text = std::to_string(response.value().status) + "\n";
  for (const std::string& header : response.value().headers) text += header + "\n";
  return print(text + "\n" + response.value().body, 0);
}
