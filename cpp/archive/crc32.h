// The checksum of a zip: CRC-32 with zlib's polynomial, by libdeflate's SIMD code.
//
// Pure function; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace checkroom::archive {

// `before`: the checksum of what came before these bytes; 0 at the start.
[[nodiscard]] std::uint32_t crc32(std::uint32_t before, std::span<const std::byte> bytes);

}  // namespace checkroom::archive
