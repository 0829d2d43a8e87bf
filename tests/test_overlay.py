"""What people see, held against pixels: what is drawn, where, in which colour, at every size."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from stream.contracts import Event, Prediction, Status
from stream.views.drawing import Pen
from stream.views.overlay import RED, Overlay, clock, grid, text_size, told_of
from stream.views.palette import ACCENTS, GREY, Colour, colours_of, ink_on
from stream.views.timeline import Timeline

LABELS = ("none", "wave", "clap", "jump", "squat", "punch", "fall", "get_up")
SIZES = [(180, 320), (360, 640), (1080, 1920), (640, 360), (96, 96), (48, 64)]


def prediction(
    time: float, label: str, score: float = 0.9, session: int = 0, labels: tuple[str, ...] = LABELS
) -> Prediction:
    scores = np.full(len(labels), (1 - score) / (len(labels) - 1), np.float32)
    scores[labels.index(label)] = score
    return Prediction("hall", session, round(time * 10), time, label, score, scores, True, 0.1, 12.3)


def event(label: str, start: float, end: float | None = None) -> Event:
    return Event(
        f"{label}{start}", "hall", label, "ended" if end else "started", start, end, 0.9, 0.5, "figures@1a2b3c4d"
    )


def story(until: float = 30.0) -> Timeline:
    """A wave from 20 to 24 s, then a jump that is still on."""
    timeline = Timeline()
    for tick in range(round(until * 10) + 1):
        time = tick / 10
        label = "wave" if 20 <= time < 24 else "jump" if time >= 27 else "none"
        timeline = timeline.with_prediction(prediction(time, label))
    return timeline.with_event(event("wave", 20.0, 24.0)).with_event(event("jump", 27.0))


def count(picture: NDArray[np.uint8], colour: Colour) -> int:
    """Pixels of exactly `colour`."""
    return int((picture == np.array(colour, np.uint8)).all(axis=2).sum())


def ground(height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), 200, np.uint8)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_draws_on_any_size_and_leaves_the_picture_alone(height: int, width: int) -> None:
    picture = ground(height, width)
    drawn = Overlay(LABELS, "none", "figures@1a2b3c4d").draw(picture, story(), "hall", 30.0)
    assert (picture == 200).all()
    assert drawn.shape == picture.shape and drawn.dtype == np.uint8
    changed = (drawn != picture).any(axis=2)
    assert 0.1 < changed.mean() < 0.9
    assert changed[-height // 4 :].mean() > 0.3  # the strip


def test_the_middle_of_a_wide_picture_stays_free() -> None:
    drawn = Overlay(LABELS, "none", "m@1").draw(ground(720, 1280), story(), "hall", 30.0)
    assert (drawn[150:550, 420:1000] == 200).all()


def test_lengths_follow_the_picture() -> None:
    assert text_size(1080, 1920) == 3 * text_size(360, 640)
    assert text_size(180, 320) == 10
    overlay = Overlay(LABELS, "none", "m@1")
    small = (overlay.draw(ground(360, 640), story(), "hall", 30.0) != 200).any(axis=2).mean()
    large = (overlay.draw(ground(1080, 1920), story(), "hall", 30.0) != 200).any(axis=2).mean()
    assert abs(small - large) < 0.03


def test_the_strip_shows_each_event_in_its_colour_where_it_was() -> None:
    drawn = Overlay(LABELS, "none", "m@1").draw(ground(360, 640), story(), "hall", 30.0)
    wave, jump = colours_of(LABELS, "none")[1], colours_of(LABELS, "none")[3]
    strip = drawn[270:]
    columns = np.flatnonzero((strip == np.array(wave, np.uint8)).all(axis=2).any(axis=0))
    # 20 s over about 606 pixels from x = 17: known at 20.5 s, over at 24 s.
    assert columns.min() == pytest.approx(17 + 606 * 10.5 / 20, abs=4)
    assert columns.max() == pytest.approx(17 + 606 * 14 / 20, abs=4)
    columns = np.flatnonzero((strip == np.array(jump, np.uint8)).all(axis=2).any(axis=0))
    assert columns.max() == pytest.approx(17 + 606, abs=4)  # still on: it reaches now


def test_the_bar_is_as_long_as_the_score() -> None:
    overlay = Overlay(("none", "wave"), "none", "m@1")
    wave = colours_of(("none", "wave"), "none")[1]
    areas = []
    for score in (0.55, 0.95):
        timeline = Timeline().with_prediction(prediction(1.0, "wave", score, labels=("none", "wave")))
        drawn = overlay.draw(ground(360, 640), timeline, "hall", 1.0)
        areas.append(count(drawn[60:140, :320], wave))
    assert areas[1] > 1.5 * areas[0] > 0


def test_every_class_gets_a_row_or_the_likeliest_do() -> None:
    labels = tuple(f"label_{k}" for k in range(60))
    overlay = Overlay(labels, "label_0", "m@1")
    many = Timeline().with_prediction(prediction(1.0, "label_55", labels=labels))
    drawn = overlay.draw(ground(360, 640), many, "hall", 1.0)
    accent = colours_of(labels, "label_0")[55]
    assert count(drawn[60:280], accent) > 100  # its bar is among those shown
    assert (drawn[300:, :] != 200).any()  # and the strip is not covered


def test_nothing_known_yet_is_drawn_without_a_label_panel() -> None:
    drawn = Overlay(LABELS, "none", "m@1").draw(ground(360, 640), Timeline(), "hall", 0.0)
    assert (drawn[:200, :300] == 200).all()
    assert (drawn[:200, 500:] != 200).any()


def test_warming_up_is_shown() -> None:
    overlay = Overlay(LABELS, "none", "m@1")
    warm = Timeline().with_prediction(prediction(1.0, "none"))
    cold = Timeline().with_prediction(Prediction(**{**vars(prediction(1.0, "none")), "warm": False}))
    assert (overlay.draw(ground(360, 640), warm, "a", 1.0) != overlay.draw(ground(360, 640), cold, "a", 1.0)).any()


def test_a_camera_that_is_away_shows_no_label_but_why() -> None:
    overlay, picture = Overlay(LABELS, "none", "figures@1a2b3c4d"), ground(360, 640)
    picture[..., 0] = 90  # bluish: colours must go
    away = story().with_status(Status("hall", 0, "stalled", "nothing came for 3 s", 3.0))
    drawn = overlay.draw(picture, away, "hall", 30.0)
    assert count(drawn, RED) > 50 and count(overlay.draw(picture, story(), "hall", 30.0), RED) == 0
    middle = drawn[150:250, 200:400]
    assert (middle == middle[..., :1]).all() and middle.max() < 120
    assert away.current is None and away.events[-1].end == 30.0
    back = away.with_status(Status("hall", 1, "online", "", 3.0)).with_prediction(prediction(0.0, "none", session=1))
    assert back.away is None and back.events == ()


def test_unicode_text_is_drawn_and_measured() -> None:
    pen = Pen()
    picture = np.zeros((60, 400, 3), np.uint8)
    pen.write(picture, "Größe жук 日本", 10, 40, 28, 400, (255, 255, 255))
    columns = np.flatnonzero(picture.any(axis=(0, 2)))
    assert columns.max() - 10 == pytest.approx(pen.width("Größe жук 日本", 28), abs=4)
    assert pen.width("long " * 40, pen.fitting("long " * 40, 28, 400, 300)) <= 300


def test_colours_are_stable_by_name_distinct_and_grey_for_none() -> None:
    colours = dict(zip(LABELS, colours_of(LABELS, "none"), strict=True))
    assert colours["none"] == GREY
    assert len(set(colours.values())) == len(LABELS)
    turned = tuple(reversed(LABELS))
    assert dict(zip(turned, colours_of(turned, "none"), strict=True)) == colours
    assert len(set(colours_of(tuple(f"l{k}" for k in range(len(ACCENTS))), "none"))) == len(ACCENTS)
    assert ink_on((0, 255, 255)) != ink_on((120, 40, 20))


def test_the_timeline_is_bounded_and_forgets_a_session() -> None:
    timeline = story(200.0)
    assert len(timeline.predictions) <= 212
    assert [e.label for e in timeline.events if e.end is not None] == ["wave"]  # told last, not yet judged by a tick
    timeline = timeline.with_prediction(prediction(200.1, "jump"))
    assert [e.label for e in timeline.events] == ["jump"]
    assert timeline.current is not None and timeline.current.label == "jump"
    timeline = timeline.with_event(event("jump", 27.0, 200.0))
    assert timeline.current is None
    fresh = timeline.with_prediction(prediction(0.0, "none", session=1))
    assert len(fresh.predictions) == 1 and fresh.events == ()


@pytest.mark.parametrize(
    ("time", "digits", "text"),
    [
        (0, 1, "0:00.0"),
        (65.25, 1, "1:05.2"),
        (59.97, 1, "1:00.0"),
        (3605.2, 1, "1:00:05.2"),
        (75, 0, "1:15"),
        (-1, 1, "0:00.0"),
    ],
)
def test_clock(time: float, digits: int, text: str) -> None:
    assert clock(time, digits) == text


def test_words_and_marks() -> None:
    assert told_of(event("jump", 27.0), 29.4) == "for 2.4 s, known after 0.5 s"
    assert told_of(None, 3.0) == "nothing going on"
    assert list(grid(71.4, 20)) == [55, 60, 65, 70]
    assert list(grid(0.0, 20)) == []
