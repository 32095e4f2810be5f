// Paths and names of files between Python and the core, which holds them as the bytes that they
// are.
//
// A binding takes and returns a Path: it comes as str, bytes or os.PathLike and goes as str, both
// as os.fsencode and os.fsdecode do, so that bytes of any kind survive. A value that is no path is
// refused with TypeError, one with a null byte in it with ValueError. All of it needs the GIL.
#pragma once

#include <pybind11/pybind11.h>

#include <string>
#include <string_view>
#include <vector>

namespace checkroom::bindings {

struct Path {
  std::string bytes;
};

inline pybind11::str from_path(const std::string& path) {
  PyObject* decoded =
      PyUnicode_DecodeFSDefaultAndSize(path.data(), static_cast<Py_ssize_t>(path.size()));
  if (decoded == nullptr) throw pybind11::error_already_set();
  return pybind11::reinterpret_steal<pybind11::str>(decoded);
}

inline pybind11::list from_paths(const std::vector<std::string>& paths) {
  pybind11::list list;
  for (const std::string& path : paths) list.append(from_path(path));
  return list;
}

// None where there is none.
inline pybind11::object from_path_or_none(const std::string& path) {
  if (path.empty()) return pybind11::none();
  return from_path(path);
}

// A line for people that may quote a path: what is no UTF-8 in it becomes \xNN, so that it can be
// printed anywhere.
inline pybind11::str shown(std::string_view line) {
  PyObject* decoded =
      PyUnicode_DecodeUTF8(line.data(), static_cast<Py_ssize_t>(line.size()), "backslashreplace");
  if (decoded == nullptr) throw pybind11::error_already_set();
  return pybind11::reinterpret_steal<pybind11::str>(decoded);
}

}  // namespace checkroom::bindings

namespace pybind11::detail {

template <>
struct type_caster<checkroom::bindings::Path> {
  PYBIND11_TYPE_CASTER(checkroom::bindings::Path, io_name("str | bytes | os.PathLike", "str"));

  bool load(handle source, bool /*convert*/) {
    PyObject* encoded = nullptr;
    if (PyUnicode_FSConverter(source.ptr(), static_cast<void*>(&encoded)) == 0) {
      if (PyErr_ExceptionMatches(PyExc_TypeError) == 0) throw error_already_set();
      PyErr_Clear();
      return false;
    }
    value.bytes = reinterpret_steal<bytes>(encoded);
    return true;
  }

  static handle cast(const checkroom::bindings::Path& path, return_value_policy /*policy*/,
                     handle /*parent*/) {
    return checkroom::bindings::from_path(path.bytes).release();
  }
};

}  // namespace pybind11::detail
