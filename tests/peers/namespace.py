"""A network of one's own (Linux namespaces), which can be cut: a process inside sees nothing but its own loopback."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
MARK = "ACTIONSTREAM_OWN_NETWORK"
UNSHARE = ("unshare", "--user", "--map-root-user", "--net")
GET_FLAGS, SET_FLAGS, UP = 0x8913, 0x8914, 0x1  # SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP: netdevice(7)


@cache
def missing() -> str | None:
    """Why there can be no network of one's own here; None where there can."""
    if not sys.platform.startswith("linux") or shutil.which("unshare") is None:
        return "a network that can be cut needs Linux and unshare (util-linux)"
    done = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
    return f"a network that can be cut is not allowed here: {done.stderr.strip()}" if done.returncode else None


def is_inside() -> bool:
    """True in a process that `run_inside` started."""
    return MARK in os.environ


def run_inside(*arguments: str, timeout: float) -> str:
    """What `python arguments...` prints in a network of its own, whose loopback is down.

    Raises:
        AssertionError: it failed.
    """
    done = subprocess.run(
        [*UNSHARE, sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | {MARK: "1"},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def switch_loopback(*, on: bool) -> None:
    """Lets everything through on 127.0.0.1, or nothing. Only inside."""
    assert is_inside(), "this would cut the machine's own loopback"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        name = b"lo"
        request = struct.pack("16sh14x", name, 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, GET_FLAGS, request))[1]
        flags = flags | UP if on else flags & ~UP
        fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sh14x", name, flags))
