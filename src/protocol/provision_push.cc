#include "protocol/provision_push.h"

#include <algorithm>

#include "crypto/cbor.h"

namespace casemate::protocol {
namespace {

using crypto::CborReader;
using crypto::CborWriter;

// Continues the numbers of provision.cc. Types are sent: never renumber.
enum class Type : std::uint64_t { kFilesPush = 9, kRevocation = 10, kFiles = 11 };

constexpr std::uint64_t kMostFiles = 65'536;
constexpr std::size_t kNameLimit = 4096;

Error malformed(const char* what) { return Error(ErrorCategory::kFormat, std::string("push: ") + what); }

CborWriter begin(Type type, std::uint64_t fields) {
  CborWriter out;
  out.array(2 + fields);
  out.unsigned_number(kProvisionVersion);
  out.unsigned_number(static_cast<std::uint64_t>(type));
  return out;
}

Result<CborReader> open(ByteView message, Type type, std::uint64_t fields) {
  CborReader in(message);
  if (CASEMATE_TRY(in.array(2 + fields)) != 2 + fields) return malformed("a message with missing fields");
  if (CASEMATE_TRY(in.unsigned_number()) != kProvisionVersion) return malformed("another version of the protocol");
  if (CASEMATE_TRY(in.unsigned_number()) != static_cast<std::uint64_t>(type)) return malformed("another message");
  return in;
}

Result<std::string> take_name(CborReader& in) {
  const ByteView bytes = CASEMATE_TRY(in.byte_string());
  std::string name(crypto::as_text(bytes));
  if (bytes.size() > kNameLimit || name.find('\0') != std::string::npos) return malformed("not a name");
  return name;
}

Result<GrantedFile> take_file(CborReader& in) {
  if (CASEMATE_TRY(in.array(3)) != 3) return malformed("a file has three fields");
  GrantedFile file;
  file.path = CASEMATE_TRY(take_name(in));
  const std::uint64_t mode = CASEMATE_TRY(in.unsigned_number());
  if (mode > 07777) return malformed("a file mode that does not exist");
  file.mode = static_cast<std::uint32_t>(mode);
  file.content = crypto::as_text(CASEMATE_TRY(in.byte_string()));
  return file;
}

}  // namespace

Bytes encode(const FilesPush& message) {
  CborWriter out = begin(Type::kFilesPush, 2);
  out.unsigned_number(message.generation);
  out.byte_string(message.sealed);
  return out.take();
}

Bytes encode(const Revocation& message) {
  CborWriter out = begin(Type::kRevocation, 1);
  out.byte_string(crypto::as_byte_view(message.reference));
  return out.take();
}

Bytes push_binding(const crypto::AgreementPublicKey& runtime_key, std::uint64_t generation) {
  Bytes binding(runtime_key.begin(), runtime_key.end());
  for (int shift = 56; shift >= 0; shift -= 8) binding.push_back(static_cast<std::byte>(generation >> shift));
  return binding;
}

Bytes encode_files(const std::vector<GrantedFile>& files) {
  CborWriter out = begin(Type::kFiles, 1);
  out.array(files.size());
  for (const GrantedFile& file : files) {
    out.array(3);
    out.byte_string(crypto::as_byte_view(file.path));
    out.unsigned_number(file.mode);
    out.byte_string(crypto::as_byte_view(file.content));
  }
  return out.take();
}

Result<FilesPush> decode_files_push(ByteView message) {
  CborReader in = CASEMATE_TRY(open(message, Type::kFilesPush, 2));
  FilesPush push;
  push.generation = CASEMATE_TRY(in.unsigned_number());
  push.sealed = crypto::to_bytes(CASEMATE_TRY(in.byte_string()));
  if (auto finished = in.finish(); !finished) return finished.error();
  return push;
}

Result<Revocation> decode_revocation(ByteView message) {
  CborReader in = CASEMATE_TRY(open(message, Type::kRevocation, 1));
  Revocation revocation;
  revocation.reference = CASEMATE_TRY(take_name(in));
  if (auto finished = in.finish(); !finished) return finished.error();
  return revocation;
}

Result<std::vector<GrantedFile>> decode_files(ByteView text) {
  CborReader in = CASEMATE_TRY(open(text, Type::kFiles, 1));
  const std::uint64_t count = CASEMATE_TRY(in.array(kMostFiles));
  std::vector<GrantedFile> files;
  for (std::uint64_t i = 0; i < count; ++i) files.push_back(CASEMATE_TRY(take_file(in)));
  if (auto finished = in.finish(); !finished) return finished.error();
  return files;
}

}  // namespace casemate::protocol
