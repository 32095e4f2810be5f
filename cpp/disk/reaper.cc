#include "disk/reaper.h"

#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "disk/owner.h"

namespace checkroom::disk {
namespace {

// Removes everything below and including `path`; adds what that frees. The first errno, or 0: what
// can be removed is removed.
int remove_tree(FileSystem& filesystem, const std::string& path, std::int64_t& freed) {
  const Result<FileStatus> status = filesystem.status(path);
  if (status.errnum == ENOENT) return 0;
  if (!status.ok()) return status.errnum;
  if (status.value.type != FileType::kDirectory) {
    const std::int64_t gain = bytes_of_removal(filesystem, path, status.value);
    const int errnum = filesystem.unlink(path);
    if (errnum == ENOENT) return 0;  // another reaper of the same directory was faster
    if (errnum == 0) freed += gain;
    return errnum;
  }
  const Result<std::vector<std::string>> names = filesystem.list(path);
  int first = names.errnum;
  for (const std::string& name : names.value) {
    const int errnum = remove_tree(filesystem, path + "/" + name, freed);
    if (first == 0) first = errnum;
  }
  const int errnum = filesystem.remove_directory(path);
  if (first == 0 && errnum != ENOENT) first = errnum;
  return first;
}

// Signals belong to the threads of the program that loaded us.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &former_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &former_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t former_ = {};
};

}  // namespace

std::int64_t bytes_of_removal(FileSystem& filesystem, const std::string& path,
                              const FileStatus& status) {
  if (status.type != FileType::kRegular || status.links != 1) return 0;
  if (status.allocated == 0) return 0;
  const Result<int> opened = filesystem.open_read(path);
  if (!opened.ok()) return status.allocated;
  const Result<std::vector<Extent>> shared = filesystem.shared_extents(opened.value);
  static_cast<void>(filesystem.close(opened.value));
  std::int64_t own = status.allocated;
  for (const Extent& extent : shared.value) own -= static_cast<std::int64_t>(extent.length);
  return std::max<std::int64_t>(own, 0);
}

// Everything that the thread touches. `mutex` guards what it shares with the callers; `control`,
// taken first, guards `thread` itself and keeps remove(), drain() and stop() apart.
struct Reaper::State {
  explicit State(FileSystem& used) : filesystem(used) {}

  // Removes what is queued; with the lock held on entry and on return, not while removing.
  void work(std::unique_lock<std::mutex>& lock) {
    while (!queue.empty()) {
      std::string path = std::move(queue.front());
      queue.pop_front();
      busy = true;
      lock.unlock();
      std::int64_t gain = 0;
      const int errnum = remove_tree(filesystem, path, gain);
      if (errnum != 0) {
        log(LogLevel::kWarn, "disk",
            "cannot remove " + path + " (" + std::strerror(errnum) + "): kept for the next time");
      }
      lock.lock();
      busy = false;
      freed += gain;
      if (errnum != 0) kept.push_back(std::move(path));
    }
    if (!busy) settled.notify_all();
  }

  void run() {
    std::unique_lock lock(mutex);
    for (;;) {
      wake.wait(lock, [this] { return stopping || !queue.empty(); });
      if (queue.empty()) return;
      work(lock);
    }
  }

  FileSystem& filesystem;
  std::mutex control;
  std::thread thread;
  std::mutex mutex;
  std::condition_variable wake;
  std::condition_variable settled;
  std::deque<std::string> queue;
  std::vector<std::string> kept;
  std::int64_t freed = 0;
  bool busy = false;
  bool stopping = false;
};

Reaper::Reaper(FileSystem& filesystem)
    : filesystem_(filesystem),
      owner_pid_(process_id()),
      state_(std::make_unique<State>(filesystem)) {}

Reaper::~Reaper() {
  if (ours()) {
    stop();
  } else {
    // In a forked child joining, or destroying a condition that the parent's thread waited on,
    // would wait for ever: the child leaves the memory alone.
    static_cast<void>(state_.release());  // NOLINT(bugprone-unused-return-value)
  }
}

bool Reaper::ours() const { return process_id() == owner_pid_; }

void Reaper::remove(std::string path) {
  if (!ours()) return;
  const std::lock_guard control(state_->control);
  {
    const std::lock_guard lock(state_->mutex);
    state_->queue.push_back(std::move(path));
    state_->wake.notify_one();
  }
  if (state_->thread.joinable()) return;
  try {
    const SignalsBlocked blocked;
    state_->thread = std::thread([state = state_.get()] { state->run(); });
  } catch (const std::system_error& error) {
    log(LogLevel::kWarn, "disk", std::string("no thread for the reaper: ") + error.what());
  }
}

bool Reaper::drain(std::optional<std::chrono::duration<double>> timeout) {
  if (!ours()) return true;
  const auto settled = [this] { return state_->queue.empty() && !state_->busy; };
  const std::lock_guard control(state_->control);
  std::unique_lock lock(state_->mutex);
  for (std::string& path : state_->kept) state_->queue.push_back(std::move(path));
  state_->kept.clear();
  if (!state_->thread.joinable()) state_->work(lock);  // it could not be started
  state_->wake.notify_one();
  if (timeout) return state_->settled.wait_for(lock, *timeout, settled);
  state_->settled.wait(lock, settled);
  return true;
}

bool Reaper::idle() const {
  if (!ours()) return true;
  const std::lock_guard lock(state_->mutex);
  return state_->queue.empty() && state_->kept.empty() && !state_->busy;
}

void Reaper::stop() {
  if (!ours()) return;
  const std::lock_guard control(state_->control);
  if (!state_->thread.joinable()) return;
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
    state_->wake.notify_one();
  }
  state_->thread.join();
  const std::lock_guard lock(state_->mutex);
  state_->stopping = false;
}

Bytes Reaper::freed() const {
  if (!ours()) return Bytes(0);
  const std::lock_guard lock(state_->mutex);
  return Bytes(state_->freed);
}

}  // namespace checkroom::disk
