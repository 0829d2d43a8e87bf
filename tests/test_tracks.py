"""One camera looked at for several things: each track has its own state, and all of them share the camera's fate."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from stream.contracts import Event, Status
from stream.engine import Engine
from stream.errors import ConfigError
from stream.recognizer import Recognizer
from stream.sources import FileSource
from tests.cameras import PatternCamera, lost
from tests.running import FRAMES, Notes, open_clip

pytestmark = pytest.mark.usefixtures("no_thread_left_behind")


def test_tracks_of_one_camera_are_judged_each_by_itself(native_bundle: Path, walk_clip: Path) -> None:
    """Two regions of a clip give what two cameras would give that see only that, from one reading of the clip."""
    regions = {"walk/left": (0.0, 0.0, 0.5, 1.0), "walk/right": (0.5, 0.0, 1.0, 1.0)}
    expected: dict[str, list[tuple[int, bytes]]] = {}
    for name, region in regions.items():
        recognizer = Recognizer.load(native_bundle, device="cpu", threads=1, batch_size=2)
        seen = replace(recognizer.input, fit="region", region=region)
        alone = recognizer.step(list(FileSource(walk_clip, seen)))
        expected[name] = [(p.index, p.scores.tobytes()) for p in alone]
    assert expected["walk/left"] != expected["walk/right"]

    recognizer = Recognizer.load(native_bundle, device="cpu", threads=1, batch_size=2)
    inputs = {name: replace(recognizer.input, fit="region", region=region) for name, region in regions.items()}
    notes, shown = Notes(), Counter[str]()
    engine = Engine(
        recognizer,
        [open_clip(walk_clip, recognizer)],
        [notes],
        tracks={"walk": inputs},
        on_frame=lambda frame: shown.update([frame.camera]),
    )
    summary = engine.run()
    for name in regions:
        assert [(p.index, p.scores.tobytes()) for p in notes.predictions if p.camera == name] == expected[name]
    counts = summary.cameras["walk"]
    assert list(summary.cameras) == ["walk"]
    assert (counts.frames, counts.ticks, counts.sessions) == (FRAMES, 2 * FRAMES, 1)
    assert shown == {"walk/left": FRAMES, "walk/right": FRAMES}


def test_all_tracks_end_when_their_camera_goes_away(recognizer: Recognizer) -> None:
    camera = PatternCamera(recognizer.input, fps=100, connections=((40, lost()), (40, None)))
    notes = Notes()
    tracks = {"pattern": {"pattern/a": recognizer.input, "pattern/b": recognizer.input}}
    Engine(recognizer, [camera], [notes], capacity=100, tracks=tracks).run()
    before = notes.told[: next(i for i, told in enumerate(notes.told) if isinstance(told, Status) and told.away)]
    kinds = Counter((told.camera, told.kind) for told in before if isinstance(told, Event))
    for name in tracks["pattern"]:
        assert kinds[name, "started"] == kinds[name, "ended"] > 0
        assert [p.session for p in notes.predictions if p.camera == name] == [0] * 40 + [1] * 40
    assert [status.camera for status in notes.statuses] == ["pattern"] * 3


def test_tracks_need_names_of_their_own(recognizer: Recognizer) -> None:
    cameras = [PatternCamera(recognizer.input, name) for name in ("a", "b")]
    with pytest.raises(ConfigError, match="tracks of different names"):
        Engine(recognizer, cameras, tracks={"a": {"b": recognizer.input}})
