#include "plan/retention_reasons.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <utility>

namespace checkroom::plan {
namespace {

constexpr int kMostDigits = 17;

// Is it shown with digits after the point, not as 1.23e-04?
bool is_fixed(double score) {
  const double size = std::abs(score);
  return size == 0 || (size >= 0.1 && size < 1e7);
}

// The size of a score in units of its last digit, rounded as to_chars() rounds: exactly, half to
// even. None: not shown with digits after the point, or more than a double counts.
std::optional<std::uint64_t> units_of(double score, int digits) {
  static constexpr std::array<double, kMostDigits + 1> kPowers = {
      1e0, 1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,
      1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17};
  if (!is_fixed(score)) return std::nullopt;
  const double power = kPowers.at(static_cast<std::size_t>(digits));
  const double size = std::abs(score);
  const double scaled = size * power;
  if (!(scaled < 0x1p53)) return std::nullopt;
  const double rounded_off = std::fma(size, power, -scaled);  // what the product lost, exactly
  const auto whole = static_cast<std::uint64_t>(scaled);
  const double rest = scaled - static_cast<double>(whole);
  const bool up =
      rest > 0.5 || (rest == 0.5 && (rounded_off > 0 || (rounded_off == 0 && whole % 2 != 0)));
  return whole + (up ? 1 : 0);
}

std::string with_digits(double score, int digits) {
  std::array<char, 64> buffer{};
  char* const begin = buffer.data();
  char* const end = begin + buffer.size();
  const auto units = units_of(score, digits);
  if (!units) {
    if (std::isnan(score)) return "nan";
    if (std::isinf(score)) return score > 0 ? "inf" : "-inf";
    const auto format = is_fixed(score) ? std::chars_format::fixed : std::chars_format::general;
    return {begin, std::to_chars(begin, end, score, format, digits).ptr};
  }
  char* at = end;
  std::uint64_t left = *units;
  for (int i = 0; i < digits; ++i, left /= 10) *--at = static_cast<char>('0' + left % 10);
  *--at = '.';
  do {
    *--at = static_cast<char>('0' + left % 10);
    left /= 10;
  } while (left != 0);
  if (score < 0) *--at = '-';
  return {at, end};
}

std::string interval_text(const KeepEvery& rule) {
  const auto text = [](const std::string& count, const char* unit) {
    return count == "1" ? std::string("every ") + unit : "every " + count + " " + unit + "s";
  };
  if (rule.epochs) return text(std::to_string(*rule.epochs), "epoch");
  if (rule.steps) return text(std::to_string(*rule.steps), "step");
  std::array<char, 32> buffer{};
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), rule.hours.value_or(0)).ptr;
  return text({buffer.data(), end}, "hour");
}

// One after the other, in one piece of memory.
std::string joined(std::initializer_list<std::string_view> parts) {
  std::size_t length = 0;
  for (const std::string_view part : parts) length += part.size();
  std::string text;
  text.reserve(length);
  for (const std::string_view part : parts) text += part;
  return text;
}

double score_of(const Item& item, const std::string& monitor) {
  const auto found = item.scores.find(monitor);
  return found == item.scores.end() ? std::nan("") : found->second;
}

}  // namespace

std::string score_text(double score) { return with_digits(score, 3); }

std::pair<std::string, std::string> score_texts(double a, double b) {
  for (int digits = 3;; ++digits) {
    // Texts are made only once they differ, where that can be told without.
    const auto in_a = units_of(a, digits);
    const auto in_b = units_of(b, digits);
    if (in_a && in_b && *in_a == *in_b && (a < 0) == (b < 0) && a != b && digits < kMostDigits) {
      continue;
    }
    std::pair<std::string, std::string> texts{with_digits(a, digits), with_digits(b, digits)};
    if (a == b || texts.first != texts.second || digits == kMostDigits) return texts;
  }
}

std::string ordinal(std::int64_t n) {
  const std::int64_t tens = n % 100;
  const char* ending = "th";
  if (tens < 11 || tens > 13) {
    if (n % 10 == 1) ending = "st";
    if (n % 10 == 2) ending = "nd";
    if (n % 10 == 3) ending = "rd";
  }
  return std::to_string(n) + ending;
}

ReasonText::ReasonText(const RetentionPolicy& policy)
    : policy_(policy), ranks_(policy.top_k.k != 0 && !policy.top_k.monitor.empty()) {
  rules_.push_back(ranking(policy.top_k.k, policy.top_k.monitor));
  for (const KeepRule& keep : policy.keep) {
    Rule rule;
    if (const auto* best = std::get_if<KeepBest>(&keep)) {
      rule = ranking(best->k, best->monitor);
      ranks_ = true;
    }
    if (const auto* last = std::get_if<KeepLast>(&keep)) {
      rule.kept = "last " + std::to_string(last->n);
    }
    if (const auto* every = std::get_if<KeepEvery>(&keep)) rule.kept = interval_text(*every);
    rules_.push_back(std::move(rule));
  }
}

ReasonText::Rule ReasonText::ranking(std::int64_t k, const std::string& monitor) {
  const std::string top = "top " + std::to_string(k) + " by " + monitor;
  Rule rule;
  rule.monitor = &monitor;
  rule.kept = k < 0 ? "all by " + monitor : top;
  rule.not_in = "not in the " + top + " (";
  rule.the_kth = "; the " + (k == 1 ? "best" : ordinal(k)) + " is ";
  return rule;
}

std::string ReasonText::operator()(const Reason& reason, const Item& item,
                                   const Item* other) const {
  const std::string* const monitor = monitor_of(reason.rule);
  const auto score = [&](const Item& of) {
    return monitor == nullptr ? std::nan("") : score_of(of, *monitor);
  };
  return (*this)(reason, score(item),
                 other == nullptr ? std::nullopt : std::optional(score(*other)));
}

std::string ReasonText::operator()(const Reason& reason, double score,
                                   std::optional<double> other) const {
  const Rule& rule = rules_[reason.rule];
  switch (reason.kind) {
    case ReasonKind::kBest:
      return "best " + *rule.monitor + " (" + score_text(score) + ")";
    case ReasonKind::kTopK:
      return joined(
          {rule.kept, " (rank ", std::to_string(reason.rank), ", ", score_text(score), ")"});
    case ReasonKind::kUnscored:
      return "no " + *rule.monitor + " recorded";
    case ReasonKind::kAll:
      return "all are kept";
    case ReasonKind::kLastN:
    case ReasonKind::kEvery:
      return rule.kept;
    case ReasonKind::kNewest:
      return "newest";
    case ReasonKind::kLast:
      return "last";
    case ReasonKind::kResumedFrom:
      return "resumed from";
    case ReasonKind::kPinned:
      return "pinned";
    case ReasonKind::kNotInTopK:
      return not_in(rule, score, other);
    case ReasonKind::kReplaced:
      return "replaced by a newer one";
    case ReasonKind::kOlder:
      return rule.kept == "last 1" ? "older than the last one" : "older than the " + rule.kept;
    case ReasonKind::kNotDue:
      return "not due: kept " + rule.kept;
    case ReasonKind::kOverBudget:
      return over_budget(reason);
    case ReasonKind::kNoRoom:
      return no_room(reason);
    case ReasonKind::kNothingKept:
      break;
  }
  return "save_top_k=0 keeps none";
}

std::string ReasonText::not_in(const Rule& rule, double score, std::optional<double> other) const {
  if (!other) return joined({rule.not_in, score_text(score), ")"});
  const auto [mine, kth] = score_texts(score, *other);
  return joined({rule.not_in, mine, rule.the_kth, kth, ")"});
}

std::string ReasonText::over_budget(const Reason& reason) const {
  const std::string over = "over the budget of " + format_size(policy_.budget.value_or(Bytes(0)));
  if (reason.rank == 0) return over + (ranks_ ? ": the oldest outside the best" : ": the oldest");
  return over + ": rank " + std::to_string(reason.rank) + " of " + *rules_[reason.rule].monitor;
}

std::string ReasonText::no_room(const Reason& reason) const {
  const std::string monitor = *rules_[reason.rule].monitor;
  if (reason.rank == 0) return "the budget has no room for one without " + monitor;
  if (reason.rank == 1) return "the budget has room for 1, and it is not the best";
  const std::string room = std::to_string(reason.rank);
  return "the budget has room for " + room + ", and it is not among the best " + room;
}

}  // namespace checkroom::plan
