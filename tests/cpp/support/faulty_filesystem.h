// FaultyFileSystem: another FileSystem, in which the calls that a test names fail.
//
// Owns the record of the calls and the plan of the failures; the calls that do not fail go through.
// Any thread. A death (die_at) stands for kill -9: from that call on nothing has an effect, so that
// the disk stays as the killed process left it, whatever destructors still try.
#pragma once

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "disk/filesystem.h"

namespace checkroom::testing {

struct Call {
  std::string op;
  std::string path;

  friend bool operator==(const Call&, const Call&) = default;
};

class FaultyFileSystem final : public disk::FileSystem {
 public:
  explicit FaultyFileSystem(disk::FileSystem& inner) : inner_(inner) {}

  // The n-th call (from 1, counted from now) of this kind fails; with `sticky` all later ones too.
  void fail(const std::string& op, int n, int errnum, bool sticky = false) {
    const std::lock_guard lock(mutex_);
    by_op_[op] = {n, errnum, sticky};
    seen_[op] = 0;
  }
  // Every call of this kind fails.
  void fail_all(const std::string& op, int errnum) { fail(op, 1, errnum, true); }
  // The n-th call of any kind (from 1, counted from now) fails.
  void fail_any(int n, int errnum, bool sticky = false) {
    const std::lock_guard lock(mutex_);
    any_ = {n, errnum, sticky};
    count_ = 0;
  }
  // At the n-th call of any kind (from 1, counted from now) the process is gone.
  void die_at(int n) {
    const std::lock_guard lock(mutex_);
    death_ = n;
    count_ = 0;
    dead_ = false;
  }
  void heal() {
    const std::lock_guard lock(mutex_);
    by_op_.clear();
    any_ = {};
    death_ = 0;
    dead_ = false;
  }
  // Writes move at most this many bytes a call.
  void shorten_writes(std::size_t most) { most_ = most; }
  // What volume() says instead of the truth.
  void pretend_volume(const disk::Volume& volume) {
    const std::lock_guard lock(mutex_);
    volume_ = volume;
    has_volume_ = true;
  }
  // Runs before each call that goes through, without the lock.
  void on_call(std::function<void(const Call&)> hook) { hook_ = std::move(hook); }

  [[nodiscard]] std::vector<Call> calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
  }
  // The calls whose kind is one of these, in order.
  [[nodiscard]] std::vector<Call> calls(const std::vector<std::string>& ops) const {
    std::vector<Call> wanted;
    for (const Call& call : calls()) {
      if (std::find(ops.begin(), ops.end(), call.op) != ops.end()) wanted.push_back(call);
    }
    return wanted;
  }
  void clear_calls() {
    const std::lock_guard lock(mutex_);
    calls_.clear();
  }
  [[nodiscard]] bool died() const {
    const std::lock_guard lock(mutex_);
    return dead_;
  }
  // Descriptors that were opened and not closed.
  [[nodiscard]] std::size_t open_descriptors() const {
    const std::lock_guard lock(mutex_);
    return paths_.size();
  }

  disk::Result<int> create(const std::string& path) override {
    return opened("create", path, [&] { return inner_.create(path); });
  }
  disk::Result<int> open_read(const std::string& path) override {
    return opened("open", path, [&] { return inner_.open_read(path); });
  }
  disk::Result<int> open_directory(const std::string& path) override {
    return opened("opendir", path, [&] { return inner_.open_directory(path); });
  }
  disk::Result<std::size_t> write(int fd, std::span<const std::byte> bytes,
                                  std::int64_t offset) override {
    return value<std::size_t>("write", path_of(fd), [&] {
      return inner_.write(fd, bytes.first(std::min(bytes.size(), most_.load())), offset);
    });
  }
  disk::Result<std::size_t> read(int fd, std::span<std::byte> bytes, std::int64_t offset) override {
    return value<std::size_t>("read", path_of(fd), [&] { return inner_.read(fd, bytes, offset); });
  }
  int reserve(int fd, std::int64_t bytes) override {
    return plain("reserve", path_of(fd), [&] { return inner_.reserve(fd, bytes); });
  }
  int truncate(int fd, std::int64_t size) override {
    return plain("truncate", path_of(fd), [&] { return inner_.truncate(fd, size); });
  }
  int set_direct(int fd, bool direct) override {
    return plain("direct", path_of(fd), [&] { return inner_.set_direct(fd, direct); });
  }
  int write_back(int fd, std::int64_t offset, std::int64_t bytes, bool wait) override {
    return plain(wait ? "writeback" : "writebehind", path_of(fd),
                 [&] { return inner_.write_back(fd, offset, bytes, wait); });
  }
  int drop_cache(int fd, std::int64_t offset, std::int64_t bytes) override {
    return plain("dropcache", path_of(fd), [&] { return inner_.drop_cache(fd, offset, bytes); });
  }
  int sync(int fd) override {
    return plain("fsync", path_of(fd), [&] { return inner_.sync(fd); });
  }
  int sync_filesystem(int fd) override {
    return plain("syncfs", path_of(fd), [&] { return inner_.sync_filesystem(fd); });
  }
  int close(int fd) override {
    const int errnum = before("close", path_of(fd));
    {
      const std::lock_guard lock(mutex_);
      paths_.erase(fd);
    }
    const int real = inner_.close(fd);  // the descriptor goes whatever is said
    return errnum != 0 ? errnum : real;
  }
  int reflink(int target_fd, int source_fd) override {
    return plain("reflink", path_of(target_fd),
                 [&] { return inner_.reflink(target_fd, source_fd); });
  }
  int lock(int fd) override {
    return plain("lock", path_of(fd), [&] { return inner_.lock(fd); });
  }
  disk::Result<disk::FileStatus> status_of(int fd) override {
    return value<disk::FileStatus>("fstat", path_of(fd), [&] { return inner_.status_of(fd); });
  }
  disk::Result<std::vector<disk::Extent>> shared_extents(int fd) override {
    return value<std::vector<disk::Extent>>("extents", path_of(fd),
                                            [&] { return inner_.shared_extents(fd); });
  }
  int rename(const std::string& from, const std::string& to) override {
    return plain("rename", to, [&] { return inner_.rename(from, to); });
  }
  int exchange(const std::string& one, const std::string& other) override {
    return plain("exchange", other, [&] { return inner_.exchange(one, other); });
  }
  int link(const std::string& existing, const std::string& name) override {
    return plain("link", name, [&] { return inner_.link(existing, name); });
  }
  int symlink(const std::string& target, const std::string& name) override {
    return plain("symlink", name, [&] { return inner_.symlink(target, name); });
  }
  int unlink(const std::string& path) override {
    return plain("unlink", path, [&] { return inner_.unlink(path); });
  }
  int make_directory(const std::string& path) override {
    return plain("mkdir", path, [&] { return inner_.make_directory(path); });
  }
  int remove_directory(const std::string& path) override {
    return plain("rmdir", path, [&] { return inner_.remove_directory(path); });
  }
  disk::Result<disk::FileStatus> status(const std::string& path) override {
    return value<disk::FileStatus>("lstat", path, [&] { return inner_.status(path); });
  }
  disk::Result<disk::FileStatus> status_of_target(const std::string& path) override {
    return value<disk::FileStatus>("stat", path, [&] { return inner_.status_of_target(path); });
  }
  disk::Result<disk::Volume> volume(const std::string& path) override {
    return value<disk::Volume>("statfs", path, [&] {
      const std::lock_guard lock(mutex_);
      return has_volume_ ? disk::Result<disk::Volume>{volume_, 0} : inner_.volume(path);
    });
  }
  disk::Result<std::vector<std::string>> list(const std::string& directory) override {
    return value<std::vector<std::string>>("list", directory,
                                           [&] { return inner_.list(directory); });
  }
  disk::Result<std::string> read_link(const std::string& path) override {
    return value<std::string>("readlink", path, [&] { return inner_.read_link(path); });
  }

 private:
  struct Fault {
    int n = 0;
    int errnum = 0;
    bool sticky = false;

    [[nodiscard]] bool hits(int count) const {
      return n > 0 && (count == n || (sticky && count > n));
    }
  };

  // Records the call; the errno that it is to fail with, or 0.
  int before(const std::string& op, const std::string& path) {
    {
      const std::lock_guard lock(mutex_);
      if (dead_) return EIO;
      ++count_;
      if (death_ > 0 && count_ >= death_) {
        dead_ = true;
        return EIO;
      }
      calls_.push_back({op, path});
      if (any_.hits(count_)) return any_.errnum;
      const auto fault = by_op_.find(op);
      if (fault != by_op_.end() && fault->second.hits(++seen_[op])) return fault->second.errnum;
    }
    if (hook_) hook_({op, path});
    return 0;
  }

  template <typename Action>
  int plain(const std::string& op, const std::string& path, Action action) {
    const int errnum = before(op, path);
    return errnum != 0 ? errnum : action();
  }
  template <typename T, typename Action>
  disk::Result<T> value(const std::string& op, const std::string& path, Action action) {
    const int errnum = before(op, path);
    if (errnum != 0) return {T{}, errnum};
    return action();
  }
  template <typename Action>
  disk::Result<int> opened(const std::string& op, const std::string& path, Action action) {
    const disk::Result<int> result = value<int>(op, path, action);
    if (result.ok()) {
      const std::lock_guard lock(mutex_);
      paths_[result.value] = path;
    }
    return result;
  }
  std::string path_of(int fd) const {
    const std::lock_guard lock(mutex_);
    const auto found = paths_.find(fd);
    return found == paths_.end() ? "?" : found->second;
  }

  disk::FileSystem& inner_;
  mutable std::mutex mutex_;
  std::map<int, std::string> paths_;
  std::map<std::string, Fault> by_op_;
  std::map<std::string, int> seen_;
  std::vector<Call> calls_;
  Fault any_;
  int count_ = 0;
  int death_ = 0;
  bool dead_ = false;
  std::atomic<std::size_t> most_ = SIZE_MAX;
  disk::Volume volume_;
  bool has_volume_ = false;
  std::function<void(const Call&)> hook_;
};

}  // namespace checkroom::testing
