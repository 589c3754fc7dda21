# casemate_unit_test(name SOURCES a.cc a_test.cc ... [LINK target ...] [DEFINE X=1 ...])
#
# One GoogleTest executable, compiled hosted (also when it contains parts of the core), registered case by case with
# ctest. Relative paths are relative to the calling directory.

find_package(GTest REQUIRED)
find_package(Threads REQUIRED)
include(GoogleTest)

function(casemate_unit_test name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "" "SOURCES;LINK;DEFINE")
  if(NOT BUILD_TESTING)
    return()
  endif()
  add_executable(${name} ${ARG_SOURCES})
  # GCC 12 warns wrongly at -O1.
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1> $<$<CONFIG:Release>:-Wno-maybe-uninitialized>)
  target_compile_definitions(${name} PRIVATE ${ARG_DEFINE})
  target_link_libraries(${name} PRIVATE casemate_hosted_test GTest::gtest GTest::gtest_main Threads::Threads
                                        ${ARG_LINK})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/unit")
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST TEST_PREFIX "${name}:" PROPERTIES LABELS unit TIMEOUT 120)
endfunction()
