// GuardedDirectory: the fixture of the store's tests: a directory, what a callback does for a save,
// and the listing afterwards.
//
// Owns a temporary directory; the store's own lies in it, so that there is an outside. One thread.
#pragma once

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "store/store.h"
#include "support/faulty_filesystem.h"
#include "support/temp_directory.h"

namespace checkroom::testing {

class GuardedDirectory : public ::testing::Test {
 protected:
  using Names = std::vector<std::string>;
  using Set = std::set<std::string>;

  static constexpr std::int64_t kFile = 100'000;  // bytes of a checkpoint

  static plan::Item item(const std::string& name, double score) {
    plan::Item made;
    made.name = name;
    made.bytes = made.own_bytes = Bytes(kFile);
    made.scores = {{"val_loss", score}};
    return made;
  }
  static Names names(const std::vector<store::Removal>& removals) {
    Names all;
    all.reserve(removals.size());
    for (const store::Removal& removal : removals) all.push_back(removal.name);
    return all;
  }
  static Names names(const std::vector<plan::Item>& items) {
    Names all;
    all.reserve(items.size());
    for (const plan::Item& each : items) all.push_back(each.name);
    return all;
  }

  [[nodiscard]] store::StoreOptions options(std::int64_t k = 2) const {
    store::StoreOptions made;
    made.directory = directory();
    made.policy.top_k = {k, "val_loss", plan::Mode::kMin};
    return made;
  }
  [[nodiscard]] std::string directory() const { return base_ / "run"; }
  [[nodiscard]] std::string path(const std::string& name) const { return directory() + "/" + name; }

  // What a callback does for one save; what left.
  static Names save(store::Store& store, const plan::Item& saved, bool last = false) {
    const store::SavePlan plan = store.plan_save(saved, false, false);
    EXPECT_TRUE(plan.wanted && plan.admission);
    Names gone = names(store.make_room(plan));
    const auto staged = store.stage(saved.name);
    staged->reserve(saved.bytes);
    const std::string content(static_cast<std::size_t>(saved.bytes.count()), saved.name[0]);
    staged->write(as_bytes(content));
    EXPECT_EQ(store.publish(*staged, saved.name), saved.bytes);
    const auto removals = store.commit(saved);
    if (last) store.link_last(saved.name, "last.ckpt");
    for (const store::Removal& removal : removals) {
      store.trash(removal.name);
      gone.push_back(removal.name);
    }
    return gone;
  }
  [[nodiscard]] Set listing() const { return names_in(directory()); }
  // What the sweep and the reaper leave of the house of ours.
  [[nodiscard]] std::size_t leftovers() const {
    return names_in(path(".checkroom/staging")).size() + names_in(path(".checkroom/trash")).size();
  }

  TempDirectory base_;
  FaultyFileSystem filesystem_{disk::posix_filesystem()};
};

}  // namespace checkroom::testing
