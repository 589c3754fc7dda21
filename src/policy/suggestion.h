// "Did you mean ...?": the known word that is nearest to a mistyped one.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace casemate::policy {

// Insertions, deletions, replacements and swaps of neighbours that lead from one word to the other, letters of either
// case being the same.
unsigned edit_distance(std::string_view left, std::string_view right);

// The nearest of `known`, or nothing when even that takes more than a third of the word's letters. Words of more than
// 64 characters, and of fewer than three, have no neighbours.
std::string_view nearest(std::string_view word, std::span<const std::string_view> known);

// "did you mean `x`?", or the complete list when nothing is near: "known are a, b, c".
std::string suggest(std::string_view word, std::span<const std::string_view> known);

}  // namespace casemate::policy
