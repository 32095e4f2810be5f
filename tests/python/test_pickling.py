"""The one pickling pass: exact sizes, the very bytes of torch.save, and the first error."""

from __future__ import annotations

import collections
import dataclasses
import errno
import io
import logging
import pickle
import warnings
from pathlib import Path
from unittest import mock

import pytest

torch = pytest.importorskip("torch")

from checkroom import _pickling  # noqa: E402
from checkroom._errors import DiskFullError  # noqa: E402


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
    file = io.BytesIO()
    torch.save(obj, file)
    return file.getvalue()


@pytest.mark.parametrize("structure", STRUCTURES.values(), ids=STRUCTURES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_size_and_bytes_are_those_of_torch_save(structure):
    obj = structure()
    expected = plain(obj)
    assert _pickling.exact_size(obj) == len(expected)
    file, sizes = io.BytesIO(), []

    def on_size(size):
        assert file.getvalue() == b""
        sizes.append(size)

    assert _pickling.save_into(obj, file, on_size=on_size) == len(expected)
    assert file.getvalue() == expected
    assert sizes == [len(expected)]


@pytest.mark.parametrize("alignment", [1, 3, 64, 4096, 65536])
def test_the_configured_alignment_and_checksum_are_honoured(alignment):
    config = pytest.importorskip("torch.utils.serialization.config")
    with config.patch({"save.storage_alignment": alignment, "save.compute_crc32": False}):
        obj = trained()
        expected, file, sizes = plain(obj), io.BytesIO(), []
        assert _pickling.exact_size(obj) == len(expected)
        _pickling.save_into(obj, file, on_size=sizes.append)
    assert (file.getvalue(), sizes) == (expected, [len(expected)])


def test_an_alignment_that_no_zip_can_express_is_refused_before_the_first_byte():
    config = pytest.importorskip("torch.utils.serialization.config")
    file = io.BytesIO()
    with config.patch("save.storage_alignment", 65537), pytest.raises(ValueError, match="65537"):
        _pickling.save_into(trained(), file)
    assert file.getvalue() == b""


def test_sizing_reads_no_tensor_data():
    huge = torch.empty(1 << 36, dtype=torch.uint8, device="meta")
    ghosts = _pickling.Ghosts()
    assert _pickling.exact_size({"a": ghosts.add(huge, "cpu")}, ghosts=ghosts) > 1 << 36


@pytest.mark.parametrize("size", [2**32 - 65, 2**32 - 2, 2**32 - 1, 2**32, 2**33 + 5])
def test_sizes_around_4_gib_are_those_of_pytorch(size):
    # PyTorch seeks over data that it is told to skip: the length of such a file costs nothing.
    sink = _pickling._NullSink()
    writer = torch._C.PyTorchFileWriter(sink, False, 64)
    records = [("data.pkl", 6), ("data/0", size), ("data/1", 0), ("data/2", size), ("data/3", 7)]
    writer.write_record("data.pkl", b"\x80\x02}q\x00.", 6)
    for name, length in records[1:]:
        writer.write_record_metadata(name, length)
    writer.write_end_of_file()
    trailer = [("version", 2), ("byteorder", 6), (".data/serialization_id", 40)]
    assert _pickling.archive_size(records + trailer) == sink.size


def ghost_of(tensor, ghosts):
    ghost = torch.empty_strided(tensor.size(), tensor.stride(), dtype=tensor.dtype, device="meta")
    return ghosts.add(ghost, str(tensor.device))


def test_ghosts_weigh_what_real_tensors_weigh():
    real = {f"t{i}": torch.ones(i + 1, dtype=d) for i, d in enumerate((torch.float32, torch.bfloat16, torch.uint16))}
    real["transposed"] = torch.ones(3, 4).t()
    ghosts = _pickling.Ghosts()
    imagined = {name: ghost_of(tensor, ghosts) for name, tensor in real.items()}
    assert _pickling.exact_size(imagined, ghosts=ghosts) == len(plain(real))
    parameter = torch.nn.Parameter(ghosts.add(torch.empty(5, device="meta"), "cpu"))
    assert _pickling.exact_size([parameter], ghosts=ghosts) == len(plain([torch.nn.Parameter(torch.empty(5))]))


def test_a_ghost_on_an_accelerator_names_its_device_in_each_storage():
    def size(device):
        ghosts = _pickling.Ghosts()
        tensors = [ghosts.add(torch.empty(1, device="meta"), device) for _ in range(100)]
        return _pickling.exact_size(tensors, ghosts=ghosts)

    # 'cpu' is one string for all; 'cuda:0' comes with its length and its memo entry, 14 bytes for each storage.
    assert 1300 <= size("cuda:0") - size("cpu") <= 1500


def test_storage_sizes_count_a_tied_storage_once():
    assert list(_pickling.storage_sizes(tied()).values()) == [48]
    assert sum(_pickling.storage_sizes([torch.zeros(1000)[:3], torch.ones(2)]).values()) == 4008


# ---------------------------------------------------------------- errors


class Full(io.RawIOBase):
    """A file that takes so many bytes and then has no room."""

    def __init__(self, room):
        self.room, self.taken, self.calls_after = room, bytearray(), 0

    def write(self, data):
        if len(self.taken) + len(data) > self.room:
            self.calls_after += 1
            raise OSError(errno.ENOSPC, "no room", "a.ckpt")
        self.taken += data
        return len(data)


@pytest.mark.parametrize("room", [0, 100, 2000, 4000])
def test_the_first_error_of_the_file_is_raised_and_nothing_follows_it(room):
    file = Full(room)
    with pytest.raises(OSError, match="no room") as caught:
        _pickling.save_into(trained(), file)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "a.ckpt")
    assert len(file.taken) <= room
    assert file.calls_after == 1


def test_an_error_in_on_size_ends_the_save_before_the_first_byte():
    def refuse(size):
        raise DiskFullError(path="a.ckpt", need=size, have=10)

    file = io.BytesIO()
    with pytest.raises(DiskFullError) as caught:
        _pickling.save_into(trained(), file, on_size=refuse)
    assert caught.value.need == len(plain(trained()))
    assert file.getvalue() == b""


def test_what_cannot_be_pickled_leaves_no_bytes():
    file = io.BytesIO()
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        _pickling.save_into({"w": torch.ones(3), "f": lambda: None}, file)
    assert file.getvalue() == b""


def test_an_interrupt_is_not_turned_into_another_error():
    class Interrupted(io.BytesIO):
        def write(self, data):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _pickling.save_into(trained(), Interrupted())


def test_a_failing_flush_is_raised():
    class Unflushable(io.BytesIO):
        def flush(self):
            raise OSError(errno.EIO, "flush failed")

    with pytest.raises(OSError, match="flush failed"):
        _pickling.save_into(trained(), Unflushable())


class Short(io.RawIOBase):
    """A file that takes at most 1000 bytes a call."""

    def __init__(self):
        self.taken = bytearray()

    def write(self, data):
        self.taken += data[:1000]
        return min(1000, len(data))


def test_short_writes_are_completed():
    obj, file = {"w": torch.arange(5000.0)}, Short()
    _pickling.save_into(obj, file)
    assert bytes(file.taken) == plain(obj)


def test_a_file_that_takes_nothing_is_an_error():
    class Stuck(io.RawIOBase):
        def __init__(self, answer):
            self.answer = answer

        def write(self, data):
            return self.answer

    for answer in (0, None):
        with pytest.raises(OSError):
            _pickling.save_into({}, Stuck(answer))


def test_a_file_object_that_returns_nothing_has_taken_everything():
    class Quiet:
        taken = b""

        def write(self, data):
            self.taken += bytes(data)

        def flush(self):
            pass

    file, obj = Quiet(), trained()
    _pickling.save_into(obj, file)
    assert file.taken == plain(obj)


# ---------------------------------------------------------------- a PyTorch that does not fit


@pytest.fixture
def forgetful():
    """Feature detection starts anew, before and after."""

    def forget():
        for detection in (_pickling._dialect, _pickling._can_dry_run, _pickling._can_spy):
            detection.cache_clear()

    forget()
    yield
    forget()


def test_without_the_spy_the_size_comes_from_a_pass_of_its_own(forgetful, monkeypatch, caplog):
    monkeypatch.setattr(_pickling, "_spied_save", lambda *args: None)
    obj, file, sizes = trained(), io.BytesIO(), []
    with caplog.at_level(logging.INFO, "checkroom"):
        for _ in range(2):
            _pickling.save_into(obj, file, on_size=sizes.append)
    assert file.getvalue() == plain(obj) * 2
    assert sizes == [len(plain(obj))] * 2
    assert len(caplog.records) == 1


def test_with_an_unknown_zip_torch_save_writes_and_no_size_is_told(forgetful, monkeypatch, caplog):
    monkeypatch.setattr(torch.serialization, "_save", _renamed_records(torch.serialization._save))
    obj, file, sizes = trained(), io.BytesIO(), []
    with caplog.at_level(logging.INFO, "checkroom"):
        assert _pickling.save_into(obj, file, on_size=sizes.append) == len(plain(obj))
    assert file.getvalue() == plain(obj)
    assert sizes == []
    assert _pickling.exact_size(obj) == len(plain(obj))
    assert all(record.name == "checkroom" for record in caplog.records)


def test_what_stands_under_the_name_torch_save_is_called_once_a_file_and_never_looked_at(forgetful, monkeypatch):
    """A test that counts the calls of ``torch.save`` counts files, and what it leaves behind is PyTorch as it is."""
    obj, replaced = trained(), mock.Mock()
    length = len(plain(obj))
    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", replaced)
        assert _pickling.exact_size(obj) == length
        for _ in range(2):
            _pickling.save_into(obj, io.BytesIO())
        assert replaced.call_count == 2
    file, sizes = io.BytesIO(), []
    _pickling.save_into(obj, file, on_size=sizes.append)
    assert sizes == [len(file.getvalue())] == [length]


def _renamed_records(original):
    class Renaming:
        def __init__(self, writer):
            self.writer = writer

        def write_record(self, name, data, size):
            self.writer.write_record("pickle" if name == "data.pkl" else name, data, size)

    return lambda obj, writer, *args, **kwargs: original(obj, Renaming(writer), *args, **kwargs)


def test_no_warning_comes_from_sizing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _pickling.exact_size(trained())
        _pickling.save_into(trained(), io.BytesIO())
