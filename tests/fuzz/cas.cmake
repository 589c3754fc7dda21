# Requests of the CAS's client API: JSON and addresses. Signature files carry times, keys and signatures.
find_package(nlohmann_json REQUIRED)
casemate_fuzzer(cas_request_fuzz SOURCES cas_request_fuzz.cc "${CMAKE_SOURCE_DIR}/src/cas/api/request_body.cc"
                                         "${CMAKE_SOURCE_DIR}/src/cas/sessions/refusal.cc"
                                         "${CMAKE_SOURCE_DIR}/src/policy/moment.cc" "${CMAKE_SOURCE_DIR}/src/base/result.cc"
                                         ${las_crypto}
                LINK OpenSSL::SSL OpenSSL::Crypto nlohmann_json::nlohmann_json)
