// The implementation on Linux's system calls; the only place that makes them on files.

#include <dirent.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "disk/filesystem.h"
#include "disk/retry.h"

namespace checkroom::disk {
namespace {

template <typename Call>
Result<int> retry_open(Call call) {
  int fd = -1;
  const int errnum = retry([&] { return fd = call(); });
  return {fd, errnum};
}

// One call moves at most 2 GiB less a page; larger ones are cut short by the kernel anyway.
constexpr std::size_t kLargestTransfer = std::size_t{1} << 30U;

FileStatus convert(const struct stat& from) {
  FileStatus to;
  if (S_ISREG(from.st_mode)) {
    to.type = FileType::kRegular;
  } else if (S_ISDIR(from.st_mode)) {
    to.type = FileType::kDirectory;
  } else if (S_ISLNK(from.st_mode)) {
    to.type = FileType::kSymlink;
  }
  to.mode = from.st_mode & 07777U;
  to.device = from.st_dev;
  to.inode = from.st_ino;
  to.links = from.st_nlink;
  to.size = from.st_size;
  to.allocated = static_cast<std::int64_t>(from.st_blocks) * 512;
  to.modified =
      static_cast<double>(from.st_mtim.tv_sec) + static_cast<double>(from.st_mtim.tv_nsec) * 1e-9;
  return to;
}

class PosixFileSystem final : public FileSystem {
 public:
  Result<int> create(const std::string& path) override {
    constexpr int kFlags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    return retry_open([&] { return ::open(path.c_str(), kFlags, 0666); });
  }

  Result<int> open_read(const std::string& path) override {
    // Non-blocking, or opening a FIFO that somebody put there would wait for ever.
    constexpr int kFlags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
    return retry_open([&] { return ::open(path.c_str(), kFlags); });
  }

  Result<int> open_directory(const std::string& path) override {
    // The checkpoint directory itself may well be a link of the user's: this one follows.
    constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    return retry_open([&] { return ::open(path.c_str(), kFlags); });
  }

  Result<std::size_t> write(int fd, std::span<const std::byte> bytes,
                            std::int64_t offset) override {
    const std::size_t count = std::min(bytes.size(), kLargestTransfer);
    ssize_t written = 0;
    const int errnum = retry([&] { return written = ::pwrite(fd, bytes.data(), count, offset); });
    return {errnum == 0 ? static_cast<std::size_t>(written) : 0, errnum};
  }

  Result<std::size_t> read(int fd, std::span<std::byte> bytes, std::int64_t offset) override {
    const std::size_t count = std::min(bytes.size(), kLargestTransfer);
    ssize_t got = 0;
    const int errnum = retry([&] { return got = ::pread(fd, bytes.data(), count, offset); });
    return {errnum == 0 ? static_cast<std::size_t>(got) : 0, errnum};
  }

  int reserve(int fd, std::int64_t bytes) override {
    // Never posix_fallocate: where the filesystem cannot, glibc writes into every block.
    return retry([&] { return ::fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, bytes); });
  }

  int truncate(int fd, std::int64_t size) override {
    return retry([&] { return ::ftruncate(fd, size); });
  }

  int set_direct(int fd, bool direct) override {
    int flags = 0;
    const int errnum = retry([&] { return flags = ::fcntl(fd, F_GETFL); });
    if (errnum != 0) return errnum;
    flags = direct ? flags | O_DIRECT : flags & ~O_DIRECT;
    return retry([&] { return ::fcntl(fd, F_SETFL, flags); });
  }

  int write_back(int fd, std::int64_t offset, std::int64_t bytes, bool wait) override {
    const unsigned flags =
        wait ? SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER
             : SYNC_FILE_RANGE_WRITE;
    return retry([&] { return ::sync_file_range(fd, offset, bytes, flags); });
  }

  int drop_cache(int fd, std::int64_t offset, std::int64_t bytes) override {
    return ::posix_fadvise(fd, offset, bytes, POSIX_FADV_DONTNEED);
  }

  int sync(int fd) override {
    return retry([&] { return ::fsync(fd); });
  }

  int sync_filesystem(int fd) override {
    return retry([&] { return ::syncfs(fd); });
  }

  int close(int fd) override {
    // Linux frees the descriptor even when a signal came: a second close could hit another file.
    const int result = ::close(fd);
    return result == 0 || errno == EINTR ? 0 : errno;
  }

  int reflink(int target_fd, int source_fd) override {
    return retry([&] { return ::ioctl(target_fd, FICLONE, source_fd); });
  }

  int lock(int fd) override {
    return retry([&] { return ::flock(fd, LOCK_EX | LOCK_NB); });
  }

  Result<FileStatus> status_of(int fd) override {
    struct stat found = {};
    const int errnum = retry([&] { return ::fstat(fd, &found); });
    return {errnum == 0 ? convert(found) : FileStatus{}, errnum};
  }

  Result<std::vector<Extent>> shared_extents(int fd) override;

  int rename(const std::string& from, const std::string& to) override {
    return retry([&] { return ::rename(from.c_str(), to.c_str()); });
  }

  int exchange(const std::string& one, const std::string& other) override {
    return retry([&] {
      return ::renameat2(AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), RENAME_EXCHANGE);
    });
  }

  int link(const std::string& existing, const std::string& name) override {
    return retry([&] { return ::link(existing.c_str(), name.c_str()); });
  }

  int symlink(const std::string& target, const std::string& name) override {
    return retry([&] { return ::symlink(target.c_str(), name.c_str()); });
  }

  int unlink(const std::string& path) override {
    return retry([&] { return ::unlink(path.c_str()); });
  }

  int make_directory(const std::string& path) override {
    return retry([&] { return ::mkdir(path.c_str(), 0777); });
  }

  int remove_directory(const std::string& path) override {
    return retry([&] { return ::rmdir(path.c_str()); });
  }

  Result<FileStatus> status(const std::string& path) override {
    struct stat found = {};
    const int errnum = retry([&] { return ::lstat(path.c_str(), &found); });
    return {errnum == 0 ? convert(found) : FileStatus{}, errnum};
  }

  Result<FileStatus> status_of_target(const std::string& path) override {
    struct stat found = {};
    const int errnum = retry([&] { return ::stat(path.c_str(), &found); });
    return {errnum == 0 ? convert(found) : FileStatus{}, errnum};
  }

  Result<Volume> volume(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Result<std::string> read_link(const std::string& path) override;
};

Result<std::vector<Extent>> PosixFileSystem::shared_extents(int fd) {
  constexpr std::uint32_t kBatch = 256;
  // fiemap ends in a flexible array: room for its extents follows in the same buffer.
  std::vector<std::uint64_t> buffer(
      (sizeof(struct fiemap) + kBatch * sizeof(struct fiemap_extent)) / sizeof(std::uint64_t) + 1);
  std::vector<Extent> shared;
  for (std::uint64_t start = 0;;) {
    std::fill(buffer.begin(), buffer.end(), 0);
    auto* map = reinterpret_cast<struct fiemap*>(buffer.data());
    map->fm_start = start;
    map->fm_length = FIEMAP_MAX_OFFSET - start;
    map->fm_extent_count = kBatch;
    const int errnum = retry([&] { return ::ioctl(fd, FS_IOC_FIEMAP, map); });
    if (errnum != 0) return {{}, errnum};
    const std::span<const struct fiemap_extent> extents(&map->fm_extents[0],
                                                        map->fm_mapped_extents);
    if (extents.empty()) return {std::move(shared), 0};
    for (const struct fiemap_extent& extent : extents) {
      constexpr std::uint32_t kNoPlace = FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DATA_INLINE;
      if ((extent.fe_flags & FIEMAP_EXTENT_SHARED) != 0 && (extent.fe_flags & kNoPlace) == 0) {
        shared.push_back({extent.fe_physical, extent.fe_length});
      }
    }
    if ((extents.back().fe_flags & FIEMAP_EXTENT_LAST) != 0) return {std::move(shared), 0};
    start = extents.back().fe_logical + extents.back().fe_length;
  }
}

Result<Volume> PosixFileSystem::volume(const std::string& path) {
  struct statfs found = {};
  const int errnum = retry([&] { return ::statfs(path.c_str(), &found); });
  if (errnum != 0) return {{}, errnum};
  // Counts are in units of the fragment size; old filesystems leave it 0.
  const auto unit = static_cast<std::uint64_t>(found.f_frsize > 0 ? found.f_frsize : found.f_bsize);
  const auto bytes = [unit](std::uint64_t blocks) {
    std::uint64_t product = 0;
    return __builtin_mul_overflow(blocks, unit, &product) ? UINT64_MAX : product;
  };
  Volume volume;
  volume.total = bytes(found.f_blocks);
  volume.free = bytes(found.f_bfree);
  volume.available = bytes(found.f_bavail);
  volume.inodes = found.f_files;
  volume.inodes_available = found.f_ffree;
  volume.magic = static_cast<std::uint64_t>(found.f_type) & UINT32_MAX;
  return {volume, 0};
}

Result<std::vector<std::string>> PosixFileSystem::list(const std::string& directory) {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  const Result<int> opened = retry_open([&] { return ::open(directory.c_str(), kFlags); });
  if (!opened.ok()) return {{}, opened.errnum};
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(opened.value), ::closedir);
  if (!stream) {
    const int errnum = errno;
    static_cast<void>(close(opened.value));
    return {{}, errnum};
  }
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const struct dirent* entry = ::readdir(stream.get());
    if (entry == nullptr) {
      if (errno != 0) return {{}, errno};
      break;
    }
    const char* name = &entry->d_name[0];
    if (std::strcmp(name, ".") != 0 && std::strcmp(name, "..") != 0) names.emplace_back(name);
  }
  // A directory's own order is the filesystem's whim; callers get one that repeats.
  std::sort(names.begin(), names.end());
  return {std::move(names), 0};
}

Result<std::string> PosixFileSystem::read_link(const std::string& path) {
  std::array<char, 4097> buffer = {};
  ssize_t length = 0;
  const int errnum =
      retry([&] { return length = ::readlink(path.c_str(), buffer.data(), buffer.size()); });
  if (errnum != 0) return {{}, errnum};
  if (static_cast<std::size_t>(length) == buffer.size()) return {{}, ENAMETOOLONG};
  return {std::string(buffer.data(), static_cast<std::size_t>(length)), 0};
}

}  // namespace

FileSystem& posix_filesystem() {
  static PosixFileSystem instance;
  return instance;
}

}  // namespace checkroom::disk
