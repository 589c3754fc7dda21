#include "runtime/loader/testing/support.h"

#include <fcntl.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace casemate::runtime::testing {

TemporaryDirectory::TemporaryDirectory() {
  std::string name = (std::filesystem::temp_directory_path() / "casemate-loader-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
  chmod(name.c_str(), 0755);
  path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() { std::filesystem::remove_all(path_); }

std::string TemporaryDirectory::write(const std::string& name, const std::string& content, unsigned mode) const {
  const std::string file = path(name);
  {
    std::ofstream stream(file, std::ios::binary);
    stream << content;
    if (!stream.flush()) throw std::runtime_error("cannot write " + file);
  }
  chmod(file.c_str(), mode);
  return file;
}

std::string TemporaryDirectory::compile(const std::string& name, const std::string& source,
                                        const std::string& command) const {
  const std::string input = write(name + ".c", source, 0644);
  const std::string output = path(name);
  const std::string line = command + " -O1 -o " + output + " " + input + " 2>/dev/null";
  return std::system(line.c_str()) == 0 ? output : std::string();
}

std::string read_file(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

SmallElf::SmallElf(std::uint16_t type) {
  const std::uint64_t base = type == ET_EXEC ? 0x10000000 : 0;
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = type;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_entry = base + 0x1000;
  header.e_phoff = sizeof header;
  header.e_ehsize = sizeof header;
  header.e_phentsize = sizeof(Elf64_Phdr);
  // mov edi, 42; mov eax, SYS_exit_group; syscall
  static constexpr char kCode[] = "\xbf\x2a\x00\x00\x00\xb8\xe7\x00\x00\x00\x0f\x05";
  content.assign(0x2100, 'x');
  content.replace(0x1000, sizeof kCode - 1, kCode, sizeof kCode - 1);
  segments = {
      {PT_LOAD, PF_R | PF_X, 0, base, base, 0x1100, 0x1100, 0x1000},
      {PT_LOAD, PF_R | PF_W, 0x2000, base + 0x3000, base + 0x3000, 0x100, 0x2100, 0x1000},
      {PT_GNU_STACK, PF_R | PF_W, 0, 0, 0, 0, 0, 16},
  };
}

void SmallElf::add_interpreter(const std::string& path) {
  content.replace(0x1800, path.size(), path);
  segments.insert(segments.begin(), {PT_INTERP, PF_R, 0x1800, 0, 0, path.size(), path.size(), 1});
}

std::string SmallElf::file() const {
  Elf64_Ehdr final_header = header;
  if (final_header.e_phnum == 0) final_header.e_phnum = static_cast<std::uint16_t>(segments.size());
  std::string result = content;
  result.replace(0, sizeof final_header, reinterpret_cast<const char*>(&final_header), sizeof final_header);
  const std::size_t size = segments.size() * sizeof(Elf64_Phdr);
  if (header.e_phoff + size > result.size()) result.resize(header.e_phoff + size);
  result.replace(header.e_phoff, size, reinterpret_cast<const char*>(segments.data()), size);
  return result;
}

std::uint64_t NativeExec::auxiliary_value(std::uint64_t type) const {
  for (const auto& [key, value] : auxiliary) {
    if (key == type) return value;
  }
  return ~std::uint64_t{0};
}

namespace {

[[noreturn]] void native_child(const std::string& path, NativeAddresses addresses, int error_pipe) {
  const rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
  if (addresses == NativeAddresses::kFixed) personality(ADDR_NO_RANDOMIZE);
  char* const arguments[] = {const_cast<char*>(path.c_str()), nullptr};
  char* const environment[] = {nullptr};
  execve(path.c_str(), arguments, environment);
  const int error = errno;
  if (write(error_pipe, &error, sizeof error) != sizeof error) _exit(2);
  _exit(1);
}

void describe_started(pid_t child, NativeExec& result) {
  const std::string folder = "/proc/" + std::to_string(child) + "/";
  result.maps = read_file(folder + "maps");
  std::istringstream words(read_file(folder + "cmdline"));
  for (std::string word; std::getline(words, word, '\0');) result.arguments.push_back(word);
  const std::string vector = read_file(folder + "auxv");
  for (std::size_t at = 0; at + 16 <= vector.size(); at += 16) {
    std::uint64_t pair[2];
    std::memcpy(pair, vector.data() + at, sizeof pair);
    result.auxiliary.emplace_back(pair[0], pair[1]);
  }
}

}  // namespace

NativeExec run_natively(const std::string& path, NativeAddresses addresses) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
  const pid_t child = fork();
  if (child == 0) native_child(path, addresses, ends[1]);
  close(ends[1]);
  NativeExec result;
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSTOPPED(status)) {
    if (WSTOPSIG(status) == SIGTRAP) {
      result.start = NativeStart::kStarted;
      describe_started(child, result);
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
  }
  if (read(ends[0], &result.error_number, sizeof result.error_number) == sizeof result.error_number)
    result.start = NativeStart::kError;
  close(ends[0]);
  return result;
}

std::vector<Mapping> parse_maps(const std::string& text) {
  std::vector<Mapping> result;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    Mapping mapping = {};
    char protection[8] = {}, name[4096] = {};
    unsigned long start = 0, end = 0, offset = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx %7s %lx %*s %*s %4095[^\n]", &start, &end, protection, &offset, name) < 4)
      continue;
    result.push_back({start, end, offset, protection, name});
  }
  return result;
}

}  // namespace casemate::runtime::testing
