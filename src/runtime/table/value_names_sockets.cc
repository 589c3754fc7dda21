// Flags and constants of sockets. The kernel's headers for programs leave families, types and message flags to the C
// library; their numbers stand here (include/linux/socket.h of the kernel).
#include "runtime/table/value_names.h"

#include <asm/socket.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/tcp.h>

namespace casemate::runtime::value_tables {
namespace {

#define N(constant) \
  { static_cast<std::uint64_t>(constant), #constant }

constexpr NamedValue kSocketFamilyChoices[] = {
    {0, "AF_UNSPEC"},    {1, "AF_UNIX"},    {2, "AF_INET"},     {3, "AF_AX25"},      {4, "AF_IPX"},
    {5, "AF_APPLETALK"}, {6, "AF_NETROM"},  {7, "AF_BRIDGE"},   {8, "AF_ATMPVC"},    {9, "AF_X25"},
    {10, "AF_INET6"},    {11, "AF_ROSE"},   {13, "AF_NETBEUI"}, {14, "AF_SECURITY"}, {15, "AF_KEY"},
    {16, "AF_NETLINK"},  {17, "AF_PACKET"}, {21, "AF_RDS"},     {24, "AF_PPPOX"},    {26, "AF_LLC"},
    {27, "AF_IB"},       {28, "AF_MPLS"},   {29, "AF_CAN"},     {30, "AF_TIPC"},     {31, "AF_BLUETOOTH"},
    {32, "AF_IUCV"},     {33, "AF_RXRPC"},  {34, "AF_ISDN"},    {35, "AF_PHONET"},   {36, "AF_IEEE802154"},
    {37, "AF_CAIF"},     {38, "AF_ALG"},    {39, "AF_NFC"},     {40, "AF_VSOCK"},    {41, "AF_KCM"},
    {42, "AF_QIPCRTR"},  {43, "AF_SMC"},    {44, "AF_XDP"},     {45, "AF_MCTP"}};

constexpr NamedValue kSocketTypeChoices[] = {{1, "SOCK_STREAM"}, {2, "SOCK_DGRAM"},     {3, "SOCK_RAW"},
                                             {4, "SOCK_RDM"},    {5, "SOCK_SEQPACKET"}, {6, "SOCK_DCCP"},
                                             {10, "SOCK_PACKET"}};

constexpr NamedValue kSocketTypeFlags[] = {{02000000, "SOCK_CLOEXEC"}, {04000, "SOCK_NONBLOCK"}};

constexpr NamedValue kIpProtocolChoices[] = {
    N(IPPROTO_IP),   N(IPPROTO_ICMP), N(IPPROTO_IGMP),    N(IPPROTO_IPIP), N(IPPROTO_TCP),  N(IPPROTO_UDP),
    N(IPPROTO_DCCP), N(IPPROTO_IPV6), N(IPPROTO_GRE),     N(IPPROTO_ESP),  N(IPPROTO_AH),   N(IPPROTO_ICMPV6),
    N(IPPROTO_L2TP), N(IPPROTO_SCTP), N(IPPROTO_UDPLITE), N(IPPROTO_RAW),  N(IPPROTO_MPTCP)};

constexpr NamedValue kSocketLevelChoices[] = {
    {0, "SOL_IP"},      N(SOL_SOCKET),     {6, "SOL_TCP"},     {17, "SOL_UDP"},     {41, "SOL_IPV6"},
    {58, "SOL_ICMPV6"}, {132, "SOL_SCTP"}, {255, "SOL_RAW"},   {263, "SOL_PACKET"}, {270, "SOL_NETLINK"},
    {279, "SOL_ALG"},   {282, "SOL_TLS"},  {284, "SOL_MPTCP"}, {287, "SOL_VSOCK"}};

constexpr NamedValue kSocketOptionChoices[] = {N(SO_DEBUG),
                                               N(SO_REUSEADDR),
                                               N(SO_TYPE),
                                               N(SO_ERROR),
                                               N(SO_DONTROUTE),
                                               N(SO_BROADCAST),
                                               N(SO_SNDBUF),
                                               N(SO_RCVBUF),
                                               N(SO_KEEPALIVE),
                                               N(SO_OOBINLINE),
                                               N(SO_NO_CHECK),
                                               N(SO_PRIORITY),
                                               N(SO_LINGER),
                                               N(SO_BSDCOMPAT),
                                               N(SO_REUSEPORT),
                                               N(SO_PASSCRED),
                                               N(SO_PEERCRED),
                                               N(SO_RCVLOWAT),
                                               N(SO_SNDLOWAT),
                                               {20, "SO_RCVTIMEO"},
                                               {21, "SO_SNDTIMEO"},
                                               N(SO_BINDTODEVICE),
                                               N(SO_ATTACH_FILTER),
                                               N(SO_DETACH_FILTER),
                                               N(SO_PEERNAME),
                                               {29, "SO_TIMESTAMP"},
                                               N(SO_ACCEPTCONN),
                                               N(SO_PEERSEC),
                                               N(SO_SNDBUFFORCE),
                                               N(SO_RCVBUFFORCE),
                                               N(SO_PASSSEC),
                                               {35, "SO_TIMESTAMPNS"},
                                               N(SO_MARK),
                                               {37, "SO_TIMESTAMPING"},
                                               N(SO_PROTOCOL),
                                               N(SO_DOMAIN),
                                               N(SO_RXQ_OVFL),
                                               N(SO_WIFI_STATUS),
                                               N(SO_PEEK_OFF),
                                               N(SO_NOFCS),
                                               N(SO_LOCK_FILTER),
                                               N(SO_SELECT_ERR_QUEUE),
                                               N(SO_BUSY_POLL),
                                               N(SO_MAX_PACING_RATE),
                                               N(SO_BPF_EXTENSIONS),
                                               N(SO_INCOMING_CPU),
                                               N(SO_ATTACH_BPF),
                                               N(SO_ATTACH_REUSEPORT_CBPF),
                                               N(SO_ATTACH_REUSEPORT_EBPF),
                                               N(SO_CNX_ADVICE),
                                               N(SO_MEMINFO),
                                               N(SO_INCOMING_NAPI_ID),
                                               N(SO_COOKIE),
                                               N(SO_PEERGROUPS),
                                               N(SO_ZEROCOPY),
                                               N(SO_TXTIME),
                                               N(SO_BINDTOIFINDEX),
                                               N(SO_DETACH_REUSEPORT_BPF),
                                               N(SO_PREFER_BUSY_POLL),
                                               N(SO_BUSY_POLL_BUDGET),
                                               N(SO_NETNS_COOKIE),
                                               N(SO_BUF_LOCK),
                                               N(SO_RESERVE_MEM),
                                               N(SO_TXREHASH),
                                               N(SO_RCVMARK),
                                               {76, "SO_PASSPIDFD"},
                                               {77, "SO_PEERPIDFD"}};

constexpr NamedValue kIpOptionChoices[] = {N(IP_TOS),
                                           N(IP_TTL),
                                           N(IP_HDRINCL),
                                           N(IP_OPTIONS),
                                           N(IP_ROUTER_ALERT),
                                           N(IP_RECVOPTS),
                                           N(IP_RETOPTS),
                                           N(IP_PKTINFO),
                                           N(IP_PKTOPTIONS),
                                           N(IP_MTU_DISCOVER),
                                           N(IP_RECVERR),
                                           N(IP_RECVTTL),
                                           N(IP_RECVTOS),
                                           N(IP_MTU),
                                           N(IP_FREEBIND),
                                           N(IP_IPSEC_POLICY),
                                           N(IP_XFRM_POLICY),
                                           N(IP_PASSSEC),
                                           N(IP_TRANSPARENT),
                                           N(IP_ORIGDSTADDR),
                                           N(IP_MINTTL),
                                           N(IP_NODEFRAG),
                                           N(IP_CHECKSUM),
                                           N(IP_BIND_ADDRESS_NO_PORT),
                                           N(IP_RECVFRAGSIZE),
                                           N(IP_RECVERR_RFC4884),
                                           N(IP_MULTICAST_IF),
                                           N(IP_MULTICAST_TTL),
                                           N(IP_MULTICAST_LOOP),
                                           N(IP_ADD_MEMBERSHIP),
                                           N(IP_DROP_MEMBERSHIP),
                                           N(IP_UNBLOCK_SOURCE),
                                           N(IP_BLOCK_SOURCE),
                                           N(IP_ADD_SOURCE_MEMBERSHIP),
                                           N(IP_DROP_SOURCE_MEMBERSHIP),
                                           N(IP_MSFILTER),
                                           N(IP_MULTICAST_ALL),
                                           N(IP_UNICAST_IF),
                                           {51, "IP_LOCAL_PORT_RANGE"}};

constexpr NamedValue kIpv6OptionChoices[] = {N(IPV6_ADDRFORM),        N(IPV6_CHECKSUM),
                                             N(IPV6_NEXTHOP),         N(IPV6_AUTHHDR),
                                             N(IPV6_FLOWINFO),        N(IPV6_UNICAST_HOPS),
                                             N(IPV6_MULTICAST_IF),    N(IPV6_MULTICAST_HOPS),
                                             N(IPV6_MULTICAST_LOOP),  N(IPV6_ADD_MEMBERSHIP),
                                             N(IPV6_DROP_MEMBERSHIP), N(IPV6_ROUTER_ALERT),
                                             N(IPV6_MTU_DISCOVER),    N(IPV6_MTU),
                                             N(IPV6_RECVERR),         N(IPV6_V6ONLY),
                                             N(IPV6_JOIN_ANYCAST),    N(IPV6_LEAVE_ANYCAST),
                                             N(IPV6_MULTICAST_ALL),   N(IPV6_FLOWLABEL_MGR),
                                             N(IPV6_FLOWINFO_SEND),   N(IPV6_IPSEC_POLICY),
                                             N(IPV6_XFRM_POLICY),     N(IPV6_HDRINCL),
                                             N(IPV6_RECVPKTINFO),     N(IPV6_PKTINFO),
                                             N(IPV6_RECVHOPLIMIT),    N(IPV6_HOPLIMIT),
                                             N(IPV6_RECVHOPOPTS),     N(IPV6_HOPOPTS),
                                             N(IPV6_RTHDRDSTOPTS),    N(IPV6_RECVRTHDR),
                                             N(IPV6_RTHDR),           N(IPV6_RECVDSTOPTS),
                                             N(IPV6_DSTOPTS),         N(IPV6_RECVPATHMTU),
                                             N(IPV6_PATHMTU),         N(IPV6_DONTFRAG),
                                             N(IPV6_RECVTCLASS),      N(IPV6_TCLASS),
                                             N(IPV6_AUTOFLOWLABEL),   N(IPV6_ADDR_PREFERENCES),
                                             N(IPV6_MINHOPCOUNT),     N(IPV6_ORIGDSTADDR),
                                             N(IPV6_TRANSPARENT),     N(IPV6_UNICAST_IF),
                                             N(IPV6_RECVFRAGSIZE),    N(IPV6_FREEBIND)};

constexpr NamedValue kTcpOptionChoices[] = {N(TCP_NODELAY),
                                            N(TCP_MAXSEG),
                                            N(TCP_CORK),
                                            N(TCP_KEEPIDLE),
                                            N(TCP_KEEPINTVL),
                                            N(TCP_KEEPCNT),
                                            N(TCP_SYNCNT),
                                            N(TCP_LINGER2),
                                            N(TCP_DEFER_ACCEPT),
                                            N(TCP_WINDOW_CLAMP),
                                            N(TCP_INFO),
                                            N(TCP_QUICKACK),
                                            N(TCP_CONGESTION),
                                            N(TCP_MD5SIG),
                                            N(TCP_THIN_LINEAR_TIMEOUTS),
                                            N(TCP_THIN_DUPACK),
                                            N(TCP_USER_TIMEOUT),
                                            N(TCP_REPAIR),
                                            N(TCP_REPAIR_QUEUE),
                                            N(TCP_QUEUE_SEQ),
                                            N(TCP_REPAIR_OPTIONS),
                                            N(TCP_FASTOPEN),
                                            N(TCP_TIMESTAMP),
                                            N(TCP_NOTSENT_LOWAT),
                                            N(TCP_CC_INFO),
                                            N(TCP_SAVE_SYN),
                                            N(TCP_SAVED_SYN),
                                            N(TCP_REPAIR_WINDOW),
                                            N(TCP_FASTOPEN_CONNECT),
                                            N(TCP_ULP),
                                            N(TCP_MD5SIG_EXT),
                                            N(TCP_FASTOPEN_KEY),
                                            N(TCP_FASTOPEN_NO_COOKIE),
                                            N(TCP_ZEROCOPY_RECEIVE),
                                            N(TCP_INQ),
                                            N(TCP_TX_DELAY)};

constexpr NamedValue kMessageFlagsFlags[] = {{1, "MSG_OOB"},
                                             {2, "MSG_PEEK"},
                                             {4, "MSG_DONTROUTE"},
                                             {8, "MSG_CTRUNC"},
                                             {0x10, "MSG_PROBE"},
                                             {0x20, "MSG_TRUNC"},
                                             {0x40, "MSG_DONTWAIT"},
                                             {0x80, "MSG_EOR"},
                                             {0x100, "MSG_WAITALL"},
                                             {0x200, "MSG_FIN"},
                                             {0x400, "MSG_SYN"},
                                             {0x800, "MSG_CONFIRM"},
                                             {0x1000, "MSG_RST"},
                                             {0x2000, "MSG_ERRQUEUE"},
                                             {0x4000, "MSG_NOSIGNAL"},
                                             {0x8000, "MSG_MORE"},
                                             {0x10000, "MSG_WAITFORONE"},
                                             {0x40000, "MSG_BATCH"},
                                             {0x4000000, "MSG_ZEROCOPY"},
                                             {0x20000000, "MSG_FASTOPEN"},
                                             {0x40000000, "MSG_CMSG_CLOEXEC"}};

constexpr NamedValue kShutdownHowChoices[] = {{0, "SHUT_RD"}, {1, "SHUT_WR"}, {2, "SHUT_RDWR"}};

#undef N

}  // namespace

constinit const ValueNames socket_family = choices(kSocketFamilyChoices);
constinit const ValueNames socket_type = choice_and_flags(0xf, kSocketTypeChoices, kSocketTypeFlags);
constinit const ValueNames ip_protocol = choices(kIpProtocolChoices);
constinit const ValueNames socket_level = choices(kSocketLevelChoices);
constinit const ValueNames socket_option = choices(kSocketOptionChoices);
constinit const ValueNames ip_option = choices(kIpOptionChoices);
constinit const ValueNames ipv6_option = choices(kIpv6OptionChoices);
constinit const ValueNames tcp_option = choices(kTcpOptionChoices);
constinit const ValueNames message_flags = flags(kMessageFlagsFlags);
constinit const ValueNames shutdown_how = choices(kShutdownHowChoices);

}  // namespace casemate::runtime::value_tables
