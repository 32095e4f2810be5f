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

// mkdir -p. Links on the way are the user's: they are followed. Somebody else may be making the
// same ones.
void make_directories(disk::FileSystem& filesystem, const std::string& path) {
  int errnum = filesystem.make_directory(path);
  const std::size_t slash = path.find_last_of('/');
  if (errnum == ENOENT && slash != std::string::npos && slash > 0) {
    make_directories(filesystem, path.substr(0, slash));
    errnum = filesystem.make_directory(path);
  }
  if (errnum == 0) return;
  if (errnum != EEXIST) disk::check(errnum, "make the directory", path);
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
  make_directories(filesystem_, layout_.root);
  disk::ensure_directory(filesystem_, layout_.house());
  disk::ensure_directory(filesystem_, layout_.staging());
  disk::ensure_directory(filesystem_, layout_.trash());
  {
    const std::lock_guard lock(mutex_);
    if (swept_) return;
  }
  if (options_.durable) disk::sync_way_to(filesystem_, layout_.root);
  for (std::string& path : find_leftovers(filesystem_, layout_, clock_)) {
    log(LogLevel::kInfo, "store", "a dead process left " + path);
    reaper_.remove(std::move(path));
  }
  const std::lock_guard lock(mutex_);
  swept_ = true;
}

// -- what is there

SavePlan Store::adopt(const std::vector<plan::Item>& items, const std::string& last,
                      const std::string& resumed_from, const std::vector<std::string>& last_files) {
  expect_ours();
  for (const plan::Item& item : items) check_plain_name(item.name);
  if (!last.empty()) check_plain_name(last);
  if (!resumed_from.empty()) check_plain_name(resumed_from);
  for (const std::string& name : last_files) check_plain_name(name);
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

  // All that asks the disk comes before the first change: a failure leaves the former state.
  Bytes outside;
  if (options_.max_size) {
    std::vector<std::string> known;
    for (const plan::Item& item : present) known.push_back(item.name);
    outside = take_census(filesystem_, layout_, known).bytes_beside(known);
  }

  const std::lock_guard lock(mutex_);
  engine_ = plan::RetentionEngine(options_.policy);
  departing_.clear();
  beside_ = outside;
  resumed_from_ = resumed_from;
  const bool last_is_item = std::any_of(present.begin(), present.end(),
                                        [&](const plan::Item& item) { return item.name == last; });
  last_item_ = last_is_item ? last : "";
  if (!last.empty() && !last_is_item) last_names_.insert(last);
  for (const std::string& name : last_files) {
    const bool is_item = std::any_of(present.begin(), present.end(),
                                     [&](const plan::Item& item) { return item.name == name; });
    if (!is_item) last_names_.insert(name);
  }
  engine_.set_last(last_item_);
  engine_.set_resumed_from(resumed_from_);
  SavePlan plan;
  plan.wanted = true;
  for (std::size_t i = 0; i < present.size(); ++i) {
    // The budget comes with the last of them: what is over it is judged with all of them in sight.
    const bool is_final = i + 1 == present.size();
    engine_.set_budget(is_final ? retention_budget(limits(), largest, outside) : std::nullopt);
    for (auto& left : engine_.publish(present[i])) {
      departing_.insert(left.item.name);
      plan.removes.push_back({std::move(left.item.name), std::move(left.reason)});
    }
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

Limits Store::limits() const {
  return {.floor = options_.min_free,
          .cap = options_.max_size,
          .budget = options_.policy.budget,
          .prune_first = options_.prune_first,
          .copies_last = options_.last_as == LastAs::kCopy};
}

Surroundings Store::look(bool becomes_last, bool closely) const {
  const disk::FreeSpace space = disk::free_space(filesystem_, layout_.root);
  Surroundings surroundings;
  surroundings.available = space.available;
  surroundings.inodes = space.inodes;
  // Counting a directory costs a call a file: only a cap asks for it.
  if (options_.max_size) {
    surroundings.used = take_census(filesystem_, layout_, names()).used;
    surroundings.beside = beside(becomes_last);
  }
  if (closely) {
    for (const std::string& name : names()) {
      if (!disk::status_if_exists(filesystem_, layout_.path(name))) {
        surroundings.vanished.insert(name);
      }
    }
  }
  return surroundings;
}

}  // namespace checkroom::store
