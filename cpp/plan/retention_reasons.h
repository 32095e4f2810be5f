// ReasonText: a Reason of the engine as a short sentence for people. The wording is made here and
// nowhere else.
//
// It refers to the policy that it is given, which must outlive it; reads only; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "plan/retention.h"
#include "plan/retention_core.h"

namespace checkroom::plan {

class ReasonText {
 public:
  explicit ReasonText(const RetentionPolicy& policy);

  // `item` is what the reason is about; `other` the item of reason.other, null where there is none.
  [[nodiscard]] std::string operator()(const Reason& reason, const Item& item,
                                       const Item* other) const;
  // The same, given their scores by monitor_of(reason.rule); NaN: none is recorded.
  [[nodiscard]] std::string operator()(const Reason& reason, double score,
                                       std::optional<double> other) const;
  // The metric by which a rule ranks; null: it does not.
  [[nodiscard]] const std::string* monitor_of(std::uint8_t rule) const {
    return rules_[rule].monitor;
  }

 private:
  struct Rule {
    const std::string* monitor = nullptr;
    std::string kept;     // "last 2", "every 5 epochs"; of one that ranks "top 3 by val_loss"
    std::string not_in;   // "not in the top 3 by val_loss ("
    std::string the_kth;  // "; the 3rd is "
  };
  static Rule ranking(std::int64_t k, const std::string& monitor);
  [[nodiscard]] std::string not_in(const Rule& rule, double score,
                                   std::optional<double> other) const;
  [[nodiscard]] std::string over_budget(const Reason& reason) const;
  [[nodiscard]] std::string no_room(const Reason& reason) const;

  const RetentionPolicy& policy_;
  bool ranks_;               // is there a rule that ranks?
  std::vector<Rule> rules_;  // 0: the top k; i: keep[i - 1]
};

// A score for people: three digits after the point, three significant ones where it is small or
// large.
std::string score_text(double score);
// Two scores with as many digits as it takes to tell them apart.
std::pair<std::string, std::string> score_texts(double a, double b);
std::string ordinal(std::int64_t n);  // "1st", "2nd", "11th"

}  // namespace checkroom::plan
