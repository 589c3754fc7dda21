# casemate_fuzzer(name SOURCES a.cc a_fuzz.cc ... [LINK target ...])
#
# One libFuzzer executable in <build>/fuzz with address and undefined behaviour sanitizers. Any report ends the run.

if(NOT CMAKE_CXX_COMPILER_ID MATCHES Clang)
  message(FATAL_ERROR "CASEMATE_FUZZ needs clang (use the preset `fuzz`)")
endif()

function(casemate_fuzzer name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "" "SOURCES;LINK")
  set(sanitizers -fsanitize=fuzzer,address,undefined)
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE "${CMAKE_SOURCE_DIR}/src")
  target_compile_options(${name} PRIVATE ${sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer -Wall -Wextra)
  target_link_options(${name} PRIVATE ${sanitizers})
  target_link_libraries(${name} PRIVATE ${ARG_LINK})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/fuzz")
endfunction()
