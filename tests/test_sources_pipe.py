"""Standard input as a source, in a process of its own: what comes, and that silence holds nobody up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

import pytest

from tests.media import encode, encode_h264, moving_pictures

ROOT = Path(__file__).resolve().parent.parent
READ = """
import json, sys
from stream.contracts import Input
from stream.errors import SourceError
from stream.sources import open_source
source = open_source("-", Input(32, 32))
try:
    frames = [[frame.index, frame.time, frame.camera] for frame in source.frames()]
except SourceError as error:
    frames = f"{type(error).__name__} {error}"
print(json.dumps([frames, source.live, source.url, len(list(source.frames(1)))]))
"""


def read(stdin: IO[bytes] | int, data: bytes | None = None) -> Any:
    """What a process makes of its standard input."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(
        [sys.executable, "-c", READ], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    out, err = child.communicate(data, timeout=60)
    assert child.returncode == 0, err
    return json.loads(out)


@pytest.mark.parametrize("suffix", [".ts", ".mkv", ".h264"])
def test_a_stream_is_read_to_its_end(tmp_path: Path, suffix: str) -> None:
    path = encode_h264(moving_pictures(50), tmp_path / f"clip{suffix}")
    frames, live, url, again = read(subprocess.PIPE, path.read_bytes())
    assert len(frames) == 50 and (live, url, again) == (True, "stdin", 0)
    assert {camera for _, _, camera in frames} == {"stdin"}
    if suffix != ".h264":  # which has no times: they are those of arrival
        assert [time - frames[0][1] for _, time, _ in frames] == pytest.approx([i / 25 for i in range(50)], abs=0.002)


def test_a_file_as_standard_input(tmp_path: Path) -> None:
    path = encode(moving_pictures(20), tmp_path / "clip.mkv")
    with path.open("rb") as file:
        assert len(read(file)[0]) == 20


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "nothing came on standard input"), (b"Dear all,\nno video here.\n" * 500, "expected video")],
)
def test_what_is_no_video_gets_one_line(data: bytes, words: str) -> None:
    told = read(subprocess.PIPE, data)[0]
    assert told.startswith(f"SourceOpenError stdin: {words}") and "\n" not in told


def test_a_file_that_cannot_be_read_from_its_beginning_gets_one_line(tmp_path: Path) -> None:
    told = read(subprocess.PIPE, encode(moving_pictures(75, 320, 240), tmp_path / "clip.mp4").read_bytes())[0]
    assert told.startswith("SourceOpenError stdin: expected video that can be read from its beginning")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot wait for a pipe with a limit")
@pytest.mark.parametrize("started", [False, True], ids=["nothing came", "it fell silent"])
def test_a_silent_pipe_holds_nobody_up(tmp_path: Path, tiny_bundle: Path, started: bool) -> None:
    path = encode_h264(moving_pictures(50), tmp_path / "clip.ts")
    labels = tmp_path / "labels.jsonl"
    reading, writing = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-m", "stream.cli", "watch", "-", "--model", tiny_bundle, "--labels", labels, "--no-show"],
        stdin=reading,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
    )
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as pipe:
        if started:
            pipe.write(path.read_bytes())
        deadline = time.monotonic() + 60
        while not (labels.exists() and (labels.stat().st_size or not started)):
            assert time.monotonic() < deadline and child.poll() is None
            time.sleep(0.05)
        time.sleep(0.5)  # it listens to signals a moment after its files are there
        asked = time.monotonic()
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert child.returncode == 0, (out, err)
    assert "left behind" not in err
    assert time.monotonic() - asked < 10  # 2 on an idle machine; what is not waited for is the pipe
    assert bool(labels.read_text()) == started
