"""What measures mean for a bundle: the height of a person against the geometry itself, and when a sentence is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stream.bench.advice import person_share, suggestions
from stream.bench.probe import Drift, Probe
from stream.contracts import Fit, Input, Picture
from stream.geometry import fit, vertical_scale
from stream.schema import PERSON

LETTERBOX = Input(96, 160)
REGION = Input(96, 160, fit="region", region=(0.25, 0.0, 0.75, 0.5))
GOOD = Probe(
    "gate",
    "rtsp://gate/1",
    codec="h264",
    size=(360, 640),
    frames=250,
    seconds=10.0,
    fps=25.0,
    keyframe_s=1.0,
    drift=Drift(3.0, 5.0),
)
SAYS = {PERSON: 27}


@pytest.mark.parametrize("size", [(360, 640), (1080, 1920), (480, 640), (96, 160), (40, 50), (640, 360)])
@pytest.mark.parametrize("how", ["letterbox", "squash", "center", "region"])
def test_a_person_is_as_high_in_the_models_picture_as_is_said(size: tuple[int, int], how: Fit) -> None:
    """A white bar of a third of the picture's height stands in the middle; its lines are counted in the model's."""
    seen = Input(96, 160, fit=how, region=(0.25, 0.2, 0.75, 0.8) if how == "region" else None)
    height, width = size
    picture = np.zeros((height, width, 3), np.uint8)
    lines = height // 3
    picture[height // 3 : height // 3 + lines] = 255
    column = fit(Picture((picture,), "rgb"), seen)[:, 80, 0].astype(float)
    assert column.sum() / 255 == pytest.approx(lines * vertical_scale(size, seen), abs=1.5)


def test_the_share_is_that_of_the_whole_picture() -> None:
    assert person_share(SAYS, (360, 640), LETTERBOX) == pytest.approx(27 / 90)
    assert person_share(SAYS, (1080, 1920), LETTERBOX) == pytest.approx(27 / 90)  # a larger stream does not help
    assert person_share(SAYS, (360, 640), REGION) == pytest.approx(27 / 180)  # a region half as large does


@pytest.mark.parametrize("provenance", [{}, {PERSON: None}, {PERSON: "tall"}, {PERSON: 0}, {PERSON: True}])
def test_a_bundle_that_does_not_say_is_not_guessed_at(provenance: dict[str, object]) -> None:
    assert person_share(provenance, (360, 640), LETTERBOX) is None
    assert suggestions(GOOD, {"gate": LETTERBOX}, provenance, transport="tcp") == []


def test_a_good_camera_is_left_alone() -> None:
    assert suggestions(GOOD, {"gate": LETTERBOX}, SAYS, transport="tcp") == []


@pytest.mark.parametrize(
    ("probe", "seen", "transport", "words"),
    [
        (replace(GOOD, fps=7.0), LETTERBOX, "tcp", ["7.0 pictures a second", "10 are wanted"]),
        (replace(GOOD, size=(1080, 1920)), LETTERBOX, "tcp", ["sub-stream of 320x180", "one line of 12"]),
        (replace(GOOD, keyframe_s=8.0), LETTERBOX, "tcp", ["keyframe", "8.0 s apart"]),
        (replace(GOOD, keyframe_s=None), LETTERBOX, "tcp", ["keyframe", "more than 10.0 s apart"]),
        (replace(GOOD, corrupt=12), LETTERBOX, "udp", ['transport = "tcp"', "12 damaged"]),
        (replace(GOOD, corrupt=12), LETTERBOX, "tcp", ["network", "12 damaged"]),
        (replace(GOOD, drift=None, untimed=True), LETTERBOX, "tcp", ["no usable times"]),
        (replace(GOOD, drift=Drift(-2400.0, 9.0)), LETTERBOX, "tcp", ["-2400 ms a minute"]),
        (replace(GOOD, size=(180, 320)), replace(LETTERBOX, height=48, width=80), "tcp", ["regions", "60%"]),
    ],
)
def test_each_trouble_has_its_sentence(probe: Probe, seen: Input, transport: str, words: list[str]) -> None:
    said = suggestions(probe, {"gate": seen}, SAYS, transport=transport)
    assert len(said) == 1
    assert [word for word in words if word not in said[0]] == [], said


def test_a_region_that_is_large_is_to_be_smaller_and_is_named() -> None:
    wide = replace(REGION, height=48, width=80, region=(0.0, 0.0, 1.0, 0.9))
    (said,) = suggestions(GOOD, {"gate/left": wide, "gate/door": REGION}, SAYS, transport="tcp")
    assert "gate/left" in said and "61%" in said  # 180 x 320 of the 320 x 324 become 80 x 41: one line of 8


def test_a_file_is_not_told_to_send_otherwise() -> None:
    clip = replace(GOOD, url="clip.mp4", live=False, size=(1080, 1920), keyframe_s=8.0, drift=None)
    assert suggestions(clip, {"clip": LETTERBOX}, SAYS, transport="tcp") == []
