#include "runtime/boot/words.h"

#include <sys/syscall.h>

#include "runtime/boot/private_words.h"
#include "runtime/files/memory_file.h"
#include "runtime/intercept/process.h"
#include "runtime/memory/guest.h"

namespace casemate::runtime {
namespace {

inline constexpr int kExitRuntimeFailure = 125;
inline constexpr long kE2Big = -7, kEnametoolong = -36;
inline constexpr std::size_t kPart = 1024;
inline constexpr std::uint64_t kLongestString = std::uint64_t{128} << 10;  // as Linux's MAX_ARG_STRLEN

[[noreturn]] void give_up() { fail("the program's arguments were not handed over", nullptr, kExitRuntimeFailure); }

// Ends each string; returns the position behind the last.
char* point_to_strings(char** vector, std::uint32_t count, char* text, const char* end) {
  for (std::uint32_t i = 0; i < count; ++i) {
    if (text >= end) give_up();
    vector[i] = text;
    while (*text != 0) ++text;
    ++text;
  }
  vector[count] = nullptr;
  return text;
}

// One string of the program into `file`, with its NUL. Returns its size, or a negative errno.
long pack_string(long file, GuestAddr address) {
  char part[kPart];
  for (std::uint64_t done = 0;; done += kPart) {
    if (done >= kLongestString) return kE2Big;
    const long length = read_guest_string(part, kPart, address + done);
    if (length < 0 && length != kEnametoolong) return length;
    const std::size_t size = length < 0 ? kPart : static_cast<std::size_t>(length) + 1;
    const long written = host_call(SYS_write, file, reinterpret_cast<long>(part), static_cast<long>(size));
    if (written != static_cast<long>(size)) return is_error(written) ? written : -12;
    if (length >= 0) return static_cast<long>(done + size);
  }
}

long pack_vector(long file, std::uint64_t vector, std::uint32_t& count, std::uint64_t& text_size) {
  for (count = 0; vector != 0; ++count) {
    std::uint64_t entry = 0;
    if (const long error = read_guest(entry, guest(vector + 8 * std::uint64_t{count})); error != 0) return error;
    if (entry == 0) return 0;
    if (count == kWordsCountLimit) return kE2Big;
    const long size = pack_string(file, guest(entry));
    if (is_error(size)) return size;
    text_size += static_cast<std::uint64_t>(size);
    if (text_size > kWordsTextLimit) return kE2Big;
  }
  return 0;
}

long pack_into(long file, std::uint64_t argv, std::uint64_t envp) {
  PrivateWords header = {kWordsMagic, 0, 0, 0};
  const long placed = host_call(SYS_lseek, file, sizeof(header), 0);
  if (is_error(placed)) return placed;
  if (const long error = pack_vector(file, argv, header.argument_count, header.text_size); error != 0) return error;
  if (const long error = pack_vector(file, envp, header.variable_count, header.text_size); error != 0) return error;
  const long written = host_call(SYS_pwrite64, file, reinterpret_cast<long>(&header), sizeof(header), 0);
  return written == static_cast<long>(sizeof(header)) ? 0 : -12;
}

}  // namespace

InitialStack take_words(const InitialStack& stack, int fd) {
  PrivateWords header;
  const long size = host_call(SYS_pread64, fd, reinterpret_cast<long>(&header), sizeof(header), 0);
  if (size != static_cast<long>(sizeof(header)) || header.magic != kWordsMagic || header.text_size > kWordsTextLimit ||
      header.argument_count > kWordsCountLimit || header.variable_count > kWordsCountLimit) {
    give_up();
  }
  std::uint64_t auxiliary_count = 1;
  for (const Elf64_auxv_t* entry = stack.auxv; entry->a_type != AT_NULL; ++entry) ++auxiliary_count;
  const auto top = reinterpret_cast<std::uint64_t>(stack.argc);
  const std::uint64_t text = (top - header.text_size - 1) & ~std::uint64_t{15};
  const std::uint64_t word_count = 1 + header.argument_count + 1 + header.variable_count + 1;
  const std::uint64_t bottom = (text - 8 * word_count - sizeof(Elf64_auxv_t) * auxiliary_count) & ~std::uint64_t{15};
  const long got =
      host_call(SYS_pread64, fd, static_cast<long>(text), static_cast<long>(header.text_size), sizeof(header));
  if (got != static_cast<long>(header.text_size)) give_up();
  host_call(SYS_close, fd);
  auto* const end = reinterpret_cast<char*>(text + header.text_size);
  *end = 0;
  InitialStack built{};
  built.argc = reinterpret_cast<std::uint64_t*>(bottom);
  *built.argc = header.argument_count;
  built.argv = reinterpret_cast<char**>(built.argc + 1);
  built.envp = built.argv + header.argument_count + 1;
  built.auxv = reinterpret_cast<Elf64_auxv_t*>(built.envp + header.variable_count + 1);
  char* const variables = point_to_strings(built.argv, header.argument_count, reinterpret_cast<char*>(text), end);
  point_to_strings(built.envp, header.variable_count, variables, end);
  for (std::uint64_t i = 0; i < auxiliary_count; ++i) built.auxv[i] = stack.auxv[i];
  return built;
}

long pack_words(std::uint64_t argv, std::uint64_t envp) {
  const long file = create_memory_file("casemate-words", Inheritance::kCloseOnExec);
  if (is_error(file)) return file;
  const long error = pack_into(file, argv, envp);
  if (error == 0) return file;
  host_call(SYS_close, file);
  return error;
}

}  // namespace casemate::runtime
