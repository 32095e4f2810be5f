#include <pybind11/stl.h>

#include <optional>

#include "base/error.h"
#include "bindings.h"
#include "buffers.h"
#include "disk/filesystem.h"
#include "disk/free_space.h"
#include "paths.h"
#include "sizes.h"
#include "staged_handle.h"

namespace py = pybind11;

namespace checkroom::bindings {
namespace {

std::string size_text(const std::optional<Bytes>& bytes) {
  return bytes ? format_size(*bytes) : "unknown";
}

py::str free_space_repr(const disk::FreeSpace& space) {
  return py::str("FreeSpace(path={!r}, available={}, total={}, filesystem={!r}, device={!r})")
      .format(from_path(space.path), size_text(space.available), size_text(space.total),
              space.filesystem, space.device);
}

std::int64_t seek(StagedHandle& handle, std::int64_t offset, int whence) {
  const py::gil_scoped_release release;
  return handle.with([&](disk::StagedFile& file) {
    switch (whence) {
      case 0:
        break;
      case 1:
        offset = (Bytes(file.position()) + Bytes(offset)).count();
        break;
      case 2:
        offset = (file.size() + Bytes(offset)).count();
        break;
      default:
        throw Error::invalid("whence is " + std::to_string(whence) + ": it must be 0, 1 or 2");
    }
    file.seek(offset);
    return file.position();
  });
}

void bind_free_space(py::module_& module) {
  py::class_<disk::FreeSpace>(
      module, "FreeSpace", py::is_final(),
      "What a filesystem has for us. Sizes are in bytes; what the filesystem does not say, or "
      "cannot mean, is None.")
      .def_property_readonly(
          "path", [](const disk::FreeSpace& space) { return from_path(space.path); },
          "What was asked: the path, or its nearest existing parent.")
      .def_property_readonly(
          "available", [](const disk::FreeSpace& space) { return count(space.available); },
          "Bytes that an ordinary user may still take; None: unknown.")
      .def_property_readonly(
          "free", [](const disk::FreeSpace& space) { return count(space.free); },
          "Bytes that are free, those kept for root included; None: unknown.")
      .def_property_readonly(
          "total", [](const disk::FreeSpace& space) { return count(space.total); },
          "Bytes in all; None: unknown.")
      .def_readonly("inodes", &disk::FreeSpace::inodes,
                    "Files that can still be made; None: the filesystem does not count them.")
      .def_readonly("device", &disk::FreeSpace::device, "The device, as 'major:minor'.")
      .def_readonly("filesystem", &disk::FreeSpace::filesystem,
                    "The filesystem's name, or its number in statfs as '0x...'.")
      .def(
          "minus_floor",
          [](const disk::FreeSpace& space, std::int64_t floor) {
            return count(space.minus_floor(Bytes(floor)));
          },
          py::arg("floor"),
          "What is left above a floor.\n\n"
          "Args:\n    floor: Bytes that must stay free.\n\n"
          "Returns:\n    Bytes, never below 0; None where the space is unknown.\n\n"
          "Example:\n    >>> import checkroom\n    >>> space = checkroom.free_space('/')\n"
          "    >>> space.minus_floor(0) == space.available\n    True")
      .def("__repr__", &free_space_repr);

  module.def(
      "free_space",
      [](const Path& path) { return disk::free_space(disk::posix_filesystem(), path.bytes); },
      py::arg("path"), py::call_guard<py::gil_scoped_release>(),
      "What the filesystem of a path has for us.\n\n"
      "Args:\n    path: A path; it need not exist yet, then its nearest existing parent is "
      "asked.\n\n"
      "Returns:\n    The figures, in bytes.\n\n"
      "Raises:\n    OSError: The path cannot be looked at.\n    ValueError: The path is empty.\n\n"
      "Example:\n    >>> import checkroom\n    >>> space = checkroom.free_space('/not/yet/there')\n"
      "    >>> space.path\n    '/'");
}

void bind_staged_file(py::module_& module) {
  py::class_<StagedHandle>(
      module, "StagedFile", py::is_final(), py::release_gil_before_calling_cpp_dtor(),
      "A file that is being written under a temporary name with its blocks reserved.\n\n"
      "``Store.stage`` makes one, ``Store.publish`` gives it its final name. It is a file object "
      "for writing, so ``torch.save(obj, staged)`` works. After the first failure nothing of it is "
      "left on the disk, and every later call raises that failure again.")
      .def_property_readonly(
          "path", [](const StagedHandle& handle) { return from_path(handle.path()); },
          "The temporary name.")
      .def_property_readonly(
          "bytes_written",
          [](StagedHandle& handle) {
            const py::gil_scoped_release release;
            return handle.with([](disk::StagedFile& file) { return file.size().count(); });
          },
          "How long the file is, in bytes.")
      .def_property_readonly(
          "reserved",
          [](StagedHandle& handle) {
            const py::gil_scoped_release release;
            return handle.with([](disk::StagedFile& file) { return file.reserved(); });
          },
          "Are blocks reserved? False before ``reserve`` and where the filesystem cannot.")
      .def(
          "reserve",
          [](StagedHandle& handle, std::int64_t bytes) {
            const py::gil_scoped_release release;
            handle.with([bytes](disk::StagedFile& file) { file.reserve(Bytes(bytes)); });
          },
          py::arg("bytes"),
          "Takes the blocks for the whole file, now or never.\n\n"
          "Args:\n    bytes: How long the file will be.\n\n"
          "Raises:\n    DiskFullError: There is no room; no block stays taken.\n"
          "    OSError: The disk failed.")
      .def(
          "write",
          [](StagedHandle& handle, const py::object& data) {
            const ContiguousBuffer buffer(data);
            {
              const py::gil_scoped_release release;
              handle.with([&](disk::StagedFile& file) { file.write(buffer.bytes()); });
            }
            return buffer.bytes().size();
          },
          py::arg("data"),
          "Writes all of a contiguous buffer.\n\n"
          "Args:\n    data: Any object with a buffer: bytes, a memoryview, an array.\n\n"
          "Returns:\n    Its length in bytes.\n\n"
          "Raises:\n    DiskFullError: There is no room; nothing of the file stays.\n"
          "    OSError: The disk failed; nothing of the file stays.")
      .def(
          "flush",
          [](StagedHandle& handle) {
            const py::gil_scoped_release release;
            handle.with([](disk::StagedFile& file) { file.seal(false); });
          },
          "All that was written is in the file, and can be read back; it need not be on the "
          "disk.\n\n"
          "Raises:\n    DiskFullError: There is no room; nothing of the file stays.\n"
          "    OSError: The disk failed; nothing of the file stays.")
      .def(
          "tell",
          [](StagedHandle& handle) {
            const py::gil_scoped_release release;
            return handle.with([](disk::StagedFile& file) { return file.position(); });
          },
          "Where the next byte goes, in bytes from the start.")
      .def("seek", &seek, py::arg("offset"), py::arg("whence") = 0,
           "Moves to a place in the file; returns it, in bytes from the start.")
      .def(
          "abandon",
          [](StagedHandle& handle) {
            const py::gil_scoped_release release;
            handle.with([](disk::StagedFile& file) { file.abandon(); });
          },
          "Removes the file. Does nothing once it is published; never raises.")
      .def("__repr__", [](const StagedHandle& handle) {
        return py::str("StagedFile(path={!r})").format(from_path(handle.path()));
      });
}

}  // namespace

void bind_disk(py::module_& module) {
  bind_free_space(module);
  bind_staged_file(module);
}

}  // namespace checkroom::bindings
