"""Which webcams this machine has, and how each can send. Captures nothing.

On Linux the kernel tells names, formats, sizes and rates (V4L2; structures and numbers are those of
linux/videodev2.h). On macOS and Windows FFmpeg tells the names.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import av.device

if sys.platform == "linux":
    import fcntl

SYSTEMS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
"""FFmpeg's capture format on each system."""

NODES = 64  # /dev/video0 to /dev/video63
CAPTURE, HAS_DEVICE_CAPS = 0x1, 0x80000000
DISCRETE = 1


@dataclass(frozen=True)
class Mode:
    """One way in which a webcam can send: pixels, frames a second, and the format's four letters ("MJPG", "YUYV")."""

    width: int
    height: int
    fps: float
    format: str


@dataclass(frozen=True)
class Webcam:
    """A webcam.

    Attributes:
        index: its number, as in `--source 0`.
        path: what the system calls it.
        name: what its maker calls it.
        modes: how it can send; empty where the system does not say.
    """

    index: int
    path: str
    name: str
    modes: tuple[Mode, ...] = ()


def list_webcams() -> list[Webcam]:
    """The webcams of this machine, by number; those that we may not open are left out. `modes` on Linux only."""
    if sys.platform == "linux":
        return _v4l2_webcams()
    if sys.platform not in SYSTEMS:
        return []
    devices = av.device.enumerate_input_devices(SYSTEMS[sys.platform])
    cameras = [device for device in devices if "video" in device.media_types]
    return [Webcam(index, camera.name, camera.description) for index, camera in enumerate(cameras)]


def _v4l2_webcams() -> list[Webcam]:
    """The devices that capture pictures. Opening each is how the kernel is asked; it disturbs nobody who films."""
    found = []
    for index in range(NODES):
        path = f"/dev/video{index}"
        with suppress(OSError):
            device = os.open(path, os.O_RDWR | os.O_NONBLOCK)
            try:
                if (name := _capture_name(device)) is not None:
                    found.append(Webcam(index, path, name, tuple(_modes(device))))
            finally:
                os.close(device)
    return found


def _ask(device: int, number: int, size: int, *fields: int) -> bytes | None:
    """What the driver makes of a structure of `size` bytes that begins with `fields`; None past the end of a list."""
    request = 0xC0000000 | size << 16 | ord("V") << 8 | number  # _IOWR('V', number, size)
    buffer = bytearray(struct.pack(f"={len(fields)}I", *fields).ljust(size, b"\0"))
    try:
        fcntl.ioctl(device, request, buffer)
    except OSError:
        return None
    return bytes(buffer)


def _capture_name(device: int) -> str | None:
    """The device's name where it captures video (a webcam has other nodes too, for metadata); VIDIOC_QUERYCAP."""
    size = 104
    buffer = bytearray(size)
    fcntl.ioctl(device, 0x80000000 | size << 16 | ord("V") << 8, buffer)  # _IOR('V', 0, v4l2_capability)
    capabilities, device_capabilities = struct.unpack_from("=II", buffer, 84)
    if not (device_capabilities if capabilities & HAS_DEVICE_CAPS else capabilities) & CAPTURE:
        return None
    return bytes(buffer[16:48]).partition(b"\0")[0].decode(errors="replace")


def _modes(device: int) -> Iterator[Mode]:
    """Every format, size and rate that the driver lists (VIDIOC_ENUM_FMT, _FRAMESIZES, _FRAMEINTERVALS).

    Of ranges, which few webcams have, only the largest size and the highest rate are told.
    """
    for format_index in range(64):
        if (format_ := _ask(device, 2, 64, format_index, CAPTURE)) is None:
            return
        (code,) = struct.unpack_from("=I", format_, 44)
        letters = code.to_bytes(4, "little").decode("ascii", errors="replace").strip()
        for size_index in range(256):
            if (size := _ask(device, 74, 44, size_index, code)) is None:
                break
            kind, *numbers = struct.unpack_from("=7I", size, 8)
            width, height = numbers[:2] if kind == DISCRETE else (numbers[1], numbers[4])
            for fps in _rates(device, code, width, height):
                yield Mode(width, height, fps, letters)
            if kind != DISCRETE:
                break


def _rates(device: int, code: int, width: int, height: int) -> Iterator[float]:
    """Frames a second that a format has at a size."""
    for index in range(64):
        if (interval := _ask(device, 75, 52, index, code, width, height)) is None:
            return
        kind, numerator, denominator = struct.unpack_from("=3I", interval, 16)
        yield round(denominator / numerator, 3) if numerator else 0.0
        if kind != DISCRETE:
            return
