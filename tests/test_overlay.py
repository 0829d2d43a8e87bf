"""What people see, held against pixels: what is drawn, where, in which colour, at every size."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from stream.contracts import Event, Input, Prediction, Status
from stream.geometry import to_bgr
from stream.sources import open_source
from stream.views.drawing import Pen
from stream.views.layout import TEXT, Box, layout, text_size
from stream.views.overlay import GROUND, RED, Overlay, clock, grid, told_of
from stream.views.palette import ACCENTS, GREY, Colour, colours_of, ink_on
from stream.views.timeline import Timeline

LABELS = ("none", "wave", "clap", "jump", "squat", "punch", "fall", "get_up")
SIZES = [(180, 320), (360, 640), (1080, 1920), (640, 360), (312, 428), (426, 240), (120, 160), (97, 95), (48, 64)]
ROOT = Path(__file__).parent.parent


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


def part(canvas: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    """What `box` holds of `canvas`."""
    return canvas[box.y0 : box.y1, box.x0 : box.x1]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_picture_is_all_there_and_nothing_is_on_it(height: int, width: int) -> None:
    """Noise of its own in every pixel: whatever were drawn over it would show."""
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    before = picture.copy()
    place = layout(height, width)
    drawn = Overlay(LABELS, "none", "figures@1a2b3c4d").draw(picture, story(), "hall", 30.0)
    assert (part(drawn, place.picture) == before).all() and (picture == before).all()
    assert drawn.shape == (place.height, place.width, 3) and drawn.dtype == np.uint8
    for box in (place.column, place.strip):
        assert (part(drawn, box) != GROUND).any(axis=2).mean() > 0.02


@pytest.mark.parametrize(
    ("input", "box"),
    [
        (Input(96, 128, "region", region=(0.25, 0.5, 0.75, 1.0)), (160, 180, 480, 360)),
        (Input(100, 100, "center"), (140, 0, 500, 360)),
    ],
)
def test_what_the_model_does_not_see_is_half_as_bright(input: Input, box: tuple[int, int, int, int]) -> None:
    picture = np.random.default_rng(0).integers(40, 256, (360, 640, 3), np.uint8)
    overlay = Overlay(LABELS, "none", "figures@1a2b3c4d", {"hall/door": input})
    drawn = part(overlay.draw(picture, story(), "hall/door", 30.0), layout(360, 640).picture)
    x0, y0, x1, y1 = box
    seen = np.zeros((360, 640), np.bool_)
    seen[y0:y1, x0:x1] = True
    assert (drawn[seen] == picture[seen]).all()
    line = cv2.dilate(seen.astype(np.uint8), np.ones((3, 3))).astype(np.bool_) & ~seen
    assert (drawn[~seen & ~line] == picture[~seen & ~line] // 2).all()
    assert len(np.unique(drawn[line], axis=0)) == 1


def test_a_letterboxed_picture_is_seen_whole() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (360, 640, 3), np.uint8)
    overlay = Overlay(LABELS, "none", "figures@1a2b3c4d", {"hall": Input(96, 128, "letterbox")})
    assert (part(overlay.draw(picture, story(), "hall", 30.0), layout(360, 640).picture) == picture).all()


def test_a_fallen_figure_is_seen_whole() -> None:
    """The demo's own frames, in the overlay of the demo's own labels."""
    overlay = Overlay(LABELS, "none", "figures@1a2b3c4d")
    source = open_source(ROOT / "samples" / "clips" / "fall.mp4", Input(height=120, width=208, rate=None))
    pictures = [to_bgr(frame.picture) for frame in source.frames()]
    for whole in pictures[-1:] + pictures[::16]:
        smaller = np.asarray(cv2.resize(whole, (428, 312)), np.uint8)
        for picture in (whole, smaller, whole[:, 200:403]):
            place = layout(*picture.shape[:2])
            assert (part(overlay.draw(picture, story(), "hall", 30.0), place.picture) == picture).all()


@pytest.mark.parametrize(("height", "width"), [*SIZES, (1, 1), (121, 161), (2160, 3840), (3840, 2160), (120, 1280)])
def test_every_layout_is_even_and_its_parts_are_apart(height: int, width: int) -> None:
    place = layout(height, width)
    assert place.height % 2 == place.width % 2 == place.picture.x0 % 2 == place.picture.y0 % 2 == 0
    assert (place.picture.y1 - place.picture.y0, place.picture.x1 - place.picture.x0) == (height, width)
    owners = np.zeros((place.height, place.width, 1), np.uint8)
    for box in (place.picture, place.column, place.strip):
        part(owners, box)[:] += 1
    assert owners.max() == 1
    assert owners[:, place.column.x0 :].all() and owners[place.strip.y0 :].all()
    assert place.size >= place.small >= 10


def test_a_wide_picture_stays_most_of_what_is_seen_and_a_tall_one_has_the_strip_below_it_all() -> None:
    for height, width in ((360, 640), (1080, 1920), (2160, 3840)):
        place = layout(height, width)
        assert height * width > 0.64 * place.height * place.width
        assert 1.8 < place.width / place.height < 2  # about as the screens that show it
        assert place.column.y1 == place.height and place.strip.x1 == width
    tall = layout(426, 240)
    assert tall.strip.x1 == tall.width and tall.column.y1 == 426


def test_lengths_follow_the_picture() -> None:
    assert text_size(1080, 1920) == 3 * text_size(360, 640)
    assert text_size(120, 160) == text_size(48, 64) == TEXT
    small, large = layout(360, 640), layout(1080, 1920)
    assert large.width == 3 * small.width and large.height == pytest.approx(3 * small.height, abs=6)


def test_text_fits_where_it_is_put_at_the_extremes() -> None:
    """Everything is as long as it can be; the column's edges stay free, and the picture's with them."""
    labels = ("none", "a_very_long_label_of_a_bundle", *(f"label_{k}" for k in range(30)))
    overlay = Overlay(labels, "none", "a_bundle_with_a_very_long_name@1a2b3c4d")
    latest = prediction(7200.0, labels[1], labels=labels)
    cold = Prediction(**{**vars(latest), "warm": False, "latency_ms": 123456.0})
    known = Timeline().with_prediction(cold).with_event(event(labels[1], 7190.0))
    camera = "rtsp://camera/behind/the/house/left half of the yard"
    away = known.with_status(Status(camera, 0, "offline", f"{camera}: nothing listens there " * 9, 3.0))
    for height, width in (*SIZES, (2160, 3840)):
        place = layout(height, width)
        pad = place.size // 2
        for timeline in (known, away):
            drawn = overlay.draw(ground(height, width), timeline, camera, 7200.0)
            x0, y0, x1, y1 = place.column
            inside = Box(x0 + pad, y0 + pad, x1 - pad, y1 - pad // 2)
            bare = drawn.copy()
            part(bare, inside)[:] = GROUND
            assert (part(bare, place.column) == GROUND).all()
            assert (drawn[place.strip.y1 - 1] == GROUND).all()


def test_the_strip_shows_each_event_in_its_colour_where_it_was() -> None:
    drawn = Overlay(LABELS, "none", "m@1").draw(ground(360, 640), story(), "hall", 30.0)
    wave, jump = colours_of(LABELS, "none")[1], colours_of(LABELS, "none")[3]
    strip = part(drawn, layout(360, 640).strip)
    columns = np.flatnonzero((strip == np.array(wave, np.uint8)).all(axis=2).any(axis=0))
    # 20 s over 620 pixels from x = 10: known at 20.5 s, over at 24 s.
    assert columns.min() == pytest.approx(10 + 620 * 10.5 / 20, abs=4)
    assert columns.max() == pytest.approx(10 + 620 * 14 / 20, abs=4)
    columns = np.flatnonzero((strip == np.array(jump, np.uint8)).all(axis=2).any(axis=0))
    assert columns.max() == pytest.approx(10 + 620, abs=4)  # still on: it reaches now


def test_the_name_of_a_short_event_stands_behind_it() -> None:
    overlay, place = Overlay(LABELS, "none", "m@1"), layout(360, 640)
    punch = colours_of(LABELS, "none")[5]
    short = Timeline().with_prediction(prediction(30.0, "none")).with_event(event("punch", 20.0, 21.0))
    crowded = short.with_event(event("wave", 21.2, 24.0))
    ends = []
    for timeline in (short, crowded):
        strip = part(overlay.draw(ground(360, 640), timeline, "hall", 30.0), place.strip)
        ends.append(np.flatnonzero((strip == np.array(punch, np.uint8)).all(axis=2).any(axis=0)).max())
    over = 10 + 620 * 11 / 20
    assert ends[0] > over + 30 and ends[1] == pytest.approx(over, abs=4)


def test_the_bar_is_as_long_as_the_score() -> None:
    overlay = Overlay(("none", "wave"), "none", "m@1")
    wave = colours_of(("none", "wave"), "none")[1]
    areas = []
    for score in (0.55, 0.95):
        timeline = Timeline().with_prediction(prediction(1.0, "wave", score, labels=("none", "wave")))
        drawn = overlay.draw(ground(360, 640), timeline, "hall", 1.0)
        areas.append(count(part(drawn, layout(360, 640).column)[54:], wave))
    assert areas[1] > 1.5 * areas[0] > 0


def test_every_class_gets_a_row_or_the_likeliest_do() -> None:
    labels = tuple(f"label_{k}" for k in range(60))
    overlay = Overlay(labels, "label_0", "m@1")
    many = Timeline().with_prediction(prediction(1.0, "label_55", labels=labels))
    drawn = overlay.draw(ground(360, 640), many, "hall", 1.0)
    accent = colours_of(labels, "label_0")[55]
    assert count(part(drawn, layout(360, 640).column)[60:], accent) > 100  # its bar is among those shown


def test_nothing_known_yet_is_drawn_without_a_label_panel() -> None:
    drawn = Overlay(LABELS, "none", "m@1").draw(ground(360, 640), Timeline(), "hall", 0.0)
    column = part(drawn, layout(360, 640).column)
    assert (column[:300] == GROUND).all() and (column[300:] != GROUND).any()


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
    seen = part(drawn, layout(360, 640).picture)
    assert (seen == seen[..., :1]).all() and seen.max() < 120
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


def test_text_that_is_too_long_gets_smaller_then_is_cut_or_broken() -> None:
    pen = Pen()
    assert pen.cut("short", 28, 400, 300, 20) == ("short", 28)
    text, size = pen.cut("rather a long line", 28, 400, 220, 20)
    assert text == "rather a long line" and 20 <= size < 28 and pen.width(text, size) <= 220
    text, size = pen.cut("long " * 40, 28, 400, 300, 20)
    assert text.endswith("…") and size == 20 and 200 < pen.width(text, size) <= 300
    assert pen.cut("long", 28, 400, 2, 20) == ("", 20)
    reason = "nothing listens at rtsp://" + "camera" * 9
    lines = pen.lines(reason, 12, 400, 160)
    assert "".join(lines).replace(" ", "") == reason.replace(" ", "")
    assert all(0 < pen.width(line, 12) <= 160 for line in lines) and len(lines) > 2
    assert lines[0] == "nothing listens at"


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
