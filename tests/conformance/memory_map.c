// mmap, munmap and brk: placement, contents, replacement, file mappings and their limits.
#include "case.h"
#include "faults.h"

enum { kPage = 4096 };

static char* map_anonymous(size_t size, int protection) {
  void* at = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(at != MAP_FAILED);
  return at;
}

static bool is_mapped(void* page) {
  unsigned char state;
  return mincore(page, kPage, &state) == 0;
}

CASE(brk_grows_and_is_zero) {
  char* start = (char*)RAW(SYS_brk, 0);
  char* end = start + 64 * kPage;
  CHECK_EQ(RAW(SYS_brk, end), end);
  for (char* at = start; at < end; ++at) CHECK_EQ(*at, 0);
  memset(start, 0x5a, (size_t)(end - start));
  CHECK_EQ(RAW(SYS_brk, 0), end);
}

CASE(brk_shrunk_memory_is_gone_and_comes_back_zero) {
  char* start = (char*)RAW(SYS_brk, 0);
  start = (char*)(((uintptr_t)start + kPage - 1) & ~(uintptr_t)(kPage - 1));
  CHECK_EQ(RAW(SYS_brk, start + 8 * kPage), start + 8 * kPage);
  memset(start, 1, 8 * kPage);
  CHECK_EQ(RAW(SYS_brk, start + kPage), start + kPage);
  CHECK_FAULT_AT(load_byte(start + kPage), SIGSEGV, SEGV_MAPERR, start + kPage);
  CHECK_EQ(start[kPage - 1], 1);
  CHECK_EQ(RAW(SYS_brk, start + 8 * kPage), start + 8 * kPage);
  for (int i = kPage; i < 8 * kPage; ++i) CHECK_EQ(start[i], 0);
}

CASE(brk_invalid_values_return_the_current_break) {
  long current = RAW(SYS_brk, 0);
  CHECK_EQ(RAW(SYS_brk, 1), current);
  CHECK_EQ(RAW(SYS_brk, 0x7ffffffff000), current);
  CHECK_EQ(RAW(SYS_brk, -1), current);
  CHECK_EQ(RAW(SYS_brk, 0), current);
}

CASE(brk_stops_at_another_mapping) {
  char* current = (char*)RAW(SYS_brk, 0);
  char* obstacle = (char*)(((uintptr_t)current + 16 * kPage) & ~(uintptr_t)(kPage - 1));
  CHECK_OK(mmap(obstacle, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
  CHECK_EQ(RAW(SYS_brk, obstacle + 2 * kPage), current);
}

CASE(brk_respects_data_limit) {
  char* current = (char*)RAW(SYS_brk, 0);
  struct rlimit64 {
    uint64_t soft, hard;
  } limit = {0, ~0ull};
  CHECK_EQ(RAW(SYS_prlimit64, 0, 2 /* RLIMIT_DATA */, &limit, 0), 0);
  CHECK_EQ(RAW(SYS_brk, current + (64 << 20)), current);
}

CASE(sbrk_moves_the_break) {
  char* before = sbrk(0);
  CHECK_EQ(sbrk(3 * kPage), before);
  CHECK_EQ(sbrk(0), before + 3 * kPage);
  before[3 * kPage - 1] = 1;
}

CASE(heap_is_named_in_maps) {
  char* start = (char*)RAW(SYS_brk, 0);
  RAW(SYS_brk, start + 4 * kPage);
  start[0] = 1;
  FILE* maps = fopen("/proc/self/maps", "re");
  CHECK(maps != NULL);
  char line[512];
  bool found = false;
  while (fgets(line, sizeof line, maps) != NULL) {
    unsigned long from, to;
    CHECK_EQ(sscanf(line, "%lx-%lx", &from, &to), 2);
    if ((uintptr_t)start >= from && (uintptr_t)start < to) found = strstr(line, "[heap]") != NULL;
  }
  CHECK(found);
}

CASE(anonymous_memory_is_zero_and_private) {
  char* at = map_anonymous(8 * kPage, PROT_READ | PROT_WRITE);
  for (int i = 0; i < 8 * kPage; ++i) CHECK_EQ(at[i], 0);
  at[0] = 1;
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    at[0] = 2;
    _exit(at[0]);
  }
  check_exited(child, 2);
  CHECK_EQ(at[0], 1);
}

CASE(fixed_mapping_replaces_what_was_there) {
  char* at = map_anonymous(4 * kPage, PROT_READ | PROT_WRITE);
  memset(at, 7, 4 * kPage);
  CHECK_EQ(mmap(at + kPage, 2 * kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), at + kPage);
  CHECK_EQ(at[0], 7);
  CHECK_EQ(at[kPage], 0);
  CHECK_EQ(at[3 * kPage], 7);
  CHECK_FAULT_AT(store_byte(at + kPage, 1), SIGSEGV, SEGV_ACCERR, at + kPage);
}

CASE(fixed_noreplace_reports_eexist) {
  char* at = map_anonymous(2 * kPage, PROT_READ | PROT_WRITE);
  at[0] = 3;
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
  CHECK_FAILS(mmap(at, kPage, PROT_READ, flags, -1, 0), EEXIST);
  CHECK_EQ(at[0], 3);
  CHECK_OK(munmap(at, 2 * kPage));
  CHECK_EQ(mmap(at, kPage, PROT_READ, flags, -1, 0), at);
}

CASE(address_hint_is_honoured_when_free) {
  char* at = map_anonymous(16 * kPage, PROT_READ);
  CHECK_OK(munmap(at, 16 * kPage));
  CHECK_EQ(mmap(at + 4 * kPage, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), at + 4 * kPage);
}

CASE(private_file_mapping_copies_on_write) {
  write_file("data", "original");
  int fd = CHECK_OK(open("data", O_RDONLY));
  char* at = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  CHECK(at != MAP_FAILED);
  CHECK_OK(close(fd));
  CHECK_STREQ(at, "original");
  at[0] = 'O';
  char* text = read_file("data", NULL);
  CHECK_STREQ(text, "original");
}

CASE(shared_file_mapping_writes_through) {
  int fd = open_file_of_size("data", 2 * kPage);
  char* at = mmap(NULL, 2 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(at != MAP_FAILED);
  strcpy(at + kPage, "through");
  char buffer[8] = "";
  CHECK_EQ(pread(fd, buffer, 8, kPage), 8);
  CHECK_STREQ(buffer, "through");
  CHECK_EQ(pwrite(fd, "back", 5, 10), 5);
  CHECK_STREQ(at + 10, "back");
}

CASE(file_mapping_starts_at_offset) {
  int fd = open_file_of_size("data", 4 * kPage);
  CHECK_EQ(pwrite(fd, "third", 5, 2 * kPage), 5);
  char* at = mmap(NULL, kPage, PROT_READ, MAP_SHARED, fd, 2 * kPage);
  CHECK_MEMEQ(at, "third", 5);
  CHECK_FAILS(mmap(NULL, kPage, PROT_READ, MAP_SHARED, fd, 100), EINVAL);
}

CASE(rest_of_last_file_page_is_zero) {
  write_file("data", "abc");
  int fd = CHECK_OK(open("data", O_RDONLY));
  char* at = mmap(NULL, kPage, PROT_READ, MAP_PRIVATE, fd, 0);
  CHECK_MEMEQ(at, "abc", 3);
  for (int i = 3; i < kPage; ++i) CHECK_EQ(at[i], 0);
}

CASE(access_past_end_of_file_is_sigbus) {
  int fd = open_file_of_size("data", kPage);
  char* at = mmap(NULL, 3 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(at != MAP_FAILED);
  at[kPage - 1] = 1;
  CHECK_FAULT_AT(load_byte(at + kPage + 5), SIGBUS, BUS_ADRERR, at + kPage + 5);
  CHECK_FAULT_AT(store_byte(at + 2 * kPage, 1), SIGBUS, BUS_ADRERR, at + 2 * kPage);
  CHECK_OK(ftruncate(fd, 0));
  CHECK_FAULT_AT(load_byte(at), SIGBUS, BUS_ADRERR, at);
  CHECK_OK(ftruncate(fd, kPage));
  CHECK_EQ(at[0], 0);
}

CASE(mapping_needs_matching_open_mode) {
  write_file("data", "x");
  int fd = CHECK_OK(open("data", O_RDONLY));
  CHECK_FAILS(mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), EACCES);
  CHECK_OK(mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
  char* shared = CHECK_OK(mmap(NULL, kPage, PROT_READ, MAP_SHARED, fd, 0));
  CHECK_FAILS(mprotect(shared, kPage, PROT_READ | PROT_WRITE), EACCES);
  int write_only = CHECK_OK(open("data", O_WRONLY));
  CHECK_FAILS(mmap(NULL, kPage, PROT_READ, MAP_PRIVATE, write_only, 0), EACCES);
}

CASE(mmap_refuses_bad_arguments) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS;
  CHECK_FAILS(mmap(NULL, 0, PROT_READ, flags, -1, 0), EINVAL);
  CHECK_FAILS(mmap(NULL, kPage, PROT_READ, MAP_ANONYMOUS, -1, 0), EINVAL);
  CHECK_FAILS(mmap((void*)123, kPage, PROT_READ, flags | MAP_FIXED, -1, 0), EINVAL);
  CHECK_FAILS(mmap(NULL, kPage, PROT_READ, MAP_PRIVATE, -1, 0), EBADF);
  CHECK_FAILS(mmap(NULL, kPage, PROT_READ, MAP_PRIVATE, 900, 0), EBADF);
  CHECK_FAILS(mmap(NULL, (size_t)-kPage, PROT_READ, flags, -1, 0), ENOMEM);
  CHECK_FAILS(mmap(NULL, (size_t)1 << 60, PROT_READ, flags, -1, 0), ENOMEM);
  int directory = CHECK_OK(open(".", O_RDONLY | O_DIRECTORY));
  CHECK_FAILS(mmap(NULL, kPage, PROT_READ, MAP_PRIVATE, directory, 0), ENODEV);
  int pipes[2];
  CHECK_OK(pipe(pipes));
  CHECK_FAILS(mmap(NULL, kPage, PROT_READ, MAP_PRIVATE, pipes[0], 0), ENODEV);
}

CASE(validated_sharing_refuses_unsupported_flags) {
  int fd = open_file_of_size("data", kPage);
  CHECK_OK(mmap(NULL, kPage, PROT_READ, MAP_SHARED_VALIDATE, fd, 0));
  CHECK_FAILS(mmap(NULL, kPage, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0), EOPNOTSUPP);
}

CASE(munmap_cuts_head_middle_and_tail) {
  char* at = map_anonymous(9 * kPage, PROT_READ | PROT_WRITE);
  for (int i = 0; i < 9; ++i) at[i * kPage] = (char)i;
  CHECK_OK(munmap(at, kPage));
  CHECK_OK(munmap(at + 4 * kPage, kPage));
  CHECK_OK(munmap(at + 8 * kPage, kPage));
  for (int i = 0; i < 9; ++i) {
    bool gone = i == 0 || i == 4 || i == 8;
    if (gone) {
      CHECK_FAULT_AT(load_byte(at + i * kPage), SIGSEGV, SEGV_MAPERR, at + i * kPage);
    } else {
      CHECK_EQ(at[i * kPage], i);
    }
  }
}

CASE(munmap_over_holes_succeeds) {
  char* at = map_anonymous(4 * kPage, PROT_READ);
  CHECK_OK(munmap(at + kPage, kPage));
  CHECK_OK(munmap(at, 4 * kPage));
  CHECK_OK(munmap(at, 4 * kPage));
  CHECK_FAILS(munmap(at + 1, kPage), EINVAL);
  CHECK_FAILS(munmap(at, 0), EINVAL);
  CHECK(!is_mapped(at));
}

CASE(huge_reservation_without_memory) {
  size_t size = (size_t)1 << 42;
  char* at = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(at != MAP_FAILED);
  char* part = at + (size >> 1);
  CHECK_FAULT_AT(load_byte(part), SIGSEGV, SEGV_ACCERR, part);
  CHECK_EQ(mmap(part, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), part);
  part[0] = 1;
  CHECK_OK(mprotect(at, kPage, PROT_READ | PROT_WRITE));
  at[kPage - 1] = 1;
  CHECK_OK(munmap(at, size));
}

CASE(map_32bit_stays_below_two_gibibytes) {
  for (int i = 0; i < 20; ++i) {
    uintptr_t at =
        (uintptr_t)mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    CHECK(at != (uintptr_t)MAP_FAILED);
    CHECK(at + (1 << 20) <= 0x80000000u);
    *(char*)at = 1;
  }
}

CASE(low_fixed_addresses_can_be_mapped) {
  char* at = (char*)0x10000;
  CHECK_EQ(mmap(at, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), at);
  at[0] = 1;
}

CASE(wide_range_of_fixed_addresses_is_free) {
  // Programs with fixed layouts (old JVM heaps, sanitizers, wine) need the usual places.
  static const uintptr_t places[] = {0x7fff8000, 0x100000000, 0x600000000, 0x10007fff8000 - 0xff8000, 0x200000000000};
  for (size_t i = 0; i < sizeof places / sizeof places[0]; ++i) {
    char* at = (char*)(places[i] & ~(uintptr_t)(kPage - 1));
    CHECK_EQ(mmap(at, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), at);
    at[kPage] = 1;
  }
}

CASE(populated_pages_are_resident) {
  char* at = mmap(NULL, 4 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  CHECK(at != MAP_FAILED);
  unsigned char state[4];
  CHECK_OK(mincore(at, 4 * kPage, state));
  for (int i = 0; i < 4; ++i) CHECK_EQ(state[i] & 1, 1);
}

CASE(growsdown_mapping_grows_when_touched) {
  size_t reserve = 512 * kPage;
  char* base = map_anonymous(reserve, PROT_NONE);
  CHECK_OK(munmap(base, reserve));
  char* top = base + reserve - kPage;
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE;
  CHECK_EQ(mmap(top, kPage, PROT_READ | PROT_WRITE, flags, -1, 0), top);
  top[0] = 1;
  CHECK(!is_mapped(top - kPage));
  store_byte(top - 1, 9);
  CHECK_EQ(top[-1], 9);
  CHECK(is_mapped(top - kPage));
}

CASE(dev_zero_maps_zeroed_memory) {
  int fd = CHECK_OK(open("/dev/zero", O_RDWR));
  char* private_copy = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  char* shared = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(private_copy != MAP_FAILED && shared != MAP_FAILED);
  CHECK_EQ(private_copy[100], 0);
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    private_copy[0] = shared[0] = 5;
    _exit(0);
  }
  check_exited(child, 0);
  CHECK_EQ(private_copy[0], 0);
  CHECK_EQ(shared[0], 5);
}

CASE(mapping_survives_close_and_unlink) {
  int fd = open_file_of_size("data", kPage);
  char* at = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK_OK(unlink("data"));
  CHECK_OK(close(fd));
  strcpy(at, "still here");
  CHECK_STREQ(at, "still here");
}

CASE(address_space_limit_is_enforced) {
  struct rlimit64 {
    uint64_t soft, hard;
  } limit = {(uint64_t)1 << 33, ~0ull};
  CHECK_EQ(RAW(SYS_prlimit64, 0, 9 /* RLIMIT_AS */, &limit, 0), 0);
  CHECK_FAILS(mmap(NULL, (size_t)1 << 33, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
  CHECK_OK(mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

CASE(ten_thousand_mappings) {
  // Alternating protection keeps the kernel from merging neighbours.
  enum { kCount = 10000 };
  char* base = map_anonymous((size_t)kCount * kPage, PROT_READ | PROT_WRITE);
  for (int i = 0; i < kCount; i += 2) CHECK_OK(mprotect(base + (size_t)i * kPage, kPage, PROT_READ));
  for (int i = 1; i < kCount; i += 2) base[(size_t)i * kPage] = 1;
  CHECK_OK(munmap(base, (size_t)kCount * kPage));
}

CASE(maps_shows_new_mapping_with_its_file) {
  int fd = open_file_of_size("shown-file", kPage);
  char* at = mmap(NULL, kPage, PROT_READ, MAP_SHARED, fd, 0);
  char wanted[64];
  snprintf(wanted, sizeof wanted, "%lx-%lx r--s", (unsigned long)at, (unsigned long)at + kPage);
  char* maps = read_file("/proc/self/maps", NULL);
  char* line = strstr(maps, wanted);
  CHECK(line != NULL);
  char* end = strchr(line, '\n');
  *end = 0;
  CHECK(strstr(line, "/shown-file") != NULL);
}
