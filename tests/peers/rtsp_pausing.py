"""A line to an RTSP server that is silent for a while in the middle of a packet, as a bad network is."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import BinaryIO


class PausingLine:
    """Passes one client's bytes on to the server at `port` and back; at some packets it holds the answer up.

    Args:
        port: of the server.
        at: numbers of the interleaved packets, counted from 0, of which the first half arrives before the pause.
        seconds: of silence.
    """

    def __init__(self, port: int, at: tuple[int, ...], seconds: float) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._server = socket.create_connection(("127.0.0.1", port))
        self._at, self._seconds = at, seconds
        self._threads = [threading.Thread(target=self._serve, name="pausing-line")]
        self.pauses = 0

    def __enter__(self) -> PausingLine:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._server.close()

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        asking = threading.Thread(target=self._ask, args=(client,), name="pausing-line-asks")
        self._threads.append(asking)
        asking.start()
        with client, self._server.makefile("rb") as answers, suppress(OSError):
            self._answer(answers, client)
            client.shutdown(socket.SHUT_RDWR)
            asking.join()

    def _ask(self, client: socket.socket) -> None:
        with suppress(OSError):
            while request := client.recv(4096):
                self._server.sendall(request)

    def _answer(self, answers: BinaryIO, client: socket.socket) -> None:
        """Passes on lines of text and, between them, packets that begin with a dollar sign, a channel and a length."""
        count = 0
        while first := answers.read(1):
            if first != b"$":
                client.sendall(first + answers.readline())
                continue
            head = answers.read(3)
            packet = first + head + answers.read(int.from_bytes(head[1:], "big"))
            if count in self._at:
                client.sendall(packet[: len(packet) // 2])
                time.sleep(self._seconds)
                packet = packet[len(packet) // 2 :]
                self.pauses += 1
            client.sendall(packet)
            count += 1
