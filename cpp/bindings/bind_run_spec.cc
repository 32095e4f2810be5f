#include "bind_run_spec.h"

#include <pybind11/stl.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"

namespace py = pybind11;

namespace checkroom::bindings {
namespace {

using plan::RunSpec;

// A named field of a run spec: how Python reads it, and how a keyword argument sets it.
struct Field {
  const char* name;
  std::function<py::object(const RunSpec&)> get;
  std::function<void(RunSpec&, const py::handle&)> set;
};

template <typename T>
Field field(const char* name, T RunSpec::*member) {
  return {name, [member](const RunSpec& spec) { return py::cast(spec.*member); },
          [member](RunSpec& spec, const py::handle& value) { spec.*member = value.cast<T>(); }};
}

Field field(const char* name, Bytes RunSpec::*member) {
  return {name, [member](const RunSpec& spec) { return py::cast((spec.*member).count()); },
          [member](RunSpec& spec, const py::handle& value) {
            spec.*member = Bytes(value.cast<std::int64_t>());
          }};
}

Field field(const char* name, std::optional<Bytes> RunSpec::*member) {
  return {name,
          [member](const RunSpec& spec) -> py::object {
            if (!(spec.*member)) return py::none();
            return py::cast((spec.*member)->count());
          },
          [member](RunSpec& spec, const py::handle& value) {
            const auto count = value.cast<std::optional<std::int64_t>>();
            spec.*member = count ? std::optional(Bytes(*count)) : std::nullopt;
          }};
}

template <typename T>
using Choices = std::vector<std::pair<const char*, T>>;

// An enum that Python knows as one of a few texts.
template <typename T>
Field choice(const char* name, T RunSpec::*member, const Choices<T>& choices) {
  return {name,
          [member, choices](const RunSpec& spec) -> py::object {
            for (const auto& [text, value] : choices) {
              if (value == spec.*member) return py::str(text);
            }
            return py::none();
          },
          [member, choices, name](RunSpec& spec, const py::handle& given) {
            const auto text = given.cast<std::string>();
            std::string known;
            for (const auto& [choice_text, value] : choices) {
              if (text == choice_text) {
                spec.*member = value;
                return;
              }
              known += (known.empty() ? "'" : ", '") + std::string(choice_text) + "'";
            }
            throw Error::invalid(std::string(name) + "='" + text + "' is not one of " + known);
          }};
}

Field save_last_field() {
  return {"save_last",
          [](const RunSpec& spec) -> py::object {
            switch (spec.save_last) {
              case plan::SaveLast::kNo:
                return py::bool_(false);
              case plan::SaveLast::kYes:
                return py::bool_(true);
              case plan::SaveLast::kLink:
                return py::str("link");
              case plan::SaveLast::kUnset:
                break;
            }
            return py::none();
          },
          [](RunSpec& spec, const py::handle& value) {
            if (value.is_none()) {
              spec.save_last = plan::SaveLast::kUnset;
            } else if (py::isinstance<py::bool_>(value)) {
              spec.save_last = value.cast<bool>() ? plan::SaveLast::kYes : plan::SaveLast::kNo;
            } else if (value.equal(py::str("link"))) {
              spec.save_last = plan::SaveLast::kLink;
            } else {
              throw Error::invalid("save_last=" + py::repr(value).cast<std::string>() +
                                   " is not None, True, False or 'link'");
            }
          }};
}

const std::vector<Field>& all_fields() {
  static const std::vector<Field> fields = {
      field("max_epochs", &RunSpec::max_epochs),
      field("max_steps", &RunSpec::max_steps),
      field("max_hours", &RunSpec::max_hours),
      field("steps_per_epoch", &RunSpec::steps_per_epoch),
      field("batches_per_epoch", &RunSpec::batches_per_epoch),
      field("accumulate_grad_batches", &RunSpec::accumulate_grad_batches),
      field("seconds_per_step", &RunSpec::seconds_per_step),
      field("start_epoch", &RunSpec::start_epoch),
      field("start_step", &RunSpec::start_step),
      field("validates", &RunSpec::validates),
      field("check_val_every_n_epoch", &RunSpec::check_val_every_n_epoch),
      field("val_check_interval", &RunSpec::val_check_interval),
      field("every_n_epochs", &RunSpec::every_n_epochs),
      field("every_n_train_steps", &RunSpec::every_n_train_steps),
      field("train_time_interval_seconds", &RunSpec::train_time_interval_seconds),
      field("save_on_train_epoch_end", &RunSpec::save_on_train_epoch_end),
      field("save_top_k", &RunSpec::save_top_k),
      field("monitor", &RunSpec::monitor),
      choice<plan::Mode>("mode", &RunSpec::mode,
                         {{"min", plan::Mode::kMin}, {"max", plan::Mode::kMax}}),
      save_last_field(),
      field("keep", &RunSpec::keep),
      field("max_size", &RunSpec::max_size),
      field("checkpoint_bytes", &RunSpec::checkpoint_bytes),
      field("weights_only_bytes", &RunSpec::weights_only_bytes),
      field("save_weights_only", &RunSpec::save_weights_only),
      field("tensorboard_bytes_per_epoch", &RunSpec::tensorboard_bytes_per_epoch),
      field("csv_bytes_per_epoch", &RunSpec::csv_bytes_per_epoch),
      field("log_steps_per_epoch", &RunSpec::log_steps_per_epoch),
      field("dataset_bytes", &RunSpec::dataset_bytes),
      field("model_files_bytes", &RunSpec::model_files_bytes),
      field("misc_bytes", &RunSpec::misc_bytes),
      field("existing_files", &RunSpec::existing_files),
      field("existing_bytes", &RunSpec::existing_bytes),
      choice<plan::Writer>(
          "writer", &RunSpec::writer,
          {{"checkroom", plan::Writer::kCheckroom}, {"lightning", plan::Writer::kLightning}}),
      field("lightning_version", &RunSpec::lightning_version),
      choice<plan::Staging>("staging", &RunSpec::staging,
                            {{"same", plan::Staging::kSame}, {"other", plan::Staging::kOther}}),
      choice<plan::LastAs>("last_as", &RunSpec::last_as,
                           {{"auto", plan::LastAs::kAuto},
                            {"link", plan::LastAs::kLink},
                            {"copy", plan::LastAs::kCopy}}),
  };
  return fields;
}

RunSpec changed(RunSpec spec, const py::dict& changes) {
  for (const auto& [key, value] : changes) {
    const auto name = key.cast<std::string>();
    const Field* found = nullptr;
    for (const Field& entry : all_fields()) {
      if (name == entry.name) found = &entry;
    }
    if (found == nullptr) throw py::type_error("RunSpec has no argument '" + name + "'");
    try {
      found->set(spec, value);
    } catch (const py::cast_error&) {
      throw py::type_error(name + "=" + py::repr(value).cast<std::string>() +
                           " has the wrong type");
    }
  }
  plan::check(spec);
  return spec;
}

py::dict as_dict(const RunSpec& spec) {
  py::dict values;
  for (const Field& entry : all_fields()) values[entry.name] = entry.get(spec);
  return values;
}

constexpr const char* kDoc =
    "What decides how many files a run will write. Lightning's own argument names.\n\n"
    "Args:\n"
    "    max_epochs: How long the run is, in epochs; -1: without an end. As Lightning, 1000 where\n"
    "        no limit is given.\n"
    "    max_steps: Likewise, in optimizer steps.\n"
    "    max_hours: Likewise, in hours.\n"
    "    steps_per_epoch: Optimizer steps of an epoch; ``None``: unknown.\n"
    "    batches_per_epoch: Training batches; ``None``: steps times accumulation.\n"
    "    accumulate_grad_batches: Batches of a step.\n"
    "    seconds_per_step: For the running time and for time triggers.\n"
    "    start_epoch: Of a resumed run.\n"
    "    start_step: Of a resumed run.\n"
    "    validates: Is there a validation loop?\n"
    "    check_val_every_n_epoch: Lightning's own; ``None``: batches are counted across epochs.\n"
    "    val_check_interval: Lightning's own: batches, or a fraction of the epoch.\n"
    "    every_n_epochs: Save every so many epochs; the default trigger, 1.\n"
    "    every_n_train_steps: Save every so many optimizer steps.\n"
    "    train_time_interval_seconds: Save every so many seconds.\n"
    "    save_on_train_epoch_end: Lightning's own.\n"
    "    save_top_k: Lightning's own; -1 keeps all.\n"
    "    monitor: The metric of the top k.\n"
    "    mode: ``\"min\"`` or ``\"max\"``.\n"
    "    save_last: Lightning's own: ``True``, ``\"link\"``, or not.\n"
    "    keep: checkroom's rules beyond the top k.\n"
    "    max_size: checkroom's cap of the directory, in bytes.\n"
    "    checkpoint_bytes: One full checkpoint.\n"
    "    weights_only_bytes: One with ``save_weights_only``.\n"
    "    save_weights_only: Lightning's own.\n"
    "    tensorboard_bytes_per_epoch: Log rate, which holds at ``log_steps_per_epoch``.\n"
    "    csv_bytes_per_epoch: Likewise.\n"
    "    log_steps_per_epoch: ``None``: ``steps_per_epoch``.\n"
    "    dataset_bytes: A fixed part beside the run.\n"
    "    model_files_bytes: Likewise.\n"
    "    misc_bytes: Likewise.\n"
    "    existing_files: What lies in the directory already, and stays.\n"
    "    existing_bytes: Likewise, in bytes.\n"
    "    writer: ``\"checkroom\"`` or ``\"lightning\"``.\n"
    "    lightning_version: Whose triggers and writer to follow.\n"
    "    staging: Is ``$TMPDIR`` on the ``\"same\"`` filesystem as the directory, or on an\n"
    "        ``\"other\"``? Only Lightning's writer stages there.\n"
    "    last_as: How checkroom makes ``last``.\n\n"
    "Raises:\n"
    "    ValueError: A value is wrong; it is quoted.\n"
    "    TypeError: An argument is unknown or has the wrong type.\n\n"
    "Example:\n"
    "    >>> import checkroom\n"
    "    >>> spec = checkroom.RunSpec(max_epochs=20, steps_per_epoch=171, every_n_epochs=5,\n"
    "    ...                          save_top_k=3, save_last=True, monitor='val_loss',\n"
    "    ...                          checkpoint_bytes=6_900_000_000)\n"
    "    >>> spec.save_count\n"
    "    4";

}  // namespace

void bind_run_spec(py::module_& module) {
  py::class_<RunSpec> bound(module, "RunSpec", kDoc);
  bound
      .def(py::init(
          [](const py::kwargs& arguments) { return changed(RunSpec(), py::dict(arguments)); }))
      .def(
          "replace",
          [](const RunSpec& self, const py::kwargs& changes) {
            return changed(self, py::dict(changes));
          },
          "A spec with some arguments changed.")
      .def_property_readonly(
          "save_count", [](const RunSpec& self) { return plan::save_count(self); },
          "Opportunities to save; None: it has no end.")
      .def("__eq__",
           [](const RunSpec& self, const py::object& other) -> py::object {
             if (!py::isinstance<RunSpec>(other)) {
               return py::reinterpret_borrow<py::object>(Py_NotImplemented);
             }
             return py::bool_(as_dict(self).equal(as_dict(other.cast<const RunSpec&>())));
           })
      .def("__hash__",
           [](const RunSpec& self) {
             return py::hash(py::make_tuple(self.save_top_k, self.checkpoint_bytes.count(),
                                            self.max_epochs, self.max_steps));
           })
      .def("__repr__",
           [](const RunSpec& self) {
             // What is not a default, as one would write it.
             const py::dict defaults = as_dict(RunSpec());
             std::string text;
             for (const auto& [name, value] : as_dict(self)) {
               if (py::object(defaults[name]).equal(py::reinterpret_borrow<py::object>(value)))
                 continue;
               text += (text.empty() ? "" : ", ") + name.cast<std::string>() + "=" +
                       py::repr(value).cast<std::string>();
             }
             return "RunSpec(" + text + ")";
           })
      .def(py::pickle([](const RunSpec& self) { return as_dict(self); },
                      [](const py::dict& state) { return changed(RunSpec(), state); }));
  for (const Field& entry : all_fields()) {
    bound.def_property_readonly(entry.name,
                                [get = entry.get](const RunSpec& self) { return get(self); });
  }
}

}  // namespace checkroom::bindings
