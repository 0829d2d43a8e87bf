"""FFmpeg's test pictures: as fast as they are taken, or live."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.contracts import Input
from stream.errors import SourceOpenError
from stream.sources import open_source

INPUT = Input(24, 32, rate=10.0)


def test_they_wait_like_a_file_and_end() -> None:
    source = open_source("lavfi:testsrc2=size=64x48:rate=25:duration=2", INPUT)
    frames = list(source.frames())
    assert [frame.time for frame in frames] == pytest.approx([index / 25 for index in range(50)])
    assert {frame.picture.size for frame in frames} == {(48, 64)} and not source.live
    assert [frame.session for frame in source.frames(3)] == [3] * 50


def test_with_realtime_they_are_live() -> None:
    source = open_source("lavfi:testsrc2=size=64x48:rate=50,realtime", INPUT, rotation=90)
    frames = []
    for frame in source.frames():
        frames.append(frame)
        if len(frames) == 11:
            source.close()
    assert source.live and frames[0].picture.size == (64, 48)
    assert frames[-1].arrived - frames[0].arrived >= 0.5 * 10 / 50  # the first one may be late


def test_they_are_sampled_like_any_other() -> None:
    ticks = list(open_source("lavfi:testsrc2=size=64x48:rate=25:duration=1", INPUT))
    assert [tick.time for tick in ticks] == pytest.approx([0, 0.12, 0.2, 0.32, 0.4, 0.52, 0.6, 0.72, 0.8, 0.92])


@pytest.mark.parametrize("graph", ["", "nosuchfilter", "testsrc2=size=no", "sine"])
def test_a_graph_that_cannot_be_gets_one_line(graph: str, tmp_path: Path) -> None:
    with pytest.raises(SourceOpenError) as caught:
        list(open_source(f"lavfi:{graph}", INPUT).frames())
    assert "\n" not in str(caught.value) and "lavfi:" in str(caught.value)
