// Structures of the kernel's ABI as text: `{tv_sec=1, tv_nsec=5}`. Only what helps to follow a program is shown; a
// structure without a decoder appears as its address. Layouts come from the kernel's headers for programs.
#include <asm/poll.h>
#include <asm/stat.h>
#include <asm/statfs.h>
#include <linux/eventpoll.h>
#include <linux/futex.h>
#include <linux/mqueue.h>
#include <linux/openat2.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <linux/sem.h>
#include <linux/stat.h>
#include <linux/sysinfo.h>
#include <linux/time_types.h>
#include <linux/times.h>
#include <linux/utime.h>
#include <linux/utsname.h>

#include "runtime/abi/signal_abi.h"
#include "runtime/table/decode.h"

namespace casemate::runtime {
namespace {

// Writes "{name=", ", name=" ... "}".
class Fields {
 public:
  explicit Fields(TextWriter& out) : out_(out) {}
  TextWriter& field(const char* name) {
    out_.text(first_ ? "{" : ", ");
    first_ = false;
    return out_.text(name).put('=');
  }
  Fields& number(const char* name, std::int64_t value) {
    field(name).decimal(value);
    return *this;
  }
  Fields& count(const char* name, std::uint64_t value) {
    field(name).unsigned_decimal(value);
    return *this;
  }
  Fields& hex(const char* name, std::uint64_t value) {
    field(name).hex(value);
    return *this;
  }
  Fields& address(const char* name, std::uint64_t value) {
    write_address(field(name), value);
    return *this;
  }
  Fields& value(const char* name, ValueSet set, std::uint64_t value) {
    write_value(field(name), set, value);
    return *this;
  }
  Fields& signal(const char* name, std::int64_t value) {
    write_signal(field(name), static_cast<std::uint64_t>(value));
    return *this;
  }
  Fields& signals(const char* name, std::uint64_t set) {
    write_signal_set(field(name), set);
    return *this;
  }
  Fields& string(const char* name, const char* text, std::size_t capacity) {
    std::size_t size = 0;
    while (size < capacity && text[size] != 0) size++;
    field(name).put('"').escaped(text, size).put('"');
    return *this;
  }
  void end() { out_.put('}'); }
  // More fields than are shown.
  void end_cut() { out_.text(", ...}"); }

 private:
  TextWriter& out_;
  bool first_ = true;
};

// --- numbers that calls return through a pointer

void print_int(TextWriter& out, const std::int32_t& value) { out.put('[').decimal(value).put(']'); }
void print_uint(TextWriter& out, const std::uint32_t& value) { out.put('[').unsigned_decimal(value).put(']'); }
void print_uint64(TextWriter& out, const std::uint64_t& value) { out.put('[').unsigned_decimal(value).put(']'); }
void print_offset(TextWriter& out, const std::int64_t& value) { out.put('[').decimal(value).put(']'); }
void print_pointer(TextWriter& out, const std::uint64_t& value) { out.put('[').hex(value).put(']'); }

struct FdPair {
  std::int32_t first, second;
};
void print_fd_pair(TextWriter& out, const FdPair& pair) {
  out.put('[').decimal(pair.first).text(", ").decimal(pair.second).put(']');
}

// --- time

void print_timespec(TextWriter& out, const __kernel_timespec& time) {
  constexpr long kUtimeNow = (1L << 30) - 1, kUtimeOmit = (1L << 30) - 2;
  if (time.tv_nsec == kUtimeNow || time.tv_nsec == kUtimeOmit) {
    out.text(time.tv_nsec == kUtimeNow ? "UTIME_NOW" : "UTIME_OMIT");
    return;
  }
  Fields(out).number("tv_sec", time.tv_sec).number("tv_nsec", time.tv_nsec).end();
}
void print_timeval(TextWriter& out, const __kernel_old_timeval& time) {
  Fields(out).number("tv_sec", time.tv_sec).number("tv_usec", time.tv_usec).end();
}
void print_itimerval(TextWriter& out, const __kernel_old_itimerval& timer) {
  Fields fields(out);
  print_timeval(fields.field("it_interval"), timer.it_interval);
  print_timeval(fields.field("it_value"), timer.it_value);
  fields.end();
}
void print_itimerspec(TextWriter& out, const __kernel_itimerspec& timer) {
  Fields fields(out);
  print_timespec(fields.field("it_interval"), timer.it_interval);
  print_timespec(fields.field("it_value"), timer.it_value);
  fields.end();
}
struct TimeZone {
  std::int32_t minutes_west, dst_time;
};
void print_timezone(TextWriter& out, const TimeZone& zone) {
  Fields(out).number("tz_minuteswest", zone.minutes_west).number("tz_dsttime", zone.dst_time).end();
}
void print_times(TextWriter& out, const tms& times) {
  Fields(out)
      .number("tms_utime", times.tms_utime)
      .number("tms_stime", times.tms_stime)
      .number("tms_cutime", times.tms_cutime)
      .number("tms_cstime", times.tms_cstime)
      .end();
}
void print_utimbuf(TextWriter& out, const utimbuf& times) {
  Fields(out).number("actime", times.actime).number("modtime", times.modtime).end();
}

// --- files

constexpr NamedValue kFileTypes[] = {{S_IFREG, "S_IFREG"},  {S_IFDIR, "S_IFDIR"}, {S_IFLNK, "S_IFLNK"},
                                     {S_IFCHR, "S_IFCHR"},  {S_IFBLK, "S_IFBLK"}, {S_IFIFO, "S_IFIFO"},
                                     {S_IFSOCK, "S_IFSOCK"}};

void write_file_mode(TextWriter& out, std::uint32_t mode) {
  for (const NamedValue& type : kFileTypes) {
    if (type.value == (mode & S_IFMT)) out.text(type.name).put('|');
  }
  out.octal(mode & 07777);
}

bool is_device(std::uint32_t mode) { return (mode & S_IFMT) == S_IFCHR || (mode & S_IFMT) == S_IFBLK; }

void print_stat(TextWriter& out, const struct stat& file) {
  Fields fields(out);
  write_file_mode(fields.field("st_mode"), file.st_mode);
  if (is_device(file.st_mode)) {
    write_device(fields.field("st_rdev"), file.st_rdev);
  } else {
    fields.number("st_size", file.st_size);
  }
  fields.end_cut();
}
void print_statx(TextWriter& out, const struct statx& file) {
  Fields fields(out);
  fields.value("stx_mask", ValueSet::statx_mask, file.stx_mask);
  write_file_mode(fields.field("stx_mode"), file.stx_mode);
  fields.count("stx_size", file.stx_size).end_cut();
}
void print_statfs(TextWriter& out, const struct statfs& system) {
  Fields(out)
      .hex("f_type", static_cast<std::uint64_t>(system.f_type))
      .number("f_bsize", system.f_bsize)
      .number("f_blocks", system.f_blocks)
      .number("f_bfree", system.f_bfree)
      .number("f_bavail", system.f_bavail)
      .end_cut();
}
void print_open_how(TextWriter& out, const open_how& how) {
  Fields fields(out);
  fields.value("flags", ValueSet::open_flags, how.flags);
  fields.field("mode").octal(how.mode);
  fields.value("resolve", ValueSet::resolve_flags, how.resolve).end();
}
void print_poll(TextWriter& out, const pollfd& entry) {
  Fields fields(out);
  fields.number("fd", entry.fd).value("events", ValueSet::poll_events, static_cast<std::uint16_t>(entry.events));
  if (entry.revents != 0) {
    fields.value("revents", ValueSet::poll_events, static_cast<std::uint16_t>(entry.revents));
  }
  fields.end();
}
void print_epoll_event(TextWriter& out, const epoll_event& event) {
  const std::uint64_t data = event.data;
  Fields(out).value("events", ValueSet::epoll_events, event.events).hex("data", data).end();
}
void print_mq_attr(TextWriter& out, const mq_attr& attributes) {
  Fields(out)
      .value("mq_flags", ValueSet::open_flags, static_cast<std::uint64_t>(attributes.mq_flags))
      .number("mq_maxmsg", attributes.mq_maxmsg)
      .number("mq_msgsize", attributes.mq_msgsize)
      .number("mq_curmsgs", attributes.mq_curmsgs)
      .end();
}

// --- system and processes

void print_utsname(TextWriter& out, const new_utsname& system) {
  Fields(out)
      .string("sysname", system.sysname, sizeof(system.sysname))
      .string("nodename", system.nodename, sizeof(system.nodename))
      .string("release", system.release, sizeof(system.release))
      .end_cut();
}
void print_sysinfo(TextWriter& out, const sysinfo& system) {
  Fields(out)
      .number("uptime", system.uptime)
      .count("totalram", system.totalram)
      .count("freeram", system.freeram)
      .count("procs", system.procs)
      .end_cut();
}
void print_rusage(TextWriter& out, const rusage& usage) {
  const __kernel_old_timeval user{usage.ru_utime.tv_sec, usage.ru_utime.tv_usec};
  const __kernel_old_timeval system{usage.ru_stime.tv_sec, usage.ru_stime.tv_usec};
  Fields fields(out);
  print_timeval(fields.field("ru_utime"), user);
  print_timeval(fields.field("ru_stime"), system);
  fields.number("ru_maxrss", usage.ru_maxrss).end_cut();
}

void write_limit(TextWriter& out, std::uint64_t limit) {
  limit == ~std::uint64_t{0} ? out.text("RLIM_INFINITY") : out.unsigned_decimal(limit);
}
void print_rlimit(TextWriter& out, const rlimit64& limit) {
  Fields fields(out);
  write_limit(fields.field("rlim_cur"), limit.rlim_cur);
  write_limit(fields.field("rlim_max"), limit.rlim_max);
  fields.end();
}

void print_wait_status(TextWriter& out, const std::uint32_t& status) {
  const std::uint32_t signal = status & 0x7f;
  out.put('[');
  if (status == 0xffff) {
    out.text("continued");
  } else if (signal == 0) {
    out.text("exited ").unsigned_decimal(status >> 8 & 0xff);
  } else if ((status & 0xff) == 0x7f) {
    write_signal(out.text("stopped by "), status >> 8 & 0xff);
  } else {
    write_signal(out.text("killed by "), signal);
    if ((status & 0x80) != 0) out.text(", core dumped");
  }
  out.put(']');
}
void print_sched_param(TextWriter& out, const std::int32_t& priority) { out.put('[').decimal(priority).put(']'); }
void print_sched_attr(TextWriter& out, const sched_attr& attributes) {
  Fields(out)
      .count("size", attributes.size)
      .value("sched_policy", ValueSet::scheduler_policy, attributes.sched_policy)
      .hex("sched_flags", attributes.sched_flags)
      .number("sched_nice", attributes.sched_nice)
      .count("sched_priority", attributes.sched_priority)
      .end_cut();
}
void print_clone_args(TextWriter& out, const clone_args& arguments) {
  Fields fields(out);
  fields.value("flags", ValueSet::clone_flags, arguments.flags);
  if (arguments.pidfd != 0) fields.address("pidfd", arguments.pidfd);
  if (arguments.child_tid != 0) fields.address("child_tid", arguments.child_tid);
  if (arguments.parent_tid != 0) fields.address("parent_tid", arguments.parent_tid);
  fields.signal("exit_signal", static_cast<std::int64_t>(arguments.exit_signal));
  fields.address("stack", arguments.stack).hex("stack_size", arguments.stack_size);
  if (arguments.tls != 0) fields.address("tls", arguments.tls);
  fields.end();
}
void print_futex_waitv(TextWriter& out, const futex_waitv& wait) {
  Fields(out)
      .hex("val", wait.val)
      .address("uaddr", wait.uaddr)
      .value("flags", ValueSet::futex2_flags, wait.flags)
      .end();
}
void print_sembuf(TextWriter& out, const sembuf& operation) {
  Fields(out)
      .count("sem_num", operation.sem_num)
      .number("sem_op", operation.sem_op)
      .value("sem_flg", ValueSet::ipc_flags, static_cast<std::uint16_t>(operation.sem_flg))
      .end();
}

struct CapHeader {
  std::uint32_t version;
  std::int32_t pid;
};
void print_cap_header(TextWriter& out, const CapHeader& header) {
  Fields(out).hex("version", header.version).number("pid", header.pid).end();
}
struct CapData {  // version 3: low and high halves
  std::uint32_t effective, permitted, inheritable;
  std::uint32_t effective_high, permitted_high, inheritable_high;
};
void print_cap_data(TextWriter& out, const CapData& data) {
  Fields(out)
      .hex("effective", std::uint64_t{data.effective_high} << 32 | data.effective)
      .hex("permitted", std::uint64_t{data.permitted_high} << 32 | data.permitted)
      .hex("inheritable", std::uint64_t{data.inheritable_high} << 32 | data.inheritable)
      .end();
}

// --- signals

void print_sigset(TextWriter& out, const std::uint64_t& set) { write_signal_set(out, set); }
struct SigsetArgument {
  std::uint64_t set, size;
};
void print_sigset_argument(TextWriter& out, const SigsetArgument& argument) {
  Fields fields(out);
  write_structure_or_address(fields.field("sigmask"), Structure::sigset, argument.set);
  fields.count("sigsetsize", argument.size).end();
}
void print_sigaction(TextWriter& out, const KernelSigAction& action) {
  Fields fields(out);
  if (action.handler <= kSigIgnore) {
    fields.field("sa_handler").text(action.handler == kSigDefault ? "SIG_DFL" : "SIG_IGN");
  } else {
    fields.address((action.flags & kSaSigInfo) != 0 ? "sa_sigaction" : "sa_handler", action.handler);
  }
  fields.signals("sa_mask", action.mask).value("sa_flags", ValueSet::signal_action_flags, action.flags);
  if ((action.flags & kSaRestorer) != 0) fields.address("sa_restorer", action.restorer);
  fields.end();
}
void print_siginfo(TextWriter& out, const SigInfo& info) { write_signal_info(out, &info); }
void print_signal_stack(TextWriter& out, const KernelStack& stack) {
  Fields fields(out);
  fields.address("ss_sp", stack.base);
  stack.flags == 0 ? fields.number("ss_flags", 0)
                   : fields.value("ss_flags", ValueSet::signal_stack_flags, static_cast<std::uint32_t>(stack.flags));
  fields.count("ss_size", stack.size).end();
}
struct SigEvent {
  std::uint64_t value;
  std::int32_t signal, notify, thread;
};
void print_sigevent(TextWriter& out, const SigEvent& event) {
  Fields fields(out);
  fields.hex("sigev_value", event.value).signal("sigev_signo", event.signal);
  fields.value("sigev_notify", ValueSet::sigev_notify, static_cast<std::uint32_t>(event.notify));
  constexpr std::int32_t kThreadId = 4;
  if (event.notify == kThreadId) fields.number("sigev_notify_thread_id", event.thread);
  fields.end();
}

// --- the table

// A size smaller than the structure is an older version of it: the missing fields are 0.
template <typename T, void (*kPrint)(TextWriter&, const T&)>
bool decode(TextWriter& out, GuestAddr address, std::uint64_t size) {
  T value{};
  if (copy_from_guest(&value, address, size < sizeof(T) ? size : sizeof(T)) != 0) return false;
  kPrint(out, value);
  return true;
}

using StructureWriter = bool (*)(TextWriter& out, GuestAddr address, std::uint64_t size);

struct StructureTable {
  StructureWriter writers[sizeof(kStructureSizes) / sizeof(kStructureSizes[0])];
};

consteval StructureTable build_structures() {
  using enum Structure;
  StructureTable table{};
  const auto set = [&table](Structure structure, StructureWriter writer) {
    table.writers[static_cast<std::size_t>(structure)] = writer;
  };
  set(int32, &decode<std::int32_t, print_int>);
  set(uint32, &decode<std::uint32_t, print_uint>);
  set(user_id, &decode<std::uint32_t, print_uint>);
  set(cpu_id, &decode<std::uint32_t, print_uint>);
  set(uint64, &decode<std::uint64_t, print_uint64>);
  set(file_offset, &decode<std::int64_t, print_offset>);
  set(pointer, &decode<std::uint64_t, print_pointer>);
  set(fd_pair, &decode<FdPair, print_fd_pair>);
  set(timespec, &decode<__kernel_timespec, print_timespec>);
  set(timeval, &decode<__kernel_old_timeval, print_timeval>);
  set(itimerval, &decode<__kernel_old_itimerval, print_itimerval>);
  set(itimerspec, &decode<__kernel_itimerspec, print_itimerspec>);
  set(timezone, &decode<TimeZone, print_timezone>);
  set(Structure::tms, &decode<struct tms, print_times>);
  set(Structure::utimbuf, &decode<struct utimbuf, print_utimbuf>);
  set(stat_buffer, &decode<struct stat, print_stat>);
  set(statx_buffer, &decode<struct statx, print_statx>);
  set(statfs_buffer, &decode<struct statfs, print_statfs>);
  set(Structure::open_how, &decode<struct open_how, print_open_how>);
  set(Structure::pollfd, &decode<struct pollfd, print_poll>);
  set(Structure::epoll_event, &decode<struct epoll_event, print_epoll_event>);
  set(Structure::mq_attr, &decode<struct mq_attr, print_mq_attr>);
  set(utsname, &decode<new_utsname, print_utsname>);
  set(sysinfo_buffer, &decode<struct sysinfo, print_sysinfo>);
  set(Structure::rusage, &decode<struct rusage, print_rusage>);
  set(rlimit, &decode<rlimit64, print_rlimit>);
  set(wait_status, &decode<std::uint32_t, print_wait_status>);
  set(Structure::sched_param, &decode<std::int32_t, print_sched_param>);
  set(Structure::sched_attr, &decode<struct sched_attr, print_sched_attr>);
  set(Structure::clone_args, &decode<struct clone_args, print_clone_args>);
  set(futex_waitv_entry, &decode<futex_waitv, print_futex_waitv>);
  set(Structure::sembuf, &decode<struct sembuf, print_sembuf>);
  set(cap_header, &decode<CapHeader, print_cap_header>);
  set(cap_data, &decode<CapData, print_cap_data>);
  set(sigset, &decode<std::uint64_t, print_sigset>);
  set(sigset_argument, &decode<SigsetArgument, print_sigset_argument>);
  set(sigaction, &decode<KernelSigAction, print_sigaction>);
  set(siginfo, &decode<SigInfo, print_siginfo>);
  set(signal_stack, &decode<KernelStack, print_signal_stack>);
  set(sigevent, &decode<SigEvent, print_sigevent>);
  return table;
}

constinit const StructureTable kStructures = build_structures();

struct CodeNames {
  std::int32_t signal;
  NamedValue names[9];
};
constexpr CodeNames kCodes[] = {
    {4, {{1, "ILL_ILLOPC"}, {2, "ILL_ILLOPN"}, {3, "ILL_ILLADR"}, {4, "ILL_ILLTRP"}, {5, "ILL_PRVOPC"}}},
    {5, {{1, "TRAP_BRKPT"}, {2, "TRAP_TRACE"}, {3, "TRAP_BRANCH"}, {4, "TRAP_HWBKPT"}}},
    {7, {{1, "BUS_ADRALN"}, {2, "BUS_ADRERR"}, {3, "BUS_OBJERR"}, {4, "BUS_MCEERR_AR"}, {5, "BUS_MCEERR_AO"}}},
    {8,
     {{1, "FPE_INTDIV"},
      {2, "FPE_INTOVF"},
      {3, "FPE_FLTDIV"},
      {4, "FPE_FLTOVF"},
      {5, "FPE_FLTUND"},
      {6, "FPE_FLTRES"},
      {7, "FPE_FLTINV"},
      {8, "FPE_FLTSUB"}}},
    {11, {{1, "SEGV_MAPERR"}, {2, "SEGV_ACCERR"}, {3, "SEGV_BNDERR"}, {4, "SEGV_PKUERR"}}},
    {17,
     {{1, "CLD_EXITED"},
      {2, "CLD_KILLED"},
      {3, "CLD_DUMPED"},
      {4, "CLD_TRAPPED"},
      {5, "CLD_STOPPED"},
      {6, "CLD_CONTINUED"}}},
    {31, {{1, "SYS_SECCOMP"}, {2, "SYS_USER_DISPATCH"}}},
};

void write_signal_code(TextWriter& out, std::int32_t signal, std::int32_t code) {
  for (const CodeNames& codes : kCodes) {
    if (codes.signal != signal || code <= 0) continue;
    for (const NamedValue& name : codes.names) {
      if (name.name != nullptr && static_cast<std::int32_t>(name.value) == code) {
        out.text(name.name);
        return;
      }
    }
  }
  const char* name = find_name(ValueSet::signal_code, static_cast<std::uint32_t>(code));
  name != nullptr ? out.text(name) : out.decimal(code);
}

// The union of siginfo_t that the kernel fills for this signal (sigaction(2)).
template <typename T>
T info_field(const SigInfo& info, std::size_t offset) {
  T value;
  __builtin_memcpy(&value, info.fields + offset, sizeof(value));
  return value;
}

void write_signal_details(Fields& fields, const SigInfo& info) {
  constexpr std::int32_t kTimer = -2, kKernel = 0x80, kChild = 17;
  const bool is_fault = info.code > 0 && info.code < kKernel;
  if (is_fault && (info.signal == 4 || info.signal == 5 || info.signal == 7 || info.signal == 8 || info.signal == 11)) {
    fields.address("si_addr", info_field<std::uint64_t>(info, 0));
  } else if (is_fault && info.signal == kChild) {
    fields.number("si_pid", info_field<std::int32_t>(info, 0)).count("si_uid", info_field<std::uint32_t>(info, 4));
    const auto status = info_field<std::int32_t>(info, 8);
    info.code == 1 ? fields.number("si_status", status) : fields.signal("si_status", status);
  } else if (info.code == kTimer) {
    fields.number("si_timerid", info_field<std::int32_t>(info, 0));
    fields.number("si_overrun", info_field<std::int32_t>(info, 4));
  } else if (info.code <= 0) {
    fields.number("si_pid", info_field<std::int32_t>(info, 0)).count("si_uid", info_field<std::uint32_t>(info, 4));
  }
}

}  // namespace

bool write_structure(TextWriter& out, Structure structure, GuestAddr address, std::uint64_t size) {
  const StructureWriter writer = kStructures.writers[static_cast<std::size_t>(structure)];
  return writer != nullptr && writer(out, address, size);
}

void write_structure_or_address(TextWriter& out, Structure structure, std::uint64_t address) {
  if (address == 0 || !write_structure(out, structure, guest(address), structure_size(structure))) {
    write_address(out, address);
  }
}

void write_device(TextWriter& out, std::uint64_t device) {
  const std::uint64_t major = (device >> 8 & 0xfff) | (device >> 32 & ~std::uint64_t{0xfff});
  const std::uint64_t minor = (device & 0xff) | (device >> 12 & 0xffffff00);
  out.text("makedev(").hex(major).text(", ").hex(minor).put(')');
}

// More than half of all signals: the complement is what one wants to read.
void write_signal_set(TextWriter& out, std::uint64_t set) {
  unsigned count = 0;
  for (std::uint64_t rest = set; rest != 0; rest &= rest - 1) count++;  // the builtin would be a libgcc call
  const bool inverted = count > 32;
  if (inverted) {
    out.put('~');
    set = ~set;
  }
  out.put('[');
  bool first = true;
  for (int signal = 1; signal <= kSignalCount; signal++) {
    if ((set & signal_bit(signal)) == 0) continue;
    if (!first) out.put(' ');
    write_signal(out, static_cast<std::uint64_t>(signal));
    first = false;
  }
  out.put(']');
}

void write_signal_info(TextWriter& out, const void* bytes) {
  SigInfo info;
  __builtin_memcpy(&info, bytes, sizeof(info));
  Fields fields(out);
  fields.signal("si_signo", info.signal);
  write_signal_code(fields.field("si_code"), info.signal, info.code);
  if (info.error != 0) fields.number("si_errno", info.error);
  write_signal_details(fields, info);
  fields.end();
}

}  // namespace casemate::runtime
