// StagedHandle: a staged file as Python holds it.
//
// Owns the file. Python threads may meet here while the GIL is released, so a mutex makes "one
// thread at a time" true; it is never taken with the GIL held.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "disk/staged_file.h"

namespace checkroom::bindings {

class StagedHandle {
 public:
  explicit StagedHandle(std::unique_ptr<disk::StagedFile> file) : file_(std::move(file)) {}

  // Fixed from the start, so that it needs no turn.
  [[nodiscard]] const std::string& path() const { return file_->path(); }
  // Runs `action` on the file, alone. Call it with the GIL released.
  template <typename Action>
  auto with(Action action) {
    const std::lock_guard lock(mutex_);
    return action(*file_);
  }

 private:
  std::mutex mutex_;
  std::unique_ptr<disk::StagedFile> file_;
};

}  // namespace checkroom::bindings
