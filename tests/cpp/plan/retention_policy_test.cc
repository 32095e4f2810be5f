#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>

#include "base/error.h"
#include "plan/retention.h"

namespace checkroom::plan {
namespace {

std::string refusal(const std::function<void()>& check) {
  try {
    check();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "";
}

std::string refusal(const TopK& top_k, std::vector<KeepRule> keep = {}) {
  const RetentionPolicy policy{top_k, std::move(keep), {}, {}};
  return refusal([&policy] { check_policy(policy); });
}

TopK loss() { return {3, "loss", Mode::kMin}; }

TEST(RetentionPolicy, RulesThatGoTogetherAreTaken) {
  EXPECT_EQ(refusal(loss(), {KeepLast{1}, KeepEvery{1, {}, {}}, KeepEvery{{}, 1, {}},
                             KeepEvery{{}, {}, 1.0}, KeepBest{1, "acc", Mode::kMax}}),
            "");
  for (const std::int64_t k : {-1, 0, 1}) EXPECT_EQ(refusal(TopK{k, "", Mode::kMin}), "");
}

TEST(RetentionPolicy, AnImpossibleTopKIsQuoted) {
  EXPECT_EQ(refusal(TopK{-2, "loss", Mode::kMin}),
            "save_top_k=-2 must be -1 (all), 0 (none) or more");
  EXPECT_EQ(refusal(TopK{2, "", Mode::kMin}),
            "save_top_k=2 needs a monitor: without one there is nothing to rank by");
}

TEST(RetentionPolicy, AnImpossibleRuleIsQuoted) {
  EXPECT_EQ(refusal(loss(), {KeepLast{0}}), "KeepLast(n=0) needs n >= 1");
  EXPECT_EQ(refusal(loss(), {KeepBest{0, "acc", Mode::kMin}}),
            "KeepBest(k=0, monitor='acc', mode='min') needs k >= 1");
  EXPECT_EQ(refusal(loss(), {KeepBest{1, "", Mode::kMin}}),
            "KeepBest(k=1, monitor='', mode='min') needs a monitor");
  EXPECT_EQ(refusal(loss(), {KeepEvery{}}),
            "KeepEvery() must name exactly one of epochs, steps and hours");
  EXPECT_EQ(refusal(loss(), {KeepEvery{1, 2, {}}}),
            "KeepEvery(epochs=1, steps=2) must name exactly one of epochs, steps and hours");
  EXPECT_EQ(refusal(loss(), {KeepEvery{{}, -5, {}}}),
            "KeepEvery(steps=-5) needs an interval above 0");
  for (const double hours : {0.0, -1.0, std::nan(""), HUGE_VAL}) {
    EXPECT_NE(refusal(loss(), {KeepEvery{{}, {}, hours}}), "");
  }
}

TEST(RetentionPolicy, RulesThatRepeatOrContradictAreNamed) {
  EXPECT_EQ(refusal(loss(), {KeepLast{1}, KeepLast{2}}), "KeepLast(n=2) repeats KeepLast(n=1)");
  EXPECT_EQ(refusal(loss(), {KeepEvery{{}, {}, 1.0}, KeepEvery{{}, {}, 2.5}}),
            "KeepEvery(hours=2.5) repeats KeepEvery(hours=1)");
  EXPECT_EQ(refusal(loss(), {KeepBest{1, "loss", Mode::kMin}}),
            "KeepBest(k=1, monitor='loss', mode='min') repeats save_top_k=3, monitor='loss', "
            "mode='min'");
  EXPECT_EQ(refusal(loss(), {KeepBest{1, "loss", Mode::kMax}}),
            "KeepBest(k=1, monitor='loss', mode='max') contradicts save_top_k=3, "
            "monitor='loss', mode='min'");
  EXPECT_EQ(refusal(loss(), {KeepBest{1, "a", Mode::kMax}, KeepBest{2, "a", Mode::kMax}}),
            "KeepBest(k=2, monitor='a', mode='max') repeats KeepBest(k=1, monitor='a', "
            "mode='max')");
}

TEST(RetentionPolicy, NamesAndBudgetsAreChecked) {
  RetentionPolicy policy{loss(), {}, {""}, {}};
  EXPECT_EQ(refusal([&] { check_policy(policy); }), "pinned holds an empty name");
  policy.pinned.clear();
  policy.budget = Bytes(-3);
  EXPECT_EQ(refusal([&] { check_policy(policy); }), "budget=-3 must not be negative");
}

TEST(RetentionPolicy, MetricsAreBounded) {
  std::vector<KeepRule> keep;
  for (int i = 0; i < 10; ++i) {
    keep.emplace_back(KeepBest{1, "metric" + std::to_string(i), Mode::kMin});
  }
  EXPECT_EQ(refusal(loss(), keep), "");
  keep.emplace_back(KeepBest{1, "one too many", Mode::kMin});
  EXPECT_EQ(refusal(loss(), keep), "12 metrics are ranked, at most 11 can be");
}

TEST(RetentionPolicy, AnItemIsChecked) {
  Item item{"a", Bytes(1), Bytes(1), 0, 0, 0, {}, {}};
  EXPECT_EQ(refusal([&] { check_item(item); }), "");
  item.own_bytes = Bytes(-1);
  EXPECT_EQ(refusal([&] { check_item(item); }), "own_bytes=-1 of item 'a' must not be negative");
  item = {"a", Bytes(-2), Bytes(1), 0, 0, 0, {}, {}};
  EXPECT_EQ(refusal([&] { check_item(item); }), "bytes=-2 of item 'a' must not be negative");
  item = {"", Bytes(1), Bytes(1), 0, 0, 0, {}, {}};
  EXPECT_EQ(refusal([&] { check_item(item); }), "an item has an empty name");
  item = {"a", Bytes(1), Bytes(1), 0, 0, 0, {}, {}};
  item.saved_at = HUGE_VAL;
  EXPECT_EQ(refusal([&] { check_item(item); }), "saved_at=inf of item 'a' is not a time");
}

}  // namespace
}  // namespace checkroom::plan
