// RetentionEngine: EngineCore with names and reasons. The store asks it at every save.
//
// It owns copies of the items that it was told of. One engine a thread; a copy is an independent
// engine. It fails with Error(kInvalidArgument) as check_policy() and check_item(), and with
// Error(kOverflow) when a sum of bytes leaves 64 bits; a call that failed changed nothing.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "plan/retention.h"
#include "plan/retention_core.h"

namespace checkroom::plan {

// An item as the core takes it. Holds the buffer that Candidate::scores points to: the candidate is
// good until the next call.
class CandidateOf {
 public:
  // The metrics are copied: those of EngineCore::metrics().
  explicit CandidateOf(const std::vector<std::string>& metrics)
      : metrics_(metrics), scores_(metrics.size()) {}
  Candidate operator()(const Item& item, ItemId id, bool pinned);

 private:
  std::vector<std::string> metrics_;
  std::vector<double> scores_;
};

class RetentionEngine {
 public:
  struct Judgement {
    bool wanted = false;
    std::vector<std::string> reasons;  // for which it would be kept, or the one why not
  };
  struct Left {
    Item item;
    std::string reason;
  };

  explicit RetentionEngine(RetentionPolicy policy);

  // Would it stay if it were published now?
  Judgement decide(const Item& candidate);
  // It is stored now; what leaves, in the order of leaving. A name that is stored is replaced.
  std::vector<Left> publish(const Item& item);
  // It vanished. Unknown names are ignored.
  void forget(const std::string& name);
  // What these let go of leaves with the next publish(). Names need not be stored yet; empty: none.
  void set_last(const std::string& name);
  void set_resumed_from(const std::string& name);
  void set_budget(std::optional<Bytes> budget);

  // The items stored, in the order of saving. Valid until the engine changes.
  [[nodiscard]] std::vector<const Item*> items() const;
  // What is kept now, and why; its indices are those of items(). To be removed is what the next
  // publish() would let go of whatever is published.
  [[nodiscard]] RetentionPlan plan() const;
  [[nodiscard]] const RetentionPolicy& policy() const { return policy_; }
  [[nodiscard]] Bytes own_bytes() const { return core_.own_bytes(); }

 private:
  ItemId id_of(const std::string& name);
  void free_if_unused(ItemId id);
  void set_standing(ItemId& place, const std::string& name, void (EngineCore::*set)(ItemId));
  [[nodiscard]] Candidate candidate(const Item& item, ItemId id);
  [[nodiscard]] const Item* other(const Reason& reason) const;

  RetentionPolicy policy_;
  std::unordered_set<std::string> pinned_;
  EngineCore core_;
  CandidateOf candidate_of_;
  std::vector<Item> slots_;                      // by id
  std::unordered_map<std::string, ItemId> ids_;  // of what is stored, last or resumed from
  std::vector<ItemId> free_;
  ItemId last_ = kNoItem;
  ItemId resumed_from_ = kNoItem;
};

}  // namespace checkroom::plan
