// The compiler calls these for structure copies. No vector registers: they belong to the program.
#include <cstddef>
#include <cstdint>

extern "C" {

void* memcpy(void* destination, const void* source, std::size_t size) {
  void* result = destination;
  asm volatile("rep movsb" : "+D"(destination), "+S"(source), "+c"(size) : : "memory");
  return result;
}

void* memmove(void* destination, const void* source, std::size_t size) {
  auto* to = static_cast<std::uint8_t*>(destination);
  const auto* from = static_cast<const std::uint8_t*>(source);
  if (to <= from || to >= from + size) return memcpy(destination, source, size);
  for (std::size_t i = size; i > 0; --i) {
    to[i - 1] = from[i - 1];
    asm volatile("" : : : "memory");  // keeps the compiler from turning the loop into a call of memmove
  }
  return destination;
}

void* memset(void* destination, int value, std::size_t size) {
  void* result = destination;
  asm volatile("rep stosb" : "+D"(destination), "+c"(size) : "a"(value) : "memory");
  return result;
}

int memcmp(const void* left, const void* right, std::size_t size) {
  const auto* a = static_cast<const std::uint8_t*>(left);
  const auto* b = static_cast<const std::uint8_t*>(right);
  for (std::size_t i = 0; i < size; ++i) {
    if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
  }
  return 0;
}

std::size_t strlen(const char* text) {
  std::size_t size = 0;
  while (text[size] != 0) {
    ++size;
    asm volatile("");
  }
  return size;
}
}
