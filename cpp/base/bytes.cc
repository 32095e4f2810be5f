#include "base/bytes.h"

#include <array>
#include <cctype>
#include <limits>
#include <utility>

#include "base/error.h"

namespace checkroom {
namespace {

__extension__ using Wide = __int128;  // a GNU extension, as in every 64-bit Linux compiler

constexpr Wide kMost = std::numeric_limits<std::int64_t>::max();

Bytes narrow(Wide value, const char* what) {
  if (value > kMost || value < std::numeric_limits<std::int64_t>::min()) {
    throw Error::overflow(std::string("a size does not fit into 64 bits: ") + what);
  }
  return Bytes(static_cast<std::int64_t>(value));
}

std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

[[noreturn]] void refuse(std::string_view text, const std::string& why) {
  throw Error::invalid("not a size: " + quoted(text) + " (" + why +
                       "; write for example '6.9 GB', '27.6 GiB' or '500M')");
}

// The factor of a unit, or 0 where there is no such unit.
std::int64_t unit_factor(std::string_view unit) {
  std::string lower;
  for (const char c : unit) {
    lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  if (lower.empty() || lower == "b") return 1;
  constexpr std::string_view kPrefixes = "kmgtpe";
  const std::size_t power = kPrefixes.find(lower[0]);
  if (power == std::string_view::npos) return 0;
  const std::string_view rest = std::string_view(lower).substr(1);
  const bool binary = rest == "ib" || rest == "i";
  if (!binary && rest != "b" && !rest.empty()) return 0;
  std::int64_t factor = 1;
  for (std::size_t i = 0; i <= power; ++i) factor *= binary ? 1024 : 1000;
  return factor;
}

}  // namespace

Bytes operator+(Bytes a, Bytes b) { return narrow(Wide{a.count_} + b.count_, "sum"); }
Bytes operator-(Bytes a, Bytes b) { return narrow(Wide{a.count_} - b.count_, "difference"); }
Bytes operator*(Bytes a, std::int64_t times) { return narrow(Wide{a.count_} * times, "product"); }

Bytes scale(Bytes amount, std::int64_t numerator, std::int64_t denominator) {
  if (denominator <= 0) throw Error::invalid("cannot scale a size by a denominator below 1");
  return narrow(Wide{amount.count()} * numerator / denominator, "scaled size");
}

Bytes parse_size(std::string_view text) {
  std::string_view rest = text;
  const auto skip_space = [&rest] {
    while (!rest.empty() && std::isspace(static_cast<unsigned char>(rest.front())) != 0) {
      rest.remove_prefix(1);
    }
  };
  skip_space();
  while (!rest.empty() && std::isspace(static_cast<unsigned char>(rest.back())) != 0) {
    rest.remove_suffix(1);
  }
  if (rest.empty()) refuse(text, "it is empty");
  if (rest.front() == '-') refuse(text, "it is negative");
  if (rest.front() == '+') rest.remove_prefix(1);

  // The number as an integer `digits` over 10^fraction, kept small enough to multiply in 128 bits.
  // 18 digits of fraction decide every rounding that a 64-bit result can show.
  constexpr Wide kDigitsMost = kMost * 10;
  Wide whole = 0;
  Wide fraction = 0;
  Wide fraction_scale = 1;
  bool any = false;
  bool point = false;
  while (!rest.empty()) {
    const char c = rest.front();
    if (c == '.' && !point) {
      point = true;
    } else if (c >= '0' && c <= '9') {
      any = true;
      if (!point) {
        whole = whole * 10 + (c - '0');
        if (whole > kDigitsMost) {
          throw Error::overflow("a size does not fit into 64 bits: " + quoted(text));
        }
      } else if (fraction_scale < Wide{1'000'000'000'000'000'000}) {
        fraction = fraction * 10 + (c - '0');
        fraction_scale *= 10;
      }
    } else if (c == '_' && any) {
      // digit grouping, as in Python's literals
    } else {
      break;
    }
    rest.remove_prefix(1);
  }
  if (!any) refuse(text, "it does not start with a number");
  skip_space();

  const std::int64_t factor = unit_factor(rest);
  if (factor == 0) refuse(text, "unknown unit " + quoted(rest));
  if (whole > kMost / factor + 1) {
    throw Error::overflow("a size does not fit into 64 bits: " + quoted(text));
  }
  const Wide rounded = (fraction * factor * 2 + fraction_scale) / (fraction_scale * 2);
  const Wide total = whole * factor + rounded;
  if (total > kMost) throw Error::overflow("a size does not fit into 64 bits: " + quoted(text));
  return Bytes(static_cast<std::int64_t>(total));
}

std::string format_size(Bytes size) {
  static constexpr std::array<const char*, 6> kUnits = {"kB", "MB", "GB", "TB", "PB", "EB"};
  const bool negative = size.count() < 0;
  const Wide amount = negative ? -Wide{size.count()} : Wide{size.count()};
  const std::string sign = negative ? "-" : "";
  if (amount < 1000) return sign + std::to_string(static_cast<std::int64_t>(amount)) + " B";
  Wide factor = 1000;
  std::size_t unit = 0;
  // Tenths, rounded half up; a value that rounds to 1000.0 moves to the next unit.
  Wide tenths = (amount * 10 + factor / 2) / factor;
  while (tenths >= 10000 && unit + 1 < kUnits.size()) {
    factor *= 1000;
    ++unit;
    tenths = (amount * 10 + factor / 2) / factor;
  }
  const auto shown = static_cast<std::int64_t>(tenths);
  return sign + std::to_string(shown / 10) + "." + std::to_string(shown % 10) + " " + kUnits[unit];
}

}  // namespace checkroom
