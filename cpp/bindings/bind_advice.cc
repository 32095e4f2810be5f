#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "bindings.h"
#include "plan/advice.h"
#include "plan/forecast.h"

namespace py = pybind11;

namespace checkroom::bindings {
namespace {

const char* text(plan::AdviceKind kind) {
  switch (kind) {
    case plan::AdviceKind::kStrategy:
      return "strategy";
    case plan::AdviceKind::kLast:
      return "last";
    case plan::AdviceKind::kNewest:
      return "newest";
    case plan::AdviceKind::kNoLast:
      return "no_last";
    case plan::AdviceKind::kCap:
      break;
  }
  return "cap";
}

// A configuration as Python sees it. `kind` is empty for what was not advised, only asked about.
struct Configuration {
  plan::Advised advised;
  std::string kind;
};

// ModelCheckpoint's arguments, in the order in which a call reads best; defaults are left out.
py::dict arguments_of(const plan::RunSpec& spec) {
  py::dict arguments;
  if (spec.monitor) {
    arguments["monitor"] = *spec.monitor;
    arguments["mode"] = plan::mode_text(spec.mode);
  }
  arguments["save_top_k"] = spec.save_top_k;
  if (spec.train_time_interval_seconds.value_or(0) > 0) {
    arguments["train_time_interval"] =
        py::module_::import("datetime")
            .attr("timedelta")(py::arg("seconds") = *spec.train_time_interval_seconds);
  } else if (spec.every_n_train_steps.value_or(0) > 0) {
    arguments["every_n_train_steps"] = *spec.every_n_train_steps;
  } else if (spec.every_n_epochs) {
    arguments["every_n_epochs"] = *spec.every_n_epochs;
  }
  if (spec.save_last == plan::SaveLast::kLink) {
    arguments["save_last"] = "link";
  } else if (spec.save_last == plan::SaveLast::kYes) {
    arguments["save_last"] = true;
  }
  if (spec.save_weights_only) arguments["save_weights_only"] = true;
  if (spec.save_on_train_epoch_end) {
    arguments["save_on_train_epoch_end"] = *spec.save_on_train_epoch_end;
  }
  if (spec.writer == plan::Writer::kCheckroom) {
    if (!spec.keep.empty()) arguments["keep"] = py::cast(spec.keep);
    if (spec.max_size) {
      // The text where it says exactly the number.
      const std::string size = format_size(*spec.max_size);
      if (parse_size(size) == *spec.max_size) {
        arguments["max_size"] = size;
      } else {
        arguments["max_size"] = spec.max_size->count();
      }
    }
  }
  return arguments;
}

std::string value_text(const py::handle& value) {
  const auto shown = py::repr(value).cast<std::string>();
  const bool plain = py::isinstance<py::str>(value) && shown.front() == '\'' &&
                     shown.find_first_of("\"\\") == std::string::npos;
  return plain ? '"' + shown.substr(1, shown.size() - 2) + '"' : shown;
}

std::string call_of(const plan::RunSpec& spec) {
  std::string call = "ModelCheckpoint(";
  const char* between = "";
  for (const auto& [name, value] : arguments_of(spec)) {
    call += between + name.cast<std::string>() + "=" + value_text(value);
    between = ", ";
  }
  return call + ")";
}

std::optional<std::int64_t> count(const std::optional<Bytes>& bytes) {
  return bytes ? std::optional(bytes->count()) : std::nullopt;
}

void bind_configuration(py::module_& module) {
  py::class_<Configuration>(
      module, "Configuration",
      "Arguments of ModelCheckpoint for a run, and what they need: an option of advise().")
      .def_property_readonly(
          "kind",
          [](const Configuration& self) -> py::object {
            if (self.kind.empty()) return py::none();
            return py::str(self.kind);
          },
          "Why it is advised: strategy, last, newest, no_last or cap; None: it is the run's own, "
          "or the smallest.")
      .def_property_readonly(
          "spec", [](const Configuration& self) { return self.advised.spec; },
          "The run with these arguments.")
      .def_property_readonly(
          "need_bytes", [](const Configuration& self) { return count(self.advised.need); },
          "Bytes of checkpoints and logs at once, at the most; None: without bound.")
      .def_property_readonly(
          "margin_bytes",
          [](const Configuration& self) -> std::optional<std::int64_t> {
            if (!self.advised.need) return std::nullopt;
            return self.advised.margin.count();
          },
          "Bytes that are left of what there is; negative: bytes that are short; None: without "
          "bound.")
      .def_property_readonly(
          "fits",
          [](const Configuration& self) {
            return self.advised.need && self.advised.margin.count() >= 0;
          },
          "Does it fit?")
      .def_property_readonly(
          "model_checkpoint",
          [](const Configuration& self) { return arguments_of(self.advised.spec); },
          "The arguments of ModelCheckpoint, as a dict.")
      .def_property_readonly(
          "call", [](const Configuration& self) { return call_of(self.advised.spec); },
          "The ModelCheckpoint(...) call to paste.")
      .def("__repr__", [](const Configuration& self) {
        return py::str("Configuration({}, need_bytes={}, margin_bytes={})")
            .format(call_of(self.advised.spec), count(self.advised.need),
                    self.advised.need ? std::optional(self.advised.margin.count()) : std::nullopt);
      });
}

struct BoundAdvice {
  plan::Advice advice;
  std::int64_t have = 0;
};

void bind_advice_class(py::module_& module) {
  py::class_<BoundAdvice>(
      module, "Advice", "Which arguments fit into the space that there is: what advise() answers.")
      .def_property_readonly(
          "have_bytes", [](const BoundAdvice& self) { return self.have; },
          "Bytes that checkpoints and logs may occupy.")
      .def_property_readonly(
          "rule", [](const BoundAdvice& self) { return plan::rule_of(self.advice); },
          "By what rule the options are ordered, in a sentence.")
      .def_property_readonly(
          "strategy", [](const BoundAdvice& self) { return self.advice.strategy.name; },
          "What suits a run of this length: short, medium or long.")
      .def_property_readonly(
          "own",
          [](const BoundAdvice& self) {
            return Configuration{self.advice.own, ""};
          },
          "The arguments as they were asked about.")
      .def_property_readonly(
          "options",
          [](const BoundAdvice& self) {
            std::vector<Configuration> options;
            for (const plan::Advice::Choice& choice : self.advice.fits) {
              const plan::Advised& advised = choice;
              options.push_back({advised, text(choice.kind)});
            }
            return options;
          },
          "What fits, best first.")
      .def_property_readonly(
          "smallest",
          [](const BoundAdvice& self) {
            return Configuration{self.advice.smallest, ""};
          },
          "What needs the least of all that was tried.")
      .def_property_readonly(
          "weights_only",
          [](const BoundAdvice& self) -> std::optional<Configuration> {
            if (!self.advice.weights_only) return std::nullopt;
            return Configuration{*self.advice.weights_only, ""};
          },
          "With weights only, where nothing but that fits.")
      .def_property_readonly(
          "short_by",
          [](const BoundAdvice& self) -> std::int64_t {
            if (!self.advice.fits.empty() || !self.advice.smallest.need) return 0;
            return std::max<std::int64_t>(0, -self.advice.smallest.margin.count());
          },
          "Bytes that are short where nothing fits; 0: something does.")
      .def_property_readonly(
          "fitting_checkpoint_bytes",
          [](const BoundAdvice& self) { return self.advice.fitting_file.count(); },
          "Of so many bytes a checkpoint would have to be for the smallest to fit.")
      .def("__repr__", [](const BoundAdvice& self) {
        return py::str("Advice(have_bytes={}, options={})")
            .format(self.have, self.advice.fits.size());
      });
}

Bytes to_size(const py::object& have) {
  if (py::isinstance<py::str>(have)) return parse_size(have.cast<std::string>());
  try {
    return Bytes(have.cast<std::int64_t>());
  } catch (const py::cast_error&) {
    throw py::type_error("have=" + py::repr(have).cast<std::string>() +
                         " is neither a number of bytes nor a text such as '50 GB'");
  }
}

BoundAdvice make_advice(const plan::RunSpec& spec, const py::object& have) {
  const Bytes room = to_size(have);
  const py::gil_scoped_release release;
  return {plan::advise(spec, room), room.count()};
}

}  // namespace

void bind_advice(py::module_& module) {
  bind_configuration(module);
  bind_advice_class(module);
  module.def(
      "need_of",
      [](const plan::RunSpec& spec) {
        const py::gil_scoped_release release;
        return count(plan::need_of(spec));
      },
      py::arg("spec"),
      "What the run's checkpoints and logs occupy at once, at the most: bytes.\n\n"
      "Returns:\n"
      "    ``None``: without bound.\n\n"
      "Raises:\n"
      "    ValueError: A wrong value.\n"
      "    OverflowError: The sum does not fit into 64 bits.\n\n"
      "Example:\n"
      "    >>> import checkroom\n"
      "    >>> from checkroom._core import need_of\n"
      "    >>> need_of(checkroom.RunSpec(max_epochs=2, save_top_k=1, checkpoint_bytes=100,\n"
      "    ...                           csv_bytes_per_epoch=5))\n"
      "    210");
  module.def(
      "advise", &make_advice, py::arg("spec"), py::arg("have"),
      "Which arguments of ModelCheckpoint fit, best first: the forecast turned round.\n\n"
      "Args:\n"
      "    spec: The run. Its metric, the unit of its trigger and its writer stay as they are; no\n"
      "        interval finer than its own is advised.\n"
      "    have: What checkpoints and logs may occupy, what lies in the directory already\n"
      "        included: bytes, or a text such as ``\"50 GB\"``.\n\n"
      "Returns:\n"
      "    What fits, best first by ``rule``; what the run's own arguments need; and, where\n"
      "    nothing fits, what needs the least and by how much it is short. Each peak is the most\n"
      "    that ``forecast`` gives for the very arguments.\n\n"
      "Raises:\n"
      "    ValueError: A wrong value, or a run without an end that writes logs.\n\n"
      "Example:\n"
      "    >>> import checkroom\n"
      "    >>> spec = checkroom.RunSpec(max_epochs=20, monitor='val_loss',\n"
      "    ...                          checkpoint_bytes=6_900_000_000)\n"
      "    >>> advice = checkroom.advise(spec, '50 GB')\n"
      "    >>> print(advice.options[0].call)\n"
      "    ModelCheckpoint(monitor=\"val_loss\", mode=\"min\", save_top_k=3, every_n_epochs=5, "
      "save_last=True)\n"
      "    >>> checkroom.format_size(advice.options[0].need_bytes)\n"
      "    '27.6 GB'");
}

}  // namespace checkroom::bindings
