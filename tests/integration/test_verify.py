"""verify=True: a file that is damaged on the disk never costs the one that it was to replace."""

from __future__ import annotations

import os
import re
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

import lightning.pytorch as pl  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

import checkroom  # noqa: E402
from checkroom import _verifying  # noqa: E402
from checkroom.lightning import CheckroomIO, ModelCheckpoint  # noqa: E402

SCORES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4)


class Model(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(256, 64)

    def training_step(self, batch: Any, _index: int) -> Any:
        return self.layer(batch[0]).square().mean()

    def validation_step(self, batch: Any, _index: int) -> None:
        self.log("val_loss", SCORES[self.current_epoch])

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters())


def flip(path: Path) -> None:
    """One bit in the middle of the weights."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    with open(path, "r+b") as file:  # the same inode: another name of it has the damage too
        file.write(content)


@pytest.fixture
def damage(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets the disk damage files of these names once, after they are published and before they are read back."""

    def arrange(*names: str) -> None:
        original, left = _verifying.ReadBack.start, set(names)

        def start(self: Any) -> None:
            if self.name in left:
                left.remove(self.name)
                flip(Path(self.guard.directory) / self.name)
            original(self)

        monkeypatch.setattr(_verifying.ReadBack, "start", start)

    return arrange


def fit(folder: Path, epochs: int = 6, ckpt_path: Any = None, **arguments: Any) -> tuple[ModelCheckpoint, list[str]]:
    checkpoint = ModelCheckpoint(
        **{"dirpath": folder, "filename": "{epoch}", "monitor": "val_loss", "min_free": 0, "verify": True, **arguments}
    )
    data = DataLoader(TensorDataset(torch.ones(4, 256)), batch_size=2)
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", callbacks=[checkpoint], logger=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.fit(Model(), data, data, ckpt_path=ckpt_path)
    return checkpoint, [str(one.message) for one in caught if "checkroom" in str(one.message)]


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.name != ".checkroom")


def epoch_in(path: Any) -> int:
    return int(torch.load(path, weights_only=True)["epoch"])


def test_whole_files_leave_what_they_leave_without(tmp_path: Path) -> None:
    states = []
    for verify in (False, True):
        folder = tmp_path / str(verify)
        checkpoint, lines = fit(folder, verify=verify, save_top_k=2, save_last=True)
        assert [line for line in lines if "damaged" in line] == []
        state = {key: str(value).replace(str(folder), "") for key, value in checkpoint.state_dict().items()}
        state.pop("checkroom")
        states.append((names(folder), state))
        assert not (folder / ".checkroom").exists()
    assert states[0] == states[1]


def test_the_predecessor_stays_until_the_file_is_known_to_be_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    original = _verifying.ReadBack._read

    def read(self: Any) -> None:
        assert threading.current_thread() is not threading.main_thread()
        seen.append(names(tmp_path))
        original(self)

    monkeypatch.setattr(_verifying.ReadBack, "_read", read)
    fit(tmp_path, 3)
    assert seen == [["epoch=0.ckpt"], ["epoch=0.ckpt", "epoch=1.ckpt"], ["epoch=1.ckpt", "epoch=2.ckpt"]]
    assert names(tmp_path) == ["epoch=2.ckpt"]


@pytest.mark.parametrize("last_as", ["auto", "copy"])
@pytest.mark.parametrize("k", [1, 2, -1])
def test_a_damaged_file_goes_aside_and_the_former_state_stands(
    tmp_path: Path, damage: Any, k: int, last_as: str
) -> None:
    damage("epoch=3.ckpt")
    checkpoint, lines = fit(tmp_path, 4, save_top_k=k, save_last=True, last_as=last_as)
    (said,) = [line for line in lines if "damaged" in line]
    assert said.startswith("checkroom: epoch=3.ckpt is damaged on the disk: record 'archive/data/")
    assert "the newest checkpoint is epoch=2.ckpt" in said
    kept = re.search(r"it is kept as (\S+),", said)
    assert kept is not None and os.path.dirname(kept[1]) == str(tmp_path / ".checkroom/damaged")
    best = {1: ["epoch=2.ckpt"], 2: ["epoch=1.ckpt", "epoch=2.ckpt"], -1: [f"epoch={i}.ckpt" for i in range(3)]}[k]
    assert names(tmp_path) == [*best, "last.ckpt"]
    assert sorted(map(os.path.basename, checkpoint.best_k_models)) == best
    assert epoch_in(checkpoint.best_model_path) == epoch_in(checkpoint.last_model_path) == 2
    for path in [*checkpoint.best_k_models, checkpoint.last_model_path]:
        from checkroom._core import ArchiveCheck

        check = ArchiveCheck(path)
        while check.step():
            pass
        assert check.fault is None, path


def test_training_goes_on_and_the_next_file_takes_over(tmp_path: Path, damage: Any) -> None:
    damage("epoch=2.ckpt")
    checkpoint, lines = fit(tmp_path, 6, save_top_k=2, save_last=True)
    assert len([line for line in lines if "damaged" in line]) == 1
    assert names(tmp_path) == ["epoch=4.ckpt", "epoch=5.ckpt", "last.ckpt"]
    assert epoch_in(checkpoint.best_model_path) == epoch_in(checkpoint.last_model_path) == 5


def test_the_first_file_damaged_leaves_none(tmp_path: Path, damage: Any) -> None:
    damage("epoch=0.ckpt")
    checkpoint, _ = fit(tmp_path, 1, save_last=True)
    assert names(tmp_path) == []
    assert (checkpoint.best_model_path, checkpoint.last_model_path, dict(checkpoint.best_k_models)) == ("", "", {})


def test_a_resumed_run_goes_on_from_what_stayed(tmp_path: Path, damage: Any) -> None:
    damage("epoch=2.ckpt")
    fit(tmp_path, 3, save_last=True)
    checkpoint, lines = fit(tmp_path, 6, ckpt_path=tmp_path / "last.ckpt", save_last=True)
    assert [line for line in lines if "damaged" in line] == []
    assert names(tmp_path) == ["epoch=5.ckpt", "last.ckpt"]
    assert epoch_in(checkpoint.last_model_path) == 5


def test_an_exception_waits_for_the_result(tmp_path: Path, damage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    damage("epoch=2.ckpt")

    def fails(self: Any) -> None:
        if self.current_epoch == 3:
            raise RuntimeError("the user's own")

    monkeypatch.setattr(Model, "on_train_epoch_start", fails)
    with pytest.raises(RuntimeError, match="the user's own"):
        fit(tmp_path, 6)
    assert names(tmp_path) == ["epoch=1.ckpt"]


def test_a_file_in_the_place_of_another_is_read_back_before_it_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks: list[Any] = []
    from checkroom._guard import Guard

    original = Guard.save

    def save(self: Any, name: str, *args: Any, **more: Any) -> Any:
        checks.append((name, more["verify"]))
        return original(self, name, *args, **more)

    monkeypatch.setattr(Guard, "save", save)
    fit(tmp_path, 2, filename="same", enable_version_counter=False)
    assert checks == [("same.ckpt", False), ("same.ckpt", True)]


def test_saves_by_hand_are_read_back_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    receipt = checkroom.save({"w": torch.ones(10)}, tmp_path / "a.pt", verify=True)
    assert receipt.verified
    CheckroomIO().save_checkpoint({"w": torch.ones(10)}, tmp_path / "b.pt")
    assert torch.load(tmp_path / "b.pt")["w"].sum() == 10


def test_a_damaged_save_by_hand_is_written_again_and_then_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk changes what it was given, each time: between the last byte and the look."""
    from checkroom import _guard

    (tmp_path / "a.pt").write_bytes(b"former")
    original = _guard.save_into
    written: list[str] = []

    def save_into(obj: Any, staged: Any, **more: Any) -> int:
        size = original(obj, staged, **more)
        staged.seek(size // 2)  # everything so far is in the file
        staged.write(b"\xff" * 8)
        staged.seek(size)
        written.append(staged.path)
        return size

    monkeypatch.setattr(_guard, "save_into", save_into)
    obj = {"w": torch.zeros(50_000)}
    with pytest.raises(checkroom.DamagedFileError) as caught:
        checkroom.save(obj, tmp_path / "a.pt", verify=True)
    assert len(set(written)) == 2
    assert (caught.value.errno, caught.value.path) == (5, str(tmp_path / "a.pt"))
    assert "record 'archive/data/0'" in str(caught.value)
    assert (tmp_path / "a.pt").read_bytes() == b"former"
    assert len(os.listdir(tmp_path / ".checkroom/damaged")) == 2
