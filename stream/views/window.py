"""Windows on this machine's screen: whether there is a screen at all, and an engine watched live.

OpenCV aborts the process at the first window where there is no display, so `display_error` is asked before. Windows
belong to the main thread; the engine runs beside it.
"""

from __future__ import annotations

import ctypes
import math
import os
import re
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from threading import Thread

import cv2

from stream.engine import Engine
from stream.geometry import to_bgr
from stream.summary import Summary
from stream.views.drawing import Image
from stream.views.live import LiveSlot
from stream.views.overlay import Overlay

QUIT_KEYS = {ord("q"), ord("Q"), 27}  # 27: Esc
CONNECT_S = 2.0
LARGEST = (1600, 900)
"""Width and height of a new window, at most; a person may make it larger."""


def display_error() -> str | None:
    """Why no window can be shown here, in one line; None where one can."""
    try:
        if not cv2.currentUIFramework():
            return "this OpenCV was built without windows (opencv-python-headless?); install opencv-python"
    except cv2.error:
        return "this OpenCV was built without windows (opencv-python-headless?); install opencv-python"
    if sys.platform in ("darwin", "win32") or os.environ.get("QT_QPA_PLATFORM") in ("offscreen", "minimal"):
        return None
    display = os.environ.get("DISPLAY", "")
    if not display:
        hint = "; opencv-python needs X11: install xwayland" if os.environ.get("WAYLAND_DISPLAY") else ""
        return f"there is no display: DISPLAY is not set{hint}; run in a desktop session, or use --no-show"
    return _x11_error(display)


def _x11_error(display: str) -> str | None:
    """Why libxcb, which the window will use, cannot open the X server that `display` names; None where it can."""
    parts = re.fullmatch(r"(?P<host>.*):(?P<number>\d+)(?:\.\d+)?", display)
    if parts is None:
        return f"DISPLAY: expected host:number, got {display!r}"
    if parts["host"] and not parts["host"].startswith(("/", "unix")):
        # libxcb would wait for minutes for a machine that does not answer.
        try:
            socket.create_connection((parts["host"], 6000 + int(parts["number"])), CONNECT_S).close()
        except OSError as error:
            return f"display {display} cannot be reached: {error}; start it, or use --no-show"
    try:
        xcb = ctypes.CDLL("libxcb.so.1")
    except OSError:
        return "libxcb.so.1 is missing, windows need it; install the system package libxcb1"
    xcb.xcb_connect.restype = ctypes.c_void_p
    xcb.xcb_connection_has_error.argtypes = xcb.xcb_disconnect.argtypes = [ctypes.c_void_p]
    connection = xcb.xcb_connect(display.encode(), None)
    if xcb.xcb_connection_has_error(connection):
        xcb.xcb_disconnect(connection)
        return f"display {display} cannot be reached (no server, or no access); start it, or use --no-show"
    # Left open: a bare X server starts over when its last client leaves, and would turn the window away meanwhile.
    return None


class Window:
    """A window that a person may resize or close. Main thread only; ask `display_error` first."""

    def __init__(self, title: str) -> None:
        """Nothing is on the screen until the first `show`."""
        self.title = title
        self._shown = False
        self._ratio = 0.0  # of width to height, as shown

    def show(self, bgr: Image) -> None:
        """Puts a picture (h, w, 3) into the window; one that was closed stays closed."""
        if self.closed:
            return
        if not self._shown:
            _give_events_to_qt()
            cv2.namedWindow(self.title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
            self._shown = True
        height, width = bgr.shape[:2]
        if not math.isclose(width / height, self._ratio, rel_tol=0.03):
            # The first, or the camera went from 4:3 to 16:9: what OpenCV keeps is the ratio of the first picture.
            cv2.resizeWindow(self.title, *first_size(height, width))
            self._ratio = width / height
        cv2.imshow(self.title, bgr)

    @property
    def closed(self) -> bool:
        """True once the person closed it."""
        if not self._shown:
            return False
        try:
            return cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) < 1
        except cv2.error:  # Qt itself ends with its last window
            return True

    def destroy(self) -> None:
        """Takes it off the screen."""
        if self._shown and not self.closed:
            cv2.destroyWindow(self.title)


def _give_events_to_qt() -> None:
    """Lets Qt's XSetEventQueueOwner be the one of this system's libX11; call it before the first window.

    opencv-python brings a libX11-xcb of its own, which writes the owner where another version of libX11 kept it. Xlib
    then takes events away from Qt whenever Qt sets a title: on a busy machine one window in four never heard that it
    was on the screen, and stayed black. A library that is loaded globally before Qt's plugin is found first.
    """
    with suppress(OSError):  # not X11, or no such library: Qt takes opencv-python's
        ctypes.CDLL("libX11-xcb.so.1", mode=ctypes.RTLD_GLOBAL)


def first_size(height: int, width: int) -> tuple[int, int]:
    """Width and height of a new window for a picture: a tiny one is shown larger, a large one within `LARGEST`."""
    scale = min(max(1.0, 640 / width), LARGEST[0] / width, LARGEST[1] / height)  # or its column were off the screen
    return round(width * scale), round(height * scale)


def pressed_key() -> int | None:
    """The key pressed since the last call, or None; lets windows redraw, so call it often."""
    key = cv2.pollKey()
    return None if key == -1 else key & 0xFF


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


@contextmanager
def _before_exit(act: Callable[[], object]) -> Iterator[None]:
    """Has `act` called where C code ends the process meanwhile, as Qt does from any call once its display is gone.

    It is called in the midst of that call, and nothing leads back to Python's own frames from there. The last to be
    registered is the first to be called: enter it anew for each call, or what ONNX Runtime and FFmpeg set up since is
    already torn down.
    """
    if sys.platform != "linux":
        yield
        return
    libc, is_over = _libc(), False
    handler = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: is_over or act())
    mine = ctypes.create_string_buffer(1)
    # Not `atexit`, which cannot be taken back: it would call into a Python that has ended.
    libc.__cxa_atexit(handler, None, mine)
    try:
        yield
    finally:
        is_over = True
        libc.__cxa_finalize(mine)  # takes it off the list, and calls it


def watch(engine: Engine, slot: LiveSlot, overlay: Overlay, *, on_lost: Callable[[], object] = lambda: None) -> Summary:
    """Runs `engine` in a thread and shows a window a camera until it ends, or a person closes one or presses q or Esc.

    Where the display goes away, `engine` is stopped, events ended and sinks closed, and then the process ends with 1.

    Args:
        engine: made with `on_frame=slot.frame, on_prediction=slot.told, on_status=slot.status`.
        slot: where the engine puts what is to be seen.
        overlay: draws.
        on_lost: called before the process ends because the display went away.

    Raises:
        Exception: what `Engine.run` raised.
    """
    outcome: list[Summary | BaseException] = []

    def run() -> None:
        try:
            outcome.append(engine.run())
        except BaseException as error:  # noqa: BLE001  raised in the main thread below
            outcome.append(error)

    def lose() -> None:
        engine.stop()
        runner.join()
        on_lost()
        os._exit(1)

    runner = Thread(target=run, name="engine")
    windows: dict[str, Window] = {}
    runner.start()
    try:
        while runner.is_alive():
            frames = slot.take(timeout=0.02)
            with _before_exit(lose):
                for frame, timeline in frames:
                    window = windows.setdefault(frame.camera, Window(frame.camera))
                    window.show(overlay.draw(to_bgr(frame.picture), timeline, frame.camera, frame.time))
                if pressed_key() in QUIT_KEYS or any(window.closed for window in windows.values()):
                    break
    finally:
        engine.stop()
        runner.join()
        for window in windows.values():
            window.destroy()
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]
