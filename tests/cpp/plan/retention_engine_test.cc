#include "plan/retention_engine.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/error.h"

namespace checkroom::plan {
namespace {

Item item(const std::string& name, double loss, std::int64_t bytes = 10) {
  Item made{name, Bytes(bytes), Bytes(bytes), 0, 0, 0, {}, {}};
  made.scores["loss"] = loss;
  return made;
}

RetentionPolicy top(std::int64_t k) { return {{k, "loss", Mode::kMin}, {}, {}, {}}; }

using Names = std::vector<std::string>;

Names publish(RetentionEngine& engine, const Item& newcomer) {
  Names names;
  for (const auto& left : engine.publish(newcomer)) names.push_back(left.item.name);
  return names;
}

Names names(const RetentionEngine& engine) {
  Names names;
  for (const Item* one : engine.items()) names.push_back(one->name);
  return names;
}

TEST(RetentionEngine, WhatLeavesComesWithItsReason) {
  RetentionEngine engine(top(1));
  engine.publish(item("a", 1.0));
  const auto left = engine.publish(item("b", 0.5));
  ASSERT_EQ(left.size(), 1U);
  EXPECT_EQ(left[0].item.name, "a");
  EXPECT_EQ(left[0].item.scores.at("loss"), 1.0);
  EXPECT_EQ(left[0].reason, "not in the top 1 by loss (1.000; the best is 0.500)");
  const auto judgement = engine.decide(item("c", 0.75));
  EXPECT_FALSE(judgement.wanted);
  EXPECT_EQ(judgement.reasons, Names{"not in the top 1 by loss (0.750; the best is 0.500)"});
}

TEST(RetentionEngine, AllReasonsOfAWantedCandidateAreGiven) {
  RetentionPolicy policy = top(2);
  policy.keep = {KeepLast{2}, KeepEvery{1, {}, {}}};
  policy.pinned = {"b"};
  RetentionEngine engine(policy);
  engine.publish(item("a", 1.0));
  Item b = item("b", 2.0);
  b.epoch = 1;
  EXPECT_EQ(engine.decide(b).reasons,
            (Names{"top 2 by loss (rank 2, 2.000)", "every epoch", "last 2", "pinned"}));
}

TEST(RetentionEngine, ANameThatIsWrittenAgainIsReplaced) {
  RetentionEngine engine(top(3));
  publish(engine, item("a", 1.0, 10));
  publish(engine, item("b", 2.0, 10));
  EXPECT_EQ(publish(engine, item("a", 3.0, 25)), Names{});
  EXPECT_EQ(names(engine), (Names{"b", "a"}));  // in the order of saving
  const RetentionPlan plan = engine.plan();
  EXPECT_EQ(plan.top_k, (Names{"a", "b"}));  // as in Lightning's dict
  EXPECT_EQ(plan.best, "b");
  EXPECT_EQ(engine.own_bytes().count(), 35);
}

TEST(RetentionEngine, StandingNamesNeedNotBeStoredYet) {
  RetentionEngine engine(top(1));
  engine.set_last("a");
  engine.set_resumed_from("b");
  EXPECT_EQ(names(engine), Names{});
  publish(engine, item("a", 3.0));
  publish(engine, item("b", 2.0));
  EXPECT_EQ(publish(engine, item("c", 1.0)), Names{});
  EXPECT_EQ(engine.decide(item("a", 9.0)).reasons, Names{"last"});
  engine.set_last("c");
  engine.set_resumed_from("");
  RetentionPlan plan = engine.plan();
  ASSERT_EQ(plan.remove.size(), 2U);
  EXPECT_EQ(engine.items()[plan.remove[0].index]->name, "a");
  EXPECT_EQ(plan.keep.size(), 1U);
  EXPECT_EQ(publish(engine, item("d", 9.0)), (Names{"a", "b"}));
}

TEST(RetentionEngine, WhatWasForgottenMayComeBackAsLast) {
  RetentionEngine engine(top(1));
  engine.set_last("a");
  publish(engine, item("a", 1.0));
  engine.forget("a");
  EXPECT_EQ(names(engine), Names{});
  publish(engine, item("b", 0.5));
  publish(engine, item("a", 2.0));
  EXPECT_EQ(publish(engine, item("c", 0.1)), Names{"b"});
  EXPECT_EQ(names(engine), (Names{"a", "c"}));
}

TEST(RetentionEngine, SlotsOfWhatLeftAreUsedAgain) {
  RetentionEngine engine(top(2));
  for (int i = 0; i < 1000; ++i) {
    publish(engine, item("n" + std::to_string(i), 1000.0 - i));
    ASSERT_LE(engine.items().size(), 2U);
  }
  EXPECT_EQ(names(engine), (Names{"n998", "n999"}));
}

TEST(RetentionEngine, APlanOfItsItemsRemovesNothing) {
  RetentionPolicy policy = top(2);
  policy.keep = {KeepEvery{3, {}, {}}};
  policy.budget = Bytes(45);
  RetentionEngine engine(policy);
  for (int i = 0; i < 20; ++i) {
    Item one = item(std::to_string(i), (i * 7) % 11);
    one.epoch = i;
    engine.publish(one);
    ASSERT_TRUE(engine.plan().remove.empty());
    ASSERT_TRUE(plan(engine.items(), policy).remove.empty());
  }
}

TEST(RetentionEngine, ARefusedCallChangesNothing) {
  RetentionEngine engine(top(-1));
  publish(engine, item("a", 1.0));
  EXPECT_THROW(engine.publish(item("", 1.0)), Error);
  EXPECT_THROW(engine.publish(item("b", 1.0, INT64_MAX)), Error);
  EXPECT_THROW(engine.publish(item("a", 1.0, -1)), Error);
  EXPECT_THROW(engine.decide(item("", 1.0)), Error);
  EXPECT_THROW(engine.set_budget(Bytes(-1)), Error);
  EXPECT_EQ(names(engine), Names{"a"});
  EXPECT_EQ(engine.own_bytes().count(), 10);
  EXPECT_EQ(publish(engine, item("b", 0.5)), Names{});
}

TEST(RetentionEngine, ACopyIsIndependent) {
  RetentionEngine engine(top(1));
  publish(engine, item("a", 1.0));
  RetentionEngine copy = engine;
  EXPECT_EQ(publish(copy, item("b", 0.5)), Names{"a"});
  EXPECT_EQ(names(engine), Names{"a"});
}

}  // namespace
}  // namespace checkroom::plan
