// Store: one directory of checkpoints under guard.
//
// Owns the inventory (a retention engine), what it knows of `last`, and the reaper of the
// directory's trash. decide.h says what is to be done, the store does it on a local disk. Any
// thread may call any method; a mutex guards the inventory and is not held while bytes are written.
// Nothing on the disk is touched before the first adopt(), stage() or trash(). Failures throw
// Error: kInvalidArgument for a name that is no plain name inside the directory, the errno of the
// disk otherwise. In a forked child every method but drain() and close() throws, those and the
// destructor do nothing: the directory is the parent's business.
//
// What is there is told in store.cc, a save and what it removes in store_save.cc.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "disk/filesystem.h"
#include "disk/reaper.h"
#include "disk/staged_file.h"
#include "plan/retention_engine.h"
#include "store/decide.h"
#include "store/inspect.h"
#include "store/last_link.h"
#include "store/layout.h"

namespace checkroom::store {

struct StoreOptions {
  std::string directory;
  plan::RetentionPolicy policy;
  Bytes min_free;                 // the floor
  std::optional<Bytes> max_size;  // the cap
  bool prune_first = true;
  bool durable = true;
  LastAs last_as = LastAs::kAuto;
};

class Store {
 public:
  // Throws Error(kInvalidArgument) for a policy or a figure that cannot be.
  explicit Store(StoreOptions options, disk::FileSystem& filesystem = disk::posix_filesystem(),
                 const Clock& clock = system_clock());
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  [[nodiscard]] const std::string& directory() const { return layout_.root; }

  // -- what is there
  // Takes over what an earlier run left, in the order of saving: what is no longer there is
  // dropped, bytes are measured. `last`: an item, or the name of a `last` file; `last_files`: more
  // of these. What the rules let go of now is told, not removed.
  SavePlan adopt(const std::vector<plan::Item>& items, const std::string& last,
                 const std::string& resumed_from, const std::vector<std::string>& last_files = {});
  [[nodiscard]] std::vector<plan::Item> inventory() const;
  // What is kept now, each with its reasons; the plan's indices are those of `items`.
  struct Standing {
    std::vector<plan::Item> items;
    plan::RetentionPlan plan;
  };
  [[nodiscard]] Standing plan() const;
  // Entries that no run of ours is known to have written: counted, never removed.
  [[nodiscard]] std::vector<std::pair<std::string, Bytes>> foreign() const;
  [[nodiscard]] Bytes used() const;

  // -- a save
  // May it start? `forced`: it must happen whatever the rules say; `own_last`: it is `last` itself.
  SavePlan plan_save(const plan::Item& candidate, bool forced, bool own_last);
  // Carries out what `plan`, made of the state that still stands, removes first, and waits for the
  // blocks; what went.
  std::vector<Removal> make_room(const SavePlan& plan);
  // A name that the filesystem cannot have is refused here, before a byte is written.
  std::unique_ptr<disk::StagedFile> stage(const std::string& name);
  // With a `check` the file is looked at before it gets its name; one that is damaged is kept
  // aside, and what has the name stays: Error(kDamaged).
  Bytes publish(disk::StagedFile& staged, const std::string& name,
                std::optional<Depth> check = std::nullopt);
  // Reads a published file back, all of it; what is wrong with it, for a person.
  [[nodiscard]] std::optional<std::string> verify(const std::string& name) const;
  // Takes a published file out of the inventory and keeps it aside; where it lies now.
  std::string set_aside(const std::string& name);
  // The published item enters the inventory, whatever the disk says; what leaves now. The caller
  // calls trash() for each.
  std::vector<Removal> commit(const plan::Item& item);
  LastKind link_last(const std::string& target, const std::string& name);
  void symlink_last(const std::string& target, const std::string& name);
  // Renames into the trash and forgets; what is already gone is only forgotten. A symbolic link
  // that was made its `last` points at the newest item first.
  void trash(const std::string& name);
  void forget(const std::string& name);

  // -- the reaper
  // Waits for it; bytes that came back since the last drain.
  Bytes drain(std::optional<std::chrono::duration<double>> timeout = std::nullopt);
  // Finishes the trash and ends the thread. Calls after that start it anew.
  void close();

 private:
  void expect_ours() const;
  // Makes the directories of ours, where they are not there (the end of another run takes them away
  // when they are empty). The first time it also looks for what the dead have left.
  void prepare();
  // Runs an action that needs these directories; again, where one went meanwhile.
  template <typename Action>
  auto prepared(Action action);
  void reap(std::optional<std::string> path);
  // A fresh name for what is damaged.
  std::string aside(const std::string& name);
  // Where the staged file lies now; empty: it could not be kept, and is gone.
  std::string keep_aside(disk::StagedFile& staged, const std::string& name);
  // Waits for the trash and makes the filesystem show what came back, from us and from others.
  void drain_for_room();
  // `closely`: also at each item.
  [[nodiscard]] Surroundings look(bool becomes_last, bool closely) const;
  [[nodiscard]] Limits limits() const;
  [[nodiscard]] bool has_last() const { return !last_item_.empty(); }
  [[nodiscard]] std::vector<std::string> names() const;
  [[nodiscard]] Bytes beside(bool becomes_last) const;
  [[nodiscard]] bool is_last_of_ours(const std::string& name, const disk::FileStatus& status) const;
  void note_last(const std::string& target, const std::string& name);
  void turn_links_from(const std::string& name);

  StoreOptions options_;
  Layout layout_;
  disk::FileSystem& filesystem_;
  const Clock& clock_;
  std::int64_t owner_pid_;

  mutable std::mutex mutex_;  // guards all below but the reaper
  plan::RetentionEngine engine_;
  std::string last_item_;  // the item that `last` is or shares its blocks with
  std::string resumed_from_;
  std::set<std::string> last_names_;  // the files that are `last`, by any means
  std::set<std::string> departing_;   // left the inventory, not yet trashed
  std::set<std::string> published_;   // by this store
  bool swept_ = false;
  Bytes beside_;   // what beside() said last
  Bytes drained_;  // what drain() has told already
  disk::Reaper reaper_;
};

}  // namespace checkroom::store
