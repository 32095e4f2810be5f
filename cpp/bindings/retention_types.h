// What bind_retention.cc makes of the plan room's values, for the other bindings.
#pragma once

#include <pybind11/pybind11.h>

#include <vector>

#include "plan/retention.h"

namespace checkroom::bindings {

// A RetentionPlan as Python sees it: the items themselves instead of indices.
struct BoundPlan {
  pybind11::list keep;    // of (Item, reasons)
  pybind11::list remove;  // likewise
  pybind11::list top_k;   // of names
  pybind11::object best;  // a name, or None
  std::int64_t over_budget = 0;
};

BoundPlan bound_plan(const plan::RetentionPlan& plan, const std::vector<const plan::Item*>& items);

}  // namespace checkroom::bindings
