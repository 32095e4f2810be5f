#include "base/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <memory>
#include <string>

namespace checkroom {
namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace:
      return spdlog::level::trace;
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::off;
}

std::shared_ptr<spdlog::logger> make_logger() {
  const char* level = std::getenv("CHECKROOM_LOG");
  const char* file = std::getenv("CHECKROOM_LOG_FILE");
  spdlog::sink_ptr sink;
  if (file != nullptr && *file != '\0') {
    try {
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file);
    } catch (const spdlog::spdlog_ex&) {
      // A log that cannot be opened must not stop a training run: the standard error has to do.
      sink.reset();
    }
  }
  if (!sink) sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  auto logger = std::make_shared<spdlog::logger>("checkroom", std::move(sink));
  const bool wanted = level != nullptr && *level != '\0';
  logger->set_level(wanted ? spdlog::level::from_str(level) : spdlog::level::off);
  logger->flush_on(spdlog::level::debug);
  return logger;
}

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = make_logger();
  return *instance;
}

}  // namespace

bool log_enabled(LogLevel level) noexcept {
  try {
    return logger().should_log(to_spdlog(level));
  } catch (...) {
    return false;
  }
}

void log(LogLevel level, std::string_view room, std::string_view message) noexcept {
  try {
    logger().log(to_spdlog(level), "{}: {}", room, message);
  } catch (...) {
    // Nothing that only wants to be told may stop the work that it tells of.
    return;
  }
}

}  // namespace checkroom
