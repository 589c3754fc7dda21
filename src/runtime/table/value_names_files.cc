// Flags and constants of files, descriptors and event files. Values come from the kernel's own headers; numbers stand
// only where those of Debian 12 (Linux 6.1) do not know the name yet.
#include "runtime/table/value_names.h"

#include <linux/close_range.h>
#include <linux/eventpoll.h>
#include <linux/fadvise.h>
#include <linux/falloc.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/inotify.h>
#include <linux/memfd.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/poll.h>
#include <linux/stat.h>
#include <linux/timerfd.h>
#include <linux/xattr.h>

namespace casemate::runtime::value_tables {
namespace {

#define N(constant) \
  { static_cast<std::uint64_t>(constant), #constant }

constexpr NamedValue kOpenFlagsChoices[] = {N(O_RDONLY), N(O_WRONLY), N(O_RDWR)};

constexpr NamedValue kOpenFlagsFlags[] = {{020200000, "O_TMPFILE"},
                                          {04010000, "O_SYNC"},
                                          N(O_CREAT),
                                          N(O_EXCL),
                                          N(O_NOCTTY),
                                          N(O_TRUNC),
                                          N(O_APPEND),
                                          N(O_NONBLOCK),
                                          N(O_DSYNC),
                                          {FASYNC, "O_ASYNC"},
                                          N(O_DIRECT),
                                          N(O_LARGEFILE),
                                          N(O_DIRECTORY),
                                          N(O_NOFOLLOW),
                                          N(O_NOATIME),
                                          N(O_CLOEXEC),
                                          N(O_PATH)};

constexpr NamedValue kAtFlagsFlags[] = {N(AT_SYMLINK_NOFOLLOW), N(AT_REMOVEDIR),  N(AT_SYMLINK_FOLLOW),
                                        N(AT_NO_AUTOMOUNT),     N(AT_EMPTY_PATH), N(AT_STATX_FORCE_SYNC),
                                        N(AT_STATX_DONT_SYNC),  N(AT_RECURSIVE)};

constexpr NamedValue kAccessModeFlags[] = {{0, "F_OK"}, {4, "R_OK"}, {2, "W_OK"}, {1, "X_OK"}};

constexpr NamedValue kWhenceChoices[] = {N(SEEK_SET), N(SEEK_CUR), N(SEEK_END), N(SEEK_DATA), N(SEEK_HOLE)};

constexpr NamedValue kFallocateModeFlags[] = {
    N(FALLOC_FL_KEEP_SIZE),  N(FALLOC_FL_PUNCH_HOLE),   N(FALLOC_FL_NO_HIDE_STALE), N(FALLOC_FL_COLLAPSE_RANGE),
    N(FALLOC_FL_ZERO_RANGE), N(FALLOC_FL_INSERT_RANGE), N(FALLOC_FL_UNSHARE_RANGE)};

constexpr NamedValue kFadviseAdviceChoices[] = {N(POSIX_FADV_NORMAL),     N(POSIX_FADV_RANDOM),
                                                N(POSIX_FADV_SEQUENTIAL), N(POSIX_FADV_WILLNEED),
                                                N(POSIX_FADV_DONTNEED),   N(POSIX_FADV_NOREUSE)};

constexpr NamedValue kSyncRangeFlagsFlags[] = {N(SYNC_FILE_RANGE_WAIT_BEFORE), N(SYNC_FILE_RANGE_WRITE),
                                               N(SYNC_FILE_RANGE_WAIT_AFTER)};

constexpr NamedValue kSpliceFlagsFlags[] = {
    {1, "SPLICE_F_MOVE"}, {2, "SPLICE_F_NONBLOCK"}, {4, "SPLICE_F_MORE"}, {8, "SPLICE_F_GIFT"}};

constexpr NamedValue kRwFlagsFlags[] = {N(RWF_HIPRI),         N(RWF_DSYNC),           N(RWF_SYNC),
                                        N(RWF_NOWAIT),        N(RWF_APPEND),          {0x20, "RWF_NOAPPEND"},
                                        {0x40, "RWF_ATOMIC"}, {0x80, "RWF_DONTCACHE"}};

constexpr NamedValue kFlockOperationChoices[] = {N(LOCK_SH), N(LOCK_EX)};

constexpr NamedValue kFlockOperationFlags[] = {N(LOCK_NB), N(LOCK_UN)};

constexpr NamedValue kRenameFlagsFlags[] = {N(RENAME_NOREPLACE), N(RENAME_EXCHANGE), N(RENAME_WHITEOUT)};

constexpr NamedValue kXattrFlagsFlags[] = {N(XATTR_CREATE), N(XATTR_REPLACE)};

constexpr NamedValue kStatxMaskFlags[] = {N(STATX_ALL),
                                          N(STATX_BASIC_STATS),
                                          N(STATX_TYPE),
                                          N(STATX_MODE),
                                          N(STATX_NLINK),
                                          N(STATX_UID),
                                          N(STATX_GID),
                                          N(STATX_ATIME),
                                          N(STATX_MTIME),
                                          N(STATX_CTIME),
                                          N(STATX_INO),
                                          N(STATX_SIZE),
                                          N(STATX_BLOCKS),
                                          N(STATX_BTIME),
                                          N(STATX_MNT_ID),
                                          N(STATX_DIOALIGN),
                                          {0x4000, "STATX_MNT_ID_UNIQUE"},
                                          {0x8000, "STATX_SUBVOL"},
                                          {0x10000, "STATX_WRITE_ATOMIC"},
                                          {0x20000, "STATX_DIO_READ_ALIGN"}};

constexpr NamedValue kFcntlCommandChoices[] = {N(F_DUPFD),
                                               N(F_GETFD),
                                               N(F_SETFD),
                                               N(F_GETFL),
                                               N(F_SETFL),
                                               N(F_GETLK),
                                               N(F_SETLK),
                                               N(F_SETLKW),
                                               N(F_SETOWN),
                                               N(F_GETOWN),
                                               N(F_SETSIG),
                                               N(F_GETSIG),
                                               N(F_SETOWN_EX),
                                               N(F_GETOWN_EX),
                                               N(F_GETOWNER_UIDS),
                                               N(F_OFD_GETLK),
                                               N(F_OFD_SETLK),
                                               N(F_OFD_SETLKW),
                                               N(F_SETLEASE),
                                               N(F_GETLEASE),
                                               N(F_NOTIFY),
                                               {1027, "F_DUPFD_QUERY"},
                                               {1028, "F_CREATED_QUERY"},
                                               N(F_DUPFD_CLOEXEC),
                                               N(F_SETPIPE_SZ),
                                               N(F_GETPIPE_SZ),
                                               N(F_ADD_SEALS),
                                               N(F_GET_SEALS),
                                               N(F_GET_RW_HINT),
                                               N(F_SET_RW_HINT),
                                               N(F_GET_FILE_RW_HINT),
                                               N(F_SET_FILE_RW_HINT)};

constexpr NamedValue kFdFlagsFlags[] = {N(FD_CLOEXEC)};

constexpr NamedValue kLockTypeChoices[] = {N(F_RDLCK), N(F_WRLCK), N(F_UNLCK)};

constexpr NamedValue kCloseRangeFlagsFlags[] = {N(CLOSE_RANGE_UNSHARE), N(CLOSE_RANGE_CLOEXEC)};

constexpr NamedValue kInotifyFlagsFlags[] = {N(IN_NONBLOCK), N(IN_CLOEXEC)};

constexpr NamedValue kInotifyMaskFlags[] = {
    N(IN_ALL_EVENTS),  N(IN_CLOSE),       N(IN_MOVE),          N(IN_ACCESS),      N(IN_MODIFY),
    N(IN_ATTRIB),      N(IN_CLOSE_WRITE), N(IN_CLOSE_NOWRITE), N(IN_OPEN),        N(IN_MOVED_FROM),
    N(IN_MOVED_TO),    N(IN_CREATE),      N(IN_DELETE),        N(IN_DELETE_SELF), N(IN_MOVE_SELF),
    N(IN_UNMOUNT),     N(IN_Q_OVERFLOW),  N(IN_IGNORED),       N(IN_ONLYDIR),     N(IN_DONT_FOLLOW),
    N(IN_EXCL_UNLINK), N(IN_MASK_CREATE), N(IN_MASK_ADD),      N(IN_ISDIR),       N(IN_ONESHOT)};

constexpr NamedValue kEventfdFlagsFlags[] = {
    {1, "EFD_SEMAPHORE"}, {O_NONBLOCK, "EFD_NONBLOCK"}, {O_CLOEXEC, "EFD_CLOEXEC"}};

constexpr NamedValue kSignalfdFlagsFlags[] = {{O_NONBLOCK, "SFD_NONBLOCK"}, {O_CLOEXEC, "SFD_CLOEXEC"}};

constexpr NamedValue kTimerfdFlagsFlags[] = {N(TFD_NONBLOCK), N(TFD_CLOEXEC)};

constexpr NamedValue kTimerfdSetFlagsFlags[] = {N(TFD_TIMER_ABSTIME), N(TFD_TIMER_CANCEL_ON_SET)};

constexpr NamedValue kEpollFlagsFlags[] = {N(EPOLL_CLOEXEC)};

constexpr NamedValue kEpollOperationChoices[] = {N(EPOLL_CTL_ADD), N(EPOLL_CTL_DEL), N(EPOLL_CTL_MOD)};

constexpr NamedValue kEpollEventsFlags[] = {N(EPOLLIN),        N(EPOLLPRI),    N(EPOLLOUT),     N(EPOLLERR),
                                            N(EPOLLHUP),       N(EPOLLNVAL),   N(EPOLLRDNORM),  N(EPOLLRDBAND),
                                            N(EPOLLWRNORM),    N(EPOLLWRBAND), N(EPOLLMSG),     N(EPOLLRDHUP),
                                            N(EPOLLEXCLUSIVE), N(EPOLLWAKEUP), N(EPOLLONESHOT), N(EPOLLET)};

constexpr NamedValue kPollEventsFlags[] = {N(POLLIN),     N(POLLPRI),    N(POLLOUT),    N(POLLERR),
                                           N(POLLHUP),    N(POLLNVAL),   N(POLLRDNORM), N(POLLRDBAND),
                                           N(POLLWRNORM), N(POLLWRBAND), N(POLLMSG),    N(POLLRDHUP)};

constexpr NamedValue kMountFlagsFlags[] = {
    N(MS_RDONLY),   N(MS_NOSUID),  N(MS_NODEV),       N(MS_NOEXEC),    N(MS_SYNCHRONOUS), N(MS_REMOUNT),
    N(MS_MANDLOCK), N(MS_DIRSYNC), N(MS_NOSYMFOLLOW), N(MS_NOATIME),   N(MS_NODIRATIME),  N(MS_BIND),
    N(MS_MOVE),     N(MS_REC),     N(MS_SILENT),      N(MS_POSIXACL),  N(MS_UNBINDABLE),  N(MS_PRIVATE),
    N(MS_SLAVE),    N(MS_SHARED),  N(MS_RELATIME),    N(MS_I_VERSION), N(MS_STRICTATIME), N(MS_LAZYTIME)};

constexpr NamedValue kUmountFlagsFlags[] = {
    {1, "MNT_FORCE"}, {2, "MNT_DETACH"}, {4, "MNT_EXPIRE"}, {8, "UMOUNT_NOFOLLOW"}};

constexpr NamedValue kResolveFlagsFlags[] = {N(RESOLVE_NO_XDEV), N(RESOLVE_NO_MAGICLINKS), N(RESOLVE_NO_SYMLINKS),
                                             N(RESOLVE_BENEATH), N(RESOLVE_IN_ROOT),       N(RESOLVE_CACHED)};

#undef N

}  // namespace

constinit const ValueNames open_flags = choice_and_flags(O_ACCMODE, kOpenFlagsChoices, kOpenFlagsFlags);
constinit const ValueNames at_flags = flags(kAtFlagsFlags);
constinit const ValueNames access_mode = flags(kAccessModeFlags);
constinit const ValueNames whence = choices(kWhenceChoices);
constinit const ValueNames fallocate_mode = flags(kFallocateModeFlags);
constinit const ValueNames fadvise_advice = choices(kFadviseAdviceChoices);
constinit const ValueNames sync_range_flags = flags(kSyncRangeFlagsFlags);
constinit const ValueNames splice_flags = flags(kSpliceFlagsFlags);
constinit const ValueNames rw_flags = flags(kRwFlagsFlags);
constinit const ValueNames flock_operation = choice_and_flags(3, kFlockOperationChoices, kFlockOperationFlags);
constinit const ValueNames rename_flags = flags(kRenameFlagsFlags);
constinit const ValueNames xattr_flags = flags(kXattrFlagsFlags);
constinit const ValueNames statx_mask = flags(kStatxMaskFlags);
constinit const ValueNames fcntl_command = choices(kFcntlCommandChoices);
constinit const ValueNames fd_flags = flags(kFdFlagsFlags);
constinit const ValueNames lock_type = choices(kLockTypeChoices);
constinit const ValueNames close_range_flags = flags(kCloseRangeFlagsFlags);
constinit const ValueNames inotify_flags = flags(kInotifyFlagsFlags);
constinit const ValueNames inotify_mask = flags(kInotifyMaskFlags);
constinit const ValueNames eventfd_flags = flags(kEventfdFlagsFlags);
constinit const ValueNames signalfd_flags = flags(kSignalfdFlagsFlags);
constinit const ValueNames timerfd_flags = flags(kTimerfdFlagsFlags);
constinit const ValueNames timerfd_set_flags = flags(kTimerfdSetFlagsFlags);
constinit const ValueNames epoll_flags = flags(kEpollFlagsFlags);
constinit const ValueNames epoll_operation = choices(kEpollOperationChoices);
constinit const ValueNames epoll_events = flags(kEpollEventsFlags);
constinit const ValueNames poll_events = flags(kPollEventsFlags);
constinit const ValueNames mount_flags = flags(kMountFlagsFlags);
constinit const ValueNames umount_flags = flags(kUmountFlagsFlags);
constinit const ValueNames resolve_flags = flags(kResolveFlagsFlags);

}  // namespace casemate::runtime::value_tables
