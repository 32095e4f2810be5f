// EngineCore's byte budget: what it takes first, and whether a candidate would be that.

#include <algorithm>

#include "plan/retention_core.h"

namespace checkroom::plan {
namespace {

// Of a heap with the oldest at the front.
constexpr auto kYounger = [](const auto& a, const auto& b) { return a.order > b.order; };

}  // namespace

bool EngineCore::beyond_budget(const Candidate& candidate) const {
  // Without a monitor the newest is the best.
  if (last_n_ > 0 || candidate.pinned || (!monitored_ && top_k_ != 0)) return true;
  if (candidate.id != kNoItem && (candidate.id == last_ || candidate.id == resumed_)) return true;
  return std::any_of(every_.begin(), every_.end(), [&candidate](const Interval& interval) {
    const EveryRule& every = interval.every;
    return every.due(every.clock(candidate.epoch, candidate.step, candidate.saved_at));
  });
}

std::optional<Reason> EngineCore::no_room(const Candidate& candidate, const Reason& reason) {
  if (beyond_budget(candidate)) return std::nullopt;
  bool frees_unranked = false;
  if (suppose(candidate, frees_unranked) <= *budget_) return std::nullopt;
  // Something that no metric holds any more goes before anything that one does.
  if (frees_unranked) return std::nullopt;

  std::size_t entered = best_.size();  // the first metric that it would enter
  std::uint32_t rank = UINT32_MAX;
  for (std::size_t i = 0; i < best_.size(); ++i) {
    const BestRule& best = best_[i].best;
    if (!has_score(candidate, best_[i])) continue;
    const double score = key(candidate, best_[i]);
    if (!best.admits(score)) continue;
    if (best.size() == 0 || score < best.best().key) return std::nullopt;  // protected
    if (best_.size() > 1) rank = std::min(rank, best.rank_of_newcomer(score));
    entered = std::min(entered, i);
  }
  if (entered == best_.size()) {
    // Held only for want of a score: the oldest of those goes first.
    if (oldest_unranked() != kNoItem) return std::nullopt;
    return Reason{ReasonKind::kNoRoom, reason.rule};
  }
  const bool as_before = supposed_.displaced.empty() && !stores(candidate.id);
  const Victim victim = as_before && next_victim_ ? *next_victim_ : find_victim();
  if (as_before) next_victim_ = victim;
  if (victim.id != kNoItem) {
    if (victim.rank == 0) return std::nullopt;
    // An equal newcomer does not displace, as in the top k.
    const bool better =
        best_.size() > 1 ? rank <= victim.rank : key(candidate, best_[0]) < victim.key;
    if (better) return std::nullopt;
  }
  const auto room = static_cast<std::uint32_t>(best_[entered].best.size());
  return Reason{ReasonKind::kNoRoom, best_[entered].rule, room};
}

// Fills supposed_ with what publishing the candidate would make leave; the bytes after it.
Bytes EngineCore::suppose(const Candidate& candidate, bool& frees_unranked) {
  supposed_.tail_is_newest = false;
  supposed_.gone.clear();
  supposed_.displaced.clear();
  const std::int64_t old = stores(candidate.id) ? sizes_.of(candidate.id) : 0;
  Bytes after = Bytes(bytes_ - old) + Bytes(candidate.own_bytes);
  for (std::size_t i = 0; i < best_.size(); ++i) {
    const BestRule& best = best_[i].best;
    if (!best.full() || !has_score(candidate, best_[i])) continue;
    if (!best.admits(key(candidate, best_[i]))) continue;
    supposed_.displaced.resize(best_.size(), kNoItem);
    supposed_.displaced[i] = best.worst_when_full().id;
  }
  if (stores(candidate.id)) supposed_.gone.push_back(candidate.id);  // it is written again
  const auto consider = [&](ItemId id) {
    if (!stores(id) || is_gone(id)) return;
    Holds holds = records_[id].holds;
    if (id == tail_) holds &= ~kHeldAsNewest;
    for (std::size_t i = 0; i < supposed_.displaced.size(); ++i) {
      if (supposed_.displaced[i] == id) holds &= ~best_[i].scored;
    }
    if (holds == 0) {
      supposed_.gone.push_back(id);
      after -= Bytes(sizes_.of(id));
    } else if ((holds & (scored_bits_ | kProtected)) == 0) {
      frees_unranked = true;
    }
  };
  for (const ItemId id : supposed_.displaced) {
    if (id != kNoItem) consider(id);
  }
  if (tail_ != kNoItem) consider(tail_);
  for (const ItemId id : loose_) consider(id);
  return after;
}

bool EngineCore::is_gone(ItemId id) const {
  return std::find(supposed_.gone.begin(), supposed_.gone.end(), id) != supposed_.gone.end();
}

bool EngineCore::is_protected(ItemId id) const {
  Holds holds = records_[id].holds & kProtected;
  if (!supposed_.tail_is_newest) holds &= ~kHeldAsNewest;
  return holds != 0 || std::any_of(best_.begin(), best_.end(), [id](const Metric& metric) {
           return metric.best.best().id == id;
         });
}

EngineCore::Victim EngineCore::find_victim() {
  if (const ItemId id = oldest_unranked(); id != kNoItem) return {id};
  if (best_.empty()) return {};
  return best_.size() == 1 ? worst_of_one() : worst_of_many();
}

// A protected one is dropped from the heap when it is met; what lifts its protection notes it anew.
void EngineCore::note_unranked(ItemId id) {
  if (!budget_ || (records_[id].holds & scored_bits_) != 0) return;
  if (unranked_.size() > 4 * size_ + 64) return list_unranked();  // most of it is stale
  unranked_.push_back({records_[id].order, id});
  std::push_heap(unranked_.begin(), unranked_.end(), kYounger);
}

void EngineCore::list_unranked() {
  unranked_.clear();
  if (!budget_) return;
  for (ItemId id = 0; id < records_.size(); ++id) {
    if (stores(id) && (records_[id].holds & scored_bits_) == 0) {
      unranked_.push_back({records_[id].order, id});
    }
  }
  std::make_heap(unranked_.begin(), unranked_.end(), kYounger);
}

ItemId EngineCore::oldest_unranked() {
  std::vector<Published> put_back;
  ItemId found = kNoItem;
  while (found == kNoItem && !unranked_.empty()) {
    const Published top = unranked_.front();
    const Record& record = records_[top.id];
    const bool stale = !is_current(top) || (record.holds & scored_bits_) != 0;
    if (!stale && (record.holds & kProtected) == 0 && !is_gone(top.id)) {
      found = top.id;
      break;
    }
    std::pop_heap(unranked_.begin(), unranked_.end(), kYounger);
    unranked_.pop_back();
    // What is protected is noted again when that ends.
    if (!stale && (record.holds & kProtected) == 0) put_back.push_back(top);
  }
  for (const Published& entry : put_back) {
    unranked_.push_back(entry);
    std::push_heap(unranked_.begin(), unranked_.end(), kYounger);
  }
  return found;
}

EngineCore::Victim EngineCore::worst_of_one() {
  Metric& metric = best_[0];
  Victim victim;
  auto rank = static_cast<std::uint32_t>(metric.best.size());
  metric.best.walk_from_worst([&](const Ranked& entry) {
    if (entry.id == metric.best.best().id) return false;  // rank 1, wherever it lies
    const bool displaced = !supposed_.displaced.empty() && supposed_.displaced[0] == entry.id;
    if (!displaced && !is_protected(entry.id)) {
      victim = {entry.id, metric.rule, rank, entry.key};
      return true;
    }
    --rank;
    return false;
  });
  return victim;
}

// An item is worth its best rank in any metric; the worst such goes, the older among equals.
EngineCore::Victim EngineCore::worst_of_many() {
  if (victims_.size() < records_.size()) victims_.resize(records_.size());
  const auto for_each_entry = [this](auto visit) {
    for (const Metric& metric : best_) metric.best.for_each(visit);
  };
  for (std::size_t i = 0; i < best_.size(); ++i) {
    best_[i].best.ranked(entries_);
    std::uint32_t rank = 0;
    for (const Ranked& entry : entries_) {
      ++rank;
      if (!supposed_.displaced.empty() && supposed_.displaced[i] == entry.id) continue;
      Victim& victim = victims_[entry.id];
      if (victim.rank == 0 || rank < victim.rank) {
        victim = {entry.id, best_[i].rule, rank, entry.key};
      }
    }
  }
  Victim worst;
  for_each_entry([&](const Ranked& entry) {
    const Victim& victim = victims_[entry.id];
    const bool worse =
        victim.rank > worst.rank || (victim.rank == worst.rank && victim.rank > 0 &&
                                     records_[victim.id].order < records_[worst.id].order);
    if (worse && !is_gone(victim.id) && !is_protected(victim.id)) worst = victim;
  });
  for_each_entry([&](const Ranked& entry) { victims_[entry.id] = {}; });
  return worst;
}

}  // namespace checkroom::plan
