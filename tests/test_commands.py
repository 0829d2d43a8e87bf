"""The commands of stream, run in this process on real bundles and clips: what they print and what they write."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from stream import Recognizer, open_source
from stream.bench.rtsp_server import RtspServer
from stream.bundle import Bundle
from stream.cli import main
from stream.commands.clips import record_clips
from stream.commands.score import Action, Score, read_truth
from stream.commands.terminal import clock
from stream.contracts import Event, Frame, Picture, Prediction
from stream.errors import ConfigError
from stream.sinks.jsonl import label_record
from stream.views.layout import layout
from tests.media import encode, moving_pictures
from tests.process import run


def say(arguments: list[str | Path], capsys: pytest.CaptureFixture[str]) -> str:
    """What `actionstream` prints on stdout for `arguments`; checks that it succeeds and complains of nothing."""
    assert main([str(word) for word in arguments]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    return shown.out


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def pictures_of(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(path) as container:
        return [frame.to_ndarray(format="rgb24").astype(np.uint8) for frame in container.decode(video=0)]


@pytest.fixture(scope="module")
def judged(tiny_bundle: Path, h264_clip: Path) -> list[Prediction]:
    """What the library says of the clip, tick by tick."""
    recognizer = Recognizer.load(tiny_bundle)
    return [recognizer.step([tick])[0] for tick in open_source(h264_clip, recognizer.input)]


# watch


def test_watch_writes_what_the_library_says(
    tiny_bundle: Path, h264_clip: Path, judged: list[Prediction], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, events, video = (tmp_path / name for name in ("labels.jsonl", "events.jsonl", "annotated.mp4"))
    files: list[str | Path] = ["--labels", labels, "--events", events, "--save", video]
    shown = say(["watch", h264_clip, "--model", tiny_bundle, *files], capsys)

    written = lines(labels)
    assert [line.pop("latency_ms") is not None for line in written] == [True] * len(judged)
    expected = [label_record(prediction, Bundle.load(tiny_bundle).labels) for prediction in judged]
    assert written == [{name: value for name, value in line.items() if name != "latency_ms"} for line in expected]

    told = lines(events)
    assert [event["kind"] for event in told if event["kind"] == "started"]
    assert all(str(event["label"]) in shown for event in told)
    assert shown.count("known after") == sum(event["kind"] == "started" for event in told)
    assert "75 decoded" in shown
    assert len(pictures_of(video)) == 75
    assert all(str(path) in shown for path in (labels, events, video))


@pytest.mark.parametrize("what", ["--labels", "--events"])
def test_watch_writes_nothing_else_to_stdout(
    what: str, tiny_bundle: Path, h264_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    piped = run("watch", h264_clip, "--model", tiny_bundle, what, "-")
    say(["watch", h264_clip, "--model", tiny_bundle, what, tmp_path / "file.jsonl"], capsys)
    assert piped.returncode == 0

    def records(text: str) -> list[dict[str, object]]:
        return [{k: v for k, v in json.loads(line).items() if k != "latency_ms"} for line in text.splitlines()]

    assert records(piped.stdout) == records((tmp_path / "file.jsonl").read_text())
    assert "decoded" in piped.stderr


def test_watch_ends_after_its_duration(
    tiny_bundle: Path, h264_clip: Path, judged: list[Prediction], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.jsonl"
    say(["watch", h264_clip, "--model", tiny_bundle, "--duration", "1", "--labels", labels], capsys)
    assert [line["index"] for line in lines(labels)] == [p.index for p in judged if p.time < 1]


def test_watch_steps_windows_when_told(
    tiny_bundle: Path, h264_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tiny bundle has no window of its own, and says so."""
    assert main(["watch", str(h264_clip), "--model", str(tiny_bundle), "--mode", "window"]) == 1
    assert "window" in capsys.readouterr().err


def test_watch_leaves_the_backbone_out_where_nothing_moves(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    still = encode([moving_pictures(1)[0]] * 50, tmp_path / "still.mkv", codec="ffv1")
    assert "95.0% of the ticks" in say(["watch", still, "--model", tiny_bundle, "--gate", "0"], capsys)
    assert "gated" not in say(["watch", still, "--model", tiny_bundle], capsys)


def test_watch_does_not_claim_a_video_that_it_did_not_keep(
    tiny_bundle: Path, h264_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The time is over before the camera has sent its first frame."""
    video, labels = tmp_path / "video.mp4", tmp_path / "labels.jsonl"
    with RtspServer({"/stream": h264_clip}, loop=True) as server:
        server.stall("/stream")
        files: list[str | Path] = ["--save", video, "--labels", labels, "--no-show"]
        arguments = ["watch", server.url("/stream"), "--model", tiny_bundle, "--duration", "0.001", *files]
        late = threading.Timer(0.5, server.resume, ["/stream"])
        late.start()
        shown = say(arguments, capsys)
        late.join()
    assert not video.exists()
    assert f"written  {labels}" in shown
    assert str(video) not in shown


def test_watch_follows_a_camera(tiny_bundle: Path, h264_clip: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.jsonl"
    with RtspServer({"/stream": h264_clip}, user="user", password="secret", loop=True) as server:
        url = server.url("/stream", user="user", password="secret")
        done = run("watch", url, "--model", tiny_bundle, "--labels", labels, "--duration", "2")
    assert done.returncode == 0, done.stderr
    assert "secret" not in done.stdout + done.stderr + labels.read_text()
    assert len(lines(labels)) > 5


def test_watch_follows_a_webcam(webcam_shim: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.jsonl"
    arguments = ("watch", "0", "--model", tiny_bundle, "--labels", labels, "--duration", "1.5")
    done = run(*arguments, LD_PRELOAD=str(webcam_shim))
    assert done.returncode == 0, done.stderr
    assert {line["camera"] for line in lines(labels)} == {"webcam-0"}


def test_watch_shows_a_window_and_ends_with_the_clip(screen: str, tiny_bundle: Path, h264_clip: Path) -> None:
    done = run("watch", h264_clip, "--model", tiny_bundle, "--show", "--realtime", DISPLAY=screen)
    assert done.returncode == 0, done.stderr
    assert "75 decoded" in done.stdout


def test_record_previews_in_a_window(screen: str, webcam_shim: Path, tmp_path: Path) -> None:
    options = ("--clips", "1", "--seconds", "0.5", "--countdown", "0", "--show", "--out", tmp_path)
    done = run("record", "wave", *options, DISPLAY=screen, LD_PRELOAD=str(webcam_shim))
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "wave").iterdir())) == 1


# predict


def test_predict_ranks_every_class_by_its_peak(
    tiny_bundle: Path, h264_clip: Path, judged: list[Prediction], capsys: pytest.CaptureFixture[str]
) -> None:
    labels = Bundle.load(tiny_bundle).labels
    document = json.loads(say(["predict", h264_clip, "--model", tiny_bundle, "--json"], capsys))
    warm = [prediction for prediction in judged if prediction.warm]
    highest = [max(warm, key=lambda prediction: float(prediction.scores[k])) for k in range(len(labels))]
    peaks = {
        label: (float(best.scores[k]), best.time) for k, (label, best) in enumerate(zip(labels, highest, strict=True))
    }
    ranked = sorted(labels, key=lambda label: -peaks[label][0])
    assert list(document["peak"].items()) == [
        (label, pytest.approx({"score": peaks[label][0], "time": peaks[label][1]}, abs=1e-6)) for label in ranked
    ]
    at_end = dict(zip(labels, map(float, judged[-1].scores), strict=True))
    assert list(document["scores"].items()) == [(label, pytest.approx(at_end[label], abs=1e-6)) for label in ranked]
    assert (document["time"], document["ticks"]) == (judged[-1].time, len(judged))

    shown = say(["predict", h264_clip, "--model", tiny_bundle, "--top", "2"], capsys).splitlines()
    assert [line.split()[0] for line in shown[-2:]] == ranked[:2]


def test_predict_takes_a_mode_and_its_window(
    tiny_bundle: Path, h264_clip: Path, judged: list[Prediction], capsys: pytest.CaptureFixture[str]
) -> None:
    """Replicas that the clip is too short to restart are the carried state; others have forgotten its start."""
    words: list[str | Path] = ["predict", h264_clip, "--model", tiny_bundle, "--json"]
    carried = json.loads(say(words, capsys))["scores"]
    for window, same in ((len(judged), True), (4, False)):
        scores = json.loads(say([*words, "--mode", "staggered", "--window", str(window)], capsys))["scores"]
        assert (scores == pytest.approx(carried, abs=1e-6)) is same


def test_predict_animates(
    tiny_bundle: Path, h264_clip: Path, judged: list[Prediction], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gif = tmp_path / "clip.gif"
    assert str(gif) in say(["predict", h264_clip, "--model", tiny_bundle, "--gif", gif], capsys)
    shown = pictures_of(gif)
    assert len(shown) == len(judged)
    place = layout(240, 320)
    assert shown[0].shape == (place.height, place.width, 3)
    originals = pictures_of(h264_clip)
    bare = np.stack([originals[p.index] for p in judged]).astype(int)
    x0, y0, x1, y1 = place.picture
    apart = np.abs(np.stack(shown)[:, y0:y1, x0:x1].astype(int) - bare).mean(axis=(0, 3))
    assert apart.mean() < 12  # the clip's own picture, in 256 colours
    assert np.stack(shown)[:, :80, place.column.x0 :].max() > 200  # the label


# devices


def test_devices_lists_a_webcam(webcam_shim: Path) -> None:
    shown = run("devices", LD_PRELOAD=str(webcam_shim)).stdout
    assert "Shim Camera" in shown
    assert "320x240" in shown
    (webcam,) = json.loads(run("devices", "--json", LD_PRELOAD=str(webcam_shim)).stdout)
    assert webcam["index"] == 0
    assert webcam["modes"][0]["fps"] == 30.0


@pytest.mark.skipif(os.path.exists("/dev/video0"), reason="this machine has a webcam")  # noqa: PTH110
def test_devices_says_what_to_do_without_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert "No webcam" in say(["devices"], capsys)
    assert json.loads(say(["devices", "--json"], capsys)) == []


# record


def test_record_cuts_a_file_and_never_overwrites(
    h264_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments: list[str | Path] = ["record", "wave", "--source", h264_clip, "--out", tmp_path, "--seconds", "0.8"]
    say([*arguments, "--clips", "2"], capsys)
    first = tmp_path / "wave" / "wave_seq01_001.mp4"
    content = first.read_bytes()
    say([*arguments, "--clips", "1"], capsys)
    names = ["wave_seq01_001.mp4", "wave_seq01_002.mp4", "wave_seq02_001.mp4"]
    assert sorted(path.name for path in first.parent.iterdir()) == names
    assert first.read_bytes() == content

    originals = pictures_of(h264_clip)
    with av.open(first) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        frames = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(stream)]
    assert [time for time, _ in frames] == pytest.approx([k / 25 for k in range(20)], abs=1e-3)
    assert np.abs(frames[7][1].astype(int) - originals[7]).mean() < 6


def test_record_keeps_whole_clips_only(h264_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three seconds of video hold two clips of 1.4 s, and the beginning of a third."""
    arguments: list[str | Path] = ["record", "wave", "--source", h264_clip, "--out", tmp_path, "--seconds", "1.4"]
    assert "2 clips" in say(arguments, capsys)
    assert sorted(path.name for path in (tmp_path / "wave").iterdir()) == ["wave_seq01_001.mp4", "wave_seq01_002.mp4"]
    assert main([*map(str, arguments[:-1]), "30"]) == 1
    assert "lower --seconds" in capsys.readouterr().err


def test_record_counts_down_before_a_camera(webcam_shim: Path, tmp_path: Path) -> None:
    options = ("--clips", "2", "--seconds", "0.5", "--countdown", "0.3", "--out", tmp_path)
    done = run("record", "wave", *options, LD_PRELOAD=str(webcam_shim))
    assert done.returncode == 0, done.stderr
    first, second = (pictures_of(path) for path in sorted((tmp_path / "wave").iterdir()))
    assert 13 <= len(first) <= 17
    # the shim's pictures grow brighter one by one: between the clips 0.3 s went by
    assert second[0].mean() - first[-1].mean() >= 8


def test_an_interrupted_clip_is_taken_again(tmp_path: Path) -> None:
    def frames() -> Iterator[Frame]:
        """Ten frames, then the camera is opened again."""
        for index, picture in enumerate(moving_pictures(60, 64, 48)):
            session, place = (0, index) if index < 10 else (1, index - 10)
            yield Frame("door", index, session, place / 20, 0.0, Picture((picture,), "rgb"))

    told: list[str] = []
    folder = tmp_path / "wave"
    (clip,) = record_clips(frames(), folder, "wave", 1, 1.0, 0.0, lambda _frame, state, _share: told.append(state))
    assert [path.name for path in folder.iterdir()] == ["wave_seq01_001.mp4"]
    assert len(pictures_of(clip)) == 20
    assert told.count("recording") == 9 + 1 + 20


# demo


def test_demo_writes_and_scores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # as after `make demo`: its environment is not activated
    activate = Path(sys.executable).with_name("activate")
    shown = say(["demo", "--out", tmp_path / "demo"], capsys)
    for word in ("known after", "p50", "p95", "ticks right", "found", "actionstream watch 0"):
        assert word in shown
    assert (f". {activate}" in shown) == activate.is_file()
    assert len(lines(tmp_path / "demo" / "labels.jsonl")) > 50
    assert len(lines(tmp_path / "demo" / "events.jsonl")) > 5
    assert len(pictures_of(tmp_path / "demo" / "annotated.mp4")) > 100


# score, clock

TRUTH = (Action("wave", 2.0, 4.0), Action("clap", 6.0, 7.0))


def tick(time: float, label: str) -> Prediction:
    return Prediction("door", 0, 0, time, label, 1.0, np.ones(1, np.float32), True, 0.1)


def started(label: str, start: float, delay: float) -> Event:
    return Event(f"{label}{start}", "door", label, "started", start, None, 1.0, delay, "tiny@0")


@pytest.mark.parametrize(
    ("time", "label", "outcome"),
    [
        (1.9, "none", (1, 1)),
        (1.9, "wave", (0, 1)),
        (2.0, "wave", (0, 0)),
        (2.59, "none", (0, 0)),
        (2.61, "none", (0, 1)),
        (2.61, "wave", (1, 1)),
        (4.3, "wave", (0, 0)),
        (5.0, "none", (1, 1)),
        (6.8, "clap", (1, 1)),
    ],
)
def test_score_counts_ticks_away_from_boundaries(time: float, label: str, outcome: tuple[int, int]) -> None:
    score = Score(TRUTH, "none")
    score.prediction(tick(time, label))
    assert (score.right, score.counted) == outcome


@pytest.mark.parametrize(
    ("events", "found", "false"),
    [
        ([started("wave", 2.1, 0.5)], 1, 0),
        ([started("wave", 2.1, 0.5), started("wave", 3.5, 0.2)], 1, 1),  # told twice: found once, false once
        ([started("wave", 1.0, 0.5)], 0, 1),  # before it began
        ([started("clap", 7.5, 0.4)], 1, 0),
        ([started("clap", 7.5, 0.6)], 0, 1),  # too late
        ([started("clap", 3.0, 0.1)], 0, 1),  # another label
        ([started("wave", 2.1, 0.5), started("clap", 6.5, 0.1)], 2, 0),
    ],
)
def test_score_finds_actions(events: list[Event], found: int, false: int) -> None:
    score = Score(TRUTH, "none")
    for event in events:
        score.event(event)
    assert (score.found, score.false, score.actions) == (found, false, 2)


def test_score_finds_each_of_two_alike() -> None:
    score = Score((Action("wave", 1.0, 3.0), Action("wave", 3.5, 5.0)), "none")
    score.event(started("wave", 1.2, 0.3))
    score.event(started("wave", 3.6, 0.3))
    assert (score.found, score.false) == (2, 0)


def test_truth_is_read_in_order_of_time(tmp_path: Path) -> None:
    path = tmp_path / "truth.json"
    told = [{"label": a.label, "segment": [a.start, a.end]} for a in reversed(TRUTH)]
    path.write_text(json.dumps({"database": {"demo": {"annotations": told}}}))
    assert read_truth(path) == TRUTH
    path.write_text('{"database": []}')
    with pytest.raises(ConfigError, match="annotations"):
        read_truth(path)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00.0"), (59.96, "1:00.0"), (61.24, "1:01.2"), (3599.99, "1:00:00.0"), (-0.1, "0:00.0")]
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text
