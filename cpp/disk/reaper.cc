#include "disk/reaper.h"

#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <list>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "disk/owner.h"

namespace checkroom::disk {
namespace {

using Clock = std::chrono::steady_clock;
using Deadline = std::optional<Clock::time_point>;

// Empty: never. Counts that the clock cannot hold are longer than any process lives.
Deadline deadline_in(std::optional<std::chrono::duration<double>> timeout) {
  constexpr std::chrono::duration<double> kForEver(1e8);
  if (!timeout || !(*timeout < kForEver)) return std::nullopt;
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(
                            std::max(*timeout, std::chrono::duration<double>(0)));
}

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

// False: something of it is still there. This is the bottom of a thread: whatever goes wrong, the
// training that it runs beside goes on.
bool try_remove(FileSystem& filesystem, const std::string& path, std::int64_t& freed) noexcept {
  try {
    const int errnum = remove_tree(filesystem, path, freed);
    if (errnum == 0) return true;
    log(LogLevel::kWarn, "disk",
        "cannot remove " + path + " (" + std::strerror(errnum) + "): kept for the next time");
  } catch (const std::exception& error) {
    log(LogLevel::kWarn, "disk", error.what());
  }
  return false;
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

// Everything that the thread touches; `mutex` guards all of it.
struct Reaper::State {
  struct Worker {
    std::thread thread;
    bool stopping = false;
  };

  explicit State(FileSystem& used) : filesystem(used) {}

  // Is there a thread that will see to the queue? Starts one where there is none.
  bool ensure_worker() {
    if (worker) return true;
    try {
      auto started = std::make_unique<Worker>();
      const SignalsBlocked blocked;
      started->thread = std::thread([this, self = started.get()] { run(*self); });
      worker = std::move(started);
      return true;
    } catch (const std::exception& error) {
      log(LogLevel::kWarn, "disk", std::string("no thread for the reaper: ") + error.what());
      return false;
    }
  }

  // Removes what is queued, until the deadline; with the lock held on entry and on return, not
  // while removing.
  void work(std::unique_lock<std::mutex>& lock, Deadline deadline) {
    while (!queue.empty() && (!deadline || Clock::now() < *deadline)) {
      std::list<std::string> taken;  // moved by its node: nothing here can fail for want of memory
      taken.splice(taken.begin(), queue, queue.begin());
      ++busy;
      lock.unlock();
      std::int64_t gain = 0;
      const bool gone = try_remove(filesystem, taken.front(), gain);
      lock.lock();
      --busy;
      freed += gain;
      if (!gone) kept.splice(kept.end(), taken);
    }
    settled.notify_all();
  }

  // What is kept, once more; false: time was up first.
  bool retry_kept(std::unique_lock<std::mutex>& lock, Deadline deadline) {
    if (kept.empty()) return true;
    if (!ensure_worker()) return work_alone(lock, deadline);
    queue.splice(queue.end(), kept);
    wake.notify_all();
    return true;
  }

  // Without a worker: what is left when time is up is kept, so that nobody waits for it.
  bool work_alone(std::unique_lock<std::mutex>& lock, Deadline deadline) {
    queue.splice(queue.end(), kept);
    work(lock, deadline);
    const bool done = queue.empty();
    kept.splice(kept.end(), queue);
    return done;
  }

  // Ends only with the queue empty: whoever queued something and saw this worker can rely on it.
  void run(const Worker& self) {
    std::unique_lock lock(mutex);
    for (;;) {
      wake.wait(lock, [&] { return self.stopping || !queue.empty(); });
      if (queue.empty()) return;
      work(lock, std::nullopt);
    }
  }

  FileSystem& filesystem;
  std::mutex mutex;
  std::condition_variable wake;
  std::condition_variable settled;
  std::unique_ptr<Worker> worker;
  std::list<std::string> queue;
  std::list<std::string> kept;
  std::int64_t freed = 0;
  int busy = 0;  // removals under way
};

Reaper::Reaper(FileSystem& filesystem)
    : owner_pid_(process_id()), state_(std::make_unique<State>(filesystem)) {}

Reaper::~Reaper() {
  if (ours()) {
    stop();
  } else {
    // In a forked child joining, or destroying a condition that the parent's thread waited on,
    // would wait for ever: the child leaves the memory alone.
    static_cast<void>(state_.release());
  }
}

bool Reaper::ours() const { return process_id() == owner_pid_; }

void Reaper::remove(std::string path) {
  if (!ours()) return;
  std::list<std::string> one;
  one.push_back(std::move(path));
  const std::lock_guard lock(state_->mutex);
  std::list<std::string>& where = state_->ensure_worker() ? state_->queue : state_->kept;
  where.splice(where.end(), one);
  state_->wake.notify_all();
}

bool Reaper::drain(std::optional<std::chrono::duration<double>> timeout) {
  if (!ours()) return true;
  const Deadline deadline = deadline_in(timeout);
  std::unique_lock lock(state_->mutex);
  if (!state_->retry_kept(lock, deadline)) return false;
  const auto settled = [this] { return state_->queue.empty() && state_->busy == 0; };
  if (deadline) return state_->settled.wait_until(lock, *deadline, settled);
  state_->settled.wait(lock, settled);
  return true;
}

bool Reaper::idle() const {
  if (!ours()) return true;
  const std::lock_guard lock(state_->mutex);
  return state_->queue.empty() && state_->kept.empty() && state_->busy == 0;
}

void Reaper::stop() {
  if (!ours()) return;
  std::unique_ptr<State::Worker> ending;
  {
    std::unique_lock lock(state_->mutex);
    if (!state_->worker) static_cast<void>(state_->work_alone(lock, std::nullopt));
    ending = std::move(state_->worker);
    if (!ending) return;
    ending->stopping = true;
    state_->wake.notify_all();
  }
  ending->thread.join();
}

Bytes Reaper::freed() const {
  if (!ours()) return Bytes(0);
  const std::lock_guard lock(state_->mutex);
  return Bytes(state_->freed);
}

}  // namespace checkroom::disk
