# Flags of the runtime core: code that runs in the program's process with the program's thread pointer and vector
# registers, so it may touch neither (docs/development/plan-runtime.md, "Core rules").

# For CASEMATE_NO_PIE. Below 2 GiB, because position-dependent links want addresses in 32 bits; above the images of
# programs that are not PIE themselves, whose heaps may grow up to it: good for comparing start times, not for use.
set(CASEMATE_CORE_ADDRESS 0x70000000 CACHE STRING "Load address for CASEMATE_NO_PIE")

set(CASEMATE_CORE_OPTIONS
    -ffreestanding # no assumption about a libc; implies -fno-builtin
    -mgeneral-regs-only # vector registers belong to the program
    -fno-stack-protector # the canary is read through FS, which is the program's
    -fcf-protection=none
    -fomit-frame-pointer
    -fPIE
    -fvisibility=hidden
    -fno-strict-aliasing # kernel and ELF structures are overlaid on bytes
    -ffunction-sections
    -fdata-sections
    -O2
    -g
    -U_FORTIFY_SOURCE
    -fno-asynchronous-unwind-tables
    -Wall
    -Wextra
    -Wshadow
    -Wframe-larger-than=2048
    -Werror)
# The same sources give the same file wherever they are built (tools/check-reproducible). ELF headers are measured, and
# the place of the section table depends on how long the names in debugging information are. Compiler caches make names
# relative to the build directory: those are mapped, too.
file(RELATIVE_PATH CASEMATE_SOURCES_FROM_BUILD "${CMAKE_BINARY_DIR}" "${CMAKE_SOURCE_DIR}/src")
set(CASEMATE_CORE_PATHS "-ffile-prefix-map=${CMAKE_SOURCE_DIR}/src=src" "-ffile-prefix-map=${CMAKE_BINARY_DIR}=build"
                        "-ffile-prefix-map=${CASEMATE_SOURCES_FROM_BUILD}=src")
set(CASEMATE_CORE_CXX_OPTIONS -fno-exceptions -fno-rtti -fno-threadsafe-statics)

add_library(casemate_core_flags INTERFACE)
target_include_directories(casemate_core_flags INTERFACE "${CMAKE_SOURCE_DIR}/src")
target_compile_options(
  casemate_core_flags
  INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${CASEMATE_CORE_OPTIONS};${CASEMATE_CORE_CXX_OPTIONS};${CASEMATE_CORE_PATHS}>"
            "$<$<COMPILE_LANGUAGE:ASM>:${CASEMATE_CORE_PATHS};-g;-fPIE;-Wa,--noexecstack;-Wa,--fatal-warnings>")

# Nothing but our own objects: no C runtime start files, no libc, no libgcc. The core relocates itself in boot/.
add_library(casemate_core_link INTERFACE)
target_link_options(
  casemate_core_link
  INTERFACE
  -nostartfiles
  -nostdlib
  -Wl,--gc-sections
  -Wl,--no-undefined
  # A build id is a mapped digest of everything, debugging information included: the measurement would change with it. The
  # measurement names the file better (`casemate measure`).
  -Wl,--build-id=none
  -Wl,-z,noexecstack
  -Wl,-z,relro
  -Wl,-z,now
  -Wl,-z,separate-code
  -Wl,--fatal-warnings)
if(CASEMATE_NO_PIE)
  target_link_options(casemate_core_link INTERFACE -static -no-pie "-Wl,-Ttext-segment=${CASEMATE_CORE_ADDRESS}")
else()
  target_link_options(casemate_core_link INTERFACE -static-pie -Wl,-z,text)
endif()
