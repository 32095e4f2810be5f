#include <pybind11/stl.h>

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "archive/layout.h"
#include "archive/writer.h"
#include "base/error.h"
#include "bindings.h"
#include "buffers.h"
#include "disk/filesystem.h"
#include "paths.h"
#include "staged_handle.h"
#include "store/inspect.h"

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

void bind_size(py::module_& module) {
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

// A small file in memory: what feature detection and tests write to.
class MemorySink final : public Sink {
 public:
  std::span<std::byte> room() override { return window_; }
  void commit(std::size_t bytes) override {
    const auto added = std::span(window_).first(bytes);
    bytes_.insert(bytes_.end(), added.begin(), added.end());
  }
  [[nodiscard]] const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> window_ = std::vector<std::byte>(std::size_t{1} << 16U);
  std::vector<std::byte> bytes_;
};

// The writer, on a staged file or in memory. Python threads may meet here while the GIL is
// released: the mutex of the staged file, or its own, gives one a turn.
class ArchiveHandle {
 public:
  ArchiveHandle(StagedHandle* staged, const archive::WriterOptions& options) : staged_(staged) {
    if (staged_ == nullptr) {
      writer_ = std::make_unique<archive::Writer>(memory_, options);
    } else {
      staged_->with([&](disk::StagedFile& file) {
        writer_ = std::make_unique<archive::Writer>(file, options);
      });
    }
  }

  template <typename Action>
  auto with(Action action) {
    if (staged_ == nullptr) {
      const std::lock_guard lock(mutex_);
      return action(*writer_);
    }
    return staged_->with([&](disk::StagedFile& /*file*/) { return action(*writer_); });
  }
  py::bytes value() const {
    const std::vector<std::byte>& bytes = memory_.bytes();
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

 private:
  StagedHandle* staged_;
  std::mutex mutex_;
  MemorySink memory_;
  std::unique_ptr<archive::Writer> writer_;
};

std::span<const std::byte> memory_at(std::uintptr_t address, std::int64_t bytes) {
  if (bytes < 0) throw Error::invalid("a memory of " + std::to_string(bytes) + " bytes");
  if (address == 0 && bytes > 0) throw Error::invalid("memory at address 0");
  // PyTorch gives the address of a storage as a number.
  const auto* start =
      reinterpret_cast<const std::byte*>(address);  // NOLINT(performance-no-int-to-ptr)
  return {start, static_cast<std::size_t>(bytes)};
}

void bind_writer(py::module_& module) {
  py::class_<ArchiveHandle>(
      module, "ArchiveWriter", py::is_final(), py::release_gil_before_calling_cpp_dtor(),
      "Writes PyTorch's zip, byte for byte, record after record.\n\n"
      "Data are copied before a call returns; the checksum is that of the copy. After an error the "
      "file is lost: abandon it.\n\n"
      "Args:\n    target: The staged file; None: memory, see ``value``.\n"
      "    prefix: The folder inside of the zip.\n"
      "    alignment: Bytes to a multiple of which each record's data is moved, 1 to 65536.\n"
      "    compute_crc: Do the records have checksums?\n\n"
      "Example:\n    >>> from checkroom import _core\n"
      "    >>> writer = _core.ArchiveWriter(None)\n"
      "    >>> writer.write('data.pkl', b'\\x80\\x02}q\\x00.')\n"
      "    >>> writer.finish() == len(writer.value())\n    True")
      .def(py::init([](StagedHandle* target, const std::string& prefix, std::int64_t alignment,
                       bool compute_crc) {
             return std::make_unique<ArchiveHandle>(
                 target, archive::WriterOptions{prefix, alignment, compute_crc});
           }),
           py::arg("target").none(true), py::kw_only(), py::arg("prefix") = "archive",
           py::arg("alignment") = archive::kDefaultAlignment, py::arg("compute_crc") = true,
           py::keep_alive<1, 2>())
      .def(
          "write",
          [](ArchiveHandle& handle, const std::string& name, const py::object& data) {
            const ContiguousBuffer buffer(data);
            const py::gil_scoped_release release;
            handle.with([&](archive::Writer& writer) { writer.record(name, buffer.bytes()); });
          },
          py::arg("name"), py::arg("data"), "Writes a record from a contiguous buffer.")
      .def(
          "write_memory",
          [](ArchiveHandle& handle, const std::string& name, std::uintptr_t address,
             std::int64_t bytes) {
            const std::span<const std::byte> memory = memory_at(address, bytes);
            const py::gil_scoped_release release;
            handle.with([&](archive::Writer& writer) { writer.record(name, memory); });
          },
          py::arg("name"), py::arg("address"), py::arg("bytes"),
          "Writes a record from memory that the caller keeps alive: address and length in bytes.")
      .def(
          "begin",
          [](ArchiveHandle& handle, const std::string& name, std::int64_t bytes) {
            const py::gil_scoped_release release;
            handle.with([&](archive::Writer& writer) { writer.begin(name, bytes); });
          },
          py::arg("name"), py::arg("bytes"),
          "Begins a record that comes in pieces; ``append_memory`` for each, then ``end``.")
      .def(
          "append_memory",
          [](ArchiveHandle& handle, std::uintptr_t address, std::int64_t bytes) {
            const std::span<const std::byte> memory = memory_at(address, bytes);
            const py::gil_scoped_release release;
            handle.with([&](archive::Writer& writer) { writer.append(memory); });
          },
          py::arg("address"), py::arg("bytes"),
          "The next piece of the record: address and length in bytes.")
      .def(
          "end",
          [](ArchiveHandle& handle) {
            const py::gil_scoped_release release;
            handle.with([](archive::Writer& writer) { writer.end(); });
          },
          "The record is complete.")
      .def(
          "finish",
          [](ArchiveHandle& handle) {
            const py::gil_scoped_release release;
            return handle.with([](archive::Writer& writer) { return writer.finish().count(); });
          },
          "Adds what PyTorch adds, and the directory; returns the bytes of the file.")
      .def("value", &ArchiveHandle::value, "What was written into memory.");
}

// Python threads may meet here while the GIL is released.
class CheckHandle {
 public:
  explicit CheckHandle(const std::string& path) : check_(disk::posix_filesystem(), path) {}

  template <typename Action>
  auto with(Action action) {
    const py::gil_scoped_release release;
    const std::lock_guard lock(mutex_);
    return action(check_);
  }

 private:
  std::mutex mutex_;
  store::FileCheck check_;
};

void bind_check(py::module_& module) {
  py::class_<CheckHandle>(
      module, "ArchiveCheck", py::is_final(), py::release_gil_before_calling_cpp_dtor(),
      "Reads a file that torch.save wrote back from the disk, in bounded memory, and compares the "
      "records' checksums.\n\n"
      "Args:\n    path: The file; no symbolic link.\n\n"
      "Raises:\n    OSError: It cannot be read.\n    ValueError: It is no regular file.")
      .def(py::init([](const Path& path) {
             const py::gil_scoped_release release;
             return std::make_unique<CheckHandle>(path.bytes);
           }),
           py::arg("path"))
      .def_property_readonly(
          "bytes",
          [](CheckHandle& handle) {
            return handle.with([](auto& check) { return check.bytes(); });
          },
          "Bytes of all records; 0 where it is no zip.")
      .def_property_readonly(
          "records",
          [](CheckHandle& handle) {
            return handle.with([](auto& check) { return check.records(); });
          },
          "How many there are.")
      .def_property_readonly(
          "has_checksums",
          [](CheckHandle& handle) {
            return handle.with([](auto& check) { return check.has_checksums(); });
          },
          "False: it was written without any, so that only its structure can be checked.")
      .def(
          "step",
          [](CheckHandle& handle) { return handle.with([](auto& check) { return check.step(); }); },
          "Reads on; returns the bytes that were read, 0: it is complete.")
      .def_property_readonly(
          "fault",
          [](CheckHandle& handle) -> py::object {
            const auto fault = handle.with([](auto& check) { return check.fault(); });
            if (!fault) return py::none();
            return py::make_tuple(shown(fault->record), shown(fault->what));
          },
          "What is wrong: the record (empty: the file as a whole) and what about it; None: nothing "
          "so far.");
}

}  // namespace

void bind_archive(py::module_& module) {
  bind_size(module);
  bind_writer(module);
  bind_check(module);
}

}  // namespace checkroom::bindings
