"""What ours does beside what Lightning does: preflight, the guard's lines, rollback, rules beyond the top k."""

from __future__ import annotations

import copy
import errno
import inspect
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

import lightning.pytorch as pl  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

import checkroom  # noqa: E402
from checkroom import KeepBest, KeepEvery, KeepLast, _guard  # noqa: E402
from checkroom.lightning import ModelCheckpoint  # noqa: E402

SCORES = (0.5, 0.4, 0.6, 0.3, 0.7, 0.2)


class Model(pl.LightningModule):
    def __init__(self, scores: tuple[float, ...] = SCORES) -> None:
        super().__init__()
        self.scores = scores
        self.layer = torch.nn.Linear(256, 64)

    def training_step(self, batch: Any, _index: int) -> Any:
        return self.layer(batch[0]).square().mean()

    def validation_step(self, batch: Any, _index: int) -> None:
        self.log("val_loss", self.scores[self.current_epoch])
        self.log("val_acc", 1 - self.scores[self.current_epoch])

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters())


def fit(checkpoint: Any, *, epochs: int = len(SCORES), model: Any = None, **arguments: Any) -> pl.Trainer:
    data = DataLoader(TensorDataset(torch.ones(4, 256)), batch_size=2)
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", callbacks=[checkpoint], logger=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.fit(model or Model(), data, data, **arguments)
    trainer.warned = [str(entry.message) for entry in caught]  # type: ignore[attr-defined]
    return trainer


def guarded(folder: Path, **arguments: Any) -> ModelCheckpoint:
    defaults: dict[str, Any] = {"dirpath": folder, "filename": "{epoch}", "monitor": "val_loss", "min_free": 0}
    return ModelCheckpoint(**{**defaults, **arguments})


def epochs_on_disk(folder: Path) -> list[int]:
    return sorted(int(path.stem.partition("=")[2]) for path in folder.glob("epoch=*.ckpt"))


def fail_saves(monkeypatch: pytest.MonkeyPatch, failing: set[int], error: BaseException) -> None:
    """The n-th save fails as a disk would."""
    original, count = _guard.Guard.save, [0]

    def save(self: Any, *arguments: Any, **more: Any) -> int:
        count[0] += 1
        if count[0] - 1 in failing:
            raise error
        return original(self, *arguments, **more)

    monkeypatch.setattr(_guard.Guard, "save", save)


def test_the_signature_is_lightnings_and_then_ours() -> None:
    theirs = inspect.signature(pl.callbacks.ModelCheckpoint.__init__).parameters
    ours = inspect.signature(ModelCheckpoint.__init__).parameters
    assert list(ours)[: len(theirs)] == list(theirs)
    assert {"min_free", "max_size", "preflight", "when_full", "keep", "last_as", "durable"} <= set(ours)


def test_a_callback_pickles_and_copies(tmp_path: Path) -> None:
    checkpoint = guarded(tmp_path, keep=[KeepLast(1)], max_size="1 GB")
    assert vars(pickle.loads(pickle.dumps(checkpoint))) == vars(checkpoint)
    fit(checkpoint, epochs=2)
    assert copy.deepcopy(checkpoint).best_model_path == checkpoint.best_model_path


def test_rules_that_contradict_each_other_fail_at_construction(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="KeepLast"):
        guarded(tmp_path, keep=[KeepLast(1), KeepLast(2)])


def test_the_preflight_is_printed_and_exact(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    checkpoint = guarded(tmp_path, save_top_k=2, save_last=True)
    with caplog.at_level("INFO"):
        trainer = fit(checkpoint)
    (text,) = [record.getMessage() for record in caplog.records if "preflight of" in record.getMessage()]
    for label in ("one checkpoint", "at rest", "at the peak", "written", "verdict"):
        assert label in text
    assert "(exact)" in text and "fits" in text
    assert any("last.ckpt is the newest top-k save" in line for line in trainer.warned)  # type: ignore[attr-defined]


def test_a_doubled_metric_name_is_remarked(tmp_path: Path) -> None:
    checkpoint = guarded(tmp_path, filename="epoch_{epoch:02d}-val_loss={val_loss:.3f}")
    trainer = fit(checkpoint, epochs=1)
    assert any("auto_insert_metric_name=False" in line for line in trainer.warned)  # type: ignore[attr-defined]


@pytest.mark.parametrize("mode", ["error", "warn", "off"])
def test_a_run_that_cannot_fit(tmp_path: Path, mode: str) -> None:
    checkpoint = guarded(tmp_path, min_free="8 EB", preflight=mode)
    if mode == "error":
        with pytest.raises(checkroom.PreflightError) as caught:
            fit(checkpoint)
        error = caught.value
        assert error.need is not None and error.short_by is not None and error.short_by > 0
        assert error.limit == "floor" and error.path == str(tmp_path)
        assert list(tmp_path.iterdir()) == []
        return
    trainer = fit(checkpoint)
    refused = [line for line in trainer.warned if "was not saved" in line]  # type: ignore[attr-defined]
    assert len(refused) == len(SCORES)
    assert "short by" in refused[0] and "6 saves in a row" in refused[-1]
    assert checkpoint.best_model_path == "" and checkpoint.best_k_models == {}
    assert epochs_on_disk(tmp_path) == []


def test_last_shares_the_blocks_of_the_newest_save(tmp_path: Path) -> None:
    fit(guarded(tmp_path, save_top_k=2, save_last=True, last_as="link"))
    assert os.path.samefile(tmp_path / "last.ckpt", tmp_path / "epoch=5.ckpt")


def test_last_as_copy_owns_its_blocks(tmp_path: Path) -> None:
    fit(guarded(tmp_path, save_top_k=2, save_last=True, last_as="copy"))
    assert (tmp_path / "last.ckpt").stat().st_nlink == 1
    assert (tmp_path / "last.ckpt").read_bytes() == (tmp_path / "epoch=5.ckpt").read_bytes()


def test_keep_last_keeps_the_last_epoch_as_well(tmp_path: Path) -> None:
    checkpoint = guarded(tmp_path, save_top_k=1, save_last=True, keep=[KeepLast(1)])
    fit(checkpoint, epochs=5)
    assert epochs_on_disk(tmp_path) == [3, 4]
    assert [Path(path).stem for path in checkpoint.best_k_models] == ["epoch=3"]
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["epoch"] == 4


def test_rules_combine(tmp_path: Path) -> None:
    rules = [KeepEvery(epochs=2), KeepBest(1, "val_acc", "max")]
    fit(guarded(tmp_path, save_top_k=1, monitor="val_loss", mode="max", keep=rules))
    assert epochs_on_disk(tmp_path) == [1, 3, 4, 5]  # every 2nd: 1, 3, 5; worst val_loss: 4; best val_acc: 5


def test_save_top_k_zero_leaves_it_to_the_rules(tmp_path: Path) -> None:
    fit(guarded(tmp_path, save_top_k=0, keep=[KeepLast(2)]))
    assert epochs_on_disk(tmp_path) == [4, 5]


def test_rules_hold_across_a_resume(tmp_path: Path) -> None:
    def make() -> ModelCheckpoint:
        return guarded(tmp_path, save_top_k=1, save_last=True, keep=[KeepEvery(epochs=2)])

    fit(make(), epochs=4)
    assert epochs_on_disk(tmp_path) == [1, 3]
    fit(make(), ckpt_path=tmp_path / "last.ckpt")
    assert epochs_on_disk(tmp_path) == [1, 3, 5]


def test_a_smaller_k_prunes_on_resume_and_what_vanished_is_dropped(tmp_path: Path) -> None:
    fit(guarded(tmp_path, save_top_k=4, save_last=True), epochs=4)
    assert epochs_on_disk(tmp_path) == [0, 1, 2, 3]
    (tmp_path / "epoch=1.ckpt").unlink()
    checkpoint = guarded(tmp_path, save_top_k=2, save_last=True)
    fit(checkpoint, epochs=5, ckpt_path=tmp_path / "last.ckpt")
    assert epochs_on_disk(tmp_path) == [0, 3]  # the 2nd best of what is really there
    assert {Path(path).stem for path in checkpoint.best_k_models} == {"epoch=0", "epoch=3"}


def test_a_cap_holds_at_every_save(tmp_path: Path) -> None:
    fit(guarded(tmp_path / "free"), epochs=1)
    size = next((tmp_path / "free").glob("*.ckpt")).stat().st_size
    cap = size * 4
    checkpoint = guarded(tmp_path / "capped", save_top_k=5, save_last=True, max_size=cap)
    seen = []

    class Watch(pl.Callback):
        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
            seen.append(sum(path.stat().st_size for path in (tmp_path / "capped").glob("epoch*.ckpt")))

    data = DataLoader(TensorDataset(torch.ones(4, 256)), batch_size=2)
    trainer = pl.Trainer(max_epochs=6, accelerator="cpu", callbacks=[checkpoint, Watch()], logger=False,
                         enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0)
    trainer.fit(Model(), data, data)
    assert max(seen) <= cap - size
    assert 5 in epochs_on_disk(tmp_path / "capped")  # the best
    assert torch.load(checkpoint.last_model_path, weights_only=True)["epoch"] == 5


@pytest.mark.parametrize("when_full", ["skip", "stop", "error"])
def test_a_save_that_the_disk_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when_full: str) -> None:
    fail_saves(monkeypatch, {1}, OSError(errno.EIO, "Input/output error"))
    checkpoint = guarded(tmp_path, save_top_k=2, save_last=True, when_full=when_full)
    if when_full == "error":
        with pytest.raises(OSError) as caught:
            fit(checkpoint)
        assert caught.value.errno == errno.EIO and not isinstance(caught.value, checkroom.DiskFullError)
    else:
        trainer = fit(checkpoint)
        assert (trainer.current_epoch < len(SCORES)) == (when_full == "stop")
    kept = [0] if when_full != "skip" else [3, 5]
    assert epochs_on_disk(tmp_path) == kept
    assert [int(Path(path).stem[6:]) for path in checkpoint.best_k_models] == kept
    assert torch.load(checkpoint.last_model_path, weights_only=True)["epoch"] == kept[-1]


def test_a_logger_that_raises_does_not_roll_back(tmp_path: Path) -> None:
    class Loud(pl.loggers.CSVLogger):
        def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
            raise RuntimeError("the logger's own error")

    checkpoint = guarded(tmp_path / "checkpoints")
    data = DataLoader(TensorDataset(torch.ones(4, 256)), batch_size=2)
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", callbacks=[checkpoint], logger=Loud(tmp_path),
                         enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0)
    with pytest.raises(RuntimeError, match="the logger's own error"):
        trainer.fit(Model(), data, data)
    assert os.path.exists(checkpoint.best_model_path)


def test_a_failing_save_on_an_exception_does_not_hide_the_users_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Breaks(Model):
        def training_step(self, batch: Any, index: int) -> Any:
            if self.current_epoch == 1 and index == 1:
                raise RuntimeError("the user's own error")
            return super().training_step(batch, index)

    fail_saves(monkeypatch, {1}, OSError(errno.ENOSPC, "No space left on device"))
    checkpoint = guarded(tmp_path, save_on_exception=True)
    with pytest.raises(RuntimeError, match="the user's own error"):
        fit(checkpoint, model=Breaks())
    assert epochs_on_disk(tmp_path) == [0]


def test_no_thread_and_no_staged_file_outlives_a_fit(tmp_path: Path) -> None:
    import threading

    before = threading.active_count(), len(os.listdir("/proc/self/task"))
    fit(guarded(tmp_path, save_top_k=1))
    assert (threading.active_count(), len(os.listdir("/proc/self/task"))) == before
    assert not list(tmp_path.glob(".checkroom/staging/*")) and not list(tmp_path.glob(".checkroom/trash/*"))
