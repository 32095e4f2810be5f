#include "plan/retention_rules.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace checkroom::plan {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(BestRule, SmallerKeysAreBetterWhateverTheModeAndNanIsTheWorst) {
  const BestRule min(3, Mode::kMin);
  const BestRule max(3, Mode::kMax);
  EXPECT_LT(min.key(0.1), min.key(0.2));
  EXPECT_GT(max.key(0.1), max.key(0.2));
  EXPECT_EQ(min.key(kNan), kInfinity);
  EXPECT_EQ(max.key(kNan), kInfinity);
}

TEST(BestRule, AnEqualNewcomerDoesNotEnterAFullRule) {
  BestRule rule(2, Mode::kMin);
  EXPECT_EQ(rule.enter(0, 1.0), kNoItem);
  EXPECT_TRUE(rule.admits(kInfinity));
  EXPECT_EQ(rule.enter(1, 2.0), kNoItem);
  EXPECT_TRUE(rule.full());
  EXPECT_FALSE(rule.admits(2.0));
  EXPECT_TRUE(rule.admits(1.9));
}

TEST(BestRule, AmongEqualsTheFirstIsEvictedFirstAndIsTheBest) {
  BestRule rule(3, Mode::kMin);
  for (const ItemId id : {0U, 1U, 2U}) rule.enter(id, 1.0);
  EXPECT_EQ(rule.best().id, 0U);
  EXPECT_EQ(rule.enter(3, 0.5), 0U);
  EXPECT_EQ(rule.best().id, 3U);
  EXPECT_EQ(rule.enter(4, 0.5), 1U);
  EXPECT_EQ(rule.best().id, 3U);
}

TEST(BestRule, WhatIsWrittenAgainKeepsItsPlaceAndTheKthGoesForIt) {
  BestRule rule(3, Mode::kMin);
  rule.enter(0, 1.0);
  rule.enter(1, 2.0);
  rule.enter(2, 3.0);
  EXPECT_EQ(rule.replace(0, 0.5), 2U);  // as Lightning pops the kth before it looks at the name
  EXPECT_EQ(rule.size(), 2U);
  EXPECT_EQ(rule.replace(0, 4.0), kNoItem);
  EXPECT_EQ(rule.best().id, 1U);
  rule.enter(3, 4.0);
  EXPECT_EQ(rule.worst_when_full().id, 0U);  // it kept its place before 3
  EXPECT_EQ(rule.replace(0, 3.5), kNoItem);  // it was the kth itself
  EXPECT_EQ(rule.worst_when_full().id, 3U);
  rule.erase(3);
  EXPECT_EQ(rule.size(), 2U);
}

TEST(BestRule, RanksPutTheBestFirst) {
  BestRule rule(-1, Mode::kMin);
  rule.enter(0, 1.0);
  rule.enter(1, 2.0);
  rule.enter(2, 1.0);
  std::vector<Ranked> ranked;
  rule.ranked(ranked);
  EXPECT_EQ(ranked[0].id, 0U);
  EXPECT_EQ(ranked[1].id, 2U);
  EXPECT_EQ(ranked[2].id, 1U);
  EXPECT_EQ(rule.rank_of_newcomer(1.0), 3U);
  EXPECT_EQ(rule.rank_of_newcomer(0.5), 1U);
}

TEST(BestRule, AWalkFromTheWorstChangesNothing) {
  BestRule rule(3, Mode::kMin);
  for (const ItemId id : {0U, 1U, 2U}) rule.enter(id, id);
  std::vector<ItemId> seen;
  rule.walk_from_worst([&seen](const Ranked& entry) {
    seen.push_back(entry.id);
    return seen.size() == 2;
  });
  EXPECT_EQ(seen, (std::vector<ItemId>{2, 1}));
  EXPECT_EQ(rule.size(), 3U);
  EXPECT_EQ(rule.worst_when_full().id, 2U);
}

std::vector<bool> kept(const KeepEvery& rule, const std::vector<double>& clock) {
  EveryRule every(rule);
  std::vector<bool> result;
  for (const double now : clock) {
    const bool due = every.due(now);
    result.push_back(every.publish(now));
    EXPECT_EQ(result.back(), due);
  }
  return result;
}

TEST(EveryRule, EpochsAndStepsCountFromTheStartOfTraining) {
  const KeepEvery epochs{5, {}, {}};
  EXPECT_EQ(EveryRule(epochs).clock(4, 99, 1e9), 5.0);
  EXPECT_EQ(kept(epochs, {1, 5, 9, 10, 16, 20, 21}),
            (std::vector<bool>{false, true, false, true, true, false, true}));
  EXPECT_EQ(EveryRule(KeepEvery{{}, 100, {}}).clock(4, 99, 1e9), 99.0);
}

TEST(EveryRule, HoursCountFromTheFirstCheckpointWhichIsKept) {
  const KeepEvery hours{{}, {}, 0.5};
  EXPECT_EQ(EveryRule(hours).clock(4, 99, 1e9), 1e9);
  EXPECT_EQ(kept(hours, {1e9, 1e9 + 1799, 1e9 + 1800, 1e9 + 3000}),
            (std::vector<bool>{true, false, true, false}));
}

TEST(EveryRule, AClockThatGoesBackwardsStandsStill) {
  EXPECT_EQ(kept(KeepEvery{{}, {}, 1.0}, {7200, 0, 3600, 10799, 10800}),
            (std::vector<bool>{true, false, false, false, true}));
}

}  // namespace
}  // namespace checkroom::plan
