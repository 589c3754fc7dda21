# casemate_module(name [UNITY_TESTS] [DEPENDS target ...] [TEST_DEPENDS target ...])
#
# A hosted library casemate_<name> of every .cc below the calling directory, and the unit tests <name>_test of every
# *_test.cc (with what stands in testing/), with UNITY_TESTS compiled together. Sources appear and go without anybody
# editing a list.

function(casemate_module name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "UNITY_TESTS" "" "DEPENDS;TEST_DEPENDS")
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS *.cc)
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "(_test\\.cc$|/testing/)")
  list(FILTER sources EXCLUDE REGEX "(_test\\.cc$|/testing/)")
  if(NOT sources)
    return()
  endif()
  add_library(casemate_${name} STATIC ${sources})
  target_include_directories(casemate_${name} PUBLIC "${CMAKE_SOURCE_DIR}/src")
  target_link_libraries(casemate_${name} PRIVATE casemate_hosted PUBLIC casemate_base ${ARG_DEPENDS})
  if(tests)
    casemate_unit_test(${name}_test SOURCES ${tests} LINK casemate_${name} ${ARG_TEST_DEPENDS})
    if(ARG_UNITY_TESTS)
      set_target_properties(${name}_test PROPERTIES UNITY_BUILD ${CASEMATE_UNITY} UNITY_BUILD_BATCH_SIZE 6)
    endif()
  endif()
endfunction()
