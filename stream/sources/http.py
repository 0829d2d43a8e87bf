"""Video from a web server as a source: MJPEG streams, HLS, and files that are read while they are downloaded.

What is live here? By its address: a path that ends like a video file is a file, one that ends in .m3u8 is a playlist,
anything else a camera. A playlist is asked whether it has an end, when `live` is first read; one without is live, and
so is one that cannot be read now, since it will be tried again. A file waits and loses nothing. What turns out to have
an end though its address looked like a camera's is played at its own speed, and ends.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import PurePosixPath
from threading import Thread

import av
from av.container import InputContainer

from stream.address import camera_name, expanded, safe_url
from stream.contracts import Frame, Input
from stream.sources.catchup import Waits
from stream.sources.connection import OPEN_S, ConnectedSource, Target
from stream.sources.hardware import Decode

FILES = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ogv"}
PLAYLISTS = {".m3u8", ".m3u"}
PAUSE_S = 20.0  # silence that is usual between two segments, which are 2 to 10 s long; a download may take it, too
JUMP_S = 2.0  # a frame earlier or later than this is not held back or behind: the server's clock jumped, or it paused

FILE_OPTIONS = {"reconnect": "1", "reconnect_on_network_error": "1", "reconnect_delay_max": "2"}
PLAYLIST_OPTIONS = {"live_start_index": "-1"}  # the newest segment; the default begins two earlier


class HttpSource(ConnectedSource):
    """The frames of a web camera, a live broadcast or a file on a web server.

    Args:
        url: http:// or https://, user and password percent-encoded where they hold special characters, or ${VARIABLE}.
        input: what the bundle wants to see.
        camera: the name that frames carry; host and path if None.
        rotation: degrees clockwise by which pictures are turned.
        decode: the device that decodes; software if None.
    """

    def __init__(
        self,
        url: str,
        input: Input,
        *,
        camera: str | None = None,
        rotation: int = 0,
        decode: Decode | None = None,
    ) -> None:
        suffix = PurePosixPath(re.split("[?#]", expanded(url))[0]).suffix.lower()
        self._is_file, self._is_playlist = suffix in FILES, suffix in PLAYLISTS
        super().__init__(
            safe_url(url),
            input,
            camera or camera_name(url),
            rotation=rotation,
            decode=decode,
            silence_s=PAUSE_S if self._is_playlist or self._is_file else None,
        )
        self._address = url
        self._in_bursts = False
        self._session, self._began = -1, 0.0  # of the frames that are held back, and the clock at their media time 0

    @cached_property
    def live(self) -> bool:  # type: ignore[override]
        """True for a camera or a broadcast, False for what has an end; a playlist is asked, for `OPEN_S` at most."""
        if not self._is_playlist:
            return not self._is_file
        target, lengths = self._target(), list[int | None]()
        asking = Thread(target=lambda: lengths.append(_length(target)), name=f"length of {self.url}", daemon=True)
        asking.start()
        asking.join(OPEN_S)  # Ctrl-C ends this, and would not end FFmpeg's waiting
        return not lengths or lengths[0] is None

    def frames(self, session: int = 0) -> Iterator[Frame]:
        """As in `ConnectedSource`; what a live server sends in bursts is held back until its own time."""
        for frame in super().frames(session):
            yield self._on_time(frame) if self._in_bursts else frame

    def _target(self) -> Target:
        options = FILE_OPTIONS if self._is_file else PLAYLIST_OPTIONS if self._is_playlist else {}
        return Target(expanded(self._address), options=options)

    def _catch_up(self, container: InputContainer) -> Waits | None:
        return Waits() if container.format.name == "mpjpeg" else None  # in parts: what cameras send

    def _connected(self, container: InputContainer) -> None:
        self._ends = container.duration is not None
        self._in_bursts = self.live and (self._ends or self._is_playlist)

    def _on_time(self, frame: Frame) -> Frame:
        """`frame`, held back until its time has come, as if it arrived just then; a late one is handed on at once."""
        now = time.monotonic()
        early = self._began + frame.time - now
        if frame.session != self._session or abs(early) > JUMP_S:
            self._session, self._began = frame.session, now - frame.time
            return frame
        self._closing.wait(max(0.0, early))
        return replace(frame, arrived=time.monotonic())


def _length(playlist: Target) -> int | None:
    """How long the video is; None where it has no end, and where it cannot be read."""
    options = dict(playlist.options)
    try:
        with av.open(playlist.file, "r", options=options, metadata_errors="replace", timeout=OPEN_S) as container:
            return container.duration
    except (av.FFmpegError, ValueError):
        return None
