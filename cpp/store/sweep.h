// Sweep: what a dead process left in the house of ours, and what may be removed of it.
//
// A function; any thread. It removes nothing itself and throws nothing: what cannot be looked at
// stays for the next time.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "disk/filesystem.h"
#include "store/layout.h"

namespace checkroom::store {

// Paths of staged files and of trash whose owner is provably dead. Names that are not of our making
// are never among them.
std::vector<std::string> find_leftovers(disk::FileSystem& filesystem, const Layout& layout,
                                        const Clock& clock);

}  // namespace checkroom::store
