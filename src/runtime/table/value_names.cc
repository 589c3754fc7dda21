#include "runtime/table/value_names.h"

namespace casemate::runtime {

namespace {

constexpr const ValueNames* kSets[] = {
#define VALUE_SET(name) &value_tables::name,
#include "runtime/table/value_sets.def"
#undef VALUE_SET
};

// Enumerations are ints in the ABI: the upper half of the register is noise, -1 may be extended or not.
const char* find_choice(const ValueNames& names, std::uint64_t value) {
  for (std::size_t i = 0; i < names.choice_count; i++) {
    if (static_cast<std::uint32_t>(names.choices[i].value) == static_cast<std::uint32_t>(value)) {
      return names.choices[i].name;
    }
  }
  return nullptr;
}

// Writes names of `rest`'s bits and returns the bits without a name. `written` counts what stands in the sum so far.
std::uint64_t write_flags(TextWriter& out, const ValueNames& names, std::uint64_t rest, unsigned& written) {
  for (std::size_t i = 0; i < names.flag_count && rest != 0; i++) {
    const std::uint64_t bits = names.flags[i].value;
    if (bits == 0 || (rest & bits) != bits) continue;
    if (written++ != 0) out.put('|');
    out.text(names.flags[i].name);
    rest &= ~bits;
  }
  return rest;
}

const char* find_zero_flag(const ValueNames& names) {
  for (std::size_t i = 0; i < names.flag_count; i++) {
    if (names.flags[i].value == 0) return names.flags[i].name;
  }
  return nullptr;
}

}  // namespace

const ValueNames& value_names(ValueSet set) { return *kSets[static_cast<std::size_t>(set)]; }

const char* find_name(ValueSet set, std::uint64_t value) {
  const ValueNames& names = value_names(set);
  if (const char* choice = find_choice(names, value)) return choice;
  for (std::size_t i = 0; i < names.flag_count; i++) {
    if (names.flags[i].value == value) return names.flags[i].name;
  }
  return nullptr;
}

void write_value(TextWriter& out, ValueSet set, std::uint64_t value) {
  const ValueNames& names = value_names(set);
  if (names.choice_mask == kChoiceOnly) {
    const char* choice = find_choice(names, value);
    choice != nullptr ? out.text(choice) : out.hex(value);
    return;
  }
  unsigned written = 0;
  std::uint64_t rest = value & ~names.choice_mask;
  const char* choice = names.choice_mask != 0 ? find_choice(names, value & names.choice_mask) : nullptr;
  if (choice != nullptr) {
    out.text(choice);
    written++;
  } else {
    rest = value;
  }
  rest = write_flags(out, names, rest, written);
  if (rest == 0 && written != 0) return;
  const char* zero = written == 0 ? find_zero_flag(names) : nullptr;
  if (written != 0) out.put('|');
  zero != nullptr&& rest == 0 ? out.text(zero) : out.hex(rest);
}

void write_signal(TextWriter& out, std::uint64_t signal) {
  const auto number = static_cast<std::int32_t>(signal);
  if (const char* name = find_choice(value_names(ValueSet::signal_number), signal)) {
    out.text(name);
  } else if (number >= 32 && number <= 64) {
    out.text("SIGRT_").decimal(number - 32);
  } else {
    out.decimal(number);
  }
}

}  // namespace casemate::runtime
