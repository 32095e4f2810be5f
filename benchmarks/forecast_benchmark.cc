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
using checkroom::benchmarks::measure;
using checkroom::benchmarks::print;

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

void print_bounds(const char* what, const plan::RunSpec& spec) {
  print(what, measure([&] { (void)plan::forecast(spec); }));
}

// Without scores, and with scattered ones where they cost the most.
void print_both(const std::string& what, plan::RunSpec spec, const plan::Scores& scattered) {
  print_bounds((what + ", bounds, k=3").c_str(), spec);
  spec.save_top_k = kSaves / 2;
  print((what + ", scattered, k=500000").c_str(),
        measure([&] { (void)plan::forecast(spec, &scattered); }));
}

// Runs whose saves do not follow each other at one distance.
void print_other_triggers(const plan::Scores& scattered) {
  plan::RunSpec spec = spec_of(3, false);
  spec.val_check_interval = 0.5;
  spec.max_epochs = kSaves / 2;
  print_both("two validations an epoch", spec, scattered);
  spec = spec_of(3, true);
  spec.val_check_interval = 0.25;
  print_both("10 steps, waiting for validations", spec, scattered);
  spec = spec_of(3, false);
  spec.max_epochs.reset();
  spec.seconds_per_step = 0.1;
  spec.train_time_interval_seconds = 1.5;
  spec.max_steps = kSaves * 15;
  print_both("an interval of time", spec, scattered);
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
  checkroom::benchmarks::print_header("forecast of 1,000,000 saves");
  for (const bool by_steps : {false, true}) {
    const std::string when = by_steps ? "every 10 steps, " : "every epoch, ";
    for (const std::int64_t k : {1, 3, 1000, 500'000, -1}) {
      const plan::RunSpec spec = spec_of(k, by_steps);
      const std::string which = ", k=" + std::to_string(k);
      print_bounds((when + "bounds" + which).c_str(), spec);
      print((when + "scattered scores" + which).c_str(),
            measure([&] { (void)plan::forecast(spec, &scattered); }));
      print((when + "each one better" + which).c_str(),
            measure([&] { (void)plan::forecast(spec, &falling); }));
    }
  }
  print_other_triggers(scattered);
  return 0;
}
