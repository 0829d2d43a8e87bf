"""Cuts clips out of a source and writes them: whole files or none, never one over another. No option is read here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import cv2
from av.error import FFmpegError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from stream.contracts import Frame
from stream.errors import SinkError
from stream.geometry import to_bgr
from stream.sinks.video import Mp4Writer
from stream.views.drawing import Image
from stream.views.window import QUIT_KEYS, Window, pressed_key

SEQUENCE = re.compile(r"(?i)(?<![a-z])seq(\d+)")
"""How a clip's name says in which sequence it was recorded; training never divides one."""

Watcher = Callable[[Frame, str, float], None]
"""Is told of each frame, what is going on ("in 2 s", "recording") and how far the clip is (0-1)."""


class Stop(Exception):
    """The person at the window has had enough."""


def record_clips(
    frames: Iterator[Frame], folder: Path, label: str, count: int, seconds: float, countdown: float, watch: Watcher
) -> Iterator[Path]:
    """The clips, each as soon as it is written; fewer than `count` where `frames` end before.

    They are one sequence, `LABEL_seqNN_001.mp4` and so on: NN is one above the sequences of all labels beside `folder`.
    A clip that a reconnect or another resolution interrupts is thrown away and taken again.

    Raises:
        SourceError: as `frames` raises it; what was yielded before is there.
        SinkError: a clip could not be written.
    """
    written, name = 0, f"{label}_seq{_next_sequence(folder.parent):02}"
    while written < count and (first := _after(frames, countdown, watch)) is not None:
        with _new_file(folder, name) as path:
            outcome = _write_clip(path, chain([first], frames), seconds, watch)
            if not outcome:
                path.unlink()
        if outcome is None:
            return
        if outcome:
            written += 1
            yield path


def _after(frames: Iterator[Frame], countdown: float, watch: Watcher) -> Frame | None:
    """The first frame that comes `countdown` media seconds after the next one; None where there are no more."""
    begin = None
    for frame in frames:
        if begin is None or frame.session != begin[0]:
            begin = frame.session, frame.time + countdown
        left = begin[1] - frame.time
        if left <= 0:
            return frame
        watch(frame, f"in {left:.0f} s" if left >= 0.5 else "now", 0.0)
    return None


def _write_clip(path: Path, frames: Iterator[Frame], seconds: float, watch: Watcher) -> bool | None:
    """True for a whole clip, False for one that was interrupted, None for one that the end of `frames` cut short."""
    writer: Mp4Writer | None = None
    try:
        first = None
        for frame in frames:
            first = first or frame
            passed = frame.time - first.time
            if frame.session != first.session:
                return False
            if passed >= seconds:
                return True
            picture = _even(to_bgr(frame.picture))
            if writer is None:
                writer = Mp4Writer(path, *picture.shape[:2])
            writer.write(picture, passed)
            watch(frame, "recording", passed / seconds)
        return None
    except FFmpegError as error:
        raise SinkError(f"cannot write {path}: {error.strerror}; is the disk full?") from error
    finally:
        if writer is not None:
            writer.close()


def _next_sequence(classes: Path) -> int:
    """One above every sequence in the class folders of `classes`; 1 where there is none."""
    found = (SEQUENCE.search(path.name) for path in classes.glob("*/*"))
    return max((int(sequence[1]) for sequence in found if sequence), default=0) + 1


@contextmanager
def _new_file(folder: Path, name: str) -> Iterator[Path]:
    """A file of its own, one number above those of that name; gone again if the block raises."""
    pattern = re.compile(re.escape(name) + r"_(\d+)\.mp4")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = [int(found[1]) for path in folder.iterdir() if (found := pattern.fullmatch(path.name))]
        path = folder / f"{name}_{max(taken, default=0) + 1:03}.mp4"
        path.touch(exist_ok=False)
    except OSError as error:
        raise SinkError(f"cannot write into {folder}: {error.strerror}; name a writable folder with --out") from error
    try:
        yield path
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _even(picture: Image) -> Image:
    height, width = picture.shape[:2]
    return picture[: height // 2 * 2, : width // 2 * 2]


class Preview:
    """Shows what is recorded: a line in the terminal and, where there is one, a window."""

    def __init__(self, console: Console, label: str, window: Window | None) -> None:
        columns = (TextColumn("{task.description}", markup=False), BarColumn(24))
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._progress.add_task(f"{label}  opening", total=1.0)
        self._label = label
        self._window = window

    def __enter__(self) -> Preview:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
        if self._window is not None:
            self._window.destroy()

    def __call__(self, frame: Frame, state: str, share: float) -> None:
        """Shows one frame.

        Raises:
            Stop: q or Esc was pressed in the window, or it was closed.
        """
        self._progress.update(self._task, description=f"{self._label}  {state}", completed=share)
        if self._window is None:
            return
        self._window.show(_captioned(frame, self._label, state))
        if pressed_key() in QUIT_KEYS or self._window.closed:
            raise Stop


def _captioned(frame: Frame, label: str, state: str) -> Image:
    picture = to_bgr(frame.picture).copy()
    size = picture.shape[0] / 480
    colour = (60, 60, 240) if state == "recording" else (250, 250, 250)
    text, corner = f"{label}: {state}", (round(16 * size), round(40 * size))
    for ink, thickness in ((0, 0, 0), 6), (colour, 2):
        cv2.putText(
            picture, text, corner, cv2.FONT_HERSHEY_SIMPLEX, size, ink, max(1, round(thickness * size)), cv2.LINE_AA
        )
    return picture
