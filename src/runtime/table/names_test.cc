// Names of values, errors and signals against libc's.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <csignal>
#include <cstring>
#include <string>

#include "runtime/table/value_names.h"

namespace casemate::runtime {
namespace {

std::string value(ValueSet set, std::uint64_t number) {
  char buffer[512];
  TextWriter out(buffer, sizeof(buffer));
  write_value(out, set, number);
  return {out.data(), out.size()};
}

TEST(Names, ErrorsAreThoseOfLibc) {
  for (int error = 1; error < 200; error++) {
    const char* expected = strerrorname_np(error);
    const char* name = error_name(error);
    ASSERT_EQ(expected == nullptr, name == nullptr) << error;
    if (name == nullptr) continue;
    EXPECT_STREQ(name, expected);
    EXPECT_STREQ(error_text(error), strerrordesc_np(error));
  }
  EXPECT_EQ(error_name(0), nullptr);
  EXPECT_EQ(error_name(-5), nullptr);
}

TEST(Names, SignalsAreThoseOfLibc) {
  for (int signal = 1; signal < 32; signal++) {
    char buffer[32];
    TextWriter out(buffer, sizeof(buffer));
    write_signal(out, static_cast<std::uint64_t>(signal));
    const std::string expected = signal == SIGIO ? "IO" : sigabbrev_np(signal);  // libc prefers the name POLL
    EXPECT_EQ(std::string(out.data(), out.size()), "SIG" + expected) << signal;
  }
}

TEST(Names, ChoicesFlagsAndMixtures) {
  EXPECT_EQ(value(ValueSet::whence, SEEK_END), "SEEK_END");
  EXPECT_EQ(value(ValueSet::whence, 99), "0x63");
  EXPECT_EQ(value(ValueSet::prot, PROT_NONE), "PROT_NONE");
  EXPECT_EQ(value(ValueSet::prot, PROT_EXEC | 0x40000000), "PROT_EXEC|0x40000000");
  EXPECT_EQ(value(ValueSet::wait_options, 0), "0");
  EXPECT_EQ(value(ValueSet::open_flags, O_WRONLY | O_APPEND), "O_WRONLY|O_APPEND");
  EXPECT_EQ(value(ValueSet::open_flags, 3), "0x3");
  EXPECT_EQ(value(ValueSet::flock_operation, 2 | 4), "LOCK_EX|LOCK_NB");
  EXPECT_EQ(value(ValueSet::flock_operation, 8), "LOCK_UN");
  EXPECT_EQ(value(ValueSet::map_flags, MAP_SHARED | MAP_FIXED), "MAP_SHARED|MAP_FIXED");
}

// -1 comes as 32 or as 64 bits, depending on how the program loaded the register.
TEST(Names, NegativeChoicesAreFoundInBothWidths) {
  EXPECT_EQ(value(ValueSet::rusage_who, ~std::uint64_t{0}), "RUSAGE_CHILDREN");
  EXPECT_EQ(value(ValueSet::rusage_who, 0xffffffff), "RUSAGE_CHILDREN");
}

TEST(Names, NumbersWrittenOutForSocketsAreThoseOfLibc) {
  EXPECT_EQ(value(ValueSet::socket_family, AF_VSOCK), "AF_VSOCK");
  EXPECT_EQ(value(ValueSet::socket_family, AF_NETLINK), "AF_NETLINK");
  EXPECT_EQ(value(ValueSet::socket_type, SOCK_SEQPACKET | SOCK_NONBLOCK), "SOCK_SEQPACKET|SOCK_NONBLOCK");
  EXPECT_EQ(value(ValueSet::message_flags, MSG_DONTWAIT | MSG_CMSG_CLOEXEC), "MSG_DONTWAIT|MSG_CMSG_CLOEXEC");
  EXPECT_EQ(value(ValueSet::message_flags, MSG_ZEROCOPY), "MSG_ZEROCOPY");
  EXPECT_EQ(value(ValueSet::socket_option, SO_RCVTIMEO), "SO_RCVTIMEO");
  EXPECT_EQ(value(ValueSet::open_flags, O_TMPFILE | O_SYNC), "O_RDONLY|O_TMPFILE|O_SYNC");
}

TEST(Names, NoTableNamesOneValueTwice) {
  for (std::size_t index = 0; index <= static_cast<std::size_t>(ValueSet::shutdown_how); index++) {
    if (index == static_cast<std::size_t>(ValueSet::ipc_command)) continue;  // three calls share the numbers
    const ValueNames& names = value_names(static_cast<ValueSet>(index));
    for (std::size_t i = 0; i < names.choice_count; i++) {
      for (std::size_t j = 0; j < i; j++) {
        EXPECT_NE(names.choices[i].value, names.choices[j].value) << names.choices[i].name << names.choices[j].name;
      }
    }
    for (std::size_t i = 0; i < names.flag_count; i++) {
      for (std::size_t j = 0; j < i; j++) {
        EXPECT_NE(names.flags[i].value, names.flags[j].value) << names.flags[i].name << " " << names.flags[j].name;
      }
    }
  }
}

}  // namespace
}  // namespace casemate::runtime
