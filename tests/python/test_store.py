"""The store as the callback sees it: plain values, the errors of Python, nothing outside of its directory."""

from __future__ import annotations

import errno
import gc
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import checkroom
from checkroom._core import Item, RetentionPolicy, SavePlan, Store

SIZE = 10_000


def policy(k: int = 2) -> RetentionPolicy:
    return RetentionPolicy(save_top_k=k, monitor="val_loss")


def item(name: str, score: float, size: int = SIZE) -> Item:
    return Item(name, size, scores={"val_loss": score})


def save(store: Store, name: str, score: float, *, size: int = SIZE, last: bool = False) -> list[str]:
    """One save, as the callback does it; names that left."""
    candidate = item(name, score, size)
    plan = store.plan_save(candidate)
    assert plan.wanted
    gone = store.make_room(plan)
    staged = store.stage(name)
    staged.reserve(size)
    staged.write(name[:1].encode() * size)
    assert store.publish(staged, name) == size
    removals = store.commit(candidate)
    if last:
        store.link_last(name, "last.ckpt")
    for removed, _ in removals:
        store.trash(removed)
    return [removed for removed, _ in (*gone, *removals)]


def names(folder: Path) -> list[str]:
    return sorted(entry for entry in os.listdir(folder) if entry != ".checkroom")


def test_a_run(tmp_path: Path) -> None:
    store = Store(str(tmp_path), policy())
    assert save(store, "a.ckpt", 0.5, last=True) == []
    assert save(store, "b.ckpt", 0.4, last=True) == []
    plan = store.plan_save(item("worse.ckpt", 0.9))
    assert not plan.wanted and plan.admission is None and plan.reasons
    plan = store.plan_save(item("c.ckpt", 0.3))
    assert plan.wanted and plan.admission is not None and plan.admission.verdict == "admit"
    assert [name for name, reason in plan.removes if reason] == ["a.ckpt"]
    assert (plan.top_k, plan.best, plan.removes_first) == (["b.ckpt", "c.ckpt"], "c.ckpt", [])
    assert save(store, "c.ckpt", 0.3, last=True) == ["a.ckpt"]
    assert names(tmp_path) == ["b.ckpt", "c.ckpt", "last.ckpt"]
    assert [entry.name for entry in store.inventory()] == ["b.ckpt", "c.ckpt"]
    assert [entry.name for entry, reasons in store.plan().keep if reasons] == ["b.ckpt", "c.ckpt"]
    assert store.drain() >= SIZE
    assert store.used_bytes() == 2 * SIZE
    assert store.foreign() == []
    assert (tmp_path / "last.ckpt").read_bytes() == b"c" * SIZE
    store.close()
    assert os.listdir(tmp_path / ".checkroom/trash") == []


def test_it_touches_nothing_before_it_is_used(tmp_path: Path) -> None:
    store = Store(str(tmp_path), policy())
    assert store.plan_save(item("a.ckpt", 0.5)).wanted
    store.drain()
    store.close()
    assert os.listdir(tmp_path) == []


def test_a_resume(tmp_path: Path) -> None:
    store = Store(str(tmp_path), policy(3))
    for name, score in (("a.ckpt", 0.5), ("b.ckpt", 0.4), ("c.ckpt", 0.3)):
        save(store, name, score, last=True)
    store.close()
    (tmp_path / "foreign.txt").write_bytes(b"12345")
    (tmp_path / "c.ckpt").unlink()

    store = Store(str(tmp_path), policy(1))
    known = [item("a.ckpt", 0.5, 0), item("b.ckpt", 0.4, 0), item("c.ckpt", 0.3, 0)]
    plan = store.adopt(known, last="b.ckpt", resumed_from="b.ckpt")
    assert isinstance(plan, SavePlan)
    assert [name for name, _ in plan.removes] == ["a.ckpt"]
    assert [(entry.name, entry.bytes) for entry in store.inventory()] == [("b.ckpt", SIZE)]
    assert (tmp_path / "a.ckpt").exists(), "told, not removed"
    assert ("foreign.txt", 5) in store.foreign()
    store.close()


def test_the_cap_is_kept(tmp_path: Path) -> None:
    (tmp_path / "foreign.bin").write_bytes(bytes(SIZE))
    store = Store(str(tmp_path), policy(10), max_size=4 * SIZE)
    for number in range(8):
        save(store, f"{number}.ckpt", 1 - number / 10, last=True)
        assert store.used_bytes() <= 4 * SIZE
    store.drain()
    assert names(tmp_path) == ["6.ckpt", "7.ckpt", "foreign.bin", "last.ckpt"]
    assert store.used_bytes() == 3 * SIZE, "one more always fits"
    plan = store.plan_save(item("huge.ckpt", 0.0, 5 * SIZE))
    assert plan.admission is not None
    assert (plan.admission.verdict, plan.admission.limit) == ("refuse", "cap")
    assert plan.admission.need == 5 * SIZE
    assert names(tmp_path) == ["6.ckpt", "7.ckpt", "foreign.bin", "last.ckpt"]


def test_the_floor_is_kept(tmp_path: Path) -> None:
    available = checkroom.free_space(tmp_path).available
    assert available is not None
    store = Store(str(tmp_path), policy(), min_free=2 * available)
    admission = store.plan_save(item("a.ckpt", 0.5)).admission
    assert admission is not None
    assert (admission.verdict, admission.limit, admission.have) == ("refuse", "floor", 0)
    assert admission.short_by > 0


def test_a_last_of_its_own(tmp_path: Path) -> None:
    store = Store(str(tmp_path), policy(1))
    save(store, "a.ckpt", 0.5, last=True)
    plan = store.plan_save(item("last.ckpt", 0.9), own_last=True)
    assert plan.wanted and plan.removes == [] and plan.top_k == ["a.ckpt"]
    staged = store.stage("last.ckpt")
    staged.write(b"own")
    store.publish(staged, "last.ckpt")
    assert (tmp_path / "a.ckpt").read_bytes() == b"a" * SIZE
    assert (tmp_path / "last.ckpt").read_bytes() == b"own"
    assert store.foreign() == []


def test_forced_saves_are_always_wanted(tmp_path: Path) -> None:
    store = Store(str(tmp_path), policy(1))
    save(store, "a.ckpt", 0.5)
    assert not store.plan_save(item("b.ckpt", 0.9)).wanted
    plan = store.plan_save(item("b.ckpt", 0.9), forced=True)
    assert plan.wanted and plan.admission is not None and plan.removes == []


def test_last_as_copy(tmp_path: Path) -> None:
    store = Store(str(tmp_path), policy(), last_as="copy")
    save(store, "a.ckpt", 0.5)
    assert store.link_last("a.ckpt", "last.ckpt") == "copy"
    assert not os.path.samefile(tmp_path / "a.ckpt", tmp_path / "last.ckpt")
    store = Store(str(tmp_path), policy(), last_as="link")
    assert store.link_last("a.ckpt", "last.ckpt") == "link"
    assert os.path.samefile(tmp_path / "a.ckpt", tmp_path / "last.ckpt")


def test_symlink_last(tmp_path: Path) -> None:
    store = Store(str(tmp_path), policy())
    save(store, "a.ckpt", 0.5)
    store.symlink_last("a.ckpt", "last.ckpt")
    assert os.readlink(tmp_path / "last.ckpt") == "a.ckpt"
    save(store, "b.ckpt", 0.4)
    store.symlink_last("b.ckpt", "last.ckpt")
    assert os.readlink(tmp_path / "last.ckpt") == "b.ckpt"
    assert store.foreign() == []


def test_a_directory_is_an_item_too(tmp_path: Path) -> None:
    sharded = tmp_path / "a.ckpt"
    (sharded / "shards").mkdir(parents=True)
    (sharded / "shards" / "0").write_bytes(bytes(700))
    store = Store(str(tmp_path), policy())
    store.adopt([item("a.ckpt", 0.5, 0)])
    assert store.inventory()[0].bytes == 700
    store.trash("a.ckpt")
    assert store.drain() > 0
    assert names(tmp_path) == [] and store.inventory() == []


@pytest.mark.parametrize("name", ["", ".", "..", "../outside", "/etc/hostname", "a/b", ".checkroom", "a\0b"])
def test_names_lead_nowhere_else(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "run"
    (tmp_path / "outside").write_text("keep")
    store = Store(str(folder), policy())
    save(store, "a.ckpt", 0.5)
    for call in (store.trash, store.forget, store.stage, lambda name: store.link_last("a.ckpt", name)):
        with pytest.raises(ValueError):
            call(name)
    with pytest.raises(ValueError):
        store.publish(store.stage("b.ckpt"), name)
    assert (tmp_path / "outside").read_text() == "keep"
    assert names(folder) == ["a.ckpt"]


def test_errors_are_the_ones_python_has(tmp_path: Path) -> None:
    store = Store(str(tmp_path), policy())
    with pytest.raises(FileNotFoundError) as caught:
        store.link_last("missing.ckpt", "last.ckpt")
    assert caught.value.filename == str(tmp_path / "missing.ckpt")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        Store(str(tmp_path / "file"), policy()).stage("a.ckpt")
    with pytest.raises(ValueError, match="last_as='hardlink'"):
        Store(str(tmp_path), policy(), last_as="hardlink")  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        Store(str(tmp_path), policy(), max_size=-1)
    with pytest.raises(ValueError):
        Store("", policy())


def test_the_staged_file_keeps_the_store_alive(tmp_path: Path) -> None:
    staged = Store(str(tmp_path), policy()).stage("a.ckpt")
    gc.collect()
    staged.write(b"x")
    staged.abandon()
    assert os.listdir(tmp_path / ".checkroom/staging") == []


def test_close_leaves_no_thread(tmp_path: Path) -> None:
    def threads() -> int:
        return len(os.listdir("/proc/self/task"))

    before = threads()
    store = Store(str(tmp_path), policy(1))
    for number in range(3):
        save(store, f"{number}.ckpt", -number)
    store.close()
    assert threads() == before


def test_in_a_forked_child_it_is_the_parents(tmp_path: Path) -> None:
    store = Store(str(tmp_path), policy())
    save(store, "a.ckpt", 0.5)
    store.trash("a.ckpt")
    staged = store.stage("b.ckpt")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            store.trash("a.ckpt")
        except ValueError:
            store.close()
            del staged, store
            gc.collect()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    staged.write(b"mine")
    assert store.publish(staged, "b.ckpt") == 4


def test_repr_is_readable(tmp_path: Path) -> None:
    store = Store(str(tmp_path), policy())
    assert repr(store.plan_save(item("a.ckpt", 0.5))).startswith("SavePlan(wanted=True, reasons=[")
    assert "a.ckpt." in repr(store.stage("a.ckpt"))


# A file name is bytes: not every one is UTF-8.
ODD = b"odd-\xff\xfe.ckpt"


@pytest.fixture
def odd_folder(tmp_path: Path) -> bytes:
    folder = os.path.join(os.fsencode(tmp_path), b"run-\xff-\xe4")
    try:
        os.mkdir(folder)
    except OSError as error:
        pytest.skip(f"privilege: this filesystem takes UTF-8 alone: {error}")
    return folder


@pytest.mark.parametrize("form", [os.fsdecode, bytes, lambda path: Path(os.fsdecode(path))], ids=["str", "b", "Path"])
def test_a_directory_and_names_that_are_no_utf8(odd_folder: bytes, form: Callable[[bytes], Any]) -> None:
    text = os.fsdecode(ODD)
    store = Store(form(odd_folder), policy())
    assert store.directory == os.fsdecode(odd_folder)
    candidate = Item(form(ODD), SIZE, scores={"val_loss": 0.5})
    assert candidate.name == text and repr(candidate).startswith(f"Item({text!r}, ")
    assert pickle.loads(pickle.dumps(candidate)) == candidate and hash(candidate) == hash(item(text, 0.5))
    plan = store.plan_save(candidate)
    assert (plan.top_k, plan.best) == ([text], text)
    staged = store.stage(form(ODD))
    assert staged.path.startswith(os.fsdecode(odd_folder)) and os.path.exists(staged.path) and text in staged.path
    assert repr(staged)
    staged.write(b"o" * SIZE)
    assert store.publish(staged, form(ODD)) == SIZE
    store.commit(candidate)
    store.link_last(form(ODD), form(b"last-\xff"))
    store.symlink_last(form(ODD), form(b"link-\xff"))
    assert sorted(os.listdir(odd_folder)) == [b".checkroom", b"last-\xff", b"link-\xff", ODD]
    assert [entry.name for entry in store.inventory()] == [text]
    assert (store.plan().top_k, store.plan().best) == ([text], text)
    with open(os.path.join(odd_folder, b"foreign-\xff"), "wb") as file:
        file.write(b"123")
    assert store.foreign() == [(os.fsdecode(b"foreign-\xff"), 3)]

    again = Store(form(odd_folder), RetentionPolicy(save_top_k=1, monitor="val_loss", pinned=[form(ODD)]))
    again.adopt([candidate], last=form(ODD), resumed_from=form(ODD))
    (kept, reasons), = again.plan().keep
    assert kept.name == text and {"last", "pinned", "resumed from"} < set(reasons)
    again.trash(form(ODD))
    again.close()
    assert ODD not in os.listdir(odd_folder) and again.inventory() == []


def test_an_oserror_carries_the_path_as_python_decodes_it(odd_folder: bytes) -> None:
    store = Store(odd_folder, policy())
    with pytest.raises(FileNotFoundError) as caught:
        store.link_last(ODD, "last.ckpt")
    assert caught.value.filename == os.fsdecode(os.path.join(odd_folder, ODD))
    assert os.fsencode(caught.value.filename) == os.path.join(odd_folder, ODD)
    available = checkroom.free_space(odd_folder).available
    if available is None or available > 2**42:
        pytest.skip("privilege: more space than a file may be long")
    with pytest.raises(checkroom.DiskFullError) as full:
        store.stage(ODD).reserve(2**43)
    assert full.value.path is not None and full.value.filename == full.value.path
    assert os.fsencode(full.value.path).startswith(os.path.join(odd_folder, b".checkroom/staging", ODD))
    assert pickle.loads(pickle.dumps(full.value)).path == full.value.path


def test_a_message_that_quotes_such_a_name_can_be_printed(odd_folder: bytes) -> None:
    store = Store(odd_folder, policy())
    with pytest.raises(ValueError, match=r"'a/\\xff' is not a plain name") as caught:
        store.stage(b"a/\xff")
    assert str(caught.value).encode("ascii")


@pytest.mark.parametrize("call", [checkroom.free_space, lambda path: Store(path, policy()), lambda path: Item(path, 1)])
def test_what_is_no_path_is_refused(call: Callable[[Any], object]) -> None:
    for wrong in (7, None, ["a"]):
        with pytest.raises(TypeError):
            call(wrong)
    with pytest.raises(ValueError, match="null byte"):
        call("a\0b")


def test_a_name_that_is_too_long_is_refused_before_a_byte_is_written(tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught:
        Store(tmp_path, policy()).stage("x" * 300)
    assert caught.value.errno == errno.ENAMETOOLONG
