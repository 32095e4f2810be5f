// EngineCore: the incremental retention engine on integers and doubles. A published candidate goes
// in, the ids that leave come out. The guard, the plan of an inventory and the forecast of a run
// all drive this one class.
//
// It owns the state of the rules for the ids that are stored, no names and no text. One engine a
// thread; a copy is an independent engine. The constructor throws Error(kInvalidArgument) for a
// policy that check_policy() refuses; sums of bytes that leave 64 bits throw Error(kOverflow); the
// rest throws nothing but std::bad_alloc.
//
// An id is the caller's: a small integer (an array as long as the largest one is kept). Publishing
// an id that is stored replaces it: the same name was written again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "plan/retention.h"
#include "plan/retention_rules.h"
#include "plan/retention_sizes.h"

namespace checkroom::plan {

// One checkpoint that is about to be saved, or has been.
struct Candidate {
  ItemId id = 0;
  bool pinned = false;
  std::int64_t own_bytes = 0;
  std::int64_t epoch = 0;
  std::int64_t step = 0;
  double saved_at = 0;             // seconds
  const double* scores = nullptr;  // one for each of EngineCore::metrics(), in that order
  std::uint64_t has_score = 0;     // bit i: scores[i] was recorded
};

// Why something is kept, is wanted, or goes. Numbers only; reason_text() makes it a sentence.
enum class ReasonKind : std::uint8_t {
  // kept, or wanted
  kBest,      // rank 1 of `rule`
  kTopK,      // in the best k of `rule`; rank
  kUnscored,  // no score for the metric of `rule`
  kAll,       // save_top_k=-1 without a monitor
  kLastN,     // of KeepLast `rule`
  kEvery,     // of KeepEvery `rule`
  kNewest,
  kLast,  // `last` points at it
  kResumedFrom,
  kPinned,
  // goes, or is not wanted
  kNotInTopK,    // of `rule`; other: the kth (kNoItem: a slot is free)
  kReplaced,     // a newer one took its place (no monitor)
  kOlder,        // than KeepLast `rule` keeps
  kNotDue,       // by KeepEvery `rule`
  kOverBudget,   // rank of `rule` (rank 0: held by no top k)
  kNoRoom,       // wanted by `rule`, but the budget has room for `rank` better ones
  kNothingKept,  // save_top_k=0 and no other rule
};

struct Reason {
  ReasonKind kind = ReasonKind::kNewest;
  std::uint8_t rule = 0;   // 0: the top k; i: keep[i - 1]
  std::uint32_t rank = 0;  // from 1
  ItemId other = kNoItem;  // kNotInTopK: the kth
};

struct Decision {
  bool wanted = false;
  Reason reason;  // the first for which it is wanted (without its rank), or why it is not
};

struct Leave {
  ItemId id = kNoItem;
  Reason reason;
};

// Why each stored item is kept. An item without reasons has lost its last hold and leaves next.
struct Explanation {
  struct Kept {
    ItemId id = kNoItem;
    std::size_t begin = 0;  // into `reasons`
    std::size_t end = 0;
  };
  std::vector<Kept> kept;  // in the order of saving
  std::vector<Reason> reasons;
};

class EngineCore {
 public:
  explicit EngineCore(const RetentionPolicy& policy);

  // The metrics that the rules look at: the top k's first, then each KeepBest's.
  [[nodiscard]] const std::vector<std::string>& metrics() const { return metrics_; }
  // Makes room for ids below `ids`.
  void reserve(std::size_t ids);

  // Would it stay if it were published now, and the next one after it? Changes nothing that can be
  // seen (it may sort).
  Decision decide(const Candidate& candidate);
  // The whole of why: every reason for which it is wanted, with ranks, or the one why not.
  bool decide(const Candidate& candidate, std::vector<Reason>& reasons);
  // It is stored now. Appends what leaves to `out`, in the order of leaving; never the candidate
  // itself: the newest published item stays until the next one.
  void publish(const Candidate& candidate, std::vector<Leave>& out);
  // publish(), where decide() says that it is wanted. Is it?
  bool offer(const Candidate& candidate, std::vector<Leave>& out);
  // What publish() does at its end: lets go of what lost its last hold by set_last() or
  // set_resumed_from(), and of what exceeds the budget.
  void settle(std::vector<Leave>& out);
  // It vanished. Unknown ids are ignored.
  void forget(ItemId id);
  void set_last(ItemId id);          // kNoItem: none; it need not be stored yet
  void set_resumed_from(ItemId id);  // likewise
  void set_budget(std::optional<Bytes> budget);

  [[nodiscard]] bool stores(ItemId id) const {
    return id < records_.size() && records_[id].order != 0;
  }
  [[nodiscard]] std::size_t size() const { return size_; }         // items stored
  [[nodiscard]] Bytes own_bytes() const { return Bytes(bytes_); }  // of all of them
  [[nodiscard]] Bytes over_budget() const;  // by how much what is stored exceeds it; 0: it holds
  [[nodiscard]] ItemId best() const;        // of the top k; without a monitor the newest
  [[nodiscard]] ItemId newest() const { return tail_; }
  // The ids stored, in the order of saving.
  void stored(std::vector<ItemId>& out) const;
  // The ids in the top k, in the order in which they entered it (Lightning's best_k_models).
  void top_k(std::vector<ItemId>& out) const;
  void explain(Explanation& out) const;

 private:
  using Holds = std::uint32_t;  // why an item stays: a bit each
  static constexpr Holds kHeldAsNewest = 1, kHeldAsLast = 2, kHeldAsResumed = 4, kHeldAsPinned = 8,
                         kHeldByAll = 16, kHeldByLastN = 32;
  static constexpr Holds kProtected = kHeldAsNewest | kHeldAsLast | kHeldAsResumed | kHeldAsPinned;
  static constexpr int kFirstRuleBit = 6;

  struct Record {  // small: a large top k evicts at random places
    Holds holds = 0;
    std::uint32_t order = 0;  // of publishing, from 1; 0: not stored
  };
  struct Published {
    std::uint32_t order;
    ItemId id;
  };
  struct Metric {  // a top k or KeepBest with a monitor
    BestRule best;
    std::uint8_t index = 0;  // in best_
    std::uint8_t rule = 0;
    Holds scored = 0;  // its two bits
    Holds unscored = 0;
  };
  struct Release {
    ItemId id = kNoItem;
    const Metric* metric = nullptr;  // whose top k it left
    bool by_last_n = false;
  };
  struct Interval {  // a KeepEvery
    EveryRule every;
    std::uint8_t rule = 0;
    Holds bit = 0;
  };
  struct Victim {
    ItemId id = kNoItem;
    std::uint8_t rule = 0;
    std::uint32_t rank = 0;  // 0: held by no metric
    double key = 0;
  };
  // What a candidate would change, as no_room() supposes it.
  struct Supposed {
    bool tail_is_newest = true;
    std::vector<ItemId> gone;       // leaves
    std::vector<ItemId> displaced;  // by metric: the kth that it would evict; empty: none anywhere
  };

  [[nodiscard]] static bool has_score(const Candidate& candidate, const Metric& metric) {
    return (candidate.has_score >> metric.index & 1) != 0;
  }
  [[nodiscard]] static double key(const Candidate& candidate, const Metric& metric) {
    return metric.best.key(candidate.scores[metric.index]);
  }
  // Calls visit(kind, rule) for every reason for which it is wanted, until it says true.
  [[nodiscard]] [[gnu::always_inline]] bool judge(const Candidate& candidate, Reason& reason);
  template <typename Visit>
  [[gnu::always_inline]] void visit_wants(const Candidate& candidate, Visit visit) const;
  [[nodiscard]] bool beyond_budget(const Candidate& candidate) const;
  // Why the budget has no room for a candidate that is wanted for `reason`; empty: it has.
  [[nodiscard]] std::optional<Reason> no_room(const Candidate& candidate, const Reason& reason);
  [[nodiscard]] Bytes suppose(const Candidate& candidate, bool& frees_unranked);
  [[nodiscard]] bool is_gone(ItemId id) const;
  [[nodiscard]] bool is_protected(ItemId id) const;
  [[nodiscard]] Victim find_victim();
  [[nodiscard]] ItemId oldest_unranked();
  [[nodiscard]] Victim worst_of_one();
  [[nodiscard]] Victim worst_of_many();
  [[gnu::always_inline]] void put_in(const Candidate& candidate, std::vector<Leave>& out);
  [[gnu::always_inline]] void judge(Metric& metric, const Candidate& candidate, Holds before);
  bool drop(ItemId id, Holds bit);
  // Why an item goes that no rule ever held, and one that has left a top k.
  void explain_unheld(Reason& reason) const;
  void explain_left(const Metric& metric, Reason& reason) const;
  void note_unranked(ItemId id);
  void list_unranked();
  // Is this the last publication of what is still stored?
  [[nodiscard]] bool is_current(const Published& entry) const {
    return records_[entry.id].order == entry.order;
  }
  void hold_as_last_n(ItemId id);
  void remove(ItemId id);
  void leave_rules(ItemId id, Holds holds);
  void set_standing(ItemId& place, ItemId id, Holds bit);

  std::vector<std::string> metrics_;
  std::vector<Metric> best_;  // metrics_[i] is that of best_[i]
  std::vector<Interval> every_;
  std::int64_t top_k_ = 1;
  bool monitored_ = false;
  std::size_t last_n_ = 0;  // 0: no KeepLast
  std::uint8_t last_n_rule_ = 0;
  std::optional<Bytes> budget_;
  Reason primary_;
  Holds always_ = kHeldAsNewest;  // of what is published

  std::vector<Record> records_;  // by id
  ItemSizes sizes_;
  std::size_t size_ = 0;
  std::int64_t bytes_ = 0;
  std::uint32_t published_ = 0;
  ItemId tail_ = kNoItem;                // the newest
  std::vector<Published> last_n_queue_;  // what KeepLast holds, oldest first; may be stale
  std::size_t last_n_begin_ = 0;         // what lies before is used up
  std::size_t last_n_count_ = 0;         // without the stale ones
  ItemId last_ = kNoItem;
  ItemId resumed_ = kNoItem;
  Holds scored_bits_ = 0;
  std::vector<ItemId> loose_;        // may have lost their last hold since the last publish()
  std::vector<Release> releases_;    // of the publish() that is running: room for all it can make
  std::size_t released_ = 0;         // how many those are
  std::vector<Published> unranked_;  // a heap, oldest first; kept only under a budget; may be stale
  Supposed supposed_;
  std::vector<Ranked> entries_;        // scratch of worst_of_many()
  std::vector<Victim> victims_;        // likewise: by id, its best rank in any metric
  std::optional<Victim> next_victim_;  // what no_room() found last, while it holds
};

}  // namespace checkroom::plan
