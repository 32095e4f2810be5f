#include "disk/block_buffers.h"

#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "base/error.h"

namespace checkroom::disk {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20U;
constexpr std::size_t kBytes = kBlockBytes * kBlockCount;

// An exchange instead of a lock: a child that was forked while somebody held one would wait for
// ever.
std::atomic<BlockBuffers*>& kept() {
  static std::atomic<BlockBuffers*> buffers{nullptr};
  return buffers;
}

}  // namespace

BlockBuffers::BlockBuffers() {
  constexpr std::size_t kLength = kBytes + kHugePage;
  void* const start =
      ::mmap(nullptr, kLength, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) throw Error::system(errno, "map memory for", "the blocks of a save");
  mapping_ = {static_cast<std::byte*>(start), kLength};
  const std::size_t past = reinterpret_cast<std::uintptr_t>(start) % kHugePage;
  blocks_ = mapping_.subspan(past == 0 ? 0 : kHugePage - past, kBytes);
  // Refused where the machine has none: then these are small pages.
  static_cast<void>(::madvise(blocks_.data(), blocks_.size(), MADV_HUGEPAGE));
}

BlockBuffers::~BlockBuffers() { static_cast<void>(::munmap(mapping_.data(), mapping_.size())); }

void GiveBack::operator()(BlockBuffers* buffers) const {
  const std::unique_ptr<BlockBuffers> one_too_many(kept().exchange(buffers));
}

BorrowedBuffers borrow_buffers() {
  if (BlockBuffers* const mine = kept().exchange(nullptr)) return BorrowedBuffers(mine);
  return BorrowedBuffers(std::make_unique<BlockBuffers>().release());
}

}  // namespace checkroom::disk
