// Retention: a million publishes through the engine, and the plan of an inventory of 100,000.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "plan/retention.h"
#include "plan/retention_core.h"

namespace {

using namespace checkroom::plan;
using checkroom::Bytes;

// Processor time, the least of several runs: what else the machine does counts little.
double milliseconds(const std::function<void()>& work) {
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    const std::clock_t start = std::clock();
    work();
    const auto took = static_cast<double>(std::clock() - start);
    best = std::min(best, took * 1000 / CLOCKS_PER_SEC);
  }
  return best;
}

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
  for (const char* order : {"random", "improving", "worsening"}) {
    const std::vector<double> values = scores(order, kSaves);
    for (const std::int64_t k : {3, 1000, 500'000, -1}) {
      const RetentionPolicy policy = top(k);
      std::printf("1,000,000 saves, %-9s k=%-7lld %8.1f ms\n", order, static_cast<long long>(k),
                  milliseconds([&] { publish_all(policy, values); }));
    }
    RetentionPolicy all_rules = top(5);
    all_rules.keep = {KeepLast{2}, KeepEvery{1000, {}, {}}, KeepBest{3, "accuracy", Mode::kMax}};
    all_rules.budget = Bytes(20'000);
    std::printf("1,000,000 saves, %-9s all rules %8.1f ms\n", order,
                milliseconds([&] { publish_all(all_rules, values); }));
    RetentionPolicy tight = top(10);
    tight.keep = {KeepBest{10, "accuracy", Mode::kMax}};
    tight.budget = Bytes(8'000);
    std::printf("1,000,000 saves, %-9s two metrics, budget of 8 %8.1f ms\n", order,
                milliseconds([&] { publish_all(tight, values); }));
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
  for (const std::int64_t k : {3, 1000, 50'000, -1}) {
    RetentionPolicy policy = top(k);
    policy.keep = {KeepLast{5}};
    std::printf("plan over 100,000 items, k=%-6lld %8.1f ms\n", static_cast<long long>(k),
                milliseconds([&] { plan(inventory, policy); }));
  }
  return 0;
}
