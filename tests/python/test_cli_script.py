"""A script as a rehearsal, whatever it does: these are shell and Python scripts without any trainer."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from checkroom._sentinel.verdict import VARIABLE
from checkroom.cli import _script
from checkroom.cli._errors import CommandError
from checkroom.cli._script import Ending, rehearse

# Writes its verdict as the sentinel does; what follows is appended.
CONCLUDES = f"""
import json, os, signal, sys, time
path = os.environ[{VARIABLE!r}]
with open(path + ".new", "w") as file:
    json.dump({{"format": 1, "state": "done", "pid": os.getpid()}}, file)
os.replace(path + ".new", path)
"""


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_script, "_GRACE_SECONDS", 0.5)


@pytest.fixture(autouse=True)
def _hears_signals() -> Iterator[None]:
    """What a shell starts in the background inherits that SIGINT is ignored, and with nohup SIGHUP."""
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    ignored = [number for number, handler in former.items() if handler is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


def python(code: str) -> Ending:
    return rehearse([sys.executable, "-c", code])


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("code", ["", "sys.exit(5)", "os._exit(0)", "raise RuntimeError"])
def test_the_verdict_counts_whatever_the_script_exits_with(code: str) -> None:
    ending = python(CONCLUDES + code)
    assert ending.verdict is not None and ending.verdict["state"] == "done"
    assert ending.signal is None


@pytest.mark.parametrize(
    "code",
    ["time.sleep(600)",
     "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(1)",
     "import subprocess\nsubprocess.Popen(['sleep', '600'], start_new_session=True)"],
    ids=["hangs", "does not listen", "leaves a child"],
)
def test_what_goes_on_after_the_verdict_is_ended(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THIS_TEST", str(tmp_path))
    ending = python(CONCLUDES + code)
    assert ending.verdict is not None
    assert gone(ending.verdict["pid"])
    assert not [pid for pid in os.listdir("/proc") if pid.isdigit() and _has(pid, f"OF_THIS_TEST={tmp_path}")]


def test_what_goes_on_is_asked_before_it_is_killed(tmp_path: Path) -> None:
    hears = f"signal.signal(signal.SIGTERM, lambda *_: (open({str(tmp_path / 'asked')!r}, 'w'), os._exit(0)))\n"
    python(CONCLUDES.replace("path =", hears + "path =") + "time.sleep(600)")
    assert (tmp_path / "asked").exists()


def _has(pid: str, variable: str) -> bool:
    try:
        return variable.encode() in Path(f"/proc/{pid}/environ").read_bytes() and not gone(int(pid))
    except OSError:
        return False


def test_without_a_verdict(tmp_path: Path) -> None:
    assert rehearse(["/bin/sh", "-c", "exit 4"]) == Ending(None, 4)
    assert rehearse(["/bin/sh", "-c", "kill -9 $$"]) == Ending(None, -signal.SIGKILL)
    noted = f"import json, os; json.dump({{'error': 'ValueError: x'}}, open(os.environ[{VARIABLE!r}] + '.error', 'w'))"
    assert python(noted) == Ending(None, 0, "ValueError: x")


def test_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/of/the/user")
    code = "import os, sys; json.dump([os.environ['PYTHONPATH'], os.environ['{}'], sys.path], open('{}', 'w'))"
    python("import json; " + code.format(VARIABLE, tmp_path / "seen"))
    path, verdict, places = json.loads((tmp_path / "seen").read_text())
    folder, rest = path.split(os.pathsep)
    assert rest == "/of/the/user" and {folder, rest} <= set(places)
    assert os.path.dirname(verdict) == folder
    assert not os.path.exists(folder)
    monkeypatch.delenv("PYTHONPATH")
    python("import json; " + code.format(VARIABLE, tmp_path / "seen"))
    assert os.pathsep not in json.loads((tmp_path / "seen").read_text())[0]


def test_output_goes_through_as_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    rehearse(["/bin/sh", "-c", "echo out; echo err >&2"])
    assert capfd.readouterr() == ("out\n", "err\n")
    rehearse(["/bin/sh", "-c", "echo out; echo err >&2"], stdout=2)
    assert capfd.readouterr() == ("", "out\nerr\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    ("handler", "code"),
    [("lambda number, _: os._exit(number)", None), ("signal.SIG_IGN", -signal.SIGKILL)],
    ids=["hears it", "does not listen"],
)
def test_a_signal_of_the_user_ends_it(tmp_path: Path, number: int, handler: str, code: int | None) -> None:
    def interrupt() -> None:
        while not (tmp_path / "ready").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt)
    before = signal.getsignal(number)
    thread.start()
    ready = f"open({str(tmp_path / 'ready')!r}, 'w').close()\n"
    listens = f"for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): signal.signal(each, {handler})\n"
    ending = python("import os, signal, time\n" + listens + ready + "while True: time.sleep(600)")
    thread.join()
    assert ending == Ending(None, number if code is None else code, signal=number)
    assert signal.getsignal(number) is before


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert python("import os, signal; os.kill(os.getppid(), signal.SIGHUP)") == Ending(None, 0)
    finally:
        signal.signal(signal.SIGHUP, before)


# -- what cannot be started


def test_no_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(CommandError, match=r"^no temporary folder for the verdict: no such file or directory \("):
        rehearse(["true"])


def test_a_temporary_folder_that_would_be_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a:b"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with pytest.raises(CommandError, match="cannot stand in PYTHONPATH"):
        rehearse(["true"])
    assert list(folder.iterdir()) == []


def test_no_such_command() -> None:
    with pytest.raises(CommandError, match=r"^no such command: 'frobnicate' \(write for example python train.py\)$"):
        rehearse(["frobnicate"])


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        ("print()", 0o644, "is not executable"),
        ("#!/no/such/python\n", 0o755, "the program that its #! line names is not there"),
        ("print()", 0o755, "cannot be run: Exec format error"),
    ],
)
def test_files_that_do_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, mode: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text(text)
    Path("train.py").chmod(mode)
    for name in ("train.py", "./train.py"):
        with pytest.raises(CommandError, match=message):
            rehearse([name])


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="is a folder"):
        rehearse([str(tmp_path)])


def test_a_bare_file_of_this_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train").write_text("#!/bin/sh\nexit 9\n")
    Path("train").chmod(0o755)
    assert rehearse(["train"]).returncode == 9


@pytest.mark.parametrize("flag", ["-I", "-E", "-uE", "-Ic"])
def test_a_python_that_does_not_read_its_path(flag: str) -> None:
    with pytest.raises(CommandError, match="PYTHONPATH"):
        rehearse(["python3.11", "-u", flag, "train.py"])


@pytest.mark.parametrize("word", ["sudo", "/usr/bin/docker"])
def test_what_starts_others_without_the_environment(word: str) -> None:
    with pytest.raises(CommandError, match=r"would train \(start .* behind it: (sudo|docker) \.\.\. checkroom"):
        rehearse([word, "python", "train.py"])


@pytest.mark.parametrize("words", [["-WIgnore", "-c", "pass"], ["-c", "import sys", "-I"], ["-u", "-c", "", "-E"]])
def test_flags_that_only_look_like_it(words: list[str]) -> None:
    assert rehearse([sys.executable, *words]).returncode == 0
