"""Files that the core writes: byte for byte those of torch.save."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from unittest import mock

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch_structures import STRUCTURES, plain, trained  # noqa: E402

import checkroom  # noqa: E402
from checkroom import _archive, _torch_zip  # noqa: E402
from checkroom._core import ArchiveWriter, RetentionPolicy, Store  # noqa: E402
from checkroom._errors import DiskFullError  # noqa: E402
from checkroom._writing import save_into  # noqa: E402

KNOWN = _torch_zip.dialect()
FULL = "CHECKROOM_FULL" in os.environ
# Those around 4 GiB only at full counts.
VECTORS = [
    vector
    for vector in json.loads((Path(__file__).parents[1] / "data/golden/torch_zip_vectors.json").read_text())
    if FULL or vector["size"] < 100_000_000
]


def archive(obj, **arguments):
    sizes = []
    content = _archive.save_archive(obj, None, KNOWN, on_size=sizes.append, **arguments).value()
    assert sizes == [len(content)]
    return content


def test_this_pytorch_lets_itself_be_driven():
    assert _archive.drives() is not None


@pytest.mark.parametrize("apart", [False, True], ids=["as they come", "fetched by name"])
@pytest.mark.parametrize("structure", STRUCTURES.values(), ids=STRUCTURES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_bytes_are_those_of_torch_save(structure, apart):
    obj = structure()
    assert archive(obj, apart=apart) == plain(obj)


@pytest.mark.parametrize("alignment", [1, 3, 64, 4096, 65536])
@pytest.mark.parametrize("checksums", [True, False])
def test_pytorchs_own_settings_are_honoured(alignment, checksums):
    config = pytest.importorskip("torch.utils.serialization.config")
    with config.patch({"save.storage_alignment": alignment, "save.compute_crc32": checksums}):
        obj = trained()
        assert archive(obj) == plain(obj)


def zeros(size):
    block = bytes(1 << 20)
    while size:
        count = min(size, len(block))
        yield block[:count]
        size -= count


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_every_vector(vector, tmp_path):
    """Written to the disk, and read back in pieces."""
    store = Store(str(tmp_path), RetentionPolicy(save_top_k=-1))
    staged = store.stage("a")
    writer = ArchiveWriter(
        staged, prefix=vector["prefix"], alignment=vector["align"], compute_crc=vector["crc"]
    )
    for name, data in vector["records"]:
        if isinstance(data, str):
            writer.write(name, bytes.fromhex(data))
            continue
        writer.begin(name, data)
        for block in zeros(data):
            memory = torch.frombuffer(bytearray(block), dtype=torch.uint8)
            writer.append_memory(memory.data_ptr(), len(block))
        writer.end()
    assert writer.finish() == vector["size"]
    store.publish(staged, "a", check="structure")
    digest = hashlib.sha256()
    with open(tmp_path / "a", "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    assert digest.hexdigest() == vector["sha256"]
    store.close()


DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.uint8, torch.bool]


@st.composite
def objects(draw):
    """A checkpoint of any shape: tensors, views, ties, names of any characters."""
    tensors = [
        torch.zeros(draw(st.integers(0, 3000)), dtype=draw(st.sampled_from(DTYPES)))
        for _ in range(draw(st.integers(0, 6)))
    ]
    leaves = st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.binary(max_size=20),
        *([st.sampled_from(tensors)] if tensors else []),
        *([st.sampled_from(tensors).map(lambda tensor: tensor[: len(tensor) // 2])] if tensors else []),
    )  # fmt: skip
    branches = st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=12), inner, max_size=5),
        max_leaves=20,
    )  # fmt: skip
    return draw(branches)


@given(obj=objects())
def test_whatever_is_saved(obj):
    assert archive(obj) == plain(obj)


@given(sizes=st.lists(st.integers(0, 200_000), max_size=40), salt=st.integers(0, 255))
def test_whatever_lengths_its_storages_have(sizes, salt):
    obj = {f"p{i}": torch.full((size,), (salt + i) % 256, dtype=torch.uint8) for i, size in enumerate(sizes)}
    assert archive(obj) == plain(obj)


def test_thousands_of_tensors():
    obj = {f"layer.{i}": torch.full((7,), float(i)) for i in range(5000)}
    assert archive(obj) == plain(obj)


# ---------------------------------------------------------------- on the disk


def test_everybody_can_read_it(tmp_path):
    path = tmp_path / "a.pt"
    obj = {"w": torch.arange(3_000_000), "é": [torch.ones(3), None]}
    receipt = checkroom.save(obj, path)
    assert path.read_bytes() == plain(obj)
    assert receipt.bytes == path.stat().st_size
    parts = (receipt.serialise_seconds, receipt.write_seconds, receipt.sync_seconds)
    assert min(parts) >= 0 and sum(parts) <= receipt.seconds
    for how in ({"weights_only": True}, {"mmap": True}):
        assert torch.equal(torch.load(path, **how)["w"], obj["w"])
    assert zipfile.ZipFile(path).testzip() is None
    unzip = subprocess.run([sys.executable, "-m", "zipfile", "-t", str(path)], capture_output=True, text=True)
    assert unzip.returncode == 0


def test_the_file_object_of_pytorch_itself_is_not_asked_for(tmp_path):
    with mock.patch("torch._C.PyTorchFileWriter", side_effect=AssertionError):
        checkroom.save({"w": torch.ones(10)}, tmp_path / "a.pt")
    assert torch.load(tmp_path / "a.pt")["w"].sum() == 10


@pytest.mark.parametrize("why", ["the environment", "another torch.save"])
def test_without_the_core_pytorch_writes_the_same_file(tmp_path, monkeypatch, why):
    obj = {"w": torch.arange(3_000_000)}
    calls = []
    if why == "the environment":
        monkeypatch.setenv("CHECKROOM_WRITER", "torch")
    else:
        own = torch.save
        monkeypatch.setattr(torch, "save", lambda *args, **more: calls.append(1) or own(*args, **more))
    monkeypatch.setattr(_archive, "save_archive", mock.Mock(side_effect=AssertionError))
    checkroom.save(obj, tmp_path / "a.pt")
    assert (tmp_path / "a.pt").read_bytes() == plain(obj)
    assert bool(calls) == (why != "the environment")


def test_a_pytorch_that_writes_otherwise_is_left_to_itself(monkeypatch):
    monkeypatch.setattr(_archive, "_driven", _archive._driven.__wrapped__)
    original = torch.serialization._save

    def differs(obj, zip_file, *args):
        original(obj, zip_file, *args)
        zip_file.write_record("extra", "x", 1)

    assert _archive.drives() is not None
    monkeypatch.setattr(torch.serialization, "_save", lambda obj, zip_file, *args: None)
    assert _archive.drives() is None
    monkeypatch.setattr(torch.serialization, "_save", lambda obj, *args: differs(obj, *args))
    with mock.patch.object(_archive, "pytorch_save", lambda obj, file: file.write(plain({}))):
        assert _archive.drives() is None


def test_data_that_are_to_be_skipped_are(tmp_path):
    skip_data = pytest.importorskip("torch.serialization").skip_data
    with skip_data():
        assert _archive.drives() is None
        checkroom.save({"w": torch.ones(100)}, tmp_path / "a.pt")
    assert torch.load(tmp_path / "a.pt")["w"].sum() == 0


def test_the_size_is_told_before_the_first_byte_and_may_be_refused(tmp_path):
    store = Store(str(tmp_path), RetentionPolicy(save_top_k=-1))
    staged = store.stage("a.ckpt")

    def refuse(size):
        assert staged.bytes_written == 0
        raise DiskFullError(path="a.ckpt", need=size, have=10)

    obj = trained()
    with pytest.raises(DiskFullError) as caught:
        save_into(obj, staged, on_size=refuse)
    assert caught.value.need == len(plain(obj))
    assert staged.bytes_written == 0
    staged.abandon()
    store.close()


def test_what_cannot_be_pickled_leaves_nothing(tmp_path):
    with pytest.raises((TypeError, AttributeError)):
        checkroom.save({"w": torch.ones(3), "lock": threading.Lock()}, tmp_path / "a.pt")
    assert [entry.name for entry in tmp_path.rglob("*") if entry.is_file()] == []


def test_a_tensor_that_changes_meanwhile_has_the_checksum_of_what_was_written(tmp_path):
    """The checksum is that of the copy: whatever was caught of the tensor, the file is whole."""
    tensor = torch.zeros(20_000_000, dtype=torch.uint8)
    stop = threading.Event()

    def change():
        while not stop.is_set():
            tensor.add_(1)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for index in range(5):
            checkroom.save({"w": tensor}, tmp_path / f"{index}.pt", verify=True)
    finally:
        stop.set()
        thread.join()


def test_other_threads_go_on(tmp_path):
    tensor = torch.zeros(100_000_000, dtype=torch.uint8)
    counted = [0]
    stop = threading.Event()

    def count():
        while not stop.is_set():
            counted[0] += 1
            time.sleep(0)  # lets go of the lock

    thread = threading.Thread(target=count)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # a thread that keeps the lock keeps it: only a release lets others in
    thread.start()
    try:
        counts = []
        for index in range(3):
            start = counted[0]
            checkroom.save({"w": tensor}, tmp_path / f"{index}.pt", durable=False)
            counts.append(counted[0] - start)
    finally:
        stop.set()
        sys.setswitchinterval(before)
        thread.join()
    assert all(counts)


# ---------------------------------------------------------------- a storage that lies elsewhere


@pytest.mark.parametrize("size", [1, 4 << 20, (4 << 20) + 1, 20_000_003])
def test_pieces_make_the_whole(size):
    import ctypes

    tensor = (torch.arange(size) % 251).to(torch.uint8)
    got = b"".join(
        ctypes.string_at(address, count) for address, count in _archive._pieces(tensor.untyped_storage(), size)
    )
    assert torch.equal(torch.frombuffer(bytearray(got), dtype=torch.uint8), tensor)


def test_a_storage_on_an_accelerator_is_fetched_in_pieces(monkeypatch):
    obj = {"w": torch.arange(3_000_000), "b": torch.ones(5)}
    pieces, original = [], _archive._pieces

    def counted(storage, size):
        for piece in original(storage, size):
            pieces.append(piece[1])
            yield piece

    monkeypatch.setattr(_archive, "_pieces", counted)
    monkeypatch.setattr(_archive, "_is_near", lambda storage: False)
    assert archive(obj) == plain(obj)
    assert max(pieces) <= 4 << 20 and sum(pieces) == 24_000_020 and len(pieces) == 7
