// The same as store_faults_test.cc for an archive of more than two blocks, which a thread writes:
// past the page cache, paced and plainly, in short writes too.
//
// Every fifth call is struck, each sweep at others; with CHECKROOM_FULL in the environment every
// one.

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <vector>

#include "disk/block_buffers.h"
#include "support/save_world.h"
#include "support/sweep.h"

namespace checkroom::store {
namespace {

using testing::FaultyFileSystem;
using testing::SaveWorld;
using testing::Sweep;
using testing::Way;

constexpr std::size_t kArchive = 2 * disk::kBlockBytes + 600'000;

struct Mode {
  const char* name;
  void (*habits)(FaultyFileSystem&);
};

void none(FaultyFileSystem& /*filesystem*/) {}
void no_direct(FaultyFileSystem& filesystem) { filesystem.fail_all("direct", EINVAL); }
void no_pace(FaultyFileSystem& filesystem) {
  filesystem.fail_all("direct", EINVAL);
  filesystem.fail_all("writebehind", ENOSYS);
}
void whole_units(FaultyFileSystem& filesystem) {
  filesystem.shorten_writes(std::size_t{4096} * 300);
}
void odd_bytes(FaultyFileSystem& filesystem) { filesystem.shorten_writes(1'234'567); }

std::vector<Sweep> sweeps() {
  constexpr Way kPlain = {.archive = kArchive};
  constexpr Way kCopied = {.last_as = LastAs::kCopy, .archive = kArchive};
  constexpr Way kVerified = {.archive = kArchive, .verified = true};
  const std::vector<Mode> modes = {{"Direct", none},
                                   {"Paced", no_direct},
                                   {"Buffered", no_pace},
                                   {"ShortDirect", whole_units},
                                   {"ShortOdd", odd_bytes}};
  std::vector<Sweep> all;
  for (const Mode& mode : modes) {
    const std::string name = mode.name;
    for (Sweep sweep : {testing::failing(name + "OneError", kPlain, EIO, false),
                        testing::failing(name + "NoSpaceOnce", kCopied, ENOSPC, false),
                        testing::failing(name + "NoQuotaForGood", kPlain, EDQUOT, true),
                        testing::failing(name + "OneErrorWithAReadBack", kVerified, EIO, false),
                        testing::dying(name + "Killed", kCopied)}) {
      sweep.habits = mode.habits;
      if (std::getenv("CHECKROOM_FULL") == nullptr) {
        sweep.stride = 5;
        sweep.first = 1 + static_cast<int>(all.size()) % sweep.stride;
      }
      all.push_back(sweep);
    }
  }
  return all;
}

class EveryCallOfALargeSave : public ::testing::TestWithParam<Sweep> {};

TEST_P(EveryCallOfALargeSave, KeepsThePromises) { testing::strike_every_call(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Faults, EveryCallOfALargeSave, ::testing::ValuesIn(sweeps()),
                         [](const ::testing::TestParamInfo<Sweep>& instance) {
                           return instance.param.name;
                         });

// The sweeps look at what they are said to look at.
TEST(LargeSaves, AreWrittenInTheWayTheirModeSays) {
  const auto calls = [](void (*habits)(FaultyFileSystem&), const char* op) {
    SaveWorld world({.archive = kArchive});
    FaultyFileSystem filesystem(disk::posix_filesystem());
    habits(filesystem);
    world.run(filesystem);
    EXPECT_TRUE(world.acknowledged());
    return filesystem.calls({op}).size();
  };
  EXPECT_EQ(calls(none, "writebehind"), 0U);
  EXPECT_EQ(calls(none, "write"), 3U);
  EXPECT_EQ(calls(no_direct, "writeback"), 3U);
  EXPECT_EQ(calls(no_pace, "writebehind"), 1U);
  EXPECT_EQ(calls(no_pace, "writeback"), 0U);
  EXPECT_EQ(calls(whole_units, "writebehind"), 0U);
  EXPECT_GT(calls(whole_units, "write"), 6U);
  EXPECT_GT(calls(odd_bytes, "writebehind"), 0U);
}

}  // namespace
}  // namespace checkroom::store
