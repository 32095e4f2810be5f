// Timing for the benchmarks: processor time, the least of several rounds, beside its target.
//
// Processor time, because the machine may be shared: what others do makes a round longer, never
// shorter. Memory is asked of the system anew in each round, as in the first call of a process;
// else the rounds after the first would find their pages ready and tell half of the cost.
#pragma once

#include <malloc.h>

#include <algorithm>
#include <cstdio>
#include <ctime>

namespace checkroom::benchmarks {

inline constexpr int kRounds = 7;
inline constexpr double kTarget = 50;  // milliseconds

template <typename Work>
double milliseconds(const Work& work) {
  mallopt(M_MMAP_THRESHOLD, 128 * 1024);  // glibc would raise it with each block that is freed
  const auto now = [] {
    std::timespec time{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) * 1e-6;
  };
  double best = 1e9;
  for (int round = 0; round < kRounds; ++round) {
    const double start = now();
    work();
    best = std::min(best, now() - start);
  }
  return best;
}

// One line: what, how long, and whether that is within the target.
inline void report(const char* what, const char* which, double took) {
  std::printf("%-30s %-28s %7.1f ms   target %2.0f ms%s\n", what, which, took, kTarget,
              took > kTarget ? "   MISSED" : "");
}

}  // namespace checkroom::benchmarks
