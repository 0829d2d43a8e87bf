"""What people see: the picture with its label, scores, recent past and vital signs drawn over it.

Pure drawing: a picture and a timeline go in, a new picture comes out. Every length follows from one text size, and
that from the picture's size, so that 320x180 and 4K look alike. No windows, no files, no clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import Lock

import cv2
import numpy as np

from stream.contracts import Event, Prediction, Status
from stream.views.drawing import BOLD, CAP, REGULAR, SEMIBOLD, Image, Pen, bar, mix, shade
from stream.views.palette import Colour, colours_of, ink_on
from stream.views.timeline import Timeline

WHITE: Colour = (250, 250, 250)
SOFT: Colour = (204, 200, 196)
FAINT: Colour = (160, 156, 152)
TRACK: Colour = (74, 70, 67)
GREEN: Colour = (140, 210, 110)
AMBER: Colour = (60, 180, 250)
RED: Colour = (90, 90, 245)


class Overlay:
    """Draws what a recogniser says over the picture it said it of. One overlay may serve several threads."""

    def __init__(self, labels: Sequence[str], none: str, model: str) -> None:
        """Makes an overlay for one bundle.

        Args:
            labels: the bundle's labels, in its order.
            none: which of them means that nothing happens.
            model: the bundle's name and digest, shown small.
        """
        self._names = {label: label.replace("_", " ") for label in labels}
        self._labels = tuple(labels)
        self._none = none
        self._model = model
        self._colours = dict(zip(labels, colours_of(labels, none), strict=True))
        self._pen = Pen()
        self._lock = Lock()  # around the pen

    def draw(self, bgr: Image, timeline: Timeline, camera: str, time: float) -> Image:
        """A copy of `bgr` (h, w, 3) with everything drawn on it; `time` is the picture's media time in seconds."""
        picture = np.ascontiguousarray(bgr).copy()
        if timeline.away is not None:  # what is seen is over
            picture = np.asarray(
                cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) // 2, cv2.COLOR_GRAY2BGR), np.uint8
            )
        size = text_size(*picture.shape[:2])
        with self._lock:
            bottom = self._draw_timeline(picture, timeline, time, size)
            right = self._draw_signs(picture, timeline, camera, time, size)
            if timeline.away is not None:
                self._draw_away(picture, timeline.away, size, right)
            elif timeline.latest is not None:
                self._draw_scores(picture, timeline.latest, timeline.current, time, size, right, bottom)
        return picture

    def _draw_scores(
        self, img: Image, latest: Prediction, current: Event | None, time: float, size: int, right: int, bottom: int
    ) -> None:
        """The panel at the top left, within `right` and `bottom`: the label, large, then a bar for every class."""
        edge = pad = round(0.8 * size)
        row, head = round(1.45 * size), round(4.6 * size)
        width = min(round(15 * size), right - 2 * edge)
        rows = self._rows_that_fit(latest, (bottom - 2 * edge - pad - head) // row)
        x0, x1 = edge + pad, edge + width - pad
        shade(img, edge, edge, edge + width, edge + head + row * len(rows) + (pad if rows else 0), size // 2)

        accent, ink = self._colours[latest.label], FAINT if latest.label == self._none else WHITE
        score, score_size = f"{latest.score:.0%}", round(1.4 * size)
        x = x0 + round(0.75 * size)
        room = x1 - x - self._pen.width(score, score_size, SEMIBOLD) - size // 2
        name_size = self._pen.fitting(self._names[latest.label], round(2.1 * size), BOLD, room)
        bar_height = round(3.1 * size)
        top = edge + pad + round(0.1 * size)
        cv2.rectangle(img, (x0, top), (x0 + max(2, size // 4), top + bar_height), accent, -1)
        baseline = top + round(CAP * 2.1 * size)
        self._pen.write(img, self._names[latest.label], x, baseline, name_size, BOLD, ink)
        self._pen.write(img, score, x1, baseline, score_size, SEMIBOLD, accent, "right")
        told = told_of(current, time)
        told_size = self._pen.fitting(told, size, REGULAR, x1 - x)
        self._pen.write(img, told, x, top + bar_height, told_size, REGULAR, SOFT)
        for place, label in enumerate(rows):
            self._draw_row(img, latest, label, x0, x1, edge + head + row * place, size)

    def _draw_row(self, img: Image, latest: Prediction, label: str, x0: int, x1: int, y: int, size: int) -> None:
        """One class: its name, its bar on a track, its score."""
        score = float(latest.scores[self._labels.index(label)])
        best = score == float(latest.scores.max())
        ink, weight = (WHITE, SEMIBOLD) if best else (SOFT, REGULAR)
        longest = max(self._pen.width(name, size, SEMIBOLD) for name in self._names.values())
        left = x0 + min(longest, round(0.4 * (x1 - x0))) + round(0.6 * size)
        right = x1 - round(2.8 * size)
        baseline, thick = y + size, max(3, round(0.5 * size))
        middle = baseline - round(CAP * size / 2)
        name_size = self._pen.fitting(self._names[label], size, weight, left - x0 - size // 3)
        self._pen.write(img, self._names[label], x0, baseline, name_size, weight, ink)
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

    def _draw_away(self, img: Image, status: Status, size: int, right: int) -> None:
        """In place of the scores, within `right`: that the camera is away, and why."""
        edge = pad = round(0.8 * size)
        x0, x1 = edge + pad, right - edge - pad
        shade(img, edge, edge, right - edge, edge + 2 * pad + round(3.4 * size), size // 2)
        head = round(2.1 * size)
        baseline = edge + pad + round(CAP * head)
        self._pen.write(
            img, status.health, x0, baseline, self._pen.fitting(status.health, head, BOLD, x1 - x0), BOLD, RED
        )
        reason_size = self._pen.fitting(status.reason, size, REGULAR, x1 - x0)
        self._pen.write(img, status.reason, x0, baseline + round(1.7 * size), reason_size, REGULAR, SOFT)

    def _draw_signs(self, img: Image, timeline: Timeline, camera: str, time: float, size: int) -> int:
        """The panel at the top right: camera, media time, latency, how it is, model; returns the x where it begins."""
        latest = timeline.latest
        state, state_ink = ("ready", GREEN) if latest is not None and latest.warm else ("warming up", AMBER)
        if timeline.away is not None:
            state, state_ink = timeline.away.health, RED
        latency = f"{latest.latency_ms:.0f} ms" if latest and latest.latency_ms is not None else "– ms"
        lines = (
            (camera, size, SEMIBOLD, WHITE),
            (clock(time), round(1.4 * size), REGULAR, WHITE),
            (latency, size, REGULAR, SOFT),
            (state, size, REGULAR, state_ink),
            (self._model, max(9, round(0.8 * size)), REGULAR, FAINT),
        )
        edge = pad = round(0.8 * size)
        widest = max(self._pen.width(text, line_size, weight) for text, line_size, weight, _ in lines)
        picture_width = int(img.shape[1])
        width = min(round(0.38 * picture_width), widest + 2 * pad)
        x1 = picture_width - edge
        height = sum(round(1.45 * line_size) for _, line_size, _, _ in lines) + 2 * pad - size // 2
        shade(img, x1 - width, edge, x1, edge + height, size // 2)
        y = edge + pad
        for text, line_size, weight, ink in lines:
            fitted = self._pen.fitting(text, line_size, weight, width - 2 * pad)
            self._pen.write(img, text, x1 - pad, y + round(0.85 * line_size), fitted, weight, ink, "right")
            y += round(1.45 * line_size)
        return x1 - width

    def _draw_timeline(self, img: Image, timeline: Timeline, time: float, size: int) -> int:
        """The strip along the bottom: how the scores went, what was on, when it was known; returns its upper y."""
        height, width = int(img.shape[0]), int(img.shape[1])
        edge, pad = round(0.8 * size), round(0.6 * size)
        rise, lane, legend = round(1.5 * size), round(1.4 * size), round(1.2 * size)
        y0 = height - edge - (2 * pad + rise + lane + legend)
        x0, x1 = edge + pad, width - edge - pad
        top = y0 + pad + rise
        shade(img, edge, y0, width - edge, height - edge, size // 2)
        self._draw_rise(img[y0 + pad : top - max(1, size // 6), x0:x1], timeline, time)
        cv2.rectangle(img, (x0, top), (x1, top + lane), TRACK, -1)

        def column(moment: float) -> int:
            return min(x1, max(x0, x1 - round((time - moment) / timeline.seconds * (x1 - x0))))

        for event in timeline.events:
            known = column(event.start + event.delay)
            end = column(time if event.end is None else event.end)
            self._draw_span(img, event, column(event.start), known, end, top, lane, size)
        for second in grid(time, timeline.seconds):
            x, mark_size = column(second), max(9, round(0.8 * size))
            self._pen.write(img, clock(second, 0), x, top + lane + legend, mark_size, REGULAR, FAINT, "centre")
        return y0

    def _draw_span(
        self, img: Image, event: Event, start: int, known: int, end: int, top: int, lane: int, size: int
    ) -> None:
        """One event on the lane: pale until it was known, full from there on, and a mark where it was told."""
        if end <= start:
            return
        colour = self._colours[event.label]
        cv2.rectangle(img, (start, top), (end, top + lane), mix(colour, TRACK, 0.45), -1)
        cv2.rectangle(img, (min(known, end), top), (end, top + lane), colour, -1)
        tip = max(2, size // 3)
        mark = np.array([(known - tip, top - tip), (known + tip, top - tip), (known, top + tip // 2)])
        cv2.fillPoly(img, [mark], WHITE, cv2.LINE_AA)
        name = self._names[event.label]
        if self._pen.width(name, size, SEMIBOLD) < end - known - size:
            baseline = top + lane // 2 + round(CAP * size / 2)
            self._pen.write(img, name, known + size // 2, baseline, size, SEMIBOLD, ink_on(colour))

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


def text_size(height: int, width: int) -> int:
    """The size in pixels of ordinary text on a picture of `height` x `width`; 10, still readable, at least."""
    return max(10, round(0.033 * min(height, 0.8 * width)))


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
