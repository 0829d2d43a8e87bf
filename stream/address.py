"""What a source's address says: which webcam it is, what to call it, how to show it without its secrets. Pure text.

Imports of ours only the errors, and nothing heavy, so that the command line can clean every line that it prints.

An address may name environment variables, `rtsp://${USER}:${PASSWORD}@camera/stream`. It is kept, and shown, as it was
written; only what is handed to FFmpeg is `expanded`, so that no value can come out anywhere.
"""

from __future__ import annotations

import os
import re
from pathlib import PurePath
from urllib.parse import quote

from stream.errors import ConfigError

VARIABLE = re.compile(r"\$\{(\w+)\}")
LOGIN_PART = re.compile(r"[^/]+://[^/?#]*@")
WEBCAM = re.compile(r"(?:/dev/video)?(\d+)")
DEFAULT_PORT = re.compile(r":554(?=/|$)")

# Where a login may stand. One slash is enough: pathlib makes rtsp:/host of rtsp://host. In a line with an address, all
# that stands before the last @ goes, for a password may hold an @, a slash, a hash or a space that nobody encoded.
LOGIN = re.compile(r"(?<=[a-z]{2}:/)(/?).*@", re.IGNORECASE)
BARE_LOGIN = re.compile(r"[^\s'\"()]+:\S*@")  # the scheme was forgotten: admin:secret@10.0.0.2/stream
# Some cameras take the login in the path: /user=admin&password=x&channel=1, /live;u=admin;p=x
NAMED_LOGIN = re.compile(
    r"[/&;?][^\s/&;?]*"
    r"(?:(?:user|usr|login|pass|pwd|psw|token|auth|key|secret)\w*|(?<![a-z0-9])(?:u|p|pw))=.*",
    re.IGNORECASE,
)
QUERY = re.compile(r"(?<=[a-z]{2}:/)(\S*?)\?\S*", re.IGNORECASE)


def webcam_index(url: str) -> int | None:
    """The number of the webcam that `url` names ("0", "/dev/video0"); None where it names none."""
    match = WEBCAM.fullmatch(url)
    return int(match[1]) if match else None


def expanded(url: str) -> str:
    """`url` with the value of each `${VARIABLE}` of the environment in its place: a secret, never to be shown.

    In user, password and query the value is percent-encoded, so it is written into the variable as it is; elsewhere it
    is taken as it stands, and may be the whole address.

    Raises:
        ConfigError: a variable is not set.
    """
    login, query = LOGIN_PART.match(url), url.find("?")

    def value(variable: re.Match[str]) -> str:
        text = os.environ.get(variable[1])
        if text is None:
            raise ConfigError(f"{safe_url(url)}: the variable {variable[1]} is not set; export it and start again")
        in_login = login is not None and variable.start() < login.end()
        return quote(text, safe="") if in_login or 0 <= query < variable.start() else text

    return VARIABLE.sub(value, url)


def without_logins(text: str) -> str:
    """`text`, of any kind and length, without the user, password and query of any address in it.

    Where it is not clear which part is the secret, more goes rather than less.
    """
    text = BARE_LOGIN.sub("", LOGIN.sub(r"\1", text))
    return QUERY.sub(r"\1", NAMED_LOGIN.sub("", text))


def safe_url(url: str) -> str:
    """`url` without user, password and query: safe to print. What holds none is left as it is, a file's path too."""
    whole = re.sub(r"\s", "%20", url)  # a space or a line's end does not end the secret here: all of it is one address
    shown = without_logins(whole)
    return url if shown == whole else shown


def camera_name(url: str) -> str:
    """A readable name for the camera at `url`: `webcam-0`, `192.168.1.9/stream1`, or the file's name without suffix."""
    index = webcam_index(url)
    if index is not None:
        return f"webcam-{index}"
    if "://" not in url:
        return valid_text(PurePath(safe_url(url)).stem)
    return valid_text(DEFAULT_PORT.sub("", safe_url(url).partition("://")[2]).rstrip("/"))


def valid_text(name: str) -> str:
    """`name` as text that can be encoded: bytes of a file's name that are not UTF-8 become replacement characters."""
    return os.fsencode(name).decode("utf-8", "replace")
