"""What people see: the picture, and around it its label, scores, recent past and vital signs. Nothing covers it.

Pure drawing: a picture and a timeline go in, a new, larger picture comes out. Where things stand is
stream.views.layout's affair. No windows, no files, no clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from threading import Lock

import cv2
import numpy as np

from stream.contracts import Event, Input, Prediction, Status
from stream.geometry import Rect, part_seen
from stream.views.drawing import BOLD, CAP, REGULAR, SEMIBOLD, Image, Pen, bar, block, mix
from stream.views.layout import Layout, layout
from stream.views.palette import Colour, colours_of, ink_on
from stream.views.timeline import Timeline

WHITE: Colour = (250, 250, 250)
SOFT: Colour = (204, 200, 196)
FAINT: Colour = (160, 156, 152)
TRACK: Colour = (66, 61, 57)
GROUND: Colour = (32, 28, 25)
MOUNT: Colour = (18, 16, 14)
GREEN: Colour = (140, 210, 110)
AMBER: Colour = (60, 180, 250)
RED: Colour = (90, 90, 245)
NEARLY_ALL = 0.98
"""Of a picture's width and height: a rest so narrow is not worth telling apart."""


class Overlay:
    """Draws what a recogniser says around the picture it said it of. One overlay may serve several threads."""

    def __init__(self, labels: Sequence[str], none: str, model: str, inputs: Mapping[str, Input] = {}) -> None:
        """Makes an overlay for one bundle.

        Args:
            labels: the bundle's labels, in its order.
            none: which of them means that nothing happens.
            model: the bundle's name and digest, shown small.
            inputs: camera or track -> what the model is to see of it. The rest of its picture is shown half as bright.
        """
        self._names = {label: label.replace("_", " ") for label in labels}
        self._labels = tuple(labels)
        self._none = none
        self._model, self._inputs = model, inputs
        self._colours = dict(zip(labels, colours_of(labels, none), strict=True))
        self._pen = Pen()
        self._lock = Lock()  # around the pen

    def draw(self, bgr: Image, timeline: Timeline, camera: str, time: float) -> Image:
        """A canvas with `bgr` (h, w, 3) in it and everything else around it (`stream.views.layout`).

        What the model sees of the picture is untouched.

        Args:
            bgr: the picture. Where the camera is away, it is shown grey and dark: what is seen is over.
            timeline: what is known.
            camera: whose picture it is.
            time: the picture's media time in seconds.
        """
        if (input := self._inputs.get(camera)) is not None:
            bgr = _dark_around(bgr, part_seen((bgr.shape[0], bgr.shape[1]), input))
        place = layout(*bgr.shape[:2])
        canvas = np.empty((place.height, place.width, 3), np.uint8)
        self._fill(canvas, bgr if timeline.away is None else _faded(bgr), place)
        with self._lock:
            self._draw_timeline(canvas, place, timeline, time)
            bottom = self._draw_signs(canvas, place, timeline, camera)
            if timeline.away is not None:
                self._draw_away(canvas, place, timeline.away, bottom)
            elif timeline.latest is not None:
                self._draw_scores(canvas, place, timeline.latest, timeline.current, time, bottom)
        return canvas

    def _fill(self, canvas: Image, bgr: Image, place: Layout) -> None:
        """The picture and the bare ground around it."""
        x0, y0, x1, y1 = place.picture
        canvas[y0:y1, x0:x1] = bgr
        below, beside = place.strip.y0, place.column.x0
        for box in ((0, 0, beside, y0), (0, y1, beside, below), (0, y0, x0, y1), (x1, y0, beside, y1)):
            block(canvas, box, MOUNT)  # around a picture that is smaller than the least
        block(canvas, place.column, GROUND)
        block(canvas, place.strip, GROUND)

    def _draw_scores(
        self, img: Image, place: Layout, latest: Prediction, current: Event | None, time: float, bottom: int
    ) -> None:
        """The column down to `bottom`: the label, large, then a bar for every class."""
        size, pad = place.size, round(0.8 * place.size)
        x0, x1, top = place.column.x0 + pad, place.column.x1 - pad, place.column.y0 + pad
        accent, ink = self._colours[latest.label], FAINT if latest.label == self._none else WHITE
        tall, head, score_size = round(3.1 * size), round(2.1 * size), round(1.4 * size)
        block(img, (x0, top, x0 + max(2, size // 4), top + tall), accent)
        x, baseline = x0 + round(0.75 * size), top + round(CAP * head)
        score = f"{latest.score:.0%}"
        room = x1 - x - self._pen.width(score, score_size, SEMIBOLD) - size // 2
        self._pen.write_within(img, self._names[latest.label], x, baseline, head, BOLD, ink, room, size)
        self._pen.write(img, score, x1, baseline, score_size, SEMIBOLD, accent, "right")
        told, small = told_of(current, time), place.small
        self._pen.write_within(img, told, x, top + tall, size, REGULAR, SOFT, x1 - x, small)

        y = top + tall + round(0.7 * size)
        rows = self._rows_that_fit(latest, int((bottom - y) / (1.4 * size)))
        spare = bottom - y - 1.4 * size * len(rows)  # goes first into the gap below the label, then between the rows
        y += round(min(size, 0.25 * spare))
        step = min(2.1 * size, (bottom - y) / max(1, len(rows)))
        for number, label in enumerate(rows):
            self._draw_row(img, place, latest, label, y + round(step * (number + 0.5)))

    def _draw_row(self, img: Image, place: Layout, latest: Prediction, label: str, middle: int) -> None:
        """One class around the row `middle`: its name, its bar on a track, its score."""
        size, pad = place.size, round(0.8 * place.size)
        x0, x1 = place.column.x0 + pad, place.column.x1 - pad
        score = float(latest.scores[self._labels.index(label)])
        best = score == float(latest.scores.max())
        ink, weight = (WHITE, SEMIBOLD) if best else (SOFT, REGULAR)
        longest = max(self._pen.width(name, size, SEMIBOLD) for name in self._names.values())
        names = min(longest, round(0.45 * (x1 - x0)))
        left = x0 + names + round(0.7 * size)
        right = x1 - self._pen.width("100%", size, SEMIBOLD) - round(0.6 * size)
        thick = max(3, round(0.5 * size))
        baseline = middle + round(CAP * size / 2)
        self._pen.write_within(img, self._names[label], x0, baseline, size, weight, ink, names, place.small)
        self._pen.write(img, f"{score:.0%}", x1, baseline, size, weight, ink, "right")
        bar(img, left, right, middle, thick, TRACK)
        reach = round(score * (right - left))
        if reach > 0:
            colour = self._colours[label] if best else mix(self._colours[label], TRACK, 0.6)
            bar(img, left, left + max(thick, reach), middle, thick, colour)

    def _rows_that_fit(self, latest: Prediction, rows: int) -> list[str]:
        """The labels that get a bar: all, in the bundle's order, or as many of the likeliest as there is room for."""
        if rows >= len(self._labels):
            return list(self._labels)
        likeliest = np.argsort(-latest.scores, kind="stable")[: max(0, rows)]
        return [self._labels[k] for k in likeliest]

    def _draw_away(self, img: Image, place: Layout, status: Status, bottom: int) -> None:
        """In place of the scores, down to `bottom`: that the camera is away, and why, in as many lines as there are."""
        size, pad = place.size, round(0.8 * place.size)
        x0, x1 = place.column.x0 + pad, place.column.x1 - pad
        head = round(2.1 * size)
        y = place.column.y0 + pad + round(CAP * head)
        self._pen.write_within(img, status.health, x0, y, head, BOLD, RED, x1 - x0, size)
        y += round(1.9 * size)
        lines = self._pen.lines(status.reason, size, REGULAR, x1 - x0)
        room = max(1, (bottom - y) // round(1.5 * size) + 1)
        if len(lines) > room:
            lines = [*lines[: room - 1], f"{lines[room - 1]}…"]
        for number, line in enumerate(lines):
            baseline = y + number * round(1.5 * size)
            self._pen.write_within(img, line, x0, baseline, size, REGULAR, SOFT, x1 - x0, size)

    def _draw_signs(self, img: Image, place: Layout, timeline: Timeline, camera: str) -> int:
        """The foot of the column: camera, how it is, model, latency; returns the y above which there is room."""
        latest, size = timeline.latest, place.size
        state, state_ink = ("ready", GREEN) if latest is not None and latest.warm else ("warming up", AMBER)
        if timeline.away is not None:
            state, state_ink = timeline.away.health, RED
        latency = f"{latest.latency_ms:.0f} ms" if latest and latest.latency_ms is not None else ""
        pad = round(0.8 * size)
        x0, x1, y = place.column.x0 + pad, place.column.x1 - pad, place.column.y1 - round(0.7 * size)
        for left, left_size, weight, left_ink, right, ink in (
            (self._model, place.small, REGULAR, FAINT, latency, SOFT),
            (camera, size, SEMIBOLD, WHITE, state, state_ink),
        ):
            room = x1 - x0 - self._pen.width(right, size) - size // 2
            self._pen.write_within(img, left, x0, y, left_size, weight, left_ink, room, place.small)
            self._pen.write(img, right, x1, y, size, REGULAR, ink, "right")
            y -= round(1.4 * size)
        line = y - round(0.1 * size)
        block(img, (x0, line, x1, line + max(1, size // 12)), TRACK)
        return line - round(0.3 * size)

    def _draw_timeline(self, img: Image, place: Layout, timeline: Timeline, time: float) -> None:
        """The strip: how the scores went, what was on, when it was known, and the time."""
        size, pad = place.size, round(0.8 * place.size)
        rise, lane = round(1.6 * size), round(1.4 * size)
        x0, x1 = place.strip.x0 + pad, place.strip.x1 - pad
        y0 = place.strip.y0 + round(0.6 * size)
        top = y0 + rise
        self._draw_rise(img[y0 : top - max(1, size // 6), x0:x1], timeline, time)
        block(img, (x0, top, x1, top + lane), TRACK)

        def column(moment: float) -> int:
            return min(x1, max(x0, x1 - round((time - moment) / timeline.seconds * (x1 - x0))))

        starts = [*(column(event.start) for event in timeline.events), x1]
        for event, start, following in zip(timeline.events, starts, starts[1:], strict=False):
            known = column(event.start + event.delay)
            end = column(time if event.end is None else event.end)
            self._draw_span(img, event, (start, known, end, following), top, lane, size)
        baseline, mark_size = top + lane + round(1.3 * size), place.small
        now = clock(time)
        self._pen.write(img, now, x1, baseline, size, SEMIBOLD, WHITE, "right")
        free = x1 - self._pen.width(now, size, SEMIBOLD) - size
        for second in sorted(grid(time, timeline.seconds), reverse=True):
            mark, x = clock(second, 0), column(second)
            half = (self._pen.width(mark, mark_size) + 1) // 2
            if x + half <= free and x - half >= x0:
                self._pen.write(img, mark, x, baseline, mark_size, REGULAR, FAINT, "centre")
                free = x - half - size // 2

    def _draw_span(
        self, img: Image, event: Event, columns: tuple[int, int, int, int], top: int, lane: int, size: int
    ) -> None:
        """One event on the lane: pale until it was known, full from there on, a mark where it was told, its name.

        `columns`: where it starts, is known, ends, and where the next one starts. A name that is too long for the
        event itself stands behind it, where nothing else does.
        """
        start, known, end, following = columns
        if end <= start:
            return
        colour = self._colours[event.label]
        block(img, (start, top, end, top + lane), mix(colour, TRACK, 0.45))
        block(img, (min(known, end), top, end, top + lane), colour)
        tip = max(2, size // 3)
        mark = np.array([(known - tip, top - tip), (known + tip, top - tip), (known, top + tip // 2)])
        cv2.fillPoly(img, [mark], WHITE, cv2.LINE_AA)
        name = self._names[event.label]
        width, gap = self._pen.width(name, size, SEMIBOLD), size // 3
        baseline = top + lane // 2 + round(CAP * size / 2)
        if width + 2 * gap < end - known:
            self._pen.write(img, name, known + gap + tip // 2, baseline, size, SEMIBOLD, ink_on(colour))
        elif width + 2 * gap < following - end:
            self._pen.write(img, name, end + gap, baseline, size, SEMIBOLD, colour)

    def _draw_rise(self, lane: Image, timeline: Timeline, time: float) -> None:
        """The likeliest class over time: a column's colour says which, its height how likely. Draws on `lane`."""
        if not timeline.predictions or not lane.size:  # a picture of a few lines has no room for it
            return
        height, width = lane.shape[:2]
        scores = np.stack([p.scores for p in timeline.predictions])
        columns = time - timeline.seconds * (1 - (np.arange(width) + 1) / width)
        newest = np.searchsorted([p.time for p in timeline.predictions], columns, side="right") - 1
        tall = np.where(newest >= 0, np.round(scores.max(axis=1)[newest] * height), 0)
        colours = np.array([self._colours[label] for label in self._labels], np.uint8)[scores.argmax(axis=1)[newest]]
        painted = cv2.addWeighted(lane, 0.35, np.repeat(colours[None], height, axis=0), 0.65, 0)
        cv2.copyTo(painted, (np.arange(height)[:, None] >= height - tall).astype(np.uint8), lane)


def _dark_around(bgr: Image, rect: Rect) -> Image:
    """`bgr`, half as bright outside of `rect`, with a line around that; itself where `rect` is nearly all of it."""
    x0, y0, x1, y1 = rect
    if min((y1 - y0) / bgr.shape[0], (x1 - x0) / bgr.shape[1]) > NEARLY_ALL:
        return bgr
    shown = np.asarray(bgr >> 1, np.uint8)
    cv2.rectangle(shown, (x0 - 1, y0 - 1), (x1, y1), SOFT)
    shown[y0:y1, x0:x1] = bgr[y0:y1, x0:x1]
    return shown


def _faded(bgr: Image) -> Image:
    """`bgr` without colour and half as bright."""
    return np.asarray(cv2.cvtColor(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY) // 2, cv2.COLOR_GRAY2BGR), np.uint8)


def clock(time: float, digits: int = 1) -> str:
    """Media seconds as people read them: `1:05.2`, `1:00:05.2`; `digits` after the point."""
    units = round(max(0.0, time) * 10**digits)  # rounded first, so that 59.97 is not shown as 0:60.0
    seconds, rest = divmod(units, 10**digits)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    return f"{text}.{rest:0{digits}}" if digits else text


def told_of(event: Event | None, time: float) -> str:
    """How long the event has been on and how late it was known, in words."""
    if event is None:
        return "nothing going on"
    return f"for {max(0.0, time - event.start):.1f} s, known after {event.delay:.1f} s"


def grid(time: float, seconds: float) -> Iterator[int]:
    """The whole seconds to mark on a strip that shows the last `seconds` before `time`: four or five of them."""
    step = max(1, round(seconds / 4))
    first = int(max(0.0, time - 0.97 * seconds) // step) + 1
    for second in range(first * step, int(time) + 1, step):
        if second <= time - 0.03 * seconds:
            yield second
