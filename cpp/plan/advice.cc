#include "plan/advice.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "plan/forecast.h"
#include "plan/save_events.h"

namespace checkroom::plan {
namespace {

constexpr std::array<std::int64_t, 12> kMultiples = {1,   2,   5,   10,   20,   50,
                                                     100, 200, 500, 1000, 2000, 5000};

// Fewer saves than this are no advice.
constexpr std::int64_t kLeastSaves = 2;

// Opportunities to save that ask the rules; counted up to `enough`.
std::int64_t saves_of(const RunSpec& spec, std::int64_t enough) {
  const RunCalendar calendar(spec);
  const SaveTriggers& t = calendar.triggers();
  // A run without an end that writes nothing but `last` would be counted for ever.
  if (t.every_epochs == 0 && t.every_steps == 0 && t.every_batches == 0) return 0;
  SaveEvents events(calendar);
  std::int64_t saves = 0;
  while (saves < enough) {
    const auto event = events.next();
    if (!event) break;
    if (event->kind == SaveKind::kRules) ++saves;
  }
  return saves;
}

// One question at a time: a spec, asked whether it fits.
class Adviser {
 public:
  Adviser(const RunSpec& spec, Bytes have) : spec_(spec), have_(have) {
    advice_.own = ask(spec);
    advice_.smallest = advice_.own;
    advice_.strategy = strategy_for(forecast(spec).epochs());
  }

  Advice run() {
    follow_strategy();
    most_best(AdviceKind::kLast, true, false);
    if (can_keep() && spec_.monitor && !keeps_newest()) {
      most_best(AdviceKind::kNewest, true, true);
    }
    most_best(AdviceKind::kNoLast, false, false);
    cap();
    if (advice_.smallest.margin < Bytes(0)) look_for_a_way();
    return std::move(advice_);
  }

 private:
  [[nodiscard]] bool can_keep() const { return spec_.writer == Writer::kCheckroom; }
  [[nodiscard]] bool keeps_newest() const {
    return std::any_of(spec_.keep.begin(), spec_.keep.end(),
                       [](const KeepRule& rule) { return std::holds_alternative<KeepLast>(rule); });
  }

  [[nodiscard]] Advised ask(RunSpec spec) const {
    Advised asked{std::move(spec), std::nullopt, Bytes(0)};
    asked.need = need_of(asked.spec);
    if (asked.need) asked.margin = have_ - *asked.need;
    return asked;
  }

  // Asks about a candidate; true: it fits, and is in the list now unless it is there already.
  bool offer(AdviceKind kind, const RunSpec& candidate) {
    Advised asked = ask(candidate);
    if (!asked.need) return false;
    if (!advice_.smallest.need || *asked.need < *advice_.smallest.need) advice_.smallest = asked;
    if (*asked.need > have_) return false;
    const auto same = [&](const Advice::Choice& other) {
      return same_policy(other.spec, candidate);
    };
    if (std::none_of(advice_.fits.begin(), advice_.fits.end(), same)) {
      Advice::Choice choice;
      static_cast<Advised&>(choice) = std::move(asked);
      choice.kind = kind;
      advice_.fits.push_back(std::move(choice));
    }
    return true;
  }

  static bool same_policy(const RunSpec& a, const RunSpec& b) {
    return a.save_top_k == b.save_top_k && keeps_last(a) == keeps_last(b) &&
           a.every_n_epochs == b.every_n_epochs && a.every_n_train_steps == b.every_n_train_steps &&
           a.train_time_interval_seconds == b.train_time_interval_seconds &&
           rules_of(a) == rules_of(b) && a.max_size == b.max_size;
  }

  static std::string rules_of(const RunSpec& spec) {
    std::string text;
    for (const KeepRule& rule : spec.keep) text += rule_text(rule) + ";";
    return text;
  }

  // The spec with k best files. Without a metric those are the newest ones, which only a rule of
  // checkroom's own keeps when they are several.
  [[nodiscard]] std::optional<RunSpec> with_best(std::int64_t k, bool last, bool newest) const {
    RunSpec candidate = spec_;
    candidate.max_size.reset();
    candidate.save_last = !last                                ? SaveLast::kNo
                          : spec_.save_last == SaveLast::kLink ? SaveLast::kLink
                                                               : SaveLast::kYes;
    candidate.save_top_k = k;
    if (!spec_.monitor && k > 1) {
      if (!can_keep()) return std::nullopt;
      candidate.save_top_k = 1;
      std::erase_if(candidate.keep,
                    [](const KeepRule& rule) { return std::holds_alternative<KeepLast>(rule); });
      candidate.keep.emplace_back(KeepLast{k});
    }
    if (newest) candidate.keep.emplace_back(KeepLast{1});
    return candidate;
  }

  // The spec with its interval that many times as long. None: nothing would be saved.
  [[nodiscard]] std::optional<RunSpec> stretched(RunSpec candidate, std::int64_t times) const {
    if (candidate.train_time_interval_seconds.value_or(0) > 0) {
      *candidate.train_time_interval_seconds *= static_cast<double>(times);
    } else if (candidate.every_n_train_steps.value_or(0) > 0) {
      candidate.every_n_train_steps = (Bytes(*candidate.every_n_train_steps) * times).count();
    } else if (epoch_interval(candidate) > 0) {
      candidate.every_n_epochs = (Bytes(epoch_interval(candidate)) * times).count();
    } else if (times > 1) {
      return std::nullopt;
    }
    return candidate;
  }

  void follow_strategy() {
    const Strategy& strategy = advice_.strategy;
    auto candidate = with_best(strategy.save_top_k, strategy.save_last, false);
    if (!candidate) return;
    const std::int64_t own = epoch_interval(*candidate);
    if (own > 0) candidate->every_n_epochs = std::max(own, strategy.every_n_epochs);
    if (saves_of(*candidate, 1) > 0) offer(AdviceKind::kStrategy, *candidate);
  }

  // More best files count more than a finer interval: the first that fits is the best of its kind.
  void most_best(AdviceKind kind, bool last, bool newest) {
    for (std::int64_t k = kMostBest; k >= 1; --k) {
      const auto policy = with_best(k, last, newest);
      if (!policy) continue;
      for (const std::int64_t times : kMultiples) {
        const auto candidate = stretched(*policy, times);
        if (!candidate) break;
        // So many are never saved: it stands further down. And a run that is made to save only once
        // has nothing to go back to while it lasts.
        const std::int64_t enough = times == 1 ? k : std::max<std::int64_t>(k, kLeastSaves);
        if (saves_of(*candidate, enough) < enough) break;
        if (offer(kind, *candidate)) return;
      }
    }
  }

  void cap() {
    if (!can_keep() || (advice_.own.need && *advice_.own.need <= have_)) return;
    RunSpec candidate = spec_;
    const Bytes room = have_ - logs_of(spec_);
    if (room.count() <= 0) return;
    // Rounded down to three digits, so that its text says exactly what it is.
    std::int64_t digit = 1;
    while (room.count() / digit >= 1000) digit *= 10;
    candidate.max_size = Bytes(room.count() / digit * digit);
    if (spec_.max_size) candidate.max_size = std::min(*spec_.max_size, *candidate.max_size);
    offer(AdviceKind::kCap, candidate);
  }

  void look_for_a_way() {
    const Advised& smallest = advice_.smallest;
    if (spec_.weights_only_bytes && !spec_.save_weights_only) {
      RunSpec lighter = smallest.spec;
      lighter.save_weights_only = true;
      Advised asked = ask(lighter);
      if (asked.need && *asked.need <= have_) advice_.weights_only = std::move(asked);
    }
    if (!smallest.need) return;
    const Forecast played = forecast(smallest.spec);
    const std::int64_t files = played.peak_files().most - spec_.existing_files;
    const Bytes beside = spec_.existing_bytes + logs_of(smallest.spec);
    if (files > 0 && beside < have_) {
      advice_.fitting_file = Bytes((have_ - beside).count() / files);
    }
  }

  [[nodiscard]] static Bytes logs_of(const RunSpec& spec) {
    const Forecast played = forecast(spec);
    return played.has_end() ? played.tensorboard() + played.csv() : Bytes(0);
  }

  const RunSpec& spec_;
  Bytes have_;
  Advice advice_;
};

std::string length_of(const Strategy& strategy) {
  if (strategy.from_epochs == 0) return "less than 20 epochs";
  return strategy.from_epochs == 20 ? "20 to 99 epochs" : "100 epochs and more";
}

}  // namespace

Strategy strategy_for(std::optional<std::int64_t> epochs) {
  static const std::array<Strategy, 3> strategies = {
      {{"short", 0, 2, 1, false}, {"medium", 20, 3, 5, true}, {"long", 100, 3, 10, true}}};
  std::size_t found = epochs ? 0 : strategies.size() - 1;
  for (std::size_t i = 0; epochs && i < strategies.size(); ++i) {
    if (*epochs >= strategies.at(i).from_epochs) found = i;
  }
  return strategies.at(found);
}

std::optional<Bytes> need_of(const RunSpec& spec) {
  const Forecast played = forecast(spec);
  if (!played.is_bounded()) return std::nullopt;
  if (!played.has_end()) {
    if ((spec.tensorboard_bytes_per_epoch + spec.csv_bytes_per_epoch).count() > 0) {
      return std::nullopt;
    }
    return played.peak().most;
  }
  return played.peak().most + played.tensorboard() + played.csv();
}

Advice advise(const RunSpec& spec, Bytes have) {
  check(spec);
  if (have.count() < 0) {
    throw Error::invalid("have=" + std::to_string(have.count()) + ": must be 0 or more");
  }
  if (!forecast(spec).has_end() &&
      (spec.tensorboard_bytes_per_epoch + spec.csv_bytes_per_epoch).count() > 0) {
    throw Error::invalid(
        "max_epochs=-1: a run without an end that writes logs fills any disk; give max_epochs or "
        "max_steps");
  }
  return Adviser(spec, have).run();
}

std::string rule_of(const Advice& advice) {
  const Strategy& strategy = advice.strategy;
  std::string text =
      "best first: the strategy for a " + strategy.name + " run (" + length_of(strategy) +
      ": the " + std::to_string(strategy.save_top_k) + " best, every " +
      (strategy.every_n_epochs == 1 ? std::string("epoch")
                                    : std::to_string(strategy.every_n_epochs) + " epochs") +
      (strategy.save_last ? ", and last" : "") + "); then the most best files that fit (" +
      std::to_string(kMostBest) +
      " at the most, each at the finest interval that fits: yours, or 2, 5, 10, ... "
      "times as long), with last, then with the newest epoch as well, then without "
      "last; then the arguments as they are, under a cap";
  return text;
}

}  // namespace checkroom::plan
