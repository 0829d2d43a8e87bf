"""What a source's address says: which webcam it is, what to call it, how to show it without its secrets. Pure text."""

from __future__ import annotations

import re
from pathlib import PurePath

WEBCAM = re.compile(r"(?:/dev/video)?(\d+)")
LOGIN = re.compile(r"(?<=://).*@", re.DOTALL)
# Some cameras take the login in the path: /user=admin&password=x&channel=1
SECRETS = re.compile(r"[/&_;]?\w*(?:user|login|pass|pwd|token|auth|key)\w*=.*", re.IGNORECASE | re.DOTALL)
DEFAULT_PORT = re.compile(r":554(?=/|$)")


def webcam_index(url: str) -> int | None:
    """The number of the webcam that `url` names ("0", "/dev/video0"); None where it names none."""
    match = WEBCAM.fullmatch(url)
    return int(match[1]) if match else None


def safe_url(url: str) -> str:
    """`url` without user and password, wherever they stand: safe to print. The path of a file is left as it is.

    All that stands before the last @ goes, for a password may hold an @, a slash or a hash that nobody encoded; so
    does the query, and the path from the first name on that looks like a login's.
    """
    if "://" not in url:
        return url
    return SECRETS.sub("", LOGIN.sub("", url).partition("?")[0])


def camera_name(url: str) -> str:
    """A readable name for the camera at `url`: `webcam-0`, `192.168.1.9/stream1`, or the file's name without suffix."""
    index = webcam_index(url)
    if index is not None:
        return f"webcam-{index}"
    if "://" not in url:
        return PurePath(url).stem
    return DEFAULT_PORT.sub("", safe_url(url).partition("://")[2]).rstrip("/")
