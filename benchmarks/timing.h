// Timing for the benchmarks: processor time, the least and the median of several rounds, beside the
// target.
//
// Processor time, because the machine may be shared: what others do makes a round longer, never
// shorter. Twice: as the first call of a process, which asks the system for all of its memory and
// pays for every page, and as a call that finds the memory of the one before it. For one thread.
#pragma once

#include <malloc.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

namespace checkroom::benchmarks {

inline constexpr int kRounds = 7;
inline constexpr double kTarget = 50;  // milliseconds

struct Milliseconds {
  double least = 0;
  double median = 0;
};

struct Timing {
  Milliseconds first;
  Milliseconds again;
};

template <typename Work>
Timing measure(const Work& work) {
  const auto now = [] {
    std::timespec time{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) * 1e-6;
  };
  const auto rounds = [&] {
    std::array<double, kRounds> took{};
    for (double& round : took) {
      const double start = now();
      work();
      round = now() - start;
    }
    std::sort(took.begin(), took.end());
    return Milliseconds{took.front(), took[kRounds / 2]};
  };
  // Large blocks go back to the system at once, or never. (By itself glibc changes from the one to
  // the other while it runs.)
  mallopt(M_MMAP_THRESHOLD, 128 * 1024);
  mallopt(M_TRIM_THRESHOLD, 128 * 1024);
  Timing timing;
  timing.first = rounds();
  mallopt(M_MMAP_THRESHOLD, 32 * 1024 * 1024);
  mallopt(M_TRIM_THRESHOLD, 1024 * 1024 * 1024);
  work();
  timing.again = rounds();
  malloc_trim(0);
  return timing;
}

inline void print_header(const char* what) {
  std::printf("%s: milliseconds of processor time, %d rounds\n%-54s %7s %7s %7s %7s\n", what,
              kRounds, "", "first", "median", "again", "median");
}

// One line: what took how long, and the target, if it has one, beside the least of the first.
inline void print(const char* what, const Timing& took, bool has_target = true) {
  std::printf("%-54s %7.1f %7.1f %7.1f %7.1f", what, took.first.least, took.first.median,
              took.again.least, took.again.median);
  if (has_target) {
    std::printf("   target %.0f%s", kTarget, took.first.least > kTarget ? " MISSED" : "");
  }
  std::printf("\n");
}

}  // namespace checkroom::benchmarks
