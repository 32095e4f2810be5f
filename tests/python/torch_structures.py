"""Objects of every kind that torch.save takes, to be sized and written."""

from __future__ import annotations

import collections
import dataclasses
import io
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")


@dataclasses.dataclass
class Settings:
    name: str
    table: torch.Tensor


def tied():
    weight = torch.arange(12.0).reshape(3, 4)
    return {"a": weight, "b": weight, "view": weight[1:], "transposed": weight.t(), "expanded": weight[:1].expand(5, 4)}


def trained():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.BatchNorm1d(7), torch.nn.Linear(7, 2))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(4, 5)).sum().backward()
    optimizer.step()
    return {"state_dict": model.state_dict(), "optimizer_states": [optimizer.state_dict()], "epoch": 3}


def hooked():
    parameter = torch.nn.Parameter(torch.ones(3))
    parameter.note = "a parameter with state of its own"
    return parameter


STRUCTURES = {
    "nothing": lambda: {},
    "a bare tensor": lambda: torch.ones(3),
    "a number": lambda: 3,
    "tied tensors and views": tied,
    "a view of a large storage": lambda: torch.zeros(10_000)[3:5],
    "empty and scalar": lambda: [torch.empty(0), torch.empty(3, 0), torch.tensor(1.0)],
    "half types": lambda: [torch.ones(5, dtype=t) for t in (torch.bfloat16, torch.float16, torch.float64)],
    "new types": lambda: [torch.ones(5).to(t) for t in (torch.uint16, torch.uint32, torch.float8_e4m3fn)],
    "integers, booleans, complex": lambda: [torch.ones(5, dtype=t) for t in (torch.int8, torch.bool, torch.complex64)],
    "sparse coo": lambda: torch.eye(4).to_sparse(),
    "sparse csr": lambda: torch.eye(4).to_sparse_csr(),
    "quantised": lambda: torch.quantize_per_tensor(torch.randn(9), 0.1, 3, torch.qint8),
    "quantised by channel": lambda: torch.quantize_per_channel(
        torch.randn(3, 4), torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0, 1, 2]), 0, torch.quint8
    ),
    "nested": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(5)]),
    "conjugated": lambda: torch.ones(4, dtype=torch.complex64).conj(),
    "meta": lambda: torch.ones(4, device="meta"),
    "a storage": lambda: torch.ones(4).untyped_storage(),
    "a module": lambda: torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.GRU(4, 4)),
    "parameters": lambda: [hooked(), torch.nn.Parameter(torch.ones(2), requires_grad=False)],
    "a trained model": trained,
    "nested containers": lambda: {"a": {"b": [(torch.ones(2), {"c": collections.OrderedDict(d=torch.ones(1))})]}},
    "names beyond ASCII": lambda: {"größe/世界": torch.ones(1), "x" * 300: "y" * 5000},
    "a path and a dataclass": lambda: {"path": Path("a/b"), "settings": Settings("n", torch.ones(3))},
    "numpy": lambda: {"array": torch.ones(7).numpy(), "scalar": torch.ones(1).numpy()[0], "tensor": torch.ones(3)},
    "300 storages": lambda: {f"layer.{i}.weight": torch.full((i % 7,), float(i)) for i in range(300)},
    "a large pickle": lambda: {"text": ["word %d" % i for i in range(40_000)], "tensor": torch.ones(5)},
}


def plain(obj):
    """The bytes of torch.save."""
    file = io.BytesIO()
    torch.save(obj, file)
    return file.getvalue()


def renamed_records(original):
    """A PyTorch whose records are called something else."""

    class Renaming:
        def __init__(self, writer):
            self.writer = writer

        def write_record(self, name, data, size):
            self.writer.write_record("pickle" if name == "data.pkl" else name, data, size)

    return lambda obj, writer, *args, **kwargs: original(obj, Renaming(writer), *args, **kwargs)
