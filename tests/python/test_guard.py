"""The guard of a directory, in plain values."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("torch")

from checkroom._core import Item, RetentionPolicy  # noqa: E402
from checkroom._guard import Guard, item_as_dict  # noqa: E402
from checkroom._options import GuardOptions  # noqa: E402


@pytest.mark.parametrize("symbolic", [False, True])
def test_last_leaves_a_damaged_file_before_it_goes(tmp_path: Path, symbolic: bool) -> None:
    guard = Guard(str(tmp_path), RetentionPolicy(save_top_k=-1), GuardOptions(min_free=0))
    for name in ("a.ckpt", "b.ckpt"):
        written = guard.save(name, {"name": name})
        guard.store.commit(Item(name, written.bytes))
        (guard.store.symlink_last if symbolic else guard.store.link_last)(name, "last.ckpt")
    former = [item_as_dict(Item("a.ckpt", 1))]
    # The damaged file cannot go where it should.
    (tmp_path / ".checkroom/damaged").write_bytes(b"in the way")
    with pytest.raises(OSError):
        guard.reject("b.ckpt", former, last="last.ckpt", had_last=True)
    assert (tmp_path / "last.ckpt").read_bytes() == (tmp_path / "a.ckpt").read_bytes()

    os.remove(tmp_path / ".checkroom/damaged")
    aside = guard.reject("b.ckpt", former, last="last.ckpt", had_last=True)
    assert os.path.dirname(aside) == str(tmp_path / ".checkroom/damaged")
    assert not (tmp_path / "b.ckpt").exists()
    assert (tmp_path / "last.ckpt").read_bytes() == (tmp_path / "a.ckpt").read_bytes()
    guard.store.close()
