#include "base/bytes.h"
#include "bindings.h"

namespace py = pybind11;

namespace checkroom::bindings {

void bind_base(py::module_& module) {
  module.def(
      "parse_size", [](const std::string& text) { return parse_size(text).count(); },
      py::arg("text"),
      "Bytes that a text such as '6.9 GB', '27.6 GiB' or '500M' stands for.\n\n"
      "Decimal units are powers of 1000, IEC units powers of 1024.\n\n"
      "Args:\n    text: The size; a bare number is bytes.\n\n"
      "Returns:\n    The size in bytes.\n\n"
      "Raises:\n    ValueError: The text is not a size; it is quoted.\n"
      "    OverflowError: The size does not fit into 64 bits.\n\n"
      "Example:\n    >>> import checkroom\n    >>> checkroom.parse_size('6.9 GB')\n"
      "    6900000000");
  module.def(
      "format_size", [](std::int64_t n) { return format_size(Bytes(n)); }, py::arg("n"),
      "The text of a size, in decimal units with one digit after the point.\n\n"
      "Args:\n    n: Bytes; may be negative.\n\n"
      "Returns:\n    For example '6.9 GB'.\n\n"
      "Example:\n    >>> import checkroom\n    >>> checkroom.format_size(6_900_000_000)\n"
      "    '6.9 GB'");
}

}  // namespace checkroom::bindings
