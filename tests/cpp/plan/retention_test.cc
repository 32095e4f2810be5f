#include "plan/retention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"

namespace checkroom::plan {
namespace {

using Json = nlohmann::json;
using Rows = std::vector<std::vector<std::string>>;

Mode mode_of(const Json& json) {
  return json.value("mode", "min") == "max" ? Mode::kMax : Mode::kMin;
}

RetentionPolicy policy_of(const Json& json) {
  RetentionPolicy policy;
  policy.top_k = {json.at("save_top_k"), json.value("monitor", ""), mode_of(json)};
  for (const Json& rule : json.value("keep", Json::array())) {
    if (rule.contains("last")) {
      policy.keep.emplace_back(KeepLast{rule["last"]});
    } else if (rule.contains("every")) {
      KeepEvery every;
      if (rule["every"].contains("epochs")) every.epochs = rule["every"]["epochs"];
      if (rule["every"].contains("steps")) every.steps = rule["every"]["steps"];
      if (rule["every"].contains("hours")) every.hours = rule["every"]["hours"];
      policy.keep.emplace_back(every);
    } else {
      policy.keep.emplace_back(KeepBest{rule.at("best"), rule.at("monitor"), mode_of(rule)});
    }
  }
  policy.pinned = json.value("pinned", std::vector<std::string>());
  if (json.contains("budget")) policy.budget = Bytes(json["budget"]);
  return policy;
}

Item item_of(const Json& json) {
  Item item;
  item.name = json.at("name");
  item.bytes = Bytes(json.value("bytes", 1000LL));
  item.own_bytes = Bytes(json.value("own_bytes", item.bytes.count()));
  item.epoch = json.value("epoch", 0);
  item.step = json.value("step", 0);
  item.saved_at = json.value("hours", 0.0) * 3600;
  static const std::set<std::string> kColumns{"name",  "bytes", "own_bytes",
                                              "epoch", "step",  "hours"};
  for (const auto& [key, value] : json.items()) {
    if (kColumns.contains(key)) continue;
    item.scores[key] =
        value.is_string() ? std::stod(value.get<std::string>()) : value.get<double>();
  }
  return item;
}

Rows rows_of(const std::vector<Verdict>& verdicts, const std::vector<Item>& inventory) {
  Rows rows;
  for (const Verdict& verdict : verdicts) {
    std::vector<std::string> row{inventory[verdict.index].name};
    row.insert(row.end(), verdict.reasons.begin(), verdict.reasons.end());
    rows.push_back(row);
  }
  return rows;
}

TEST(Retention, GoldenPolicies) {
  int files = 0;
  for (const auto& file :
       std::filesystem::directory_iterator(std::string(CHECKROOM_TEST_DATA) + "/policies")) {
    SCOPED_TRACE(file.path().filename().string());
    std::ifstream stream(file.path());
    const Json golden = Json::parse(stream);
    std::vector<Item> inventory;
    for (const Json& row : golden["inventory"]) inventory.push_back(item_of(row));
    const Standing standing{golden.value("last", ""), golden.value("resumed_from", "")};
    const RetentionPlan result = plan(inventory, policy_of(golden["policy"]), standing);
    EXPECT_EQ(rows_of(result.keep, inventory), golden["keep"].get<Rows>());
    EXPECT_EQ(rows_of(result.remove, inventory), golden["remove"].get<Rows>());
    EXPECT_EQ(result.top_k, golden["top_k"].get<std::vector<std::string>>());
    EXPECT_EQ(result.best, golden["best"].is_null() ? "" : golden["best"].get<std::string>());
    EXPECT_EQ(result.over_budget.count(), golden.value("over_budget", 0LL));
    ++files;
  }
  EXPECT_GE(files, 40);
}

std::vector<Item> kept_of(const RetentionPlan& plan, const std::vector<Item>& inventory) {
  std::vector<Item> kept;
  for (const Verdict& verdict : plan.keep) kept.push_back(inventory[verdict.index]);
  return kept;
}

std::set<std::string> names_of(const std::vector<Item>& items) {
  std::set<std::string> names;
  for (const Item& item : items) names.insert(item.name);
  return names;
}

// Every order of few scores, so with every tie, under a pin: what a rule other than the top k holds
// makes ties matter.
TEST(Retention, OverAllOrdersAPlanIsIdempotentAndALargerKRemovesNoMore) {
  constexpr int kItems = 6;
  constexpr int kScores = 3;
  int orders = 1;
  for (int i = 0; i < kItems; ++i) orders *= kScores;
  for (int order = 0; order < orders; ++order) {
    std::vector<Item> inventory;
    for (int i = 0, rest = order; i < kItems; ++i, rest /= kScores) {
      Item item{std::to_string(i), Bytes(1), Bytes(1), 0, 0, 0, {}, {}};
      item.scores["loss"] = rest % kScores;
      inventory.push_back(item);
    }
    for (int pins = 0; pins < 1 << (kItems - 1); pins += 3) {
      RetentionPolicy policy;
      for (int i = 0; i < kItems; ++i) {
        if ((pins >> i & 1) != 0) policy.pinned.push_back(std::to_string(i));
      }
      std::set<std::string> smaller;
      for (const int k : {1, 2, 3, 4}) {
        policy.top_k = {k, "loss", Mode::kMin};
        const std::vector<Item> kept = kept_of(plan(inventory, policy), inventory);
        ASSERT_TRUE(plan(kept, policy).remove.empty()) << order << " " << pins << " " << k;
        const std::set<std::string> names = names_of(kept);
        ASSERT_TRUE(std::includes(names.begin(), names.end(), smaller.begin(), smaller.end()))
            << order << " " << pins << " " << k;
        smaller = names;
      }
    }
  }
}

TEST(Retention, ANameThatOccursTwiceIsRefused) {
  const std::vector<Item> inventory{{"a", Bytes(1), Bytes(1), 0, 0, 0, {}, {}},
                                    {"a", Bytes(2), Bytes(2), 0, 0, 0, {}, {}}};
  try {
    plan(inventory, {});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_STREQ(error.what(), "the inventory holds 'a' twice");
  }
}

TEST(Retention, BytesThatLeave64BitsOverflow) {
  const std::vector<Item> inventory{{"a", Bytes(INT64_MAX), Bytes(INT64_MAX), 0, 0, 0, {}, {}},
                                    {"b", Bytes(INT64_MAX), Bytes(INT64_MAX), 0, 0, 0, {}, {}}};
  RetentionPolicy policy;
  policy.top_k.k = -1;
  try {
    plan(inventory, policy);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kOverflow);
  }
}

}  // namespace
}  // namespace checkroom::plan
