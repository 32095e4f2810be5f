#include "archive/crc32.h"

#include <gtest/gtest.h>

#include <string>

namespace checkroom::archive {
namespace {

std::span<const std::byte> bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

TEST(Crc32, IsZlibs) {
  // The check value that every description of CRC-32 gives.
  EXPECT_EQ(crc32(0, bytes("123456789")), 0xCBF43926U);
  EXPECT_EQ(crc32(0, {}), 0U);
}

TEST(Crc32, GoesOnWhereItStopped) {
  const std::string text(100'000, 'x');
  for (const std::size_t cut : {0UL, 1UL, 63UL, 64UL, 99'999UL, 100'000UL}) {
    const std::uint32_t first = crc32(0, bytes(text).first(cut));
    EXPECT_EQ(crc32(first, bytes(text).subspan(cut)), crc32(0, bytes(text))) << cut;
  }
}

}  // namespace
}  // namespace checkroom::archive
