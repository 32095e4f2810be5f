"""Writing what torch.save writes: the very bytes, their number before the first one, and the first error."""

from __future__ import annotations

import errno
import io
import logging
import pickle
import warnings
from unittest import mock

import pytest

torch = pytest.importorskip("torch")

from torch_structures import STRUCTURES, plain, renamed_records, trained  # noqa: E402

from checkroom import _pickling, _torch_zip, _writing  # noqa: E402
from checkroom._errors import DiskFullError  # noqa: E402


@pytest.mark.parametrize("structure", STRUCTURES.values(), ids=STRUCTURES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_bytes_are_those_of_torch_save_and_their_number_is_told_first(structure):
    obj = structure()
    expected = plain(obj)
    file, sizes = io.BytesIO(), []

    def on_size(size):
        assert file.getvalue() == b""
        sizes.append(size)

    assert _writing.save_into(obj, file, on_size=on_size) == len(expected)
    assert file.getvalue() == expected
    assert sizes == [len(expected)]


@pytest.mark.parametrize("alignment", [1, 3, 64, 4096, 65536])
def test_the_configured_alignment_and_checksum_are_honoured(alignment):
    config = pytest.importorskip("torch.utils.serialization.config")
    with config.patch({"save.storage_alignment": alignment, "save.compute_crc32": False}):
        obj = trained()
        expected, file, sizes = plain(obj), io.BytesIO(), []
        _writing.save_into(obj, file, on_size=sizes.append)
    assert (file.getvalue(), sizes) == (expected, [len(expected)])


def test_an_alignment_that_no_zip_can_express_is_refused_before_the_first_byte():
    config = pytest.importorskip("torch.utils.serialization.config")
    file = io.BytesIO()
    with config.patch("save.storage_alignment", 65537), pytest.raises(ValueError, match="65537"):
        _writing.save_into(trained(), file)
    assert file.getvalue() == b""


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
        _writing.save_into(trained(), file)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "a.ckpt")
    assert len(file.taken) <= room
    assert file.calls_after == 1


def test_an_error_in_on_size_ends_the_save_before_the_first_byte():
    def refuse(size):
        raise DiskFullError(path="a.ckpt", need=size, have=10)

    file = io.BytesIO()
    with pytest.raises(DiskFullError) as caught:
        _writing.save_into(trained(), file, on_size=refuse)
    assert caught.value.need == len(plain(trained()))
    assert file.getvalue() == b""


def test_what_cannot_be_pickled_leaves_no_bytes():
    file = io.BytesIO()
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        _writing.save_into({"w": torch.ones(3), "f": lambda: None}, file)
    assert file.getvalue() == b""


def test_an_interrupt_is_not_turned_into_another_error():
    class Interrupted(io.BytesIO):
        def write(self, data):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _writing.save_into(trained(), Interrupted())


def test_a_failing_flush_is_raised():
    class Unflushable(io.BytesIO):
        def flush(self):
            raise OSError(errno.EIO, "flush failed")

    with pytest.raises(OSError, match="flush failed"):
        _writing.save_into(trained(), Unflushable())


class Short(io.RawIOBase):
    """A file that takes at most 1000 bytes a call."""

    def __init__(self):
        self.taken = bytearray()

    def write(self, data):
        self.taken += data[:1000]
        return min(1000, len(data))


def test_short_writes_are_completed():
    obj, file = {"w": torch.arange(5000.0)}, Short()
    _writing.save_into(obj, file)
    assert bytes(file.taken) == plain(obj)


def test_a_file_that_takes_nothing_is_an_error():
    class Stuck(io.RawIOBase):
        def __init__(self, answer):
            self.answer = answer

        def write(self, data):
            return self.answer

    for answer in (0, None):
        with pytest.raises(OSError):
            _writing.save_into({}, Stuck(answer))


def test_a_file_object_that_returns_nothing_has_taken_everything():
    class Quiet:
        taken = b""

        def write(self, data):
            self.taken += bytes(data)

        def flush(self):
            pass

    file, obj = Quiet(), trained()
    _writing.save_into(obj, file)
    assert file.taken == plain(obj)


# ---------------------------------------------------------------- a PyTorch that does not fit


@pytest.fixture
def forgetful():
    """Feature detection starts anew, before and after."""

    def forget():
        for detection in (_torch_zip.dialect, _pickling.can_measure, _writing._can_spy):
            detection.cache_clear()

    forget()
    yield
    forget()


def test_without_the_spy_the_size_comes_from_a_pass_of_its_own(forgetful, monkeypatch, caplog):
    monkeypatch.setattr(_writing, "_spied_save", lambda *args: None)
    obj, file, sizes = trained(), io.BytesIO(), []
    with caplog.at_level(logging.INFO, "checkroom"):
        for _ in range(2):
            _writing.save_into(obj, file, on_size=sizes.append)
    assert file.getvalue() == plain(obj) * 2
    assert sizes == [len(plain(obj))] * 2
    assert len(caplog.records) == 1


def test_with_an_unknown_zip_torch_save_writes_and_no_size_is_told(forgetful, monkeypatch, caplog):
    monkeypatch.setattr(torch.serialization, "_save", renamed_records(torch.serialization._save))
    obj, file, sizes = trained(), io.BytesIO(), []
    with caplog.at_level(logging.INFO, "checkroom"):
        assert _writing.save_into(obj, file, on_size=sizes.append) == len(plain(obj))
    assert file.getvalue() == plain(obj)
    assert sizes == []
    assert all(record.name == "checkroom" for record in caplog.records)


def test_what_stands_under_the_name_torch_save_is_called_once_a_file_and_never_looked_at(forgetful, monkeypatch):
    """A test that counts the calls of ``torch.save`` counts files, and what it leaves behind is PyTorch as it is."""
    obj, replaced = trained(), mock.Mock()
    length = len(plain(obj))
    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", replaced)
        assert _pickling.exact_size(obj) == length
        for _ in range(2):
            _writing.save_into(obj, io.BytesIO())
        assert replaced.call_count == 2
    file, sizes = io.BytesIO(), []
    _writing.save_into(obj, file, on_size=sizes.append)
    assert sizes == [len(file.getvalue())] == [length]


def test_no_warning_comes_from_writing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _writing.save_into(trained(), io.BytesIO())
