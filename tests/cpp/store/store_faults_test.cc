// Every system call of a save fails once, fails for good, or is the last one of the process; after
// each the promises of docs/design.md are looked at on the disk itself. The files are small, and
// written plainly; store_faults_large_test.cc has those that are not.

#include <gtest/gtest.h>

#include <cerrno>

#include "support/save_world.h"
#include "support/sweep.h"

namespace checkroom::store {
namespace {

using testing::dying;
using testing::failing;
using testing::Sweep;
using testing::Way;

class EveryCall : public ::testing::TestWithParam<Sweep> {};

TEST_P(EveryCall, KeepsThePromises) { testing::strike_every_call(GetParam()); }

constexpr Way kPlain;
constexpr Way kLinked = {.last_as = LastAs::kLink};
constexpr Way kCopied = {.last_as = LastAs::kCopy};
constexpr Way kSymbolic = {.symbolic = true};
constexpr Way kCapped = {.capped = true};
constexpr Way kVerified = {.archive = 4'000, .verified = true};
constexpr Way kDamaged = {.archive = 4'000, .damaged = true};

INSTANTIATE_TEST_SUITE_P(
    Faults, EveryCall,
    ::testing::Values(failing("OneError", kPlain, EIO, false),
                      failing("NoSpaceOnce", kPlain, ENOSPC, false),
                      failing("ErrorsForGood", kPlain, EIO, true),
                      failing("NoSpaceForGood", kLinked, ENOSPC, true),
                      failing("OneErrorWithACopy", kCopied, EIO, false),
                      failing("OneErrorWithASymbolicLast", kSymbolic, EIO, false),
                      failing("OneErrorUnderACap", kCapped, EIO, false), dying("Killed", kPlain),
                      dying("KilledWithACopy", kCopied),
                      dying("KilledWithASymbolicLast", kSymbolic),
                      failing("OneErrorWithAReadBack", kVerified, EIO, false),
                      failing("NoQuotaForGoodWithAReadBack", kVerified, EDQUOT, true),
                      dying("KilledWithAReadBack", kVerified),
                      failing("OneErrorWithADamagedFile", kDamaged, EIO, false),
                      failing("NoSpaceForGoodWithADamagedFile", kDamaged, ENOSPC, true),
                      dying("KilledWithADamagedFile", kDamaged)),
    [](const ::testing::TestParamInfo<Sweep>& instance) { return instance.param.name; });

}  // namespace
}  // namespace checkroom::store
