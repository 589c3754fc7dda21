#include "policy/yaml_tree.h"

#include <gtest/gtest.h>

namespace casemate::policy {
namespace {

std::string first_error(const std::string& text) {
  Diagnostics diagnostics;
  const std::optional<Node> node = parse_yaml(text, diagnostics);
  EXPECT_EQ(node.has_value(), !diagnostics.has_errors());
  return node ? "" : diagnostics.all().front().message;
}

TEST(YamlTree, KeepsPlacesAndQuoting) {
  Diagnostics diagnostics;
  const std::optional<Node> node = parse_yaml("a: [x, \"y\"]\nb: |\n  z\n", diagnostics);
  ASSERT_TRUE(node);
  const Node& list = node->entries[0].value;
  EXPECT_EQ(list.items[0].quoting, Quoting::kPlain);
  EXPECT_EQ(list.items[1].quoting, Quoting::kQuoted);
  EXPECT_EQ(list.items[1].where.column, 8U);
  EXPECT_EQ(node->entries[1].key.where.line, 2U);
  EXPECT_EQ(node->entries[1].value.text, "z\n");
  EXPECT_EQ(node->entries[1].value.quoting, Quoting::kQuoted);
}

TEST(YamlTree, ExpandsAliasesAtThePlaceOfTheAlias) {
  Diagnostics diagnostics;
  const std::optional<Node> node = parse_yaml("a: &x {k: v}\nb: *x\n", diagnostics);
  ASSERT_TRUE(node);
  EXPECT_EQ(node->entries[1].value.entries[0].value.text, "v");
  EXPECT_EQ(node->entries[1].value.where.line, 2U);
}

TEST(YamlTree, RefusesAliasesThatMultiply) {
  std::string text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 8; ++i) {
    const std::string old = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) text += old + ",";
    text += "]\n";
  }
  EXPECT_NE(first_error(text).find("more than 50000 nodes"), std::string::npos) << first_error(text);
}

TEST(YamlTree, RefusesTooManyAliases) {
  std::string text = "a: &a x\nb: [";
  for (std::size_t i = 0; i <= kMaxAliasCount; ++i) text += "*a,";
  EXPECT_EQ(first_error(text + "]\n"), "more than 100 aliases");
}

TEST(YamlTree, RefusesAliasesThatNestTooDeep) {
  std::string text = "a0: &a0 [[[[[[[[[[x]]]]]]]]]]\na1: &a1 [[[[[[[[*a0]]]]]]]]\na2: [[[[[[[[*a1]]]]]]]]\n";
  EXPECT_EQ(first_error(text), "nested more than 24 levels deep");
}

TEST(YamlTree, RefusesOversizedTexts) {
  EXPECT_EQ(first_error(std::string(kMaxSessionSize + 1, ' ')), "the text has more than 1024 KiB");
  EXPECT_EQ(first_error("a: \"" + std::string(kMaxScalarSize + 1, 'x') + "\"\n"), "a text of more than 256 KiB");
  EXPECT_EQ(first_error(std::string(300, 'k') + ": x\n"), "a key of more than 256 characters");
}

TEST(YamlTree, RefusesBytesThatAreNoText) {
  EXPECT_NE(first_error("a: \xff\n"), "");
  EXPECT_NE(first_error(std::string("a: \0b\n", 6)), "");
  EXPECT_NE(first_error("a: \"x\\0y\"\n"), "");
  EXPECT_NE(first_error("a: \x01\n"), "");
}

}  // namespace
}  // namespace casemate::policy
