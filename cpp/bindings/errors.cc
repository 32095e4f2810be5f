// The one place where a core Error becomes a Python exception.

#include <pybind11/pybind11.h>

#include <cerrno>
#include <exception>
#include <utility>

#include "base/error.h"
#include "bindings.h"
#include "paths.h"

namespace py = pybind11;

namespace checkroom::bindings {
namespace {

// DiskFullError(errno, strerror, path, need=..., have=..., limit=...): an OSError as well, whose
// figures survive the crossing.
void raise_no_space(const Error& error) {
  const py::object type = py::module_::import("checkroom._errors").attr("DiskFullError");
  py::dict figures;
  if (error.need()) figures["need"] = *error.need();
  if (error.have()) figures["have"] = *error.have();
  if (!error.limit().empty()) figures["limit"] = error.limit();
  const int errnum = error.errnum() != 0 ? error.errnum() : ENOSPC;
  const py::object instance =
      type(errnum, shown(error.what()), from_path_or_none(error.path()), **figures);
  PyErr_SetObject(type.ptr(), instance.ptr());
}

void raise_damaged(const Error& error) {
  const py::object type = py::module_::import("checkroom._errors").attr("DamagedFileError");
  const py::object instance = type(shown(error.what()), from_path_or_none(error.path()));
  PyErr_SetObject(type.ptr(), instance.ptr());
}

void translate(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kInvalidArgument:
      PyErr_SetObject(PyExc_ValueError, shown(error.what()).ptr());
      return;
    case ErrorCode::kOverflow:
      PyErr_SetObject(PyExc_OverflowError, shown(error.what()).ptr());
      return;
    case ErrorCode::kNoSpace:
      raise_no_space(error);
      return;
    case ErrorCode::kDamaged:
      raise_damaged(error);
      return;
    case ErrorCode::kSystem: {
      // Calling OSError picks the subclass of the errno: FileNotFoundError, PermissionError, ...
      const py::object type = py::reinterpret_borrow<py::object>(PyExc_OSError);
      const py::object instance =
          type(error.errnum(), shown(error.what()), from_path_or_none(error.path()));
      PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(instance.ptr())), instance.ptr());
      return;
    }
  }
}

}  // namespace

void bind_errors(py::module_& /*module*/) {
  py::register_exception_translator([](std::exception_ptr pointer) {
    if (!pointer) return;
    try {
      std::rethrow_exception(std::move(pointer));
    } catch (const Error& error) {
      translate(error);
    }
  });
}

}  // namespace checkroom::bindings
