#include <pybind11/stl.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "bindings.h"
#include "paths.h"
#include "plan/retention.h"
#include "plan/retention_engine.h"
#include "retention_types.h"
#include "sizes.h"
#include "value_class.h"

namespace py = pybind11;

namespace checkroom::bindings {
namespace {

py::tuple fields(const plan::Item& item) {
  return py::make_tuple(from_path(item.name), item.bytes.count(), item.own_bytes.count(),
                        item.epoch, item.step, item.saved_at, item.scores, item.run);
}

// An item equals its copy, even where a score is NaN.
bool equal(const plan::Item& a, const plan::Item& b) {
  const auto same = [](const auto& x, const auto& y) {
    return x.first == y.first &&
           (x.second == y.second || (std::isnan(x.second) && std::isnan(y.second)));
  };
  return std::tie(a.name, a.bytes, a.own_bytes, a.epoch, a.step, a.saved_at, a.run) ==
             std::tie(b.name, b.bytes, b.own_bytes, b.epoch, b.step, b.saved_at, b.run) &&
         std::equal(a.scores.begin(), a.scores.end(), b.scores.begin(), b.scores.end(), same);
}

plan::Item make_item(Path name, std::int64_t bytes, std::optional<std::int64_t> own_bytes,
                     std::int64_t epoch, std::int64_t step, double saved_at,
                     std::map<std::string, double> scores, std::string run) {
  plan::Item item{
      std::move(name.bytes), Bytes(bytes),  Bytes(own_bytes.value_or(bytes)), epoch, step, saved_at,
      std::move(scores),     std::move(run)};
  plan::check_item(item);
  return item;
}

void bind_item(py::module_& module) {
  py::class_<plan::Item> item(
      module, "Item",
      "One checkpoint of an inventory: a file or a directory.\n\n"
      "Args:\n"
      "    name: Its plain name.\n"
      "    bytes: How long it is.\n"
      "    own_bytes: Bytes that its removal would free; ``None``: all.\n"
      "    epoch: The epoch in which it was saved, from 0.\n"
      "    step: The global step at which it was saved.\n"
      "    saved_at: When, in seconds since the Unix epoch.\n"
      "    scores: By metric; NaN ranks worst.\n"
      "    run: Which run saved it.\n\n"
      "Raises:\n    ValueError: The name is empty or a size is negative.\n\n"
      "Example:\n"
      "    >>> import checkroom\n"
      "    >>> checkroom.Item('a.ckpt', 6_900_000_000, scores={'val_loss': 0.5}).own_bytes\n"
      "    6900000000");
  item.def(py::init(&make_item), py::arg("name"), py::arg("bytes"), py::kw_only(),
           py::arg("own_bytes") = py::none(), py::arg("epoch") = 0, py::arg("step") = 0,
           py::arg("saved_at") = 0.0, py::arg("scores") = std::map<std::string, double>(),
           py::arg("run") = "")
      .def_property_readonly("name", [](const plan::Item& self) { return from_path(self.name); })
      .def_property_readonly("bytes", [](const plan::Item& self) { return self.bytes.count(); })
      .def_property_readonly("own_bytes",
                             [](const plan::Item& self) { return self.own_bytes.count(); })
      .def_property_readonly("epoch", [](const plan::Item& self) { return self.epoch; })
      .def_property_readonly("step", [](const plan::Item& self) { return self.step; })
      .def_property_readonly("saved_at", [](const plan::Item& self) { return self.saved_at; })
      .def_property_readonly("scores", [](const plan::Item& self) { return self.scores; })
      .def_property_readonly("run", [](const plan::Item& self) { return self.run; })
      .def("__repr__",
           [](const plan::Item& self) {
             return py::str("Item({!r}, {}, epoch={}, step={}, scores={!r})")
                 .format(from_path(self.name), self.bytes.count(), self.epoch, self.step,
                         self.scores);
           })
      .def(py::pickle([](const plan::Item& self) { return fields(self); },
                      [](const py::tuple& state) {
                        return make_item(state[0].cast<Path>(), state[1].cast<std::int64_t>(),
                                         state[2].cast<std::int64_t>(),
                                         state[3].cast<std::int64_t>(),
                                         state[4].cast<std::int64_t>(), state[5].cast<double>(),
                                         state[6].cast<std::map<std::string, double>>(),
                                         state[7].cast<std::string>());
                      }));
  add_equality(item, equal);
  add_hash(item, [](const plan::Item& self) { return from_path(self.name); });
}

BoundPlan make_plan(const py::sequence& inventory, const plan::RetentionPolicy& policy,
                    const std::optional<Path>& last, const std::optional<Path>& resumed_from) {
  std::vector<const plan::Item*> items;
  items.reserve(inventory.size());
  const py::list held(inventory);  // keeps every item alive while the core looks at it
  for (const py::handle& item : held) items.push_back(&item.cast<const plan::Item&>());
  const plan::Standing standing{last.value_or(Path()).bytes, resumed_from.value_or(Path()).bytes};
  return bound_plan(plan::plan(items, policy, standing), items);
}

void bind_plan(py::module_& module) {
  py::class_<BoundPlan>(
      module, "RetentionPlan",
      "The result of a policy on an inventory: each item kept or removed, with "
      "the reasons.\n\n"
      "Example:\n    >>> import checkroom\n"
      "    >>> items = [checkroom.Item('a.ckpt', 10), checkroom.Item('b.ckpt', 10)]\n"
      "    >>> policy = checkroom.RetentionPolicy(save_top_k=1)\n"
      "    >>> [(item.name, why) for item, why in checkroom.plan(items, policy).keep]\n"
      "    [('b.ckpt', ('newest',))]")
      .def_property_readonly(
          "keep", [](const BoundPlan& self) { return self.keep; },
          "(item, reasons) of each item that stays, in the order of saving.")
      .def_property_readonly(
          "remove", [](const BoundPlan& self) { return self.remove; },
          "(item, reasons) of each that goes, in the order of saving.")
      .def_property_readonly(
          "top_k", [](const BoundPlan& self) { return self.top_k; },
          "Names in the top k, in the order of saving.")
      .def_property_readonly(
          "best", [](const BoundPlan& self) { return self.best; },
          "Name of the best; None: there is none.")
      .def_property_readonly(
          "over_budget", [](const BoundPlan& self) { return self.over_budget; },
          "Bytes over the budget that no rule lets go; 0: none.")
      .def("__repr__", [](const BoundPlan& self) {
        return py::str("RetentionPlan(keep={} items, remove={} items, best={!r}, over_budget={})")
            .format(self.keep.size(), self.remove.size(), self.best, self.over_budget);
      });
  module.def("plan", &make_plan, py::arg("inventory"), py::arg("policy"), py::kw_only(),
             py::arg("last") = py::none(), py::arg("resumed_from") = py::none(),
             "What a policy makes of an inventory. The very engine that prunes at run time.\n\n"
             "Args:\n"
             "    inventory: Items in the order of saving.\n"
             "    policy: The rules.\n"
             "    last: Name of the item that ``last`` is, or shares its blocks with.\n"
             "    resumed_from: Name of the item that the run was resumed from.\n\n"
             "Returns:\n    Each item kept or removed, with reasons.\n\n"
             "Raises:\n    ValueError: A name occurs twice.\n\n"
             "Example:\n    >>> import checkroom\n"
             "    >>> items = [checkroom.Item(f'{n}.ckpt', 10, scores={'val_loss': s})\n"
             "    ...          for n, s in enumerate([0.5, 0.7, 0.6])]\n"
             "    >>> policy = checkroom.RetentionPolicy(save_top_k=2, monitor='val_loss')\n"
             "    >>> [item.name for item, why in checkroom.plan(items, policy).remove]\n"
             "    ['1.ckpt']");
}

void bind_engine(py::module_& module) {
  using Engine = plan::RetentionEngine;
  py::class_<Engine>(module, "RetentionEngine",
                     "The incremental engine: a published item goes in, the items that leave come "
                     "out.\n\nArgs:\n    policy: The rules.\n\n"
                     "Raises:\n    ValueError: Rules repeat or contradict each other.")
      .def(py::init<plan::RetentionPolicy>(), py::arg("policy"))
      .def(
          "decide",
          [](Engine& self, const plan::Item& candidate) {
            const Engine::Judgement judgement = self.decide(candidate);
            return py::make_tuple(judgement.wanted, py::tuple(py::cast(judgement.reasons)));
          },
          py::arg("candidate"), "Would it be kept if it were published now, and why (not).")
      .def(
          "publish",
          [](Engine& self, const plan::Item& item) {
            py::list left;
            for (Engine::Left& leaving : self.publish(item)) {
              left.append(py::make_tuple(std::move(leaving.item), py::make_tuple(leaving.reason)));
            }
            return left;
          },
          py::arg("item"), "It is stored now; what leaves, with reasons.")
      .def(
          "forget", [](Engine& self, const Path& name) { self.forget(name.bytes); },
          py::arg("name"), "It vanished.")
      .def(
          "set_last",
          [](Engine& self, const std::optional<Path>& name) {
            self.set_last(name.value_or(Path()).bytes);
          },
          py::arg("name"), "The item that ``last`` is, or shares its blocks with.")
      .def(
          "set_resumed_from",
          [](Engine& self, const std::optional<Path>& name) {
            self.set_resumed_from(name.value_or(Path()).bytes);
          },
          py::arg("name"), "The item that the run was resumed from.")
      .def(
          "set_budget",
          [](Engine& self, std::optional<std::int64_t> budget) {
            self.set_budget(to_bytes(budget));
          },
          py::arg("budget"), "Bytes that everything kept may own; ``None``: no bound.")
      .def(
          "plan", [](const Engine& self) { return bound_plan(self.plan(), self.items()); },
          "What is kept now, and why.")
      .def(
          "copy", [](const Engine& self) { return Engine(self); }, "An independent engine.");
}

}  // namespace

BoundPlan bound_plan(const plan::RetentionPlan& plan, const std::vector<const plan::Item*>& items) {
  const auto rows = [&items](const std::vector<plan::Verdict>& verdicts) {
    py::list list;
    for (const plan::Verdict& verdict : verdicts) {
      list.append(py::make_tuple(*items[verdict.index], py::tuple(py::cast(verdict.reasons))));
    }
    return list;
  };
  return {rows(plan.keep), rows(plan.remove), from_paths(plan.top_k), from_path_or_none(plan.best),
          plan.over_budget.count()};
}

void bind_retention(py::module_& module) {
  bind_item(module);
  bind_plan(module);
  bind_engine(module);
}

}  // namespace checkroom::bindings
