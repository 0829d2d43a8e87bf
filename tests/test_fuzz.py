"""Mutated streams thrown at FileSource, in a child process: only `SourceError`s come out, and frames."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz_child import mutated
from tests.media import encode, encode_h264
from tests.odd_files import compressed, small
from tests.process import ROOT

CLIPS: dict[str, Callable[[Path], object]] = {
    "clip-h264.ts": lambda path: encode_h264(small(), path, b_frames=2),
    "clip-h264.mp4": lambda path: encode_h264(small(), path),
    "clip-h264.mkv": lambda path: encode_h264(small(), path),
    "clip-mpeg4.avi": lambda path: compressed(path, "mpeg4", b_frames=2),
    "clip-raw.h264": lambda path: encode_h264(small(), path, b_frames=2),
    "clip-motion.avi": lambda path: compressed(path, "mjpeg", "yuvj420p"),
    "clip-hevc.ts": lambda path: compressed(path, "libx265"),
    "clip-vp9.webm": lambda path: compressed(path, "libvpx-vp9"),
    "clip-colours.gif": lambda path: compressed(path, "gif", "rgb8"),
    "clip-mpeg2.mpg": lambda path: encode(small(), path, codec="mpeg2video"),
}


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small whole clips, several containers and codecs."""
    folder = tmp_path_factory.mktemp("fuzz")
    for name, make in CLIPS.items():
        make(folder / name)
    return folder


def read_mutations(folder: Path, first: int, count: int) -> tuple[dict[int, str], list[str]]:
    """What came of each mutation, and how each child ended that did not get through all of its own."""
    outcomes: dict[int, str] = {}
    deaths: list[str] = []
    end = first + count
    while first < end:
        command = [sys.executable, "-m", "tests.fuzz_child", str(folder), str(first), str(end - first)]
        child = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert child.stdout, "the child did not even begin"
        for line in child.stdout.splitlines():
            number, _, said = line.partition(" ")
            outcomes[int(number)] = said
        first = int(number) + 1
        if child.returncode:
            kept = ", ".join(map(str, folder.glob(f"mutation-{number}.*")))
            deaths.append(f"mutation {number}: exit status {child.returncode}; the file is kept: {kept}")
    return outcomes, deaths


def check(folder: Path, first: int, count: int) -> None:
    outcomes, deaths = read_mutations(folder, first, count)
    assert not deaths
    assert not [f"mutation {seed}: {said}" for seed, said in outcomes.items() if said.startswith("!")]
    read = sum("frames" in said for said in outcomes.values())
    assert count / 2 < read, "most mutations leave something that can be read, or nothing is tested"


def test_only_source_errors_come_out(clips: Path) -> None:
    check(clips, 0, 300)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_only_source_errors_come_out_of_thousands(clips: Path) -> None:
    check(clips, 300, 6000)


def test_mutations_are_always_the_same() -> None:
    data = bytes(range(256)) * 20
    assert all(mutated(data, seed) == mutated(data, seed) != data for seed in range(20))
    assert len({mutated(data, seed) for seed in range(100)}) == 100
