#include <algorithm>
#include <cerrno>

#include "base/error.h"
#include "base/log.h"
#include "disk/file.h"
#include "disk/free_space.h"
#include "disk/owner.h"
#include "disk/publish.h"
#include "store/store.h"

namespace checkroom::store {
namespace {

constexpr const char* kDamagedSuffix = ".damaged";

}  // namespace

template <typename Action>
auto Store::prepared(Action action) {
  constexpr int kAttempts = 3;
  for (int attempt = 1;; ++attempt) {
    prepare();
    try {
      return action();
    } catch (const Error& error) {
      if (error.errnum() != ENOENT || attempt == kAttempts) throw;
    }
  }
}

void Store::reap(std::optional<std::string> path) {
  if (path) reaper_.remove(std::move(*path));
}

// -- a save

SavePlan Store::plan_save(const plan::Item& candidate, bool forced, bool own_last) {
  expect_ours();
  check_plain_name(candidate.name);
  const auto decide = [&](bool closely) {
    const std::lock_guard lock(mutex_);
    const SaveRequest request = {.candidate = candidate,
                                 .forced = forced,
                                 .own_last = own_last,
                                 .becomes_last = !own_last && has_last(),
                                 .never_first = {last_item_, resumed_from_}};
    const Surroundings surroundings = look(request.becomes_last, closely);
    beside_ = surroundings.beside;
    return store::plan_save(engine_, request, surroundings, limits());
  };
  SavePlan plan = decide(false);
  if (!plan.admission || plan.admission->verdict == plan::AdmissionVerdict::kAdmit) return plan;
  // Before anything gives way: what lies in the trash is ours and on its way out, and what others
  // have freed may not show yet.
  drain_for_room();
  return decide(true);
}

void Store::drain_for_room() {
  if (!reaper_.idle()) reaper_.drain();
  const disk::FreeSpace space = disk::free_space(filesystem_, layout_.root);
  // They show freed space only later, btrfs after its next commit, half a minute away.
  if (space.filesystem != "btrfs" && space.filesystem != "xfs") return;
  try {
    disk::File directory = disk::File::open_directory(filesystem_, space.path);
    disk::check(filesystem_.sync_filesystem(directory.descriptor()), "sync the filesystem",
                space.path);
    directory.close();
  } catch (const Error& error) {
    // It tells of anybody's bytes. Ours are synced one by one; here only the figures may be stale.
    log(LogLevel::kWarn, "store", space.path + ": " + error.what());
  }
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
  return prepared([&] {
    static_cast<void>(disk::status_if_exists(filesystem_, layout_.path(name)));
    return std::make_unique<disk::StagedFile>(filesystem_, layout_.staging(), name);
  });
}

std::string Store::aside(const std::string& name) {
  disk::ensure_directory(filesystem_, layout_.damaged());
  if (options_.durable) disk::sync_directory(filesystem_, layout_.house());
  return layout_.damaged() + "/" + disk::owned_name(name, disk::current_owner(), kDamagedSuffix);
}

std::string Store::keep_aside(disk::StagedFile& staged, const std::string& name) {
  // That the file is damaged is what the caller has to know, whatever becomes of it.
  const auto warn = [&](const Error& error) {
    log(LogLevel::kWarn, "store", layout_.path(name) + ", kept aside: " + error.what());
  };
  std::string path;
  try {
    path = aside(name);
    staged.keep_as(path);
  } catch (const Error& error) {
    warn(error);
    staged.abandon();
    return "";
  }
  try {
    if (options_.durable) disk::sync_directory(filesystem_, layout_.damaged());
  } catch (const Error& error) {
    warn(error);
  }
  return path;
}

std::optional<std::string> Store::verify(const std::string& name) const {
  expect_ours();
  check_plain_name(name);
  const auto fault = inspect(filesystem_, layout_.path(name), Depth::kWhole);
  if (!fault) return std::nullopt;
  return describe(*fault);
}

std::string Store::set_aside(const std::string& name) {
  expect_ours();
  check_plain_name(name);
  std::string path = prepared([&] {
    std::string there = aside(name);
    disk::move_between(filesystem_, layout_.root, layout_.path(name), layout_.damaged(), there,
                       options_.durable);
    return there;
  });
  forget(name);
  return path;
}

Bytes Store::publish(disk::StagedFile& staged, const std::string& name,
                     std::optional<Depth> check) {
  expect_ours();
  check_plain_name(name);
  if (check) {
    staged.seal(options_.durable);
    if (const auto fault = inspect(filesystem_, staged.path(), *check)) {
      throw Error::damaged(layout_.path(name), describe(*fault), keep_aside(staged, name));
    }
  }
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
  try {
    beside_ = beside(becomes_last);
  } catch (const Error& error) {
    // The file is published: that it is ours must be known, even if what lies beside it is not.
    log(LogLevel::kWarn, "store", layout_.root + ": " + error.what());
  }
  departing_.erase(item.name);
  std::vector<Removal> removals = store::commit(engine_, item, becomes_last, beside_, limits());
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
  LastMade made = prepared([&] {
    return make_last(filesystem_, layout_, target, name, options_.last_as, options_.durable);
  });
  reap(std::move(made.displaced));
  note_last(target, name);
  return made.kind;
}

void Store::symlink_last(const std::string& target, const std::string& name) {
  expect_ours();
  check_plain_name(target);
  check_plain_name(name);
  reap(
      prepared([&] { return make_symlink(filesystem_, layout_, target, name, options_.durable); }));
  note_last(target, name);
}

void Store::trash(const std::string& name) {
  expect_ours();
  check_plain_name(name);
  if (disk::status_if_exists(filesystem_, layout_.path(name))) {
    turn_links_from(name);
    reap(prepared([&] {
      return disk::move_to_trash(filesystem_, layout_.destination(name, options_.durable));
    }));
  }
  forget(name);
}

void Store::turn_links_from(const std::string& name) {
  std::string newest;
  std::set<std::string> links;
  {
    const std::lock_guard lock(mutex_);
    newest = last_item_;
    links = last_names_;
  }
  if (newest.empty() || newest == name) return;
  for (const std::string& link : links) {
    const disk::Result<std::string> target = filesystem_.read_link(layout_.path(link));
    if (target.ok() && target.value == name) symlink_last(newest, link);
  }
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
  const std::lock_guard lock(mutex_);
  const Bytes freed = reaper_.freed();
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
