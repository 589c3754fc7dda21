// mprotect, mremap, madvise and the other calls that change existing mappings, and the faults that follow from them.
#include "case.h"
#include "faults.h"

#include <sys/resource.h>
#include <ucontext.h>

enum { kPage = 4096 };
#ifndef SYS_mseal
#define SYS_mseal 462
#endif

static char* map_pages(size_t count) {
  void* at = mmap(NULL, count * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(at != MAP_FAILED);
  return at;
}

CASE(read_only_page_faults_on_write) {
  char* at = map_pages(1);
  at[5] = 1;
  CHECK_OK(mprotect(at, kPage, PROT_READ));
  CHECK_FAULT_AT(store_byte(at + 77, 1), SIGSEGV, SEGV_ACCERR, at + 77);
  CHECK_EQ(at[5], 1);
}

CASE(inaccessible_page_faults_on_read) {
  char* at = map_pages(1);
  CHECK_OK(mprotect(at, kPage, PROT_NONE));
  CHECK_FAULT_AT(load_byte(at + 4095), SIGSEGV, SEGV_ACCERR, at + 4095);
}

CASE(null_pointer_fault_names_the_address) {
  CHECK_FAULT_AT(load_byte((char*)8), SIGSEGV, SEGV_MAPERR, 8);
  CHECK_FAULT_AT(store_byte(NULL, 1), SIGSEGV, SEGV_MAPERR, 0);
}

CASE(non_canonical_address_fault_comes_from_the_kernel) {
  CHECK_FAULT_AT(load_byte((char*)0x8000000000000000ull), SIGSEGV, SI_KERNEL, 0);
}

CASE(kernel_address_fault) {
  CHECK_FAULT_AT(load_byte((char*)0xffffffff80000000ull), SIGSEGV, SEGV_MAPERR, 0xffffffff80000000ull);
}

CASE(executing_data_faults) {
  char* at = map_pages(1);
  at[0] = (char)0xc3;
  CHECK_FAULT_AT(((void (*)(void))at)(), SIGSEGV, SEGV_ACCERR, at);
  CHECK_OK(mprotect(at, kPage, PROT_READ | PROT_EXEC));
  ((void (*)(void))at)();
}

CASE(jump_to_unmapped_address_faults_there) {
  char* at = map_pages(1);
  CHECK_OK(munmap(at, kPage));
  CHECK_FAULT_AT(((void (*)(void))at)(), SIGSEGV, SEGV_MAPERR, at);
}

CASE(mprotect_applies_to_the_named_pages_only) {
  char* at = map_pages(3);
  CHECK_OK(mprotect(at + kPage, kPage, PROT_NONE));
  at[0] = at[2 * kPage] = 1;
  CHECK_FAULT_AT(store_byte(at + kPage, 1), SIGSEGV, SEGV_ACCERR, at + kPage);
  CHECK_OK(mprotect(at, 3 * kPage, PROT_READ | PROT_WRITE));
  at[kPage] = 1;
}

CASE(mprotect_refuses_bad_arguments) {
  char* at = map_pages(3);
  CHECK_FAILS(mprotect(at + 1, kPage, PROT_READ), EINVAL);
  CHECK_FAILS(mprotect(at, kPage, PROT_READ | PROT_GROWSDOWN | PROT_GROWSUP), EINVAL);
  CHECK_FAILS(mprotect(at, kPage, 0x1000), EINVAL);
  CHECK_OK(munmap(at + kPage, kPage));
  CHECK_FAILS(mprotect(at, 3 * kPage, PROT_READ), ENOMEM);
  CHECK_OK(mprotect(at, 0, PROT_READ));
  // Everything before the hole did change.
  CHECK_FAULT(store_byte(at, 1), SIGSEGV, SEGV_ACCERR);
}

static char* barrier_page;
static volatile int barrier_hits;

static void open_page(int number, siginfo_t* info, void* context) {
  if ((uintptr_t)info->si_addr - (uintptr_t)barrier_page >= kPage) FAIL("fault elsewhere: %p", info->si_addr);
  ++barrier_hits;
  CHECK_OK(mprotect(barrier_page, kPage, PROT_READ | PROT_WRITE));
}

CASE(handler_repairs_page_and_the_store_is_repeated) {
  // Garbage collectors use this as a write barrier.
  barrier_page = map_pages(1);
  install_handler(SIGSEGV, open_page, 0);
  for (int i = 0; i < 200; ++i) {
    CHECK_OK(mprotect(barrier_page, kPage, PROT_READ));
    ((volatile char*)barrier_page)[i] = (char)i;
    CHECK_EQ(barrier_page[i], (char)i);
    CHECK_EQ(barrier_hits, i + 1);
  }
}

CASE(code_written_then_made_executable_runs) {
  static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};  // mov $42,%eax; ret
  char* at = map_pages(1);
  for (int i = 0; i < 50; ++i) {
    CHECK_OK(mprotect(at, kPage, PROT_READ | PROT_WRITE));
    memcpy(at, code, sizeof code);
    at[1] = (char)i;
    CHECK_OK(mprotect(at, kPage, PROT_READ | PROT_EXEC));
    CHECK_EQ(((int (*)(void))at)(), i);
  }
}

CASE(mremap_grows_and_keeps_contents) {
  char* at = map_pages(2);
  memset(at, 9, 2 * kPage);
  char* grown = mremap(at, 2 * kPage, 600 * kPage, MREMAP_MAYMOVE);
  CHECK(grown != MAP_FAILED);
  for (int i = 0; i < 600 * kPage; ++i) CHECK_EQ(grown[i], i < 2 * kPage ? 9 : 0);
}

CASE(mremap_shrinks_in_place) {
  char* at = map_pages(4);
  CHECK_EQ(mremap(at, 4 * kPage, kPage, 0), at);
  CHECK_FAULT_AT(load_byte(at + kPage), SIGSEGV, SEGV_MAPERR, at + kPage);
}

CASE(mremap_without_maymove_needs_room) {
  char* at = map_pages(3);
  CHECK_FAILS(mremap(at, kPage, 2 * kPage, 0), ENOMEM);
  CHECK_OK(munmap(at + kPage, 2 * kPage));
  CHECK_EQ(mremap(at, kPage, 2 * kPage, 0), at);
}

CASE(mremap_fixed_moves_to_the_address) {
  char* from = map_pages(2);
  char* to = map_pages(4);
  strcpy(from, "moved");
  CHECK_EQ(mremap(from, 2 * kPage, 2 * kPage, MREMAP_MAYMOVE | MREMAP_FIXED, to + kPage), to + kPage);
  CHECK_STREQ(to + kPage, "moved");
  CHECK_FAULT_AT(load_byte(from), SIGSEGV, SEGV_MAPERR, from);
  CHECK_FAILS(mremap(to, kPage, kPage, MREMAP_FIXED, from), EINVAL);
  CHECK_FAILS(mremap(to, 2 * kPage, 2 * kPage, MREMAP_MAYMOVE | MREMAP_FIXED, to + kPage), EINVAL);
}

CASE(mremap_dontunmap_leaves_zero_pages) {
  char* from = map_pages(1);
  from[0] = 8;
  char* to = mremap(from, kPage, kPage, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
  CHECK(to != MAP_FAILED);
  CHECK_EQ(to[0], 8);
  CHECK_EQ(from[0], 0);
}

CASE(mremap_of_shared_mapping_with_old_size_zero_duplicates) {
  char* at = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  char* twin = mremap(at, 0, kPage, MREMAP_MAYMOVE);
  CHECK(twin != MAP_FAILED && twin != at);
  at[1] = 4;
  CHECK_EQ(twin[1], 4);
}

CASE(mremap_refuses_bad_ranges) {
  char* at = map_pages(2);
  CHECK_FAILS(mremap(at + 1, kPage, kPage, 0), EINVAL);
  CHECK_FAILS(mremap(at, kPage, 0, 0), EINVAL);
  CHECK_OK(munmap(at + kPage, kPage));
  CHECK_FAILS(mremap(at, 2 * kPage, 4 * kPage, MREMAP_MAYMOVE), EFAULT);
}

CASE(madvise_dontneed_zeroes_private_memory) {
  char* at = map_pages(3);
  memset(at, 1, 3 * kPage);
  CHECK_OK(madvise(at + kPage, kPage, MADV_DONTNEED));
  CHECK_EQ(at[kPage - 1], 1);
  CHECK_EQ(at[kPage], 0);
  CHECK_EQ(at[2 * kPage], 1);
}

CASE(madvise_dontneed_rereads_private_file_pages) {
  int fd = open_file_of_size("data", kPage);
  CHECK_EQ(pwrite(fd, "file", 4, 0), 4);
  char* at = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  memcpy(at, "mine", 4);
  CHECK_OK(madvise(at, kPage, MADV_DONTNEED));
  CHECK_MEMEQ(at, "file", 4);
}

CASE(madvise_free_pages_remain_writable) {
  char* at = map_pages(2);
  at[0] = 1;
  CHECK_OK(madvise(at, 2 * kPage, MADV_FREE));
  CHECK(at[0] == 0 || at[0] == 1);
  at[0] = 2;
  CHECK_EQ(at[0], 2);
}

CASE(madvise_dontfork_and_wipeonfork) {
  char* hidden = map_pages(1);
  char* wiped = map_pages(1);
  hidden[0] = wiped[0] = 1;
  CHECK_OK(madvise(hidden, kPage, MADV_DONTFORK));
  CHECK_OK(madvise(wiped, kPage, MADV_WIPEONFORK));
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    CHECK_EQ(wiped[0], 0);
    CHECK_FAULT_AT(load_byte(hidden), SIGSEGV, SEGV_MAPERR, hidden);
    _exit(0);
  }
  check_exited(child, 0);
  CHECK_EQ(hidden[0] + wiped[0], 2);
}

CASE(madvise_populate_makes_pages_resident) {
  char* at = map_pages(4);
  CHECK_OK(madvise(at, 4 * kPage, 23 /* MADV_POPULATE_WRITE */));
  unsigned char state[4];
  CHECK_OK(mincore(at, 4 * kPage, state));
  CHECK_EQ(state[0] & state[1] & state[2] & state[3] & 1, 1);
}

CASE(madvise_remove_punches_shared_memory) {
  char* at = mmap(NULL, 2 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  memset(at, 1, 2 * kPage);
  CHECK_OK(madvise(at, kPage, MADV_REMOVE));
  CHECK_EQ(at[0], 0);
  CHECK_EQ(at[kPage], 1);
}

CASE(madvise_refuses_bad_arguments) {
  char* at = map_pages(2);
  CHECK_FAILS(madvise(at, kPage, 9999), EINVAL);
  CHECK_FAILS(madvise(at + 1, kPage, MADV_NORMAL), EINVAL);
  CHECK_OK(munmap(at + kPage, kPage));
  CHECK_FAILS(madvise(at, 2 * kPage, MADV_DONTNEED), ENOMEM);
}

CASE(mincore_reports_holes) {
  char* at = map_pages(3);
  unsigned char state[3];
  CHECK_OK(munmap(at + kPage, kPage));
  CHECK_FAILS(mincore(at, 3 * kPage, state), ENOMEM);
  CHECK_FAILS(mincore(at + 1, kPage, state), EINVAL);
  CHECK_FAILS(mincore(at, kPage, (unsigned char*)8), EFAULT);
}

CASE(mlock_makes_pages_resident_and_is_counted) {
  char* at = map_pages(4);
  CHECK_OK(mlock(at, 4 * kPage));
  unsigned char state[4];
  CHECK_OK(mincore(at, 4 * kPage, state));
  CHECK_EQ(state[3] & 1, 1);
  CHECK_OK(munlock(at, 4 * kPage));
  CHECK_EQ(RAW(SYS_mlock2, at, kPage, 1 /* MLOCK_ONFAULT */), 0);
  CHECK_EQ(RAW(SYS_mlock2, at, kPage, 4), -EINVAL);
  CHECK_OK(munmap(at, 4 * kPage));
  CHECK_FAILS(mlock(at, kPage), ENOMEM);
}

CASE(mlockall_and_munlockall) {
  CHECK_OK(mlockall(MCL_CURRENT));
  CHECK_FAILS(mlockall(0), EINVAL);
  CHECK_FAILS(mlockall(64), EINVAL);
  CHECK_OK(munlockall());
}

CASE(mlock_limit_holds_for_unprivileged_users) {
  struct rlimit limit = {4 * kPage, 4 * kPage};
  CHECK_OK(setrlimit(RLIMIT_MEMLOCK, &limit));
  char* at = map_pages(16);
  CHECK_OK(setuid(65534));
  CHECK_FAILS(mlock(at, 16 * kPage), ENOMEM);
}

CASE(msync_checks_its_flags) {
  int fd = open_file_of_size("data", kPage);
  char* at = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  strcpy(at, "synced");
  CHECK_OK(msync(at, kPage, MS_SYNC));
  CHECK_OK(msync(at, kPage, MS_ASYNC | MS_INVALIDATE));
  CHECK_FAILS(msync(at, kPage, MS_SYNC | MS_ASYNC), EINVAL);
  CHECK_FAILS(msync(at + 1, kPage, MS_SYNC), EINVAL);
  CHECK_OK(munmap(at, kPage));
  CHECK_FAILS(msync(at, kPage, MS_SYNC), ENOMEM);
  char* text = read_file("data", NULL);
  CHECK_STREQ(text, "synced");
}

CASE(remap_file_pages_rearranges) {
  int fd = open_file_of_size("data", 2 * kPage);
  CHECK_EQ(pwrite(fd, "A", 1, 0), 1);
  CHECK_EQ(pwrite(fd, "B", 1, kPage), 1);
  char* at = mmap(NULL, 2 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK_EQ(RAW(SYS_remap_file_pages, at, kPage, 0, 1, 0), 0);
  CHECK_EQ(at[0], 'B');
}

CASE(sealed_mapping_cannot_change) {
  char* at = map_pages(1);
  long result = RAW(SYS_mseal, at, kPage, 0);
  if (result == -ENOSYS) SKIP("no mseal in this kernel");
  CHECK_EQ(result, 0);
  CHECK_FAILS(munmap(at, kPage), EPERM);
  CHECK_FAILS(mprotect(at, kPage, PROT_NONE), EPERM);
  CHECK_FAILS(mmap(at, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), EPERM);
  at[0] = 1;
}

CASE(stack_grows_by_faults_and_is_limited) {
  struct rlimit limit;
  CHECK_OK(getrlimit(RLIMIT_STACK, &limit));
  if (limit.rlim_cur == RLIM_INFINITY) SKIP("no stack limit");
  volatile char* here = __builtin_frame_address(0);
  for (size_t down = 0; down < limit.rlim_cur * 3 / 4; down += kPage) {
    __asm__ volatile("" ::: "memory");
    *(here - down - 65536) = 1;
  }
}

CASE(executable_mapping_of_a_file_runs_and_follows_the_file) {
  static const unsigned char code[] = {0xb8, 7, 0, 0, 0, 0xc3};
  int fd = open_file_of_size("code", kPage);
  CHECK_EQ(pwrite(fd, code, sizeof code, 0), sizeof code);
  int (*function)(void) = mmap(NULL, kPage, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
  CHECK((void*)function != MAP_FAILED);
  CHECK_EQ(function(), 7);
  CHECK_EQ(pwrite(fd, "\x08", 1, 1), 1);
  CHECK_EQ(function(), 8);
}

CASE(same_memory_mapped_writable_and_executable) {
  // The way of JITs with W^X: one memfd, two views.
  static const unsigned char code[] = {0xb8, 7, 0, 0, 0, 0xc3};
  int fd = CHECK_OK(memfd_create("code", MFD_CLOEXEC));
  CHECK_OK(ftruncate(fd, kPage));
  unsigned char* writable = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  int (*function)(void) = mmap(NULL, kPage, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
  CHECK((void*)writable != MAP_FAILED && (void*)function != MAP_FAILED);
  memcpy(writable, code, sizeof code);
  for (int i = 0; i < 100; ++i) {
    writable[1] = (unsigned char)i;
    CHECK_EQ(function(), i);
  }
}
