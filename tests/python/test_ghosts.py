"""Tensors without memory weigh what real ones weigh."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch_structures import plain  # noqa: E402

from checkroom._ghosts import Ghosts  # noqa: E402
from checkroom._pickling import measure  # noqa: E402


def ghost_of(tensor, ghosts):
    ghost = torch.empty_strided(tensor.size(), tensor.stride(), dtype=tensor.dtype, device="meta")
    return ghosts.add(ghost, str(tensor.device))


def test_ghosts_weigh_what_real_tensors_weigh():
    real = {f"t{i}": torch.ones(i + 1, dtype=d) for i, d in enumerate((torch.float32, torch.bfloat16, torch.uint16))}
    real["transposed"] = torch.ones(3, 4).t()
    ghosts = Ghosts()
    imagined = {name: ghost_of(tensor, ghosts) for name, tensor in real.items()}
    assert measure(imagined, ghosts).total == len(plain(real))
    parameter = torch.nn.Parameter(ghosts.add(torch.empty(5, device="meta"), "cpu"))
    assert measure([parameter], ghosts).total == len(plain([torch.nn.Parameter(torch.empty(5))]))


def test_a_ghost_on_an_accelerator_names_its_device_in_each_storage():
    def size(device):
        ghosts = Ghosts()
        tensors = [ghosts.add(torch.empty(1, device="meta"), device) for _ in range(100)]
        return measure(tensors, ghosts).total

    # 'cpu' is one string for all; 'cuda:0' comes with its length and its memo entry, 14 bytes for each storage.
    assert 1300 <= size("cuda:0") - size("cpu") <= 1500


def test_ghosts_that_share_a_storage_are_one_record():
    ghosts = Ghosts()
    ghost = ghosts.add(torch.empty(100, device="meta"), "cpu")
    real = torch.empty(100)
    assert measure([ghost, ghost[3:]], ghosts).total == len(plain([real, real[3:]]))


def test_a_meta_tensor_that_stands_for_nothing_stays_one():
    ghosts = Ghosts()
    ghosts.add(torch.empty(5, device="meta"), "cpu")
    meta = torch.empty(1000, device="meta")
    assert measure(meta, ghosts).total == len(plain(meta)) < 4000


def test_no_tensor_data_is_read():
    huge = torch.empty(1 << 36, dtype=torch.uint8, device="meta")
    ghosts = Ghosts()
    assert measure({"a": ghosts.add(huge, "cpu")}, ghosts).total > 1 << 36
