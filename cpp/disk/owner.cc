#include "disk/owner.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <vector>

namespace checkroom::disk {
namespace {

// A machine that shares its name with another may be alive: give it time to write once more.
constexpr double kSharedIdle = 3600;

constexpr std::size_t kParts = 6;
constexpr const char* kUnknownBoot = "00000000";

std::string read_small_file(const std::string& path) {
  std::ifstream stream(path);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

std::string hex8(std::uint32_t value) {
  std::array<char, 9> text = {};
  static_cast<void>(std::snprintf(text.data(), text.size(), "%08x", value));
  return text.data();
}

// FNV-1a: short, and the same in every build.
std::uint32_t hash(std::string_view text) {
  std::uint32_t value = 2166136261U;
  for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 16777619U;
  return value;
}

std::string this_host() {
  std::array<char, HOST_NAME_MAX + 1> name = {};
  if (::gethostname(name.data(), name.size() - 1) != 0) return hex8(0);
  return hex8(hash(name.data()));
}

std::string this_boot() {
  std::string id = read_small_file("/proc/sys/kernel/random/boot_id");
  id.erase(std::remove(id.begin(), id.end(), '-'), id.end());
  return id.size() >= 8 ? id.substr(0, 8) : kUnknownBoot;
}

std::uint64_t this_namespace() {
  struct stat found = {};
  return ::stat("/proc/self/ns/pid", &found) == 0 ? found.st_ino : 0;
}

template <typename T>
std::optional<T> parse_number(std::string_view text) {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return {};
  return value;
}

bool is_hex8(std::string_view text) {
  return text.size() == 8 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (std::size_t start = 0;;) {
    const std::size_t end = text.find(separator, start);
    parts.push_back(text.substr(start, end - start));
    if (end == std::string_view::npos) return parts;
    start = end + 1;
  }
}

struct ProcessRecord {
  char state = '?';
  std::uint64_t threads = 0;
  std::uint64_t started = 0;
};

// What /proc says of a process; empty where it says nothing.
std::optional<ProcessRecord> read_process(std::int64_t pid) {
  const std::string line = read_small_file("/proc/" + std::to_string(pid) + "/stat");
  // "pid (name) state ppid ...": the name may hold blanks and brackets, so count from the last one.
  const std::size_t bracket = line.rfind(')');
  if (bracket == std::string::npos || bracket + 2 >= line.size()) return std::nullopt;
  const auto fields = split(std::string_view(line).substr(bracket + 2), ' ');
  // Fields 3, 20 and 22 of proc(5), counted from field 3.
  constexpr std::size_t kState = 0;
  constexpr std::size_t kThreads = 17;
  constexpr std::size_t kStarted = 19;
  if (fields.size() <= kStarted || fields[kState].empty()) return std::nullopt;
  const auto threads = parse_number<std::uint64_t>(fields[kThreads]);
  const auto started = parse_number<std::uint64_t>(fields[kStarted]);
  if (!threads || !started) return std::nullopt;
  return ProcessRecord{fields[kState].front(), *threads, *started};
}

}  // namespace

std::int64_t process_id() { return ::getpid(); }

bool process_lives(std::int64_t pid, std::uint64_t started) {
  if (::kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH) return false;
  const std::optional<ProcessRecord> record = read_process(pid);
  if (!record) return true;  // it is there, but hidden from us: it may be the one
  if (started != 0 && record->started != started) return false;
  // A zombie has closed its files: it writes no more. Unless only its first thread has ended.
  return (record->state != 'Z' && record->state != 'X') || record->threads > 1;
}

Owner current_owner() {
  static const std::string host = this_host();
  static const std::string boot = this_boot();
  Owner owner;
  owner.host = host;
  owner.boot = boot;
  owner.namespace_ = this_namespace();
  owner.pid = process_id();
  owner.started = read_process(owner.pid).value_or(ProcessRecord{}).started;
  return owner;
}

std::string owned_name(std::string_view name, const Owner& owner, std::string_view suffix) {
  static std::atomic<std::uint64_t> sequence = 0;
  std::string tail = "." + owner.host + "-" + owner.boot + "-" + std::to_string(owner.namespace_) +
                     "-" + std::to_string(owner.pid) + "-" + std::to_string(owner.started) + "-" +
                     std::to_string(sequence++);
  tail += suffix;
  std::size_t length = NAME_MAX - std::min<std::size_t>(NAME_MAX, tail.size());
  // Some filesystems take no half characters.
  const auto continues = [&] {
    return (static_cast<unsigned char>(name[length]) & 0xC0U) == 0x80U;
  };
  if (length < name.size()) {
    while (length > 0 && continues()) --length;
  }
  return std::string(name.substr(0, length)) + tail;
}

std::optional<Owner> parse_owned_name(std::string_view owned, std::string_view suffix) {
  if (!owned.ends_with(suffix)) return std::nullopt;
  owned.remove_suffix(suffix.size());
  const std::size_t dot = owned.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const auto parts = split(owned.substr(dot + 1), '-');
  if (parts.size() != kParts || !is_hex8(parts[0]) || !is_hex8(parts[1])) return std::nullopt;
  const auto name_space = parse_number<std::uint64_t>(parts[2]);
  const auto pid = parse_number<pid_t>(parts[3]);
  const auto started = parse_number<std::uint64_t>(parts[4]);
  if (!name_space || !pid || *pid <= 0 || !started) return std::nullopt;
  if (!parse_number<std::uint64_t>(parts[5])) return std::nullopt;
  return Owner{std::string(parts[0]), std::string(parts[1]), *name_space, *pid, *started};
}

bool provably_dead(const Owner& owner, const Owner& self, const Evidence& evidence) {
  const bool by_lock = evidence.lock_is_free && evidence.idle_seconds >= kLockSettled;
  if (owner.boot == kUnknownBoot || self.boot == kUnknownBoot) return by_lock;
  if (owner.boot != self.boot) {
    if (evidence.local_filesystem) return true;
    return owner.host == self.host && evidence.idle_seconds >= kSharedIdle;
  }
  if (owner.namespace_ == self.namespace_ && owner.namespace_ != 0) return !evidence.process_lives;
  return by_lock;
}

}  // namespace checkroom::disk
