// The run spec's own file: bind_forecast() lists it.
#pragma once

#include <pybind11/pybind11.h>

#include "plan/forecast.h"

namespace checkroom::bindings {

void bind_run_spec(pybind11::module_& module);

}  // namespace checkroom::bindings
