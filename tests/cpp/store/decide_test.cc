#include "store/decide.h"

#include <gtest/gtest.h>

#include <utility>

namespace checkroom::store {
namespace {

constexpr std::int64_t kFile = 1'000'000;

plan::Item item(const std::string& name, double score, std::int64_t bytes = kFile) {
  plan::Item made;
  made.name = name;
  made.bytes = made.own_bytes = Bytes(bytes);
  made.scores = {{"val_loss", score}};
  return made;
}

plan::RetentionPolicy top(std::int64_t k) {
  plan::RetentionPolicy policy;
  policy.top_k = {k, "val_loss", plan::Mode::kMin};
  return policy;
}

plan::RetentionEngine engine_with(const plan::RetentionPolicy& policy,
                                  const std::vector<plan::Item>& items) {
  plan::RetentionEngine engine(policy);
  for (const plan::Item& each : items) engine.publish(each);
  return engine;
}

std::vector<std::string> names(const std::vector<Removal>& removals) {
  std::vector<std::string> all;
  for (const Removal& removal : removals) all.push_back(removal.name);
  return all;
}

using Names = std::vector<std::string>;

SaveRequest request(plan::Item candidate) {
  SaveRequest made;
  made.candidate = std::move(candidate);
  return made;
}

// A disk with so many bytes for us, and nothing in the directory.
Surroundings disk_with(std::int64_t bytes) {
  Surroundings surroundings;
  surroundings.available = Bytes(bytes);
  return surroundings;
}

constexpr std::int64_t kPlenty = 1'000'000'000;

TEST(PlanSave, AdmitsAndTellsWhatLeavesAfterwards) {
  const auto engine = engine_with(top(2), {item("a", 0.5), item("b", 0.4)});
  const SavePlan plan = plan_save(engine, request(item("c", 0.3)), disk_with(kPlenty), {});
  EXPECT_TRUE(plan.wanted);
  EXPECT_EQ(plan.admission->verdict, plan::AdmissionVerdict::kAdmit);
  EXPECT_EQ(names(plan.removes), Names{"a"});
  EXPECT_FALSE(plan.removes[0].reason.empty());
  EXPECT_TRUE(plan.removes_first.empty());
  EXPECT_EQ(plan.top_k, (Names{"b", "c"}));
  EXPECT_EQ(plan.best, "c");
}

TEST(PlanSave, ChangesNothing) {
  const auto engine = engine_with(top(1), {item("a", 0.5)});
  plan_save(engine, request(item("b", 0.4)), disk_with(kPlenty), {});
  ASSERT_EQ(engine.items().size(), 1U);
  EXPECT_EQ(engine.items()[0]->name, "a");
}

TEST(PlanSave, OfWhatNoRuleWantsAsksForNoRoom) {
  const auto engine = engine_with(top(1), {item("a", 0.5)});
  SaveRequest unwanted = request(item("b", 0.6));
  const SavePlan plan = plan_save(engine, unwanted, disk_with(0), {});
  EXPECT_FALSE(plan.wanted);
  EXPECT_FALSE(plan.reasons.empty());
  EXPECT_FALSE(plan.admission.has_value());
  unwanted.forced = true;
  EXPECT_TRUE(plan_save(engine, unwanted, disk_with(kPlenty), {}).admission.has_value());
}

TEST(PlanSave, RefusesWhatDoesNotFitWithItsFigures) {
  const auto engine = engine_with(top(5), {item("a", 0.5)});
  const Limits limits{.floor = Bytes(300'000)};
  const SavePlan plan = plan_save(engine, request(item("b", 0.4)), disk_with(1'200'000), limits);
  EXPECT_EQ(plan.admission->verdict, plan::AdmissionVerdict::kRefuse);
  EXPECT_EQ(plan.admission->limit, plan::Limit::kFloor);
  EXPECT_EQ(plan.admission->have, Bytes(900'000));
  EXPECT_GT(plan.admission->short_by, Bytes(0));
}

TEST(PlanSave, PrunesFirstOnlyWhatItDisplacesAndAsLittleAsNeeded) {
  const auto engine = engine_with(top(3), {item("a", 0.5), item("b", 0.4), item("c", 0.3)});
  const SavePlan plan = plan_save(engine, request(item("d", 0.2)), disk_with(500'000), {});
  EXPECT_EQ(plan.admission->verdict, plan::AdmissionVerdict::kPruneFirst);
  EXPECT_EQ(names(plan.removes_first), Names{"a"});
  EXPECT_TRUE(plan.removes.empty()) << "what goes first does not go twice";

  const Limits forbidden{.prune_first = false};
  EXPECT_EQ(
      plan_save(engine, request(item("d", 0.2)), disk_with(500'000), forbidden).admission->verdict,
      plan::AdmissionVerdict::kRefuse);
}

TEST(PlanSave, PrunesNothingFirstWhenThatIsNotEnough) {
  const auto engine = engine_with(top(2), {item("a", 0.5, 1000), item("b", 0.4)});
  const SavePlan plan = plan_save(engine, request(item("c", 0.3)), disk_with(500'000), {});
  EXPECT_EQ(plan.admission->verdict, plan::AdmissionVerdict::kRefuse);
  EXPECT_TRUE(plan.removes_first.empty());
  EXPECT_EQ(names(plan.removes), Names{"a"});
}

TEST(PlanSave, NeverPrunesTheBestLastOrResumeSourceFirst) {
  // top 1: what a better one displaces is the best so far.
  const auto one = engine_with(top(1), {item("a", 0.5)});
  EXPECT_TRUE(plan_save(one, request(item("b", 0.4)), disk_with(0), {}).removes_first.empty());

  const auto two = engine_with(top(2), {item("a", 0.5), item("b", 0.4)});
  SaveRequest save = request(item("c", 0.3));
  EXPECT_EQ(names(plan_save(two, save, disk_with(500'000), {}).removes_first), Names{"a"});
  save.never_first = {"a"};
  EXPECT_TRUE(plan_save(two, save, disk_with(500'000), {}).removes_first.empty());
}

TEST(PlanSave, WhatVanishedNeitherMakesRoomNorIsTheOneThatStays) {
  const auto engine = engine_with(top(3), {item("a", 0.5), item("b", 0.4), item("c", 0.3)});
  Surroundings surroundings = disk_with(500'000);
  surroundings.vanished = {"a"};
  EXPECT_TRUE(plan_save(engine, request(item("d", 0.2)), surroundings, {}).removes_first.empty());
  surroundings.vanished = {"b"};
  EXPECT_EQ(names(plan_save(engine, request(item("d", 0.2)), surroundings, {}).removes_first),
            Names{"a"});
  surroundings.vanished = {"b", "c"};
  EXPECT_TRUE(plan_save(engine, request(item("d", 0.2)), surroundings, {}).removes_first.empty())
      << "a is the only one that is left";
}

TEST(PlanSave, LeavesOnePublishedCheckpointWhateverItIsWorth) {
  plan::RetentionPolicy newest;  // without a monitor: the newest replaces the one before
  newest.top_k = {1, "", plan::Mode::kMin};
  plan::Item only = item("a", 0);
  only.scores.clear();
  plan::Item next = item("b", 0);
  next.scores.clear();
  const auto engine = engine_with(newest, {only});
  const SavePlan plan = plan_save(engine, request(next), disk_with(0), {});
  EXPECT_TRUE(plan.removes_first.empty());
  EXPECT_EQ(plan.admission->verdict, plan::AdmissionVerdict::kRefuse);
}

TEST(PlanSave, UnderACapKeepsRoomForOneMore) {
  auto engine = engine_with(top(5), {});
  const Limits limits{.cap = Bytes(3 * kFile)};
  Surroundings surroundings = disk_with(kPlenty);
  for (int i = 0; i < 6; ++i) {
    surroundings.used = engine.own_bytes();
    const plan::Item next = item("e" + std::to_string(i), 1.0 - 0.1 * i);
    const SavePlan plan = plan_save(engine, request(next), surroundings, limits);
    ASSERT_EQ(plan.admission->verdict, plan::AdmissionVerdict::kAdmit) << i;
    EXPECT_LE(surroundings.used + next.bytes, *limits.cap) << i;
    const auto removed = commit(engine, next, false, Bytes(0), limits);
    EXPECT_EQ(names(removed), names(plan.removes)) << "the plan is what happens";
    EXPECT_LE(engine.own_bytes(), Bytes(2 * kFile));
  }
  EXPECT_EQ(engine.plan().best, "e5");
}

TEST(PlanSave, ForeignBytesMakeTheBudgetSmaller) {
  const Limits limits{.cap = Bytes(10), .budget = Bytes(7)};
  EXPECT_EQ(retention_budget(limits, Bytes(2), Bytes(0)), Bytes(7));
  EXPECT_EQ(retention_budget(limits, Bytes(2), Bytes(5)), Bytes(3));
  EXPECT_EQ(retention_budget(limits, Bytes(2), Bytes(50)), Bytes(0));
  EXPECT_EQ(retention_budget({}, Bytes(2), Bytes(50)), std::nullopt);
  EXPECT_EQ(retention_budget({.budget = Bytes(7)}, Bytes(2), Bytes(50)), Bytes(7));
}

TEST(PlanSave, AFullDiskOfOthersNeverCostsWhatTheRulesKeep) {
  const auto engine = engine_with(top(3), {item("a", 0.5), item("b", 0.4)});
  const SavePlan plan = plan_save(engine, request(item("c", 0.3)), disk_with(0), {});
  EXPECT_TRUE(plan.removes.empty());
  EXPECT_TRUE(plan.removes_first.empty());
  EXPECT_EQ(plan.admission->verdict, plan::AdmissionVerdict::kRefuse);
}

TEST(PlanSave, ALastOfItsOwnIsBesideTheRules) {
  const auto engine = engine_with(top(1), {item("a", 0.5)});
  SaveRequest save = request(item("last.ckpt", 0.9));
  save.own_last = true;
  const SavePlan plan = plan_save(engine, save, disk_with(kPlenty), {});
  EXPECT_TRUE(plan.wanted);
  EXPECT_TRUE(plan.removes.empty());
  EXPECT_EQ(plan.top_k, Names{"a"});
  EXPECT_EQ(plan.best, "a");
  EXPECT_TRUE(plan_save(engine, save, disk_with(0), {}).removes_first.empty());
}

TEST(PlanSave, ACopyOfLastNeedsRoomOfItsOwn) {
  const auto engine = engine_with(top(1), {});
  const Limits copies{.copies_last = true};
  EXPECT_GE(plan_save(engine, request(item("a", 0.5)), disk_with(kPlenty), copies).admission->need,
            Bytes(2 * kFile));
  SaveRequest own = request(item("last.ckpt", 0.5));
  own.own_last = true;
  EXPECT_LT(plan_save(engine, own, disk_with(kPlenty), copies).admission->need, Bytes(2 * kFile));
}

TEST(PlanSave, TheFormerLastLetsGoWhenTheNewOneTakesItsPlace) {
  auto engine = engine_with(top(1), {item("a", 0.5)});
  engine.set_last("a");
  SaveRequest save = request(item("b", 0.4));
  save.becomes_last = true;
  EXPECT_EQ(names(plan_save(engine, save, disk_with(kPlenty), {}).removes), Names{"a"});
  EXPECT_EQ(names(commit(engine, save.candidate, true, Bytes(0), {})), Names{"a"});
}

TEST(PlanSave, WithUnknownFiguresTheCapAloneDecides) {
  const auto engine = engine_with(top(2), {});
  Surroundings unknown;
  EXPECT_EQ(plan_save(engine, request(item("a", 0.5)), unknown, {}).admission->verdict,
            plan::AdmissionVerdict::kAdmit);
  EXPECT_TRUE(plan_save(engine, request(item("a", 0.5)), unknown, {}).admission->unknown);
  const Limits capped{.cap = Bytes(10)};
  EXPECT_EQ(plan_save(engine, request(item("a", 0.5)), unknown, capped).admission->limit,
            plan::Limit::kCap);
}

}  // namespace
}  // namespace checkroom::store
