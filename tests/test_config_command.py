"""`actionstream config`, and `watch` on a cameras.toml: real RTSP cameras and files, tracks, thresholds, hours."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from stream import Recognizer, open_source
from stream.bench.rtsp_server import RtspServer
from stream.cli import main
from stream.commands.cameras import batch_sizes
from stream.commands.terminal import Terminal
from stream.config import CamerasFile
from stream.contracts import Status
from stream.schedule import DAYS
from stream.schema import PERSON
from stream.sinks.jsonl import label_record
from tests.process import ROOT, start
from tests.test_overlay import event, prediction

PASSWORD = "p@ss/w0rd"


@pytest.fixture
def server(h264_clip: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RtspServer]:
    """Two cameras behind one login, whose password stands in the environment."""
    monkeypatch.setenv("GATE_PW", PASSWORD)
    with RtspServer({"/gate": h264_clip, "/hall": h264_clip}, loop=True, user="me", password=PASSWORD) as running:
        yield running


@pytest.fixture
def tall_bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """The tiny bundle, which now says that its smallest person was 6 lines high."""
    folder = shutil.copytree(tiny_bundle, tmp_path / "tall")
    spec = json.loads((folder / "bundle.json").read_text())
    spec["provenance"][PERSON] = 6
    (folder / "bundle.json").write_text(json.dumps(spec))
    return folder


def write(tmp_path: Path, *cameras: str, defaults: str = "") -> Path:
    """A cameras.toml of cameras that begin with their name."""
    path = tmp_path / "cameras.toml"
    tables = "".join(f"\n[[camera]]\nname = {camera}\n" for camera in cameras)
    path.write_text(f'[defaults]\nuser = "me"\npassword = "${{GATE_PW}}"\n{defaults}\n{tables}')
    return path


def run(*arguments: str | Path, status: int = 0) -> None:
    assert main([str(word) for word in arguments]) == status


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# config schema


def test_schema_is_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    run("config", "schema")
    shown = capsys.readouterr()
    assert json.loads(shown.out)["$schema"].startswith("https://json-schema.org/")
    assert shown.err == ""


def test_the_example_is_a_cameras_file_with_every_key() -> None:
    """Commented out or not: an example that misses a key teaches nothing of it."""
    path = ROOT / "samples" / "cameras.toml"
    cameras = CamerasFile(path).cameras
    assert len(cameras) > 1
    text = path.read_text()
    assert [key for key in type(cameras[0]).model_fields if key not in text] == []


# config check


def test_check_measures_each_camera(
    server: RtspServer, tall_bundle: Path, h264_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(
        tmp_path,
        f'"gate"\nurl = "{server.url("/gate")}"\nregions.left = [0, 0, 0.5, 0.5]\nregions.door = [0, 0, 1, 1]',
        f'"hall"\nurl = "{server.url("/hall")}"\nrotation = 90\nrate = 50',
        f'"clip"\nurl = "{h264_clip}"',
    )
    run("config", "check", file, "--model", tall_bundle, "--seconds", "2", "--json")
    document = json.loads(capsys.readouterr().out)
    gate, hall, clip = document["cameras"]
    for camera in (gate, hall, clip):
        assert (camera["error"], camera["codec"]) == (None, "h264")
        assert camera["fps"] == pytest.approx(25, abs=0.1)
        assert camera["keyframe_s"] == pytest.approx(12 / 25, abs=0.01)
    assert [(camera["width"], camera["height"]) for camera in (gate, hall)] == [(320, 240), (240, 320)]
    # 24 lines show 240: 6 of them are a quarter of the picture; of a quarter of the picture, half that.
    assert gate["person"] == {"gate/left": pytest.approx(0.125), "gate/door": pytest.approx(0.25)}
    assert clip["person"] == {"clip": pytest.approx(0.25)}
    assert any("50 are wanted" in suggestion for suggestion in hall["suggestions"])


def test_check_shows_a_table_and_why_a_camera_failed(
    server: RtspServer, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(
        tmp_path,
        f'"gate"\nurl = "{server.url("/gate")}"',
        f'"nowhere"\nurl = "{server.url("/nope")}"',
        f'"refused"\nurl = "{server.url("/gate", user="me", password="wr0ng")}"',
        '"unset"\nurl = "rtsp://${NO_SUCH_VARIABLE}/1"',
        '"missing"\nurl = "no-such-file.mp4"',
    )
    run("config", "check", file, "--model", tiny_bundle, "--seconds", "1", status=1)
    shown = capsys.readouterr().out
    assert "320x240" in shown and "25.0" in shown
    assert "too short to tell" in shown
    assert "does not say how large" in shown
    reasons = {"nowhere": "no such path", "refused": "password", "unset": "NO_SUCH_VARIABLE", "missing": "no such file"}
    told = shown.splitlines()
    for name, reason in reasons.items():
        assert any(line.startswith(f"{name} ") and reason in line for line in told), (name, shown)
    assert "wr0ng" not in shown and PASSWORD not in shown


def test_check_refuses_a_label_that_the_bundle_does_not_know(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, '"gate"\nurl = "rtsp://127.0.0.1:1/x"\nthresholds.swim.enter = 0.9')
    run("config", "check", file, "--model", tiny_bundle, status=1)
    shown = capsys.readouterr()
    assert shown.err.count("\n") == 1
    assert "line 9: camera.thresholds.swim: expected a label of the bundle (wave, clap)" in shown.err


# watch


def test_watch_judges_every_track_of_every_camera(
    server: RtspServer, tiny_bundle: Path, h264_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, events = tmp_path / "labels.jsonl", tmp_path / "events.jsonl"
    file = write(
        tmp_path,
        f'"gate"\nurl = "{server.url("/gate")}"\nregions.left = [0, 0, 0.5, 1]\nregions.right = [0.5, 0, 1, 1]',
        f'"hall"\nurl = "{server.url("/hall")}"\nrate = 5',
        f'"clip"\nurl = "{h264_clip}"\nrotation = 180',
    )
    run("watch", file, "--model", tiny_bundle, "--duration", "3", "--labels", labels, "--events", events)
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "cameras.toml" in shown.out and PASSWORD not in shown.out

    told = {name: [line for line in lines(labels) if line["camera"] == name] for name in ("gate/left", "gate/right")}
    assert all(told.values())
    both = {line["index"] for line in told["gate/left"]} & {line["index"] for line in told["gate/right"]}
    scores = [{line["index"]: line["scores"] for line in of_track} for of_track in told.values()]
    assert both and any(scores[0][index] != scores[1][index] for index in both)
    hall = [line for line in lines(labels) if line["camera"] == "hall"]
    assert [line["dt"] for line in hall[1:]] == pytest.approx([0.2] * (len(hall) - 1), abs=0.05)
    online = [line["camera"] for line in lines(events) if line.get("status") == "online"]
    assert {"gate", "hall"} <= set(online)

    recognizer = Recognizer.load(tiny_bundle)  # whatever cameras run beside it, a file is judged as if it were alone
    source = open_source(h264_clip, recognizer.input, rotation=180)
    alone = [label_record(p, recognizer.labels) for p in recognizer.step(list(source))]
    of_clip = [line for line in lines(labels) if line["camera"] == "clip"]
    assert [without(line, "latency_ms") for line in of_clip] == [without(line, "latency_ms") for line in alone]


def without(record: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != name}


def test_thresholds_are_those_of_the_camera(tiny_bundle: Path, h264_clip: Path, tmp_path: Path) -> None:
    labels, events = tmp_path / "labels.jsonl", tmp_path / "events.jsonl"
    never = "thresholds = { wave = { enter = 1, exit = 1 }, clap = { enter = 1, exit = 1 } }"
    file = write(tmp_path, f'"usual"\nurl = "{h264_clip}"', f'"strict"\nurl = "{h264_clip}"\n{never}')
    run("watch", file, "--model", tiny_bundle, "--labels", labels, "--events", events)
    scores = {
        name: [line["scores"] for line in lines(labels) if line["camera"] == name] for name in ("usual", "strict")
    }
    assert scores["usual"] == scores["strict"] and len(scores["usual"]) == 30
    assert {line["camera"] for line in lines(events)} == {"usual"}


def test_a_camera_sleeps_outside_its_hours(server: RtspServer, tiny_bundle: Path, tmp_path: Path) -> None:
    """It sleeps on all days but three days from now; midnight during the test would not matter."""
    labels, events = tmp_path / "labels.jsonl", tmp_path / "events.jsonl"
    another_day = DAYS[(datetime.now() + timedelta(days=3)).weekday()]
    file = write(
        tmp_path,
        f'"awake"\nurl = "{server.url("/hall")}"\nschedule = ["00:00-24:00"]',
        f'"asleep"\nurl = "{server.url("/gate")}"\nschedule = ["{another_day} 08:00-09:00"]',
    )
    run("watch", file, "--model", tiny_bundle, "--duration", "4", "--labels", labels, "--events", events)
    assert {line["camera"] for line in lines(labels)} == {"awake"}
    assert [(line["status"], line["reason"]) for line in lines(events) if line["camera"] == "asleep"] == [
        ("offline", "outside its schedule")
    ]


def test_a_camera_that_is_not_there_costs_the_others_nothing(
    server: RtspServer, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.jsonl"
    file = write(tmp_path, f'"hall"\nurl = "{server.url("/hall")}"', '"gone"\nurl = "rtsp://127.0.0.1:1/x"')
    run("watch", file, "--model", tiny_bundle, "--duration", "4", "--labels", labels)
    assert {line["camera"] for line in lines(labels)} == {"hall"}
    assert "gone is offline" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--save", "out.mp4"], 1, ["--save", "one camera or region", "a/left, a/right"]),
        (["--transport", "udp"], 2, ["--transport", "cameras.toml", "[defaults]"]),
        (["--size", "640x480"], 2, ["--size", "cameras.toml"]),
        (["--labels", "cameras.toml"], 1, ["reads or writes that file already"]),
        (["--events", "clip.mp4"], 1, ["reads or writes that file already"]),
    ],
)
def test_watch_refuses_what_cannot_be_of_several_cameras(
    options: list[str],
    status: int,
    words: list[str],
    tiny_bundle: Path,
    h264_clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(h264_clip, "clip.mp4")
    file = write(tmp_path, '"a"\nurl = "clip.mp4"\nregions = { left = [0, 0, 0.5, 1], right = [0.5, 0, 1, 1] }')
    before = file.read_bytes()
    run("watch", "cameras.toml", "--model", tiny_bundle, *options, status=status)
    told = " ".join(capsys.readouterr().err.split())
    assert [word for word in words if word not in told] == [], told
    assert file.read_bytes() == before and not Path("out.mp4").exists()


def test_a_file_can_begin_again_as_a_camera_that_goes_on(tiny_bundle: Path, h264_clip: Path, tmp_path: Path) -> None:
    file = write(tmp_path, f'"hall"\nurl = "{h264_clip}"\nloop = true')
    labels = tmp_path / "labels.jsonl"
    run("watch", file, "--model", tiny_bundle, "--duration", "7", "--labels", labels)
    assert [line["session"] for line in lines(labels) if line["index"] % 75 == 0] == [0, 1, 2]


def test_one_camera_of_a_file_can_be_saved(tiny_bundle: Path, h264_clip: Path, tmp_path: Path) -> None:
    file = write(tmp_path, f'"a"\nurl = "{h264_clip}"')
    run("watch", file, "--model", tiny_bundle, "--save", tmp_path / "out.mp4")
    assert (tmp_path / "out.mp4").stat().st_size > 1000


def test_the_terminal_has_a_line_a_track() -> None:
    shown = StringIO()
    screen = Console(file=shown, force_terminal=True, width=100, color_system=None)
    with Terminal(screen, "three tracks", names=("gate/left", "gate/door", "hall")) as terminal:
        terminal.event(event("clap", 2.0))  # in the hall
        terminal.prediction(replace(prediction(2.5, "none"), camera="hall"))
        terminal.status(Status("gate", 0, "offline", "the connection broke", 1.0))
        terminal.prediction(replace(prediction(1.0, "wave"), camera="gate/door"))
    drawn = re.split(r"\x1b\[[^a-zA-Z]*[a-zA-Z]|[\r\n]", shown.getvalue())  # between moves of the cursor
    told = [" ".join(part.split()) for part in drawn if part.strip()]
    assert "gate/left opening ..." in told
    assert any(line.startswith("hall 0:02.5 clap") for line in told)
    assert "gate is offline: the connection broke" in told
    assert told[-3:] == ["gate/left offline", "gate/door 0:01.0 wave 0.90 12 ms", "hall 0:02.5 none 0.90 12 ms"]


@pytest.mark.skipif(shutil.which("xdotool") is None, reason="not installed: xdotool")
def test_show_opens_a_window_a_track(server: RtspServer, screen: str, tiny_bundle: Path, tmp_path: Path) -> None:
    region = "regions.left = [0, 0, 0.5, 1]"
    file = write(tmp_path, f'"a"\nurl = "{server.url("/gate")}"\n{region}', f'"b"\nurl = "{server.url("/hall")}"')
    with start("watch", file, "--model", tiny_bundle, "--show", DISPLAY=screen) as process:
        wanted = {"a/left", "b"}
        while not wanted <= titles(screen):
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err


def titles(display: str) -> set[str]:
    """Of all windows on a display."""
    environment = {**os.environ, "DISPLAY": display}
    search = ["xdotool", "search", "--name", ".", "getwindowname", "%@"]
    found = subprocess.run(search, env=environment, capture_output=True, text=True, check=False)
    return set(found.stdout.splitlines())


@pytest.mark.parametrize(
    ("tracks", "sizes"), [(1, (1,)), (2, (1, 2)), (3, (1, 2, 3)), (4, (1, 2, 3, 4)), (40, (1, 2, 3, 4))]
)
def test_on_a_cpu_no_row_is_padding(tracks: int, sizes: tuple[int, ...]) -> None:
    assert batch_sizes(tracks, "cpu") == sizes
