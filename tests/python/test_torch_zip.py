"""The records that the installed PyTorch writes around a pickle."""

from __future__ import annotations

import io
import zipfile

import pytest

torch = pytest.importorskip("torch")

from torch_structures import plain, renamed_records, trained  # noqa: E402

from checkroom import _torch_zip  # noqa: E402


@pytest.fixture
def forgetful():
    """Feature detection starts anew, before and after."""
    _torch_zip.dialect.cache_clear()
    yield
    _torch_zip.dialect.cache_clear()


def test_the_dialect_of_the_installed_pytorch_gives_the_size_of_a_file():
    data = plain(trained())
    entries = {entry.filename: entry.file_size for entry in zipfile.ZipFile(io.BytesIO(data)).infolist()}
    storages = [(name.rpartition("/")[2], size) for name, size in entries.items() if "/data/" in name]
    assert len(storages) == len(set(storages)) > 20
    assert _torch_zip.dialect().size(entries["archive/data.pkl"], storages) == len(data)


def test_the_alignment_is_the_one_that_is_configured():
    config = pytest.importorskip("torch.utils.serialization.config")
    assert _torch_zip.alignment() == 64
    with config.patch("save.storage_alignment", 4096):
        assert _torch_zip.alignment() == 4096
        data = plain(trained())
        entries = {entry.filename: entry.file_size for entry in zipfile.ZipFile(io.BytesIO(data)).infolist()}
        storages = [(name.rpartition("/")[2], size) for name, size in entries.items() if "/data/" in name]
        assert _torch_zip.dialect().size(entries["archive/data.pkl"], storages) == len(data)


def test_records_that_are_not_known_make_no_dialect(forgetful, monkeypatch):
    monkeypatch.setattr(torch.serialization, "_save", renamed_records(torch.serialization._save))
    assert _torch_zip.dialect() is None
