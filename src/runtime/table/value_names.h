// Names of flags and constants (value_sets.def), errno values and signals, for --trace and for messages.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/table/table.h"
#include "runtime/table/text_writer.h"

namespace casemate::runtime {

struct NamedValue {
  std::uint64_t value;
  const char* name;
};

// A value is `choice | flags`: the bits of choice_mask are looked up as one number among `choices`, the others bit by
// bit among `flags` (composite flags first). A pure enumeration has the mask ~0, a pure flag word 0.
struct ValueNames {
  std::uint64_t choice_mask = 0;
  const NamedValue* choices = nullptr;
  std::size_t choice_count = 0;
  const NamedValue* flags = nullptr;
  std::size_t flag_count = 0;
};

inline constexpr std::uint64_t kChoiceOnly = ~std::uint64_t{0};

template <std::size_t kCount>
constexpr ValueNames choices(const NamedValue (&values)[kCount]) {
  return {kChoiceOnly, values, kCount, nullptr, 0};
}
template <std::size_t kCount>
constexpr ValueNames flags(const NamedValue (&values)[kCount]) {
  return {0, nullptr, 0, values, kCount};
}
template <std::size_t kChoices, std::size_t kFlags>
constexpr ValueNames choice_and_flags(std::uint64_t mask, const NamedValue (&choice_values)[kChoices],
                                      const NamedValue (&flag_values)[kFlags]) {
  return {mask, choice_values, kChoices, flag_values, kFlags};
}

// One table per value set, each in the value_names_*.cc of its family.
namespace value_tables {
#define VALUE_SET(name) extern const ValueNames name;
#include "runtime/table/value_sets.def"
#undef VALUE_SET
}  // namespace value_tables

const ValueNames& value_names(ValueSet set);

// The name of one choice or of one flag; nullptr when the set does not have it.
const char* find_name(ValueSet set, std::uint64_t value);
// "PROT_READ|PROT_WRITE", "SEEK_SET", "O_RDONLY|0x10000000"; what has no name is hexadecimal.
void write_value(TextWriter& out, ValueSet set, std::uint64_t value);

// "ENOENT" and "No such file or directory"; nullptr for unknown numbers. `error` is positive.
const char* error_name(long error);
const char* error_text(long error);
// "SIGINT"; real-time signals as "SIGRT_3"; others as a number.
void write_signal(TextWriter& out, std::uint64_t signal);

}  // namespace casemate::runtime
