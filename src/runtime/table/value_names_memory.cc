// Flags and constants of memory, System V IPC and ioctl. Values come from the kernel's own headers.
#include "runtime/table/value_names.h"

#include <asm/ioctls.h>
#include <linux/fs.h>
#include <linux/ipc.h>
#include <linux/memfd.h>
#include <linux/mempolicy.h>
#include <linux/mman.h>
#include <linux/msg.h>
#include <linux/sem.h>
#include <linux/shm.h>
#include <linux/sockios.h>

namespace casemate::runtime::value_tables {
namespace {

#define N(constant) \
  { static_cast<std::uint64_t>(constant), #constant }

constexpr NamedValue kProtFlags[] = {N(PROT_NONE), N(PROT_READ),      N(PROT_WRITE),  N(PROT_EXEC),
                                     N(PROT_SEM),  N(PROT_GROWSDOWN), N(PROT_GROWSUP)};

constexpr NamedValue kMapFlagsChoices[] = {N(MAP_SHARED), N(MAP_PRIVATE), N(MAP_SHARED_VALIDATE)};

constexpr NamedValue kMapFlagsFlags[] = {N(MAP_FIXED),     N(MAP_ANONYMOUS),      N(MAP_32BIT),  N(MAP_GROWSDOWN),
                                         N(MAP_DENYWRITE), N(MAP_EXECUTABLE),     N(MAP_LOCKED), N(MAP_NORESERVE),
                                         N(MAP_POPULATE),  N(MAP_NONBLOCK),       N(MAP_STACK),  N(MAP_HUGETLB),
                                         N(MAP_SYNC),      N(MAP_FIXED_NOREPLACE)};

constexpr NamedValue kRemapFlagsFlags[] = {N(MREMAP_MAYMOVE), N(MREMAP_FIXED), N(MREMAP_DONTUNMAP)};

constexpr NamedValue kMsyncFlagsFlags[] = {N(MS_ASYNC), N(MS_INVALIDATE), N(MS_SYNC)};

constexpr NamedValue kMadviseAdviceChoices[] = {N(MADV_NORMAL),
                                                N(MADV_RANDOM),
                                                N(MADV_SEQUENTIAL),
                                                N(MADV_WILLNEED),
                                                N(MADV_DONTNEED),
                                                N(MADV_FREE),
                                                N(MADV_REMOVE),
                                                N(MADV_DONTFORK),
                                                N(MADV_DOFORK),
                                                N(MADV_HWPOISON),
                                                N(MADV_SOFT_OFFLINE),
                                                N(MADV_MERGEABLE),
                                                N(MADV_UNMERGEABLE),
                                                N(MADV_HUGEPAGE),
                                                N(MADV_NOHUGEPAGE),
                                                N(MADV_DONTDUMP),
                                                N(MADV_DODUMP),
                                                N(MADV_WIPEONFORK),
                                                N(MADV_KEEPONFORK),
                                                N(MADV_COLD),
                                                N(MADV_PAGEOUT),
                                                N(MADV_POPULATE_READ),
                                                N(MADV_POPULATE_WRITE),
                                                N(MADV_DONTNEED_LOCKED),
                                                N(MADV_COLLAPSE),
                                                {102, "MADV_GUARD_INSTALL"},
                                                {103, "MADV_GUARD_REMOVE"}};

constexpr NamedValue kMlockFlagsFlags[] = {N(MLOCK_ONFAULT)};

constexpr NamedValue kMlockallFlagsFlags[] = {N(MCL_CURRENT), N(MCL_FUTURE), N(MCL_ONFAULT)};

constexpr NamedValue kMemfdFlagsFlags[] = {
    N(MFD_CLOEXEC), N(MFD_ALLOW_SEALING), N(MFD_HUGETLB), {8, "MFD_NOEXEC_SEAL"}, {16, "MFD_EXEC"}};

constexpr NamedValue kIpcFlagsFlags[] = {N(IPC_CREAT),   N(IPC_EXCL),   N(IPC_NOWAIT),
                                         N(MSG_NOERROR), N(MSG_EXCEPT), N(MSG_COPY)};

constexpr NamedValue kIpcCommandChoices[] = {N(IPC_RMID),   N(IPC_SET),  N(IPC_STAT), N(IPC_INFO),     N(SHM_LOCK),
                                             N(SHM_UNLOCK), N(SHM_STAT), N(SHM_INFO), N(SHM_STAT_ANY), N(MSG_STAT),
                                             N(MSG_INFO),   N(GETPID),   N(GETVAL),   N(GETALL),       N(GETNCNT),
                                             N(GETZCNT),    N(SETVAL),   N(SETALL),   N(SEM_STAT),     N(SEM_INFO)};

constexpr NamedValue kShmatFlagsFlags[] = {N(SHM_RDONLY), N(SHM_RND), N(SHM_REMAP), N(SHM_EXEC)};

constexpr NamedValue kMemoryPolicyChoices[] = {N(MPOL_DEFAULT),
                                               N(MPOL_PREFERRED),
                                               N(MPOL_BIND),
                                               N(MPOL_INTERLEAVE),
                                               N(MPOL_LOCAL),
                                               N(MPOL_PREFERRED_MANY),
                                               {6, "MPOL_WEIGHTED_INTERLEAVE"}};

constexpr NamedValue kMemoryPolicyFlags[] = {N(MPOL_F_STATIC_NODES), N(MPOL_F_RELATIVE_NODES),
                                             N(MPOL_F_NUMA_BALANCING)};

constexpr NamedValue kMemoryPolicyFlagsFlags[] = {N(MPOL_MF_STRICT), N(MPOL_MF_MOVE), N(MPOL_MF_MOVE_ALL)};

constexpr NamedValue kIoctlRequestChoices[] = {N(TCGETS),
                                               N(TCSETS),
                                               N(TCSETSW),
                                               N(TCSETSF),
                                               N(TCGETA),
                                               N(TCSETA),
                                               N(TCSETAW),
                                               N(TCSETAF),
                                               N(TCSBRK),
                                               N(TCXONC),
                                               N(TCFLSH),
                                               N(TIOCEXCL),
                                               N(TIOCNXCL),
                                               N(TIOCSCTTY),
                                               N(TIOCGPGRP),
                                               N(TIOCSPGRP),
                                               N(TIOCOUTQ),
                                               N(TIOCSTI),
                                               N(TIOCGWINSZ),
                                               N(TIOCSWINSZ),
                                               N(TIOCMGET),
                                               N(TIOCMBIS),
                                               N(TIOCMBIC),
                                               N(TIOCMSET),
                                               N(TIOCGSOFTCAR),
                                               N(TIOCSSOFTCAR),
                                               N(FIONREAD),
                                               N(TIOCCONS),
                                               N(TIOCGSERIAL),
                                               N(TIOCSSERIAL),
                                               N(TIOCPKT),
                                               N(FIONBIO),
                                               N(TIOCNOTTY),
                                               N(TIOCSETD),
                                               N(TIOCGETD),
                                               N(TCSBRKP),
                                               N(TIOCSBRK),
                                               N(TIOCCBRK),
                                               N(TIOCGSID),
                                               {0x802c542a, "TCGETS2"},
                                               {0x402c542b, "TCSETS2"},
                                               {0x402c542c, "TCSETSW2"},
                                               {0x402c542d, "TCSETSF2"},
                                               N(TIOCGPTN),
                                               N(TIOCSPTLCK),
                                               N(TIOCGDEV),
                                               N(TIOCSIG),
                                               N(TIOCVHANGUP),
                                               N(TIOCGPKT),
                                               N(TIOCGPTLCK),
                                               N(TIOCGEXCL),
                                               N(TIOCGPTPEER),
                                               N(FIONCLEX),
                                               N(FIOCLEX),
                                               N(FIOASYNC),
                                               N(FIOQSIZE),
                                               N(SIOCOUTQNSD),
                                               N(SIOCGIFNAME),
                                               N(SIOCGIFCONF),
                                               N(SIOCGIFFLAGS),
                                               N(SIOCSIFFLAGS),
                                               N(SIOCGIFADDR),
                                               N(SIOCSIFADDR),
                                               N(SIOCGIFDSTADDR),
                                               N(SIOCGIFBRDADDR),
                                               N(SIOCGIFNETMASK),
                                               N(SIOCSIFNETMASK),
                                               N(SIOCGIFMETRIC),
                                               N(SIOCGIFMTU),
                                               N(SIOCSIFMTU),
                                               N(SIOCGIFHWADDR),
                                               N(SIOCGIFINDEX),
                                               N(SIOCGIFTXQLEN),
                                               N(SIOCETHTOOL),
                                               {0x8905, "SIOCATMARK"},
                                               {0x8902, "SIOCSPGRP"},
                                               {0x8904, "SIOCGPGRP"},
                                               N(FIBMAP),
                                               N(FIGETBSZ),
                                               N(FIFREEZE),
                                               N(FITHAW),
                                               N(FITRIM),
                                               N(FICLONE),
                                               N(FICLONERANGE),
                                               N(FIDEDUPERANGE),
                                               N(FS_IOC_GETFLAGS),
                                               N(FS_IOC_SETFLAGS),
                                               N(FS_IOC_GETVERSION),
                                               N(FS_IOC_FSGETXATTR),
                                               N(FS_IOC_FSSETXATTR),
                                               {0xc020660b, "FS_IOC_FIEMAP"},
                                               N(BLKROSET),
                                               N(BLKROGET),
                                               N(BLKGETSIZE),
                                               N(BLKFLSBUF),
                                               N(BLKSSZGET),
                                               N(BLKBSZGET),
                                               N(BLKGETSIZE64),
                                               N(BLKDISCARD),
                                               {0xb701, "NS_GET_USERNS"},
                                               {0xb702, "NS_GET_PARENT"},
                                               {0xb703, "NS_GET_NSTYPE"}};

#undef N

}  // namespace

constinit const ValueNames prot = flags(kProtFlags);
constinit const ValueNames map_flags = choice_and_flags(MAP_TYPE, kMapFlagsChoices, kMapFlagsFlags);
constinit const ValueNames remap_flags = flags(kRemapFlagsFlags);
constinit const ValueNames msync_flags = flags(kMsyncFlagsFlags);
constinit const ValueNames madvise_advice = choices(kMadviseAdviceChoices);
constinit const ValueNames mlock_flags = flags(kMlockFlagsFlags);
constinit const ValueNames mlockall_flags = flags(kMlockallFlagsFlags);
constinit const ValueNames memfd_flags = flags(kMemfdFlagsFlags);
constinit const ValueNames ipc_flags = flags(kIpcFlagsFlags);
constinit const ValueNames ipc_command = choices(kIpcCommandChoices);
constinit const ValueNames shmat_flags = flags(kShmatFlagsFlags);
constinit const ValueNames memory_policy = choice_and_flags(0xfff, kMemoryPolicyChoices, kMemoryPolicyFlags);
constinit const ValueNames memory_policy_flags = flags(kMemoryPolicyFlagsFlags);
constinit const ValueNames ioctl_request = choices(kIoctlRequestChoices);

}  // namespace casemate::runtime::value_tables
