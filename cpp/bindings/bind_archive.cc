#include "bindings.h"

namespace py = pybind11;

namespace checkroom::bindings {

void bind_archive(py::module_& /*module*/) {}

}  // namespace checkroom::bindings
