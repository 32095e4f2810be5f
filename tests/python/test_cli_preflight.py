"""What ``checkroom preflight`` answers: the words before the script, the report of a verdict, the exit code."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from checkroom.cli import preflight as command
from checkroom.cli._app import run
from checkroom.cli._errors import CommandError
from checkroom.cli._preflight_report import as_text, exit_code, plot_rows, preflight_data, without_verdict
from checkroom.cli._script import Ending

GB = 1_000_000_000


def entry(
    directory: str = "/runs/a", verdict: str = "fits", *, rest: int = 2 * GB, peak: int = 3 * GB, free: int = 10 * GB,
    device: str = "8:1", floor: int = GB, **more: Any,
) -> dict[str, Any]:
    figures = {
        "at_rest_bytes": {"least": rest, "most": rest}, "device": device, "free_bytes": free, "floor_bytes": floor,
        "peak_bytes": {"checkroom": {"least": rest, "most": peak}, "lightning": {"least": rest, "most": peak}},
        "checkpoint_bytes": GB, "own_bytes": 0, "used_bytes": 0,
        "run_spec": {"max_epochs": 4, "save_top_k": 2, "monitor": "x", "checkpoint_bytes": GB, "keep": [{"last": 1}]},
    }  # fmt: skip
    return {
        "class": "checkroom.lightning.ModelCheckpoint", "directory": directory, "verdict": verdict, "message": "",
        "text": f"checkroom preflight of {directory}\n  verdict  ...", "remarks": [], "leaving": [], "figures": figures,
        **more,
    }  # fmt: skip


def done(*entries: dict[str, Any], **more: Any) -> Ending:
    verdict = {
        "format": 1, "state": "done", "package": "lightning", "version": "2.6.6", "callbacks": list(entries),
        "not_counted": [], **more,
    }  # fmt: skip
    return Ending(verdict, 0)


def obstacle(state: str, **facts: Any) -> str:
    verdict = {"format": 1, "state": state, "package": "lightning", "version": "2.6.6", **facts}
    with pytest.raises(CommandError) as caught:
        preflight_data(Ending(verdict, 0), ["x"])
    return str(caught.value)


def no_callback(*found: str, package: str = "lightning", **more: Any) -> str:
    facts = {"from_config": False, "installed": True, "python": "/env/bin/python", **more}
    return obstacle("no_callback", found=list(found), package=package, **facts)


# -- the words


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "no command to run (write it after --: checkroom preflight -- python train.py)"),
        (["--"], "no command to run (write it after --: checkroom preflight -- python train.py)"),
        (["python", "train.py"], "no command to run (write it after --: checkroom preflight -- python train.py)"),
        (["--format", "xml", "--", "true"], "--format: not a format: 'xml' (one of table, json)"),
        (["--", "frobnicate"], "no such command: 'frobnicate' (write for example python train.py)"),
        (["--", "true"], "the script ended with exit code 0 before the first batch of a Trainer (is fit called? "
         "preflight stops it there)"),
        (["--", "false"], "the script ended with exit code 1 before the first batch of a Trainer"),
        (["--", "sh", "-c", "kill -9 $$"], "the script was ended by SIGKILL before the first batch of a Trainer"),
    ],
)  # fmt: skip
def test_an_error_is_one_line(capfd: pytest.CaptureFixture[str], words: list[str], line: str) -> None:
    assert run(["preflight", *words]) == 2
    assert capfd.readouterr() == ("", f"checkroom preflight: {line}\n")


@pytest.mark.parametrize("words", [["--frobnicate", "--", "true"], ["--format"], ["stray", "--", "true"]])
def test_so_is_a_slip_in_the_usage(capfd: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert run(["preflight", *words]) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.startswith("checkroom preflight: ") and err.count("\n") == 1


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would be run; each of them fits."""
    from checkroom.cli import _script

    commands: list[list[str]] = []

    def rehearse(words: list[str], *, stdout: int | None = None) -> Ending:
        commands.append(words)
        return done(entry())

    monkeypatch.setattr(_script, "rehearse", rehearse)
    return commands


@pytest.mark.parametrize(
    "script",
    [["python", "train.py", "--save-last", "--format", "x"], ["a", "--", "b"], ["python", "train.py", "--help"],
     ["--version"]],
)
def test_what_follows_the_dashes_is_the_scripts(
    capsys: pytest.CaptureFixture[str], seen: list[list[str]], script: list[str]
) -> None:
    assert run(["preflight", "--format", "json", "--", *script]) == 0
    assert seen == [script]
    assert json.loads(capsys.readouterr().out)["command"] == script


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_needs_no_script(capsys: pytest.CaptureFixture[str], word: str) -> None:
    assert run(["preflight", word]) == 0
    assert "checkroom preflight [OPTIONS] -- COMMAND" in capsys.readouterr().out


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_of_the_user_says_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    from checkroom.cli import _script

    # Even where the verdict came in the same moment.
    ending = Ending(done(entry()).verdict, 0, "", number)
    monkeypatch.setattr(_script, "rehearse", lambda words, stdout=None: ending)
    assert run(["preflight", "--", "true"]) == code
    assert capsys.readouterr() == ("", "")


def test_a_reader_that_leaves_early_keeps_the_verdict() -> None:
    code = (
        "import sys\nfrom checkroom.cli import _script, main\nfrom test_cli_preflight import done, entry\n"
        "_script.rehearse = lambda words, stdout=None: (sys.stdin.read(), done(entry(verdict='does_not_fit')))[1]\n"
        "main(['preflight', '--', 'true'])\n"
    )
    words = [sys.executable, "-c", code]
    pipe = subprocess.PIPE
    folder = __file__.rpartition("/")[0]
    with subprocess.Popen(words, cwd=folder, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        process.stdout.close()
        process.stdin.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_formats_are_what_help_says() -> None:
    assert command._FORMATS == ("table", "json")


# -- the verdict


@pytest.mark.parametrize(
    ("verdicts", "worst", "code"),
    [
        (["fits"], "fits", 0),
        (["may_not_fit"], "may_not_fit", 1),
        (["does_not_fit"], "does_not_fit", 1),
        (["does_not_fit", "fits"], "does_not_fit", 1),
        (["fits", "may_not_fit"], "may_not_fit", 1),
        (["unknown", "may_not_fit"], "may_not_fit", 1),
    ],
)
def test_the_worst_counts(verdicts: list[str], worst: str, code: int) -> None:
    ending = done(*(entry(f"/runs/{index}", verdict) for index, verdict in enumerate(verdicts)))
    data = preflight_data(ending, ["python", "train.py"])
    assert (data["verdict"], exit_code(data)) == (worst, code)


@pytest.mark.parametrize("format", ["table", "json"])
@pytest.mark.parametrize("verdicts", [["unknown"], ["fits", "unknown"]])
def test_what_nobody_can_say_does_not_fit_nor_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, verdicts: list[str], format: str
) -> None:
    """The figures are printed all the same; the line says of which directory, and why."""
    from checkroom.cli import _script

    entries = [
        entry(f"/runs/{verdict}", verdict, message="ramfs does not say what is free" if verdict == "unknown" else "")
        for verdict in verdicts
    ]
    monkeypatch.setattr(_script, "rehearse", lambda words, stdout=None: done(*entries))
    assert run(["preflight", "--format", format, "--", "true"]) == 2
    out, err = capsys.readouterr()
    assert err == "checkroom preflight: no verdict on /runs/unknown: ramfs does not say what is free\n"
    if format == "json":
        assert json.loads(out)["verdict"] == "unknown"
    else:
        assert "checkroom preflight of /runs/unknown" in out and "ramfs" not in out  # the text itself says it


@pytest.mark.parametrize(("verdict", "code"), [("may_not_fit", 1), ("does_not_fit", 1), ("unknown", 2)])
def test_what_surely_does_not_fit_counts_more_than_what_nobody_can_say(verdict: str, code: int) -> None:
    data = preflight_data(done(entry("/a", verdict, message="why"), entry("/b", "unknown", message="why")), ["x"])
    assert (data["verdict"], exit_code(data), bool(without_verdict(data))) == (verdict, code, code == 2)


def test_the_data() -> None:
    data = preflight_data(done(entry()), ["python", "train.py"])
    assert json.loads(json.dumps(data)) == data
    assert list(data) == ["format", "verdict", "command", "lightning", "callbacks", "together", "not_counted"]
    assert data["format"] == 1
    assert data["lightning"] == {"package": "lightning", "version": "2.6.6"}
    assert data["together"] == []


@pytest.mark.parametrize(
    ("free", "verdict", "need"),
    [
        (10 * GB, "fits", 7 * GB),  # 3 and 3 at rest, and one file more at the peak of either; 1 GB stays free
        (int(7.5 * GB), "may_not_fit", 7 * GB),
        (6 * GB, "does_not_fit", 6 * GB),
    ],
)
def test_callbacks_that_share_a_filesystem_share_its_space(free: int, verdict: str, need: int) -> None:
    entries = [entry(name, rest=3 * GB, peak=4 * GB, free=free) for name in ("/runs/a", "/runs/b")]
    data = preflight_data(done(*entries), ["x"])
    (together,) = data["together"]
    assert together["directories"] == ["/runs/a", "/runs/b"]
    assert together["need_bytes"] == need
    assert (together["verdict"], data["verdict"]) == (verdict, verdict)
    assert "together on one filesystem" in as_text(data)


def test_what_they_have_left_makes_room_for_what_they_write() -> None:
    entries = [entry(name, rest=3 * GB, peak=4 * GB, free=3 * GB) for name in ("/runs/a", "/runs/b")]
    assert preflight_data(done(*entries), ["x"])["verdict"] == "does_not_fit"
    for each in entries:
        each["figures"]["own_bytes"] = 3 * GB
    assert preflight_data(done(*entries), ["x"])["verdict"] == "fits"


def test_a_run_without_an_end_counts_with_its_first_file() -> None:
    endless = entry("/runs/a", free=5 * GB)
    endless["figures"].update(at_rest_bytes=None, peak_bytes={"checkroom": None, "lightning": None})
    data = preflight_data(done(endless, entry("/runs/b", free=5 * GB)), ["x"])
    (together,) = data["together"]
    assert (together["need_bytes"], together["verdict"]) == (4 * GB, "may_not_fit")  # 1, 2, and 1 at the peak of b
    assert "together on one filesystem" in as_text(data)


def test_others_do_not() -> None:
    entries = [entry("/a", rest=8 * GB, peak=8 * GB), entry("/b", rest=8 * GB, peak=8 * GB, device="8:2")]
    data = preflight_data(done(*entries), ["x"])
    assert (data["together"], data["verdict"]) == ([], "fits")


def test_the_text() -> None:
    leaving = [{"name": "a.ckpt", "reason": "rank 3 of val_loss"}]
    first = entry("/a", "does_not_fit", message="needs 3.0 GB", remarks=["filename names it twice"], leaving=leaving)
    found = ["lightning.pytorch.callbacks.model_checkpoint.ModelCheckpoint", "mine.Own"]
    data = preflight_data(done(first, entry("/b", device="8:2"), not_counted=found), ["x"])
    assert as_text(data).splitlines() == [
        "checkroom preflight of /a",
        "  verdict  ...",
        "checkroom: filename names it twice",
        "checkroom: the run would remove a.ckpt at its start: rank 3 of val_loss",
        "checkroom: the run cannot fit: needs 3.0 GB",
        "checkroom preflight of /b",
        "  verdict  ...",
        "checkroom: not counted: lightning.pytorch.callbacks.ModelCheckpoint of the same trainer writes as well",
        "checkroom: not counted: mine.Own of the same trainer writes as well",
        "checkroom: the 2 callbacks: does not fit",
    ]


# -- the picture


def test_the_rows_of_the_picture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    first, unsized = entry(f"{tmp_path}/runs/a"), entry("/runs/b", "unknown", message="why")
    first["figures"].update(own_bytes=2 * GB, used_bytes=3 * GB)
    first["figures"]["run_spec"]["max_size"] = 9 * GB
    unsized["figures"] = None
    far = entry("/a/very/long/path/that/leads/to/the/checkpoints/of/one/run", device="8:2")
    far["figures"]["free_bytes"] = None
    near, long = plot_rows(preflight_data(done(first, unsized, far), ["x"]))
    assert near.name == "runs/a"
    # What the run has there makes room for what it writes; of the cap, what is others' does not.
    assert (near.space.free, near.space.floor, near.cap) == (12 * GB, GB, 6 * GB)
    assert near.spec.save_top_k == 2 and near.spec.keep[0].n == 1
    assert long.name == "...t/leads/to/the/checkpoints/of/one/run" and long.space.free is None


def test_the_run_of_another_checkroom_cannot_be_drawn() -> None:
    newer = entry()
    newer["figures"]["run_spec"]["save_sideways"] = True
    with pytest.raises(CommandError, match=r"save_sideways.* \(install the same version in both places\)"):
        plot_rows(preflight_data(done(newer), ["x"]))


def test_the_picture_is_drawn_beside_the_report(
    capsys: pytest.CaptureFixture[str], seen: list[list[str]], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "out.png"
    assert run(["preflight", "--plot", str(path), "--", "true"]) == 0
    assert path.read_bytes().startswith(b"\x89PNG")
    assert "checkroom preflight of /runs/a" in capsys.readouterr().out


def test_a_picture_that_cannot_be_drawn_is_refused_before_the_script_runs(
    capsys: pytest.CaptureFixture[str], seen: list[list[str]]
) -> None:
    assert run(["preflight", "--plot", "out.gif", "--", "true"]) == 2
    assert "not a picture: 'out.gif'" in capsys.readouterr().err
    assert seen == []


def test_a_full_disk_takes_the_picture_not_the_report(
    capsys: pytest.CaptureFixture[str], seen: list[list[str]], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "full.png"
    path.symlink_to("/dev/full")
    assert run(["preflight", "--plot", str(path), "--", "true"]) == 2
    out, err = capsys.readouterr()
    assert "checkroom preflight of /runs/a" in out
    assert err.startswith("checkroom preflight: --plot: ") and err.count("\n") == 1


# -- what stands in the way


@pytest.mark.parametrize(
    ("package", "theirs"),
    [("lightning", "lightning.pytorch.callbacks"), ("pytorch_lightning", "pytorch_lightning.callbacks")],
)
def test_the_line_to_change(package: str, theirs: str) -> None:
    found = f"{theirs}.model_checkpoint.ModelCheckpoint"
    assert no_callback(found, package=package) == (
        f"the Trainer has no callback of checkroom, but {theirs}.ModelCheckpoint: write 'from checkroom.{package} "
        f"import ModelCheckpoint' instead of 'from {theirs} import ModelCheckpoint'; where none is named, Lightning "
        "adds its own: name ours in callbacks"
    )
    assert (
        f"write 'class_path: checkroom.{package}.ModelCheckpoint' instead of 'class_path: {theirs}.ModelCheckpoint'"
        in no_callback(found, package=package, from_config=True)
    )


def test_a_class_of_the_users() -> None:
    assert no_callback("mine.Own").endswith("but mine.Own: derive it from checkroom.lightning.ModelCheckpoint")


def test_no_callback_and_no_checkroom() -> None:
    line = no_callback(installed=False)
    assert line.startswith("the Trainer has no ModelCheckpoint and writes no checkpoint: nothing to forecast")
    assert line.endswith(" (and install checkroom there: /env/bin/python has none)")


def test_other_obstacles() -> None:
    assert "fast_dev_run" in obstacle("fast_dev_run")
    assert obstacle("unguarded", reasons=["FSDPStrategy writes checkpoints by itself"]).endswith(
        ": FSDPStrategy writes checkpoints by itself"
    )
    assert obstacle("no_preflight", found=["mine.Own"]).startswith("mine.Own made no preflight")


def test_a_format_of_another_time() -> None:
    with pytest.raises(CommandError, match="format 2, this one reads 1"):
        preflight_data(done(entry(), format=2), ["x"])


def test_an_error_that_the_script_swallowed() -> None:
    with pytest.raises(CommandError, match=r"exit code 0 .* Trainer \(a fit was left with ValueError: no data\)$"):
        preflight_data(Ending(None, 0, "ValueError: no data"), ["x"])
