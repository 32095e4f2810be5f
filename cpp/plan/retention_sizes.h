// ItemSizes: the bytes of each stored id.
//
// A run's files are mostly all of one size, so it keeps one number while they are, and one for each
// id from then on. Values; one thread. Nothing here throws but std::bad_alloc.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "plan/retention_queue.h"

namespace checkroom::plan {

class ItemSizes {
 public:
  // Of an id that was set.
  [[nodiscard]] std::int64_t of(ItemId id) const { return differ_ ? each_[id] : common_; }
  void set(ItemId id, std::int64_t bytes) {
    ids_ = std::max(ids_, std::size_t{id} + 1);
    if (differ_ || bytes != common_) set_apart(id, bytes);
  }

 private:
  void set_apart(ItemId id, std::int64_t bytes) {
    if (ids_ == 1 && !differ_) {  // nothing but this id has been set
      common_ = bytes;
      return;
    }
    differ_ = true;
    if (each_.size() < ids_) each_.resize(ids_, common_);
    each_[id] = bytes;
  }

  std::size_t ids_ = 0;  // all that were set are below
  bool differ_ = false;
  std::int64_t common_ = 0;
  std::vector<std::int64_t> each_;
};

}  // namespace checkroom::plan
