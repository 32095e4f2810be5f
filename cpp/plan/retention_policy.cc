// What a retention policy and an item may say, and the text of a rule.

#include <array>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "plan/retention.h"

namespace checkroom::plan {
namespace {

// Each takes two bits of EngineCore::Holds.
constexpr std::size_t kMaxMetrics = 11;

std::string quoted(const std::string& text) { return "'" + text + "'"; }

std::string shortest(double value) {
  std::array<char, 32> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  return {buffer.data(), end};
}

template <typename... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};
template <typename... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;

void check_every(const KeepEvery& rule, const std::string& text) {
  const int units =
      int{rule.epochs.has_value()} + int{rule.steps.has_value()} + int{rule.hours.has_value()};
  if (units != 1) {
    throw Error::invalid(text + " must name exactly one of epochs, steps and hours");
  }
  const bool positive = rule.epochs  ? *rule.epochs > 0
                        : rule.steps ? *rule.steps > 0
                                     : *rule.hours > 0 && std::isfinite(*rule.hours);
  if (!positive) throw Error::invalid(text + " needs an interval above 0");
}

std::string top_k_text(const TopK& top_k) {
  return "save_top_k=" + std::to_string(top_k.k) + ", monitor=" + quoted(top_k.monitor) +
         ", mode=" + quoted(mode_text(top_k.mode));
}

void check_top_k(const TopK& top_k) {
  if (top_k.k < -1) {
    throw Error::invalid("save_top_k=" + std::to_string(top_k.k) +
                         " must be -1 (all), 0 (none) or more");
  }
  if (top_k.monitor.empty() && top_k.k > 1) {
    throw Error::invalid("save_top_k=" + std::to_string(top_k.k) +
                         " needs a monitor: without one there is nothing to rank by");
  }
}

void check_against_each_other(const RetentionPolicy& policy) {
  struct Ranking {
    std::string monitor;
    Mode mode;
    std::string text;
  };
  std::vector<Ranking> rankings;
  if (!policy.top_k.monitor.empty()) {
    rankings.push_back({policy.top_k.monitor, policy.top_k.mode, top_k_text(policy.top_k)});
  }
  const KeepRule* last = nullptr;
  std::array<const KeepRule*, 3> every{};
  const auto once = [](const KeepRule*& seen, const KeepRule& rule) {
    if (seen != nullptr) {
      throw Error::invalid(rule_text(rule) + " repeats " + rule_text(*seen));
    }
    seen = &rule;
  };
  for (const KeepRule& rule : policy.keep) {
    std::visit(
        Overloaded{[&](const KeepLast&) { once(last, rule); },
                   [&](const KeepEvery& r) {
                     once(every[r.epochs ? 0 : r.steps ? 1 : 2], rule);
                   },
                   [&](const KeepBest& r) {
                     for (const Ranking& other : rankings) {
                       if (other.monitor != r.monitor) continue;
                       throw Error::invalid(rule_text(rule) +
                                            (other.mode == r.mode ? " repeats " : " contradicts ") +
                                            other.text);
                     }
                     rankings.push_back({r.monitor, r.mode, rule_text(rule)});
                   }},
        rule);
  }
  if (rankings.size() > kMaxMetrics) {
    throw Error::invalid(std::to_string(rankings.size()) + " metrics are ranked, at most " +
                         std::to_string(kMaxMetrics) + " can be");
  }
}

}  // namespace

std::string mode_text(Mode mode) { return mode == Mode::kMin ? "min" : "max"; }

std::string rule_text(const KeepRule& rule) {
  return std::visit(
      Overloaded{[](const KeepLast& r) { return "KeepLast(n=" + std::to_string(r.n) + ")"; },
                 [](const KeepEvery& r) {
                   std::string units;
                   const auto add = [&units](const char* name, const std::string& value) {
                     units += (units.empty() ? "" : ", ") + std::string(name) + "=" + value;
                   };
                   if (r.epochs) add("epochs", std::to_string(*r.epochs));
                   if (r.steps) add("steps", std::to_string(*r.steps));
                   if (r.hours) add("hours", shortest(*r.hours));
                   return "KeepEvery(" + units + ")";
                 },
                 [](const KeepBest& r) {
                   return "KeepBest(k=" + std::to_string(r.k) + ", monitor=" + quoted(r.monitor) +
                          ", mode=" + quoted(mode_text(r.mode)) + ")";
                 }},
      rule);
}

void check_rule(const KeepRule& rule) {
  const std::string text = rule_text(rule);
  std::visit(Overloaded{[&](const KeepLast& r) {
                          if (r.n < 1) throw Error::invalid(text + " needs n >= 1");
                        },
                        [&](const KeepEvery& r) { check_every(r, text); },
                        [&](const KeepBest& r) {
                          if (r.k < 1) throw Error::invalid(text + " needs k >= 1");
                          if (r.monitor.empty()) throw Error::invalid(text + " needs a monitor");
                        }},
             rule);
}

void check_policy(const RetentionPolicy& policy) {
  check_top_k(policy.top_k);
  for (const KeepRule& rule : policy.keep) check_rule(rule);
  check_against_each_other(policy);
  for (const std::string& name : policy.pinned) {
    if (name.empty()) throw Error::invalid("pinned holds an empty name");
  }
  if (policy.budget && *policy.budget < Bytes(0)) {
    throw Error::invalid("budget=" + std::to_string(policy.budget->count()) +
                         " must not be negative");
  }
}

void check_item(const Item& item) {
  if (item.name.empty()) throw Error::invalid("an item has an empty name");
  const auto refuse_negative = [&item](const char* what, std::int64_t value) {
    if (value < 0) {
      throw Error::invalid(std::string(what) + "=" + std::to_string(value) + " of item " +
                           quoted(item.name) + " must not be negative");
    }
  };
  refuse_negative("bytes", item.bytes.count());
  refuse_negative("own_bytes", item.own_bytes.count());
  if (!std::isfinite(item.saved_at)) {
    throw Error::invalid("saved_at=" + shortest(item.saved_at) + " of item " + quoted(item.name) +
                         " is not a time");
  }
}

}  // namespace checkroom::plan
