#include "disk/block_writer.h"

#include <algorithm>
#include <cerrno>
#include <exception>
#include <system_error>
#include <utility>

#include "base/log.h"
#include "disk/file.h"

namespace checkroom::disk {
namespace {

// What any disk takes as the unit of a direct write.
constexpr std::int64_t kUnit = 4096;
// Blocks that may be on their way to the disk behind the one that is written.
constexpr std::size_t kBehind = 2;

// The filesystem does not do it this way at all; as against: the disk failed.
bool is_unsupported(int errnum) {
  return errnum == EINVAL || errnum == EOPNOTSUPP || errnum == ENOSYS || errnum == ESPIPE ||
         errnum == ENOTTY;
}

}  // namespace

BlockWriter::BlockWriter(FileSystem& filesystem, std::string path, int fd, std::int64_t offset,
                         WriteMode best)
    : filesystem_(filesystem),
      path_(std::move(path)),
      fd_(fd),
      buffers_(borrow_buffers()),
      offset_(offset),
      mode_(best),
      written_(offset) {
  for (std::size_t i = kBlockCount; i-- > 0;) free_.push_back(i);
}

BlockWriter::~BlockWriter() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    jobs_.clear();
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::int64_t BlockWriter::written() const {
  const std::lock_guard lock(mutex_);
  return written_;
}

WriteMode BlockWriter::mode() const {
  const std::lock_guard lock(mutex_);
  return mode_;
}

// -- the caller

void BlockWriter::throw_failure(std::unique_lock<std::mutex>& lock) {
  if (!failure_) return;
  const Error failure(*failure_);
  lock.unlock();
  throw Error(failure);
}

void BlockWriter::take_block() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !free_.empty() || failure_; });
  throw_failure(lock);
  block_ = free_.back();
  free_.pop_back();
  filled_ = 0;
}

std::span<std::byte> BlockWriter::room() {
  if (!block_) take_block();
  return buffers_->block(*block_).subspan(filled_);
}

void BlockWriter::commit(std::size_t bytes) {
  filled_ += bytes;
  if (filled_ == kBlockBytes) {
    start_thread();
    hand_over();
  }
}

void BlockWriter::hand_over() {
  const Job job{*block_, filled_, offset_};
  offset_ += static_cast<std::int64_t>(filled_);
  block_.reset();
  filled_ = 0;
  if (!thread_.joinable()) {
    carry_out(job);
    std::unique_lock lock(mutex_);
    throw_failure(lock);
    return;
  }
  std::unique_lock lock(mutex_);
  throw_failure(lock);
  jobs_.push_back(job);
  lock.unlock();
  changed_.notify_all();
}

void BlockWriter::start_thread() {
  if (thread_.joinable()) return;
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error&) {
    log(LogLevel::kDebug, "disk", "no thread to write " + path_ + ": the caller does");
  }
}

void BlockWriter::flush() {
  if (block_ && filled_ == 0) {
    const std::lock_guard lock(mutex_);
    free_.push_back(*block_);
    block_.reset();
  }
  if (block_) {
    // A file of one block is not worth the ways of a large one.
    if (!thread_.joinable()) leave(WriteMode::kBuffered);
    hand_over();
  }
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return (jobs_.empty() && !busy_) || failure_; });
  throw_failure(lock);
  lock.unlock();
  try {  // the thread is idle: what is its own is the caller's now
    drop_behind(0);
    clear_direct();
  } catch (const Error& error) {
    lock.lock();
    failure_ = error;
    throw;
  }
}

// -- the thread

void BlockWriter::run() {
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !jobs_.empty() || stopping_; });
      if (jobs_.empty()) return;
      job = jobs_.front();
      jobs_.pop_front();
      busy_ = true;
    }
    carry_out(job);
    {
      const std::lock_guard lock(mutex_);
      busy_ = false;
    }
    changed_.notify_all();
  }
}

void BlockWriter::carry_out(const Job& job) {
  std::optional<Error> failure;
  try {
    bring(job);
  } catch (const Error& error) {
    failure = error;
  } catch (const std::exception& error) {
    failure = Error::system(ENOMEM, error.what(), path_);
  }
  const std::lock_guard lock(mutex_);
  free_.push_back(job.block);
  if (failure && !failure_) failure_ = failure;
  if (failure_) {
    for (const Job& dropped : jobs_) free_.push_back(dropped.block);
    jobs_.clear();
  } else {
    written_ = job.offset + static_cast<std::int64_t>(job.bytes);
  }
}

void BlockWriter::bring(const Job& job) {
  if (mode() == WriteMode::kDirect && write_direct(job)) return;
  write_through(job);
}

bool BlockWriter::write_direct(const Job& job) {
  const auto unit = static_cast<std::size_t>(kUnit);
  if (job.offset % kUnit != 0) {
    leave(WriteMode::kPaced);
    return false;
  }
  if (!is_direct_) {
    const int errnum = filesystem_.set_direct(fd_, true);
    if (errnum != 0) {
      if (!is_unsupported(errnum)) check(errnum, "set O_DIRECT on", path_);
      leave(WriteMode::kPaced);
      return false;
    }
    is_direct_ = true;
  }
  const std::size_t length = (job.bytes + unit - 1) / unit * unit;
  const std::span<std::byte> block = buffers_->block(job.block).first(length);
  std::fill(block.begin() + static_cast<std::ptrdiff_t>(job.bytes), block.end(), std::byte{0});
  std::span<const std::byte> rest = block;
  std::int64_t offset = job.offset;
  while (!rest.empty()) {
    const Result<std::size_t> written = filesystem_.write(fd_, rest, offset);
    const bool uneven = written.ok() && written.value % unit != 0;
    if (is_unsupported(written.errnum) || uneven) {
      // This one does not do it after all. What was written is written again: the same bytes.
      leave(WriteMode::kPaced);
      return false;
    }
    check(written.errnum, "write", path_);
    if (written.value == 0) throw Error::system(EIO, "write", path_);
    rest = rest.subspan(written.value);
    offset += static_cast<std::int64_t>(written.value);
  }
  if (length != job.bytes) padded_ = true;
  return true;
}

void BlockWriter::write_through(const Job& job) {
  clear_direct();
  write_all(buffers_->block(job.block).first(job.bytes), job.offset);
  if (mode() == WriteMode::kPaced) pace({job.offset, static_cast<std::int64_t>(job.bytes)});
}

void BlockWriter::write_all(std::span<const std::byte> bytes, std::int64_t offset) {
  while (!bytes.empty()) {
    const Result<std::size_t> written = filesystem_.write(fd_, bytes, offset);
    check(written.errnum, "write", path_);
    // Nothing written and no reason given: asking again could go on for ever.
    if (written.value == 0) throw Error::system(EIO, "write", path_);
    bytes = bytes.subspan(written.value);
    offset += static_cast<std::int64_t>(written.value);
  }
}

void BlockWriter::pace(const Range& range) {
  const int errnum = filesystem_.write_back(fd_, range.offset, range.bytes, false);
  if (is_unsupported(errnum)) {
    leave(WriteMode::kBuffered);
    return;
  }
  check(errnum, "write back", path_);
  behind_.push_back(range);
  drop_behind(kBehind);
}

void BlockWriter::drop_behind(std::size_t left) {
  while (behind_.size() > left) {
    const Range range = behind_.front();
    behind_.pop_front();
    // An error of the disk is told here and not again by fsync: it must not be lost.
    check(filesystem_.write_back(fd_, range.offset, range.bytes, true), "write back", path_);
    // Advice: where it is not taken, the pages stay.
    static_cast<void>(filesystem_.drop_cache(fd_, range.offset, range.bytes));
  }
}

void BlockWriter::clear_direct() {
  if (!is_direct_) return;
  check(filesystem_.set_direct(fd_, false), "clear O_DIRECT of", path_);
  is_direct_ = false;
}

void BlockWriter::leave(WriteMode mode) {
  const std::lock_guard lock(mutex_);
  mode_ = std::max(mode_, mode);
}

}  // namespace checkroom::disk
