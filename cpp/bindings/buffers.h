// ContiguousBuffer: the memory behind an object of Python's.
//
// Holds the buffer while it lives. Made and destroyed with the GIL; the bytes may be read without.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <span>

namespace checkroom::bindings {

// Takes any contiguous buffer, whatever its items are: what counts is the memory.
class ContiguousBuffer {
 public:
  explicit ContiguousBuffer(const pybind11::handle& object) {
    if (PyObject_GetBuffer(object.ptr(), &view_, PyBUF_SIMPLE) != 0)
      throw pybind11::error_already_set();
  }
  ~ContiguousBuffer() { PyBuffer_Release(&view_); }
  ContiguousBuffer(const ContiguousBuffer&) = delete;
  ContiguousBuffer& operator=(const ContiguousBuffer&) = delete;

  [[nodiscard]] std::span<const std::byte> bytes() const {
    return {static_cast<const std::byte*>(view_.buf), static_cast<std::size_t>(view_.len)};
  }

 private:
  Py_buffer view_ = {};
};

}  // namespace checkroom::bindings
