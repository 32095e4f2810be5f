"""``benchmarks/save.py`` runs, measures every method, and says what it found. How long anything takes is not asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("lightning")

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "save.py"
SECONDS = {"seconds", "median", "minimum", "ratio_median", "ratio_minimum"}
COSTS = {"page_cache_bytes", "written_bytes", "peak_disk_bytes", "neighbour_seconds", "pause_seconds"}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("benchmark")
    place, figures = folder / "place", folder / "figures.json"
    place.mkdir()
    result = subprocess.run(
        [
            sys.executable, str(SCRIPT), "--gigabytes", "0.006", "--rounds", "2", "--watched", "2", "--large", "0.006",
            "--settle", "0", "--directory", str(place), "--json", str(figures),
        ],
        capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert os.listdir(place) == []
    return {**json.loads(figures.read_text()), "text": result.stdout}


def test_every_method_is_measured(found: Any) -> None:
    (size,) = found["sizes"]
    assert size["storages"] == 2304 and size["bytes"] > 6e6
    methods = dict(size["methods"])
    assert set(methods.pop("nothing")) == {"label", *COSTS}
    missing = {key for key, entry in methods.items() if entry.get("missing")}
    assert missing <= {"safetensors_fsync"}
    assert set(methods) - missing >= {
        "limit", "lightning", "lightning_fsync", "lightning_last", "lightning_last_fsync", "torch_fsync", "checkroom",
        "checkroom_not_durable", "checkroom_last",
    }  # fmt: skip
    for key in set(methods) - missing:
        assert set(methods[key]) == {"label", "extra_memory_bytes", *SECONDS, *COSTS}
        assert len(methods[key]["seconds"]) == len(methods[key]["pause_seconds"]) == 2
        assert 0 < methods[key]["minimum"] <= methods[key]["median"]
    assert methods["limit"]["ratio_median"] == methods["limit"]["ratio_minimum"] == 1


def test_the_probes_see_what_the_methods_do(found: Any) -> None:
    (size,) = found["sizes"]
    methods, image = size["methods"], size["bytes"]
    assert methods["lightning"]["extra_memory_bytes"] > image * 0.9  # its buffer
    assert methods["lightning"]["page_cache_bytes"] >= image
    assert methods["lightning_last"]["peak_disk_bytes"] >= 2 * image > methods["checkroom_last"]["peak_disk_bytes"]
    assert methods["checkroom"]["peak_disk_bytes"] >= image
    assert methods["nothing"]["peak_disk_bytes"] == 0


def test_removals_are_measured(found: Any) -> None:
    ways = found["large"]["ways"]
    assert {"unlink", "rename_over", "publish_over_durable", "publish_beside_durable", "trash_durable"} <= set(ways)
    for entry in ways.values():
        assert len(entry["blocked_seconds"]) == len(entry["neighbour_seconds"]) == 2
        assert all(b <= r for b, r in zip(entry["blocked_seconds"], entry["returned_seconds"]))


def test_every_target_says_whether_it_was_met(found: Any) -> None:
    whats = [target["what"] for target in found["targets"]]
    assert len(whats) == len(set(whats)) == 9 + 3
    for target in found["targets"]:
        value = target["value"]
        assert target["met"] == (value <= target["at_most"] if "at_most" in target else value >= target["at_least"])
        assert target["what"] in found["text"]
