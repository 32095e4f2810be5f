// Layout: where things lie in a guarded directory, and which names may be used there.
//
// Values and one check; any thread. docs/formats.md describes every name.
#pragma once

#include <string>
#include <string_view>

#include "disk/publish.h"

namespace checkroom::store {

struct Layout {
  std::string root;  // the directory of the checkpoints

  [[nodiscard]] std::string path(std::string_view name) const {
    return root + "/" + std::string(name);
  }
  [[nodiscard]] std::string house() const { return root + "/.checkroom"; }
  [[nodiscard]] std::string staging() const { return house() + "/staging"; }
  [[nodiscard]] std::string trash() const { return house() + "/trash"; }
  // What was read back and is not what was written: kept for whoever wants to look at it.
  [[nodiscard]] std::string damaged() const { return house() + "/damaged"; }
  [[nodiscard]] disk::Destination destination(std::string name, bool durable) const {
    return {root, std::move(name), trash(), durable};
  }
};

// The name of everything of ours that is no checkpoint.
inline constexpr std::string_view kHouseName = ".checkroom";

// Throws Error(kInvalidArgument) unless `name` is a plain name inside the directory: no path, no
// "..", nothing of ours. Whatever a state dict or a manifest says, no other file is touched.
void check_plain_name(std::string_view name);

}  // namespace checkroom::store
