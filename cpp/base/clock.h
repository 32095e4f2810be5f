// Clock: the time, injected, so that tests can own it.
//
// Thread-safe; never fails.
#pragma once

#include <chrono>

namespace checkroom {

class Clock {
 public:
  Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;
  virtual ~Clock() = default;

  // Seconds since the Unix epoch; may jump when the machine's clock is set.
  [[nodiscard]] virtual double now() const = 0;
  // Never goes back; for durations.
  [[nodiscard]] virtual std::chrono::steady_clock::time_point monotonic() const = 0;
};

// The machine's own clock; lives as long as the process.
const Clock& system_clock();

}  // namespace checkroom
