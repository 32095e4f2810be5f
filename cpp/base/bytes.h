// Bytes: a count of bytes whose arithmetic is checked, and its text form.
//
// A plain 64-bit value; any thread. Arithmetic that leaves 64 bits throws Error(kOverflow); text
// that is not a size throws Error(kInvalidArgument) and quotes it. Differences may be negative.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace checkroom {

class Bytes {
 public:
  constexpr Bytes() = default;
  constexpr explicit Bytes(std::int64_t count) : count_(count) {}

  [[nodiscard]] constexpr std::int64_t count() const { return count_; }

  friend Bytes operator+(Bytes a, Bytes b);
  friend Bytes operator-(Bytes a, Bytes b);
  friend Bytes operator*(Bytes a, std::int64_t times);
  Bytes& operator+=(Bytes other) { return *this = *this + other; }
  Bytes& operator-=(Bytes other) { return *this = *this - other; }
  friend constexpr auto operator<=>(Bytes, Bytes) = default;

 private:
  std::int64_t count_ = 0;
};

// amount * numerator / denominator, rounded down, computed in 128 bits. denominator > 0.
Bytes scale(Bytes amount, std::int64_t numerator, std::int64_t denominator);

// "6.9 GB" -> 6900000000. Decimal units (B, kB, MB, GB, TB, PB, EB; also K, M, G, ... alone) are
// powers of 1000, IEC units (KiB, MiB, ...) powers of 1024; case does not matter; a bare number is
// bytes; a fraction of a byte is rounded to the nearest (half away from zero). Exact: no floating
// point.
Bytes parse_size(std::string_view text);

// 6900000000 -> "6.9 GB". Decimal units, one digit after the point ("500 B" below 1 kB).
std::string format_size(Bytes size);

}  // namespace checkroom
