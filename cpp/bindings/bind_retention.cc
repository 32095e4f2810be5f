#include <pybind11/stl.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "bindings.h"
#include "plan/retention.h"
#include "plan/retention_engine.h"
#include "retention_types.h"

namespace py = pybind11;

namespace checkroom::bindings {
namespace {

using Reasons = std::vector<std::string>;

plan::Mode to_mode(const std::string& text) {
  if (text == "min") return plan::Mode::kMin;
  if (text == "max") return plan::Mode::kMax;
  throw Error::invalid("mode='" + text + "' is neither 'min' nor 'max'");
}

std::optional<std::int64_t> count(const std::optional<Bytes>& bytes) {
  if (!bytes) return std::nullopt;
  return bytes->count();
}

std::optional<Bytes> to_bytes(std::optional<std::int64_t> count) {
  if (!count) return std::nullopt;
  return Bytes(*count);
}

py::object name_or_none(const std::string& name) {
  if (name.empty()) return py::none();
  return py::str(name);
}

plan::RetentionPolicy make_policy(std::int64_t save_top_k,
                                  const std::optional<std::string>& monitor,
                                  const std::string& mode, std::vector<plan::KeepRule> keep,
                                  std::vector<std::string> pinned,
                                  std::optional<std::int64_t> budget) {
  plan::RetentionPolicy policy{{save_top_k, monitor.value_or(""), to_mode(mode)},
                               std::move(keep),
                               std::move(pinned),
                               to_bytes(budget)};
  plan::check_policy(policy);
  return policy;
}

// Each value's fields, as its constructor takes them: what equality, hash and pickling go by.
py::tuple fields(const plan::Item& item) {
  return py::make_tuple(item.name, item.bytes.count(), item.own_bytes.count(), item.epoch,
                        item.step, item.saved_at, item.scores, item.run);
}
py::tuple fields(const plan::KeepLast& rule) { return py::make_tuple(rule.n); }
py::tuple fields(const plan::KeepEvery& rule) {
  return py::make_tuple(rule.epochs, rule.steps, rule.hours);
}
py::tuple fields(const plan::KeepBest& rule) {
  return py::make_tuple(rule.k, rule.monitor, plan::mode_text(rule.mode));
}
py::tuple fields(const plan::RetentionPolicy& policy) {
  return py::make_tuple(policy.top_k.k, name_or_none(policy.top_k.monitor),
                        plan::mode_text(policy.top_k.mode), policy.keep, policy.pinned,
                        count(policy.budget));
}

template <typename Value>
bool equal(const Value& a, const Value& b) {
  return fields(a).equal(fields(b));
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

template <typename Class>
void add_equality(Class& bound) {
  using Value = typename Class::type;
  bound.def("__eq__", [](const Value& self, const py::object& other) -> py::object {
    if (!py::isinstance<Value>(other)) return py::reinterpret_borrow<py::object>(Py_NotImplemented);
    return py::bool_(equal(self, other.cast<const Value&>()));
  });
}

template <typename Class>
void add_hash(Class& bound) {
  using Value = typename Class::type;
  bound.def("__hash__", [](const Value& self) { return py::hash(fields(self)); });
}

plan::Item make_item(std::string name, std::int64_t bytes, std::optional<std::int64_t> own_bytes,
                     std::int64_t epoch, std::int64_t step, double saved_at,
                     std::map<std::string, double> scores, std::string run) {
  plan::Item item{
      std::move(name),   Bytes(bytes),  Bytes(own_bytes.value_or(bytes)), epoch, step, saved_at,
      std::move(scores), std::move(run)};
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
      .def_property_readonly("name", [](const plan::Item& self) { return self.name; })
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
                 .format(self.name, self.bytes.count(), self.epoch, self.step, self.scores);
           })
      .def("__hash__", [](const plan::Item& self) { return py::hash(py::str(self.name)); })
      .def(py::pickle([](const plan::Item& self) { return fields(self); },
                      [](const py::tuple& state) {
                        return make_item(
                            state[0].cast<std::string>(), state[1].cast<std::int64_t>(),
                            state[2].cast<std::int64_t>(), state[3].cast<std::int64_t>(),
                            state[4].cast<std::int64_t>(), state[5].cast<double>(),
                            state[6].cast<std::map<std::string, double>>(),
                            state[7].cast<std::string>());
                      }));
  add_equality(item);
}

template <typename Class>
void add_rule_repr(Class& bound) {
  using Value = typename Class::type;
  bound.def("__repr__", [](const Value& self) { return plan::rule_text(plan::KeepRule(self)); });
}

template <typename Rule>
Rule checked(Rule rule) {
  plan::check_rule(plan::KeepRule(rule));
  return rule;
}

void bind_rules(py::module_& module) {
  py::class_<plan::KeepLast> last(module, "KeepLast",
                                  "Keeps the newest checkpoints.\n\n"
                                  "Args:\n    n: How many.\n\n"
                                  "Raises:\n    ValueError: ``n`` is below 1.\n\n"
                                  "Example:\n    >>> import checkroom\n"
                                  "    >>> checkroom.KeepLast(2)\n    KeepLast(n=2)");
  last.def(py::init([](std::int64_t n) { return checked(plan::KeepLast{n}); }), py::arg("n") = 1)
      .def_property_readonly("n", [](const plan::KeepLast& self) { return self.n; })
      .def(py::pickle([](const plan::KeepLast& self) { return fields(self); },
                      [](const py::tuple& state) {
                        return checked(plan::KeepLast{state[0].cast<std::int64_t>()});
                      }));
  add_equality(last);
  add_hash(last);
  add_rule_repr(last);

  py::class_<plan::KeepEvery> every(
      module, "KeepEvery",
      "Keeps a checkpoint when at least so much has passed since the one it kept before.\n\n"
      "Epochs and steps count from the start of training, hours from the first checkpoint.\n\n"
      "Args:\n    epochs: Epochs in between.\n    steps: Optimizer steps in between.\n"
      "    hours: Hours in between.\n\n"
      "Raises:\n    ValueError: None or several are given, or it is not positive.\n\n"
      "Example:\n    >>> import checkroom\n    >>> checkroom.KeepEvery(epochs=10)\n"
      "    KeepEvery(epochs=10)");
  every
      .def(py::init([](std::optional<std::int64_t> epochs, std::optional<std::int64_t> steps,
                       std::optional<double> hours) {
             return checked(plan::KeepEvery{epochs, steps, hours});
           }),
           py::kw_only(), py::arg("epochs") = py::none(), py::arg("steps") = py::none(),
           py::arg("hours") = py::none())
      .def_property_readonly("epochs", [](const plan::KeepEvery& self) { return self.epochs; })
      .def_property_readonly("steps", [](const plan::KeepEvery& self) { return self.steps; })
      .def_property_readonly("hours", [](const plan::KeepEvery& self) { return self.hours; })
      .def(py::pickle([](const plan::KeepEvery& self) { return fields(self); },
                      [](const py::tuple& state) {
                        return checked(plan::KeepEvery{state[0].cast<std::optional<std::int64_t>>(),
                                                       state[1].cast<std::optional<std::int64_t>>(),
                                                       state[2].cast<std::optional<double>>()});
                      }));
  add_equality(every);
  add_hash(every);
  add_rule_repr(every);

  py::class_<plan::KeepBest> best(
      module, "KeepBest",
      "Keeps the best checkpoints by a metric of its own.\n\n"
      "Args:\n    k: How many.\n    monitor: The metric.\n    mode: ``\"min\"`` or ``\"max\"``.\n\n"
      "Raises:\n    ValueError: ``k`` is below 1, the metric is empty, or the mode is neither.\n\n"
      "Example:\n    >>> import checkroom\n"
      "    >>> checkroom.KeepBest(2, 'val_acc', 'max')\n"
      "    KeepBest(k=2, monitor='val_acc', mode='max')");
  best.def(py::init([](std::int64_t k, std::string monitor, const std::string& mode) {
             return checked(plan::KeepBest{k, std::move(monitor), to_mode(mode)});
           }),
           py::arg("k"), py::arg("monitor"), py::arg("mode") = "min")
      .def_property_readonly("k", [](const plan::KeepBest& self) { return self.k; })
      .def_property_readonly("monitor", [](const plan::KeepBest& self) { return self.monitor; })
      .def_property_readonly("mode",
                             [](const plan::KeepBest& self) { return plan::mode_text(self.mode); })
      .def(py::pickle([](const plan::KeepBest& self) { return fields(self); },
                      [](const py::tuple& state) {
                        return checked(plan::KeepBest{state[0].cast<std::int64_t>(),
                                                      state[1].cast<std::string>(),
                                                      to_mode(state[2].cast<std::string>())});
                      }));
  add_equality(best);
  add_hash(best);
  add_rule_repr(best);
}

void bind_policy(py::module_& module) {
  py::class_<plan::RetentionPolicy> policy(
      module, "RetentionPolicy",
      "Which checkpoints stay: rules that combine by union, and a byte budget over them.\n\n"
      "Args:\n"
      "    save_top_k: Lightning's own; -1 keeps all, 0 none.\n"
      "    monitor: The metric of the top k; ``None``: the newest counts.\n"
      "    mode: ``\"min\"`` or ``\"max\"``.\n"
      "    keep: Rules beyond the top k.\n"
      "    pinned: Names that always stay.\n"
      "    budget: Bytes that everything kept may own; ``None``: no bound.\n\n"
      "Raises:\n    ValueError: A value is wrong, or rules repeat or contradict each other.\n\n"
      "Example:\n    >>> import checkroom\n"
      "    >>> policy = checkroom.RetentionPolicy(save_top_k=3, monitor='val_loss')\n"
      "    >>> policy.save_top_k\n    3");
  policy
      .def(py::init(&make_policy), py::kw_only(), py::arg("save_top_k") = 1,
           py::arg("monitor") = py::none(), py::arg("mode") = "min",
           py::arg("keep") = std::vector<plan::KeepRule>(),
           py::arg("pinned") = std::vector<std::string>(), py::arg("budget") = py::none())
      .def_property_readonly("save_top_k",
                             [](const plan::RetentionPolicy& self) { return self.top_k.k; })
      .def_property_readonly(
          "monitor",
          [](const plan::RetentionPolicy& self) { return name_or_none(self.top_k.monitor); })
      .def_property_readonly(
          "mode",
          [](const plan::RetentionPolicy& self) { return plan::mode_text(self.top_k.mode); })
      .def_property_readonly(
          "keep", [](const plan::RetentionPolicy& self) { return py::tuple(py::cast(self.keep)); })
      .def_property_readonly(
          "pinned",
          [](const plan::RetentionPolicy& self) { return py::tuple(py::cast(self.pinned)); })
      .def_property_readonly("budget",
                             [](const plan::RetentionPolicy& self) { return count(self.budget); })
      .def("__repr__",
           [](const plan::RetentionPolicy& self) {
             return py::str(
                        "RetentionPolicy(save_top_k={}, monitor={!r}, mode={!r}, keep={!r}, "
                        "pinned={!r}, budget={!r})")
                 .format(*fields(self));
           })
      .def(py::pickle([](const plan::RetentionPolicy& self) { return fields(self); },
                      [](const py::tuple& state) {
                        return make_policy(state[0].cast<std::int64_t>(),
                                           state[1].cast<std::optional<std::string>>(),
                                           state[2].cast<std::string>(),
                                           state[3].cast<std::vector<plan::KeepRule>>(),
                                           state[4].cast<std::vector<std::string>>(),
                                           state[5].cast<std::optional<std::int64_t>>());
                      }));
  add_equality(policy);
  policy.def("__hash__", [](const plan::RetentionPolicy& self) {
    return py::hash(py::make_tuple(self.top_k.k, self.top_k.monitor, count(self.budget)));
  });
}

BoundPlan make_plan(const py::sequence& inventory, const plan::RetentionPolicy& policy,
                    const std::optional<std::string>& last,
                    const std::optional<std::string>& resumed_from) {
  std::vector<const plan::Item*> items;
  items.reserve(inventory.size());
  const py::list held(inventory);  // keeps every item alive while the core looks at it
  for (const py::handle& item : held) items.push_back(&item.cast<const plan::Item&>());
  const plan::Standing standing{last.value_or(""), resumed_from.value_or("")};
  return bound_plan(plan::plan(items, policy, standing), items);
}

void bind_plan(py::module_& module) {
  py::class_<BoundPlan>(module, "RetentionPlan",
                        "The result of a policy on an inventory: each item kept or removed, with "
                        "the reasons.")
      .def_property_readonly("keep", [](const BoundPlan& self) { return self.keep; })
      .def_property_readonly("remove", [](const BoundPlan& self) { return self.remove; })
      .def_property_readonly("top_k", [](const BoundPlan& self) { return self.top_k; })
      .def_property_readonly("best", [](const BoundPlan& self) { return self.best; })
      .def_property_readonly("over_budget", [](const BoundPlan& self) { return self.over_budget; })
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
      .def("forget", &Engine::forget, py::arg("name"), "It vanished.")
      .def(
          "set_last",
          [](Engine& self, const std::optional<std::string>& name) {
            self.set_last(name.value_or(""));
          },
          py::arg("name"), "The item that ``last`` is, or shares its blocks with.")
      .def(
          "set_resumed_from",
          [](Engine& self, const std::optional<std::string>& name) {
            self.set_resumed_from(name.value_or(""));
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
  return {rows(plan.keep), rows(plan.remove), py::cast(plan.top_k), name_or_none(plan.best),
          plan.over_budget.count()};
}

void bind_retention(py::module_& module) {
  bind_item(module);
  bind_rules(module);
  bind_policy(module);
  bind_plan(module);
  bind_engine(module);
}

}  // namespace checkroom::bindings
