#include "casemate/doctor/report.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <set>

#include "casemate/doctor/host.h"

namespace casemate::cli {
namespace {

Finding finding(Verdict verdict) { return {"id", "Title", verdict, "value", "consequence"}; }

TEST(Doctor, ComparesKernelReleasesByNumber) {
  EXPECT_TRUE(release_is_at_least("5.11.0", 5, 11));
  EXPECT_TRUE(release_is_at_least("6.1.0-18-amd64", 5, 11));
  EXPECT_TRUE(release_is_at_least("5.110", 5, 11));
  EXPECT_FALSE(release_is_at_least("5.9.1", 5, 11));
  EXPECT_FALSE(release_is_at_least("4.19.0", 5, 11));
  for (const char* broken : {"", "6", "six.one", "6.", ".1"})
    EXPECT_FALSE(release_is_at_least(broken, 5, 11)) << broken;
}

TEST(Doctor, ReadsStatusFieldsByWholeKey) {
  const char* const text = "Name:\tx\nSeccomp_filters:\t1\nSeccomp:\t2 \nEmpty:\n";
  EXPECT_EQ(status_field(text, "Seccomp"), "2");
  EXPECT_EQ(status_field(text, "Empty"), "");
  EXPECT_EQ(status_field(text, "Sec"), "");
}

TEST(Doctor, ReadsTheChosenWord) {
  EXPECT_EQ(chosen_word("always [madvise] never"), "madvise");
  EXPECT_EQ(chosen_word("none"), "");
  EXPECT_EQ(chosen_word("]["), "");
}

TEST(Doctor, OnlyRequiredFindingsStopPrograms) {
  EXPECT_TRUE(can_run_programs({{finding(Verdict::kGood), finding(Verdict::kLimited), finding(Verdict::kMissing)}}));
  EXPECT_FALSE(can_run_programs({{finding(Verdict::kGood), finding(Verdict::kRequired)}}));
}

TEST(Doctor, EachFailureOfTheDispatchTrialStopsPrograms) {
  for (const DispatchStep step : {DispatchStep::kFork, DispatchStep::kPage, DispatchStep::kArm, DispatchStep::kNoTrap,
                                  DispatchStep::kChildDied}) {
    const Finding answer = judge_dispatch({step, EINVAL, 0, 0, 0});
    EXPECT_EQ(answer.verdict, Verdict::kRequired);
    EXPECT_FALSE(answer.value.empty());
    EXPECT_FALSE(answer.consequence.empty());
  }
  EXPECT_EQ(judge_dispatch({DispatchStep::kComplete, 0, 100, 105, 1200}).verdict, Verdict::kGood);
}

TEST(Doctor, TellsARefusalFromAnOldKernel) {
  const Finding old_kernel = judge_dispatch({DispatchStep::kArm, EINVAL, 0, 0, 0});
  const Finding refused = judge_dispatch({DispatchStep::kArm, EPERM, 0, 0, 0});
  EXPECT_NE(old_kernel.consequence.find("5.11"), std::string::npos);
  EXPECT_NE(refused.consequence.find("seccomp"), std::string::npos);
}

TEST(Doctor, TheTrialTrapsOnThisKernel) {
  const DispatchProbe probe = probe_dispatch();
  EXPECT_EQ(probe.stopped_at, DispatchStep::kComplete);
  EXPECT_GT(probe.plain_ns, 0);
  EXPECT_GT(probe.trap_ns, 0);
}

TEST(Doctor, FindingsAreCompleteAndNamedOnce) {
  const HostReport report = examine_host();
  std::set<std::string> ids;
  for (const Finding& entry : report.findings) {
    EXPECT_TRUE(ids.insert(entry.id).second) << entry.id;
    EXPECT_FALSE(entry.title.empty() || entry.value.empty() || entry.consequence.empty()) << entry.id;
  }
  for (const char* id : {"kernel", "syscall_user_dispatch", "fsgsbase", "memfd_secret", "user_namespaces",
                         "las_backend", "limit_nofile", "ptrace_scope"}) {
    EXPECT_EQ(ids.count(id), 1U) << id;
  }
}

TEST(Doctor, JsonCarriesEveryFindingAndTheConclusion) {
  const HostReport report = {{finding(Verdict::kGood), finding(Verdict::kRequired)}};
  const auto document = nlohmann::json::parse(to_json(report));
  EXPECT_EQ(document["can_run_programs"], false);
  ASSERT_EQ(document["findings"].size(), 2U);
  EXPECT_EQ(document["findings"][1]["verdict"], "REQUIRED");
}

TEST(Doctor, TableHasOneLinePerFindingAndAConclusion) {
  const std::string table = to_table({{finding(Verdict::kGood), finding(Verdict::kMissing)}});
  EXPECT_NE(table.find("missing   Title  value  consequence\n"), std::string::npos);
  EXPECT_NE(table.find("Programs run under"), std::string::npos);
}

}  // namespace
}  // namespace casemate::cli
