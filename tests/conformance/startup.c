// What a program finds when it starts: arguments, environment, auxiliary vector, stack, constructors, its own image.
#include "case.h"

#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/resource.h>

extern char** environ;
extern char __executable_start[] __attribute__((weak));
extern char _start[];

static int order[4], order_count;
static int arguments_in_constructor;
__attribute__((constructor(201))) static void second_constructor(void) { order[order_count++] = 2; }
__attribute__((constructor(200))) static void first_constructor(void) { order[order_count++] = 1; }
__attribute__((constructor)) static void last_constructor(void) {
  order[order_count++] = 3;
  // System calls work before main.
  arguments_in_constructor = RAW(SYS_getpid) == getpid() ? 1 : 0;
}

CASE(constructors_ran_in_order) {
  CHECK_EQ(order_count, 3);
  CHECK_EQ(order[0] * 100 + order[1] * 10 + order[2], 123);
  CHECK_EQ(arguments_in_constructor, 1);
}

static void write_at_exit(void) { write(1, "at exit;", 8); }
__attribute__((destructor)) static void write_destructor(void) {
  if (getenv("PRINT_DESTRUCTOR") != NULL) write(1, "destructor;", 11);
}

HELPER(exit_handlers) {
  setenv("PRINT_DESTRUCTOR", "1", 1);
  atexit(write_at_exit);
  printf("buffered;");
  return 0;
}

CASE(exit_handlers_and_buffers_run) {
  CHECK_STREQ(helper_output(0, "exit_handlers", NULL), "at exit;destructor;buffered;");
}

CASE(auxiliary_vector_is_sane) {
  CHECK_EQ(getauxval(AT_PAGESZ), 4096);
  CHECK_EQ(getauxval(AT_ENTRY), _start);
  CHECK_EQ(getauxval(AT_UID), getuid());
  CHECK_EQ(getauxval(AT_EGID), getegid());
  CHECK_EQ(getauxval(AT_SECURE), 0);
  CHECK_EQ(getauxval(AT_CLKTCK), sysconf(_SC_CLK_TCK));
  CHECK_STREQ((char*)getauxval(AT_PLATFORM), "x86_64");
  CHECK_STREQ((char*)getauxval(AT_EXECFN), program_path());
  CHECK(getauxval(AT_RANDOM) != 0);
  CHECK(getauxval(AT_SYSINFO_EHDR) != 0);
  FACT("hwcap %lx hwcap2 %lx minsigstksz %lu", getauxval(AT_HWCAP), getauxval(AT_HWCAP2), getauxval(51));
}

CASE(auxiliary_vector_types_are_the_kernels) {
  // The vector lies behind the environment; print its types in order.
  char** at = environ;
  while (*at != NULL) ++at;
  for (Elf64_auxv_t* entry = (Elf64_auxv_t*)(at + 1); entry->a_type != AT_NULL; ++entry)
    FACT("type %lu", entry->a_type);
}

CASE(program_headers_are_the_programs) {
  const Elf64_Phdr* headers = (const Elf64_Phdr*)getauxval(AT_PHDR);
  size_t count = getauxval(AT_PHNUM);
  CHECK_EQ(getauxval(AT_PHENT), sizeof *headers);
  int fd = CHECK_OK(open(program_path(), O_RDONLY));
  Elf64_Ehdr file;
  CHECK_EQ(read(fd, &file, sizeof file), sizeof file);
  CHECK_EQ(file.e_phnum, count);
  Elf64_Phdr in_file[64];
  CHECK_EQ(pread(fd, in_file, count * sizeof *headers, (off_t)file.e_phoff), (long)(count * sizeof *headers));
  CHECK_MEMEQ(headers, in_file, count * sizeof *headers);
  uintptr_t base = 0;
  bool interpreted = false;
  for (size_t i = 0; i < count; ++i) {
    if (headers[i].p_type == PT_PHDR) base = (uintptr_t)headers - headers[i].p_vaddr;
    if (headers[i].p_type == PT_INTERP) interpreted = true;
  }
  if (base != 0) CHECK_EQ(getauxval(AT_ENTRY), base + file.e_entry);
  CHECK_EQ(getauxval(AT_BASE) != 0, interpreted);
}

static int count_object(struct dl_phdr_info* info, size_t size, void* names) {
  FACT("object %s", strrchr(info->dlpi_name, '/') != NULL ? strrchr(info->dlpi_name, '/') : info->dlpi_name);
  ++*(int*)names;
  return 0;
}

CASE(loaded_objects_are_the_same) {
  int count = 0;
  dl_iterate_phdr(count_object, &count);
  CHECK(count >= 1);
}

HELPER(print_all_arguments) {
  char** at = environ;
  CHECK_EQ(at, argv + argc + 1);  // helpers get argv + 1: the vectors are adjacent
  for (int i = 0; i < argc; ++i) printf("[%s]", argv[i]);
  CHECK(argv[argc] == NULL);
  return 0;
}

CASE(arguments_and_environment_are_adjacent) {
  CHECK_STREQ(helper_output(0, "print_all_arguments", "a", "", "c c", NULL), "[@print_all_arguments][a][][c c]");
}

HELPER(stack_pointer) {
  printf("%d", (int)((uintptr_t)(argv - 2) % 16));
  return 0;
}

CASE(argument_vector_is_aligned) {
  // argc is at the initial stack pointer, which is 16-byte aligned, whatever the arguments.
  CHECK_STREQ(helper_output(0, "stack_pointer", NULL), helper_output(0, "stack_pointer", "x", NULL));
  CHECK_STREQ(helper_output(0, "stack_pointer", NULL), helper_output(0, "stack_pointer", "x", "yy", "zzz", NULL));
}

CASE(initial_stack_is_the_kernels) {
  // Random bytes, then the environment's strings, then the end of [stack] within a page. (AT_EXECFN is last natively;
  // where it lies is nobody's business.)
  uintptr_t random = getauxval(AT_RANDOM), local = (uintptr_t)&random, strings = 0;
  for (char** variable = environ; *variable != NULL; ++variable) strings = (uintptr_t)*variable + strlen(*variable) + 1;
  CHECK(local < (uintptr_t)environ);
  CHECK((uintptr_t)environ < random);
  CHECK(random < strings);
  FILE* maps = fopen("/proc/self/maps", "re");
  CHECK(maps != NULL);
  char line[512];
  unsigned long from = 0, to = 0;
  while (fgets(line, sizeof line, maps) != NULL) {
    CHECK_EQ(sscanf(line, "%lx-%lx", &from, &to), 2);
    if (local >= from && local < to) break;
  }
  CHECK(strstr(line, "[stack]") != NULL);
  CHECK(strings < to);
  CHECK(to - strings < 4096);
}

static char large_zeroed[64 << 20];
static const char constant_data[] = "constant";

CASE(zeroed_data_is_zero) {
  for (size_t i = 0; i < sizeof large_zeroed; i += 997) CHECK_EQ(large_zeroed[i], 0);
  large_zeroed[sizeof large_zeroed - 1] = 1;
}

CASE(rest_of_the_last_data_page_is_zero) {
  // The loader and libc allocate there before asking for more.
  extern char end[];
  uintptr_t at = (uintptr_t)end, limit = (at + 4095) & ~(uintptr_t)4095;
  for (; at < limit; ++at) {
    if (*(volatile char*)at != 0 && at > (uintptr_t)RAW(SYS_brk, 0)) FAIL("byte at %p is not zero", (void*)at);
  }
}

CASE(segment_permissions_are_kept) {
  char* maps = read_file("/proc/self/maps", NULL);
  char* line = strtok(maps, "\n");
  bool code = false, constant = false, data = false;
  for (; line != NULL; line = strtok(NULL, "\n")) {
    unsigned long from, to;
    char permissions[8];
    CHECK_EQ(sscanf(line, "%lx-%lx %4s", &from, &to, permissions), 3);
    if ((uintptr_t)_start >= from && (uintptr_t)_start < to) code = strcmp(permissions, "r-xp") == 0;
    if ((uintptr_t)constant_data >= from && (uintptr_t)constant_data < to) constant = strcmp(permissions, "r--p") == 0;
    if ((uintptr_t)&order_count >= from && (uintptr_t)&order_count < to) data = strcmp(permissions, "rw-p") == 0;
  }
  CHECK(code);
  CHECK(constant);
  CHECK(data);
}

CASE(break_starts_behind_the_program) {
  extern char end[];
  long current = RAW(SYS_brk, 0);
  CHECK(current >= (long)(uintptr_t)end || current < (long)(uintptr_t)_start);
}

CASE(randomisation_differs_between_runs) {
  char* first = helper_output(0, "print_random", NULL);
  char* second = helper_output(0, "print_random", NULL);
  CHECK(strcmp(first, second) != 0);
}

HELPER(print_random) {
  const unsigned char* random = (const unsigned char*)getauxval(AT_RANDOM);
  for (int i = 0; i < 16; ++i) printf("%02x", random[i]);
  return 0;
}

static void run_program(const char* source, const char* options, int expected) {
  // Builds and runs a special program; the compiler is natively found or the case is skipped.
  write_file("special.c", source);
  char command[512];
  snprintf(command, sizeof command, "gcc -w %s -o special special.c 2>build.log", options);
  int status = system(command);
  if (status != 0) SKIP("gcc %s does not work here", options);
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    execl("./special", "./special", NULL);
    _exit(98);
  }
  check_exited(child, expected);
}

CASE(program_with_executable_stack) {
  run_program(
      "int main(void){unsigned char code[]={0xb8,42,0,0,0,0xc3};volatile unsigned char* at=code;(void)at;"
      "return((int(*)(void))code)();}",
      "-z execstack", 42);
}

CASE(program_at_a_fixed_address) {
  run_program("#include <unistd.h>\nint value=7;int main(void){return getpid()>0&&(long)&value<0x1000000?value:1;}",
              "-no-pie", 7);
}

CASE(program_with_huge_bss) {
  run_program(
      "static char big[3ul<<30];int main(void){big[0]=1;big[sizeof big-1]=2;return big[0]+big[1ul<<31]+big[sizeof "
      "big-1];}",
      "-mcmodel=large -no-pie", 3);
}

CASE(program_with_gaps_between_segments) {
  run_program("int value=9;int main(void){return value;}", "-no-pie -Wl,-Tdata=0x20000000", 9);
}

CASE(program_with_large_alignment) {
  run_program(
      "__attribute__((aligned(2097152))) static char block[4096]={1};int main(void){return "
      "((long)block%2097152==0)*11;}",
      "-Wl,-z,max-page-size=2097152", 11);
}

CASE(program_without_libc) {
  run_program(
      "__attribute__((naked)) void _start(void){__asm__(\"mov %rsp,%rdi; mov $60,%eax; and $15,%edi; add $20,%edi; "
      "syscall\");}",
      "-nostdlib -static", 20);
}

CASE(program_without_sections_and_headers) { run_program("int main(void){return 5;}", "-s -static", 5); }

CASE(program_that_ends_by_exit_of_its_only_thread) {
  run_program("#include <sys/syscall.h>\n#include <unistd.h>\nint main(void){syscall(SYS_exit,13);}", "", 13);
}

CASE(program_with_own_interpreter_name) {
  run_program("int main(void){return 8;}", "-Wl,--dynamic-linker=/lib64/ld-linux-x86-64.so.2", 8);
  write_file("special.c", "int main(void){return 8;}");
  if (system("gcc -Wl,--dynamic-linker=/no/such/loader -o broken special.c") != 0) SKIP("no gcc");
  char* argv[] = {"broken", NULL};
  CHECK_FAILS(execv("./broken", argv), ENOENT);
}

CASE(loader_called_as_a_program) {
  char* loader = "/lib64/ld-linux-x86-64.so.2";
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    execl(loader, loader, "/bin/sh", "-c", "exit 17", NULL);
    _exit(98);
  }
  check_exited(child, 17);
}

CASE(truncated_program_is_refused_or_killed_alike) {
  size_t size;
  char* bytes = read_file(program_path(), &size);
  static const size_t sizes[] = {10, 63, 64, 100, 400, 1000, 5000};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
    char name[16];
    snprintf(name, sizeof name, "cut%zu", sizes[i]);
    int fd = CHECK_OK(open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0755));
    CHECK_EQ(write(fd, bytes, sizes[i]), (long)sizes[i]);
    CHECK_OK(close(fd));
    pid_t child = CHECK_OK(fork());
    if (child == 0) {
      struct rlimit none = {0, 0};
      setrlimit(RLIMIT_CORE, &none);
      execl(name, name, NULL);
      _exit(errno);
    }
    int status = wait_status_of(child);
    // Expected difference: what the kernel finds out too late to return an error for, and kills, is exit code 126.
    if (under_runtime() && status == 126 << 8) status = SIGSEGV;
    FACT("%s: %x", name, status);
  }
}
