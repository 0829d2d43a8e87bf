"""The command line itself: help without weight, one line for an error, exit statuses, signals and pipes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path

import av
import pytest

from stream import contracts, session
from stream.bench.rtsp_server import RtspServer
from stream.cli import GROUP, HELP, main
from stream.commands import options
from stream.commands.bench import HELP as BENCHES
from stream.commands.stdout import raise_if_unread
from tests.process import ROOT, run, start

HEAVY = {"numpy", "cv2", "av", "onnxruntime", "pydantic", "rich", "tensorflow", "keras"}
OURS = ("demo", "watch", "predict", "devices", "record", "inspect")


def python(program: str) -> subprocess.CompletedProcess[str]:
    """What became of `program`, run in the repository's root."""
    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([name, "--help"] for name in OURS)], ids=" ".join)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    program = f"import sys, stream.cli; print(stream.cli.main({arguments}), *sys.modules, sep='\\n', file=sys.stderr)"
    status, *modules = python(program).stderr.splitlines()
    assert status == "0"
    assert not HEAVY.intersection(modules)


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert HELP.keys() == entry_points(group=GROUP).names
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown and line in " ".join(shown.split()) for name, line in HELP.items())


@pytest.mark.parametrize("name", [*HELP, *(f"bench {name}" for name in BENCHES), "config check"])
def test_every_command_has_examples_and_debug(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*name.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"actionstream {name}" in shown.partition("Examples:")[2]
    assert "--debug" in shown
    assert "\\b" not in shown


def test_the_choices_are_those_of_the_library() -> None:
    assert options.DEVICES == session.DEVICES
    assert options.MODES == contracts.MODES


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ([], "Usage: actionstream"),
        (["wach"], "Did you mean 'watch'?"),
        (["no-such-command"], "No such command"),
        (["watch"], "Missing argument 'SOURCE'"),
        (["watch", "0", "--size", "big"], "expected a size such as 1280x720"),
        (["watch", "0", "--duration", "0"], "--duration"),
        (["watch", "0", "--save", "-"], "a video cannot go to stdout"),
        (["watch", "0", "--save", "out.avi"], "expected a name that ends in .mp4, got out.avi"),
        (["watch", "0", "--save", "out"], "expected a name that ends in .mp4, got out"),
        (["record", "../wave"], "expected a name that can be a folder"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert hint in shown.err
    assert shown.out == ""


@pytest.mark.parametrize("debug", [[], ["--debug"]])
@pytest.mark.parametrize("arguments", [["--no-such-option"], ["rtsp://user:s/ecr@et@camera/extra"], []])
def test_no_error_shows_a_password(
    debug: list[str], arguments: list[str], tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "http://user:s/ecr@et@camera/stream"  # of a kind that is not known
    assert main([*debug, "watch", url, "--model", str(tiny_bundle), *arguments]) in (1, 2)
    shown = capsys.readouterr().err
    assert "ecr" not in shown
    assert "user" not in shown


@pytest.mark.parametrize("debug", [[], ["--debug"]])
@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "rtsp://admin:s3cret@cam/stream"],
        ["predict", "rtsp://cam/live/u=admin&p=s3cret"],
        ["watch", "admin:s3cret@10.0.0.5/stream"],
        ["watch", "admin:my s3cret@10.0.0.5/stream"],
        ["watch", "0", "rtsp://cam/user=admin_password=s3cret"],
        ["watch", "0", "admin:s3cret@cam/stream"],
        ["watch", "0", "--size", "rtsp://admin:my s3cret@cam"],
        ["inspect", "rtsp://admin:s3cret@cam/stream"],
    ],
    ids=" ".join,
)
def test_no_mistaken_address_shows_a_login(
    debug: list[str], arguments: list[str], tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = [] if arguments[0] == "inspect" else ["--model", str(tiny_bundle)]
    assert main([*debug, *arguments, *model]) in (1, 2)
    shown = "".join(capsys.readouterr())
    assert shown
    assert "s3cret" not in shown
    assert "admin" not in shown


@pytest.mark.parametrize("arguments", [["--debug", "watch", "nope.mp4"], ["watch", "nope.mp4", "--debug"]])
def test_a_traceback_only_with_debug(
    arguments: list[str], tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--model", str(tiny_bundle)]) == 1
    with_debug = capsys.readouterr().err
    assert main([word for word in arguments if word != "--debug"] + ["--model", str(tiny_bundle)]) == 1
    without = capsys.readouterr().err
    assert "Traceback (most recent call last)" in with_debug
    assert "SourceOpenError" in with_debug
    assert without.startswith("actionstream: nope.mp4: no such file")
    assert without.count("\n") == 1


@pytest.mark.parametrize("command", ["train DATA --out RUN", "evaluate BUNDLE DATA", "export RUN --out BUNDLE"])
def test_without_tensorflow_it_says_what_to_install(
    command: str, tiny_bundle: Path, class_folders: Path, tmp_path: Path
) -> None:
    places = {"DATA": class_folders, "BUNDLE": tiny_bundle, "RUN": tmp_path}
    words = [str(places.get(word, word)) for word in command.split()]
    program = f"""
import sys
sys.modules.update(tensorflow=None, keras=None, tf2onnx=None, onnx=None)  # as if they were not installed
from stream.cli import main
sys.exit(main({words}))
"""
    done = python(program)
    assert done.returncode == 1
    assert "pip install -e '.[train]' in the folder of actionstream's sources" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_missing_system_library_is_named_with_its_package(tiny_bundle: Path, h264_clip: Path, tmp_path: Path) -> None:
    """The loader finds this empty file before the real library, and opencv-python cannot be imported."""
    (tmp_path / "libGL.so.1").touch()
    done = run("watch", h264_clip, "--model", tiny_bundle, LD_LIBRARY_PATH=str(tmp_path))
    if done.returncode == 0:
        pytest.skip("this opencv-python does not load libGL.so.1")
    assert done.returncode == 1
    assert "libGL.so.1" in done.stderr
    assert "apt-get install libgl1" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_reader_that_goes_away_is_no_error(tiny_bundle: Path, h264_clip: Path) -> None:
    with start("watch", h264_clip, "--model", tiny_bundle, "--labels", "-") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["camera"] == "clip"
        process.stdout.close()
        assert process.wait(30) in (0, 141)  # 0: it had written all before the pipe was closed
        assert "rror" not in process.stderr.read()


@pytest.mark.parametrize("source", ["file", "quiet camera"])
def test_a_watch_whose_reader_went_away_ends_soon_and_leaves_whole_files(
    source: str, tiny_bundle: Path, walk_clip: Path, tmp_path: Path
) -> None:
    """Of the camera nothing more is printed: it has to be noticed without a write."""
    events, video = tmp_path / "events.jsonl", tmp_path / "annotated.mp4"
    words = [walk_clip, "--realtime"] if source == "file" else ["lavfi:color=gray:size=64x48:rate=25,realtime"]
    with start("watch", *words, "--model", tiny_bundle, "--events", events, "--save", video, "--no-show") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "Ctrl-C ends" in process.stdout.readline()
        process.stdout.close()
        try:
            assert process.wait(20) == 141
        finally:
            process.kill()
        assert process.stderr.read() == ""
    told = [json.loads(line) for line in events.read_text().splitlines()]
    assert sum(event["kind"] == "started" for event in told) == sum(event["kind"] == "ended" for event in told)
    with av.open(video) as container:
        assert 0 < sum(1 for _ in container.decode(video=0)) < 75


def test_a_pipe_that_nobody_reads_is_known_before_a_write() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as pipe:
        raise_if_unread(pipe)
        os.close(reading)
        with pytest.raises(BrokenPipeError):
            raise_if_unread(pipe)


@pytest.mark.skipif(sys.platform == "win32", reason="a shell that closes a stream is meant")
def test_a_stream_that_is_closed_is_no_defect(tiny_bundle: Path, walk_clip: Path, tmp_path: Path) -> None:
    def said(words: str) -> tuple[int, str]:
        command = f"{sys.executable} -m stream.cli watch {words} --model {tiny_bundle} --no-show"
        done = subprocess.run(
            ["sh", "-c", command], cwd=ROOT, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
        return done.returncode, done.stderr

    events = tmp_path / "events.jsonl"
    assert said(f"{walk_clip} --events {events} >&-") == (0, "")
    assert all(json.loads(line) for line in events.read_text().splitlines())
    status, told = said(f"{walk_clip} --labels - >&-")
    assert status == 1 and told.startswith("actionstream: stdout is closed") and told.count("\n") == 1
    for words in ("- <&-", "- </dev/null"):
        status, told = said(words)
        assert status == 1 and "nothing came on standard input" in told and told.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_watch_leaves_whole_files(
    number: signal.Signals, tiny_bundle: Path, h264_clip: Path, tmp_path: Path
) -> None:
    labels, events, video = (tmp_path / name for name in ("labels.jsonl", "events.jsonl", "annotated.mp4"))
    files = ("--labels", labels, "--events", events, "--save", video)
    with start("watch", h264_clip, "--model", tiny_bundle, "--realtime", *files) as process:
        while not (labels.exists() and labels.read_bytes().count(b"\n") >= 5):
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert "frames" in out
    lines = [json.loads(line) for line in labels.read_text().splitlines()]
    assert 5 <= len(lines) < 30
    told = [json.loads(line) for line in events.read_text().splitlines()]
    kinds = {kind: {event["id"] for event in told if event["kind"] == kind} for kind in ("started", "ended")}
    assert kinds["started"] == kinds["ended"]
    with av.open(video) as container:
        assert sum(1 for _ in container.decode(video=0)) > 0


def test_signals_that_come_at_once_are_one(tiny_bundle: Path, walk_clip: Path, tmp_path: Path) -> None:
    """As `timeout -s INT` sends them, to the process and to its group: the video is lost where the second forces."""
    labels, video = tmp_path / "labels.jsonl", tmp_path / "annotated.mp4"
    files = ("--labels", labels, "--save", video, "--no-show")
    with start("watch", walk_clip, "--model", tiny_bundle, "--realtime", *files) as process:
        while not (labels.exists() and labels.read_bytes()):
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode in (0, 130), err  # 130: the second came after the end, while the summary was printed
    with av.open(video) as container:
        assert sum(1 for _ in container.decode(video=0)) > 0


def test_a_later_interrupt_forces(tiny_bundle: Path) -> None:
    """While a camera that never answers is being opened nothing can stop its thread: the engine waits a while."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"rtsp://127.0.0.1:{server.getsockname()[1]}/stream"
        with start("watch", url, "--model", tiny_bundle) as process:
            connection, _ = server.accept()
            with connection:
                asked = time.monotonic()
                while process.poll() is None:
                    process.send_signal(signal.SIGINT)
                    time.sleep(0.05)
                assert time.monotonic() - asked > 0.9
                out, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert out == ""


def test_interrupted_record_exits_with_130_and_leaves_no_half_clip(h264_clip: Path, tmp_path: Path) -> None:
    with RtspServer({"/stream": h264_clip}, loop=True) as server:
        source = ("--source", server.url("/stream"), "--seconds", "60", "--countdown", "0", "--out", tmp_path)
        with start("record", "wave", *source) as process:
            while not list(tmp_path.rglob("*.mp4")):
                assert process.poll() is None, process.communicate()
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert not list(tmp_path.rglob("*.mp4"))
