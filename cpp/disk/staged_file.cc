#include "disk/staged_file.h"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>
#include <vector>

#include "base/log.h"
#include "disk/free_space.h"
#include "disk/owner.h"
#include "disk/publish.h"

namespace checkroom::disk {
namespace {

// The filesystem cannot do it at all; as against: it could, but not this time.
bool is_unsupported(int errnum) {
  return errnum == EOPNOTSUPP || errnum == ENOSYS || errnum == EINVAL || errnum == ENOTTY ||
         errnum == EXDEV;
}

// Bytes available beside `path`, or 0 where that cannot be told: only ever said, never acted on.
std::int64_t available_at(FileSystem& filesystem, const std::string& path) {
  try {
    return free_space(filesystem, path).available.value_or(Bytes(0)).count();
  } catch (const Error&) {
    return 0;
  }
}

}  // namespace

// Runs an action; what it throws abandons the file.
template <typename Action>
auto StagedFile::writing(Action action) {
  try {
    return action();
  } catch (const Error& error) {
    const std::int64_t end = std::max(expected_, size_);
    if (error.code() == ErrorCode::kNoSpace) fail_for_space(error, end - on_disk());
    fail(error);
  }
}

StagedFile::StagedFile(FileSystem& filesystem, const std::string& staging, const std::string& name)
    : filesystem_(filesystem),
      path_(staging + "/" + owned_name(name, current_owner(), kStagedSuffix)),
      owner_pid_(process_id()),
      file_(File::create(filesystem, path_)) {
  // Whoever finds the file later may take the lock only when no process has it open any more.
  const int errnum = filesystem_.lock(file_->descriptor());
  if (errnum != 0) log(LogLevel::kDebug, "disk", "no lock on " + path_ + ": its pid has to do");
}

StagedFile::~StagedFile() { abandon(); }

bool StagedFile::ours() const { return process_id() == owner_pid_; }

void StagedFile::expect_usable() const {
  if (failure_) throw Error(*failure_);
  if (!file_) throw Error::invalid("the staged file '" + path_ + "' is already closed");
  if (!ours()) throw Error::invalid("the staged file '" + path_ + "' belongs to another process");
}

void StagedFile::fail(const Error& error) {
  failure_ = error;
  abandon();
  throw Error(error);
}

void StagedFile::fail_for_space(const Error& error, std::int64_t need) {
  // Of a quota the filesystem's own figures say nothing.
  if (error.errnum() == EDQUOT) fail(error);
  const std::int64_t have = available_at(filesystem_, path_);
  fail(Error::no_space(error.errnum(), path_, need, have, error.limit()));
}

void StagedFile::reserve(Bytes bytes) {
  expect_usable();
  if (bytes < Bytes(0)) {
    throw Error::invalid("cannot reserve " + std::to_string(bytes.count()) + " bytes");
  }
  expected_ = std::max(expected_, bytes.count());
  if (bytes.count() <= std::max(reserved_, size_)) return;
  writing([&] {
    flush();
    try_reserve(bytes.count());
  });
}

std::int64_t StagedFile::on_disk() const { return writer_ ? writer_->written() : size_; }

void StagedFile::flush() {
  if (!writer_) return;
  writer_->flush();
  padded_ = padded_ || writer_->padded();
}

void StagedFile::try_reserve(std::int64_t bytes) {
  // Where statvfs says that there is room and the allocator says that there is none, the allocator
  // may be wrong (xfs, while it still cleans up): it is asked twice, then the write itself decides.
  constexpr int kAttempts = 2;
  for (int attempt = 1; attempt <= kAttempts; ++attempt) {
    const int errnum = filesystem_.reserve(file_->descriptor(), bytes);
    if (errnum == 0) {
      reserved_ = bytes;
      return;
    }
    // A reservation that failed half-way keeps what it got, on ext4 the whole disk: undo it.
    file_->truncate(size_);
    reserved_ = 0;
    if (is_unsupported(errnum)) return;
    const bool room = errnum == ENOSPC && available_at(filesystem_, path_) >= bytes - size_;
    if (!room) check(errnum, "reserve", path_);
  }
}

std::span<std::byte> StagedFile::room() {
  expect_usable();
  sealed_ = synced_ = false;
  return writing([&] {
    if (!writer_) {
      const WriteMode best = seeked_ ? WriteMode::kPaced : WriteMode::kDirect;
      writer_ =
          std::make_unique<BlockWriter>(filesystem_, path_, file_->descriptor(), position_, best);
    }
    return writer_->room();
  });
}

void StagedFile::commit(std::size_t bytes) {
  expect_usable();
  const auto count = static_cast<std::int64_t>(bytes);
  if (count > std::numeric_limits<std::int64_t>::max() - position_) {
    throw Error::overflow("the file would be longer than 64 bits can say");
  }
  position_ += count;
  size_ = std::max(size_, position_);
  writing([&] { writer_->commit(bytes); });
}

void StagedFile::seek(std::int64_t position) {
  expect_usable();
  if (position < 0) {
    throw Error::invalid("cannot seek to " + std::to_string(position) + ": before the start");
  }
  if (position == position_) return;
  writing([&] { flush(); });
  writer_.reset();
  seeked_ = true;
  position_ = position;
}

bool StagedFile::share(const std::string& source) {
  expect_usable();
  try {
    return share_with(source);
  } catch (const Error& error) {
    fail(error);
  }
}

bool StagedFile::share_with(const std::string& source) {
  File from = File::open_read(filesystem_, source);
  const int errnum = filesystem_.reflink(file_->descriptor(), from.descriptor());
  if (is_unsupported(errnum)) return false;
  check(errnum, "share the blocks of '" + source + "'", path_);
  const Result<FileStatus> status = filesystem_.status(path_);
  check(status.errnum, "stat", path_);
  size_ = position_ = status.value.size;
  from.close();
  return true;
}

void StagedFile::copy(const std::string& source) {
  expect_usable();
  try {
    copy_from(source);
  } catch (const Error& error) {
    fail(error);
  }
}

void StagedFile::copy_from(const std::string& source) {
  File from = File::open_read(filesystem_, source);
  const Result<FileStatus> status = filesystem_.status(source);
  check(status.errnum, "stat", source);
  reserve(Bytes(status.value.size));
  seek(0);
  for (;;) {
    const std::size_t got = from.read(room(), position_);
    if (got == 0) break;
    commit(got);
  }
  flush();
  from.close();
}

Published StagedFile::publish(const Destination& destination) {
  expect_usable();
  return writing([&] { return do_publish(destination); });
}

void StagedFile::seal(bool durable) {
  expect_usable();
  writing([&] { do_seal(durable); });
}

void StagedFile::do_seal(bool durable) {
  if (!sealed_) {
    flush();
    writer_.reset();
    // Blocks reserved beyond the end stay taken until the file is cut, even to the size it has.
    if (reserved_ > size_ || padded_) file_->truncate(size_);
    sealed_ = true;
  }
  if (!durable || synced_) return;
  file_->sync();
  synced_ = true;
}

void StagedFile::keep_as(const std::string& path) {
  expect_usable();
  writing([&] {
    do_seal(false);
    file_->close();
    check(filesystem_.rename(path_, path), "rename to '" + path + "'", path_);
    file_.reset();
  });
}

Published StagedFile::do_publish(const Destination& destination) {
  do_seal(destination.durable);
  file_->close();
  Published published;
  published.bytes = Bytes(size_);
  published.displaced = take_name(filesystem_, path_, destination);
  file_.reset();
  return published;
}

void StagedFile::abandon() noexcept {
  try {
    if (!file_) return;
    if (!ours()) {
      // Its thread is in the parent, and nobody here can wait for it.
      static_cast<void>(writer_.release());
      file_.reset();  // only this process's descriptor: the file is the parent's
      return;
    }
    writer_.reset();  // waits for the write that is under way
    if (!failure_) failure_ = Error::invalid("the staged file '" + path_ + "' was abandoned");
    // Its blocks wait neither for a child that inherited the descriptor nor for an unlink that
    // fails. Once it is closed, its inode may bear the final name already: that one is left alone.
    if (file_->is_open()) static_cast<void>(filesystem_.truncate(file_->descriptor(), 0));
    file_.reset();
    const int errnum = filesystem_.unlink(path_);
    if (errnum != 0 && errnum != ENOENT) {
      log(LogLevel::kWarn, "disk",
          "cannot remove the staged file " + path_ + " (errno " + std::to_string(errnum) +
              "): the next start will");
    }
  } catch (const std::exception& error) {
    log(LogLevel::kError, "disk", std::string("abandoning a staged file: ") + error.what());
  }
}

}  // namespace checkroom::disk
