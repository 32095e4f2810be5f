// The core's own log: for whoever debugs checkroom, not for its users (they read Python's logging).
//
// Off unless CHECKROOM_LOG is one of trace, debug, info, warn, error. Lines go to the standard
// error, or to the file that CHECKROOM_LOG_FILE names. Thread-safe; never throws; never calls
// Python (a sink that did would deadlock between the GIL and the logger's mutex).
#pragma once

#include <string_view>

namespace checkroom {

enum class LogLevel { kTrace, kDebug, kInfo, kWarn, kError };

[[nodiscard]] bool log_enabled(LogLevel level) noexcept;
void log(LogLevel level, std::string_view room, std::string_view message) noexcept;

}  // namespace checkroom
