// What a TPM, or somebody in its place, answers. Commands and answers of a real one: tests/cas with swtpm.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "cas/store/anchor.h"
#include "cas/store/testing/temporary_directory.h"

namespace casemate::cas {
namespace {

using Octets = std::vector<unsigned char>;

// NV_ReadPublic of a counter of ours, and NV_Read of 5, as a TPM answers.
const Octets kPublic = {0x80, 0x01, 0,    0,    0,    0x1A, 0,    0, 0,    0, 0, 0x0E, 0x01,
                        0x80, 0xCA, 0x5E, 0x00, 0x0B, 0x22, 0x06, 0, 0x14, 0, 0, 0,    8};
const Octets kFive = {0x80, 0x02, 0, 0, 0, 0x1D, 0, 0, 0, 0, 0, 0, 0, 10, 0, 8, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 1, 0, 0};

Octets code(unsigned char high, unsigned char low) { return {0x80, 0x01, 0, 0, 0, 10, 0, 0, high, low}; }

// Answers each connection with the next of its answers, byte for byte.
class ScriptedTpm {
 public:
  ScriptedTpm(const std::string& path, std::vector<Octets> answers) : answers_(std::move(answers)) {
    sockaddr_un name = {};
    name.sun_family = AF_UNIX;
    std::strncpy(name.sun_path, path.c_str(), sizeof(name.sun_path) - 1);
    listener_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)), 0);
    EXPECT_EQ(::listen(listener_.get(), 8), 0);
    thread_ = std::thread([this] { serve(); });
  }
  ~ScriptedTpm() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }

 private:
  void serve() {
    for (const Octets& answer : answers_) {
      const UniqueFd connection(::accept(listener_.get(), nullptr, nullptr));
      if (!connection.is_open()) return;
      char command[512];
      if (::read(connection.get(), command, sizeof(command)) <= 0) return;
      if (::send(connection.get(), answer.data(), answer.size(), MSG_NOSIGNAL) < 0) return;
    }
  }
  std::vector<Octets> answers_;
  UniqueFd listener_;
  std::thread thread_;
};

Result<std::uint64_t> read_from(std::vector<Octets> answers) {
  const testing_support::TemporaryDirectory directory;
  TpmAnchorOptions options;
  options.device = directory.path() + "/tpm";
  const ScriptedTpm tpm(options.device, std::move(answers));
  return make_tpm_anchor(options)->read();
}

TEST(TpmAnchor, ReadsTheCounter) {
  const auto value = read_from({kPublic, kFive});
  ASSERT_TRUE(value) << value.error().message();
  EXPECT_EQ(value.value(), 5U);
}

Octets changed(Octets octets, std::size_t at, unsigned char value) {
  octets[at] = value;
  return octets;
}
Octets cut(Octets octets, std::size_t size) {
  octets.resize(size);
  return octets;
}

struct WrongAnswer {
  const char* what;
  std::vector<Octets> answers;
  ErrorCategory category;
  const char* says;
};

class TpmAnchorRefuses : public testing::TestWithParam<WrongAnswer> {};

TEST_P(TpmAnchorRefuses, WithoutReadingFurther) {
  const auto value = read_from(GetParam().answers);
  ASSERT_FALSE(value);
  EXPECT_EQ(value.error().category(), GetParam().category);
  EXPECT_NE(value.error().message().find(GetParam().says), std::string::npos) << value.error().message();
}

INSTANTIATE_TEST_SUITE_P(
    Answers, TpmAnchorRefuses,
    testing::Values(
        WrongAnswer{"nothing", {{}}, ErrorCategory::kSystem, "does not answer"},
        WrongAnswer{"half_a_header", {{0x80, 0x01, 0, 0}}, ErrorCategory::kSystem, "does not answer"},
        WrongAnswer{"a_size_below_the_header", {changed(code(0, 0), 5, 9)}, ErrorCategory::kFormat, "no answer to"},
        WrongAnswer{"an_endless_size", {changed(code(0, 0), 2, 0xFF)}, ErrorCategory::kFormat, "no answer to"},
        WrongAnswer{"more_than_its_size", {changed(kPublic, 5, 0x19)}, ErrorCategory::kFormat, "no answer to"},
        WrongAnswer{"an_empty_public_area", {code(0, 0)}, ErrorCategory::kFormat, "no answer to"},
        WrongAnswer{"another_index", {changed(kPublic, 15, 0x5F)}, ErrorCategory::kFormat, "no answer to"},
        WrongAnswer{"ordinary_memory", {changed(kPublic, 21, 0x04)}, ErrorCategory::kUsage, "no counter of a CAS"},
        WrongAnswer{"no_such_index", {code(1, 0x8B)}, ErrorCategory::kUsage, "restore --accept"},
        WrongAnswer{"a_failure", {code(1, 0x01)}, ErrorCategory::kSystem, "0x101"},
        WrongAnswer{
            "a_read_without_value", {kPublic, changed(cut(kFive, 14), 5, 14)}, ErrorCategory::kFormat, "no answer to"},
        WrongAnswer{"a_short_counter", {kPublic, changed(kFive, 15, 4)}, ErrorCategory::kFormat, "no answer to"}),
    [](const auto& answer) { return std::string(answer.param.what); });

}  // namespace
}  // namespace casemate::cas
