// See elf_file.h. A table outside the first 4 KiB (tools that edit linked files move it to the end) or with more than
// about 70 entries (no known linker, but Linux loads it) gets a temporary mapping.
#include "runtime/loader/elf_file.h"

#include <asm/errno.h>
#include <asm/unistd.h>
#include <linux/mman.h>

#include "runtime/engine/process/host_call.h"

namespace casemate::runtime {
namespace {

// Memory for the table: the scratch behind the head (short files), or a mapping.
LoadFailure table_memory(ElfFile& file, ImageRole role, std::span<std::byte>& memory) {
  const std::size_t size = table_size(file.plan.header);
  const std::span<std::byte> rest = file.scratch.subspan(file.head_size);
  if (rest.size() >= size) {
    memory = rest.first(size);
    return {};
  }
  const long address = host_call(__NR_mmap, 0, static_cast<long>(kMaxTableSize), PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (is_error(address)) return failure_from_call(LoadError::kOutOfMemory, role, address);
  file.overflow_address = static_cast<std::uint64_t>(address);
  file.overflow_size = kMaxTableSize;
  memory = {reinterpret_cast<std::byte*>(address), size};
  return {};
}

LoadFailure parse_failure(LoadError error, ImageRole role, const ElfHeader& header) {
  LoadFailure failure = failure_of(error, role);
  failure.machine = header.machine;
  return failure;
}

}  // namespace

long read_at(int fd, std::span<std::byte> destination, std::uint64_t offset) {
  std::size_t done = 0;
  while (done < destination.size()) {
    const long count = host_call(__NR_pread64, fd, reinterpret_cast<long>(destination.data() + done),
                                 static_cast<long>(destination.size() - done), static_cast<long>(offset + done));
    if (count == -EINTR) continue;
    if (is_error(count)) return count;
    if (count < 0 || static_cast<std::size_t>(count) > destination.size() - done) return -EIO;
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return static_cast<long>(done);
}

LoadFailure read_head(ElfFile& file, ImageRole role) {
  const long count = read_at(file.fd, file.scratch.first(kFileHeadSize), 0);
  if (is_error(count)) return failure_from_call(LoadError::kSystemRefused, role, count);
  file.head_size = static_cast<std::size_t>(count);
  return {};
}

LoadFailure read_plan(ElfFile& file, ImageRole role) {
  const std::span<const std::byte> head = file.scratch.first(file.head_size);
  ElfHeader header;
  // Linux reads the interpreter's header with an exact read, before it looks at the magic.
  if (role == ImageRole::kInterpreter && head.size() < kElfHeaderSize)
    return failure_of(LoadError::kTruncatedHeader, role);
  LoadError error = parse_elf_header(head, header);
  file.plan.header = header;
  if (error != LoadError::kNone) return parse_failure(error, role, header);

  const std::size_t size = table_size(header);
  if (header.table_offset <= head.size() && size <= head.size() - header.table_offset) {
    error = parse_program_headers(header, head.subspan(header.table_offset, size), file.plan);
    return error == LoadError::kNone ? LoadFailure{} : parse_failure(error, role, header);
  }
  std::span<std::byte> table;
  if (const LoadFailure failure = table_memory(file, role, table); failed(failure)) return failure;
  const long count = read_at(file.fd, table, header.table_offset);
  const bool complete = count == static_cast<long>(size);
  error = complete ? parse_program_headers(header, table, file.plan) : LoadError::kTruncatedTable;
  return error == LoadError::kNone ? LoadFailure{} : parse_failure(error, role, header);
}

LoadFailure read_interpreter_path(const ElfFile& file, std::span<std::byte> path) {
  const std::size_t size = file.plan.interpreter_size;
  if (size > path.size()) return failure_of(LoadError::kInterpreterPathSize, ImageRole::kProgram);
  const long count = read_at(file.fd, path.first(size), file.plan.interpreter_offset);
  if (is_error(count)) return failure_from_call(LoadError::kSystemRefused, ImageRole::kProgram, count);
  if (static_cast<std::size_t>(count) != size)
    return failure_of(LoadError::kInterpreterPathTruncated, ImageRole::kProgram);
  // Linux resolves an empty interpreter path to the working directory, and so answers EACCES instead of ENOENT.
  if (path[0] == std::byte{0}) path[0] = std::byte{'.'};
  const LoadError error = check_interpreter_path(path.first(size));
  return error == LoadError::kNone ? LoadFailure{} : failure_of(error, ImageRole::kProgram);
}

void release_elf(ElfFile& file) {
  if (file.overflow_size == 0) return;
  host_call(__NR_munmap, static_cast<long>(file.overflow_address), static_cast<long>(file.overflow_size));
  file.overflow_size = 0;
}

}  // namespace casemate::runtime
