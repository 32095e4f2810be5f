#include "bindings.h"

PYBIND11_MODULE(_core, module) {
  using namespace checkroom::bindings;
  module.doc() = "The compiled core of checkroom: values in, values out.";
  module.attr("__version__") = CHECKROOM_VERSION;
  bind_errors(module);
  bind_base(module);
  bind_policy(module);
  bind_retention(module);
  bind_forecast(module);
  bind_admission(module);
  bind_advice(module);
  bind_disk(module);
  bind_archive(module);
  bind_store(module);
}
