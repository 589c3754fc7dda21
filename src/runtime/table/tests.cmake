# Unit tests of the system call table and of the trace. The core's sources are compiled hosted; program memory is the
# test's own (testing/guest_memory.cc).
find_file(CASEMATE_UNISTD_HEADER asm/unistd_64.h PATHS /usr/include PATH_SUFFIXES x86_64-linux-gnu REQUIRED)

casemate_unit_test(
  table_test
  SOURCES table/table.cc table/testing/handlers.cc table/table_test.cc
  DEFINE "CASEMATE_UNISTD_HEADER=\"${CASEMATE_UNISTD_HEADER}\"")

casemate_unit_test(
  trace_test
  SOURCES
    table/decode.cc
    table/decode_requests.cc
    table/decode_sockets.cc
    table/decode_structures.cc
    table/error_names.cc
    table/table.cc
    table/trace.cc
    table/trace_line.cc
    table/trace_summary.cc
    table/value_names.cc
    table/value_names_files.cc
    table/value_names_memory.cc
    table/value_names_process.cc
    table/value_names_sockets.cc
    table/testing/guest_memory.cc
    table/testing/handlers.cc
    table/decode_test.cc
    table/names_test.cc
    table/trace_test.cc)

# Prints docs/compatibility.md from the table.
add_subdirectory("${CMAKE_SOURCE_DIR}/tools/compatibility" "${CMAKE_BINARY_DIR}/tools-compatibility")
