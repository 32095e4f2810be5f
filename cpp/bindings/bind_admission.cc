#include <pybind11/stl.h>

#include <cstdint>
#include <optional>

#include "bindings.h"
#include "plan/admission.h"
#include "sizes.h"

namespace py = pybind11;

namespace checkroom::bindings {
namespace {

const char* text(plan::AdmissionVerdict verdict) {
  switch (verdict) {
    case plan::AdmissionVerdict::kAdmit:
      return "admit";
    case plan::AdmissionVerdict::kPruneFirst:
      return "prune_first";
    case plan::AdmissionVerdict::kWait:
      return "wait";
    case plan::AdmissionVerdict::kRefuse:
      break;
  }
  return "refuse";
}

const char* text(plan::Limit limit) {
  switch (limit) {
    case plan::Limit::kFilesystem:
      return "filesystem";
    case plan::Limit::kCap:
      return "cap";
    case plan::Limit::kFloor:
      return "floor";
    case plan::Limit::kInodes:
      return "inodes";
    case plan::Limit::kQuota:
      return "quota";
    case plan::Limit::kLeases:
      return "leases";
    case plan::Limit::kNone:
      break;
  }
  return "none";
}

}  // namespace

void bind_admission(py::module_& module) {
  using plan::Admission;
  py::class_<Admission>(
      module, "Admission",
      "May this save start now? What admit() answers.\n\n"
      "Example:\n    >>> import checkroom\n"
      "    >>> admission = checkroom.admit(file_bytes=10**9, available=6 * 10**8)\n"
      "    >>> admission.verdict, admission.limit, admission.short_by > 4 * 10**8\n"
      "    ('refuse', 'filesystem', True)")
      .def_property_readonly(
          "verdict", [](const Admission& self) { return text(self.verdict); },
          "admit, prune_first, wait or refuse.")
      .def_property_readonly(
          "need", [](const Admission& self) { return self.need.count(); },
          "Bytes that the save needs.")
      .def_property_readonly(
          "have", [](const Admission& self) { return self.have.count(); },
          "Bytes that it can have.")
      .def_property_readonly(
          "short_by", [](const Admission& self) { return self.short_by.count(); },
          "Bytes that must come free: more than need less have where the floor is eaten into "
          "already.")
      .def_property_readonly(
          "limit", [](const Admission& self) { return text(self.limit); },
          "What limits, also where it fits: filesystem, quota, cap, floor, inodes, leases or none.")
      .def_property_readonly(
          "unknown", [](const Admission& self) { return self.unknown; },
          "Did the filesystem not say what is free, so that the cap alone decided?")
      .def("__repr__", [](const Admission& self) {
        return py::str("Admission({!r}, need={}, have={}, short_by={}, limit={!r})")
            .format(text(self.verdict), self.need.count(), self.have.count(), self.short_by.count(),
                    text(self.limit));
      });
  module.def(
      "admit",
      [](std::int64_t file, std::int64_t last_copy, std::optional<std::int64_t> available,
         std::optional<std::int64_t> quota, std::optional<std::int64_t> cap, std::int64_t used,
         std::int64_t floor, std::int64_t leases, std::optional<std::int64_t> inodes,
         std::int64_t displaced, bool can_wait) {
        return plan::admit({Bytes(file), Bytes(last_copy), to_bytes(available), to_bytes(quota),
                            to_bytes(cap), Bytes(used), Bytes(floor), Bytes(leases), inodes,
                            Bytes(displaced), can_wait});
      },
      py::kw_only(), py::arg("file_bytes"), py::arg("last_copy_bytes") = 0, py::arg("available"),
      py::arg("quota") = py::none(), py::arg("cap") = py::none(), py::arg("used") = 0,
      py::arg("floor") = 0, py::arg("leases") = 0, py::arg("inodes") = py::none(),
      py::arg("displaced_bytes") = 0, py::arg("can_wait") = false,
      "May a save start? A verdict from figures, all in bytes.\n\n"
      "Args:\n"
      "    file_bytes: The file that is to be written.\n"
      "    last_copy_bytes: A copy of it that shares no blocks, as ``last``.\n"
      "    available: What the filesystem has for an ordinary user; ``None``: unknown, the cap\n"
      "        decides.\n"
      "    quota: What a quota leaves; ``None``: there is none.\n"
      "    cap: What the directory may hold; ``None``: no cap.\n"
      "    used: What it holds.\n"
      "    floor: What has to stay free.\n"
      "    leases: What other runs have reserved.\n"
      "    inodes: Files that can still be made; ``None``: not counted.\n"
      "    displaced_bytes: What the save would let go first.\n"
      "    can_wait: Is waiting for room worth it?\n\n"
      "Returns:\n    The verdict with its figures.\n\n"
      "Raises:\n    ValueError: A figure is negative.\n\n"
      "Example:\n    >>> import checkroom\n"
      "    >>> checkroom.admit(file_bytes=100, available=10**9, cap=150, used=60).limit\n"
      "    'cap'");
}

}  // namespace checkroom::bindings
