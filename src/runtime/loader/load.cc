// See load.h.
#include "runtime/loader/load.h"

#include <asm/errno.h>
#include <asm/unistd.h>
#include <linux/fcntl.h>

#include "runtime/engine/process/host_call.h"
#include "runtime/loader/probe.h"

namespace casemate::runtime {
namespace {

LoadFailure map_file(ElfFile& file, const LoadRequest& request, ImageRole role, MappedImage& image) {
  if (const LoadFailure failure = read_head(file, role); failed(failure)) return failure;
  if (const LoadFailure failure = read_plan(file, role); failed(failure)) return failure;
  const MapRequest map_request = {
      .fd = file.fd, .role = role, .randomization = request.randomization, .on_code_mapped = request.on_code_mapped};
  return map_image(file.plan, map_request, image);
}

// The path is not needed any more once its file is open, so the interpreter is read into the same memory.
LoadFailure load_interpreter(const ElfFile& program, const LoadRequest& request, LoadedProgram& loaded) {
  const std::span<std::byte> memory = request.scratch.subspan(kFileHeadSize);
  if (const LoadFailure failure = read_interpreter_path(program, memory); failed(failure)) return failure;
  const long fd = open_executable(AT_FDCWD, reinterpret_cast<const char*>(memory.data()), 0);
  if (is_error(fd)) return open_failure(fd, ImageRole::kInterpreter);
  ElfFile file = {.fd = static_cast<int>(fd), .scratch = memory};
  const LoadFailure failure = map_file(file, request, ImageRole::kInterpreter, loaded.interpreter);
  release_elf(file);
  host_call(__NR_close, fd);
  if (!failed(failure)) loaded.start_address = loaded.interpreter.entry;
  return failure;
}

}  // namespace

LoadFailure load_program(const LoadRequest& request, LoadedProgram& loaded) {
  loaded = {};
  ElfFile file = {.fd = request.fd, .scratch = request.scratch.first(kFileHeadSize)};
  LoadFailure failure = map_file(file, request, ImageRole::kProgram, loaded.program);
  if (!failed(failure)) {
    loaded.stack = loaded.program.stack;
    loaded.start_address = loaded.program.entry;
    if (has_interpreter(file.plan)) failure = load_interpreter(file, request, loaded);
    if (failed(failure)) unmap_image(file.plan, loaded.program);
  }
  release_elf(file);
  return failure;
}

}  // namespace casemate::runtime
