// Arguments whose meaning another argument decides: ioctl, fcntl, prctl, futex, semctl.
#include <asm/ioctls.h>
#include <asm/prctl.h>
#include <asm/termbits.h>
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/sem.h>

#include "runtime/table/decode.h"

namespace casemate::runtime {
namespace {

// What the argument of a request is.
enum class Meaning : std::uint8_t {
  kAbsent,
  kNumber,
  kHex,
  kSignal,
  kName,  // string of at most 16 bytes
  kFdFlags,
  kOpenFlags,
  kSeals,
  kInInt,
  kOutInt,
  kOutName,
  kWindowIn,
  kWindowOut,
  kTerminalIn,
  kTerminalOut,
  kLockIn,
  kLockInOut,
};

struct RequestMeaning {
  std::uint32_t request;
  Meaning meaning;
};

constexpr RequestMeaning kIoctls[] = {
    {FIONBIO, Meaning::kInInt},         {FIOASYNC, Meaning::kInInt},      {FIONREAD, Meaning::kOutInt},
    {TIOCOUTQ, Meaning::kOutInt},       {TIOCGPGRP, Meaning::kOutInt},    {TIOCSPGRP, Meaning::kInInt},
    {TIOCGSID, Meaning::kOutInt},       {TIOCGPTN, Meaning::kOutInt},     {TIOCSPTLCK, Meaning::kInInt},
    {TIOCGETD, Meaning::kOutInt},       {TIOCSETD, Meaning::kInInt},      {TIOCPKT, Meaning::kInInt},
    {TIOCGWINSZ, Meaning::kWindowOut},  {TIOCSWINSZ, Meaning::kWindowIn}, {TCGETS, Meaning::kTerminalOut},
    {TCSETS, Meaning::kTerminalIn},     {TCSETSW, Meaning::kTerminalIn},  {TCSETSF, Meaning::kTerminalIn},
    {FIOCLEX, Meaning::kAbsent},        {FIONCLEX, Meaning::kAbsent},     {TIOCNOTTY, Meaning::kAbsent},
    {TIOCEXCL, Meaning::kAbsent},       {TIOCNXCL, Meaning::kAbsent},     {TIOCSCTTY, Meaning::kNumber},
    {TCXONC, Meaning::kNumber},         {TCFLSH, Meaning::kNumber},       {TCSBRK, Meaning::kNumber},
    {TIOCGPTPEER, Meaning::kOpenFlags},
};

constexpr RequestMeaning kFcntls[] = {
    {F_DUPFD, Meaning::kNumber},     {F_DUPFD_CLOEXEC, Meaning::kNumber}, {F_GETFD, Meaning::kAbsent},
    {F_SETFD, Meaning::kFdFlags},    {F_GETFL, Meaning::kAbsent},         {F_SETFL, Meaning::kOpenFlags},
    {F_SETLK, Meaning::kLockIn},     {F_SETLKW, Meaning::kLockIn},        {F_GETLK, Meaning::kLockInOut},
    {F_OFD_SETLK, Meaning::kLockIn}, {F_OFD_SETLKW, Meaning::kLockIn},    {F_OFD_GETLK, Meaning::kLockInOut},
    {F_SETOWN, Meaning::kNumber},    {F_GETOWN, Meaning::kAbsent},        {F_SETSIG, Meaning::kSignal},
    {F_GETSIG, Meaning::kAbsent},    {F_SETPIPE_SZ, Meaning::kNumber},    {F_GETPIPE_SZ, Meaning::kAbsent},
    {F_ADD_SEALS, Meaning::kSeals},  {F_GET_SEALS, Meaning::kAbsent},     {F_GETLEASE, Meaning::kAbsent},
    {F_SETLEASE, Meaning::kNumber},
};

// The second argument of prctl; further ones are shown only by options that the table does not know.
constexpr RequestMeaning kPrctls[] = {
    {PR_SET_NAME, Meaning::kName},
    {PR_GET_NAME, Meaning::kOutName},
    {PR_SET_PDEATHSIG, Meaning::kSignal},
    {PR_GET_PDEATHSIG, Meaning::kOutInt},
    {PR_GET_DUMPABLE, Meaning::kAbsent},
    {PR_SET_DUMPABLE, Meaning::kNumber},
    {PR_GET_KEEPCAPS, Meaning::kAbsent},
    {PR_SET_KEEPCAPS, Meaning::kNumber},
    {PR_GET_SECCOMP, Meaning::kAbsent},
    {PR_CAPBSET_READ, Meaning::kNumber},
    {PR_CAPBSET_DROP, Meaning::kNumber},
    {PR_GET_SECUREBITS, Meaning::kAbsent},
    {PR_SET_SECUREBITS, Meaning::kHex},
    {PR_SET_TIMERSLACK, Meaning::kNumber},
    {PR_GET_TIMERSLACK, Meaning::kAbsent},
    {PR_SET_CHILD_SUBREAPER, Meaning::kNumber},
    {PR_GET_CHILD_SUBREAPER, Meaning::kOutInt},
    {PR_GET_THP_DISABLE, Meaning::kAbsent},
};

constexpr NamedValue kSeals[] = {{F_SEAL_SEAL, "F_SEAL_SEAL"},
                                 {F_SEAL_SHRINK, "F_SEAL_SHRINK"},
                                 {F_SEAL_GROW, "F_SEAL_GROW"},
                                 {F_SEAL_WRITE, "F_SEAL_WRITE"},
                                 {F_SEAL_FUTURE_WRITE, "F_SEAL_FUTURE_WRITE"}};

template <std::size_t kCount>
const RequestMeaning* find_meaning(const RequestMeaning (&table)[kCount], std::uint64_t request) {
  for (const RequestMeaning& entry : table) {
    if (entry.request == static_cast<std::uint32_t>(request)) return &entry;
  }
  return nullptr;
}

// --- writers of meanings

struct WindowSize {
  std::uint16_t rows, columns, width, height;
};

bool write_window(TextWriter& out, std::uint64_t address) {
  WindowSize window;
  if (read_guest(window, guest(address)) != 0) return false;
  out.text("{ws_row=").unsigned_decimal(window.rows).text(", ws_col=").unsigned_decimal(window.columns);
  out.text(", ws_xpixel=").unsigned_decimal(window.width).text(", ws_ypixel=").unsigned_decimal(window.height).put('}');
  return true;
}

bool write_terminal(TextWriter& out, std::uint64_t address) {
  termios terminal;
  if (read_guest(terminal, guest(address)) != 0) return false;
  out.text("{c_iflag=").hex(terminal.c_iflag).text(", c_oflag=").hex(terminal.c_oflag);
  out.text(", c_cflag=").hex(terminal.c_cflag).text(", c_lflag=").hex(terminal.c_lflag).text(", ...}");
  return true;
}

bool write_lock(TextWriter& out, std::uint64_t address) {
  struct flock lock;
  if (read_guest(lock, guest(address)) != 0) return false;
  write_value(out.text("{l_type="), ValueSet::lock_type, static_cast<std::uint16_t>(lock.l_type));
  write_value(out.text(", l_whence="), ValueSet::whence, static_cast<std::uint16_t>(lock.l_whence));
  out.text(", l_start=").decimal(lock.l_start).text(", l_len=").decimal(lock.l_len);
  if (lock.l_pid != 0) out.text(", l_pid=").decimal(lock.l_pid);
  out.put('}');
  return true;
}

bool write_name(TextWriter& out, std::uint64_t address) {
  constexpr std::uint64_t kCommSize = 16;
  write_string(out, guest(address), kCommSize);
  return true;
}

void write_seals(TextWriter& out, std::uint64_t value) {
  bool first = true;
  for (const NamedValue& seal : kSeals) {
    if ((value & seal.value) == 0) continue;
    if (!first) out.put('|');
    out.text(seal.name);
    value &= ~seal.value;
    first = false;
  }
  if (value == 0 && !first) return;
  if (!first) out.put('|');
  out.hex(value);
}

bool write_memory_meaning(const CallView& view, Meaning meaning, std::uint64_t value) {
  TextWriter& out = view.out;
  switch (meaning) {
    case Meaning::kName:
      return write_name(out, value);
    case Meaning::kInInt:
      return write_structure(out, Structure::int32, guest(value), 4);
    case Meaning::kWindowIn:
      return write_window(out, value);
    case Meaning::kTerminalIn:
      return write_terminal(out, value);
    case Meaning::kLockIn:
    case Meaning::kLockInOut:
      return write_lock(out, value);
    default:
      break;
  }
  if (!view.has_succeeded()) return false;
  switch (meaning) {
    case Meaning::kOutInt:
      return write_structure(out, Structure::int32, guest(value), 4);
    case Meaning::kOutName:
      return write_name(out, value);
    case Meaning::kWindowOut:
      return write_window(out, value);
    case Meaning::kTerminalOut:
      return write_terminal(out, value);
    default:
      return false;
  }
}

void write_meaning(const CallView& view, Meaning meaning, std::uint64_t value) {
  TextWriter& out = view.out;
  switch (meaning) {
    case Meaning::kNumber:
      out.decimal(static_cast<std::int64_t>(value));
      return;
    case Meaning::kHex:
      out.hex(value);
      return;
    case Meaning::kSignal:
      return write_signal(out, value);
    case Meaning::kFdFlags:
      return write_value(out, ValueSet::fd_flags, value);
    case Meaning::kOpenFlags:
      return write_value(out, ValueSet::open_flags, value);
    case Meaning::kSeals:
      return write_seals(out, value);
    default:
      if (!write_memory_meaning(view, meaning, value)) write_address(out, value);
  }
}

template <std::size_t kCount>
void write_by_table(const CallView& view, unsigned index, const RequestMeaning (&table)[kCount]) {
  const RequestMeaning* entry = find_meaning(table, view.arguments[view.kind(index).reference]);
  write_meaning(view, entry != nullptr ? entry->meaning : Meaning::kHex, view.arguments[index]);
}

// --- argument counts

unsigned open_argument_count(const CallView& view, unsigned flags_index) {
  const std::uint64_t flags = view.arguments[flags_index];
  constexpr std::uint64_t kTemporary = 020000000;  // O_TMPFILE without O_DIRECTORY
  return (flags & (O_CREAT | kTemporary)) != 0 ? flags_index + 2 : flags_index + 1;
}

template <std::size_t kCount>
unsigned request_argument_count(const CallView& view, const RequestMeaning (&table)[kCount], unsigned request_index) {
  const RequestMeaning* entry = find_meaning(table, view.arguments[request_index]);
  if (entry == nullptr) return view.entry.argument_count;
  return request_index + (entry->meaning == Meaning::kAbsent ? 1 : 2);
}

bool is_out(std::uint64_t command) {
  return command == IPC_STAT || command == GETALL || command == SEM_STAT || command == IPC_INFO || command == SEM_INFO;
}

unsigned futex_argument_count(const CallView& view) {
  switch (static_cast<std::uint32_t>(view.arguments[1]) & FUTEX_CMD_MASK) {
    case FUTEX_WAKE:
      return 3;
    case FUTEX_WAIT:
      return 4;
    case FUTEX_UNLOCK_PI:
    case FUTEX_TRYLOCK_PI:
      return 2;
    case FUTEX_LOCK_PI:
    case FUTEX_LOCK_PI2:
      return 4;
    case FUTEX_REQUEUE:
      return 5;
    default:
      return 6;
  }
}

}  // namespace

void write_ioctl_request(TextWriter& out, std::uint64_t request) {
  const auto number = static_cast<std::uint32_t>(request);
  if (const char* name = find_name(ValueSet::ioctl_request, number)) {
    out.text(name);
    return;
  }
  constexpr const char* kDirections[] = {"_IOC_NONE", "_IOC_WRITE", "_IOC_READ", "_IOC_READ|_IOC_WRITE"};
  out.text("_IOC(").text(kDirections[number >> 30]).text(", ").hex(number >> 8 & 0xff);
  out.text(", ").hex(number & 0xff).text(", ").hex(number >> 16 & 0x3fff).put(')');
}

void write_ioctl_argument(const CallView& view, unsigned index) { write_by_table(view, index, kIoctls); }
void write_fcntl_argument(const CallView& view, unsigned index) { write_by_table(view, index, kFcntls); }

void write_prctl_argument(const CallView& view, unsigned index) {
  index == 1 ? write_by_table(view, index, kPrctls) : static_cast<void>(view.out.hex(view.arguments[index]));
}

void write_arch_prctl_argument(const CallView& view, unsigned index) {
  const std::uint64_t option = view.arguments[0];
  const bool is_get = option == ARCH_GET_FS || option == ARCH_GET_GS;
  if (is_get && view.has_succeeded()) {
    write_structure_or_address(view.out, Structure::pointer, view.arguments[index]);
  } else {
    write_address(view.out, view.arguments[index]);
  }
}

// Requeue and wake operations pass a count where waits pass their timeout.
void write_futex_timeout(const CallView& view, unsigned index) {
  switch (static_cast<std::uint32_t>(view.arguments[1]) & FUTEX_CMD_MASK) {
    case FUTEX_WAKE_OP:
    case FUTEX_REQUEUE:
    case FUTEX_CMP_REQUEUE:
    case FUTEX_CMP_REQUEUE_PI:
      view.out.decimal(static_cast<std::int32_t>(view.arguments[index]));
      return;
    case FUTEX_WAKE_BITSET:
      return write_address(view.out, view.arguments[index]);
    default:
      write_structure_or_address(view.out, Structure::timespec, view.arguments[index]);
  }
}

void write_semctl_argument(const CallView& view, unsigned index) {
  const std::uint64_t command = static_cast<std::uint32_t>(view.arguments[2]);
  if (command == SETVAL) {
    view.out.decimal(static_cast<std::int32_t>(view.arguments[index]));
  } else if (is_out(command) || command == SETALL || command == IPC_SET) {
    write_address(view.out, view.arguments[index]);
  } else {
    view.out.hex(view.arguments[index]);
  }
}

unsigned used_argument_count(const CallView& view) {
  const unsigned count = view.entry.argument_count;
  for (unsigned i = 0; i < count; i++) {
    const ArgumentKind& kind = view.kind(i);
    const bool is_set = kind.form == ArgumentForm::kValue;
    if (is_set && kind.value_set() == ValueSet::open_flags && i + 2 == count &&
        view.kind(i + 1).form == ArgumentForm::kMode) {
      return open_argument_count(view, i);
    }
    if (is_set && kind.value_set() == ValueSet::remap_flags && (view.arguments[i] & MREMAP_FIXED) == 0) return i + 1;
    if (is_set && kind.value_set() == ValueSet::futex_operation) return futex_argument_count(view);
    if (kind.form == ArgumentForm::kIoctlArgument) return request_argument_count(view, kIoctls, i - 1);
    if (kind.form == ArgumentForm::kFcntlArgument) return request_argument_count(view, kFcntls, i - 1);
    if (kind.form == ArgumentForm::kPrctlArgument) return request_argument_count(view, kPrctls, 0);
  }
  return count;
}

void write_result_detail(const CallView& view) {
  const bool is_fcntl = view.entry.argument_count == 3 && view.kind(2).form == ArgumentForm::kFcntlArgument;
  if (!is_fcntl) return;
  const auto value = static_cast<std::uint64_t>(view.result);
  const std::uint64_t command = view.arguments[1];
  if (command == F_GETFL) {
    write_value(view.out.text(" (flags "), ValueSet::open_flags, value);
    view.out.put(')');
  } else if (command == F_GETFD && value != 0) {
    write_value(view.out.text(" (flags "), ValueSet::fd_flags, value);
    view.out.put(')');
  } else if (command == F_GET_SEALS) {
    write_seals(view.out.text(" (seals "), value);
    view.out.put(')');
  }
}

}  // namespace casemate::runtime
