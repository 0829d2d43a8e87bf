"""Test pictures that FFmpeg draws (`lavfi:`) as a source: no camera and no file needed.

lavfi:testsrc2=size=640x360:rate=25             as fast as they are taken
lavfi:testsrc2=size=640x360:rate=25,realtime    live, as a camera sends them
"""

from __future__ import annotations

import re

import av

from stream.contracts import Input
from stream.sources.connection import FOREVER, ConnectedSource, Target

SCHEME = "lavfi:"
REALTIME = re.compile(r"[,;\]]\s*realtime\b")
FILTER = re.compile(r"\w+")


class PatternSource(ConnectedSource):
    """The frames of a graph of FFmpeg's filters; live if it holds the filter `realtime`, else it waits like a file.

    Args:
        url: `lavfi:` and the graph.
        input: what the bundle wants to see.
        camera: the name that frames carry; the graph's first filter if None.
        rotation: degrees clockwise by which pictures are turned.
    """

    def __init__(self, url: str, input: Input, *, camera: str | None = None, rotation: int = 0) -> None:
        self._graph = url[len(SCHEME) :]
        first = FILTER.search(self._graph)
        name = first[0] if first else "lavfi"
        super().__init__(url, input, camera or name, rotation=rotation, open_s=FOREVER, silence_s=FOREVER)
        self.live = REALTIME.search(self._graph) is not None
        self._ends = True

    def _target(self) -> Target:
        return Target(self._graph, format="lavfi")

    def _reason(self, error: av.FFmpegError | ValueError, waited: float) -> str:
        return (
            f"expected a graph of FFmpeg's filters that makes pictures, such as {SCHEME}testsrc2=size=640x360:rate=25, "
            f"got one that cannot be ({getattr(error, 'strerror', error)})"
        )
