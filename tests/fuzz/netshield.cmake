# The network shield: records, and the engine of its handshakes. Behind las.cmake, for its list of sources.
find_package(OpenSSL 3 REQUIRED)
file(GLOB records CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/src/netshield/record/*.cc")
list(FILTER records EXCLUDE REGEX "_test\\.cc$")
# The shared library does not show its assembler routines.
find_library(CASEMATE_STATIC_CRYPTO NAMES libcrypto.a REQUIRED)
casemate_fuzzer(record_fuzz SOURCES record_fuzz.cc ${records} LINK "${CASEMATE_STATIC_CRYPTO}")

casemate_fuzzer(handshake_fuzz SOURCES handshake_fuzz.cc "${CMAKE_SOURCE_DIR}/src/crypto/testing/test_authority.cc"
                                       "${CMAKE_SOURCE_DIR}/src/base/result.cc" ${las_crypto}
                LINK OpenSSL::SSL OpenSSL::Crypto)
