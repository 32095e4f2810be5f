#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "bind_run_spec.h"
#include "bindings.h"
#include "plan/forecast.h"

namespace py = pybind11;

namespace checkroom::bindings {
namespace {

// Frozen values as Python sees them: bytes as integers.
struct Range {
  std::int64_t least = 0;
  std::int64_t most = 0;
};
struct WrittenRange {
  std::int64_t least = 0;
  std::int64_t most = 0;
  double expected = 0;
};

Range range(const plan::ByteRange& bytes) { return {bytes.least.count(), bytes.most.count()}; }
Range range(const plan::FileRange& files) { return {files.least, files.most}; }
WrittenRange range(const plan::WrittenRange& written) {
  return {written.least.count(), written.most.count(), written.expected};
}

void bind_ranges(py::module_& module) {
  py::class_<Range>(module, "Range", "The least and the most that a figure can be.")
      .def_property_readonly(
          "least", [](const Range& self) { return self.least; }, "The least.")
      .def_property_readonly(
          "most", [](const Range& self) { return self.most; }, "The most.")
      .def("__repr__", [](const Range& self) {
        return py::str("Range(least={}, most={})").format(self.least, self.most);
      });
  py::class_<WrittenRange>(module, "WrittenRange",
                           "Bytes written: the least, the most, and what independent scores lead "
                           "to on average.")
      .def_property_readonly(
          "least", [](const WrittenRange& self) { return self.least; }, "The least, in bytes.")
      .def_property_readonly(
          "most", [](const WrittenRange& self) { return self.most; }, "The most, in bytes.")
      .def_property_readonly(
          "expected", [](const WrittenRange& self) { return self.expected; },
          "In bytes, on average, for scores that do not depend on each other.")
      .def("__repr__", [](const WrittenRange& self) {
        return py::str("WrittenRange(least={}, most={}, expected={})")
            .format(self.least, self.most, self.expected);
      });
}

void bind_save_point(py::module_& module) {
  using plan::SavePoint;
  py::class_<SavePoint>(module, "SavePoint", "The state after one opportunity to save.")
      .def_property_readonly(
          "index", [](const SavePoint& self) { return self.index; },
          "Its place in the timeline, from 0.")
      .def_property_readonly(
          "epoch", [](const SavePoint& self) { return self.epoch; }, "From 0, as Lightning counts.")
      .def_property_readonly(
          "step", [](const SavePoint& self) { return self.step; },
          "The global step: optimizer steps so far.")
      .def_property_readonly(
          "seconds", [](const SavePoint& self) { return self.seconds; },
          "Since the start of training; None: how long a step takes was not given.")
      .def_property_readonly(
          "saved", [](const SavePoint& self) { return self.saved; },
          "Is a file certainly (True) or certainly not (False) written here? None: the scores "
          "decide.")
      .def_property_readonly(
          "last_only", [](const SavePoint& self) { return self.last_only; },
          "Is `last` the only file that is written here?")
      .def_property_readonly(
          "files", [](const SavePoint& self) { return range(self.files); },
          "Files that own blocks, after pruning.")
      .def_property_readonly(
          "at_rest_bytes", [](const SavePoint& self) { return range(self.at_rest); },
          "Bytes of checkpoints after pruning.")
      .def_property_readonly(
          "peak_bytes", [](const SavePoint& self) { return range(self.peak); },
          "Bytes of checkpoints at the worst moment of this save.")
      .def_property_readonly(
          "peak_files", [](const SavePoint& self) { return range(self.peak_files); },
          "Files that own blocks at that moment.")
      .def_property_readonly(
          "written_bytes", [](const SavePoint& self) { return range(self.written); },
          "Bytes written since the start.")
      .def("__repr__", [](const SavePoint& self) {
        return py::str("SavePoint(index={}, epoch={}, step={}, files={}..{}, peak_bytes={}..{})")
            .format(self.index, self.epoch, self.step, self.files.least, self.files.most,
                    self.peak.least.count(), self.peak.most.count());
      });
}

void bind_filesystem(py::module_& module) {
  using plan::FilesystemForecast;
  py::class_<FilesystemForecast>(module, "FilesystemForecast",
                                 "One filesystem's share: destination, staging or logs.")
      .def_property_readonly(
          "name", [](const FilesystemForecast& self) { return self.name; },
          "destination, staging or logs.")
      .def_property_readonly(
          "at_rest_bytes", [](const FilesystemForecast& self) { return range(self.at_rest); },
          "Bytes at the end of the run.")
      .def_property_readonly(
          "peak_bytes", [](const FilesystemForecast& self) { return range(self.peak); },
          "Bytes at the worst moment.")
      .def_property_readonly(
          "written_bytes", [](const FilesystemForecast& self) { return range(self.written); },
          "Bytes written over the whole run.")
      .def("__repr__", [](const FilesystemForecast& self) {
        return py::str("FilesystemForecast({!r}, peak_bytes={}..{})")
            .format(self.name, self.peak.least.count(), self.peak.most.count());
      });
}

// A forecast is immutable once made; Python objects that look into it share it.
using Shared = std::shared_ptr<plan::Forecast>;

struct TimelineView {
  Shared forecast;
};

std::size_t place(const TimelineView& view, std::int64_t index) {
  const auto size = static_cast<std::int64_t>(view.forecast->timeline().size());
  if (index < 0) index += size;
  if (index < 0 || index >= size) throw py::index_error("timeline index out of range");
  return static_cast<std::size_t>(index);
}

void bind_timeline(py::module_& module) {
  py::class_<TimelineView>(module, "Timeline", "The save points of a forecast, made when asked.")
      .def("__len__", [](const TimelineView& self) { return self.forecast->timeline().size(); })
      .def("__repr__",
           [](const TimelineView& self) {
             return py::str("Timeline({} save points)").format(self.forecast->timeline().size());
           })
      .def("__getitem__",
           [](const TimelineView& self, std::int64_t index) {
             return self.forecast->timeline().at(place(self, index));
           })
      .def("__getitem__", [](const TimelineView& self, const py::slice& slice) {
        std::size_t start = 0, stop = 0, step = 0, length = 0;
        if (!slice.compute(self.forecast->timeline().size(), &start, &stop, &step, &length)) {
          throw py::error_already_set();
        }
        py::list points;
        for (std::size_t i = 0; i < length; ++i, start += step) {
          points.append(self.forecast->timeline().at(start));
        }
        return points;
      });
}

template <typename T>
std::optional<plan::SavePoint> first(const plan::Forecast& self, std::int64_t have, T find) {
  return (self.*find)(Bytes(have));
}

void bind_figures(py::class_<plan::Forecast, Shared>& bound) {
  using plan::Forecast;
  bound
      .def_property_readonly(
          "spec", [](const Forecast& self) { return self.spec(); }, "The run.")
      .def_property_readonly(
          "files", [](const Forecast& self) { return range(self.files()); },
          "Checkpoint files that own blocks at the end of the run.")
      .def_property_readonly(
          "at_rest_bytes", [](const Forecast& self) { return range(self.at_rest()); },
          "Bytes of checkpoints at the end of the run.")
      .def_property_readonly(
          "peak_files", [](const Forecast& self) { return range(self.peak_files()); },
          "Files that own blocks at the worst moment of any save.")
      .def_property_readonly(
          "peak_bytes", [](const Forecast& self) { return range(self.peak()); },
          "Bytes of checkpoints at the worst moment of any save.")
      .def_property_readonly(
          "written_bytes", [](const Forecast& self) { return range(self.written()); },
          "Bytes of checkpoints written over the whole run.")
      .def_property_readonly(
          "tensorboard_bytes", [](const Forecast& self) { return self.tensorboard().count(); },
          "Bytes of TensorBoard logs at the end.")
      .def_property_readonly(
          "csv_bytes", [](const Forecast& self) { return self.csv().count(); },
          "Bytes of CSV logs at the end.")
      .def_property_readonly(
          "total_bytes", [](const Forecast& self) { return range(self.total()); },
          "Bytes at the end, everything counted: checkpoints, logs, dataset, model files and the "
          "rest.")
      .def_property_readonly(
          "fixed_bytes", [](const Forecast& self) { return self.fixed().count(); },
          "Bytes that do not grow with the run: dataset, model files and the rest.")
      .def_property_readonly(
          "epochs", [](const Forecast& self) { return self.epochs(); },
          "Whole epochs of the run; None: unknown, or without an end.")
      .def_property_readonly(
          "steps", [](const Forecast& self) { return self.steps(); },
          "Optimizer steps of the run; None: unknown, or without an end.")
      .def_property_readonly(
          "seconds", [](const Forecast& self) { return self.seconds(); },
          "How long the run takes; None: how long a step takes was not given.")
      .def_property_readonly(
          "has_end", [](const Forecast& self) { return self.has_end(); },
          "Does the run end by itself?")
      .def_property_readonly(
          "bytes_per_epoch", [](const Forecast& self) { return self.bytes_per_epoch(); },
          "Bytes that an epoch adds for good, where the run has no end; None: it has one.")
      .def_property_readonly(
          "kept", [](const Forecast& self) { return self.kept(); },
          "Opportunities to save whose files are left at the end, as places in the timeline; None: "
          "the scores were not given.")
      .def_property_readonly(
          "filesystems",
          [](const Forecast& self) {
            py::dict filesystems;
            for (const plan::FilesystemForecast& one : self.filesystems()) {
              filesystems[py::str(one.name)] = one;
            }
            return filesystems;
          },
          "Each filesystem's share: destination, staging and logs, by name.");
}

void bind_forecast_class(py::module_& module) {
  using plan::Forecast;
  py::class_<Forecast, Shared> bound(
      module, "Forecast",
      "A run, played ahead: what forecast() answers. Figures are of the "
      "end of the run and of its worst moment.\n\n"
      "Example:\n    >>> import checkroom\n"
      "    >>> spec = checkroom.RunSpec(max_epochs=5, save_top_k=-1, checkpoint_bytes=100)\n"
      "    >>> forecast = checkroom.forecast(spec)\n"
      "    >>> forecast.files.most, forecast.at_rest_bytes.most\n    (5, 500)\n"
      "    >>> [point.at_rest_bytes.most for point in forecast.timeline[:3]]\n    [100, 200, 300]");
  bind_figures(bound);
  bound
      .def_property_readonly(
          "timeline", [](const Shared& self) { return TimelineView{self}; },
          "The state after each opportunity to save; of a run without an end, the first 1,024.")
      .def(
          "first_save_that_may_not_fit",
          [](const Forecast& self, std::int64_t have) {
            return first(self, have, &Forecast::first_save_that_may_not_fit);
          },
          py::arg("have"), "The first save whose most exceeds ``have`` bytes.")
      .def(
          "first_save_that_cannot_fit",
          [](const Forecast& self, std::int64_t have) {
            return first(self, have, &Forecast::first_save_that_cannot_fit);
          },
          py::arg("have"), "The first save whose least exceeds ``have`` bytes.")
      .def(
          "epochs_until_full",
          [](const Forecast& self, std::int64_t have) {
            return self.epochs_until_full(Bytes(have));
          },
          py::arg("have"),
          "Whole epochs after which checkpoints and logs still fit into ``have`` bytes; ``None``: "
          "the whole run does.")
      .def(
          "kept_after",
          [](const Shared& self, std::int64_t index) {
            return self->kept_after(place(TimelineView{self}, index));
          },
          py::arg("index"),
          "Opportunities whose files are kept after the one at ``index``; ``None``: the scores "
          "were not given.")
      .def("__repr__", [](const Forecast& self) {
        if (!self.has_end()) return py::str("Forecast(without an end)");
        return py::str("Forecast({} saves)").format(self.timeline().size());
      });
}

// A million scores cross in a few milliseconds: a buffer of doubles is copied as it is, any other
// sequence read item by item.
std::vector<double> to_values(const py::handle& given) {
  if (PyObject_CheckBuffer(given.ptr()) != 0) {
    const py::buffer_info buffer = given.cast<py::buffer>().request();
    const bool flat = buffer.ndim == 1 && buffer.strides[0] == sizeof(double);
    if (flat && buffer.format == py::format_descriptor<double>::format()) {
      const auto* values = static_cast<const double*>(buffer.ptr);
      return {values, values + buffer.size};
    }
  }
  const auto items = py::reinterpret_steal<py::object>(
      PySequence_Fast(given.ptr(), "scores must be a sequence of numbers"));
  if (!items) throw py::error_already_set();
  std::vector<double> values(static_cast<std::size_t>(PySequence_Fast_GET_SIZE(items.ptr())));
  PyObject** const item = PySequence_Fast_ITEMS(items.ptr());
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = PyFloat_AsDouble(item[i]);
    if (values[i] == -1.0 && PyErr_Occurred() != nullptr) throw py::error_already_set();
  }
  return values;
}

std::optional<plan::Scores> to_scores(const plan::RunSpec& spec, const py::object& given) {
  if (given.is_none()) return std::nullopt;
  plan::Scores scores;
  if (PyMapping_Check(given.ptr()) != 0 && py::hasattr(given, "items")) {
    for (const auto& [metric, values] : py::dict(given)) {
      scores[metric.cast<std::string>()] = to_values(values);
    }
  } else {
    scores[spec.monitor.value_or("")] = to_values(given);
  }
  return scores;
}

Shared make_forecast(const plan::RunSpec& spec, const py::object& scores) {
  const std::optional<plan::Scores> values = to_scores(spec, scores);
  const py::gil_scoped_release release;
  return std::make_shared<plan::Forecast>(plan::forecast(spec, values ? &*values : nullptr));
}

}  // namespace

void bind_forecast(py::module_& module) {
  bind_run_spec(module);
  bind_ranges(module);
  bind_save_point(module);
  bind_filesystem(module);
  bind_timeline(module);
  bind_forecast_class(module);
  module.def("forecast", &make_forecast, py::arg("spec"), py::arg("scores") = py::none(),
             "The run, played ahead by the code that prunes at run time.\n\n"
             "Args:\n"
             "    spec: The run.\n"
             "    scores: The monitored value of each opportunity to save, or such a sequence for\n"
             "        each metric; NaN is a value. ``None``: bounds over all scores.\n\n"
             "Returns:\n    Files, bytes at rest, at the peak and written, and the timeline.\n\n"
             "Raises:\n    ValueError: The scores do not fit the run.\n\n"
             "Example:\n"
             "    >>> import checkroom\n"
             "    >>> spec = checkroom.RunSpec(max_epochs=20, every_n_epochs=5, save_top_k=3,\n"
             "    ...                          save_last=True, monitor='val_loss',\n"
             "    ...                          checkpoint_bytes=6_900_000_000)\n"
             "    >>> checkroom.forecast(spec).peak_bytes.most\n"
             "    27600000000");
}

}  // namespace checkroom::bindings
