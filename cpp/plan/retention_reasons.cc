#include "plan/retention_reasons.h"

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

namespace checkroom::plan {
namespace {

std::string with_digits(double score, int digits) {
  if (std::isnan(score)) return "nan";
  if (std::isinf(score)) return score > 0 ? "inf" : "-inf";
  if (score == 0) score = 0;  // not "-0.000"
  const double size = std::abs(score);
  const bool fixed = size == 0 || (size >= 0.1 && size < 1e7);
  std::array<char, 64> buffer{};
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), score,
                    fixed ? std::chars_format::fixed : std::chars_format::general, digits)
          .ptr;
  return {buffer.data(), end};
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

double score_of(const Item& item, const std::string& monitor) {
  const auto found = item.scores.find(monitor);
  return found == item.scores.end() ? std::nan("") : found->second;
}

}  // namespace

std::string score_text(double score) { return with_digits(score, 3); }

std::pair<std::string, std::string> score_texts(double a, double b) {
  for (int digits = 3;; ++digits) {
    std::pair<std::string, std::string> texts{with_digits(a, digits), with_digits(b, digits)};
    if (a == b || texts.first != texts.second || digits == 17) return texts;
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
    : policy_(policy),
      ranks_(policy.top_k.k != 0 && !policy.top_k.monitor.empty()),
      rankings_{{policy.top_k.k, &policy.top_k.monitor}},
      kept_(1) {
  for (const KeepRule& rule : policy.keep) {
    Ranking ranking;
    std::string kept;
    if (const auto* best = std::get_if<KeepBest>(&rule)) {
      ranking = {best->k, &best->monitor};
      ranks_ = true;
    }
    if (const auto* last = std::get_if<KeepLast>(&rule)) kept = "last " + std::to_string(last->n);
    if (const auto* every = std::get_if<KeepEvery>(&rule)) kept = interval_text(*every);
    rankings_.push_back(ranking);
    kept_.push_back(std::move(kept));
  }
}

std::string ReasonText::operator()(const Reason& reason, const Item& item,
                                   const Item* other) const {
  const Ranking& ranking = rankings_[reason.rule];
  switch (reason.kind) {
    case ReasonKind::kBest:
      return "best " + *ranking.monitor + " (" + score_text(score_of(item, *ranking.monitor)) + ")";
    case ReasonKind::kTopK:
      return (ranking.k < 0 ? "all by " : "top " + std::to_string(ranking.k) + " by ") +
             *ranking.monitor + " (rank " + std::to_string(reason.rank) + ", " +
             score_text(score_of(item, *ranking.monitor)) + ")";
    case ReasonKind::kUnscored:
      return "no " + *ranking.monitor + " recorded";
    case ReasonKind::kAll:
      return "all are kept";
    case ReasonKind::kLastN:
    case ReasonKind::kEvery:
      return kept_[reason.rule];
    case ReasonKind::kNewest:
      return "newest";
    case ReasonKind::kLast:
      return "last";
    case ReasonKind::kResumedFrom:
      return "resumed from";
    case ReasonKind::kPinned:
      return "pinned";
    case ReasonKind::kNotInTopK:
      return not_in(ranking, item, other);
    case ReasonKind::kReplaced:
      return "replaced by a newer one";
    case ReasonKind::kOlder:
      return kept_[reason.rule] == "last 1" ? "older than the last one"
                                            : "older than the " + kept_[reason.rule];
    case ReasonKind::kNotDue:
      return "not due: kept " + kept_[reason.rule];
    case ReasonKind::kOverBudget:
      return over_budget(reason);
    case ReasonKind::kNoRoom:
      return no_room(reason);
    case ReasonKind::kNothingKept:
      break;
  }
  return "save_top_k=0 keeps none";
}

std::string ReasonText::not_in(const Ranking& ranking, const Item& item, const Item* other) const {
  const std::string top =
      "not in the top " + std::to_string(ranking.k) + " by " + *ranking.monitor + " (";
  const double score = score_of(item, *ranking.monitor);
  if (other == nullptr) return top + score_text(score) + ")";
  const auto [mine, kth] = score_texts(score, score_of(*other, *ranking.monitor));
  const std::string place = ranking.k == 1 ? "best" : ordinal(ranking.k);
  return top + mine + "; the " + place + " is " + kth + ")";
}

std::string ReasonText::over_budget(const Reason& reason) const {
  const std::string over = "over the budget of " + format_size(policy_.budget.value_or(Bytes(0)));
  if (reason.rank == 0) return over + (ranks_ ? ": the oldest outside the best" : ": the oldest");
  return over + ": rank " + std::to_string(reason.rank) + " of " + *rankings_[reason.rule].monitor;
}

std::string ReasonText::no_room(const Reason& reason) const {
  const std::string monitor = *rankings_[reason.rule].monitor;
  if (reason.rank == 0) return "the budget has no room for one without " + monitor;
  if (reason.rank == 1) return "the budget has room for 1, and it is not the best";
  const std::string room = std::to_string(reason.rank);
  return "the budget has room for " + room + ", and it is not among the best " + room;
}

}  // namespace checkroom::plan
