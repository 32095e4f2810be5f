#include <pybind11/stl.h>

#include <string>
#include <utility>
#include <vector>

#include "archive/layout.h"
#include "bindings.h"

namespace py = pybind11;

namespace checkroom::bindings {
namespace {

std::int64_t archive_size(const std::vector<std::pair<std::string, std::int64_t>>& records,
                          const std::string& prefix, std::int64_t alignment) {
  const py::gil_scoped_release unlocked;
  archive::Layout layout(prefix, alignment);
  for (const auto& [name, size] : records) layout.add(name, size);
  return layout.file_size().count();
}

}  // namespace

void bind_archive(py::module_& module) {
  module.def(
      "archive_size", &archive_size, py::arg("records"), py::kw_only(),
      py::arg("prefix") = "archive", py::arg("alignment") = archive::kDefaultAlignment,
      "Bytes of the zip that torch.save would write for these records.\n\n"
      "Args:\n    records: Name (without the prefix) and bytes of every record, in file order.\n"
      "    prefix: The folder inside of the zip; 'archive' for every file object.\n"
      "    alignment: Bytes to a multiple of which each record's data is moved, 1 to 65536.\n\n"
      "Returns:\n    The size of the file in bytes.\n\n"
      "Raises:\n    ValueError: PyTorch could not write that either.\n"
      "    OverflowError: The file would be larger than 64 bits can say.\n\n"
      "Example:\n    >>> from checkroom import _core\n"
      "    >>> _core.archive_size([('data.pkl', 6), ('version', 2)])\n    431");
}

}  // namespace checkroom::bindings
