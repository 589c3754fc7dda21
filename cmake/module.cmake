# casemate_module(name [DEPENDS target ...] [TEST_DEPENDS target ...])
#
# A hosted library casemate_<name> of every .cc below the calling directory, and the unit tests <name>_test of every
# *_test.cc (with what stands in testing/). Sources appear and go without anybody editing a list.

function(casemate_module name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "" "DEPENDS;TEST_DEPENDS")
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
  endif()
endfunction()
