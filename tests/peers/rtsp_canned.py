"""A camera that says what it is told to and never sends a picture: for SDPs that no honest server would write."""

from __future__ import annotations

import re
import socketserver
import threading
from types import TracebackType

HEAD = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=canned\r\nt=0 0\r\nc=IN IP4 127.0.0.1\r\n"
NO_MEDIA = HEAD
AUDIO_ONLY = HEAD + "m=audio 0 RTP/AVP 0\r\na=control:audio\r\n"
UNKNOWN_CODEC = HEAD + "m=video 0 RTP/AVP 97\r\na=rtpmap:97 SMELLOVISION/90000\r\na=control:video\r\n"
NOTHING_SENT = HEAD + "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:video\r\n"


class CannedCamera:
    """Answers every request with 200 and DESCRIBE with `sdp`; with `sdp` None it accepts and says nothing at all."""

    def __init__(self, sdp: str | None) -> None:
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _handler(sdp))
        self._server.daemon_threads = False  # joined by server_close
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="canned-camera")
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> CannedCamera:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(sdp: str | None) -> type[socketserver.BaseRequestHandler]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                while request := self.request.recv(4096):
                    if sdp is not None:
                        self.request.sendall(_answer(request.decode(errors="replace"), sdp).encode())
            except ConnectionError:
                pass

    return Handler


def _answer(request: str, sdp: str) -> str:
    sequence = re.search(r"CSeq: (\d+)", request)
    lines = ["RTSP/1.0 200 OK", f"CSeq: {sequence[1] if sequence else 0}", "Session: 1"]
    if request.startswith("SETUP"):
        lines.append("Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
    if request.startswith("DESCRIBE"):
        lines += ["Content-Type: application/sdp", f"Content-Length: {len(sdp)}"]
    return "\r\n".join(lines) + "\r\n\r\n" + (sdp if request.startswith("DESCRIBE") else "")
