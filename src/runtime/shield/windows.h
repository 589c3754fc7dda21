// Reads without the kernel. A file that is read again and again by position is mapped, a window of it at a time, and
// pread copies from there: a system call on a memory file costs more than on an ordinary file, a copy costs far less.
//
// What makes the copy right is what makes the kernel's read right (pages.h): the pages were there before, and no page
// was evicted until after; and the file did not become shorter, which the keeper counts as an eviction too. Otherwise,
// and for everything odd, the kernel reads.
//
// A window holds a description of its own on the memory file. So that nobody takes a closed file for an open one,
// closing any of the file's descriptors in this process drops its windows.
#pragma once

#include <cstdint>

#include "runtime/intercept/thread.h"
#include "runtime/shield/kinds.h"
#include "runtime/shield/pages.h"

namespace casemate::runtime {

// True: all of the range was copied to the program. False: let the kernel read it.
bool read_from_window(Thread& thread, std::int32_t fd, const DescriptorKind& kind, ByteRange range,
                      std::uint64_t destination);

// A descriptor of the slot's file was closed.
void windows_closed(std::uint32_t slot);
// Descriptors of any files were.
void windows_closed_all();
// In the child of fork, where a thread that was changing a window does not exist.
void windows_after_fork();

}  // namespace casemate::runtime
