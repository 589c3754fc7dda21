# The local attestation service. Evidence needs keys, and they their library.
find_package(OpenSSL 3 REQUIRED)
set(las "${CMAKE_SOURCE_DIR}/src/las")
file(GLOB las_crypto CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/src/crypto/*.cc")
list(FILTER las_crypto EXCLUDE REGEX "_test\\.cc$")
casemate_fuzzer(las_fuzz SOURCES las_fuzz.cc "${las}/aesm_message.cc" "${las}/process_text.cc" "${las}/image_layout.cc"
                                 "${CMAKE_SOURCE_DIR}/src/evidence/simulation.cc" "${CMAKE_SOURCE_DIR}/src/base/result.cc"
                                 ${las_crypto}
                LINK OpenSSL::SSL OpenSSL::Crypto)

# Provisioning messages stand on the same library.
casemate_fuzzer(provision_fuzz SOURCES provision_fuzz.cc "${CMAKE_SOURCE_DIR}/src/protocol/provision.cc"
                                       "${CMAKE_SOURCE_DIR}/src/base/result.cc" ${las_crypto}
                LINK OpenSSL::SSL OpenSSL::Crypto)
