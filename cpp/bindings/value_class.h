// What every value of Python's needs: equality and a hash.
//
// Functions on a class that is being bound; they need the GIL.
#pragma once

#include <pybind11/pybind11.h>

namespace checkroom::bindings {

// `equal(a, b)`: are two values the same?
template <typename Class, typename Equal>
void add_equality(Class& bound, Equal equal) {
  using Value = typename Class::type;
  bound.def("__eq__",
            [equal](const Value& self, const pybind11::object& other) -> pybind11::object {
              if (!pybind11::isinstance<Value>(other)) {
                return pybind11::reinterpret_borrow<pybind11::object>(Py_NotImplemented);
              }
              return pybind11::bool_(equal(self, other.cast<const Value&>()));
            });
}

// `key(value)`: something hashable that equal values have in common.
template <typename Class, typename Key>
void add_hash(Class& bound, Key key) {
  using Value = typename Class::type;
  bound.def("__hash__", [key](const Value& self) { return pybind11::hash(key(self)); });
}

}  // namespace checkroom::bindings
