// The power goes at every point of a run of saves; what survived is looked at in every legal
// outcome: what was acknowledged is whole, the best and `last` are there, a final name never bears
// partial bytes, and the next run finds its way.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "archive/writer.h"
#include "base/error.h"
#include "disk/block_buffers.h"
#include "store/store.h"
#include "support/memory_sink.h"
#include "support/power_cut_filesystem.h"
#include "support/temp_directory.h"

namespace checkroom::store {
namespace {

using testing::PowerCutFileSystem;
using testing::Survivors;
using testing::TempDirectory;

struct Plan {
  const char* name;
  LastAs last_as = LastAs::kAuto;
  bool symbolic = false;
  std::int64_t k = 2;
  std::size_t bytes = 4'000;  // of data in a checkpoint
};

void PrintTo(const Plan& plan, std::ostream* stream) { *stream << plan.name; }

std::string archive_of(std::size_t bytes, char fill) {
  testing::MemorySink sink;
  archive::Writer writer(sink);
  writer.record("data/0", std::string(bytes / 2, fill));
  writer.record("data/1", std::string(bytes - bytes / 2, fill));
  writer.finish();
  return sink.text;
}

// A run of saves, and what may be said of the disk at this moment.
class Saves {
 public:
  explicit Saves(const Plan& plan)
      : plan_(plan), filesystem_(disk::posix_filesystem(), directory_.path()) {
    filesystem_.on_change([this](const std::string& call) { look(call); });
  }

  void go() {
    Store store(options(directory_.path()), filesystem_);
    store.adopt({}, "", "");
    save(store, "a.ckpt", 0.5, 'a');
    save(store, "b.ckpt", 0.4, 'b');
    save(store, "c.ckpt", 0.3, 'c');
    save(store, "c.ckpt", 0.3, 'C');  // over a name that is there
    save(store, "d.ckpt", 0.2, 'd');
    set_aside(store, "d.ckpt");
    store.close();
    look("the end");
  }

  [[nodiscard]] std::size_t outcomes() const { return seen_.size(); }
  [[nodiscard]] std::size_t points() const { return points_; }

 private:
  [[nodiscard]] StoreOptions options(const std::string& directory) const {
    StoreOptions made;
    made.directory = directory;
    made.policy.top_k = {plan_.k, "val_loss", plan::Mode::kMin};
    made.last_as = plan_.last_as;
    return made;
  }
  [[nodiscard]] plan::Item item(const std::string& name, double score) const {
    plan::Item made;
    made.name = name;
    made.bytes = made.own_bytes = Bytes(static_cast<std::int64_t>(plan_.bytes));
    made.scores = {{"val_loss", score}};
    return made;
  }

  void link(Store& store, const std::string& name) {
    if (plan_.symbolic) {
      store.symlink_last(name, "last.ckpt");
    } else {
      store.link_last(name, "last.ckpt");
    }
  }

  void save(Store& store, const std::string& name, double score, char fill) {
    SCOPED_TRACE("save of " + name);
    const plan::Item candidate = item(name, score);
    store.make_room(store.plan_save(candidate, false, false));
    const std::string content = archive_of(plan_.bytes, fill);
    {
      const std::lock_guard lock(mutex_);
      may_hold_[name].insert(content);
      may_be_last_.insert(content);
    }
    const auto staged = store.stage(name);
    staged->reserve(Bytes(static_cast<std::int64_t>(content.size())));
    staged->write(testing::as_bytes(content));
    store.publish(*staged, name, Depth::kStructure);
    {
      const std::lock_guard lock(mutex_);
      may_hold_[name] = {content};
      must_be_there_.insert(name);
    }
    const auto removals = store.commit(candidate);
    if (!plan_.symbolic) linked(store, name, content);
    for (const Removal& removal : removals) {
      {
        const std::lock_guard lock(mutex_);
        must_be_there_.erase(removal.name);
      }
      store.trash(removal.name);
    }
    if (plan_.symbolic) linked(store, name, content);
  }

  void linked(Store& store, const std::string& name, const std::string& content) {
    link(store, name);
    const std::lock_guard lock(mutex_);
    may_be_last_ = {content};
    has_last_ = true;
  }

  // The save is taken back: `last` goes first, so that it never points at nothing.
  void set_aside(Store& store, const std::string& name) {
    SCOPED_TRACE("set aside " + name);
    const std::string former = archive_of(plan_.bytes, 'C');
    const bool has_former = plan_.k > 1;
    if (has_former) {
      {
        const std::lock_guard lock(mutex_);
        may_be_last_.insert(former);
      }
      linked(store, "c.ckpt", former);
    } else {
      {
        const std::lock_guard lock(mutex_);
        has_last_ = false;
      }
      store.trash("last.ckpt");
    }
    {
      const std::lock_guard lock(mutex_);
      must_be_there_.erase(name);
      aside_ = archive_of(plan_.bytes, 'd');
    }
    store.set_aside(name);
  }

  // Every outcome of a cut at this moment; inside of a call of the filesystem.
  void look(const std::string& call) {
    const std::lock_guard lock(mutex_);
    if (::testing::Test::HasFailure()) return;  // one report is enough
    ++points_;
    for (const Survivors& survivors : filesystem_.survivors()) {
      // Twice the same, with the same promises, says nothing new.
      if (!seen_.insert({signature(survivors), promises()}).second) continue;
      SCOPED_TRACE("cut after " + call + ", leaves " + signature(survivors));
      expect_promises(survivors);
      if (!::testing::Test::HasFailure()) expect_recovery(survivors);
    }
  }

  static std::string signature(const Survivors& survivors) {
    std::string text;
    for (const auto& [name, survivor] : survivors) {
      text += name + "=" + std::to_string(survivor.inode);
      if (survivor.type == disk::FileType::kRegular) {
        const std::string& content = *survivor.content;
        text += ":" + std::to_string(content.size()) +
                (content.empty() || content.back() != '\0' ? "" : "z");
        if (content.size() > 1000) text += content[content.size() / 4];
      }
      text += " ";
    }
    return text;
  }
  [[nodiscard]] std::string promises() const {
    std::string text = has_last_ ? "last " : "";
    for (const std::string& name : must_be_there_) text += name + " ";
    return text + std::to_string(may_be_last_.size()) + (aside_ ? " aside" : "");
  }

  void expect_promises(const Survivors& survivors) {
    for (const std::string& name : must_be_there_) {
      EXPECT_TRUE(survivors.contains(name)) << name << " was acknowledged";
    }
    bool is_anywhere = !aside_;
    for (const auto& [name, survivor] : survivors) {
      if (aside_ && survivor.type == disk::FileType::kRegular && *survivor.content == *aside_) {
        is_anywhere = true;
      }
      if (name.find('/') != std::string::npos || name == ".checkroom" || name == "last.ckpt") {
        continue;
      }
      EXPECT_TRUE(survivor.type == disk::FileType::kRegular &&
                  may_hold_[name].contains(*survivor.content))
          << name << " is not whole";
    }
    EXPECT_TRUE(is_anywhere) << "what is set aside is neither here nor there";
    const testing::Content last = content_of_last(survivors);
    EXPECT_TRUE(last || !has_last_) << "there is no last";
    EXPECT_TRUE(!last || may_be_last_.contains(*last)) << "last is not whole, or an old one";
  }

  static testing::Content content_of_last(const Survivors& survivors) {
    auto last = survivors.find("last.ckpt");
    if (last == survivors.end()) return nullptr;
    if (last->second.type != disk::FileType::kSymlink) return last->second.content;
    const auto target = survivors.find(*last->second.content);
    EXPECT_NE(target, survivors.end()) << "last points at nothing";
    return target == survivors.end() ? nullptr : target->second.content;
  }

  // The machine starts again, and the run goes on.
  void expect_recovery(const Survivors& survivors) {
    const TempDirectory after(testing::fast_base());
    PowerCutFileSystem::materialise(survivors, after.path());
    Store store(options(after.path()));
    std::vector<plan::Item> items;
    for (const auto& [name, score] : std::map<std::string, double>{
             {"a.ckpt", 0.5}, {"b.ckpt", 0.4}, {"c.ckpt", 0.3}, {"d.ckpt", 0.2}}) {
      if (survivors.contains(name)) items.push_back(item(name, score));
    }
    const std::string last = items.empty() ? "" : items.back().name;
    for (const Removal& removal : store.adopt(items, last, "").removes) store.trash(removal.name);
    const auto staged = store.stage("z.ckpt");
    staged->write(testing::as_bytes(small_));
    store.publish(*staged, "z.ckpt", Depth::kWhole);
    const auto removals = store.commit(item("z.ckpt", 0.1));
    link(store, "z.ckpt");
    for (const Removal& removal : removals) store.trash(removal.name);
    store.close();
    EXPECT_EQ(testing::read_file(after / "last.ckpt"), small_);
    for (const plan::Item& kept : store.inventory()) {
      EXPECT_FALSE(store.verify(kept.name)) << kept.name;
    }
    EXPECT_EQ(store.inventory().size(),
              std::min<std::size_t>(items.size() + 1, static_cast<std::size_t>(plan_.k)));
  }

  TempDirectory directory_{testing::fast_base()};
  const std::string small_ = archive_of(4'000, 'z');
  Plan plan_;
  PowerCutFileSystem filesystem_;

  std::mutex mutex_;  // guards all below; the reaper's calls look, too
  std::map<std::string, std::set<std::string>> may_hold_;
  std::set<std::string> must_be_there_;
  std::set<std::string> may_be_last_;
  bool has_last_ = false;
  std::optional<std::string> aside_;
  std::set<std::pair<std::string, std::string>> seen_;
  std::size_t points_ = 0;
};

class PowerCut : public ::testing::TestWithParam<Plan> {};

TEST_P(PowerCut, LeavesWhatWasAcknowledged) {
  Saves run(GetParam());
  run.go();
  EXPECT_GT(run.points(), 60U);
  EXPECT_GT(run.outcomes(), 80U);
}

constexpr std::size_t kLarge = 2 * disk::kBlockBytes + 100'000;

INSTANTIATE_TEST_SUITE_P(
    Saves, PowerCut,
    ::testing::Values(Plan{.name = "Auto"}, Plan{.name = "Link", .last_as = LastAs::kLink},
                      Plan{.name = "Copy", .last_as = LastAs::kCopy},
                      Plan{.name = "Symbolic", .symbolic = true},
                      Plan{.name = "SymbolicOfOne", .symbolic = true, .k = 1},
                      Plan{.name = "LinkOfOne", .last_as = LastAs::kLink, .k = 1},
                      Plan{.name = "LargeCopy", .last_as = LastAs::kCopy, .k = 1, .bytes = kLarge}),
    [](const ::testing::TestParamInfo<Plan>& instance) {
      return std::string(instance.param.name);
    });

// What the model can see: without the fsyncs the same run loses what it acknowledged.
TEST(PowerCutModel, LosesWhatNobodySynced) {
  const TempDirectory directory(testing::fast_base());
  PowerCutFileSystem filesystem(disk::posix_filesystem(), directory.path());
  StoreOptions options;
  options.directory = directory.path();
  options.policy.top_k = {1, "val_loss", plan::Mode::kMin};
  options.durable = false;
  Store store(options, filesystem);
  const auto staged = store.stage("a.ckpt");
  staged->write(testing::as_bytes("whole"));
  store.publish(*staged, "a.ckpt");
  std::set<std::string> left;
  for (const Survivors& survivors : filesystem.survivors()) {
    const auto file = survivors.find("a.ckpt");
    left.insert(file == survivors.end() ? "missing" : *file->second.content);
  }
  EXPECT_EQ(left, (std::set<std::string>{"missing", "", std::string(5, '\0'), "whole"}));
}

}  // namespace
}  // namespace checkroom::store
