"""Odd media, made on the spot: each a file that somebody's recorder, phone or cut cable really leaves. No test here.

`ODD` lists them: a name, how to make the file, and what comes of reading it: frames, or one line that says why not.
"""

from __future__ import annotations

import struct
import wave
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from tests.media import encode, encode_h264, moving_pictures

TS_PACKET = 188
CLOCK = 90_000  # of MPEG-TS, ticks a second
RATE = 25
IDENTITY = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
TURNS = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1), -90: (0, -1)}  # degrees clockwise: cosine, sine
SIZES = ((64, 48), (160, 120), (64, 48), (48, 64))
QUIET = {"preset": "veryfast", "x265-params": "log-level=none"}


@dataclass(frozen=True)
class Odd:
    """An odd file.

    Attributes:
        name: of the file.
        make: writes it to the path that it is given, whose folder is there.
        least: frames that come of it; 20 at most.
        says: words of the line that is said where none come.
    """

    name: str
    make: Callable[[Path], object]
    least: int = 20
    says: str = ""


def small(count: int = 20, width: int = 64, height: int = 48) -> list[NDArray[np.uint8]]:
    """Pictures for a clip that is read in no time."""
    return moving_pictures(count, width, height)


def raw(path: Path, pix_fmt: str, width: int = 64, height: int = 48) -> Path:
    """Uncompressed pictures in any pixel format that swscale writes, and any size."""
    flat = np.full((height, width, 3), (180, 60, 120), np.uint8)
    pictures = small(20, width, height) if min(width, height) > 24 else [flat] * 20
    return encode(pictures, path, codec="rawvideo", pix_fmt=pix_fmt)


def compressed(
    path: Path, codec: str, pix_fmt: str = "yuv420p", b_frames: int = 0, options: Mapping[str, str] = {}
) -> Path:
    """A clip in some codec; `options` are the encoder's."""
    return encode(small(), path, codec=codec, pix_fmt=pix_fmt, b_frames=b_frames, options={**QUIET, **options})


def with_palette(path: Path) -> Path:
    """Pictures of 256 colours, each pixel the number of one."""
    colours = np.random.default_rng(0).integers(0, 255, (256, 4)).astype(np.uint8)
    with av.open(path, "w") as out:
        stream = out.add_stream("png", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "pal8"
        for number in range(20):
            numbers = np.roll(np.arange(48 * 64, dtype=np.uint8).reshape(48, 64), number, axis=1)
            frame = av.VideoFrame.from_ndarray((numbers, colours), format="pal8")  # type: ignore[arg-type]
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def retimed(path: Path, change: Callable[[int, int], int | None], count: int = 20) -> Path:
    """An MPEG-TS clip of so many pictures, 25 a second, whose presentation times (90 kHz) are rewritten.

    Args:
        path: where to.
        change: the number of a picture and its time to the time that is stored; None removes it.
        count: of pictures.
    """
    encode_h264(small(count), path, fps=RATE)
    data = bytearray(path.read_bytes())
    number = 0
    for start in range(0, len(data), TS_PACKET):
        payload = start + 4 + (1 + data[start + 4] if data[start + 3] & 0x20 else 0)
        begins = data[start + 1] & 0x40 and data[payload : payload + 3] == b"\0\0\1"
        if not begins or data[payload + 3] & 0xF0 != 0xE0:
            continue
        assert data[payload + 7] >> 6 == 2, "expected a presentation time and no decoding time"
        field = slice(payload + 9, payload + 14)
        time = change(number, _time(bytes(data[field])))
        number += 1
        if time is None:
            data[payload + 7] &= 0x3F
        data[field] = bytes([0xFF] * 5) if time is None else _field(time)
    assert number == count
    path.write_bytes(data)
    return path


def _time(field: bytes) -> int:
    """The time in the five bytes of a PES header (ISO/IEC 13818-1, 2.4.3.6)."""
    return (field[0] >> 1 & 7) << 30 | field[1] << 22 | field[2] >> 1 << 15 | field[3] << 7 | field[4] >> 1


def _field(time: int) -> bytes:
    """`time` as those five bytes."""
    parts = 0x20 | (time >> 30 & 7) << 1 | 1, (time >> 15 & 0x7FFF) << 1 | 1, (time & 0x7FFF) << 1 | 1
    return struct.pack(">BHH", *parts)


def turned(path: Path, degrees: int, width: int = 160, height: int = 96) -> Path:
    """A phone's file: its pictures lie on their side, and a matrix in the header says how to turn them (clockwise)."""
    encode_h264(small(20, width, height), path)
    cosine, sine = (value << 16 for value in TURNS[degrees])
    matrix = struct.pack(">9i", cosine, sine, 0, -sine, cosine, 0, 0, 0, 1 << 30)
    data = path.read_bytes()
    at = data.index(IDENTITY, data.index(b"tkhd"))
    path.write_bytes(data[:at] + matrix + data[at + len(matrix) :])
    return path


def joined(path: Path, sizes: Sequence[tuple[int, int]]) -> Path:
    """Clips of different (width, height) one after the other, as a camera sends them whose resolution is changed."""
    parts = [encode_h264(small(5, *size), path.with_suffix(f".{n}{path.suffix}")) for n, size in enumerate(sizes)]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def cut(path: Path, share: float) -> None:
    """A recording of 20 pictures of which only the first part was kept."""
    encode_h264(small(), path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def with_noise(path: Path, at: float) -> None:
    """MPEG-TS with noise in it, of a length that throws off its packets."""
    data = encode_h264(small(), path).read_bytes()
    place = int(len(data) * at)
    path.write_bytes(data[:place] + np.random.default_rng(5).bytes(1000) + data[place:])


def copied(source: Path, out: Path, first: int = 0, **options: str) -> None:
    """The packets of `source` from number `first` on, in another file."""
    with av.open(source) as given, av.open(out, "w", options=options) as container:
        stream = container.add_stream_from_template(given.streams.video[0])
        for number, packet in enumerate(given.demux(video=0)):
            if packet.dts is not None and number >= first:
                packet.stream = stream
                container.mux(packet)


def _joined_late(path: Path) -> None:
    """A recording that begins in the middle of a group of 12 pictures."""
    copied(encode_h264(small(25), path.with_suffix(".whole.ts"), gop=12), path, first=5)


def _downloaded_in_part(path: Path) -> None:
    """An mp4 with its index in front, whose download was cut off."""
    copied(encode_h264(small(), path.with_suffix(".whole.mp4")), path, movflags="faststart")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.8)])


def _with_wrong_duration(path: Path) -> None:
    """A Matroska file that says to last a million seconds."""
    data = bytearray(encode_h264(small(), path).read_bytes())
    struct.pack_into(">d", data, data.index(b"\x44\x89\x88") + 3, 1e9)
    path.write_bytes(data)


def _with_edit_list(path: Path) -> None:
    """A QuickTime film of 20 pictures whose edit list begins with the sixth."""
    data = bytearray(encode_h264(small(), path).read_bytes())
    (scale,) = struct.unpack_from(">I", data, data.index(b"mdhd") + 16)
    struct.pack_into(">i", data, data.index(b"elst") + 16, scale * 5 // RATE)
    path.write_bytes(data)


def _with_subtitles_first(path: Path) -> None:
    """Stream 0 is text."""
    text = path.with_suffix(".srt")
    text.write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n")
    film = encode_h264(small(), path.with_suffix(".film.mkv"))
    with av.open(text) as words, av.open(film) as pictures, av.open(path, "w") as out:
        given = (words, pictures)
        streams = [out.add_stream_from_template(each.streams[0]) for each in given]
        for source, stream in zip(given, streams, strict=True):
            for packet in source.demux():
                if packet.dts is not None:
                    packet.stream = stream
                    out.mux(packet)


def _audio(path: Path) -> None:
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(bytes(8000))


def _audio_in_mp4(path: Path) -> None:
    with av.open(path, "w") as out:
        stream = out.add_stream("aac", rate=8000, layout="mono")
        for number in range(8):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 8000, number * 1024, Fraction(1, 8000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def _still(path: Path) -> None:
    """A picture whose name says that it is a video."""
    encode(small(1), path.with_suffix(".png"), codec="png", pix_fmt="rgb24").rename(path)


def _large(path: Path) -> None:
    """One picture of 38 million pixels."""
    with av.open(path, "w") as out:
        stream = out.add_stream("mjpeg", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 8192, 4608, "yuvj420p"
        out.mux(stream.encode(av.VideoFrame(8192, 4608, "yuvj420p")))
        out.mux(stream.encode())


def _uneven(path: Path) -> None:
    steps = np.random.default_rng(2).choice([0.01, 0.04, 0.1, 0.3], 20)
    encode(small(), path, times=np.cumsum(steps).tolist())


TIMES = [
    Odd("uneven.mkv", _uneven),
    Odd("seven.mp4", lambda path: encode_h264(small(), path, fps=7)),
    Odd("sixty.mp4", lambda path: encode_h264(small(), path, fps=60)),
    Odd("jump.ts", lambda path: retimed(path, lambda number, time: time + (number >= 10) * 100 * CLOCK)),
    Odd("back.ts", lambda path: retimed(path, lambda number, time: time + (number < 10) * 5 * CLOCK)),
    Odd("backwards.ts", lambda path: retimed(path, lambda number, time: 100 * CLOCK - time)),
    Odd("repeated.ts", lambda path: retimed(path, lambda number, time: 5 * CLOCK)),
    Odd("missing.ts", lambda path: retimed(path, lambda number, time: None)),
    Odd("raw.h264", lambda path: encode_h264(small(), path)),
]
PICTURES = [
    *[Odd(f"turned{degrees:+}.mp4", partial(turned, degrees=degrees)) for degrees in TURNS],
    *[
        Odd(f"{pix_fmt}.nut", partial(raw, pix_fmt=pix_fmt))
        for pix_fmt in ("gray", "gray10le", "gray16le", "nv12", "yuva420p", "rgba", "monob", "yuv411p", "yuyv422")
    ],
    *[
        Odd(f"{width}x{height}.nut", partial(raw, pix_fmt="yuv420p", width=width, height=height))
        for width, height in ((1, 1), (3, 5), (1, 400), (16000, 2))
    ],
    Odd("palette.mov", with_palette),
    Odd("yuvj420p.avi", lambda path: compressed(path, "mjpeg", "yuvj420p")),
    Odd("yuv422p.mp4", lambda path: compressed(path, "libx264", "yuv422p")),
    Odd("yuv444p.mp4", lambda path: compressed(path, "libx264", "yuv444p")),
    Odd("yuv420p10.mp4", lambda path: compressed(path, "libx264", "yuv420p10le")),
    Odd("yuv420p12.mkv", lambda path: compressed(path, "libx265", "yuv420p12le")),
    Odd("interlaced.ts", lambda path: compressed(path, "libx264", options={"x264-params": "tff=1"})),
    Odd("interlaced.mpg", lambda path: compressed(path, "mpeg2video", options={"flags": "+ildct+ilme"})),
    Odd("large.avi", _large, 1),
    Odd("resized.h264", lambda path: joined(path, SIZES)),
    Odd("resized.ts", lambda path: joined(path, SIZES)),
]
FILES = [
    Odd("colours.gif", lambda path: compressed(path, "gif", "rgb8")),
    Odd("vp8.webm", lambda path: compressed(path, "libvpx")),
    Odd("vp9.webm", lambda path: compressed(path, "libvpx-vp9")),
    Odd("hevc.mp4", lambda path: compressed(path, "libx265")),
    Odd("motion.avi", lambda path: compressed(path, "mjpeg", "yuvj420p")),
    Odd("b-frames.avi", lambda path: compressed(path, "mpeg4", b_frames=2)),
    Odd("open-gop.mp4", lambda path: compressed(path, "libx264", b_frames=2, options={"x264-params": "open-gop=1"})),
    Odd("edited.mov", _with_edit_list, 15),
    Odd("subtitles.mkv", _with_subtitles_first),
    Odd("duration.mkv", _with_wrong_duration),
    Odd("late.ts", _joined_late, 10),
]
DAMAGED = [
    Odd("noise-first.ts", lambda path: with_noise(path, 0)),
    Odd("noise-inside.ts", lambda path: with_noise(path, 0.5)),
    Odd("cut.ts", lambda path: cut(path, 0.5), 5),
    Odd("part.mp4", _downloaded_in_part, 5),
    Odd("still.mp4", _still, 1),
    Odd("killed.mp4", lambda path: cut(path, 0.5), 0, "not a video"),
    Odd("empty.mp4", Path.touch, 0, "is empty"),
    Odd("song.wav", _audio, 0, "only audio"),
    Odd("song.mp4", _audio_in_mp4, 0, "only audio"),
    Odd("letter.mp4", lambda path: path.write_text("Dear all,\nno video here.\n"), 0, "not a video"),
    Odd("noise.mp4", lambda path: path.write_bytes(np.random.default_rng(1).bytes(20_000)), 0, "not a video"),
]
ODD = TIMES + PICTURES + FILES + DAMAGED
