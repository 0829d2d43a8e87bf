"""Encoded packets to frames: decoding, presentation times, sessions. What every source shares, and nothing of opening.

A picture stays where the decoder put it (`picture_of` copies nothing for the formats that cameras send); its colour
range, its matrix and its rotation are read from the decoded frame, never guessed from the picture's size.

What becomes of times that lie, whatever rate is declared:

    rise unevenly, jump ahead   kept; the sampler begins a session where the jump is longer than its `max_gap`
    fall back by `STEP_BACK`    a new session: a seek, another recording, a camera that set its clock
    fall back by less, repeat   the frame gets the time of the one before it, so that `dt` is never negative
    missing now and then        the frame follows the one before it: by arrival if live, else by the average rate
    none of `GIVEN_UP` running  given up for good, for there is no telling when they would be right again: every frame
    rises                       follows the one before it, in the same session; the log says so, and a camera's
                                `timed_by_arrival` is True from here on
    never stored (MJPEG over    the same from the first frame on if live; libavformat makes up 25 a second
    HTTP, raw H.264)
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any, Literal

import av
import numpy as np
from av.format import Flags as FormatFlags
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from stream.contracts import Frame, Layout, Picture

LAYOUTS: dict[str, Layout] = {
    "yuv420p": "yuv420",
    "yuvj420p": "yuv420",
    "gray": "gray",
    "rgb24": "rgb",
    "bgr24": "bgr",
}
# AVColorSpace 1 is BT.709, 9 and 10 are BT.2020, whose luma coefficients are nearer to BT.709's than to BT.601's. An
# unspecified one is read as BT.601, as swscale and OpenCV read it.
BT709 = (1, 9, 10)
# Of pictures of odd size in these formats, swscale leaves the last row or column of chroma unwritten.
UNWRITTEN = ("yuyv422", "uyvy422", "nv24", "nv42")
STEP_BACK = 0.5  # seconds: a time that falls further back is a seek or a new recording, a smaller one is a muxer's slip
GIVEN_UP = 8  # frames running; a picture sent as two fields, or shown twice, repeats its time once or twice
ONE_THREAD = 1280 * 720  # pixels
ARRIVALS = 64  # packets remembered; no codec keeps more than 16 pictures back

log = logging.getLogger(__name__)


def picture_of(frame: VideoFrame, reformatter: VideoReformatter) -> Picture:
    """The decoded picture of `frame`: views of its memory, read-only, alive as long as they are held.

    Formats other than planar 4:2:0, gray, RGB and BGR go through one pinned swscale conversion (bilinear chroma,
    accurate rounding, one thread) to planar 4:2:0 of the same range, or to RGB where they are RGB or have a palette.
    Left as they are: alpha, which is ignored (what lies under it is shown as stored); the transfer curve, HDR's too;
    and interlaced pictures, since shrinking averages both fields: with the fields of two frames of real footage woven
    into one, the model's picture is 0.4 grey levels from the true one, and 1.0 if the second field is thrown away.

    Raises:
        av.FFmpegError: swscale cannot read the format.
    """
    full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
    matrix: Literal["bt601", "bt709"] = "bt709" if frame.colorspace in BT709 else "bt601"
    rotation = -round(frame.rotation / 90) * 90 % 360  # FFmpeg counts counter-clockwise
    # One row below another is what numpy can view; a picture stored bottom-up has negative steps and is copied.
    if frame.format.name not in LAYOUTS or frame.planes[0].line_size < 0:
        frame = _reformatted(frame, full, reformatter)
    layout = LAYOUTS[frame.format.name]
    if layout == "gray":  # like swscale: full range unless the stream says otherwise
        full = frame.color_range != ColorRange.MPEG
    planes = tuple(_view(plane, 3 if layout in ("rgb", "bgr") else 1) for plane in frame.planes)
    return Picture(planes, layout, full, matrix, rotation)


def _reformatted(frame: VideoFrame, full: bool, reformatter: VideoReformatter) -> VideoFrame:
    """`frame` in a format of `LAYOUTS`, without a change of range or matrix.

    Raises:
        av.FFmpegError: swscale cannot read it.
    """
    if frame.format.is_bayer and frame.height == 1:
        raise av.error.InvalidDataError(0, "a Bayer pattern of one row, of which swscale would write two")
    odd = frame.format.name in UNWRITTEN  # one pixel more then, stretched
    colors = frame.format.is_rgb or frame.format.has_palette
    span = ColorRange.JPEG if full else ColorRange.MPEG
    return reformatter.reformat(
        frame,
        width=frame.width + (odd and frame.width % 2),
        height=frame.height + (odd and frame.height % 2),
        format="rgb24" if colors else "yuvj420p" if full else "yuv420p",
        interpolation=Interpolation.BILINEAR | Interpolation.ACCURATE_RND,
        src_color_range=None if colors else span,
        dst_color_range=None if colors else span,
        threads=1,
    )


def _view(plane: VideoPlane, channels: int) -> NDArray[np.uint8]:
    """(h, w) or (h, w, channels) uint8 view of a plane, without its row padding."""
    memory: Any = plane  # it has the buffer protocol, which PyAV's type hints do not tell
    rows: NDArray[np.uint8] = np.frombuffer(memory, np.uint8).reshape(plane.height, plane.line_size)
    rows = rows[:, : plane.width * channels]
    rows.flags.writeable = False
    return rows if channels == 1 else rows.reshape(plane.height, plane.width, channels)


class Decoder:
    """Turns one stream's packets into frames, numbered and timed.

    Args:
        camera: the name that frames carry.
        stream: the open stream; its decoder is set to slice threads: frame threads hold pictures back, can deadlock on
            damaged data, and were no faster on the clips measured. Up to `ONE_THREAD` it gets one: waking others for
            every picture cost a sixth of the time, and made three times the switches.
        session: of the first frame.
        index: of the first frame.
        live: wait for the first keyframe, since a camera is joined in the middle, and go on showing pictures after
            a loss (H.265 would freeze).
        rotation: degrees clockwise, 0, 90, 180 or 270, added to the picture's own: a camera that hangs on its side.

    Attributes:
        session: of the latest frame; it rises where the picture's size changes or the time falls back.
        index: of the next frame.
        corrupt: packets, and pictures, that could not be decoded; a camera's pictures that are not whole, too.
        codec: its name, such as `h264`.
        keyframes: frames so far at which decoding could begin.
        timed_by_arrival: True once a live stream's own times were given up.
    """

    def __init__(
        self,
        camera: str,
        stream: VideoStream,
        *,
        session: int,
        index: int,
        live: bool = False,
        rotation: int = 0,
    ) -> None:
        self.camera, self.session, self.index, self.corrupt = camera, session, index, 0
        self.codec, self.keyframes = stream.codec_context.name, 0
        self.timed_by_arrival = False
        self._live, self._turn = live, rotation
        stream.thread_type = "SLICE"
        if stream.codec_context.width * stream.codec_context.height <= ONE_THREAD:
            stream.codec_context.thread_count = 1
        if live:
            stream.codec_context.flags |= av.codec.context.Flags.output_corrupt
        self._waiting_for_key = live
        # AVI stores no presentation times. libavformat makes some up, and with B-frames they come out of order
        # (83 of 156 real clips); the decode times of the packets that released the frames are right.
        self._by_dts = "avi" in stream.container.format.name.split(",")
        self._base = stream.time_base or Fraction(1)
        self._period = float(1 / (stream.average_rate or stream.guessed_rate or 25))
        self._untimed = False
        self._stamp: int | None = None
        self._unrisen = 0
        self._time: float | None = None
        self._arrived = 0.0
        self._size: tuple[int, int] | None = None
        self._arrivals: dict[int, float] = {}
        self._reformatter = VideoReformatter()
        if live and FormatFlags.no_timestamps in FormatFlags(stream.container.format.flags):
            self._give_up_times()

    def frames(self, packet: Packet[Any], arrived: float) -> Iterator[Frame]:
        """The frames that `packet` releases, in presentation order; an empty packet releases the last ones.

        Args:
            packet: the stream's next.
            arrived: `time.monotonic()` at which demux returned it.
        """
        if packet.size == 0 and packet.dts is not None:
            return  # a dropped frame of an AVI or a failed one of a webcam; to the decoder it would mean the end
        if packet.pts is not None:
            self._arrivals[packet.pts] = arrived
        if len(self._arrivals) > ARRIVALS:
            del self._arrivals[next(iter(self._arrivals))]
        try:
            decoded = packet.decode()
        except av.FFmpegError:
            self.corrupt += 1
            return
        for frame in decoded:
            # With B-frames the packet that releases a frame is not the one that brought it: look that up by its pts.
            came = arrived if frame.pts is None else self._arrivals.pop(frame.pts, arrived)
            self._waiting_for_key = self._waiting_for_key and not frame.key_frame
            if self._waiting_for_key:
                continue
            self.corrupt += frame.is_corrupt
            try:
                picture = picture_of(frame, self._reformatter)
            except av.FFmpegError:
                self.corrupt += 1
                continue
            yield self._stamped(frame, picture, came)

    def _stamped(self, frame: VideoFrame, picture: Picture, arrived: float) -> Frame:
        """`picture` of `frame` with its session, index and media time."""
        if self._turn:
            picture = replace(picture, rotation=(picture.rotation + self._turn) % 360)
        time = self._seconds(frame, arrived)
        if self._time is not None and (time < self._time - STEP_BACK or picture.size != self._size):
            self.session += 1
        elif self._time is not None:
            time = max(time, self._time)
        self._time, self._arrived, self._size = time, arrived, picture.size
        self.keyframes += frame.key_frame
        self.index += 1
        return Frame(self.camera, self.index - 1, self.session, time, arrived, picture)

    def _seconds(self, frame: VideoFrame, arrived: float) -> float:
        """Media seconds of `frame`, which arrived then: its own, or those that follow the frame before it.

        The first of an RTP stream has none (FFmpeg's parsers lose it) and is 0: the others are counted from it. The
        last ones of an AVI have none because no packet released them.
        """
        stamp = frame.dts if self._by_dts else frame.pts
        if not self._untimed:
            self._heed(stamp)
        if stamp is not None and not self._untimed:
            return stamp * self._base.numerator / self._base.denominator  # exact, as the fraction is, and quicker
        if self._time is None:
            return 0.0
        return self._time + (max(0.0, arrived - self._arrived) if self._live else self._period)

    def _heed(self, stamp: int | None) -> None:
        """Gives up the stream's times where `GIVEN_UP` stamps running, `stamp` the last of them, did not rise."""
        risen = stamp is not None and (self._stamp is None or stamp > self._stamp)
        self._unrisen = 0 if risen else self._unrisen + 1
        self._stamp = stamp if stamp is not None else self._stamp
        if self._unrisen == GIVEN_UP:
            self._give_up_times()

    def _give_up_times(self) -> None:
        """From here on a frame follows the one before it; says so."""
        self._untimed, self.timed_by_arrival = True, self._live
        how = "their arrival" if self._live else "the stream's average rate"
        log.warning("%s: frames without presentation times are timed by %s", self.camera, how)
