"""Log rates, given or measured: what is counted, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from checkroom.cli._errors import CommandError
from checkroom.cli._logs import LogRates, Rate, log_rates, measure_logs
from checkroom.cli._steps import Steps
from checkroom.cli._values import Given


def table(folder: Path, steps: list[int]) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    text = "epoch,loss,step\n" + "".join(f"0,0.5,{step}\n" for step in steps)
    (folder / "metrics.csv").write_text(text)
    return len(text)


def given(folder: Path) -> Given:
    return Given(str(folder), "--logs")


def test_a_csv_is_measured_by_its_last_step(tmp_path: Path) -> None:
    size = table(tmp_path / "version_0", [0, 49, 99])
    logs = measure_logs(given(tmp_path))
    assert (logs.csv, logs.tensorboard, logs.files) == (Rate(size, 100), Rate(), 1)


def test_runs_are_added_up_and_files_of_one_folder_are_one_run(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    sizes = [table(tmp_path / f"version_{index}", [10 * index + 9]) for index in range(3)]
    assert measure_logs(given(tmp_path)).csv == Rate(sum(sizes), 10 + 20 + 30)


def test_rows_without_a_step_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("epoch,step,loss\n0,19,1.0\n0,,2.0\n0\n")
    assert measure_logs(given(tmp_path)).csv.steps == 20


def test_a_rate_over_other_steps_is_rounded_up() -> None:
    assert Rate(100, 3).over(3) == 100 and Rate(100, 3).over(1) == 34 and Rate().over(50) == 0


def test_both_rates_hold_over_one_number_of_steps(tmp_path: Path) -> None:
    size = table(tmp_path, [99])
    rates = log_rates({"logs": given(tmp_path)}, Steps(per_epoch=10))
    assert rates == LogRates(0, size, 100, f"measured from 1 file in {tmp_path}")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder: None, "not a folder"),
        (lambda folder: folder.mkdir(), "no log below"),
        (lambda folder: table(folder, []), "holds no step to measure by"),
        (lambda folder: (folder.mkdir(), (folder / "metrics.csv").write_text("a,b\n1,2\n")), "has no column 'step'"),
        (lambda folder: (folder.mkdir(), (folder / "metrics.csv").write_bytes(b"\x00\xff\n")), "has no column 'step'"),
    ],
)
def test_what_is_no_log_is_refused(tmp_path: Path, make: object, says: str) -> None:
    folder = tmp_path / "logs"
    make(folder)  # type: ignore[operator]
    with pytest.raises(CommandError, match=says) as caught:
        measure_logs(given(folder))
    assert str(folder) in str(caught.value) and "(give" in str(caught.value)


def test_contradictions_are_refused(tmp_path: Path) -> None:
    table(tmp_path, [9])
    values = {"logs": given(tmp_path)}
    with pytest.raises(CommandError, match="steps of an epoch are not known"):
        log_rates(values, Steps())
    with pytest.raises(CommandError, match="exclude each other"):
        log_rates({**values, "csv_per_epoch": Given("1MB", "--csv-per-epoch")}, Steps(per_epoch=10))


def test_what_is_measured_of_one_run_foretells_a_longer_one(tmp_path: Path) -> None:
    """Real logs of a real run, and of one that is four times as long."""
    torch = pytest.importorskip("torch")
    pl = pytest.importorskip("lightning.pytorch")
    pytest.importorskip("tensorboard")
    from lightning.pytorch.demos.boring_classes import BoringModel
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

    class Model(BoringModel):  # type: ignore[misc]
        def training_step(self, batch: object, index: int) -> object:
            output = super().training_step(batch, index)
            self.log("train_loss", torch.rand(()))
            return output

    def run(name: str, epochs: int) -> Path:
        folder = tmp_path / name
        trainer = pl.Trainer(
            max_epochs=epochs, limit_train_batches=40, limit_val_batches=1, log_every_n_steps=2, accelerator="cpu",
            logger=[CSVLogger(folder), TensorBoardLogger(folder)], enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False,
        )
        trainer.fit(Model())
        return folder

    rates = log_rates({"logs": given(run("short", 3))}, Steps(per_epoch=40))
    long = run("long", 12)
    real = {
        kind: sum(os.path.getsize(path) for path in long.rglob(pattern))
        for kind, pattern in (("csv", "metrics.csv"), ("tensorboard", "events.out.*"))
    }
    assert rates.steps == 120
    assert rates.csv_per_epoch * 4 == pytest.approx(real["csv"], rel=0.05)
    assert rates.tensorboard_per_epoch * 4 == pytest.approx(real["tensorboard"], rel=0.05)
