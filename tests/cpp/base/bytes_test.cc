#include "base/bytes.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"

namespace checkroom {
namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

void expect_refused(const char* text, ErrorCode code) {
  try {
    parse_size(text);
    FAIL() << text << " was taken for a size";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << text;
    EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
  }
}

TEST(ParseSize, DecimalUnitsAreDecimalAndIecUnitsBinary) {
  EXPECT_EQ(parse_size("6.9 GB").count(), 6'900'000'000);
  EXPECT_EQ(parse_size("27.6GiB").count(), 29'635'274'342);  // 27.6 * 2^30 = 29635274342.4
  EXPECT_EQ(parse_size("500M").count(), 500'000'000);
  EXPECT_EQ(parse_size(" 1 kB ").count(), 1000);
  EXPECT_EQ(parse_size("1K").count(), 1000);
  EXPECT_EQ(parse_size("1KiB").count(), 1024);
  EXPECT_EQ(parse_size("42").count(), 42);
  EXPECT_EQ(parse_size("42 B").count(), 42);
  EXPECT_EQ(parse_size("1_000").count(), 1000);
  EXPECT_EQ(parse_size("0").count(), 0);
  EXPECT_EQ(parse_size(".5 KiB").count(), 512);
}

TEST(ParseSize, IsExactWhereFloatingPointIsNot) {
  EXPECT_EQ(parse_size("9223372036854775807").count(), kMost);
  EXPECT_EQ(parse_size("9.223372036854775807EB").count(), kMost);
  EXPECT_EQ(parse_size("0.0005kB").count(), 1);  // half a byte, away from zero
  EXPECT_EQ(parse_size("0.0004kB").count(), 0);
}

TEST(ParseSize, RefusesWhatIsNotASizeAndQuotesIt) {
  for (const char* text : {"6.9 XB", "-1 GB", "GB", "1.2.3 GB", "1 GB 2", "ten", "1 GiBs", "_1"}) {
    expect_refused(text, ErrorCode::kInvalidArgument);
  }
  EXPECT_THROW(parse_size(""), Error);
  for (const char* text : {"9223372036854775808", "10 EB", "8 EiB", "99999999999999999999 GB"}) {
    expect_refused(text, ErrorCode::kOverflow);
  }
}

TEST(FormatSize, HasOneDigitAndMovesToTheNextUnitWhenItRoundsUp) {
  EXPECT_EQ(format_size(Bytes(0)), "0 B");
  EXPECT_EQ(format_size(Bytes(999)), "999 B");
  EXPECT_EQ(format_size(Bytes(1000)), "1.0 kB");
  EXPECT_EQ(format_size(Bytes(6'900'000'000)), "6.9 GB");
  EXPECT_EQ(format_size(Bytes(34'551'000'000)), "34.6 GB");
  EXPECT_EQ(format_size(Bytes(999'950)), "1.0 MB");
  EXPECT_EQ(format_size(Bytes(999'949)), "999.9 kB");
  EXPECT_EQ(format_size(Bytes(kMost)), "9.2 EB");
  EXPECT_EQ(format_size(Bytes(-1500)), "-1.5 kB");
}

TEST(FormatSize, ParsesBackToWithinHalfATenthOfItsUnit) {
  for (std::int64_t n = 1; n < kMost / 7; n = n * 7 + 3) {
    const std::int64_t back = parse_size(format_size(Bytes(n))).count();
    EXPECT_NEAR(static_cast<double>(back), static_cast<double>(n), static_cast<double>(n) * 0.051);
  }
}

TEST(BytesArithmetic, IsChecked) {
  EXPECT_EQ((Bytes(2) + Bytes(3)).count(), 5);
  EXPECT_EQ((Bytes(2) - Bytes(3)).count(), -1);
  EXPECT_EQ((Bytes(2) * 3).count(), 6);
  EXPECT_THROW(Bytes(kMost) + Bytes(1), Error);
  EXPECT_THROW(Bytes(-2) - Bytes(kMost), Error);
  EXPECT_THROW(Bytes(kMost) * 2, Error);
  EXPECT_EQ(scale(Bytes(10'000'000), 684, 171).count(), 40'000'000);
  EXPECT_EQ(scale(Bytes(kMost), 3, 6).count(), kMost / 2);
  EXPECT_THROW(scale(Bytes(kMost), 2, 1), Error);
}

}  // namespace
}  // namespace checkroom
