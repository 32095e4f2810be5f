// How long a forecast of a million saves takes, as bounds and for given scores, by policy.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "plan/forecast.h"
#include "plan/save_events.h"

namespace {

namespace plan = checkroom::plan;

constexpr std::int64_t kSaves = 1'000'000;
constexpr int kRounds = 7;

// The best of several rounds: the machine is shared.
template <typename Work>
double milliseconds(Work work) {
  double best = 1e9;
  for (int round = 0; round < kRounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    best = std::min(best, took.count());
  }
  return best;
}

plan::RunSpec spec_of(std::int64_t k, bool by_steps) {
  plan::RunSpec spec;
  spec.save_top_k = k;
  spec.monitor = "val_loss";
  spec.save_last = plan::SaveLast::kYes;
  spec.checkpoint_bytes = checkroom::Bytes(1'000'000);
  spec.steps_per_epoch = 1000;
  if (by_steps) {
    spec.every_n_train_steps = 10;
    spec.max_steps = kSaves * 10;
  } else {
    spec.max_epochs = kSaves;
  }
  return spec;
}

void print(const char* what, std::int64_t k, double took) {
  std::printf("%-28s k=%-8lld %8.1f ms\n", what, static_cast<long long>(k), took);
}

}  // namespace

int main() {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> uniform;
  plan::Scores scattered;
  plan::Scores falling;
  for (std::int64_t i = 0; i < kSaves; ++i) {
    scattered["val_loss"].push_back(uniform(random));
    falling["val_loss"].push_back(1.0 / static_cast<double>(i + 1));
  }
  std::printf("%lld saves, best of %d rounds\n", static_cast<long long>(kSaves), kRounds);
  for (const bool by_steps : {false, true}) {
    std::printf("%s\n", by_steps ? "a save every 10 steps" : "a save an epoch");
    print("events alone", 0, milliseconds([&] {
            plan::SaveEvents events(spec_of(3, by_steps));
            while (events.next()) continue;
          }));
    for (const std::int64_t k : {std::int64_t{1}, std::int64_t{3}, std::int64_t{1000},
                                 std::int64_t{500'000}, std::int64_t{-1}}) {
      const plan::RunSpec spec = spec_of(k, by_steps);
      print("bounds", k, milliseconds([&] { (void)plan::forecast(spec); }));
      print("scored, scattered", k, milliseconds([&] { (void)plan::forecast(spec, &scattered); }));
      print("scored, each one better", k,
            milliseconds([&] { (void)plan::forecast(spec, &falling); }));
    }
  }
  return 0;
}
