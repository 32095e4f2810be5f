#include <pybind11/stl.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "bindings.h"
#include "paths.h"
#include "retention_types.h"
#include "sizes.h"
#include "staged_handle.h"
#include "store/store.h"

namespace py = pybind11;

namespace checkroom::bindings {
namespace {

std::optional<store::Depth> to_depth(const std::optional<std::string>& check) {
  if (!check) return std::nullopt;
  if (*check == "structure") return store::Depth::kStructure;
  if (*check == "whole") return store::Depth::kWhole;
  throw Error::invalid("check='" + *check + "' is neither 'structure' nor 'whole'");
}

using Unlocked = py::call_guard<py::gil_scoped_release>;

store::LastAs to_last_as(const std::string& text) {
  if (text == "auto") return store::LastAs::kAuto;
  if (text == "link") return store::LastAs::kLink;
  if (text == "copy") return store::LastAs::kCopy;
  throw Error::invalid("last_as='" + text + "' is none of 'auto', 'link', 'copy'");
}

const char* to_text(store::LastKind kind) {
  switch (kind) {
    case store::LastKind::kReflink:
      return "reflink";
    case store::LastKind::kLink:
      return "link";
    case store::LastKind::kCopy:
      return "copy";
  }
  return "copy";
}

py::list as_list(const std::vector<store::Removal>& removals) {
  py::list list;
  for (const store::Removal& removal : removals) {
    list.append(py::make_tuple(from_path(removal.name), removal.reason));
  }
  return list;
}

std::unique_ptr<store::Store> make_store(Path directory, const plan::RetentionPolicy& policy,
                                         std::int64_t min_free,
                                         std::optional<std::int64_t> max_size, bool prune_first,
                                         bool durable, const std::string& last_as) {
  store::StoreOptions options;
  options.directory = std::move(directory.bytes);
  options.policy = policy;
  options.min_free = Bytes(min_free);
  options.max_size = to_bytes(max_size);
  options.prune_first = prune_first;
  options.durable = durable;
  options.last_as = to_last_as(last_as);
  return std::make_unique<store::Store>(std::move(options));
}

void bind_save_plan(py::module_& module) {
  py::class_<store::SavePlan>(
      module, "SavePlan", py::is_final(),
      "What one save does to a directory: may it start, and what leaves because of it.")
      .def_readonly("wanted", &store::SavePlan::wanted, "Do the rules want this save at all?")
      .def_property_readonly(
          "reasons", [](const store::SavePlan& plan) { return py::tuple(py::cast(plan.reasons)); },
          "Why, or why not.")
      .def_property_readonly(
          "admission", [](const store::SavePlan& plan) { return py::cast(plan.admission); },
          "The verdict on its room; None where it is not wanted.")
      .def_property_readonly(
          "removes", [](const store::SavePlan& plan) { return as_list(plan.removes); },
          "(name, reason) of what leaves once the file is published.")
      .def_property_readonly(
          "removes_first", [](const store::SavePlan& plan) { return as_list(plan.removes_first); },
          "(name, reason) of what leaves before, because only then the file fits.")
      .def_property_readonly(
          "top_k", [](const store::SavePlan& plan) { return from_paths(plan.top_k); },
          "Names in the top k after the save, in the order of saving.")
      .def_property_readonly(
          "best", [](const store::SavePlan& plan) { return from_path_or_none(plan.best); },
          "The best after the save; None: none is known.")
      .def("__repr__", [](const store::SavePlan& plan) {
        return py::str("SavePlan(wanted={}, reasons={!r}, removes={!r}, removes_first={!r})")
            .format(plan.wanted, py::cast(plan.reasons), as_list(plan.removes),
                    as_list(plan.removes_first));
      });
}

void bind_inventory(py::class_<store::Store>& bound) {
  bound
      .def_property_readonly(
          "directory", [](const store::Store& self) { return from_path(self.directory()); },
          "The directory under guard.")
      .def(
          "adopt",
          [](store::Store& self, const std::vector<plan::Item>& items,
             const std::optional<Path>& last, const std::vector<Path>& last_files,
             const std::optional<Path>& resumed_from) {
            std::vector<std::string> files;
            for (const Path& file : last_files) files.push_back(file.bytes);
            return self.adopt(items, last.value_or(Path()).bytes,
                              resumed_from.value_or(Path()).bytes, files);
          },
          py::arg("items"), py::kw_only(), py::arg("last") = py::none(),
          py::arg("last_files") = std::vector<Path>(), py::arg("resumed_from") = py::none(),
          Unlocked(),
          "Takes over what an earlier run left.\n\n"
          "Args:\n    items: In the order of saving; what is no longer there is dropped, bytes are "
          "measured.\n    last: The item that ``last`` is, or the name of a ``last`` file.\n"
          "    last_files: More names of ``last`` files: the next ``last`` replaces them.\n"
          "    resumed_from: The item that the run was resumed from.\n\n"
          "Returns:\n    What leaves now by the rules, in ``removes``: call ``trash`` for each.\n\n"
          "Raises:\n    ValueError: A name is no plain name inside the directory.\n"
          "    OSError: The disk failed.")
      .def("inventory", &store::Store::inventory, Unlocked(),
           "The checkpoints that are kept, in the order of saving.")
      .def(
          "plan",
          [](const store::Store& self) {
            const store::Store::Standing standing = [&] {
              const py::gil_scoped_release release;
              return self.plan();
            }();
            std::vector<const plan::Item*> items;
            items.reserve(standing.items.size());
            for (const plan::Item& item : standing.items) items.push_back(&item);
            return bound_plan(standing.plan, items);
          },
          "What is kept now, each with its reasons.")
      .def(
          "foreign",
          [](const store::Store& self) {
            const auto strangers = [&] {
              const py::gil_scoped_release release;
              return self.foreign();
            }();
            py::list list;
            for (const auto& [name, bytes] : strangers) {
              list.append(py::make_tuple(from_path(name), bytes.count()));
            }
            return list;
          },
          "(name, bytes) of what no run of ours is known to have written: counted, never removed.")
      .def(
          "used_bytes", [](const store::Store& self) { return self.used().count(); }, Unlocked(),
          "Bytes of everything below the directory, shared ones once, staged files and trash "
          "included.");
}

void bind_save(py::class_<store::Store>& bound) {
  bound
      .def("plan_save", &store::Store::plan_save, py::arg("candidate"), py::kw_only(),
           py::arg("forced") = false, py::arg("own_last") = false, Unlocked(),
           "May this save start now, and what leaves because of it?\n\n"
           "Args:\n    candidate: What is to be saved, with the bytes expected.\n"
           "    forced: It must happen whatever the rules say.\n"
           "    own_last: It is ``last`` as a file of its own, beside the inventory.\n\n"
           "Raises:\n    ValueError: The name is no plain name inside the directory.\n"
           "    OSError: The disk cannot be asked.")
      .def(
          "make_room",
          [](store::Store& self, const store::SavePlan& plan) {
            const std::vector<store::Removal> gone = [&] {
              const py::gil_scoped_release release;
              return self.make_room(plan);
            }();
            return as_list(gone);
          },
          py::arg("plan"),
          "Removes what the plan removes first and waits for the blocks; (name, reason) of what "
          "went.")
      .def(
          "stage",
          [](store::Store& self, const Path& name) {
            return std::make_unique<StagedHandle>(self.stage(name.bytes));
          },
          py::arg("name"), py::keep_alive<0, 1>(), Unlocked(),
          "Starts a file under a temporary name.\n\n"
          "Args:\n    name: The plain name that it will have.\n\n"
          "Raises:\n    ValueError: The name is no plain name inside the directory.\n"
          "    OSError: The disk failed.")
      .def(
          "publish",
          [](store::Store& self, StagedHandle& staged, const Path& name,
             const std::optional<std::string>& check) {
            const std::optional<store::Depth> depth = to_depth(check);
            return staged.with([&](disk::StagedFile& file) {
              return self.publish(file, name.bytes, depth).count();
            });
          },
          py::arg("staged"), py::arg("name"), py::kw_only(), py::arg("check") = py::none(),
          Unlocked(),
          "Makes a staged file durable and gives it its final name; its bytes.\n\n"
          "Args:\n    staged: The file.\n    name: Its final name.\n"
          "    check: What is read back first: ``'structure'``, the directory and the records' "
          "headers, or ``'whole'``, every byte by its checksum; ``None``: nothing.\n\n"
          "Raises:\n    DiskFullError: There is no room; the former state stands.\n"
          "    DamagedFileError: The check failed; the former state stands, the file is kept "
          "aside.\n"
          "    OSError: The disk failed; the former state stands.")
      .def(
          "verify",
          [](const store::Store& self, const Path& name) { return self.verify(name.bytes); },
          py::arg("name"), Unlocked(),
          "Reads a published file back from the disk, by its checksums; what is wrong with it, or "
          "None.\n\nRaises:\n    OSError: It cannot be read.")
      .def(
          "set_aside",
          [](store::Store& self, const Path& name) {
            std::string path;
            {
              const py::gil_scoped_release release;
              path = self.set_aside(name.bytes);
            }
            return from_path(path);
          },
          py::arg("name"),
          "Takes a file out of the inventory and keeps it below '.checkroom/damaged'; its path "
          "there.\n\nRaises:\n    OSError: The disk failed.")
      .def(
          "commit",
          [](store::Store& self, const plan::Item& item) {
            const std::vector<store::Removal> removals = [&] {
              const py::gil_scoped_release release;
              return self.commit(item);
            }();
            return as_list(removals);
          },
          py::arg("item"),
          "The published item enters the inventory; (name, reason) of what leaves: call ``trash`` "
          "for each.")
      .def(
          "link_last",
          [](store::Store& self, const Path& target, const Path& name) {
            return to_text(self.link_last(target.bytes, name.bytes));
          },
          py::arg("target"), py::arg("name"), Unlocked(),
          "Makes ``last`` the content of a published file, without an instant in which there is "
          "none.\n\n"
          "Returns:\n    How: 'reflink', 'link' or 'copy'.")
      .def(
          "symlink_last",
          [](store::Store& self, const Path& target, const Path& name) {
            self.symlink_last(target.bytes, name.bytes);
          },
          py::arg("target"), py::arg("name"), Unlocked(),
          "Makes ``last`` a relative symbolic link, without an instant in which there is none.");
}

void bind_removal(py::class_<store::Store>& bound) {
  bound
      .def(
          "trash", [](store::Store& self, const Path& name) { self.trash(name.bytes); },
          py::arg("name"), Unlocked(),
          "Removes a checkpoint at once; its blocks come back in the background. What is already "
          "gone is only forgotten.\n\n"
          "Raises:\n    ValueError: The name is no plain name inside the directory.\n"
          "    OSError: The disk failed; the checkpoint is still there.")
      .def(
          "forget", [](store::Store& self, const Path& name) { self.forget(name.bytes); },
          py::arg("name"), Unlocked(),
          "It vanished: it leaves the inventory, the disk is not touched.")
      .def(
          "drain",
          [](store::Store& self, std::optional<double> timeout_seconds) {
            std::optional<std::chrono::duration<double>> timeout;
            if (timeout_seconds) timeout = std::chrono::duration<double>(*timeout_seconds);
            return self.drain(timeout).count();
          },
          py::arg("timeout_seconds") = py::none(), Unlocked(),
          "Waits until what was removed has given its blocks back.\n\n"
          "Args:\n    timeout_seconds: At most so long; None: as long as it takes.\n\n"
          "Returns:\n    Bytes that really came back since the last call.")
      .def("close", &store::Store::close, Unlocked(),
           "Waits for the removals under way and ends the background thread.");
}

}  // namespace

void bind_store(py::module_& module) {
  bind_save_plan(module);
  py::class_<store::Store> bound(
      module, "Store", py::is_final(), py::release_gil_before_calling_cpp_dtor(),
      "One directory of checkpoints under guard.\n\n"
      "Args:\n    directory: Where the checkpoints lie; made when it is first needed.\n"
      "    policy: What is kept.\n    min_free: Bytes that must stay free on the filesystem.\n"
      "    max_size: Bytes that the directory never exceeds; None: no cap.\n"
      "    prune_first: May what a save displaces go before it, where it only fits then?\n"
      "    durable: Does an acknowledged save survive a power cut (fsync)?\n"
      "    last_as: How ``last`` shares: 'auto', 'link' or 'copy'.\n\n"
      "Raises:\n    ValueError: An argument cannot be.\n\n"
      "Example:\n    >>> import tempfile\n    >>> from checkroom._core import RetentionPolicy, "
      "Store\n"
      "    >>> store = Store(tempfile.mkdtemp(), RetentionPolicy(save_top_k=1))\n"
      "    >>> staged = store.stage('a.ckpt')\n    >>> staged.write(b'weights')\n    7\n"
      "    >>> store.publish(staged, 'a.ckpt')\n    7\n    >>> store.close()");
  bound.def(py::init(&make_store), py::arg("directory"), py::arg("policy"), py::kw_only(),
            py::arg("min_free") = 0, py::arg("max_size") = py::none(),
            py::arg("prune_first") = true, py::arg("durable") = true, py::arg("last_as") = "auto");
  bind_inventory(bound);
  bind_save(bound);
  bind_removal(bound);
}

}  // namespace checkroom::bindings
