"""A web server on loopback that plays MJPEG as cameras do, HLS as broadcasters do, and serves files."""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

RANGE = re.compile(r"bytes=(\d+)-")
BOUNDARY = "picture"


class WebServer:
    """Serves from threads of its own, between `__enter__` and `__exit__`.

        /camera            an endless MJPEG stream of `pictures`
        /live.m3u8         `segments`, one more every `segment_s` seconds, the last three of them in the list, for ever
        /status/403        that status, whatever follows
        /silent            takes the request and says nothing
        /anything/x.mp4    that file of `folder`

    Args:
        pictures: encoded JPEGs, shown in turn.
        fps: at which they are sent.
        folder: of files.
        segments: names of files in `folder`.
        segment_s: length of each.
        ranges: whether a part of a file can be asked for.
        login: user and password that a client must know.
        cut_after: bytes of a file after which the first answer breaks off.
        pause_s: for which every file stands still when half of what was asked for is sent.

    Attributes:
        sent: pictures so far to whoever watches the camera.
    """

    def __init__(
        self,
        *,
        pictures: Sequence[bytes] = (),
        fps: float = 25,
        folder: Path = Path(),
        segments: Sequence[str] = (),
        segment_s: float = 1.0,
        ranges: bool = True,
        login: tuple[str, str] | None = None,
        cut_after: int | None = None,
        pause_s: float = 0.0,
    ) -> None:
        self.pictures, self.fps, self.folder, self.ranges = pictures, fps, folder, ranges
        self.segments, self.segment_s, self.cut_after, self.pause_s = segments, segment_s, cut_after, pause_s
        self.login = None if login is None else base64.b64encode(":".join(login).encode()).decode()
        self.began = time.monotonic()
        self.asked: list[str] = []
        self.sent = 0
        self.flowing, self.stopping, self.cutting = threading.Event(), threading.Event(), threading.Event()
        self.flowing.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"site": self}))
        self._server.daemon_threads = False  # joined by server_close
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="web-server")
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> WebServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def url(self, path: str, login: str = "") -> str:
        """The address of a path."""
        return f"http://{login}127.0.0.1:{self.port}{path}"

    def stall(self) -> None:
        """Sends nothing more, while connections stay open."""
        self.flowing.clear()

    def hang_up(self) -> None:
        """Ends every connection."""
        self.cutting.set()


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    site: WebServer

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        """Answers."""
        path = self.path.partition("?")[0]
        self.site.asked.append(self.path)
        with suppress(ConnectionError):
            if self.site.login is not None and self.headers.get("Authorization") != f"Basic {self.site.login}":
                self._begin(401, {"WWW-Authenticate": 'Basic realm="web"'})
            elif path.startswith("/status/"):
                self._begin(int(path.split("/")[2]), {})
            elif path == "/silent":
                self.site.stopping.wait()
            elif path == "/camera":
                self._send_pictures()
            elif path == "/live.m3u8":
                self._send_playlist()
            else:
                self._send_file(self.site.folder / path.rpartition("/")[2])

    def _begin(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _send_pictures(self) -> None:
        self._begin(200, {"Content-Type": f"multipart/x-mixed-replace; boundary={BOUNDARY}"})
        count = 0
        while not (self.site.stopping.wait(1 / self.site.fps) or self.site.cutting.is_set()):
            if not self.site.flowing.is_set():
                continue
            picture = self.site.pictures[count % len(self.site.pictures)]
            head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
            self.wfile.write(head.encode() + picture + b"\r\n")
            count += 1
            self.site.sent = count

    def _send_playlist(self) -> None:
        newest = 3 + int((time.monotonic() - self.site.began) / self.site.segment_s)
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", f"#EXT-X-TARGETDURATION:{self.site.segment_s:.0f}"]
        lines += [f"#EXT-X-MEDIA-SEQUENCE:{newest - 3}"]
        for name in self.site.segments[newest - 3 : newest]:
            lines += [f"#EXTINF:{self.site.segment_s:f},", name]
        self._begin(200, {"Content-Type": "application/vnd.apple.mpegurl"})
        self.wfile.write("\n".join([*lines, ""]).encode())

    def _send_file(self, path: Path) -> None:
        if not path.is_file():
            return self._begin(404, {})
        data = path.read_bytes()
        asked = RANGE.match(self.headers.get("Range", "")) if self.site.ranges else None
        start = int(asked[1]) if asked else 0
        headers = {"Content-Length": str(len(data) - start)}
        if asked:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._begin(206 if asked else 200, headers)
        cut, self.site.cut_after = self.site.cut_after, None
        data = data[start : len(data) if cut is None else start + cut]
        self.wfile.write(data[: len(data) // 2])
        self.site.stopping.wait(self.site.pause_s)
        self.wfile.write(data[len(data) // 2 :])
        while not (self.site.flowing.is_set() or self.site.stopping.wait(0.05)):
            pass
        return None
