#include "bindings.h"

namespace py = pybind11;

namespace checkroom::bindings {

void bind_retention(py::module_& /*module*/) {}

}  // namespace checkroom::bindings
