"""The annotated video: every decoded frame with what was known by then, as H.264 in an mp4.

A reader hands frames in, a sink thread hands predictions in, a thread of the sink's own brings both together, draws
and encodes. Nothing here decides what is drawn (stream.views.overlay).
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from pathlib import Path
from threading import Condition, Thread
from typing import cast

import av
import cv2
from av.packet import Packet
from av.video.stream import VideoStream

from stream.contracts import Event, Frame, Prediction, Status
from stream.errors import SinkError
from stream.geometry import to_bgr
from stream.ring import FrameRing
from stream.sinks.draft import Draft
from stream.views.drawing import Image
from stream.views.layout import layout
from stream.views.overlay import Overlay
from stream.views.timeline import Timeline

TIME_BASE = Fraction(1, 90_000)
MAX_SIDE = 4096
"""Pixels that hardware decodes of an H.264 picture, a side: NVIDIA's support matrix for NVDEC, for one."""
WHATEVER_COMES = {"movflags": "+hybrid_fragmented+delay_moov", "frag_duration": "1000000", "flush_packets": "1"}
"""Makes an mp4 that plays wherever its writer is killed, but for the last seconds, and an ordinary one at its end."""


class Mp4Writer:
    """Encodes pictures of one size, each with its own time."""

    def __init__(self, path: Path, height: int, width: int) -> None:
        """Starts the file; `height` and `width` are even.

        Raises:
            av.error.FFmpegError: the file or the encoder cannot be opened.
        """
        # By its absolute path: FFmpeg would take 12:30.mp4 for a protocol.
        self._container = av.open(path.absolute(), "w", format="mp4", options=WHATEVER_COMES)
        options = {"preset": "veryfast", "crf": "21", "g": "60"}
        self._stream: VideoStream = self._container.add_stream("libx264", rate=30, options=options)
        self._stream.height, self._stream.width, self._stream.pix_fmt = height, width, "yuv420p"
        self._stream.codec_context.time_base = TIME_BASE
        self._stream.codec_context.colorspace = 6  # SMPTE 170M: what cv2's conversion below computes, limited range
        self._stream.codec_context.color_range = 1
        self._last = -1
        self._broken = False
        self.size = (height, width)

    def write(self, bgr: Image, seconds: float) -> None:
        """Adds one picture (h, w, 3) at `seconds` from the start, never before the last one."""
        planes = cast(Image, cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420))
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        self._last = max(self._last + 1, round(seconds / TIME_BASE))
        frame.pts, frame.time_base = self._last, TIME_BASE
        self._mux(self._stream.encode(frame))

    def close(self) -> None:
        """Writes what the encoder still holds and the index: from here on the file is whole, unless a write failed."""
        try:
            if not self._broken:
                self._mux(self._stream.encode())
        finally:
            self._container.close()

    def _mux(self, packets: list[Packet[VideoStream]]) -> None:
        """Writes packets, and never again after a failure: FFmpeg crashes where the header could not be written."""
        self._broken = True
        self._container.mux(packets)
        self._broken = False


class VideoSink:
    """Writes one camera's frames, annotated.

    Of a file every frame is taken: the reader waits while the queue is full, and frame i is drawn with the newest
    prediction whose tick is at or before it, waiting for that prediction where need be. A live camera's frames are
    drawn with the newest prediction there is, and the oldest are dropped when encoding falls behind.

    Attributes:
        path: the file's.
        written: True once the file is whole and there.
    """

    def __init__(self, path: Path | str, overlay: Overlay, *, camera: str | None = None, capacity: int = 8) -> None:
        """Makes the sink; the file is begun, beside `path`, with the first frame.

        Args:
            path: what the file is called once it is whole (stream.sinks.draft); its folder is made where missing.
                Without a single frame nothing is written, and what was there stays.
            overlay: draws.
            camera: whose frames to take; None where the run has one camera.
            capacity: frames that may wait to be encoded.

        Raises:
            SinkError: the file cannot be written.
        """
        self.path = Path(path)
        self._draft = Draft(self.path)
        self.written = False
        self._overlay = overlay
        self._only = camera
        self._camera: str | None = None
        self._capacity = capacity
        self._live = False
        self._frames: FrameRing[tuple[Frame, int]] | None = None
        self._thread: Thread | None = None
        self._fault: BaseException | None = None
        self._told = Condition()  # guards what follows: what the sink was told, and what is drawn of it
        self._closing = False
        self._newest = -1
        self._timeline = Timeline()
        # A prediction waits here until its frame is drawn. The frames of a file's waiting predictions are themselves
        # waiting (one is drawn, one is being handed in), so that only a live camera can ever push one out.
        self._waiting: deque[tuple[int, Timeline]] = deque(maxlen=capacity + 2)
        self._drawn = Timeline()
        self._size: tuple[int, int] | None = None  # of the first picture: all others are made to fit

    @property
    def dropped(self) -> int:
        """Frames of a live camera that were not encoded."""
        return 0 if self._frames is None else self._frames.dropped

    def attach(self, camera: str, live: bool) -> None:
        """Takes `camera`, unless another was named; starts to encode.

        Raises:
            SinkError: it has a camera already.
        """
        if self._only not in (None, camera):
            return
        if self._frames is not None:
            raise SinkError(f"{self.path} holds one camera, got {self._camera} and {camera}; name one to save")
        self._camera, self._live = camera, live
        self._frames = FrameRing(self._capacity, wait=not live)
        self._thread = Thread(target=self._run, args=(self._frames,), name=f"video {self.path.name}", daemon=True)
        self._thread.start()

    def frame(self, frame: Frame, tick: int) -> None:
        """Takes one frame; `tick` is the index of the newest tick at or before it. Ignored after `close`."""
        if frame.camera == self._camera and self._frames is not None:
            self._frames.put((frame, tick))

    def prediction(self, prediction: Prediction) -> None:
        """Takes one label, after the events of its tick.

        Raises:
            SinkError: encoding failed.
        """
        self._raise_fault()
        if prediction.camera != self._camera:
            return
        with self._told:
            self._timeline = self._timeline.with_prediction(prediction)
            self._newest = prediction.index
            self._waiting.append((prediction.index, self._timeline))
            self._told.notify_all()

    def event(self, event: Event) -> None:
        """Takes one event."""
        if event.camera == self._camera:
            self._timeline = self._timeline.with_event(event)

    def status(self, status: Status) -> None:
        """A camera that is away shows in the video as a cut."""

    def close(self) -> None:
        """Encodes the frames that wait and completes the file; idempotent.

        Raises:
            SinkError: encoding failed.
        """
        with self._told:
            self._closing = True
            self._told.notify_all()
        if self._frames is not None and self._thread is not None:
            self._frames.close()
            self._thread.join()
        self._raise_fault()

    def _run(self, frames: FrameRing[tuple[Frame, int]]) -> None:
        """The thread: encodes until the queue is closed and empty; keeps a fault for whoever calls next."""
        try:
            self._encode(frames)
        except BaseException as error:  # noqa: BLE001  raised in the caller's thread by _raise_fault
            self._fault = error
            frames.close()

    def _encode(self, frames: FrameRing[tuple[Frame, int]]) -> None:
        writer: Mp4Writer | None = None
        clock = Clock()
        try:
            while (item := frames.take()) is not None:
                frame, tick = item
                picture = self._annotated(frame, tick)
                if writer is None:
                    writer = Mp4Writer(self._draft.begin(), *picture.shape[:2])
                writer.write(picture, clock.seconds(frame))
        finally:
            if writer is not None:
                writer.close()
        if writer is not None:
            self._draft.finish()
            self.written = True

    def _annotated(self, frame: Frame, tick: int) -> Image:
        """The frame's picture, with what was known by `tick` drawn around it; even sides, for 4:2:0 colour."""
        bgr = to_bgr(frame.picture)
        if self._size is None:
            self._size = _size_within(MAX_SIDE, *bgr.shape[:2])
        if bgr.shape[:2] != self._size:  # the camera changed its resolution; the file cannot
            bgr = cast(Image, cv2.resize(bgr, self._size[::-1], interpolation=cv2.INTER_AREA))
        return self._overlay.draw(bgr, self._known_by(tick), frame.camera, frame.time)

    def _known_by(self, tick: int) -> Timeline:
        """What the predictions up to `tick` tell, once they are there; for a live camera, up to now."""
        with self._told:
            if not self._live:
                self._told.wait_for(lambda: self._closing or self._newest >= tick)
            while self._waiting and (self._live or self._waiting[0][0] <= tick):
                self._drawn = self._waiting.popleft()[1]
            return self._drawn

    def _raise_fault(self) -> None:
        """Raises what went wrong in the thread, once."""
        fault, self._fault = self._fault, None
        if isinstance(fault, OSError | av.error.FFmpegError):
            raise SinkError(f"cannot write {self.path}: {fault.strerror}{self._draft.left()}") from fault
        if fault is not None:
            raise fault


def _size_within(side: int, height: int, width: int) -> tuple[int, int]:
    """`height` and `width`, or where the canvas around them had a side over `side`, as much of them as it allows."""
    place = layout(height, width)
    while (longest := max(place.height, place.width)) > side:
        share = min(0.99, side / longest)
        height, width = max(1, int(height * share)), max(1, int(width * share))
        place = layout(height, width)
    return height, width


class Clock:
    """Lays sessions end to end: the file's time runs on where the camera's starts anew."""

    def __init__(self) -> None:
        self._last: Frame | None = None
        self._step = 1 / 30
        self._offset = 0.0

    def seconds(self, frame: Frame) -> float:
        """Seconds from the file's start at which `frame` is shown."""
        last, self._last = self._last, frame
        if last is None:
            self._offset = -frame.time
        elif frame.session != last.session or frame.time <= last.time:
            self._offset += last.time + self._step - frame.time
        else:
            self._step = frame.time - last.time
        return frame.time + self._offset
