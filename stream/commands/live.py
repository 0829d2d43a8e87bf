"""Runs an engine for a person in front of a terminal: Ctrl-C, the window, progress, and what the run came to."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import click

from stream.commands.terminal import Terminal
from stream.contracts import Source
from stream.engine import Engine
from stream.errors import DeviceError
from stream.sources import FileSource, PictureSource
from stream.summary import Summary
from stream.views.live import LiveSlot
from stream.views.overlay import Overlay
from stream.views.window import display_error, watch

STOPPING = (signal.SIGINT, signal.SIGTERM)
FORCE_S = 1.0  # after the first signal, from when on another one is meant as another


def run_engine(
    engine: Engine, terminal: Terminal, window: tuple[LiveSlot, Overlay] | None = None
) -> tuple[Summary, bool]:
    """What came of `engine`, and whether Ctrl-C ended it; that ends it cleanly, as does leaving the window.

    Args:
        engine: not run yet; it tells `terminal`.
        terminal: shown while it runs.
        window: the slot that the engine fills and the overlay to draw with; None for no window.

    Raises:
        Exception: what `Engine.run` raises.
    """
    with terminal, _stopped_by_signals(engine, terminal) as signals:
        summary = engine.run() if window is None else watch(engine, *window, on_lost=lambda: _tell_lost(terminal))
        return summary, bool(signals)


def _tell_lost(terminal: Terminal) -> None:
    """Says why the process is about to end, which nothing else can."""
    terminal.give_up()
    click.echo("actionstream: the display is gone, and the run is ended; --no-show needs no display", err=True)


@contextmanager
def _stopped_by_signals(engine: Engine, terminal: Terminal) -> Iterator[list[int]]:
    """The signals that came so far: the first Ctrl-C (or SIGTERM) inside stops the engine, a later one the process.

    Later by `FORCE_S`: `timeout -s INT` and a supervisor signal a process and its group, which are two of one wish.
    """
    came: list[int] = []
    first_at = 0.0

    def stop(number: int) -> None:
        nonlocal first_at
        if not came:
            first_at = time.monotonic()
        elif time.monotonic() - first_at >= FORCE_S:
            terminal.give_up()
            os._exit(128 + number)
        came.append(number)
        engine.stop()

    def listen() -> None:
        while number := listening.recv(1):
            if number[0] in STOPPING:
                stop(number[0])

    # Python calls handlers in the main thread, which may stand in a window's call: for as long as the X server does.
    telling, listening = socket.socketpair()
    telling.setblocking(False)
    listener = Thread(target=listen, name="signals", daemon=True)
    listener.start()
    before = {number: signal.signal(number, lambda *_: None) for number in STOPPING}
    wakeup = signal.set_wakeup_fd(telling.fileno(), warn_on_full_buffer=False)
    try:
        yield came
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        telling.close()
        listener.join()
        listening.close()


def wants_window(show: bool | None, *, lasting: bool) -> bool:
    """Whether to open a window: what was asked for; where nothing was, whether a person could see it and has the time.

    Args:
        show: what was asked for.
        lasting: whether the video takes its time; a file that is read as fast as it goes does not.

    Raises:
        DeviceError: a window was asked for and cannot be.
    """
    if show is False or (show is None and not lasting):
        return False
    reason = display_error()
    if show and reason:
        raise DeviceError(reason)
    return reason is None


def media_length(source: Source, duration: float | None) -> float | None:
    """Media seconds that a run over `source` will take in; None where nobody can know."""
    length = source.length() if isinstance(source, FileSource | PictureSource) else None
    return min(length, duration) if length and duration else length or duration


def told(summary: Summary) -> dict[str, str]:
    """The run in words, by topic; an error's words where a camera ended early, or never gave a frame."""
    cameras = summary.cameras.values()
    frames, ticks, dropped = (sum(getattr(c, name) for c in cameras) for name in ("frames", "ticks", "dropped"))
    media = max((camera.media_s for camera in cameras), default=0.0)
    p50, p95, highest = summary.latency_ms
    queued = "" if summary.paced else " (as fast as it goes: waiting in the queue included)"
    rows = {
        "frames": f"{frames} decoded, {ticks} of them ticks, {dropped} dropped",
        "events": str(summary.events),
        "latency": f"p50 {p50:.1f} ms, p95 {p95:.1f} ms, at most {highest:.1f} ms{queued}",
        "time": f"{summary.wall_s:.1f} s for {media:.1f} s of video",
    }
    if corrupt := sum(camera.corrupt for camera in cameras):
        rows["damaged"] = f"{corrupt} packets, passed over"
    if skipped := sum(camera.skipped for camera in cameras):
        rows["left out"] = f"{skipped} pictures, not decoded: decoding did not keep up with the cameras"
    if faults := sum(camera.faults for camera in cameras):
        rows["faults"] = f"{faults} ticks without usable numbers, taken for none"
    if summary.overloaded_s:
        rows["overload"] = f"for {summary.overloaded_s:.1f} s the cameras were more than this machine keeps up with"
    if summary.undelivered:
        rows["undelivered"] = f"{summary.undelivered} results, an output fell behind"
    if summary.unsaved:
        rows["unsaved"] = f"{summary.unsaved} frames, the video fell behind"
    if reopened := sum(camera.reopened for camera in cameras):
        rows["reopened"] = f"{reopened} times"
    if errors := [camera.error for camera in cameras if camera.error and not camera.frames]:
        rows["not reached"] = "; ".join(errors)
    if errors := [camera.error for camera in cameras if camera.error and camera.frames]:
        rows["ended early"] = "; ".join(errors)
    return rows
