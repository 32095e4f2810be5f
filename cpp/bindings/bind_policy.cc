#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "bindings.h"
#include "paths.h"
#include "plan/retention.h"
#include "sizes.h"
#include "value_class.h"

namespace py = pybind11;

namespace checkroom::bindings {
namespace {

plan::Mode to_mode(const std::string& text) {
  if (text == "min") return plan::Mode::kMin;
  if (text == "max") return plan::Mode::kMax;
  throw Error::invalid("mode='" + text + "' is neither 'min' nor 'max'");
}

py::object monitor_or_none(const std::string& monitor) {
  if (monitor.empty()) return py::none();
  return py::str(monitor);
}

plan::RetentionPolicy make_policy(std::int64_t save_top_k,
                                  const std::optional<std::string>& monitor,
                                  const std::string& mode, std::vector<plan::KeepRule> keep,
                                  std::vector<Path> pinned, std::optional<std::int64_t> budget) {
  plan::RetentionPolicy policy{
      {save_top_k, monitor.value_or(""), to_mode(mode)}, std::move(keep), {}, to_bytes(budget)};
  for (Path& name : pinned) policy.pinned.push_back(std::move(name.bytes));
  plan::check_policy(policy);
  return policy;
}

py::tuple fields(const plan::KeepLast& rule) { return py::make_tuple(rule.n); }
py::tuple fields(const plan::KeepEvery& rule) {
  return py::make_tuple(rule.epochs, rule.steps, rule.hours);
}
py::tuple fields(const plan::KeepBest& rule) {
  return py::make_tuple(rule.k, rule.monitor, plan::mode_text(rule.mode));
}
py::tuple fields(const plan::RetentionPolicy& policy) {
  return py::make_tuple(policy.top_k.k, monitor_or_none(policy.top_k.monitor),
                        plan::mode_text(policy.top_k.mode), policy.keep, from_paths(policy.pinned),
                        count(policy.budget));
}

template <typename Value>
py::tuple fields_of(const Value& value) {
  return fields(value);
}
template <typename Value>
bool equal(const Value& a, const Value& b) {
  return fields(a).equal(fields(b));
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
  add_equality(last, equal<plan::KeepLast>);
  add_hash(last, fields_of<plan::KeepLast>);
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
  add_equality(every, equal<plan::KeepEvery>);
  add_hash(every, fields_of<plan::KeepEvery>);
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
  add_equality(best, equal<plan::KeepBest>);
  add_hash(best, fields_of<plan::KeepBest>);
  add_rule_repr(best);
}

void bind_retention_policy(py::module_& module) {
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
           py::arg("keep") = std::vector<plan::KeepRule>(), py::arg("pinned") = std::vector<Path>(),
           py::arg("budget") = py::none())
      .def_property_readonly("save_top_k",
                             [](const plan::RetentionPolicy& self) { return self.top_k.k; })
      .def_property_readonly(
          "monitor",
          [](const plan::RetentionPolicy& self) { return monitor_or_none(self.top_k.monitor); })
      .def_property_readonly(
          "mode",
          [](const plan::RetentionPolicy& self) { return plan::mode_text(self.top_k.mode); })
      .def_property_readonly(
          "keep", [](const plan::RetentionPolicy& self) { return py::tuple(py::cast(self.keep)); })
      .def_property_readonly(
          "pinned",
          [](const plan::RetentionPolicy& self) { return py::tuple(from_paths(self.pinned)); })
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
                                           state[4].cast<std::vector<Path>>(),
                                           state[5].cast<std::optional<std::int64_t>>());
                      }));
  add_equality(policy, equal<plan::RetentionPolicy>);
  add_hash(policy, [](const plan::RetentionPolicy& self) {
    return py::make_tuple(self.top_k.k, self.top_k.monitor, count(self.budget));
  });
}

}  // namespace

void bind_policy(py::module_& module) {
  bind_rules(module);
  bind_retention_policy(module);
}

}  // namespace checkroom::bindings
