#include "policy/variables.h"

#include <gtest/gtest.h>

#include "policy/command_line.h"

namespace casemate::policy {
namespace {

std::optional<std::string> lookup(std::string_view name) {
  if (name == "NAME") return "value";
  if (name == "LINES") return "a\nb";
  if (name == "AGAIN") return "$NAME";
  return std::nullopt;
}

std::string filled(std::string_view text) {
  Diagnostics diagnostics;
  const std::optional<std::string> result = fill_in_variables(text, lookup, diagnostics);
  if (result) return *result;
  return to_text(diagnostics.all().front(), "t");
}

TEST(Variables, AreFilledInOnceInBothSpellings) {
  EXPECT_EQ(filled("a: $NAME\nb: x${NAME}y"), "a: value\nb: xvaluey");
  EXPECT_EQ(filled("a: $AGAIN"), "a: $NAME");
}

TEST(Variables, LeaveReferencesToSecretsAlone) {
  EXPECT_EQ(filled("$$SCONE::NAME$$$$CASEMATE::k:pem$$ $NAME"), "$$SCONE::NAME$$$$CASEMATE::k:pem$$ value");
}

TEST(Variables, EscapedDollarsAreDollars) {
  EXPECT_EQ(filled("a: $$NAME $5 $ cost$"), "a: $NAME $5 $ cost$");
  EXPECT_EQ(filled("a: $$$$"), "a: $$");
}

TEST(Variables, CommentsAreNoText) { EXPECT_EQ(filled("  # $MISSING\na: 1\n"), "  # $MISSING\na: 1\n"); }

TEST(Variables, MissingOnesAreNamedWithTheirPlace) {
  EXPECT_EQ(
      filled("a: 1\nb: $MISSING"),
      "t:2:4: error: variable `MISSING` has no value; give -e MISSING=VALUE or --use-env, or write $$ for a dollar");
  EXPECT_EQ(
      filled("b: ${MIS SING}"),
      "t:1:4: error: `${...}` around something that is no name; names have letters, digits and _; $$ is a dollar");
  EXPECT_EQ(filled("b: ${NAME"), "t:1:4: error: `${` without `}`; write ${NAME}, or $${ for a dollar and a brace");
}

TEST(Variables, CannotAddLines) {
  EXPECT_EQ(filled("b: $LINES"),
            "t:1:4: error: the value of variable `LINES` has several lines; write it into the session itself");
}

TEST(Command, IsSplitLikeAShellWithoutExpansions) {
  EXPECT_EQ(split_command("a  b\tc").value(), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(split_command("a 'b c' \"d \\\" e\" f\\ g ''").value(),
            (std::vector<std::string>{"a", "b c", "d \" e", "f g", ""}));
  EXPECT_EQ(split_command("x'y'\"z\" $HOME *").value(), (std::vector<std::string>{"xyz", "$HOME", "*"}));
  EXPECT_TRUE(split_command("  ").value().empty());
  EXPECT_FALSE(split_command("a 'b"));
  EXPECT_FALSE(split_command("a \"b"));
  EXPECT_FALSE(split_command("a \\"));
}

TEST(Command, FindsPlacesForArgumentsOfTheHost) {
  const auto parts = parts_of_word("--port=@@1,@@12x@@");
  ASSERT_EQ(parts.size(), 5U);
  EXPECT_EQ(parts[0].text, "--port=");
  EXPECT_EQ(parts[1].argument, 1);
  EXPECT_EQ(parts[2].text, ",");
  EXPECT_EQ(parts[3].argument, 12);
  EXPECT_EQ(parts[4].text, "x@@");
  EXPECT_EQ(parts_of_word("").size(), 1U);
  EXPECT_EQ(parts_of_word("@@1234").front().text, "@@1234");
}

}  // namespace
}  // namespace casemate::policy
