#include "store/layout.h"

#include "base/error.h"

namespace checkroom::store {

void check_plain_name(std::string_view name) {
  const std::string quoted = "'" + std::string(name) + "'";
  if (name.empty()) throw Error::invalid("the name of a checkpoint is empty");
  if (name == "." || name == ".." || name.find('/') != std::string_view::npos ||
      name.find('\0') != std::string_view::npos) {
    throw Error::invalid(quoted + " is not a plain name inside the directory");
  }
  if (name.starts_with(kHouseName)) {
    throw Error::invalid(quoted + " is a name that checkroom keeps for itself");
  }
}

}  // namespace checkroom::store
