// BlockWriter: the engine that brings a file's bytes to the disk, in blocks, by a thread of its
// own.
//
// The caller fills a block while the one before is written: past the page cache (O_DIRECT), where
// the filesystem takes that; else through it, started early and dropped behind; else plainly. Which
// one is found by trying, and whichever it is, the bytes are the same. A file that fits into one
// block is written by the caller, plainly.
//
// It borrows the descriptor and three blocks of memory, and owns the thread. One thread at a time
// calls it. room(), commit() and flush() throw the first Error of the disk, whenever it happened;
// after that nothing more is written. The destructor waits for the write that is under way and
// drops what was not written.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/sink.h"
#include "disk/block_buffers.h"
#include "disk/filesystem.h"

namespace checkroom::disk {

enum class WriteMode {
  kDirect,    // past the page cache
  kPaced,     // through it; written back while the next blocks are filled, dropped behind
  kBuffered,  // through it; the kernel decides when
};

class BlockWriter final : public Sink {
 public:
  // From `offset` on; `best`: what is tried first.
  BlockWriter(FileSystem& filesystem, std::string path, int fd, std::int64_t offset,
              WriteMode best = WriteMode::kDirect);
  ~BlockWriter() override;

  [[nodiscard]] std::span<std::byte> room() override;
  void commit(std::size_t bytes) override;
  // All that was committed is in the file, which may be longer than it should: where the last block
  // was padded, the caller cuts it to its size. The descriptor is again as it was before.
  void flush();

  // Bytes of the file up to which all was written.
  [[nodiscard]] std::int64_t written() const;
  [[nodiscard]] bool padded() const { return padded_; }
  [[nodiscard]] WriteMode mode() const;

 private:
  struct Job {
    std::size_t block = 0;
    std::size_t bytes = 0;
    std::int64_t offset = 0;
  };
  struct Range {
    std::int64_t offset = 0;
    std::int64_t bytes = 0;
  };

  void take_block();
  void hand_over();
  void start_thread();
  void run();
  void carry_out(const Job& job);
  // The steps of a job; the mode falls back in them.
  void bring(const Job& job);
  bool write_direct(const Job& job);
  void write_through(const Job& job);
  void pace(const Range& range);
  void drop_behind(std::size_t left);
  void clear_direct();
  void write_all(std::span<const std::byte> bytes, std::int64_t offset);
  void leave(WriteMode mode);
  void throw_failure(std::unique_lock<std::mutex>& lock);

  FileSystem& filesystem_;
  std::string path_;
  int fd_;
  BorrowedBuffers buffers_;

  // The caller's.
  std::optional<std::size_t> block_;  // that is being filled
  std::size_t filled_ = 0;
  std::int64_t offset_;  // of the first byte of that block
  bool padded_ = false;  // set while the caller waits

  // The writing thread's, or the caller's where there is none.
  std::deque<Range> behind_;  // on their way to the disk

  mutable std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  std::vector<std::size_t> free_;
  std::deque<Job> jobs_;
  bool busy_ = false;
  bool stopping_ = false;
  WriteMode mode_;
  bool is_direct_ = false;  // what the descriptor is set to
  std::int64_t written_;
  std::optional<Error> failure_;
  std::thread thread_;
};

}  // namespace checkroom::disk
