// What module.cc lists: one function a topic, each in the file of its name.
#pragma once

#include <pybind11/pybind11.h>

namespace checkroom::bindings {

void bind_errors(pybind11::module_& module);
void bind_base(pybind11::module_& module);
void bind_policy(pybind11::module_& module);
void bind_retention(pybind11::module_& module);
void bind_forecast(pybind11::module_& module);
void bind_admission(pybind11::module_& module);
void bind_advice(pybind11::module_& module);
void bind_disk(pybind11::module_& module);
void bind_archive(pybind11::module_& module);
void bind_store(pybind11::module_& module);

}  // namespace checkroom::bindings
