// PowerCutFileSystem: another FileSystem, which knows at every moment what a power cut would leave
// of one directory tree.
//
// The calls go through; beside them it keeps what is on the platter. The data of a file are as they
// were at its last fsync. A name is made, moved or removed by the fsync of its directory alone, in
// the order of the calls. What was not synced may have survived nevertheless: survivors() tells the
// outcomes that are legal, from nothing to all of it. It is stricter than the filesystems that are
// in use: a rename between two directories can leave both names, and where only the directory that
// it took the file from was fsynced, none.
//
// Any thread may call; the hook runs inside of a call, with every other one waiting. What exists
// before is on the platter. Directories are neither renamed nor exchanged in here.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "disk/filesystem.h"
#include "support/temp_directory.h"

namespace checkroom::testing {

using Content = std::shared_ptr<const std::string>;

// One thing that a power cut left.
struct Survivor {
  int inode = 0;  // two names of one file have the same
  disk::FileType type = disk::FileType::kRegular;
  Content content;  // of a link: where it points

  friend bool operator==(const Survivor&, const Survivor&) = default;
};

// By the path below the root; a directory comes before what is in it.
using Survivors = std::map<std::string, Survivor>;

class PowerCutFileSystem final : public disk::FileSystem {
 public:
  PowerCutFileSystem(disk::FileSystem& inner, std::string root)
      : inner_(inner), root_(std::move(root)) {}

  // Runs after each call that changes what a power cut would leave.
  void on_change(std::function<void(const std::string& call)> hook) { hook_ = std::move(hook); }

  // Every legal outcome of a cut at this moment, each once. For the hook.
  [[nodiscard]] std::vector<Survivors> survivors() const {
    // Of the data since the last fsync: nothing, the size without the data, all.
    std::array<Contents, 3> lost;
    auto& [nothing, sizes, whole] = lost;
    for (const auto& [path, node] : live_) {
      if (!node->dirty) continue;
      whole[node->number] = now(*node);
      sizes[node->number] = std::make_shared<const std::string>(whole[node->number]->size(), '\0');
    }
    std::vector<Survivors> all;
    for (const Names& names : surviving_names()) {
      for (const Contents& left : lost) {
        Survivors outcome;
        walk(names, "", left, outcome);
        if (std::find(all.begin(), all.end(), outcome) == all.end()) all.push_back(outcome);
      }
    }
    return all;
  }

  // Makes what survived in an empty directory.
  static void materialise(const Survivors& survivors, const std::string& directory) {
    std::map<int, std::string> made;
    for (const auto& [name, survivor] : survivors) {
      const std::string path = directory + "/" + name;
      const auto first = made.find(survivor.inode);
      if (survivor.type == disk::FileType::kDirectory) {
        std::filesystem::create_directory(path);
      } else if (first != made.end()) {
        std::filesystem::create_hard_link(first->second, path);
      } else if (survivor.type == disk::FileType::kSymlink) {
        std::filesystem::create_symlink(*survivor.content, path);
      } else {
        write_file(path, *survivor.content);
      }
      made.emplace(survivor.inode, path);
    }
  }

  disk::Result<int> create(const std::string& path) override {
    return opened(path, [&] {
      const disk::Result<int> made = inner_.create(path);
      if (made.ok()) add(path, disk::FileType::kRegular, nullptr, made.value);
      return made;
    });
  }
  disk::Result<int> open_read(const std::string& path) override {
    return opened(path, [&] { return inner_.open_read(path); });
  }
  disk::Result<int> open_directory(const std::string& path) override {
    return opened(path, [&] { return inner_.open_directory(path); });
  }
  disk::Result<std::size_t> write(int fd, std::span<const std::byte> bytes,
                                  std::int64_t offset) override {
    const std::lock_guard lock(mutex_);
    const auto result = inner_.write(fd, bytes, offset);
    if (result.ok()) dirty(fd, "write");
    return result;
  }
  disk::Result<std::size_t> read(int fd, std::span<std::byte> bytes, std::int64_t offset) override {
    return inner_.read(fd, bytes, offset);
  }
  int reserve(int fd, std::int64_t bytes) override { return inner_.reserve(fd, bytes); }
  int truncate(int fd, std::int64_t size) override {
    const std::lock_guard lock(mutex_);
    const int errnum = inner_.truncate(fd, size);
    if (errnum == 0) dirty(fd, "truncate");
    return errnum;
  }
  int set_direct(int fd, bool direct) override { return inner_.set_direct(fd, direct); }
  // Brings the data, but not what says where they are: nothing is safe.
  int write_back(int fd, std::int64_t offset, std::int64_t bytes, bool wait) override {
    return inner_.write_back(fd, offset, bytes, wait);
  }
  int drop_cache(int fd, std::int64_t offset, std::int64_t bytes) override {
    return inner_.drop_cache(fd, offset, bytes);
  }
  int sync(int fd) override {
    const std::lock_guard lock(mutex_);
    const int errnum = inner_.sync(fd);
    if (errnum != 0) return errnum;
    if (const auto file = files_.find(fd); file != files_.end()) bring(*file->second);
    if (const auto path = paths_.find(fd); path != paths_.end()) bring_names(path->second);
    changed("fsync");
    return 0;
  }
  int sync_filesystem(int fd) override {
    const std::lock_guard lock(mutex_);
    const int errnum = inner_.sync_filesystem(fd);
    if (errnum != 0) return errnum;
    for (const auto& [path, node] : live_) bring(*node);
    for (const Step& step : pending_) step.carry_out(platter_);
    pending_.clear();
    changed("syncfs");
    return 0;
  }
  int close(int fd) override {
    const std::lock_guard lock(mutex_);
    files_.erase(fd);
    paths_.erase(fd);
    return inner_.close(fd);
  }
  int reflink(int target_fd, int source_fd) override {
    const std::lock_guard lock(mutex_);
    const int errnum = inner_.reflink(target_fd, source_fd);
    if (errnum == 0) dirty(target_fd, "reflink");
    return errnum;
  }
  int lock(int fd) override { return inner_.lock(fd); }
  disk::Result<disk::FileStatus> status_of(int fd) override { return inner_.status_of(fd); }
  disk::Result<std::vector<disk::Extent>> shared_extents(int fd) override {
    return inner_.shared_extents(fd);
  }

  int rename(const std::string& from, const std::string& to) override {
    const std::lock_guard lock(mutex_);
    const int errnum = inner_.rename(from, to);
    if (errnum != 0) return errnum;
    const std::shared_ptr<Node> node = live_.at(below(from));
    // Of one name of a file over another of it POSIX says that nothing happens.
    if (const auto other = live_.find(below(to)); other != live_.end() && other->second == node) {
      return 0;
    }
    ++group_;
    set_name(to, node);
    set_name(from, nullptr);
    node->path = to;
    changed("rename to " + below(to));
    return 0;
  }
  int exchange(const std::string& /*one*/, const std::string& /*other*/) override {
    throw std::logic_error("an exchange is not modelled");
  }
  int link(const std::string& existing, const std::string& name) override {
    const std::lock_guard lock(mutex_);
    const int errnum = inner_.link(existing, name);
    if (errnum != 0) return errnum;
    ++group_;
    set_name(name, live_.at(below(existing)));
    changed("link " + below(name));
    return 0;
  }
  int symlink(const std::string& target, const std::string& name) override {
    const std::lock_guard lock(mutex_);
    const int errnum = inner_.symlink(target, name);
    if (errnum == 0) {
      add(name, disk::FileType::kSymlink, std::make_shared<const std::string>(target), -1);
    }
    return errnum;
  }
  int unlink(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    const int errnum = inner_.unlink(path);
    if (errnum == 0) remove(path);
    return errnum;
  }
  int make_directory(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    const int errnum = inner_.make_directory(path);
    if (errnum == 0) add(path, disk::FileType::kDirectory, nullptr, -1);
    return errnum;
  }
  int remove_directory(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    const int errnum = inner_.remove_directory(path);
    if (errnum == 0) remove(path);
    return errnum;
  }

  disk::Result<disk::FileStatus> status(const std::string& path) override {
    return inner_.status(path);
  }
  disk::Result<disk::FileStatus> status_of_target(const std::string& path) override {
    return inner_.status_of_target(path);
  }
  disk::Result<disk::Volume> volume(const std::string& path) override {
    return inner_.volume(path);
  }
  disk::Result<std::vector<std::string>> list(const std::string& directory) override {
    return inner_.list(directory);
  }
  disk::Result<std::string> read_link(const std::string& path) override {
    return inner_.read_link(path);
  }

 private:
  struct Node {
    int number = 0;
    disk::FileType type = disk::FileType::kRegular;
    std::string path;  // where it is now
    bool dirty = false;
    Content synced = std::make_shared<const std::string>();  // as of its last fsync
  };
  // By directory, then by name.
  using Names = std::map<std::string, std::map<std::string, std::shared_ptr<Node>>>;
  // A name that was given to something, or to nothing.
  struct Step {
    int group = 0;  // one call of the caller's
    std::string directory;
    std::string name;
    std::shared_ptr<Node> node;

    void carry_out(Names& names) const {
      if (node) {
        names[directory][name] = node;
      } else {
        names[directory].erase(name);
      }
    }
  };

  // The path below the root; what lies outside is none of ours.
  [[nodiscard]] std::string below(const std::string& path) const {
    if (path == root_) return "";
    return path.starts_with(root_ + "/") ? path.substr(root_.size() + 1) : "../" + path;
  }
  static std::pair<std::string, std::string> split(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return {"", path};
    return {path.substr(0, slash), path.substr(slash + 1)};
  }

  template <typename Action>
  disk::Result<int> opened(const std::string& path, Action action) {
    const std::lock_guard lock(mutex_);
    const disk::Result<int> result = action();
    if (result.ok()) paths_[result.value] = below(path);
    return result;
  }
  void changed(const std::string& call) {
    if (hook_) hook_(call);
  }
  void set_name(const std::string& path, const std::shared_ptr<Node>& node) {
    const auto [directory, name] = split(below(path));
    pending_.push_back({group_, directory, name, node});
    if (node) {
      live_[below(path)] = node;
    } else {
      live_.erase(below(path));
    }
  }
  void add(const std::string& path, disk::FileType type, Content content, int fd) {
    const auto node = std::make_shared<Node>();
    node->number = ++nodes_;
    node->type = type;
    node->path = path;
    if (content) node->synced = std::move(content);
    if (fd >= 0) files_[fd] = node;
    ++group_;
    set_name(path, node);
    changed("make " + below(path));
  }
  void remove(const std::string& path) {
    ++group_;
    set_name(path, nullptr);
    changed("remove " + below(path));
  }
  void dirty(int fd, const std::string& call) {
    const auto file = files_.find(fd);
    if (file == files_.end()) return;
    file->second->dirty = true;
    changed(call);
  }
  static Content now(const Node& node) {
    return std::make_shared<const std::string>(read_file(node.path));
  }
  static void bring(Node& node) {
    if (!node.dirty) return;
    node.synced = now(node);
    node.dirty = false;
  }
  void bring_names(const std::string& directory) {
    std::vector<Step> others;
    for (const Step& step : pending_) {
      if (step.directory == directory) {
        step.carry_out(platter_);
      } else {
        others.push_back(step);
      }
    }
    pending_ = std::move(others);
  }

  // What the names can be: the platter's, with the first of the calls that wait, with all of them,
  // and with those of one directory alone.
  [[nodiscard]] std::vector<Names> surviving_names() const {
    std::vector<Names> all = {platter_};
    Names names = platter_;
    std::set<std::string> directories;
    for (std::size_t i = 0; i < pending_.size(); ++i) {
      pending_[i].carry_out(names);
      directories.insert(pending_[i].directory);
      const bool ends = i + 1 == pending_.size() || pending_[i + 1].group != pending_[i].group;
      if (ends) all.push_back(names);
    }
    for (const std::string& directory : directories) {
      Names alone = platter_;
      for (const Step& step : pending_) {
        const bool touches = std::any_of(pending_.begin(), pending_.end(), [&](const Step& other) {
          return other.group == step.group && other.directory == directory;
        });
        // What a rename takes away is not gone before its new name is there.
        if (step.directory == directory || (touches && step.node)) step.carry_out(alone);
      }
      all.push_back(std::move(alone));
    }
    return all;
  }
  // What is left of the files' data, by their number.
  using Contents = std::map<int, Content>;

  static void walk(const Names& names, const std::string& directory, const Contents& lost,
                   Survivors& into) {
    const auto found = names.find(directory);
    if (found == names.end()) return;
    for (const auto& [name, node] : found->second) {
      const std::string path = directory.empty() ? name : directory + "/" + name;
      const auto other = lost.find(node->number);
      into[path] = {node->number, node->type, other == lost.end() ? node->synced : other->second};
      if (node->type == disk::FileType::kDirectory) walk(names, path, lost, into);
    }
  }

  disk::FileSystem& inner_;
  std::string root_;
  std::function<void(const std::string&)> hook_;
  std::mutex mutex_;  // guards all below
  std::map<int, std::shared_ptr<Node>> files_;
  std::map<int, std::string> paths_;
  std::map<std::string, std::shared_ptr<Node>> live_;
  Names platter_;
  std::vector<Step> pending_;
  int nodes_ = 0;
  int group_ = 0;
};

}  // namespace checkroom::testing
