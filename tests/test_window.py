"""The window on a real X server (Xvfb), worked with real keys; and displays that are not there, found in time."""

from __future__ import annotations

import ctypes
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stream.commands.live import FORCE_S
from stream.contracts import Frame, Picture, Status
from stream.views.live import LiveSlot
from stream.views.palette import colours_of
from stream.views.window import display_error, first_size
from tests.graphs import LABELS, make_bundle
from tests.media import encode_h264, moving_pictures
from tests.process import ended, start, x_server
from tests.running import wait_until
from tests.test_overlay import event, prediction

ROOT = Path(__file__).parent.parent
MISSING = [tool for tool in ("Xvfb", "xdotool") if shutil.which(tool) is None]
needs_x = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
on_x11 = pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="only X11 has a DISPLAY")


@pytest.fixture
def display(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A fresh X server's name, also as DISPLAY."""
    with x_server() as name:
        monkeypatch.setenv("DISPLAY", name)
        yield name


def xdotool(*arguments: str) -> str:
    return subprocess.run(["xdotool", *arguments], capture_output=True, text=True, check=False).stdout.strip()


def window_of(child: subprocess.Popen[str]) -> str:
    """The id of the window called hall, once it is there."""
    deadline = time.monotonic() + 30
    while not (found := xdotool("search", "--name", "^hall$")):
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < deadline, "no window came"
        time.sleep(0.05)
    return found.splitlines()[-1]


GRAB = """
import sys, av
with av.open(sys.argv[1], format="x11grab", options={"video_size": "800x600", "framerate": "10"}) as container:
    sys.stdout.buffer.write(next(container.decode(video=0)).to_ndarray(format="bgr24").tobytes())
"""


def screenshot(display: str) -> NDArray[np.uint8]:
    """The screen, (600, 800, 3) BGR; from a process of its own: PyAV and OpenCV bring two libraries of X."""
    grabbed = subprocess.run([sys.executable, "-c", GRAB, display], capture_output=True, check=True, timeout=60)
    return np.frombuffer(grabbed.stdout, np.uint8).reshape(600, 800, 3)


def ask_to_close(window: int) -> None:
    """What a window manager sends when a person clicks on the window's x."""

    class ClientMessage(ctypes.Structure):
        _fields_ = (
            ("type", ctypes.c_int),
            ("serial", ctypes.c_ulong),
            ("sent", ctypes.c_int),
            ("display", ctypes.c_void_p),
            ("window", ctypes.c_ulong),
            ("message", ctypes.c_ulong),
            ("format", ctypes.c_int),
            ("data", ctypes.c_long * 5),
            ("rest", ctypes.c_long * 24),
        )

    x = ctypes.CDLL("libX11.so.6")
    x.XOpenDisplay.restype = ctypes.c_void_p
    x.XInternAtom.restype = ctypes.c_ulong
    display = ctypes.c_void_p(x.XOpenDisplay(None))
    message = ClientMessage(33, 0, 1, display, window, x.XInternAtom(display, b"WM_PROTOCOLS", 0), 32)
    message.data[0] = x.XInternAtom(display, b"WM_DELETE_WINDOW", 0)
    x.XSendEvent(display, ctypes.c_ulong(window), 0, ctypes.c_long(0), ctypes.byref(message))
    x.XCloseDisplay(display)


@pytest.mark.system
@needs_x
@pytest.mark.parametrize("way", ["q", "Escape", "close"])
def test_a_window_shows_the_overlay_and_ends_when_asked(display: str, way: str, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "tiny", golden=False, labels=LABELS).folder
    clip = encode_h264(moving_pictures(50, 320, 240), tmp_path / "clip.mp4")
    command = [sys.executable, "-m", "tests.window_child", str(bundle), str(clip)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with ended(process) as child:
        window = window_of(child)
        assert display_error() is None
        deadline = time.monotonic() + 20
        colours = np.array(colours_of(LABELS, "none"))
        while not (screenshot(display)[:, :, None] == colours).all(axis=3).any():  # a label's colour is on the screen
            assert time.monotonic() < deadline, "no overlay came"
        if way == "close":
            ask_to_close(int(window))
        else:
            xdotool("windowfocus", window, "key", way)
        out, errors = child.communicate(timeout=30)
    assert child.returncode == 0, errors
    assert int(out) > 0


@pytest.mark.system
@needs_x
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere OpenCV draws without Qt")
def test_a_display_that_goes_away_ends_the_run_in_order(
    walk_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Qt calls exit() then, which tears ONNX Runtime down under the running engine."""
    bundle = make_bundle(tmp_path / "tiny", golden=False).folder
    video, labels, cameras = tmp_path / "out.mp4", tmp_path / "labels.jsonl", tmp_path / "cameras.toml"
    cameras.write_text(f"[[camera]]\nname = 'hall'\nurl = '{walk_clip}'\nloop = true\n")
    with ExitStack() as screen:
        monkeypatch.setenv("DISPLAY", name := screen.enter_context(x_server()))
        outputs = ("--save", video, "--labels", labels)
        process = start("watch", cameras, "--model", bundle, "--realtime", "--show", *outputs, DISPLAY=name)
        with ended(process) as child:
            window_of(child)
            wait_until(lambda: labels.stat().st_size > 1000 or child.poll() is not None)
            screen.close()
            _, errors = child.communicate(timeout=30)
    assert child.returncode == 1, errors
    assert errors.splitlines()[-1].startswith("actionstream: the display is gone, and the run is ended")
    assert video.exists() and not list(tmp_path.glob("*.part.mp4"))


@contextmanager
def grabbed_server() -> Iterator[None]:
    """The X server answers nobody meanwhile, as one behind an ssh -X that lost its network."""
    x = ctypes.CDLL("libX11.so.6")
    x.XOpenDisplay.restype = ctypes.c_void_p
    display = ctypes.c_void_p(x.XOpenDisplay(None))
    x.XGrabServer(display)
    x.XSync(display, 0)
    try:
        yield
    finally:
        x.XCloseDisplay(display)


@pytest.mark.system
@needs_x
def test_ctrl_c_ends_a_run_whose_display_does_not_answer(display: str, walk_clip: Path, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "tiny", golden=False).folder
    video, cameras = tmp_path / "out.mp4", tmp_path / "cameras.toml"
    cameras.write_text(f"[[camera]]\nname = 'hall'\nurl = '{walk_clip}'\nloop = true\n")
    options = ("--realtime", "--show", "--save", video)
    with ended(start("watch", cameras, "--model", bundle, *options, DISPLAY=display)) as child:
        window_of(child)
        with grabbed_server():
            time.sleep(0.5)  # frames come 25 a second: by now it waits for the server
            child.send_signal(signal.SIGINT)
            wait_until(video.exists)
            time.sleep(FORCE_S)
            child.send_signal(signal.SIGINT)
            assert child.wait(10) == 130
            child.communicate()


SHAPES = """
import sys, time
import cv2, numpy as np
from stream.views.window import Window, display_error, pressed_key
assert display_error() is None
window = Window("hall")
for height, width in ((240, 320), (480, 640), (480, 270), (180, 640)):
    until = time.monotonic() + 20
    while time.monotonic() < until:
        window.show(np.zeros((height, width, 3), np.uint8))
        pressed_key()
        shown = cv2.getWindowImageRect("hall")[2:]
        if abs(shown[0] / shown[1] * height / width - 1) < 0.05:
            break
        time.sleep(0.02)
    else:
        sys.exit(f"a picture of {width}x{height} is shown as {shown}")
"""


@pytest.mark.system
@needs_x
@pytest.mark.usefixtures("display")
def test_a_camera_that_changes_its_proportions_is_not_shown_distorted() -> None:
    done = subprocess.run([sys.executable, "-c", SHAPES], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@on_x11
@pytest.mark.parametrize(
    ("display", "reason"),
    [
        ("", "there is no display: DISPLAY is not set"),
        ("nonsense", "DISPLAY: expected host:number, got 'nonsense'"),
        (":4093", "display :4093 cannot be reached"),
        ("127.0.0.1:{}", "cannot be reached: "),
    ],
)
def test_a_display_that_is_not_there_is_one_line(display: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:  # bound but not listening: it refuses
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("DISPLAY", display.format(unused.getsockname()[1] - 6000))
        monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
        error = display_error()
    assert error is not None and reason in error and "--no-show" in error + "--no-show" * (display == "nonsense")
    assert "\n" not in error


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [(426, 820, (820, 426)), (160, 320, (640, 320)), (1200, 2400, (1600, 800)), (2000, 1500, (675, 900))],
)
def test_a_new_window_fits_the_screen_and_keeps_the_shape(height: int, width: int, size: tuple[int, int]) -> None:
    assert first_size(height, width) == size


def test_a_viewer_sees_the_newest_only() -> None:
    slot = LiveSlot()
    assert slot.take(timeout=0) == []
    picture = Picture((np.zeros((4, 4, 3), np.uint8),), "bgr")
    for index in range(5):
        slot.frame(Frame("hall", index, 0, index / 10, 0.0, picture))
        slot.told(prediction(index / 10, "wave"), (event("wave", 0.0),) if index == 2 else ())
    slot.frame(Frame("yard", 0, 0, 0.0, 0.0, picture))
    seen = {frame.camera: (frame, timeline) for frame, timeline in slot.take(timeout=0)}
    assert seen["hall"][0].index == 4
    assert [p.index for p in seen["hall"][1].predictions] == [0, 1, 2, 3, 4]
    assert [e.label for e in seen["hall"][1].events] == ["wave"]
    assert seen["yard"][1].latest is None
    assert slot.take(timeout=0) == []


def test_a_viewer_sees_that_a_camera_went_away() -> None:
    slot = LiveSlot()
    picture = Picture((np.zeros((4, 4, 3), np.uint8),), "bgr")
    for track in ("gate/left", "gate/door", "gatehouse"):
        slot.frame(Frame(track, 0, 0, 0.0, 0.0, picture))
    slot.take(timeout=0)
    slot.status(Status("gate", 0, "offline", "the camera ended the stream", 0.1))
    seen = {frame.camera: timeline for frame, timeline in slot.take(timeout=0)}
    assert {track: timeline.away and timeline.away.health for track, timeline in seen.items()} == {
        "gate/left": "offline",
        "gate/door": "offline",
    }
    slot.status(Status("gate", 1, "online", "", 2.0))
    assert [timeline.away for _, timeline in slot.take(timeout=0)] == [None, None]
