"""What a callback knows of its checkpoints' sizes: before the first batch, after the first step, after each save."""

from __future__ import annotations

import os
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pl = pytest.importorskip("lightning.pytorch")

from sizing_runs import Tiny, fit, loader, trainer  # noqa: E402

from checkroom._sizes import Sizes, predict_save  # noqa: E402
from checkroom.lightning import ModelCheckpoint  # noqa: E402


class Net(Tiny):
    """A layer that is trained, and one that may get no gradient.

    Args:
        uses: Is the second one used?
    """

    def __init__(self, uses: bool = True) -> None:
        super().__init__()
        self.layer, self.spare = torch.nn.Linear(1, 1), torch.nn.Linear(40, 40)
        self.uses = uses

    def training_step(self, batch: Any, _index: int) -> Any:
        loss = self.layer(batch).sum()
        return loss + self.spare.weight.sum() + self.spare.bias.sum() if self.uses else loss

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters())


class Watched(ModelCheckpoint):
    """Keeps what its Sizes said before and after, what was told, and what was written."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **{"min_free": 0, **more})
        self.before: list[Sizes] = []
        self.after_step: list[Sizes] = []
        self.told: list[str] = []
        self.written: list[int] = []

    def _copy(self) -> Sizes:
        sizes = Sizes()
        vars(sizes).update(vars(self._sizes))
        return sizes

    def on_train_start(self, trainer: Any, module: Any) -> None:
        super().on_train_start(trainer, module)
        self.before.append(self._copy())

    def _save_checkpoint(self, trainer: Any, path: str) -> None:
        self.after_step.append(self._copy())
        super()._save_checkpoint(trainer, path)
        self.written.append(os.path.getsize(path))

    def _say(self, text: str) -> None:
        self.told.append(text)

    _warn = _say


def run(checkpoint: Watched, module: Any = None, **settings: Any) -> Watched:
    settings = {"max_epochs": 3, "num_sanity_val_steps": 0, "enable_checkpointing": True, **settings}
    fit(trainer(checkpoint, **settings), module or Net(), loader(4), loader(1))
    return checkpoint


@pytest.mark.parametrize("saves", [
    {}, {"monitor": "val_loss", "save_top_k": 2}, {"every_n_train_steps": 1},
    {"every_n_train_steps": 3, "save_top_k": -1},
    {"save_on_train_epoch_end": False, "monitor": "val_loss", "save_last": True}, {"save_weights_only": True},
    {"every_n_epochs": 2}, {"save_top_k": 0, "save_last": True},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("settings", [{}, {"val_check_interval": 2}], ids=["one validation", "two"])
def test_the_first_save_is_exact_where_that_is_said(saves: Any, settings: Any, tmp_path: Any) -> None:
    checkpoint = run(Watched(tmp_path, **saves), **settings)
    (before,) = checkpoint.before
    assert before.exact and before.expected == before.certain == checkpoint.written[0]
    assert before.notes == ()
    (text,) = [line for line in checkpoint.told if line.startswith("checkroom preflight")]
    assert "(exact)" in text
    assert checkpoint.after_step[0].corrected and checkpoint.after_step[0].expected == checkpoint.written[0]
    assert max(checkpoint.written) <= before.typical * 1.03
    assert checkpoint._sizes.expected == checkpoint.written[-1]
    assert not any("after the first step" in line for line in checkpoint.told)


def test_a_score_in_the_name_makes_it_the_most_that_it_can_be(tmp_path: Any) -> None:
    checkpoint = run(Watched(tmp_path, monitor="val_loss", filename="{epoch}-{val_loss}", save_top_k=3))
    (before,) = checkpoint.before
    assert before.bound in ("exact", "at most")
    assert before.certain <= checkpoint.written[0] <= before.expected
    assert any("val_loss in file names stays between" in text for text in before.assumes)


@pytest.mark.parametrize(("saves", "bound"), [
    ({}, "at least"), ({"every_n_train_steps": 1, "save_top_k": -1}, "exact"),  # no step lies between
], ids=str)  # fmt: skip
def test_parameters_without_a_gradient_are_corrected_after_the_first_step(
    saves: dict[str, Any], bound: str, tmp_path: Any
) -> None:
    checkpoint = run(Watched(tmp_path, **saves), Net(uses=False))
    (before,) = checkpoint.before
    assert before.assumes[0] == "every trainable parameter gets a gradient"
    assert before.expected > checkpoint.written[0] * 1.36
    first = checkpoint.after_step[0]
    assert (first.expected, first.bound, first.corrected) == (checkpoint.written[0], bound, True)
    told = [note for note in first.notes if "2 of 4 trainable parameters of AdamW have had no gradient" in note]
    assert len(told) == (bound == "at least")
    assert sum("after the first step a checkpoint is" in line for line in checkpoint.told) == 1
    assert first.typical < before.typical


def test_a_figure_is_corrected_only_once_a_step_was_taken(tmp_path: Any) -> None:
    corrected = []

    class Looks(pl.Callback):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            corrected.append(checkpoint._sizes.corrected)

        on_validation_start = on_train_batch_end

    checkpoint = Watched(tmp_path)
    fit(trainer(Looks(), checkpoint, max_epochs=1, num_sanity_val_steps=0, enable_checkpointing=True,
                accumulate_grad_batches=2), Net(), loader(4), loader(1))
    # Checkpoint callbacks come last: it is corrected after the second batch, with which the first step is taken.
    assert corrected == [False, False, True, True, True]


def test_what_a_users_hook_adds_is_learnt_from_the_first_save(tmp_path: Any) -> None:
    class Adds(Net):
        def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
            checkpoint["mine"] = torch.zeros(5000)

    checkpoint = run(Watched(tmp_path, save_top_k=-1), Adds())
    assert checkpoint.before[0].bound == "at least" and checkpoint.before[0].expected < checkpoint.written[0]
    assert checkpoint.before[0].certain == checkpoint.before[0].expected
    assert checkpoint.after_step[1].expected == checkpoint.written[0]


def test_the_size_is_known_without_a_preflight(tmp_path: Any) -> None:
    checkpoint = run(Watched(tmp_path, preflight="off"))
    assert checkpoint.before[0].expected == checkpoint.written[0]
    assert not any("preflight" in line for line in checkpoint.told)


def test_what_cannot_be_predicted_is_trained_all_the_same(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import checkroom.sizing._predict as prediction

    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(prediction, "predict_at", fail)
    checkpoint = run(Watched(tmp_path))
    assert checkpoint.before[0].expected == 0
    assert checkpoint.before[0].notes == ("not predicted: RuntimeError: no such thing",)
    assert checkpoint._sizes.expected == checkpoint.written[-1]


def test_later_saves_are_counted_with_a_full_top_k(tmp_path: Any) -> None:
    checkpoint = run(Watched(tmp_path, monitor="val_loss", save_top_k=3, mode="max"))
    assert checkpoint.before[0].typical > checkpoint.before[0].expected + 500


@pytest.mark.parametrize("top_k", [-1, 10_000])
def test_no_more_files_are_counted_than_are_saved(top_k: int, tmp_path: Any) -> None:
    checkpoint = run(Watched(tmp_path, monitor="val_loss", save_top_k=top_k), max_epochs=6)
    first, last = checkpoint.written[0], checkpoint.written[-1]
    assert len(checkpoint.written) == 6 and first + 1000 < last
    assert checkpoint.before[0].typical in (last, (first + last + 1) // 2)


def test_any_save_can_be_asked_for(tmp_path: Any) -> None:
    sizes = []

    class Ask(pl.Callback):
        def on_train_start(self, trainer: Any, module: Any) -> None:
            sizes.extend(predict_save(checkpoint, trainer, epoch=epoch).total for epoch in range(3))

    checkpoint = Watched(tmp_path, save_top_k=-1)
    fit(trainer(Ask(), checkpoint, max_epochs=3, num_sanity_val_steps=0, enable_checkpointing=True), Net(), loader(4),
        loader(1))  # fmt: skip
    assert sizes == checkpoint.written
