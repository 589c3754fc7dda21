# Fuzzers of evidence, certificates, collateral and the log. They share one instrumented library of the modules below.
find_package(OpenSSL 3 REQUIRED)
find_package(nlohmann_json REQUIRED)

foreach(module crypto evidence attest)
  file(GLOB module_sources CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/src/${module}/*.cc")
  list(FILTER module_sources EXCLUDE REGEX "_test\\.cc$")
  list(APPEND evidence_sources ${module_sources})
endforeach()
add_library(casemate_fuzzed_evidence STATIC ${evidence_sources} "${CMAKE_SOURCE_DIR}/src/base/result.cc")
target_include_directories(casemate_fuzzed_evidence PUBLIC "${CMAKE_SOURCE_DIR}/src")
target_compile_options(casemate_fuzzed_evidence PRIVATE -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
                                                        -fno-omit-frame-pointer)
target_link_libraries(casemate_fuzzed_evidence PUBLIC OpenSSL::SSL OpenSSL::Crypto nlohmann_json::nlohmann_json)

foreach(parser quote sgx tdx snp certificate certificate_evidence collateral service_answer)
  casemate_fuzzer(${parser}_fuzz SOURCES ${parser}_fuzz.cc LINK casemate_fuzzed_evidence)
endforeach()

# The log's files; crypto and base are in the library above.
file(GLOB log_sources CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/src/cas/log/*.cc")
list(FILTER log_sources EXCLUDE REGEX "_test\\.cc$")
casemate_fuzzer(log_proof_fuzz SOURCES log_proof_fuzz.cc ${log_sources} LINK casemate_fuzzed_evidence)
