// KeptLog: which opportunities' files are kept after any of them, in a run that was played.
//
// A played run gives the engine slots as ids and uses those again that leave. The log holds what
// left, in the order of leaving; who had a slot is found by handing the slots out again in the same
// order. So playing a run writes one small number for each file that leaves, and nothing elsewhere
// in memory. Values; any thread may read. Nothing here throws but std::bad_alloc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "plan/retention_core.h"

namespace checkroom::plan {

// Ids that are not in use, the one that came back last first.
class SlotPool {
 public:
  [[nodiscard]] ItemId next() const { return free_.empty() ? used_ : free_.back(); }
  void take() {
    if (free_.empty()) {
      ++used_;
    } else {
      free_.pop_back();
    }
  }
  void give_back(ItemId slot) { free_.push_back(slot); }

 private:
  std::vector<ItemId> free_;
  ItemId used_ = 0;
};

class KeptLog {
 public:
  void reserve(std::size_t saves) { entries_.reserve(saves); }
  // One more save, and what leaves for it.
  void add(const std::vector<Leave>& leaves) {
    if (!leaves.empty()) {
      for (const Leave& leave : leaves) entries_.push_back(leave.id << 2 | kOneLeft);
      entries_.back() |= kLastOfSave;
    } else if (entries_.empty() || (entries_.back() & kOneLeft) != 0) {
      entries_.push_back(kOneQuietSave);
    } else {
      entries_.back() += kOneQuietSave;
    }
  }

  // Goes through the log again, save by save.
  class Reader {
   public:
    explicit Reader(const KeptLog& log) : log_(log) {}
    // The next save is that of this opportunity.
    void save(std::int64_t opportunity);
    // Whose files are kept, in their order.
    [[nodiscard]] std::vector<std::int64_t> kept() const;

   private:
    static constexpr std::int64_t kNobody = -1;
    const KeptLog& log_;
    std::size_t at_ = 0;       // in the entries
    std::uint32_t quiet_ = 0;  // saves of the entry there that were read
    SlotPool slots_;
    std::vector<std::int64_t> holders_;  // by slot
  };

 private:
  // An entry is a slot that was left, with two marks, or a number of saves for which none left.
  static constexpr std::uint32_t kOneLeft = 1, kLastOfSave = 2, kOneQuietSave = 4;
  std::vector<std::uint32_t> entries_;
};

}  // namespace checkroom::plan
