#include "plan/retention_reasons.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <random>
#include <string>
#include <utility>

namespace checkroom::plan {
namespace {

using Texts = std::pair<std::string, std::string>;

TEST(ReasonText, ScoresHaveThreeDigits) {
  EXPECT_EQ(score_text(0.12345), "0.123");
  EXPECT_EQ(score_text(98.5), "98.500");
  EXPECT_EQ(score_text(-0.0), "0.000");
  EXPECT_EQ(score_text(0.0123456), "0.0123");
  EXPECT_EQ(score_text(0.0000012), "1.2e-06");
  EXPECT_EQ(score_text(-123456789.0), "-1.23e+08");
  EXPECT_EQ(score_text(std::numeric_limits<double>::quiet_NaN()), "nan");
  EXPECT_EQ(score_text(-std::numeric_limits<double>::infinity()), "-inf");
}

// As printf() rounds, which is exact.
TEST(ReasonText, DigitsAreRoundedExactly) {
  std::mt19937_64 random(1);
  const auto compare = [](double score) {
    std::array<char, 64> expected{};
    std::snprintf(expected.data(), expected.size(), "%.3f", score);
    EXPECT_EQ(score_text(score), expected.data());
  };
  for (int i = 0; i < 200'000; ++i) {
    const double size = std::ldexp(1.0, static_cast<int>(random() % 26) - 3);
    const double score = size * (1 + std::generate_canonical<double, 53>(random));
    if (score < 0.1 || score >= 1e7) continue;
    compare(score);
    compare(-score);
    compare(std::nextafter(std::round(score * 2000) / 2000, score));  // beside a tie
    compare(std::round(score * 16) / 16);                             // a tie, or exact
  }
}

TEST(ReasonText, TwoScoresAreToldApart) {
  EXPECT_EQ(score_texts(0.13, 0.14), (Texts{"0.130", "0.140"}));
  EXPECT_EQ(score_texts(0.13041, 0.13044), (Texts{"0.13041", "0.13044"}));
  EXPECT_EQ(score_texts(0.13, 0.13), (Texts{"0.130", "0.130"}));
  EXPECT_EQ(score_texts(std::numeric_limits<double>::quiet_NaN(),
                        std::numeric_limits<double>::quiet_NaN()),
            (Texts{"nan", "nan"}));
  const double next = std::nextafter(1.0, 2.0);
  EXPECT_NE(score_texts(1.0, next).first, score_texts(1.0, next).second);
  EXPECT_EQ(score_texts(0.1234999, 0.1235001), (Texts{"0.123", "0.124"}));  // a tie between them
  EXPECT_EQ(score_texts(-0.13041, 0.13041), (Texts{"-0.130", "0.130"}));
  EXPECT_EQ(score_texts(9'999'999.5, 9'999'999.25), (Texts{"9999999.500", "9999999.250"}));
  EXPECT_EQ(score_texts(0.0999999999, 0.1), (Texts{"0.1", "0.100"}));
}

TEST(ReasonText, OrdinalsAreEnglish) {
  EXPECT_EQ(ordinal(1), "1st");
  EXPECT_EQ(ordinal(2), "2nd");
  EXPECT_EQ(ordinal(3), "3rd");
  EXPECT_EQ(ordinal(4), "4th");
  EXPECT_EQ(ordinal(11), "11th");
  EXPECT_EQ(ordinal(112), "112th");
  EXPECT_EQ(ordinal(121), "121st");
}

TEST(ReasonText, EveryReasonIsShortAndPlain) {
  const RetentionPolicy policy{{3, "val_loss", Mode::kMin},
                               {KeepLast{2}, KeepEvery{5, {}, {}}, KeepBest{1, "acc", Mode::kMax},
                                KeepEvery{{}, {}, 0.5}, KeepEvery{{}, 1, {}}},
                               {},
                               Bytes(20'700'000'000)};
  const ReasonText text(policy);
  Item item{"a", Bytes(1), Bytes(1), 0, 0, 0, {}, {}};
  item.scores = {{"val_loss", 0.14}, {"acc", 0.9}};
  Item kth = item;
  kth.scores = {{"val_loss", 0.13}, {"acc", 0.95}};
  const auto say = [&](ReasonKind kind, std::uint8_t rule = 0, std::uint32_t rank = 0) {
    return text({kind, rule, rank}, item, nullptr);
  };
  EXPECT_EQ(say(ReasonKind::kBest), "best val_loss (0.140)");
  EXPECT_EQ(say(ReasonKind::kTopK, 0, 2), "top 3 by val_loss (rank 2, 0.140)");
  EXPECT_EQ(say(ReasonKind::kUnscored, 3), "no acc recorded");
  EXPECT_EQ(say(ReasonKind::kAll), "all are kept");
  EXPECT_EQ(say(ReasonKind::kLastN, 1), "last 2");
  EXPECT_EQ(say(ReasonKind::kEvery, 2), "every 5 epochs");
  EXPECT_EQ(say(ReasonKind::kEvery, 4), "every 0.5 hours");
  EXPECT_EQ(say(ReasonKind::kEvery, 5), "every step");
  EXPECT_EQ(say(ReasonKind::kNewest), "newest");
  EXPECT_EQ(say(ReasonKind::kLast), "last");
  EXPECT_EQ(say(ReasonKind::kResumedFrom), "resumed from");
  EXPECT_EQ(say(ReasonKind::kPinned), "pinned");
  EXPECT_EQ(text({ReasonKind::kNotInTopK, 0, 0, 1}, item, &kth),
            "not in the top 3 by val_loss (0.140; the 3rd is 0.130)");
  EXPECT_EQ(text({ReasonKind::kNotInTopK, 3, 0, 1}, item, &kth),
            "not in the top 1 by acc (0.900; the best is 0.950)");
  EXPECT_EQ(say(ReasonKind::kNotInTopK), "not in the top 3 by val_loss (0.140)");
  EXPECT_EQ(say(ReasonKind::kReplaced), "replaced by a newer one");
  EXPECT_EQ(say(ReasonKind::kOlder, 1), "older than the last 2");
  EXPECT_EQ(say(ReasonKind::kNotDue, 2), "not due: kept every 5 epochs");
  EXPECT_EQ(say(ReasonKind::kOverBudget, 0, 4), "over the budget of 20.7 GB: rank 4 of val_loss");
  EXPECT_EQ(say(ReasonKind::kOverBudget),
            "over the budget of 20.7 GB: the oldest outside the best");
  EXPECT_EQ(say(ReasonKind::kNoRoom, 0, 3),
            "the budget has room for 3, and it is not among the best 3");
  EXPECT_EQ(say(ReasonKind::kNoRoom, 0, 1), "the budget has room for 1, and it is not the best");
  EXPECT_EQ(say(ReasonKind::kNoRoom), "the budget has no room for one without val_loss");
  EXPECT_EQ(say(ReasonKind::kNothingKept), "save_top_k=0 keeps none");
}

}  // namespace
}  // namespace checkroom::plan
