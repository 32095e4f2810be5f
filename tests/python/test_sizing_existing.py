"""The shares of a checkpoint that exists, read without unpickling it."""

from __future__ import annotations

import collections
import dataclasses
import io
import os
import pickle
import struct
import zipfile

import pytest

torch = pytest.importorskip("torch")

from checkroom.sizing import _scan, from_checkpoint  # noqa: E402
from checkroom.sizing._types import CheckpointSize  # noqa: E402


def trained(tie=False):
    model = torch.nn.Sequential(torch.nn.Linear(8, 16, bias=False), torch.nn.Linear(16, 8, bias=False))
    if tie:
        model[1].weight = model[0].weight
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 8)).sum().backward() if not tie else model[0](torch.ones(1, 8)).sum().backward()
    optimizer.step()
    return {
        "epoch": 1,
        "state_dict": model.state_dict(),
        "callbacks": {"Ema": {"weights": torch.ones(100)}},
        "optimizer_states": [optimizer.state_dict()],
    }


def saved(tmp_path, obj, name="a.ckpt"):
    path = tmp_path / name
    torch.save(obj, path)
    return path


def test_shares_of_a_lightning_checkpoint(tmp_path):
    path = saved(tmp_path, trained())
    size = from_checkpoint(path)
    weights = 2 * 8 * 16 * 4
    assert dataclasses.replace(size, split=None) == CheckpointSize(
        total=os.path.getsize(path),
        weights=weights,
        optimizer=2 * weights + 2 * 4,
        other=os.path.getsize(path) - 3 * weights - 8,
    )


def test_a_tied_storage_counts_once(tmp_path):
    size = from_checkpoint(saved(tmp_path, trained(tie=True)))
    assert (size.weights, size.optimizer) == (8 * 16 * 4, 2 * 8 * 16 * 4 + 4)


@pytest.mark.parametrize(
    "obj",
    [
        {"layer.weight": torch.ones(10), "layer.bias": torch.ones(2)},
        collections.OrderedDict(a=torch.ones(12)),
        torch.ones(12),
        [torch.ones(12)[:3]],
        torch.nn.Linear(11, 1),
        {"model": {"w": torch.ones(12)}},
        {"model_state_dict": torch.nn.Linear(11, 1).state_dict()},
    ],
)
def test_bare_weights_count_as_weights(tmp_path, obj):
    size = from_checkpoint(saved(tmp_path, obj))
    assert (size.weights, size.optimizer) == (48, 0)


def test_checksums_that_were_not_computed_are_not_compared(tmp_path):
    config = pytest.importorskip("torch.utils.serialization.config")
    with config.patch("save.compute_crc32", False):
        path = saved(tmp_path, trained())
    assert from_checkpoint(path).weights == 1024


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_is_read(tmp_path, protocol):
    path = tmp_path / "a.ckpt"
    torch.save(trained(), path, pickle_protocol=protocol)
    assert from_checkpoint(path).weights == 1024


def test_no_code_of_the_file_runs(tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "pwned"),)

    size = from_checkpoint(saved(tmp_path, {"state_dict": {"w": torch.ones(5)}, "evil": Hostile()}))
    assert size.weights == 20
    assert not (tmp_path / "pwned").exists()


# ---------------------------------------------------------------- what is refused, by name


def refused(path, match):
    with pytest.raises(ValueError, match=match) as caught:
        from_checkpoint(path)
    assert str(path) in str(caught.value)


def test_other_files_are_refused_by_name(tmp_path):
    legacy = tmp_path / "legacy.ckpt"
    torch.save({"w": torch.ones(3)}, legacy, _use_new_zipfile_serialization=False)
    refused(legacy, "legacy")
    (tmp_path / "empty.ckpt").write_bytes(b"")
    refused(tmp_path / "empty.ckpt", "is empty")
    (tmp_path / "text.ckpt").write_text("not a checkpoint")
    refused(tmp_path / "text.ckpt", "not a zip file of torch.save")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme", "hello")
    refused(tmp_path / "other.zip", "without PyTorch's 'data.pkl'")
    refused(tmp_path, "is a folder")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_what_is_no_regular_file_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "a.ckpt")
    refused(tmp_path / "a.ckpt", "is not a regular file")
    refused("/dev/zero", "is not a regular file")
    with pytest.raises(FileNotFoundError):
        from_checkpoint(tmp_path / "missing.ckpt")


def test_torchscript_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "scripted.pt", "w") as archive:
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            archive.writestr(f"scripted/{name}", b"\x80\x02}q\x00.")
    refused(tmp_path / "scripted.pt", "TorchScript")


def test_every_truncation_is_a_value_error(tmp_path):
    whole = saved(tmp_path, trained()).read_bytes()
    path = tmp_path / "cut.ckpt"
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError):
            from_checkpoint(path)


def test_random_damage_never_raises_anything_else(tmp_path):
    import random

    chance = random.Random(0)
    whole = saved(tmp_path, trained()).read_bytes()
    path = tmp_path / "damaged.ckpt"
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged)
        try:
            from_checkpoint(path)
        except ValueError:
            pass


def test_a_storage_without_a_record_is_refused(tmp_path):
    with zipfile.ZipFile(saved(tmp_path, trained())) as whole, zipfile.ZipFile(tmp_path / "cut.ckpt", "w") as cut:
        for entry in whole.infolist():
            if not entry.filename.endswith("/data/1"):
                cut.writestr(entry.filename, whole.read(entry))
    refused(tmp_path / "cut.ckpt", "storage '1' is missing")


def with_pickle(tmp_path, data):
    path = tmp_path / "hostile.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
    return path


def keyed(inner):
    """A pickle of ``{"state_dict": ..., "optimizer": ...}`` over the same value."""
    return b"\x80\x02}(X\x0a\x00\x00\x00state_dict" + inner + b"X\x09\x00\x00\x00optimizerh\x00u."


HOSTILE = {
    "a state dict in itself": keyed(b"}q\x00(X\x01\x00\x00\x00ah\x00u"),
    "dicts that hold each twice the one before": keyed(
        b"}q\x01" + b"".join(b"0}q%c(K\x00h%cK\x01h%cu" % (n + 1, n, n) for n in range(1, 60)) + b"q\x00"
    ),
    "a name of many dots": keyed(b"}q\x00(X\xff\xff\x00\x00" + b"." * 0xFFFF + b"Nu"),
    "a number of a million digits for a name": keyed(
        b"}q\x00(\x8b" + struct.pack("<i", 500_000) + b"\x7f" * 500_000 + b"Nu"
    ),
    "numbers for texts": keyed(b"}q\x00(]K\x01}K\x02)K\x03u"),
    "an index that asks for gigabytes": b"\x80\x02}r\xff\xff\xff\x7f.",
    "a deeply nested key": b"\x80\x02}" + b")" + b"\x85" * 200_000 + b"Ns.",
    "a list in itself": b"\x80\x02]q\x00h\x00a.",
    "a set of everything": b"\x80\x04\x8f(K\x01K\x02\x90.",
}
BROKEN = {
    "nothing": b"",
    "no end": b"\x80\x02}",
    "an empty stack": b"\x80\x02.",
    "a missing mark": b"\x80\x02}e.",
    "a key without a value": b"\x80\x02}(K\x01u.",
    "a value into a number": b"\x80\x02K\x01K\x02a.",
    "an unknown memo": b"\x80\x02h\x07.",
    "a registered extension": b"\x80\x02\x82\x01.",
    "a foreign reference": b"\x80\x02X\x01\x00\x00\x00xQ.",
    "a length beyond the end": b"\x80\x02X\xff\xff\xff\x7fabc.",
    "an unknown opcode": b"\x80\x02\xff.",
    "out-of-band data": b"\x80\x05\x97.",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_structures_cost_nothing(tmp_path, data):
    assert from_checkpoint(with_pickle(tmp_path, data)).weights == 0


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_broken_pickles_are_refused(tmp_path, data):
    refused(with_pickle(tmp_path, data), "hostile.ckpt")


def test_a_compressed_pickle_is_refused(tmp_path):
    path = tmp_path / "bomb.ckpt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}" + b"N0" * 1_000_000 + b".")
    refused(path, "compressed")


def test_the_scan_sees_what_the_unpickler_builds():
    obj = {"a": [1, (2, "x"), {"b": frozenset([3])}], "c": collections.OrderedDict(d=b"bytes")}
    for protocol in range(6):
        root = _scan.scan(pickle.dumps(obj, protocol))
        assert [key for key, _ in root.pairs()] == ["a", "c"]


def test_many_records_are_read_quickly(tmp_path):
    import time

    file = io.BytesIO()
    torch.save({"state_dict": {f"layer.{i}.weight": torch.zeros(1) for i in range(20_000)}}, file)
    path = tmp_path / "many.ckpt"
    path.write_bytes(file.getvalue())
    start = time.process_time()
    assert from_checkpoint(path).weights == 80_000
    assert time.process_time() - start < 10


def test_the_magic_of_zip_alone_is_not_enough(tmp_path):
    path = tmp_path / "head.ckpt"
    path.write_bytes(b"PK\x03\x04" + struct.pack("<26x") + b"rest")
    refused(path, "truncated or damaged")
