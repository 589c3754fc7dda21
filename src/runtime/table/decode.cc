#include "runtime/table/decode.h"

#include <linux/fcntl.h>

#include "runtime/engine/process/host_call.h"

namespace casemate::runtime {
namespace {

constexpr std::uint64_t kPathLimit = 4096;
constexpr std::uint64_t kScannedBits = 4096;

std::uint64_t smaller(std::uint64_t a, std::uint64_t b) { return a < b ? a : b; }

// The value of the argument that holds this one's size.
std::uint64_t referenced(const CallView& view, unsigned index) {
  const std::int8_t reference = view.kind(index).reference;
  return reference >= 0 ? view.arguments[reference] : 0;
}

// --- numbers

void form_none(const CallView& view, unsigned index) { view.out.hex(view.arguments[index]); }
void form_int(const CallView& view, unsigned index) {
  view.out.decimal(static_cast<std::int32_t>(view.arguments[index]));
}
void form_long(const CallView& view, unsigned index) {
  view.out.decimal(static_cast<std::int64_t>(view.arguments[index]));
}
void form_unsigned(const CallView& view, unsigned index) { view.out.unsigned_decimal(view.arguments[index]); }
void form_directory(const CallView& view, unsigned index) {
  const auto fd = static_cast<std::int32_t>(view.arguments[index]);
  fd == AT_FDCWD ? view.out.text("AT_FDCWD") : view.out.decimal(fd);
}
void form_id(const CallView& view, unsigned index) {
  const auto id = static_cast<std::uint32_t>(view.arguments[index]);
  id == 0xffffffff ? view.out.text("-1") : view.out.unsigned_decimal(id);
}
void form_signal(const CallView& view, unsigned index) { write_signal(view.out, view.arguments[index]); }
void form_mode(const CallView& view, unsigned index) {
  view.out.octal(static_cast<std::uint32_t>(view.arguments[index]));
}
void form_device(const CallView& view, unsigned index) {
  write_device(view.out, static_cast<std::uint32_t>(view.arguments[index]));
}
void form_value(const CallView& view, unsigned index) {
  const ValueSet set = view.kind(index).value_set();
  const std::uint64_t value = view.arguments[index];
  if (set == ValueSet::ioctl_request) {
    write_ioctl_request(view.out, value);
  } else if (set == ValueSet::clone_flags && index == 0 && view.entry.argument_count == 5) {  // clone(2)
    write_value(view.out, set, value & ~std::uint64_t{0xff});
    if ((value & 0xff) != 0) write_signal(view.out.put('|'), value & 0xff);
  } else {
    write_value(view.out, set, value);
  }
}
void form_address(const CallView& view, unsigned index) { write_address(view.out, view.arguments[index]); }

// --- strings and buffers

void form_path(const CallView& view, unsigned index) {
  write_string(view.out, guest(view.arguments[index]), kPathLimit);
}
void form_string(const CallView& view, unsigned index) {
  write_string(view.out, guest(view.arguments[index]), view.string_limit);
}

// argv is shown, the environment only counted.
void form_string_array(const CallView& view, unsigned index) {
  const std::uint64_t array = view.arguments[index];
  const bool is_environment = index > 0 && view.kind(index - 1).form == ArgumentForm::kStringArray;
  std::uint64_t element = 0;
  if (array == 0 || read_guest(element, guest(array)) != 0) return write_address(view.out, array);
  std::uint64_t count = 0;
  if (!is_environment) view.out.put('[');
  while (element != 0 && count < 100000) {
    if (!is_environment && count <= kElementLimit) {
      if (count != 0) view.out.text(", ");
      count < kElementLimit ? write_string(view.out, guest(element), view.string_limit)
                            : static_cast<void>(view.out.text("..."));
    }
    count++;
    if (read_guest(element, guest(array) + count * sizeof(element)) != 0) break;
  }
  if (is_environment) {
    write_address(view.out, array);
    view.out.text(" /* ").unsigned_decimal(count).text(" variables */");
  } else {
    view.out.put(']');
  }
}

void form_buffer(const CallView& view, unsigned index) {
  const ArgumentKind& kind = view.kind(index);
  if (!view.is_filled(kind.direction)) return form_address(view, index);
  std::uint64_t size = referenced(view, index);
  if (kind.direction == Direction::kOut) size = smaller(size, static_cast<std::uint64_t>(view.result));
  write_bytes(view.out, guest(view.arguments[index]), size, view.string_limit);
}

void form_block(const CallView& view, unsigned index) {
  if (!view.is_filled(view.kind(index).direction)) return form_address(view, index);
  write_bytes(view.out, guest(view.arguments[index]), referenced(view, index), view.string_limit);
}

void form_pointed_buffer(const CallView& view, unsigned index) {
  std::uint32_t size = 0;
  if (!view.is_filled(view.kind(index).direction) || read_guest(size, guest(referenced(view, index))) != 0) {
    return form_address(view, index);
  }
  write_option_value(view, guest(view.arguments[index]), size);
}

void form_option_value(const CallView& view, unsigned index) {
  write_option_value(view, guest(view.arguments[index]), static_cast<std::uint32_t>(referenced(view, index)));
}

void form_length_pointer(const CallView& view, unsigned index) {
  write_structure_or_address(view.out, Structure::int32, view.arguments[index]);
}

// --- structures, arrays, sets

// wait4 with WNOHANG reports 0 and writes nothing.
bool is_unwritten_wait_status(const CallView& view, unsigned index) {
  return view.kind(index).structure() == Structure::wait_status && view.result == 0;
}

void form_structure(const CallView& view, unsigned index) {
  if (!view.is_filled(view.kind(index).direction) || is_unwritten_wait_status(view, index)) {
    return form_address(view, index);
  }
  write_structure_or_address(view.out, view.kind(index).structure(), view.arguments[index]);
}

void form_sized(const CallView& view, unsigned index) {
  const std::uint64_t address = view.arguments[index];
  if (address == 0 || !view.is_filled(view.kind(index).direction) ||
      !write_structure(view.out, view.kind(index).structure(), guest(address), referenced(view, index))) {
    form_address(view, index);
  }
}

void write_elements(const CallView& view, unsigned index, std::uint64_t count) {
  const std::uint64_t address = view.arguments[index];
  const Structure structure = view.kind(index).structure();
  const std::size_t size = structure_size(structure);
  char probe;
  if (address == 0 || (count != 0 && read_guest(probe, guest(address)) != 0)) return write_address(view.out, address);
  view.out.put('[');
  for (std::uint64_t i = 0; i < count; i++) {
    if (i != 0) view.out.text(", ");
    if (i == kElementLimit || view.out.is_full()) {
      view.out.text("...");
      break;
    }
    const GuestAddr element = guest(address) + i * size;
    if (!write_structure(view.out, structure, element, size)) view.out.text("?");
  }
  view.out.put(']');
}

void form_array(const CallView& view, unsigned index) {
  const ArgumentKind& kind = view.kind(index);
  if (!view.is_filled(kind.direction)) return form_address(view, index);
  std::uint64_t count = static_cast<std::uint32_t>(referenced(view, index));
  // move_pages fills all elements and returns 0; everything else that is out fills `result` of them.
  const bool counts_result = kind.direction == Direction::kOut && view.entry.result == ResultKind::kCount;
  if (counts_result) count = smaller(count, static_cast<std::uint64_t>(view.result));
  write_elements(view, index, count);
}

void form_fixed_array(const CallView& view, unsigned index) {
  write_elements(view, index, static_cast<std::uint64_t>(view.kind(index).reference));
}

void write_bit_set(TextWriter& out, std::uint64_t address, std::uint64_t bits) {
  std::uint64_t word = 0;
  if (address == 0 || (bits != 0 && read_guest(word, guest(address)) != 0)) return write_address(out, address);
  out.put('[');
  bool first = true;
  for (std::uint64_t bit = 0; bit < smaller(bits, kScannedBits) && !out.is_full(); bit++) {
    if (bit % 64 == 0 && read_guest(word, guest(address) + bit / 8) != 0) break;
    if ((word >> (bit % 64) & 1) == 0) continue;
    if (!first) out.put(' ');
    out.unsigned_decimal(bit);
    first = false;
  }
  out.put(']');
}

void form_bits(const CallView& view, unsigned index) {
  if (!view.is_filled(view.kind(index).direction)) return form_address(view, index);
  const auto bits = static_cast<std::int64_t>(referenced(view, index));
  write_bit_set(view.out, view.arguments[index], bits > 0 ? static_cast<std::uint64_t>(bits) : 0);
}

void form_byte_bits(const CallView& view, unsigned index) {
  const Direction direction = view.kind(index).direction;
  if (!view.is_filled(direction)) return form_address(view, index);
  const std::uint64_t bytes =
      direction == Direction::kOut ? static_cast<std::uint64_t>(view.result) : referenced(view, index);
  write_bit_set(view.out, view.arguments[index], smaller(bytes, kScannedBits) * 8);
}

void form_io_vector(const CallView& view, unsigned index) {
  const Direction direction = view.kind(index).direction;
  if (!view.is_filled(direction)) return form_address(view, index);
  const std::uint64_t transferred =
      direction == Direction::kOut ? static_cast<std::uint64_t>(view.result) : ~std::uint64_t{0};
  write_io_vector(view, guest(view.arguments[index]), referenced(view, index), direction, transferred);
}

using FormWriter = void (*)(const CallView& view, unsigned index);
constexpr std::size_t kFormCount = static_cast<std::size_t>(ArgumentForm::kMultiplexed) + 1;

struct FormTable {
  FormWriter writers[kFormCount];
};

consteval FormTable build_forms() {
  using enum ArgumentForm;
  FormTable table{};
  for (FormWriter& writer : table.writers) writer = &form_none;
  const auto set = [&table](ArgumentForm form, FormWriter writer) {
    table.writers[static_cast<std::size_t>(form)] = writer;
  };
  set(kFd, &form_int);
  set(kPid, &form_int);
  set(kNumber, &form_int);
  set(kSize, &form_unsigned);
  set(kCount, &form_unsigned);
  set(kOffset, &form_long);
  set(kLong, &form_long);
  set(kAddress, &form_address);
  set(kFutexWord, &form_address);
  set(kPages, &form_address);
  set(kDirFd, &form_directory);
  set(kId, &form_id);
  set(kSignal, &form_signal);
  set(kMode, &form_mode);
  set(kDevice, &form_device);
  set(kValue, &form_value);
  set(kPath, &form_path);
  set(kString, &form_string);
  set(kStringArray, &form_string_array);
  set(kStructure, &form_structure);
  set(kSized, &form_sized);
  set(kArray, &form_array);
  set(kFixedArray, &form_fixed_array);
  set(kBuffer, &form_buffer);
  set(kBlock, &form_block);
  set(kPointedBuffer, &form_pointed_buffer);
  set(kBits, &form_bits);
  set(kByteBits, &form_byte_bits);
  set(kIoVector, &form_io_vector);
  set(kMessage, &write_message);
  set(kMessages, &write_messages);
  set(kSocketAddress, &write_socket_address_argument);
  set(kLengthPointer, &form_length_pointer);
  set(kIoctlArgument, &write_ioctl_argument);
  set(kFcntlArgument, &write_fcntl_argument);
  set(kPrctlArgument, &write_prctl_argument);
  set(kArchPrctlArgument, &write_arch_prctl_argument);
  set(kFutexTimeout, &write_futex_timeout);
  set(kSocketOption, &write_option_name);
  set(kOptionValue, &form_option_value);
  set(kSemctlArgument, &write_semctl_argument);
  return table;
}

constinit const FormTable kForms = build_forms();

void write_error(TextWriter& out, long error) {
  out.text("-1 ");
  const char* name = error_name(error);
  if (name == nullptr) {
    out.text("(error ").decimal(error).put(')');
    return;
  }
  out.text(name).text(" (").text(error_text(error)).put(')');
}

}  // namespace

void write_address(TextWriter& out, std::uint64_t address) { address == 0 ? out.text("NULL") : out.hex(address); }

void write_bytes(TextWriter& out, GuestAddr address, std::uint64_t size, std::uint64_t limit) {
  char chunk[256];
  const std::uint64_t shown = smaller(size, limit);
  if (raw(address) == 0 || (shown != 0 && copy_from_guest(chunk, address, smaller(shown, sizeof(chunk))) != 0)) {
    return write_address(out, raw(address));
  }
  out.put('"');
  std::uint64_t done = 0;
  bool readable = true;
  while (readable && done < shown && !out.is_full()) {
    const std::uint64_t part = smaller(shown - done, sizeof(chunk));
    readable = copy_from_guest(chunk, address + done, part) == 0;
    if (readable) out.escaped(chunk, part);
    done += part;
  }
  out.put('"');
  if (size > shown || !readable) out.text("...");
}

void write_string(TextWriter& out, GuestAddr address, std::uint64_t limit) {
  char chunk[256];
  long length = raw(address) == 0 ? -1 : read_guest_string(chunk, sizeof(chunk), address);
  constexpr long kNameTooLong = -36;
  if (length < 0 && length != kNameTooLong) return write_address(out, raw(address));
  out.put('"');
  std::uint64_t done = 0;
  for (;;) {
    const std::uint64_t part = length >= 0 ? static_cast<std::uint64_t>(length) : sizeof(chunk);
    const std::uint64_t shown = smaller(part, limit - done);
    out.escaped(chunk, shown);
    done += shown;
    if (length >= 0 && shown == part) {
      out.put('"');
      return;
    }
    if (shown < part || out.is_full() || done >= limit) break;
    length = read_guest_string(chunk, sizeof(chunk), address + done);
    if (length < 0 && length != kNameTooLong) break;
  }
  out.text("\"...");
}

void write_arguments(const CallView& view) {
  const unsigned count = used_argument_count(view);
  for (unsigned index = 0; index < count; index++) {
    if (index != 0) view.out.text(", ");
    kForms.writers[static_cast<std::size_t>(view.kind(index).form)](view, index);
  }
}

void write_result(const CallView& view) {
  const long result = view.result;
  if (result == kRestartCall) {
    view.out.text("? (made again after the signal)");
    return;
  }
  if (is_error(result)) return write_error(view.out, -result);
  switch (view.entry.result) {
    case ResultKind::kHex:
      view.out.hex(static_cast<std::uint64_t>(result));
      break;
    case ResultKind::kAddress:
      write_address(view.out, static_cast<std::uint64_t>(result));
      break;
    default:
      view.out.decimal(result);
  }
  write_result_detail(view);
}

}  // namespace casemate::runtime
