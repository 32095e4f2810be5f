// BlockBuffers: the memory through which files are written, three blocks of 4 MiB.
//
// Owns an aligned mapping, on huge pages where the machine has them. One save at a time holds a
// set; the process keeps one set for the next save, because touching fresh memory costs more than
// writing it. Any thread may take and give back; a forked child never waits for its parent's.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>

namespace checkroom::disk {

inline constexpr std::size_t kBlockBytes = std::size_t{4} << 20U;
inline constexpr std::size_t kBlockCount = 3;

class BlockBuffers {
 public:
  // Throws Error with ENOMEM.
  BlockBuffers();
  ~BlockBuffers();
  BlockBuffers(const BlockBuffers&) = delete;
  BlockBuffers& operator=(const BlockBuffers&) = delete;

  [[nodiscard]] std::span<std::byte> block(std::size_t index) const {
    return blocks_.subspan(index * kBlockBytes, kBlockBytes);
  }

 private:
  std::span<std::byte> mapping_;
  std::span<std::byte> blocks_;
};

// Gives a set back to the process.
struct GiveBack {
  void operator()(BlockBuffers* buffers) const;
};
using BorrowedBuffers = std::unique_ptr<BlockBuffers, GiveBack>;

// The process's own set, or a fresh one while that is in use.
[[nodiscard]] BorrowedBuffers borrow_buffers();

}  // namespace checkroom::disk
