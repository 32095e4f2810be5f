#include "disk/file_source.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>

#include "base/error.h"
#include "support/faulty_filesystem.h"
#include "support/temp_directory.h"

namespace checkroom::disk {
namespace {

using testing::FaultyFileSystem;
using testing::TempDirectory;

std::string pattern(std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>(i * 2'654'435'761U >> 13U);
  return text;
}

class ReadBack : public ::testing::Test {
 protected:
  std::string file(const std::string& text) {
    const std::string path = directory_ / "file";
    testing::write_file(path, text);
    return path;
  }
  std::string read(const std::string& path, ReadMode mode) {
    FileSource source(filesystem_, path, mode);
    std::string text(static_cast<std::size_t>(source.size()), '\0');
    source.read(0, std::as_writable_bytes(std::span(text)));
    return text;
  }

  TempDirectory directory_;
  FaultyFileSystem filesystem_{posix_filesystem()};
};

TEST_F(ReadBack, GivesTheBytesOfTheFile) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{4095}, std::size_t{4096},
                                 std::size_t{4097}, kBlockBytes, 2 * kBlockBytes + 333}) {
    const std::string text = pattern(size);
    const std::string path = file(text);
    EXPECT_TRUE(read(path, ReadMode::kWhole) == text) << size;
    EXPECT_TRUE(read(path, ReadMode::kLook) == text) << size;
    filesystem_.fail_all("direct", EINVAL);
    EXPECT_TRUE(read(path, ReadMode::kWhole) == text) << size << ", through the cache";
    filesystem_.heal();
    filesystem_.fail("read", 1, EINVAL);  // takes the flag and refuses the read
    EXPECT_TRUE(read(path, ReadMode::kWhole) == text) << size << ", refused";
    filesystem_.heal();
  }
}

TEST_F(ReadBack, LooksAtAnyPlace) {
  const std::string text = pattern(3 * kBlockBytes);
  const std::string path = file(text);
  for (const ReadMode mode : {ReadMode::kWhole, ReadMode::kLook}) {
    FileSource source(filesystem_, path, mode);
    for (const std::int64_t at : {12'000'000, 5, 4095, 4'194'303, 4'194'304, 12'582'911}) {
      EXPECT_EQ(static_cast<char>(source.view(at)[0]), text[static_cast<std::size_t>(at)]) << at;
    }
    EXPECT_THROW(static_cast<void>(source.view(-1)), Error);
    EXPECT_THROW(static_cast<void>(source.view(source.size())), Error);
  }
}

TEST_F(ReadBack, ReadsNoMoreThanItHasToWhereItOnlyLooks) {
  FileSource source(filesystem_, file(pattern(kBlockBytes)), ReadMode::kLook);
  EXPECT_LE(source.view(1'000'000).size(), 4096U);
}

TEST_F(ReadBack, EveryFailureIsTold) {
  const std::string path = file(pattern(2 * kBlockBytes));
  for (const char* op : {"open", "fstat", "read"}) {
    filesystem_.fail(op, 1, EIO);
    try {
      read(path, ReadMode::kWhole);
      ADD_FAILURE() << op;
    } catch (const Error& error) {
      EXPECT_EQ(error.errnum(), EIO) << op;
    }
    filesystem_.heal();
  }
  EXPECT_EQ(filesystem_.open_descriptors(), 0U);
}

TEST_F(ReadBack, AFileThatBecomesShorterIsAnError) {
  const std::string path = file(pattern(2 * kBlockBytes));
  for (const ReadMode mode : {ReadMode::kWhole, ReadMode::kLook}) {
    FileSource source(filesystem_, path, mode);
    static_cast<void>(source.view(0));
    std::filesystem::resize_file(path, 5000);
    EXPECT_THROW(static_cast<void>(source.view(6'000'000)), Error);
    std::filesystem::resize_file(path, 2 * kBlockBytes);
  }
}

TEST_F(ReadBack, APipeIsRefused) {
  const std::string path = directory_ / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_THROW(FileSource(filesystem_, path, ReadMode::kLook), Error);
}

}  // namespace
}  // namespace checkroom::disk
