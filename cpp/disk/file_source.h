// FileSource: a file that is read back from the disk itself, past the page cache where the
// filesystem can; where it cannot, what was read is dropped from it.
//
// Owns the descriptor and the memory of one window. One thread at a time. Failures throw Error;
// what is no regular file is refused, so that nobody waits at a pipe for ever.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/source.h"
#include "disk/block_buffers.h"
#include "disk/file.h"
#include "disk/filesystem.h"

namespace checkroom::disk {

enum class ReadMode {
  kWhole,  // all of it, in blocks of 4 MiB
  kLook,   // a little here and there: 4 kB at a time
};

class FileSource final : public Source {
 public:
  FileSource(FileSystem& filesystem, const std::string& path, ReadMode mode);
  ~FileSource() override = default;

  [[nodiscard]] std::int64_t size() const override { return size_; }
  [[nodiscard]] std::span<const std::byte> view(std::int64_t offset) override;

 private:
  std::span<std::byte> look_window();
  void fill(std::int64_t offset);

  FileSystem& filesystem_;
  File file_;
  std::int64_t size_ = 0;
  BorrowedBuffers buffers_;      // where all of it is read
  std::vector<std::byte> look_;  // where it is only looked at
  std::span<std::byte> window_;
  bool direct_ = false;
  bool drops_ = false;  // drops from the page cache what it has read
  std::int64_t start_ = 0;
  std::size_t filled_ = 0;
};

}  // namespace checkroom::disk
