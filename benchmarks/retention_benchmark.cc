// Retention: a million publishes through the engine, and the plan of an inventory of 100,000.

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "plan/retention.h"
#include "plan/retention_core.h"
#include "timing.h"

namespace {

using namespace checkroom::plan;
using checkroom::Bytes;
using checkroom::benchmarks::measure;
using checkroom::benchmarks::print;

std::vector<double> scores(const std::string& order, std::size_t count) {
  std::mt19937_64 random(1);
  std::vector<double> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto step = static_cast<double>(i);
    values[i] = order == "improving"   ? 1e7 - step
                : order == "worsening" ? step
                                       : std::generate_canonical<double, 53>(random);
  }
  return values;
}

void publish_all(const RetentionPolicy& policy, const std::vector<double>& values) {
  EngineCore core(policy);
  std::vector<Leave> leaves;
  std::vector<ItemId> free;  // ids of what left, to be given out again
  ItemId ids = 0;
  double both[2] = {0, 0};
  for (std::size_t i = 0; i < values.size(); ++i) {
    both[0] = values[i];
    both[1] = values[values.size() - 1 - i];
    Candidate candidate{free.empty() ? ids : free.back(), false, 1000};
    candidate.epoch = static_cast<std::int64_t>(i);
    candidate.scores = both;
    candidate.has_score = 3;
    if (!core.decide(candidate).wanted) continue;
    if (free.empty()) {
      ++ids;
    } else {
      free.pop_back();
    }
    leaves.clear();
    core.publish(candidate, leaves);
    for (const Leave& leave : leaves) free.push_back(leave.id);
  }
}

RetentionPolicy top(std::int64_t k) {
  RetentionPolicy policy;
  policy.top_k.k = k;
  policy.top_k.monitor = "val_loss";
  return policy;
}

}  // namespace

int main() {
  constexpr std::size_t kSaves = 1'000'000;
  checkroom::benchmarks::print_header("1,000,000 publishes through the engine");
  for (const char* order : {"random", "improving", "worsening"}) {
    const std::vector<double> values = scores(order, kSaves);
    const auto publish = [&](const std::string& what, const RetentionPolicy& policy) {
      print((std::string(order) + ", " + what).c_str(),
            measure([&] { publish_all(policy, values); }), false);
    };
    for (const std::int64_t k : {3, 1000, 500'000, -1}) {
      publish("k=" + std::to_string(k), top(k));
    }
    RetentionPolicy all_rules = top(5);
    all_rules.keep = {KeepLast{2}, KeepEvery{1000, {}, {}}, KeepBest{3, "accuracy", Mode::kMax}};
    all_rules.budget = Bytes(20'000);
    publish("all rules", all_rules);
    RetentionPolicy tight = top(10);
    tight.keep = {KeepBest{10, "accuracy", Mode::kMax}};
    tight.budget = Bytes(8'000);
    publish("two metrics, a budget of 8", tight);
  }

  std::vector<Item> inventory;
  const std::vector<double> values = scores("random", 100'000);
  for (std::size_t i = 0; i < values.size(); ++i) {
    Item item;
    item.name = "epoch=" + std::to_string(i) + "-val_loss=0.123.ckpt";
    item.bytes = item.own_bytes = Bytes(1000);
    item.epoch = static_cast<std::int64_t>(i);
    item.scores = {{"val_loss", values[i]}};
    inventory.push_back(item);
  }
  checkroom::benchmarks::print_header("plan over 100,000 items");
  for (const std::int64_t k : {3, 1000, 50'000, -1}) {
    RetentionPolicy policy = top(k);
    policy.keep = {KeepLast{5}};
    print(("k=" + std::to_string(k)).c_str(), measure([&] { (void)plan(inventory, policy); }));
  }
  return 0;
}
