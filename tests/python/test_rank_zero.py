"""What every rank takes from rank 0, over a broadcast that pickles."""

from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from checkroom._rank_zero import of_rank_zero  # noqa: E402


def ranks(*candidates: dict[str, Any]) -> list[dict[str, Any]]:
    """What each rank goes on with, where rank 0's object reaches the others pickled."""
    sent: list[bytes] = []

    def trainer(rank: int) -> Any:
        def broadcast(told: Any) -> Any:
            if rank == 0:
                sent.append(pickle.dumps(told))
            return pickle.loads(sent[0])

        return SimpleNamespace(
            world_size=len(candidates), is_global_zero=rank == 0, strategy=SimpleNamespace(broadcast=broadcast)
        )

    return [of_rank_zero(trainer(rank), own) for rank, own in enumerate(candidates)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64])
def test_every_rank_has_the_metrics_of_rank_0_to_the_bit(dtype: Any) -> None:
    theirs = {"loss": torch.tensor(0.1).to(dtype), "step": torch.tensor(2**40), "epoch": 3}
    theirs["nan"] = torch.tensor(float("nan"))
    first, second = ranks(theirs, {"loss": torch.tensor(7.0), "own": torch.tensor(1.0)})
    assert first is theirs
    assert second.keys() == theirs.keys()
    assert second["loss"].dtype == dtype and torch.equal(second["loss"], theirs["loss"])
    assert torch.equal(second["step"], theirs["step"]) and second["epoch"] == 3
    assert bool(second["nan"].isnan())


def test_telling_them_saves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def save(*_: Any, **__: Any) -> None:
        raise AssertionError("torch.save was called")

    monkeypatch.setattr(torch, "save", save)
    _, second = ranks({"loss": torch.tensor(0.5)}, {})
    assert float(second["loss"]) == 0.5


def test_one_rank_tells_nobody() -> None:
    (only,) = ranks({"loss": torch.tensor(0.5)})
    assert float(only["loss"]) == 0.5
