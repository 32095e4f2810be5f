"""Corners in which a guarded run must still do what Lightning's own does, or say what it does not."""

from __future__ import annotations

import errno
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

import lightning.pytorch as pl  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

import checkroom  # noqa: E402
from checkroom.lightning import ModelCheckpoint  # noqa: E402

Lightnings = pl.callbacks.ModelCheckpoint
SCORES = (0.5, 0.4, 0.6, 0.3, 0.7, 0.2)


class Model(pl.LightningModule):
    """About 203 kB with its Adam states."""

    def __init__(self, metric: str = "val_loss", scores: tuple[float, ...] = SCORES) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(256, 64)
        self.metric, self.scores = metric, scores

    def training_step(self, batch: Any, _index: int) -> Any:
        return self.layer(batch[0]).square().mean()

    def validation_step(self, batch: Any, _index: int) -> None:
        self.log(self.metric, self.scores[self.current_epoch % len(self.scores)])

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters())


class Watch(pl.Callback):
    """Looks at the directory at the start of each epoch."""

    def __init__(self, look: Any) -> None:
        self.look = look

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self.look(trainer)


def fit(checkpoint: Any, epochs: int = 6, *, model: Any = None, ckpt_path: Any = None, watch: Any = None,
        **arguments: Any) -> tuple[Any, list[str]]:
    """Trains; returns the trainer and what was warned of."""
    data = DataLoader(TensorDataset(torch.ones(4, 256)), batch_size=2)
    callbacks = [*(checkpoint if isinstance(checkpoint, list) else [checkpoint]), *([Watch(watch)] if watch else [])]
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", callbacks=callbacks, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, **{"logger": False, **arguments},
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.fit(model or Model(), data, data, ckpt_path=ckpt_path)
    return trainer, [str(one.message) for one in caught if "checkroom" in str(one.message)]


def guarded(folder: Path, **arguments: Any) -> Any:
    return ModelCheckpoint(
        **{"dirpath": folder, "filename": "{epoch}", "monitor": "val_loss", "min_free": 0, **arguments}
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.ckpt"))


@pytest.mark.parametrize("limits", [{"check_val_every_n_epoch": 2}, {"limit_val_batches": 0}])
def test_a_metric_that_nobody_logged_is_no_score(tmp_path: Path, limits: dict[str, Any]) -> None:
    """Lightning's formatter writes a 0 into the metrics for every name that is missing."""
    left = {}
    for cls in (Lightnings, ModelCheckpoint):
        folder = tmp_path / cls.__module__
        checkpoint = cls(dirpath=folder, filename="{epoch}-{val_loss:.2f}", monitor="val_loss", save_top_k=2,
                         save_on_train_epoch_end=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit(checkpoint, **limits)
        left[cls] = (names(folder), checkpoint.kth_value, [os.path.basename(path) for path in checkpoint.best_k_models])
    assert left[ModelCheckpoint] == left[Lightnings]


def test_the_preflight_knows_validations_that_are_not_loaded_yet(tmp_path: Path, capfd: Any) -> None:
    checkpoint = guarded(tmp_path, save_top_k=3, save_last=True)
    seen: list[str] = []
    checkpoint._say = seen.append
    fit(checkpoint, 12, check_val_every_n_epoch=2)
    assert "in 3 to 4 files" in seen[0]
    assert len(names(tmp_path)) == 4


@pytest.mark.parametrize("again", ["fit", "resume"])
def test_what_a_run_left_itself_is_room_for_the_run(tmp_path: Path, again: str) -> None:
    size = 203_900
    model = Model(scores=tuple(1 - epoch / 100 for epoch in range(20)))
    checkpoint = guarded(tmp_path, save_top_k=3, max_size=5 * size)
    trainer, _ = fit(checkpoint, model=model)
    if again == "fit":
        trainer.fit_loop.max_epochs = 12
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            data = DataLoader(TensorDataset(torch.ones(4, 256)), batch_size=2)
            trainer.fit(model, data, data)
        lines = [str(one.message) for one in caught if "fit" in str(one.message) and "checkroom" in str(one.message)]
    else:
        _, lines = fit(guarded(tmp_path, save_top_k=3, max_size=5 * size), 12, model=model,
                       ckpt_path=checkpoint.best_model_path)
    assert lines == []


def test_a_save_by_hand_is_admitted_like_any_other(tmp_path: Path) -> None:
    def by_hand(trainer: Any) -> None:
        if trainer.current_epoch == 2:
            trainer.save_checkpoint(tmp_path / "first.ckpt")
            with pytest.raises(checkroom.DiskFullError, match="limited by the cap") as caught:
                trainer.save_checkpoint(tmp_path / "second.ckpt")
            assert caught.value.need is not None and caught.value.short_by is not None
        used = sum(path.stat().st_size for path in tmp_path.glob("**/*") if path.is_file())
        assert used <= 500_000

    fit(guarded(tmp_path, max_size=500_000), watch=by_hand)
    assert "first.ckpt" in names(tmp_path) and "second.ckpt" not in names(tmp_path)


def test_a_cap_holds_whatever_the_sizes_turn_out_to_be(tmp_path: Path) -> None:
    """Files grow a little as the top k fills: a save that was admitted may need more than was said."""
    fit(guarded(tmp_path / "plain", save_top_k=-1))
    sizes = [path.stat().st_size for path in sorted((tmp_path / "plain").glob("*.ckpt"))]
    for cap in range(2 * sizes[0], 2 * sizes[0] + 1200, 150):
        folder = tmp_path / str(cap)

        def look(_trainer: Any, folder: Path = folder, cap: int = cap) -> None:
            assert sum(path.stat().st_size for path in folder.glob("**/*") if path.is_file()) <= cap

        checkpoint = guarded(folder, save_top_k=2, max_size=cap, preflight="off")
        fit(checkpoint, watch=look)
        look(None)
        assert os.path.exists(checkpoint.best_model_path)


def test_a_link_to_last_never_dangles(tmp_path: Path) -> None:
    looked: list[bool] = []

    class Looks(ModelCheckpoint):
        def _remove_checkpoint(self, trainer: Any, filepath: str) -> None:
            super()._remove_checkpoint(trainer, filepath)
            looked.append((tmp_path / "last.ckpt").exists())

    checkpoint = Looks(dirpath=tmp_path, filename="{epoch}", monitor="val_loss", save_top_k=1, save_last="link",
                       min_free=0)
    fit(checkpoint, model=Model(scores=(0.9, 0.8, 0.7, 0.6, 0.5, 0.4)))
    assert looked == [True] * 5
    assert (tmp_path / "last.ckpt").is_symlink()


def test_names_with_a_folder_are_lightnings_own_and_that_is_said(tmp_path: Path) -> None:
    left = {}
    for cls in (Lightnings, ModelCheckpoint):
        folder = tmp_path / cls.__module__
        checkpoint = cls(dirpath=folder, filename="{epoch}-{val/loss:.2f}", monitor="val/loss", save_top_k=2,
                         save_last="link")
        _, lines = fit(checkpoint, model=Model("val/loss"))
        assert (folder / "last.ckpt").exists()
        left[cls] = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.ckpt"))
    assert left[ModelCheckpoint] == left[Lightnings]
    assert any("file names hold a folder" in line and "unguarded" in line for line in lines)


def test_the_file_resumed_from_is_known_by_any_path(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    model = Model(scores=tuple(1 - epoch / 100 for epoch in range(20)))
    fit(guarded(real, save_top_k=2), 3, model=model)
    fit(guarded(real, save_top_k=2), 8, model=model, ckpt_path=link / "epoch=2.ckpt")
    assert names(real) == ["epoch=2.ckpt", "epoch=6.ckpt", "epoch=7.ckpt"]


@pytest.mark.parametrize("save_last", [True, "link"])
@pytest.mark.parametrize("counter", [True, False])
def test_a_file_that_is_called_last(tmp_path: Path, save_last: Any, counter: bool) -> None:
    left = {}
    for cls in (Lightnings, ModelCheckpoint):
        folder = tmp_path / cls.__module__
        checkpoint = cls(dirpath=folder, filename="last", monitor="val_loss", save_last=save_last,
                         enable_version_counter=counter)
        fit(checkpoint, 1)
        left[cls] = (names(folder), os.path.basename(checkpoint.last_model_path))
    assert left[ModelCheckpoint] == left[Lightnings]


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_epochs": -1, "max_time": {"seconds": 2}},
        {"max_epochs": 2, "every": {"train_time_interval": __import__("datetime").timedelta(seconds=1)}},
        {"max_epochs": 2, "every": {"keep": [checkroom.KeepEvery(hours=1)]}},
    ],
)
def test_runs_that_cannot_be_counted_have_a_preflight(tmp_path: Path, arguments: dict[str, Any]) -> None:
    checkpoint = guarded(tmp_path, **arguments.pop("every", {}))
    seen: list[str] = []
    checkpoint._say = seen.append
    fit(checkpoint, arguments.pop("max_epochs"), **arguments)
    assert "one checkpoint" in seen[0] and "verdict" in seen[0] and "no preflight" not in seen[0]


def test_runs_that_cannot_be_counted_are_refused_where_not_one_file_fits(tmp_path: Path) -> None:
    with pytest.raises(checkroom.PreflightError):
        fit(guarded(tmp_path, max_size="10 kB", keep=[checkroom.KeepEvery(hours=1)]))


def test_a_run_that_saves_nothing_needs_nothing(tmp_path: Path) -> None:
    trainer, _ = fit(guarded(tmp_path, every_n_epochs=0, min_free="8 EB"))
    assert trainer.current_epoch == 6 and names(tmp_path) == []


def test_a_state_that_is_no_inventory_is_no_reason_to_stop(tmp_path: Path) -> None:
    checkpoint = guarded(tmp_path)
    fit(checkpoint, 2)
    path = checkpoint.best_model_path
    for items in ([3], {"a": 1}, [{"name": "../x"}], [{"name": "a", "bytes": -1}], None):
        state = torch.load(path, weights_only=True)
        state["callbacks"][checkpoint.state_key]["checkroom"]["items"] = items
        torch.save(state, tmp_path / "hostile.ckpt")
        trainer, _ = fit(guarded(tmp_path / "other"), 3, ckpt_path=tmp_path / "hostile.ckpt")
        assert trainer.current_epoch == 3


def test_the_disks_own_error_is_not_called_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from checkroom._guard import Guard

    def fails(self: Any, *args: Any, **kwargs: Any) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO), "x")

    monkeypatch.setattr(Guard, "save", fails)
    with pytest.raises(OSError) as caught:
        fit(guarded(tmp_path, when_full="error"))
    assert caught.value.errno == errno.EIO and not isinstance(caught.value, checkroom.DiskFullError)
    trainer, lines = fit(guarded(tmp_path))
    assert trainer.current_epoch == 6 and "Input/output error" in lines[-1]


def test_after_an_input_output_error_the_bytes_are_written_into_a_new_file(tmp_path: Path) -> None:
    """Invariant 5. The disk fails the fsync of the second save's first file."""
    checkpoint = guarded(tmp_path)
    inodes: list[int] = []

    class FailsOnce:
        def __init__(self, store: Any) -> None:
            self.store = store

        def __getattr__(self, name: str) -> Any:
            return getattr(self.store, name)

        def publish(self, staged: Any, name: str, **more: Any) -> int:
            inodes.append(os.stat(staged.path).st_ino)
            if len(inodes) == 2:
                self.kept = open(staged.path, "rb")  # its inode must not be given out again
                raise OSError(errno.EIO, os.strerror(errno.EIO), staged.path)
            return int(self.store.publish(staged, name, **more))

    class Watched(Model):
        def on_train_start(self) -> None:
            checkpoint._guard.store = FailsOnce(checkpoint._guard.store)

    _, lines = fit(checkpoint, 3, model=Watched(scores=(0.5, 0.4, 0.3)))
    assert len(inodes) == 4 and inodes[1] != inodes[2]
    assert [line for line in lines if "was not saved" in line] == []
    assert torch.load(checkpoint.best_model_path, weights_only=True)["epoch"] == 2
    assert names(tmp_path) == ["epoch=2.ckpt"] and not (tmp_path / ".checkroom").exists()


def test_the_last_of_lightnings_class_is_known(tmp_path: Path) -> None:
    """It is a file of its own, that no inventory names: the next `last` replaces it."""
    fit(Lightnings(dirpath=tmp_path, filename="{epoch}", monitor="val_loss", save_last=True, save_top_k=1), 2)
    seen: list[str] = []
    checkpoint = guarded(tmp_path, save_last=True, save_top_k=1)
    checkpoint._say = seen.append
    fit(checkpoint, 4, ckpt_path=tmp_path / "last.ckpt")
    assert "foreign" not in seen[0], seen[0]
    assert names(tmp_path) == ["epoch=3.ckpt", "last.ckpt"]


def test_waiting_also_begins_in_the_middle_of_a_save(tmp_path: Path) -> None:
    """With the preflight off no size is known before the first save: it is refused once its exact size is."""
    checkpoint = guarded(tmp_path, max_size=1000, preflight="off", when_full="wait", wait_minutes=0.02)
    start = time.monotonic()
    trainer, lines = fit(checkpoint, 1)
    assert time.monotonic() - start >= 0.02 * 60
    assert trainer.current_epoch == 1 and any("was not saved" in line for line in lines)


def test_a_logger_that_fails_leaves_no_last_that_never_was(tmp_path: Path) -> None:
    from lightning.pytorch.loggers import CSVLogger

    class Fails(CSVLogger):  # type: ignore[misc]
        def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
            raise RuntimeError("no network")

    checkpoint = guarded(tmp_path, save_last=True)
    with pytest.raises(RuntimeError, match="no network"):
        fit(checkpoint, logger=Fails(tmp_path / "logs"))
    assert checkpoint.last_model_path == ""
    assert os.path.exists(checkpoint.best_model_path)


@pytest.fixture
def in_folder(tmp_path: Path) -> Iterator[Path]:
    before = os.getcwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


def test_a_run_may_change_its_working_directory(in_folder: Path) -> None:
    elsewhere = in_folder / "elsewhere"
    elsewhere.mkdir()
    checkpoint = ModelCheckpoint(filename="{epoch}", monitor="val_loss", save_top_k=2, min_free=0)
    fit(checkpoint, default_root_dir=".", watch=lambda _trainer: os.chdir(elsewhere))
    assert os.path.isabs(checkpoint.best_model_path) and os.path.exists(checkpoint.best_model_path)
    assert len(list(in_folder.rglob("*.ckpt"))) == 2
