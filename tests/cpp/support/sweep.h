// Sweep: a save of a SaveWorld, with every call (or every stride-th) of it struck in turn.
//
// Functions and values; the world and the filesystem of each turn are its own. One thread.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <ostream>
#include <string>
#include <thread>

#include "support/faulty_filesystem.h"
#include "support/save_world.h"

namespace checkroom::testing {

struct Sweep {
  std::string name;
  Way way;
  std::function<void(FaultyFileSystem&, int)> strike;  // at the n-th call
  std::size_t most_staged = 0;
  // What the filesystem is like all the time.
  std::function<void(FaultyFileSystem&)> habits = [](FaultyFileSystem&) {};
  int first = 1;
  int stride = 1;
};

// What GoogleTest calls to name one.
inline void PrintTo(const Sweep& sweep, std::ostream* stream) { *stream << sweep.name; }

inline Sweep failing(const std::string& name, const Way& way, int errnum, bool sticky) {
  return {name, way,
          [errnum, sticky](FaultyFileSystem& filesystem, int n) {
            filesystem.fail_any(n, errnum, sticky);
          },
          sticky ? 1U : 0U};
}

inline Sweep dying(const std::string& name, const Way& way) {
  return {name, way, [](FaultyFileSystem& filesystem, int n) { filesystem.die_at(n); }, 1U};
}

// One turn; was the save over before its n-th call?
inline bool strike_at(const Sweep& sweep, int n, int& failures) {
  SaveWorld world(sweep.way);
  FaultyFileSystem filesystem(disk::posix_filesystem());
  sweep.habits(filesystem);
  const auto saver = std::this_thread::get_id();
  bool changed = true;
  filesystem.on_call([&](const Call& call) {
    // The calls of other threads come between two of the saver's: what those see may change under
    // their eyes.
    if (std::this_thread::get_id() != saver) return;
    if (changed) world.expect_promises("before " + call.op + " " + call.path);
    changed = is_changing(call.op);
  });
  sweep.strike(filesystem, n);
  world.run(filesystem);
  SCOPED_TRACE(sweep.name + " at call " + std::to_string(n));
  const bool died = filesystem.died();
  filesystem.heal();
  world.expect_promises("at the end");
  const auto calls = filesystem.calls();
  const bool was_over = calls.size() < static_cast<std::size_t>(n) && !died;
  // Where the very call that takes a temporary file away fails, the next start has to do it.
  const bool struck_cleanup = calls.size() >= static_cast<std::size_t>(n) &&
                              calls[static_cast<std::size_t>(n) - 1].op == "unlink";
  world.expect_outcome(struck_cleanup ? 1 : sweep.most_staged);
  if (was_over) {
    EXPECT_EQ(world.acknowledged(), !sweep.way.damaged);
    EXPECT_EQ(world.code() == ErrorCode::kDamaged, sweep.way.damaged);
  }
  EXPECT_EQ(filesystem.open_descriptors(), 0U);
  world.expect_recovery();
  failures += world.acknowledged() ? 0 : 1;
  return was_over;
}

inline void strike_every_call(const Sweep& sweep) {
  constexpr int kTooMany = 2000;  // a save makes far fewer calls
  int n = sweep.first;
  int failures = 0;
  for (; n < kTooMany; n += sweep.stride) {
    if (strike_at(sweep, n, failures)) break;
    if (::testing::Test::HasFailure()) return;  // one report is enough
  }
  EXPECT_LT(n, kTooMany);
  EXPECT_GT(failures * sweep.stride, 10) << "the sweep struck where it matters";
}

}  // namespace checkroom::testing
