// Every system call of a save fails once, fails for good, or is the last one of the process; after
// each the promises of docs/design.md are looked at on the disk itself.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <ostream>
#include <set>
#include <string_view>
#include <thread>

#include "base/error.h"
#include "store/store.h"
#include "support/faulty_filesystem.h"
#include "support/temp_directory.h"

namespace checkroom::store {
namespace {

using testing::FaultyFileSystem;
using testing::TempDirectory;

constexpr std::size_t kBytes = 4'000;
constexpr int kTooMany = 2000;  // a save makes far fewer calls

plan::Item item(const std::string& name, double score) {
  plan::Item made;
  made.name = name;
  made.bytes = made.own_bytes = Bytes(kBytes);
  made.scores = {{"val_loss", score}};
  return made;
}

// What a checkpoint of ours holds: its own name, over and over.
std::string content_of(const std::string& name) {
  std::string content;
  while (content.size() < kBytes) content += name;
  content.resize(kBytes);
  return content;
}

// How a run keeps its directory.
struct Way {
  LastAs last_as = LastAs::kAuto;
  bool symbolic = false;  // `last` is a symbolic link, made after the removals
  bool capped = false;
};

// A directory with two checkpoints, a `last` and a foreign file, in which a third one is saved that
// displaces the first.
class World {
 public:
  explicit World(const Way& way) : way_(way) {
    Store store(options());
    save(store, "a.ckpt", 0.5);
    save(store, "b.ckpt", 0.4);
    store.close();
    testing::write_file(path("foreign.txt"), "not ours");
  }

  StoreOptions options() {
    StoreOptions made;
    made.directory = directory_.path();
    made.policy.top_k = {2, "val_loss", plan::Mode::kMin};
    made.last_as = way_.last_as;
    if (way_.capped) made.max_size = Bytes(std::int64_t{3} * kBytes + 100);
    return made;
  }

  // A run that takes over what is there and saves c.ckpt; the callback's steps.
  void run(disk::FileSystem& filesystem) {
    Store store(options(), filesystem);
    try {
      store.adopt({item("a.ckpt", 0.5), item("b.ckpt", 0.4)}, "b.ckpt", "");
      save(store, "c.ckpt", 0.3);
      acknowledged_ = true;
    } catch (const Error& error) {
      error_ = error.what();
    }
    try {
      store.close();
    } catch (const Error& error) {
      ADD_FAILURE() << "close: " << error.what();
    }
  }

  // Complete under its name, or not there; anything else is partial.
  bool complete(const std::string& name) {
    if (!testing::exists(path(name))) return false;
    EXPECT_EQ(testing::read_file(path(name)), content_of(name)) << name << " is partial";
    return true;
  }

  // Holds before every call and after all of them. `b.ckpt` is the best until `c.ckpt` is there,
  // and stays in the top 2.
  void expect_promises(const std::string& when) {
    SCOPED_TRACE(when);
    complete("a.ckpt");
    EXPECT_TRUE(complete("b.ckpt")) << "the best before this save";
    const bool published = complete("c.ckpt");
    const std::string last = testing::read_file(path("last.ckpt"));
    EXPECT_TRUE(last == content_of("b.ckpt") || (published && last == content_of("c.ckpt")))
        << "last is always there and whole";
    EXPECT_TRUE(published || testing::exists(path("a.ckpt")))
        << "nothing goes before its successor is there";
    EXPECT_EQ(testing::read_file(path("foreign.txt")), "not ours");
    for (const std::string& name : testing::names_in(directory_.path())) {
      EXPECT_TRUE(known_.contains(name)) << name << " appeared";
    }
  }

  void expect_outcome(std::size_t most_staged) {
    if (acknowledged_) {
      EXPECT_TRUE(complete("c.ckpt"));
      EXPECT_EQ(testing::read_file(path("last.ckpt")), content_of("c.ckpt"));
    }
    EXPECT_LE(testing::names_in(path(".checkroom/staging")).size(), most_staged) << error_;
  }

  // Whatever happened: the next run finds its way.
  void expect_recovery() {
    Store store(options());
    std::vector<plan::Item> items = {item("a.ckpt", 0.5), item("b.ckpt", 0.4)};
    if (complete("c.ckpt")) items.push_back(item("c.ckpt", 0.3));
    for (const Removal& removal : store.adopt(items, "b.ckpt", "").removes) {
      store.trash(removal.name);
    }
    save(store, "d.ckpt", 0.2);
    store.close();
    EXPECT_TRUE(complete("d.ckpt"));
    EXPECT_EQ(testing::read_file(path("last.ckpt")), content_of("d.ckpt"));
    EXPECT_EQ(store.inventory().size(), 2U);
    EXPECT_FALSE(testing::exists(path("a.ckpt")));
  }

  [[nodiscard]] bool acknowledged() const { return acknowledged_; }

 private:
  [[nodiscard]] std::string path(const std::string& name) const { return directory_ / name; }

  void save(Store& store, const std::string& name, double score) const {
    const plan::Item candidate = item(name, score);
    const SavePlan plan = store.plan_save(candidate, false, false);
    if (plan.admission->verdict == plan::AdmissionVerdict::kRefuse) {
      throw Error::no_space(ENOSPC, name, 0, 0, "filesystem");
    }
    store.make_room(plan);
    const auto staged = store.stage(name);
    staged->reserve(candidate.bytes);
    const std::string content = content_of(name);
    // In pieces, so that a failure can strike in the middle.
    for (std::size_t at = 0; at < kBytes; at += kBytes / 4) {
      staged->write(testing::as_bytes(std::string_view(content).substr(at, kBytes / 4)));
    }
    store.publish(*staged, name);
    const auto removals = store.commit(candidate);
    if (!way_.symbolic) store.link_last(name, "last.ckpt");
    for (const Removal& removal : removals) store.trash(removal.name);
    if (way_.symbolic) store.symlink_last(name, "last.ckpt");
  }

  TempDirectory directory_{testing::fast_base()};
  Way way_;
  bool acknowledged_ = false;
  std::string error_;
  const std::set<std::string> known_ = {".checkroom", "a.ckpt",    "b.ckpt",
                                        "c.ckpt",     "last.ckpt", "foreign.txt"};
};

// After the other calls the disk looks as before.
bool is_changing(const std::string& op) {
  constexpr std::array<std::string_view, 11> kChanging = {
      "create", "write",   "truncate", "reflink", "rename", "exchange",
      "link",   "symlink", "unlink",   "mkdir",   "rmdir"};
  return std::find(kChanging.begin(), kChanging.end(), op) != kChanging.end();
}

struct Sweep {
  const char* name;
  Way way;
  std::function<void(FaultyFileSystem&, int)> strike;  // at the n-th call
  std::size_t most_staged;
};

// What GoogleTest calls to name one.
void PrintTo(const Sweep& sweep, std::ostream* stream) { *stream << sweep.name; }

class EveryCall : public ::testing::TestWithParam<Sweep> {};

TEST_P(EveryCall, KeepsThePromises) {
  const Sweep& sweep = GetParam();
  int n = 1;
  int failures = 0;
  for (; n < kTooMany; ++n) {
    World world(sweep.way);
    FaultyFileSystem filesystem(disk::posix_filesystem());
    const auto saver = std::this_thread::get_id();
    bool changed = true;
    filesystem.on_call([&](const testing::Call& call) {
      // The reaper's calls come between two of the saver's: what it sees may change under its eyes.
      if (std::this_thread::get_id() != saver) return;
      if (changed) world.expect_promises("before " + call.op + " " + call.path);
      changed = is_changing(call.op);
    });
    sweep.strike(filesystem, n);
    world.run(filesystem);
    SCOPED_TRACE(std::string(sweep.name) + " at call " + std::to_string(n));
    const bool died = filesystem.died();
    filesystem.heal();
    world.expect_promises("at the end");
    const auto calls = filesystem.calls();
    // Where the very call that takes a temporary file away fails, the next start has to do it.
    const bool struck_cleanup = calls.size() >= static_cast<std::size_t>(n) &&
                                calls[static_cast<std::size_t>(n) - 1].op == "unlink";
    world.expect_outcome(struck_cleanup ? 1 : sweep.most_staged);
    EXPECT_EQ(filesystem.open_descriptors(), 0U);
    world.expect_recovery();
    if (::testing::Test::HasFailure()) return;  // one report is enough
    failures += world.acknowledged() ? 0 : 1;
    if (calls.size() < static_cast<std::size_t>(n) && !died) break;  // it was over before
  }
  EXPECT_LT(n, kTooMany);
  EXPECT_GT(failures, 10) << "the sweep struck where it matters";
}

Sweep failing(const char* name, const Way& way, int errnum, bool sticky) {
  return {name, way,
          [errnum, sticky](FaultyFileSystem& filesystem, int n) {
            filesystem.fail_any(n, errnum, sticky);
          },
          sticky ? 1U : 0U};
}

Sweep dying(const char* name, const Way& way) {
  return {name, way, [](FaultyFileSystem& filesystem, int n) { filesystem.die_at(n); }, 1U};
}

constexpr Way kPlain;
constexpr Way kLinked = {.last_as = LastAs::kLink};
constexpr Way kCopied = {.last_as = LastAs::kCopy};
constexpr Way kSymbolic = {.symbolic = true};
constexpr Way kCapped = {.capped = true};

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
                      dying("KilledWithASymbolicLast", kSymbolic)),
    [](const ::testing::TestParamInfo<Sweep>& instance) { return instance.param.name; });

}  // namespace
}  // namespace checkroom::store
