# Flags of hosted code (command line, unit tests): everything that may use libc and libstdc++.

# GCC 12 warns about correct uses of std::string's operator+ (GCC PR 105651, fixed in 13).
set(CASEMATE_FALSE_WARNINGS $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)

add_library(casemate_hosted INTERFACE)
target_include_directories(casemate_hosted INTERFACE "${CMAKE_SOURCE_DIR}/src")
target_compile_options(
  casemate_hosted
  INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wold-style-cast -Werror ${CASEMATE_FALSE_WARNINGS} -fstack-protector-strong
            $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE> $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=2>)

# Tests compile parts of the core hosted. What the core may write (asm register variables, implicit narrowing of kernel
# words) must not be refused there, so they get the core's warnings instead.
add_library(casemate_hosted_test INTERFACE)
target_include_directories(casemate_hosted_test INTERFACE "${CMAKE_SOURCE_DIR}/src")
target_compile_options(casemate_hosted_test INTERFACE -Wall -Wextra -Wshadow -Werror ${CASEMATE_FALSE_WARNINGS})

if(CASEMATE_SANITIZE)
  foreach(target casemate_hosted casemate_hosted_test)
    target_compile_options(
      ${target} INTERFACE "-fsanitize=${CASEMATE_SANITIZE}" -fno-omit-frame-pointer -fno-sanitize-recover=all)
    target_link_options(${target} INTERFACE "-fsanitize=${CASEMATE_SANITIZE}")
  endforeach()
endif()
