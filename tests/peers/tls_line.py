"""A line to an RTSP server through TLS, as cameras speak rtsps://."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType


class TlsLine:
    """Takes one client over TLS and passes its bytes on to the server at `port`, and the answers back.

    Args:
        port: of the server, which knows nothing of TLS.
        certificate, key: PEM files.
    """

    def __init__(self, port: int, certificate: Path, key: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._listener = context.wrap_socket(
            socket.create_server(("127.0.0.1", 0)), server_side=True, do_handshake_on_connect=False
        )
        self.port: int = self._listener.getsockname()[1]
        self._server = socket.create_connection(("127.0.0.1", port))
        self._thread = threading.Thread(target=self._serve, name="tls-line")

    def __enter__(self) -> TlsLine:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        self._server.close()

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        client.do_handshake()
        asking = threading.Thread(target=_pass_on, args=(client, self._server), name="tls-line-asks")
        asking.start()
        _pass_on(self._server, client)
        asking.join()
        client.close()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    """All that one side says, until either is gone."""
    with suppress(OSError):
        while data := source.recv(4096):
            target.sendall(data)
    for side in (source, target):
        with suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)
