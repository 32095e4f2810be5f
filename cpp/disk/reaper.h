// Reaper: gives the blocks of what lies in the trash back, in the background.
//
// Owns the queue of paths and one thread, which starts with the first of them and lives until
// stop(). Any thread may call any method, and none waits for a removal that it did not ask to wait
// for. A removal that fails is logged and kept for the next drain(); nothing here throws for it.
// Where no thread can be started, drain() and stop() remove in the caller's. In a forked child,
// where the thread does not exist and the mutex may be held for ever, every method does nothing:
// the trash is the parent's business.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "disk/filesystem.h"

namespace checkroom::disk {

class Reaper {
 public:
  explicit Reaper(FileSystem& filesystem);
  ~Reaper();
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;

  // `path` lies in a trash and is nobody's any more: a file, a link, or a directory with all that
  // is in it (links in it are removed, not followed).
  void remove(std::string path);
  // Waits until nothing is queued or under way, for `timeout` at most (empty: as long as it takes).
  // What failed before is tried once more. False: time is up.
  bool drain(std::optional<std::chrono::duration<double>> timeout = std::nullopt);
  // Nothing queued, nothing under way, nothing kept after a failure.
  [[nodiscard]] bool idle() const;
  // Finishes the queue and ends the thread. A later remove() starts another; so does one that comes
  // meanwhile.
  void stop();

  // Bytes given back so far, measured: the blocks of each file whose last name went, less those
  // that it shared with other files. A file that somebody still has open or mapped is counted too
  // early: its blocks come back when it is closed. On xfs a removed file's shared blocks look
  // shared for a moment longer: the last sharer, removed right after it, is counted too low.
  [[nodiscard]] Bytes freed() const;

 private:
  struct State;

  [[nodiscard]] bool ours() const;

  std::int64_t owner_pid_;
  std::unique_ptr<State> state_;
};

// Bytes that removing this name would give back: 0 while another name of the file exists.
std::int64_t bytes_of_removal(FileSystem& filesystem, const std::string& path,
                              const FileStatus& status);

}  // namespace checkroom::disk
