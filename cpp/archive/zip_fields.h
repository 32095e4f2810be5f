// The fields of a zip: signatures, lengths, and little-endian integers in byte strings.
//
// Pure functions and constants; any thread. Lengths are those of APPNOTE.TXT, section 4.3, as
// PyTorch's copy of miniz writes them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace checkroom::archive {

inline constexpr std::uint32_t kHeaderSignature = 0x04034b50;
inline constexpr std::uint32_t kDescriptorSignature = 0x08074b50;
inline constexpr std::uint32_t kEntrySignature = 0x02014b50;
inline constexpr std::uint32_t kEnd64Signature = 0x06064b50;
inline constexpr std::uint32_t kLocatorSignature = 0x07064b50;
inline constexpr std::uint32_t kEndSignature = 0x06054b50;

inline constexpr std::int64_t kHeaderLength = 30;
inline constexpr std::int64_t kDescriptorLength = 16;
inline constexpr std::int64_t kDescriptor64Length = 24;
inline constexpr std::int64_t kEntryLength = 46;
inline constexpr std::int64_t kEnd64Length = 56;
inline constexpr std::int64_t kLocatorLength = 20;
inline constexpr std::int64_t kEndLength = 22;

inline constexpr std::uint16_t kZip64Field = 0x0001;
inline constexpr std::uint16_t kPaddingField = 0x4246;  // "FB"

// PyTorch turns to 64-bit fields at this value, not behind it.
inline constexpr std::int64_t kZip64From = 0xFFFFFFFF;

template <typename Unsigned>
void put(std::string& bytes, Unsigned value) {
  for (std::size_t i = 0; i < sizeof(Unsigned); ++i) {
    bytes.push_back(static_cast<char>((static_cast<std::uint64_t>(value) >> (8 * i)) & 0xFFU));
  }
}
inline void put_u16(std::string& bytes, std::uint16_t value) { put(bytes, value); }
inline void put_u32(std::string& bytes, std::uint32_t value) { put(bytes, value); }
inline void put_u64(std::string& bytes, std::uint64_t value) { put(bytes, value); }

template <typename Unsigned>
[[nodiscard]] Unsigned get(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = sizeof(Unsigned); i-- > 0;) {
    value = value << 8U | std::to_integer<std::uint64_t>(bytes[i]);
  }
  return static_cast<Unsigned>(value);
}
[[nodiscard]] inline std::uint16_t get_u16(std::span<const std::byte> bytes) {
  return get<std::uint16_t>(bytes);
}
[[nodiscard]] inline std::uint32_t get_u32(std::span<const std::byte> bytes) {
  return get<std::uint32_t>(bytes);
}
[[nodiscard]] inline std::uint64_t get_u64(std::span<const std::byte> bytes) {
  return get<std::uint64_t>(bytes);
}

}  // namespace checkroom::archive
