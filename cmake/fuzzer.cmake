# casemate_fuzzed_library(name SOURCES a.cc ... [LINK target ...])  What fuzzers share, instrumented.
# casemate_fuzzer(name SOURCES a_fuzz.cc ... [LINK target ...])
#
# One libFuzzer executable in <build>/fuzz with address and undefined behaviour sanitizers. Any report ends the run.

if(NOT CMAKE_CXX_COMPILER_ID MATCHES Clang)
  message(FATAL_ERROR "CASEMATE_FUZZ needs clang (use the preset `fuzz`)")
endif()

# Little optimisation: on two cores, building takes longer than the short runs in CI.
set(CASEMATE_FUZZ_OPTIONS -O1 -gline-tables-only -fno-sanitize-recover=all -fno-omit-frame-pointer -Wall -Wextra)

function(casemate_fuzzed_library name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "" "SOURCES;LINK")
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC "${CMAKE_SOURCE_DIR}/src")
  target_compile_options(${name} PRIVATE -fsanitize=fuzzer-no-link,address,undefined ${CASEMATE_FUZZ_OPTIONS})
  target_link_libraries(${name} PUBLIC ${ARG_LINK})
endfunction()

function(casemate_fuzzer name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "" "SOURCES;LINK")
  set(sanitizers -fsanitize=fuzzer,address,undefined)
  add_executable(${name} ${ARG_SOURCES})
  target_compile_options(${name} PRIVATE ${sanitizers} ${CASEMATE_FUZZ_OPTIONS})
  target_link_options(${name} PRIVATE ${sanitizers})
  target_link_libraries(${name} PRIVATE ${ARG_LINK})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/fuzz")
endfunction()
