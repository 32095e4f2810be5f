"""The one pickling pass: the exact size of whatever torch.save takes."""

from __future__ import annotations

import logging
import warnings

import pytest

torch = pytest.importorskip("torch")

from torch_structures import STRUCTURES, plain, renamed_records, tied, trained  # noqa: E402

from checkroom import _pickling, _torch_zip  # noqa: E402


@pytest.mark.parametrize("structure", STRUCTURES.values(), ids=STRUCTURES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_size_is_that_of_torch_save(structure):
    obj = structure()
    assert _pickling.exact_size(obj) == len(plain(obj))


@pytest.mark.parametrize("alignment", [1, 3, 64, 4096, 65536])
def test_the_configured_alignment_is_honoured(alignment):
    config = pytest.importorskip("torch.utils.serialization.config")
    with config.patch("save.storage_alignment", alignment):
        assert _pickling.exact_size(trained()) == len(plain(trained()))


def test_an_alignment_that_no_zip_can_express_is_refused():
    config = pytest.importorskip("torch.utils.serialization.config")
    with config.patch("save.storage_alignment", 65537), pytest.raises(ValueError, match="65537"):
        _pickling.exact_size(trained())


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


def test_a_tied_storage_counts_once():
    assert list(_pickling.measure(tied()).storages.values()) == [48]
    assert sum(_pickling.measure([torch.zeros(1000)[:3], torch.ones(2)]).storages.values()) == 4008


def test_a_pass_tells_what_it_saw_once_the_pickle_is_complete():
    seen, told = _pickling.Seen(), []
    module = _pickling.pickle_module(seen, on_dumped=lambda: told.append((seen.pickle_bytes, dict(seen.storages))))
    torch.save(tied(), _pickling._NullSink(), pickle_module=module)
    ((length, storages),) = told
    assert length > 100 and storages == {"0": 48}


def test_a_pass_that_fails_says_so():
    failures = []
    module = _pickling.pickle_module(_pickling.Seen(), on_failure=failures.append)
    with pytest.raises(Exception) as caught:
        torch.save({"f": lambda: None}, _pickling._NullSink(), pickle_module=module)
    assert failures == [caught.value]


# ---------------------------------------------------------------- a PyTorch that does not fit


@pytest.fixture
def forgetful():
    """Feature detection starts anew, before and after."""

    def forget():
        for detection in (_torch_zip.dialect, _pickling.can_measure):
            detection.cache_clear()

    forget()
    yield
    forget()


def test_with_an_unknown_zip_a_save_is_thrown_away(forgetful, monkeypatch, caplog):
    monkeypatch.setattr(torch.serialization, "_save", renamed_records(torch.serialization._save))
    with caplog.at_level(logging.INFO, "checkroom"):
        assert not _pickling.can_measure()
        assert _pickling.exact_size(trained()) == len(plain(trained()))
    with pytest.raises(RuntimeError, match="not the one that is known"):
        _pickling.measure(trained())
    assert [record.name for record in caplog.records] == ["checkroom"]


def test_no_warning_comes_from_sizing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _pickling.exact_size(trained())
