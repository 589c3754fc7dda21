// Flags and constants of processes, signals, time and scheduling. Values come from the kernel's own headers; numbers
// stand only where those of Debian 12 (Linux 6.1) do not know the name.
#include "runtime/table/value_names.h"

#include <asm/prctl.h>
#include <linux/bpf.h>
#include <linux/futex.h>
#include <linux/keyctl.h>
#include <linux/membarrier.h>
#include <linux/pidfd.h>
#include <linux/prctl.h>
#include <linux/ptrace.h>
#include <linux/random.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/signal.h>
#include <linux/time.h>
#include <linux/wait.h>

namespace casemate::runtime::value_tables {
namespace {

#define N(constant) \
  { static_cast<std::uint64_t>(constant), #constant }

constexpr NamedValue kSignalNumberChoices[] = {
    N(SIGHUP),  N(SIGINT),    N(SIGQUIT), N(SIGILL),   N(SIGTRAP), N(SIGABRT), N(SIGBUS),  N(SIGFPE),
    N(SIGKILL), N(SIGUSR1),   N(SIGSEGV), N(SIGUSR2),  N(SIGPIPE), N(SIGALRM), N(SIGTERM), N(SIGSTKFLT),
    N(SIGCHLD), N(SIGCONT),   N(SIGSTOP), N(SIGTSTP),  N(SIGTTIN), N(SIGTTOU), N(SIGURG),  N(SIGXCPU),
    N(SIGXFSZ), N(SIGVTALRM), N(SIGPROF), N(SIGWINCH), N(SIGIO),   N(SIGPWR),  N(SIGSYS)};

constexpr NamedValue kSignalHowChoices[] = {N(SIG_BLOCK), N(SIG_UNBLOCK), N(SIG_SETMASK)};

constexpr NamedValue kSignalActionFlagsFlags[] = {N(SA_NOCLDSTOP),   N(SA_NOCLDWAIT),      N(SA_SIGINFO),
                                                  N(SA_UNSUPPORTED), N(SA_EXPOSE_TAGBITS), {0x04000000, "SA_RESTORER"},
                                                  N(SA_ONSTACK),     N(SA_RESTART),        N(SA_NODEFER),
                                                  N(SA_RESETHAND)};

constexpr NamedValue kSignalStackFlagsFlags[] = {N(SS_ONSTACK), N(SS_DISABLE), N(SS_AUTODISARM)};

constexpr NamedValue kSignalCodeChoices[] = {N(SI_USER),    N(SI_KERNEL), N(SI_QUEUE), N(SI_TIMER),    N(SI_MESGQ),
                                             N(SI_ASYNCIO), N(SI_SIGIO),  N(SI_TKILL), N(SI_DETHREAD), N(SI_ASYNCNL)};

constexpr NamedValue kSigevNotifyChoices[] = {N(SIGEV_SIGNAL), N(SIGEV_NONE), N(SIGEV_THREAD), N(SIGEV_THREAD_ID)};

constexpr NamedValue kFutexOperationChoices[] = {
    N(FUTEX_WAIT),           N(FUTEX_WAKE),        N(FUTEX_FD),          N(FUTEX_REQUEUE),
    N(FUTEX_CMP_REQUEUE),    N(FUTEX_WAKE_OP),     N(FUTEX_LOCK_PI),     N(FUTEX_UNLOCK_PI),
    N(FUTEX_TRYLOCK_PI),     N(FUTEX_WAIT_BITSET), N(FUTEX_WAKE_BITSET), N(FUTEX_WAIT_REQUEUE_PI),
    N(FUTEX_CMP_REQUEUE_PI), N(FUTEX_LOCK_PI2)};

constexpr NamedValue kFutexOperationFlags[] = {N(FUTEX_PRIVATE_FLAG), N(FUTEX_CLOCK_REALTIME)};

constexpr NamedValue kFutex2FlagsChoices[] = {
    {0, "FUTEX2_SIZE_U8"}, {1, "FUTEX2_SIZE_U16"}, {2, "FUTEX2_SIZE_U32"}, {3, "FUTEX2_SIZE_U64"}};

constexpr NamedValue kFutex2FlagsFlags[] = {{4, "FUTEX2_NUMA"}, {8, "FUTEX2_MPOL"}, {128, "FUTEX2_PRIVATE"}};

constexpr NamedValue kCloneFlagsFlags[] = {N(CLONE_VM),
                                           N(CLONE_FS),
                                           N(CLONE_FILES),
                                           N(CLONE_SIGHAND),
                                           N(CLONE_PIDFD),
                                           N(CLONE_PTRACE),
                                           N(CLONE_VFORK),
                                           N(CLONE_PARENT),
                                           N(CLONE_THREAD),
                                           N(CLONE_NEWNS),
                                           N(CLONE_SYSVSEM),
                                           N(CLONE_SETTLS),
                                           N(CLONE_PARENT_SETTID),
                                           N(CLONE_CHILD_CLEARTID),
                                           N(CLONE_DETACHED),
                                           N(CLONE_UNTRACED),
                                           N(CLONE_CHILD_SETTID),
                                           N(CLONE_NEWCGROUP),
                                           N(CLONE_NEWUTS),
                                           N(CLONE_NEWIPC),
                                           N(CLONE_NEWUSER),
                                           N(CLONE_NEWPID),
                                           N(CLONE_NEWNET),
                                           N(CLONE_IO),
                                           N(CLONE_CLEAR_SIGHAND),
                                           N(CLONE_INTO_CGROUP),
                                           N(CLONE_NEWTIME)};

constexpr NamedValue kWaitOptionsFlags[] = {N(WNOHANG), N(WUNTRACED),   N(WEXITED), N(WCONTINUED),
                                            N(WNOWAIT), N(__WNOTHREAD), N(__WALL),  N(__WCLONE)};

constexpr NamedValue kWaitIdTypeChoices[] = {N(P_ALL), N(P_PID), N(P_PGID), N(P_PIDFD)};

constexpr NamedValue kPrctlOptionChoices[] = {N(PR_SET_PDEATHSIG),
                                              N(PR_GET_PDEATHSIG),
                                              N(PR_GET_DUMPABLE),
                                              N(PR_SET_DUMPABLE),
                                              N(PR_GET_UNALIGN),
                                              N(PR_SET_UNALIGN),
                                              N(PR_GET_KEEPCAPS),
                                              N(PR_SET_KEEPCAPS),
                                              N(PR_GET_TIMING),
                                              N(PR_SET_TIMING),
                                              N(PR_SET_NAME),
                                              N(PR_GET_NAME),
                                              N(PR_GET_ENDIAN),
                                              N(PR_SET_ENDIAN),
                                              N(PR_GET_SECCOMP),
                                              N(PR_SET_SECCOMP),
                                              N(PR_CAPBSET_READ),
                                              N(PR_CAPBSET_DROP),
                                              N(PR_GET_TSC),
                                              N(PR_SET_TSC),
                                              N(PR_GET_SECUREBITS),
                                              N(PR_SET_SECUREBITS),
                                              N(PR_SET_TIMERSLACK),
                                              N(PR_GET_TIMERSLACK),
                                              N(PR_TASK_PERF_EVENTS_DISABLE),
                                              N(PR_TASK_PERF_EVENTS_ENABLE),
                                              N(PR_MCE_KILL),
                                              N(PR_MCE_KILL_GET),
                                              N(PR_SET_MM),
                                              N(PR_SET_PTRACER),
                                              N(PR_SET_CHILD_SUBREAPER),
                                              N(PR_GET_CHILD_SUBREAPER),
                                              N(PR_SET_NO_NEW_PRIVS),
                                              N(PR_GET_NO_NEW_PRIVS),
                                              N(PR_GET_TID_ADDRESS),
                                              N(PR_SET_THP_DISABLE),
                                              N(PR_GET_THP_DISABLE),
                                              N(PR_CAP_AMBIENT),
                                              N(PR_GET_SPECULATION_CTRL),
                                              N(PR_SET_SPECULATION_CTRL),
                                              N(PR_SET_IO_FLUSHER),
                                              N(PR_GET_IO_FLUSHER),
                                              N(PR_SET_SYSCALL_USER_DISPATCH),
                                              N(PR_SCHED_CORE),
                                              {65, "PR_SET_MDWE"},
                                              {66, "PR_GET_MDWE"},
                                              {67, "PR_SET_MEMORY_MERGE"},
                                              {68, "PR_GET_MEMORY_MERGE"},
                                              N(PR_SET_VMA),
                                              {0x41555856, "PR_GET_AUXV"}};

constexpr NamedValue kArchPrctlOptionChoices[] = {N(ARCH_SET_GS),
                                                  N(ARCH_SET_FS),
                                                  N(ARCH_GET_FS),
                                                  N(ARCH_GET_GS),
                                                  N(ARCH_GET_CPUID),
                                                  N(ARCH_SET_CPUID),
                                                  N(ARCH_GET_XCOMP_SUPP),
                                                  N(ARCH_GET_XCOMP_PERM),
                                                  N(ARCH_REQ_XCOMP_PERM),
                                                  N(ARCH_GET_XCOMP_GUEST_PERM),
                                                  N(ARCH_REQ_XCOMP_GUEST_PERM),
                                                  N(ARCH_MAP_VDSO_X32),
                                                  N(ARCH_MAP_VDSO_32),
                                                  N(ARCH_MAP_VDSO_64),
                                                  {0x4001, "ARCH_GET_UNTAG_MASK"},
                                                  {0x4002, "ARCH_ENABLE_TAGGED_ADDR"},
                                                  {0x5001, "ARCH_SHSTK_ENABLE"},
                                                  {0x5002, "ARCH_SHSTK_DISABLE"},
                                                  {0x5003, "ARCH_SHSTK_LOCK"},
                                                  {0x5004, "ARCH_SHSTK_UNLOCK"},
                                                  {0x5005, "ARCH_SHSTK_STATUS"}};

constexpr NamedValue kResourceChoices[] = {N(RLIMIT_CPU),      N(RLIMIT_FSIZE), N(RLIMIT_DATA),   N(RLIMIT_STACK),
                                           N(RLIMIT_CORE),     N(RLIMIT_RSS),   N(RLIMIT_NPROC),  N(RLIMIT_NOFILE),
                                           N(RLIMIT_MEMLOCK),  N(RLIMIT_AS),    N(RLIMIT_LOCKS),  N(RLIMIT_SIGPENDING),
                                           N(RLIMIT_MSGQUEUE), N(RLIMIT_NICE),  N(RLIMIT_RTPRIO), N(RLIMIT_RTTIME)};

constexpr NamedValue kRusageWhoChoices[] = {N(RUSAGE_SELF), N(RUSAGE_CHILDREN), N(RUSAGE_THREAD)};

constexpr NamedValue kPriorityWhichChoices[] = {N(PRIO_PROCESS), N(PRIO_PGRP), N(PRIO_USER)};

constexpr NamedValue kSchedulerPolicyChoices[] = {
    {0, "SCHED_OTHER"}, N(SCHED_FIFO), N(SCHED_RR), N(SCHED_BATCH), N(SCHED_IDLE), N(SCHED_DEADLINE), {7, "SCHED_EXT"}};

constexpr NamedValue kSchedulerPolicyFlags[] = {N(SCHED_RESET_ON_FORK)};

constexpr NamedValue kClockChoices[] = {N(CLOCK_REALTIME),
                                        N(CLOCK_MONOTONIC),
                                        N(CLOCK_PROCESS_CPUTIME_ID),
                                        N(CLOCK_THREAD_CPUTIME_ID),
                                        N(CLOCK_MONOTONIC_RAW),
                                        N(CLOCK_REALTIME_COARSE),
                                        N(CLOCK_MONOTONIC_COARSE),
                                        N(CLOCK_BOOTTIME),
                                        N(CLOCK_REALTIME_ALARM),
                                        N(CLOCK_BOOTTIME_ALARM),
                                        N(CLOCK_TAI)};

constexpr NamedValue kClockFlagsFlags[] = {N(TIMER_ABSTIME)};

constexpr NamedValue kItimerWhichChoices[] = {N(ITIMER_REAL), N(ITIMER_VIRTUAL), N(ITIMER_PROF)};

constexpr NamedValue kMembarrierCommandChoices[] = {N(MEMBARRIER_CMD_QUERY),
                                                    N(MEMBARRIER_CMD_GLOBAL),
                                                    N(MEMBARRIER_CMD_GLOBAL_EXPEDITED),
                                                    N(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED),
                                                    N(MEMBARRIER_CMD_PRIVATE_EXPEDITED),
                                                    N(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED),
                                                    N(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE),
                                                    N(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE),
                                                    N(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ),
                                                    N(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ),
                                                    {512, "MEMBARRIER_CMD_GET_REGISTRATIONS"}};

constexpr NamedValue kSeccompOperationChoices[] = {N(SECCOMP_SET_MODE_STRICT), N(SECCOMP_SET_MODE_FILTER),
                                                   N(SECCOMP_GET_ACTION_AVAIL), N(SECCOMP_GET_NOTIF_SIZES)};

constexpr NamedValue kPtraceRequestChoices[] = {
    N(PTRACE_TRACEME),        N(PTRACE_PEEKTEXT),        N(PTRACE_PEEKDATA),     N(PTRACE_PEEKUSR),
    N(PTRACE_POKETEXT),       N(PTRACE_POKEDATA),        N(PTRACE_POKEUSR),      N(PTRACE_CONT),
    N(PTRACE_KILL),           N(PTRACE_SINGLESTEP),      {12, "PTRACE_GETREGS"}, {13, "PTRACE_SETREGS"},
    {14, "PTRACE_GETFPREGS"}, {15, "PTRACE_SETFPREGS"},  N(PTRACE_ATTACH),       N(PTRACE_DETACH),
    N(PTRACE_SYSCALL),        N(PTRACE_SETOPTIONS),      N(PTRACE_GETEVENTMSG),  N(PTRACE_GETSIGINFO),
    N(PTRACE_SETSIGINFO),     N(PTRACE_GETREGSET),       N(PTRACE_SETREGSET),    N(PTRACE_SEIZE),
    N(PTRACE_INTERRUPT),      N(PTRACE_LISTEN),          N(PTRACE_PEEKSIGINFO),  N(PTRACE_GETSIGMASK),
    N(PTRACE_SETSIGMASK),     N(PTRACE_GET_SYSCALL_INFO)};

constexpr NamedValue kRandomFlagsFlags[] = {N(GRND_NONBLOCK), N(GRND_RANDOM), N(GRND_INSECURE)};

constexpr NamedValue kPidfdFlagsFlags[] = {{O_EXCL, "PIDFD_THREAD"}, N(PIDFD_NONBLOCK)};

constexpr NamedValue kKeyctlOperationChoices[] = {N(KEYCTL_GET_KEYRING_ID),
                                                  N(KEYCTL_JOIN_SESSION_KEYRING),
                                                  N(KEYCTL_UPDATE),
                                                  N(KEYCTL_REVOKE),
                                                  N(KEYCTL_CHOWN),
                                                  N(KEYCTL_SETPERM),
                                                  N(KEYCTL_DESCRIBE),
                                                  N(KEYCTL_CLEAR),
                                                  N(KEYCTL_LINK),
                                                  N(KEYCTL_UNLINK),
                                                  N(KEYCTL_SEARCH),
                                                  N(KEYCTL_READ),
                                                  N(KEYCTL_INSTANTIATE),
                                                  N(KEYCTL_NEGATE),
                                                  N(KEYCTL_SET_REQKEY_KEYRING),
                                                  N(KEYCTL_SET_TIMEOUT),
                                                  N(KEYCTL_ASSUME_AUTHORITY),
                                                  N(KEYCTL_GET_SECURITY),
                                                  N(KEYCTL_SESSION_TO_PARENT),
                                                  N(KEYCTL_REJECT),
                                                  N(KEYCTL_INVALIDATE),
                                                  N(KEYCTL_GET_PERSISTENT),
                                                  N(KEYCTL_RESTRICT_KEYRING),
                                                  N(KEYCTL_MOVE),
                                                  N(KEYCTL_CAPABILITIES),
                                                  N(KEYCTL_WATCH_KEY)};

constexpr NamedValue kBpfCommandChoices[] = {
    N(BPF_MAP_CREATE),       N(BPF_MAP_LOOKUP_ELEM),     N(BPF_MAP_UPDATE_ELEM), N(BPF_MAP_DELETE_ELEM),
    N(BPF_MAP_GET_NEXT_KEY), N(BPF_PROG_LOAD),           N(BPF_OBJ_PIN),         N(BPF_OBJ_GET),
    N(BPF_PROG_ATTACH),      N(BPF_PROG_DETACH),         N(BPF_PROG_TEST_RUN),   N(BPF_OBJ_GET_INFO_BY_FD),
    N(BPF_PROG_QUERY),       N(BPF_RAW_TRACEPOINT_OPEN), N(BPF_BTF_LOAD),        N(BPF_MAP_FREEZE),
    N(BPF_LINK_CREATE),      N(BPF_LINK_UPDATE),         N(BPF_ITER_CREATE),     N(BPF_LINK_DETACH)};

#undef N

}  // namespace

constinit const ValueNames signal_number = choices(kSignalNumberChoices);
constinit const ValueNames signal_how = choices(kSignalHowChoices);
constinit const ValueNames signal_action_flags = flags(kSignalActionFlagsFlags);
constinit const ValueNames signal_stack_flags = flags(kSignalStackFlagsFlags);
constinit const ValueNames signal_code = choices(kSignalCodeChoices);
constinit const ValueNames sigev_notify = choices(kSigevNotifyChoices);
constinit const ValueNames futex_operation =
    choice_and_flags(FUTEX_CMD_MASK, kFutexOperationChoices, kFutexOperationFlags);
constinit const ValueNames futex2_flags = choice_and_flags(3, kFutex2FlagsChoices, kFutex2FlagsFlags);
constinit const ValueNames clone_flags = flags(kCloneFlagsFlags);
constinit const ValueNames wait_options = flags(kWaitOptionsFlags);
constinit const ValueNames wait_id_type = choices(kWaitIdTypeChoices);
constinit const ValueNames prctl_option = choices(kPrctlOptionChoices);
constinit const ValueNames arch_prctl_option = choices(kArchPrctlOptionChoices);
constinit const ValueNames resource = choices(kResourceChoices);
constinit const ValueNames rusage_who = choices(kRusageWhoChoices);
constinit const ValueNames priority_which = choices(kPriorityWhichChoices);
constinit const ValueNames scheduler_policy = choice_and_flags(0xff, kSchedulerPolicyChoices, kSchedulerPolicyFlags);
constinit const ValueNames clock = choices(kClockChoices);
constinit const ValueNames clock_flags = flags(kClockFlagsFlags);
constinit const ValueNames itimer_which = choices(kItimerWhichChoices);
constinit const ValueNames membarrier_command = choices(kMembarrierCommandChoices);
constinit const ValueNames seccomp_operation = choices(kSeccompOperationChoices);
constinit const ValueNames ptrace_request = choices(kPtraceRequestChoices);
constinit const ValueNames random_flags = flags(kRandomFlagsFlags);
constinit const ValueNames pidfd_flags = flags(kPidfdFlagsFlags);
constinit const ValueNames keyctl_operation = choices(kKeyctlOperationChoices);
constinit const ValueNames bpf_command = choices(kBpfCommandChoices);

}  // namespace casemate::runtime::value_tables
