#include "store/store.h"

#include <algorithm>
#include <cerrno>

#include "base/error.h"
#include "base/log.h"
#include "disk/file.h"
#include "disk/free_space.h"
#include "disk/owner.h"
#include "disk/publish.h"
#include "store/census.h"
#include "store/sweep.h"

namespace checkroom::store {
namespace {

StoreOptions checked(StoreOptions options) {
  if (options.directory.empty()) throw Error::invalid("the directory of the store is empty");
  while (options.directory.size() > 1 && options.directory.back() == '/') {
    options.directory.pop_back();
  }
  if (options.min_free < Bytes(0)) {
    throw Error::invalid("min_free is negative: " + std::to_string(options.min_free.count()));
  }
  if (options.max_size && *options.max_size < Bytes(0)) {
    throw Error::invalid("max_size is negative: " + std::to_string(options.max_size->count()));
  }
  return options;
}

// mkdir -p. Links on the way are the user's: they are followed.
void make_directories(disk::FileSystem& filesystem, const std::string& path) {
  const int errnum = filesystem.make_directory(path);
  if (errnum == ENOENT) {
    const std::size_t slash = path.find_last_of('/');
    if (slash != std::string::npos && slash > 0) {
      make_directories(filesystem, path.substr(0, slash));
      disk::check(filesystem.make_directory(path), "make the directory", path);
      return;
    }
  }
  if (errnum != EEXIST) {
    disk::check(errnum, "make the directory", path);
    return;
  }
  const disk::Result<disk::FileStatus> status = filesystem.status_of_target(path);
  disk::check(status.errnum, "stat", path);
  if (status.value.type != disk::FileType::kDirectory) {
    disk::check(ENOTDIR, "use the directory", path);
  }
}

}  // namespace

Store::Store(StoreOptions options, disk::FileSystem& filesystem, const Clock& clock)
    : options_(checked(std::move(options))),
      layout_{options_.directory},
      filesystem_(filesystem),
      clock_(clock),
      owner_pid_(disk::process_id()),
      engine_(options_.policy),
      reaper_(filesystem) {}

Store::~Store() = default;

void Store::expect_ours() const {
  if (disk::process_id() != owner_pid_) {
    throw Error::invalid("the store of '" + layout_.root + "' belongs to another process");
  }
}

void Store::prepare() {
  {
    const std::lock_guard lock(mutex_);
    if (prepared_) return;
  }
  make_directories(filesystem_, layout_.root);
  disk::ensure_directory(filesystem_, layout_.house());
  disk::ensure_directory(filesystem_, layout_.staging());
  disk::ensure_directory(filesystem_, layout_.trash());
  for (std::string& path : find_leftovers(filesystem_, layout_, clock_)) {
    log(LogLevel::kInfo, "store", "a dead process left " + path);
    reaper_.remove(std::move(path));
  }
  const std::lock_guard lock(mutex_);
  prepared_ = true;
}

void Store::reap(std::optional<std::string> path) {
  if (path) reaper_.remove(std::move(*path));
}

// -- what is there

SavePlan Store::adopt(const std::vector<plan::Item>& items, const std::string& last,
                      const std::string& resumed_from) {
  expect_ours();
  for (const plan::Item& item : items) check_plain_name(item.name);
  if (!last.empty()) check_plain_name(last);
  if (!resumed_from.empty()) check_plain_name(resumed_from);
  prepare();

  std::vector<plan::Item> present;
  Bytes largest;
  for (plan::Item item : items) {
    const auto status = disk::status_if_exists(filesystem_, layout_.path(item.name));
    // A link is not a checkpoint of ours, whatever the state says: what it points at may be
    // anywhere.
    if (!status ||
        (status->type != disk::FileType::kRegular && status->type != disk::FileType::kDirectory)) {
      continue;
    }
    item.bytes = item.own_bytes = measure(filesystem_, layout_.path(item.name));
    largest = std::max(largest, item.bytes);
    present.push_back(std::move(item));
  }

  const std::lock_guard lock(mutex_);
  engine_ = plan::RetentionEngine(options_.policy);
  departing_.clear();
  resumed_from_ = resumed_from;
  const bool last_is_item = std::any_of(present.begin(), present.end(),
                                        [&](const plan::Item& item) { return item.name == last; });
  last_item_ = last_is_item ? last : "";
  if (!last.empty() && !last_is_item) last_names_.insert(last);
  engine_.set_last(last_item_);
  engine_.set_resumed_from(resumed_from_);
  SavePlan plan;
  plan.wanted = true;
  const auto note = [&](const std::vector<Removal>& removals) {
    for (const Removal& removal : removals) {
      departing_.insert(removal.name);
      plan.removes.push_back(removal);
    }
  };
  // The budget comes with the last of them: what is over it is judged with all of them in sight.
  for (std::size_t i = 0; i < present.size(); ++i) {
    const bool is_final = i + 1 == present.size();
    std::vector<Removal> removals;
    if (is_final) {
      std::vector<std::string> all = names();
      all.push_back(present[i].name);
      for (const Removal& removal : plan.removes) all.push_back(removal.name);
      Bytes outside;
      if (options_.max_size) {
        outside = take_census(filesystem_, layout_, all).bytes_beside(all);
      }
      engine_.set_budget(retention_budget(limits(), largest, outside));
    } else {
      engine_.set_budget(std::nullopt);
    }
    for (auto& left : engine_.publish(present[i])) {
      removals.push_back({std::move(left.item.name), std::move(left.reason)});
    }
    note(removals);
  }
  const plan::RetentionPlan kept = engine_.plan();
  plan.top_k = kept.top_k;
  plan.best = kept.best;
  return plan;
}

std::vector<plan::Item> Store::inventory() const { return plan().items; }

Store::Standing Store::plan() const {
  expect_ours();
  const std::lock_guard lock(mutex_);
  Standing standing;
  for (const plan::Item* item : engine_.items()) standing.items.push_back(*item);
  standing.plan = engine_.plan();
  return standing;
}

std::vector<std::string> Store::names() const {
  std::vector<std::string> all;
  for (const plan::Item* item : engine_.items()) all.push_back(item->name);
  return all;
}

bool Store::is_last_of_ours(const std::string& name, const disk::FileStatus& status) const {
  if (last_names_.contains(name)) return true;
  const std::vector<std::string> items = names();
  if (status.type == disk::FileType::kSymlink) {
    const disk::Result<std::string> target = filesystem_.read_link(layout_.path(name));
    return target.ok() && std::find(items.begin(), items.end(), target.value) != items.end();
  }
  if (status.type != disk::FileType::kRegular || status.links < 2) return false;
  return std::any_of(items.begin(), items.end(), [&](const std::string& item) {
    const disk::Result<disk::FileStatus> other = filesystem_.status(layout_.path(item));
    return other.ok() && other.value.same_inode(status);
  });
}

std::vector<std::pair<std::string, Bytes>> Store::foreign() const {
  expect_ours();
  const std::lock_guard lock(mutex_);
  const std::vector<std::string> items = names();
  std::vector<std::pair<std::string, Bytes>> strangers;
  for (const Entry& entry : take_census(filesystem_, layout_, items).entries) {
    const bool ours = std::find(items.begin(), items.end(), entry.name) != items.end() ||
                      departing_.contains(entry.name) || published_.contains(entry.name) ||
                      is_last_of_ours(entry.name, entry.status);
    if (!ours) strangers.emplace_back(entry.name, entry.bytes);
  }
  return strangers;
}

Bytes Store::used() const {
  expect_ours();
  const std::lock_guard lock(mutex_);
  return take_census(filesystem_, layout_, names()).used;
}

Bytes Store::beside(bool becomes_last) const {
  if (!options_.max_size) return Bytes(0);
  std::vector<std::string> known = names();
  known.insert(known.end(), departing_.begin(), departing_.end());
  // A `last` of its own gives its blocks back as soon as it shares those of the new file.
  if (becomes_last && options_.last_as != LastAs::kCopy) {
    known.insert(known.end(), last_names_.begin(), last_names_.end());
  }
  return take_census(filesystem_, layout_, known).bytes_beside(known);
}

// -- a save

Limits Store::limits() const {
  return {.floor = options_.min_free,
          .cap = options_.max_size,
          .budget = options_.policy.budget,
          .prune_first = options_.prune_first,
          .copies_last = options_.last_as == LastAs::kCopy};
}

Surroundings Store::look(bool becomes_last) const {
  const disk::FreeSpace space = disk::free_space(filesystem_, layout_.root);
  Surroundings surroundings;
  surroundings.available = space.available;
  surroundings.inodes = space.inodes;
  // Counting a directory costs a call a file: only a cap asks for it.
  if (options_.max_size) {
    surroundings.used = take_census(filesystem_, layout_, names()).used;
    surroundings.beside = beside(becomes_last);
  }
  return surroundings;
}

SavePlan Store::plan_save(const plan::Item& candidate, bool forced, bool own_last) {
  expect_ours();
  check_plain_name(candidate.name);
  SaveRequest request;
  const auto decide = [&] {
    const std::lock_guard lock(mutex_);
    request = {.candidate = candidate,
               .forced = forced,
               .own_last = own_last,
               .becomes_last = !own_last && has_last(),
               .never_first = {last_item_, resumed_from_}};
    return store::plan_save(engine_, request, look(request.becomes_last), limits());
  };
  SavePlan plan = decide();
  if (!plan.admission || plan.admission->verdict == plan::AdmissionVerdict::kAdmit) return plan;
  // Before anything gives way: what lies in the trash is ours and on its way out, and what others
  // have freed may not show yet.
  drain_for_room();
  return decide();
}

void Store::drain_for_room() {
  if (!reaper_.idle()) reaper_.drain();
  const disk::FreeSpace space = disk::free_space(filesystem_, layout_.root);
  // They show freed space only later, btrfs after its next commit, half a minute away.
  if (space.filesystem != "btrfs" && space.filesystem != "xfs") return;
  disk::File directory = disk::File::open_directory(filesystem_, space.path);
  disk::check(filesystem_.sync_filesystem(directory.descriptor()), "sync the filesystem",
              space.path);
  directory.close();
}

std::vector<Removal> Store::make_room(const SavePlan& plan) {
  expect_ours();
  if (plan.removes_first.empty()) return {};
  for (const Removal& removal : plan.removes_first) trash(removal.name);
  drain_for_room();
  return plan.removes_first;
}

std::unique_ptr<disk::StagedFile> Store::stage(const std::string& name) {
  expect_ours();
  check_plain_name(name);
  prepare();
  return std::make_unique<disk::StagedFile>(filesystem_, layout_.staging(), name);
}

Bytes Store::publish(disk::StagedFile& staged, const std::string& name) {
  expect_ours();
  check_plain_name(name);
  disk::Published published = staged.publish(layout_.destination(name, options_.durable));
  reap(std::move(published.displaced));
  const std::lock_guard lock(mutex_);
  published_.insert(name);
  departing_.erase(name);
  if (last_names_.contains(name)) {
    // `last` is a file of its own now: it shares nothing with an item any more.
    last_item_.clear();
    engine_.set_last("");
  }
  return published.bytes;
}

std::vector<Removal> Store::commit(const plan::Item& item) {
  expect_ours();
  check_plain_name(item.name);
  const std::lock_guard lock(mutex_);
  // Where there is a `last`, the newest published item is what it will be: the caller links it now.
  const bool becomes_last = has_last();
  departing_.insert(item.name);  // so that it is not taken for a stranger
  const Bytes outside = beside(becomes_last);
  departing_.erase(item.name);
  std::vector<Removal> removals = store::commit(engine_, item, becomes_last, outside, limits());
  if (becomes_last) last_item_ = item.name;
  for (const Removal& removal : removals) departing_.insert(removal.name);
  return removals;
}

void Store::note_last(const std::string& target, const std::string& name) {
  const std::lock_guard lock(mutex_);
  last_names_.insert(name);
  const std::vector<std::string> items = names();
  last_item_ = std::find(items.begin(), items.end(), target) != items.end() ? target : "";
  engine_.set_last(last_item_);
}

LastKind Store::link_last(const std::string& target, const std::string& name) {
  expect_ours();
  check_plain_name(target);
  check_plain_name(name);
  prepare();
  LastMade made = make_last(filesystem_, layout_, target, name, options_.last_as, options_.durable);
  reap(std::move(made.displaced));
  note_last(target, name);
  return made.kind;
}

void Store::symlink_last(const std::string& target, const std::string& name) {
  expect_ours();
  check_plain_name(target);
  check_plain_name(name);
  prepare();
  reap(make_symlink(filesystem_, layout_, target, name, options_.durable));
  note_last(target, name);
}

void Store::trash(const std::string& name) {
  expect_ours();
  check_plain_name(name);
  if (disk::status_if_exists(filesystem_, layout_.path(name))) {
    prepare();
    reap(disk::move_to_trash(filesystem_, layout_.destination(name, options_.durable)));
  }
  forget(name);
}

void Store::forget(const std::string& name) {
  expect_ours();
  check_plain_name(name);
  const std::lock_guard lock(mutex_);
  engine_.forget(name);
  departing_.erase(name);
  published_.erase(name);
  last_names_.erase(name);
  if (last_item_ == name) {
    last_item_.clear();
    engine_.set_last("");
  }
}

// -- the reaper

Bytes Store::drain(std::optional<std::chrono::duration<double>> timeout) {
  if (disk::process_id() != owner_pid_) return Bytes(0);
  reaper_.drain(timeout);
  const Bytes freed = reaper_.freed();
  const std::lock_guard lock(mutex_);
  const Bytes news = freed - drained_;
  drained_ = freed;
  return news;
}

void Store::close() {
  if (disk::process_id() != owner_pid_) return;
  reaper_.drain();
  reaper_.stop();
}

}  // namespace checkroom::store
