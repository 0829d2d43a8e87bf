"""What faults are played with: a bundle, and clips that are encoded when they are first needed. Nothing here fails."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from stream.recognizer import Recognizer
from tests.graphs import make_bundle
from tests.media import encode, encode_h264, moving_pictures


@dataclass(frozen=True)
class Stage:
    """Makes its things in `folder`, once."""

    folder: Path

    @cached_property
    def bundle(self) -> Path:
        """A small bundle of 10 ticks a second that is warm with its fifth."""
        return make_bundle(self.folder / "bundle", rate=10.0, warmup=5, golden=False).folder

    def recognizer(self, batch_size: int = 1) -> Recognizer:
        """Of that bundle."""
        return Recognizer.load(self.bundle, device="cpu", threads=1, batch_size=batch_size)

    @cached_property
    def clip(self) -> Path:
        """Three seconds of H.264, 320x240 at 25 a second, a keyframe a second."""
        return encode_h264(moving_pictures(75, 320, 240), self.folder / "clip.mp4", gop=25)

    @cached_property
    def hevc(self) -> Path:
        """The same as H.265."""
        options = {"preset": "ultrafast", "x265-params": "log-level=none:keyint=25"}
        pictures = moving_pictures(75, 320, 240)
        return encode(pictures, self.folder / "hevc.mp4", codec="libx265", gop=25, options=options)

    @cached_property
    def two_sizes(self) -> Path:
        """Two seconds of 320x240, then two of 640x480."""
        parts = [
            encode_h264(moving_pictures(50, 320, 240), self.folder / "small.h264", gop=25),
            encode_h264(moving_pictures(50, 640, 480), self.folder / "large.h264", gop=25),
        ]
        both = self.folder / "both.h264"
        both.write_bytes(b"".join(part.read_bytes() for part in parts))
        return both

    @cached_property
    def two_rates(self) -> Path:
        """Two seconds at 25 frames a second, then four at 5."""
        times = [*(k / 25 for k in range(50)), *(2 + k / 5 for k in range(20))]
        return encode(moving_pictures(70, 320, 240), self.folder / "rates.mp4", times=times, gop=10)

    @cached_property
    def rare_keys(self) -> Path:
        """Twenty seconds with a keyframe every ten."""
        return encode_h264(moving_pictures(500, 160, 120), self.folder / "rare.mp4", gop=250)

    @cached_property
    def small(self) -> Path:
        """Three seconds, 160x120 at 10 frames a second."""
        return encode_h264(moving_pictures(30), self.folder / "small.mp4", fps=10, gop=10)

    @cached_property
    def brief(self) -> Path:
        """Five frames."""
        return encode_h264(moving_pictures(5), self.folder / "brief.mp4", gop=5)

    @cached_property
    def slow(self) -> Path:
        """A frame every 1.5 s, each a keyframe."""
        return encode(moving_pictures(20), self.folder / "slow.mp4", times=[1.5 * k for k in range(20)], gop=1)
