// SaveWorld: a directory with two checkpoints, a `last` and a foreign file, in which a third one is
// saved that displaces the first; and what must hold on the disk itself while and after that fails.
//
// Owns the directory. One thread; expect_promises() may be called from inside of a call of the
// filesystem.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "archive/writer.h"
#include "base/error.h"
#include "store/store.h"
#include "support/memory_sink.h"
#include "support/temp_directory.h"

namespace checkroom::testing {

// How a run keeps its directory, and what it saves.
struct Way {
  store::LastAs last_as = store::LastAs::kAuto;
  bool symbolic = false;  // `last` is a symbolic link, made after the removals
  bool capped = false;
  std::size_t archive = 0;  // the new file is PyTorch's zip with so many bytes of data; 0: plain
  bool verified = false;    // it is read back before anything is removed
  bool damaged = false;     // what reaches the disk is not what it should be
};

class SaveWorld {
 public:
  static constexpr std::size_t kBytes = 4'000;  // of the plain ones

  explicit SaveWorld(const Way& way, const std::string& base = fast_base())
      : directory_(base), way_(way) {
    store::Store store(options());
    save(store, "a.ckpt", 0.5);
    save(store, "b.ckpt", 0.4);
    store.close();
    write_file(path("foreign.txt"), "not ours");
  }

  store::StoreOptions options() const {
    store::StoreOptions made;
    made.directory = directory_.path();
    made.policy.top_k = {2, "val_loss", plan::Mode::kMin};
    made.last_as = way_.last_as;
    if (way_.capped) {
      made.max_size =
          Bytes(static_cast<std::int64_t>(2 * kBytes + content_of("c.ckpt").size()) + 100);
    }
    return made;
  }

  // A run that takes over what is there and saves c.ckpt; the callback's steps.
  void run(disk::FileSystem& filesystem) {
    store::Store store(options(), filesystem);
    try {
      store.adopt({item("a.ckpt", 0.5), item("b.ckpt", 0.4)}, "b.ckpt", "");
      save(store, "c.ckpt", 0.3);
      acknowledged_ = true;
    } catch (const Error& error) {
      error_ = error.what();
      code_ = error.code();
    }
    try {
      store.close();
    } catch (const Error& error) {
      ADD_FAILURE() << "close: " << error.what();
    }
  }

  // Complete under its name, or not there; anything else is partial.
  bool complete(const std::string& name) {
    if (!exists(path(name))) return false;
    EXPECT_TRUE(holds(name, name)) << name << " is partial";
    return true;
  }

  // Holds before every call and after all of them. `b.ckpt` is the best until `c.ckpt` is there,
  // and stays in the top 2.
  void expect_promises(const std::string& when) {
    SCOPED_TRACE(when);
    complete("a.ckpt");
    EXPECT_TRUE(complete("b.ckpt")) << "the best before this save";
    const bool published = complete("c.ckpt");
    EXPECT_FALSE(published && way_.damaged) << "a damaged file has the name";
    EXPECT_TRUE(holds("last.ckpt", "b.ckpt") || (published && holds("last.ckpt", "c.ckpt")))
        << "last is always there and whole";
    EXPECT_TRUE(published || exists(path("a.ckpt")))
        << "nothing goes before its successor is there";
    EXPECT_EQ(read_file(path("foreign.txt")), "not ours");
    for (const std::string& name : names_in(directory_.path())) {
      EXPECT_TRUE(known_.contains(name)) << name << " appeared";
    }
  }

  void expect_outcome(std::size_t most_staged) {
    if (acknowledged_) {
      EXPECT_FALSE(way_.damaged);
      EXPECT_TRUE(complete("c.ckpt"));
      EXPECT_TRUE(holds("last.ckpt", "c.ckpt"));
    }
    EXPECT_LE(names_in(path(".checkroom/staging")).size(), most_staged) << error_;
  }

  // Whatever happened: the next run finds its way.
  void expect_recovery() {
    store::Store store(options());
    std::vector<plan::Item> items = {item("a.ckpt", 0.5), item("b.ckpt", 0.4)};
    if (complete("c.ckpt")) items.push_back(item("c.ckpt", 0.3));
    for (const store::Removal& removal : store.adopt(items, "b.ckpt", "").removes) {
      store.trash(removal.name);
    }
    save(store, "d.ckpt", 0.2);
    store.close();
    EXPECT_TRUE(complete("d.ckpt"));
    EXPECT_TRUE(holds("last.ckpt", "d.ckpt"));
    EXPECT_EQ(store.inventory().size(), 2U);
    EXPECT_FALSE(exists(path("a.ckpt")));
  }

  [[nodiscard]] const std::string& directory() const { return directory_.path(); }
  [[nodiscard]] bool acknowledged() const { return acknowledged_; }
  [[nodiscard]] ErrorCode code() const { return code_; }

  // What a checkpoint of ours holds: its own name, over and over.
  [[nodiscard]] const std::string& content_of(const std::string& name) const {
    const bool archive = way_.archive > 0 && name == "c.ckpt";
    static std::map<std::pair<std::string, std::size_t>, std::string> made;
    std::string& content = made[{name, archive ? way_.archive : 0}];
    if (!content.empty()) return content;
    while (content.size() < kBytes) content += name;
    content.resize(kBytes);
    if (archive) {
      MemorySink sink;
      write_archive(sink);
      content = sink.text;
    }
    return content;
  }

  plan::Item item(const std::string& name, double score) const {
    plan::Item made;
    made.name = name;
    made.bytes = made.own_bytes = Bytes(static_cast<std::int64_t>(content_of(name).size()));
    made.scores = {{"val_loss", score}};
    return made;
  }

 private:
  [[nodiscard]] std::string path(const std::string& name) const { return directory_ / name; }

  // Does this file hold what a checkpoint of that name holds? One that was found to is not read
  // again while it has not changed.
  bool holds(const std::string& file, const std::string& name) {
    struct stat found = {};
    if (::stat(path(file).c_str(), &found) != 0) return false;
    const std::tuple key(found.st_ino, found.st_size, found.st_mtim.tv_sec, found.st_mtim.tv_nsec,
                         name);
    if (seen_.contains(key)) return true;
    if (static_cast<std::size_t>(found.st_size) != content_of(name).size()) return false;
    if (read_file(path(file)) != content_of(name)) return false;
    seen_.insert(key);
    return true;
  }

  void write_archive(Sink& sink) const {
    archive::Writer writer(sink);
    const std::size_t piece = way_.archive / 5 + 1;
    for (int i = 0; i < 5; ++i) {
      writer.record("data/" + std::to_string(i), std::string(piece, static_cast<char>('a' + i)));
    }
    writer.finish();
  }

  void write(disk::StagedFile& staged, const std::string& name) const {
    std::string content = content_of(name);
    if (name == "c.ckpt" && way_.damaged) {
      content[content.size() - 50] ^= 1;  // in the directory at its end
    } else if (name == "c.ckpt" && way_.archive > 0) {
      write_archive(staged);
      return;
    }
    // In pieces, so that a failure can strike in the middle.
    for (std::size_t at = 0; at < content.size(); at += content.size() / 4) {
      staged.write(as_bytes(std::string_view(content).substr(at, content.size() / 4)));
    }
  }

  void save(store::Store& store, const std::string& name, double score) const {
    const plan::Item candidate = item(name, score);
    const store::SavePlan plan = store.plan_save(candidate, false, false);
    if (plan.admission->verdict == plan::AdmissionVerdict::kRefuse) {
      throw Error::no_space(ENOSPC, name, 0, 0, "filesystem");
    }
    store.make_room(plan);
    const auto staged = store.stage(name);
    staged->reserve(candidate.bytes);
    write(*staged, name);
    const bool looked_at = way_.archive > 0 && name == "c.ckpt";
    store.publish(*staged, name,
                  looked_at ? std::optional(store::Depth::kStructure) : std::nullopt);
    const auto removals = store.commit(candidate);
    if (!way_.symbolic) store.link_last(name, "last.ckpt");
    if (looked_at && way_.verified) expect_readable(store, name);
    for (const store::Removal& removal : removals) store.trash(removal.name);
    if (way_.symbolic) store.symlink_last(name, "last.ckpt");
  }

  // What cannot be read back goes aside, behind its `last`.
  static void expect_readable(store::Store& store, const std::string& name) {
    try {
      if (!store.verify(name)) return;
      ADD_FAILURE() << "what is whole was called damaged";
    } catch (const Error&) {
      store.link_last("b.ckpt", "last.ckpt");
      store.set_aside(name);
      throw;
    }
  }

  TempDirectory directory_;
  Way way_;
  bool acknowledged_ = false;
  std::string error_;
  ErrorCode code_ = ErrorCode::kInvalidArgument;
  std::set<std::tuple<ino_t, off_t, time_t, long, std::string>> seen_;
  const std::set<std::string> known_ = {".checkroom", "a.ckpt",    "b.ckpt",
                                        "c.ckpt",     "last.ckpt", "foreign.txt"};
};

// After the other calls the disk looks as before.
inline bool is_changing(const std::string& op) {
  static const std::set<std::string> changing = {"create", "write",    "truncate", "reflink",
                                                 "rename", "exchange", "link",     "symlink",
                                                 "unlink", "mkdir",    "rmdir"};
  return changing.contains(op);
}

}  // namespace checkroom::testing
