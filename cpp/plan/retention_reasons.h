// ReasonText: a Reason of the engine as a short sentence for people. The wording is made here and
// nowhere else.
//
// It refers to the policy that it is given, which must outlive it; reads only; any thread.
#pragma once

#include <cstdint>
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

 private:
  struct Ranking {  // a rule that ranks by a metric
    std::int64_t k = 0;
    const std::string* monitor = nullptr;
  };
  [[nodiscard]] std::string not_in(const Ranking& ranking, const Item& item,
                                   const Item* other) const;
  [[nodiscard]] std::string over_budget(const Reason& reason) const;
  [[nodiscard]] std::string no_room(const Reason& reason) const;

  const RetentionPolicy& policy_;
  bool ranks_;                     // is there a rule that ranks?
  std::vector<Ranking> rankings_;  // by rule
  std::vector<std::string> kept_;  // by rule: "last 2", "every 5 epochs"
};

// A score for people: three digits after the point, three significant ones where it is small or
// large.
std::string score_text(double score);
// Two scores with as many digits as it takes to tell them apart.
std::pair<std::string, std::string> score_texts(double a, double b);
std::string ordinal(std::int64_t n);  // "1st", "2nd", "11th"

}  // namespace checkroom::plan
