// Paths between Python and the core: bytes of any kind survive, as os.fsencode and os.fsdecode do.
//
// Both need the GIL. A value that is no path raises TypeError.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

namespace checkroom::bindings {

inline std::string to_path(const pybind11::handle& path) {
  PyObject* encoded = nullptr;
  if (PyUnicode_FSConverter(path.ptr(), static_cast<void*>(&encoded)) == 0)
    throw pybind11::error_already_set();
  return pybind11::reinterpret_steal<pybind11::bytes>(encoded);
}

inline pybind11::str from_path(const std::string& path) {
  PyObject* decoded =
      PyUnicode_DecodeFSDefaultAndSize(path.data(), static_cast<Py_ssize_t>(path.size()));
  if (decoded == nullptr) throw pybind11::error_already_set();
  return pybind11::reinterpret_steal<pybind11::str>(decoded);
}

}  // namespace checkroom::bindings
