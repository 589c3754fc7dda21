#include "casemate/run_options.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace casemate::cli {
namespace {

using Words = std::vector<std::string>;

RunProgram run(const Words& words) {
  const RunRequest request = parse_command_line(words);
  if (const auto* refused = std::get_if<PrintAndExit>(&request)) ADD_FAILURE() << refused->text;
  const auto* program = std::get_if<RunProgram>(&request);
  return program != nullptr ? *program : RunProgram{};
}

PrintAndExit refused(const Words& words) {
  const RunRequest request = parse_command_line(words);
  const auto* text = std::get_if<PrintAndExit>(&request);
  return text != nullptr ? *text : PrintAndExit{"was accepted", -1};
}

TEST(RunOptions, GivesEverythingBehindTheSeparatorToTheProgram) {
  EXPECT_EQ(run({"run", "--", "ls", "--trace", "--", "-l"}).words, (Words{"ls", "--trace", "--", "-l"}));
}

TEST(RunOptions, EndsAtTheFirstWordThatIsNoOption) {
  const RunProgram program = run({"run", "--quiet", "ls", "--trace", "--", "-l", ""});
  EXPECT_EQ(program.words, (Words{"ls", "--trace", "--", "-l", ""}));
  EXPECT_EQ(program.trace, runtime::TraceMode::kOff);
  EXPECT_EQ(program.noise, Noise::kQuiet);
}

TEST(RunOptions, KeepsEmptyAndOddArguments) {
  EXPECT_EQ(run({"run", "--", "p", "", "a b", "[x]", "--=", "-"}).words, (Words{"p", "", "a b", "[x]", "--=", "-"}));
}

TEST(RunOptions, AcceptsAProgramWhoseNameStartsWithADash) { EXPECT_EQ(run({"run", "--", "-p"}).words, (Words{"-p"})); }

TEST(RunOptions, KnowsTheTraceModes) {
  EXPECT_EQ(run({"run", "--", "p"}).trace, runtime::TraceMode::kOff);
  EXPECT_EQ(run({"run", "--trace", "--", "p"}).trace, runtime::TraceMode::kCalls);
  EXPECT_EQ(run({"run", "--trace", "p"}).trace, runtime::TraceMode::kCalls);
  EXPECT_EQ(run({"run", "--trace=summary", "--", "p"}).trace, runtime::TraceMode::kSummary);
}

TEST(RunOptions, TraceFileAloneSwitchesTracingOn) {
  const RunProgram program = run({"run", "--trace-file", "/tmp/t", "--", "p"});
  EXPECT_EQ(program.trace, runtime::TraceMode::kCalls);
  EXPECT_EQ(program.trace_file, "/tmp/t");
  EXPECT_EQ(run({"run", "--trace=summary", "--trace-file=x", "--", "p"}).trace, runtime::TraceMode::kSummary);
}

TEST(RunOptions, NamesTheRunDescription) {
  EXPECT_EQ(run({"run", "--", "p"}).description, "");
  EXPECT_EQ(run({"run", "--fs", "app.json", "p", "--fs", "theirs"}).description, "app.json");
  EXPECT_EQ(refused({"run", "--fs", "", "--", "p"}).exit_code, 125);
}

TEST(RunOptions, PatchingIsOnUnlessSwitchedOff) {
  EXPECT_EQ(run({"run", "--", "p"}).patching, Patching::kOn);
  EXPECT_EQ(run({"run", "--no-patching", "--", "p"}).patching, Patching::kOff);
}

TEST(RunOptions, RefusesMistakesWith125AndOneLine) {
  const Words mistakes[] = {{},
                            {"run"},
                            {"run", "--"},
                            {"run", "--bogus", "--", "p"},
                            {"run", "--trace=everything", "--", "p"},
                            {"run", "--trace-file", "--", "p"},
                            {"run", "--json", "--", "p"},
                            {"run", "--doctor", "--", "p"},
                            {"frobnicate"},
                            {"--bogus"}};
  for (const Words& words : mistakes) {
    const PrintAndExit answer = refused(words);
    EXPECT_EQ(answer.exit_code, 125) << ::testing::PrintToString(words);
    EXPECT_EQ(answer.text.find("casemate"), 0U) << answer.text;
    EXPECT_EQ(answer.text.find('\n'), answer.text.size() - 1) << answer.text;
  }
}

// Sets a variable for as long as it lives.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~Variable() { unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

TEST(RunOptions, VariablesChooseCasAndSession) {
  const Variable address("CASEMATE_CAS_ADDR", "192.0.2.1:1"), las("SCONE_LAS_ADDR", "/las");
  EXPECT_FALSE(run({"run", "--", "p"}).is_attested()) << "an address alone chooses nothing";
  const Variable alias("SCONE_CONFIG_ID", "a/b");
  EXPECT_EQ(run({"run"}).session, "a/b");
  EXPECT_EQ(run({"run"}).cas, "192.0.2.1:1");
  EXPECT_EQ(run({"run"}).las, "/las");
  const Variable name("CASEMATE_CONFIG_ID", "c/d");
  EXPECT_EQ(run({"run"}).session, "c/d");
  EXPECT_EQ(run({"run", "--session", "e/f", "--cas", "192.0.2.2:2"}).session, "e/f");
  EXPECT_EQ(run({"run", "--session", "e/f", "--cas", "192.0.2.2:2"}).cas, "192.0.2.2:2");
  EXPECT_EQ(run({"run", "--policy", "p.yml"}).session, "");
}

TEST(RunOptions, SessionAndCasNeedEachOther) {
  for (const Words& words : {Words{"run", "--session", "a/b"}, Words{"run", "--cas", "192.0.2.1:1", "--", "p"},
                             Words{"run", "--las", "/las", "--", "p"}, Words{"run", "--policy", "p", "--cas", "x"}}) {
    EXPECT_EQ(refused(words).exit_code, 125) << ::testing::PrintToString(words);
  }
}

TEST(RunOptions, HelpAndVersionSucceed) {
  EXPECT_EQ(refused({"run", "--help"}).exit_code, 0);
  EXPECT_NE(refused({"run", "--help"}).text.find("--no-patching"), std::string::npos);
  EXPECT_EQ(refused({"--help"}).exit_code, 0);
  EXPECT_EQ(refused({"--version"}).text.find("casemate "), 0U);
  EXPECT_EQ(refused({"run", "--version"}).exit_code, 0);
}

TEST(RunOptions, DoctorTakesAForm) {
  const RunRequest table = parse_command_line({"run", "--doctor"});
  ASSERT_TRUE(std::holds_alternative<ShowDoctor>(table));
  EXPECT_EQ(std::get<ShowDoctor>(table).form, ReportForm::kTable);
  const RunRequest json = parse_command_line({"run", "--doctor", "--json"});
  ASSERT_TRUE(std::holds_alternative<ShowDoctor>(json));
  EXPECT_EQ(std::get<ShowDoctor>(json).form, ReportForm::kJson);
}

}  // namespace
}  // namespace casemate::cli
