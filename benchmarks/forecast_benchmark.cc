// How long a forecast of a million saves takes, as bounds and for given scores, by policy.

#include <cstdint>
#include <cstdio>
#include <random>
#include <string>

#include "plan/forecast.h"
#include "plan/save_events.h"
#include "timing.h"

namespace {

namespace plan = checkroom::plan;
using checkroom::benchmarks::milliseconds;
using checkroom::benchmarks::report;

constexpr std::int64_t kSaves = 1'000'000;

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
  std::printf("forecast of %lld saves: processor time, best of %d rounds\n",
              static_cast<long long>(kSaves), checkroom::benchmarks::kRounds);
  for (const bool by_steps : {false, true}) {
    const char* const when = by_steps ? "a save every 10 steps" : "a save an epoch";
    report(when, "the events alone", milliseconds([&] {
             plan::SaveEvents events(spec_of(3, by_steps));
             while (events.next()) continue;
           }));
    for (const std::int64_t k : {1, 3, 1000, 500'000, -1}) {
      const plan::RunSpec spec = spec_of(k, by_steps);
      const std::string which = ", k=" + std::to_string(k);
      report(when, ("bounds" + which).c_str(), milliseconds([&] { (void)plan::forecast(spec); }));
      report(when, ("scattered" + which).c_str(),
             milliseconds([&] { (void)plan::forecast(spec, &scattered); }));
      report(when, ("each one better" + which).c_str(),
             milliseconds([&] { (void)plan::forecast(spec, &falling); }));
    }
  }
  return 0;
}
