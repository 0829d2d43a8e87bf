"""The process in which mutated streams are read, since a library below us may crash: run by tests/test_fuzz.py.

    python -m tests.fuzz_child FOLDER FIRST COUNT

reads mutations FIRST to FIRST + COUNT - 1 of the clips in FOLDER and prints a line before and one after each:

    17                                          begun
    17 20 frames, 8 ticks; 19 frames live       came of it, read as a file and as if a camera sent it;
    17 SourceOpenError; InvalidDataError live   or a deliberate error, and FFmpeg's own, which cameras' sources expect;
    17 !KeyError: 5                             or any other exception: a defect of ours

Mutation 17 of a clip is always the same. Its file, mutation-17 and the clip's suffix, is left behind unless it was read
or refused as it should be. A mutation that takes longer than `HANG_S` ends the process by SIGALRM.
"""

from __future__ import annotations

import logging
import signal
import sys
from itertools import islice
from pathlib import Path

import av
import numpy as np

from stream.contracts import Input
from stream.errors import SourceError
from stream.sampling import ticks
from stream.sources import FileSource
from stream.sources.decode import Decoder

HANG_S = 20
FRAMES = 200  # of a file: damaged times or sizes may make it long


def mutated(data: bytes, seed: int) -> bytes:
    """`data` after one to four of: bits flipped, bytes replaced, a block cut out, moved, repeated, the end cut."""
    rng = np.random.default_rng(seed)
    changed = np.frombuffer(data, np.uint8)
    for _ in range(rng.integers(1, 5)):
        size = len(changed)
        if size < 16:
            break
        first, second = np.sort(rng.integers(0, size, 2))
        length = min(int(rng.integers(1, 400)), size - int(second))
        block = changed[second : second + length]
        match rng.integers(6):
            case 0:
                places = rng.integers(0, size, rng.integers(1, 30))
                changed = changed.copy()
                np.bitwise_xor.at(changed, places, (1 << rng.integers(0, 8, len(places))).astype(np.uint8))
            case 1:
                changed = changed.copy()
                changed[second : second + length] = rng.integers(0, 256, length)
            case 2:
                changed = np.concatenate([changed[:second], changed[second + length :]])
            case 3:
                changed = np.concatenate(
                    [changed[:first], block, changed[first:second], changed[second + length :]],
                )
            case 4:
                changed = np.concatenate([changed[:first], *[block] * int(rng.integers(1, 5)), changed[first:]])
            case 5:
                changed = changed[: max(second, size // 4)]
    return changed.tobytes()


def outcome(path: Path) -> str:
    """What comes of a file, or `!` and an exception that should not have been."""
    try:
        return f"{as_file(path)}; {as_camera(path)} live"
    except Exception as error:  # noqa: BLE001  what is looked for
        return f"!{type(error).__name__}: {error}".replace("\n", " ")


def as_file(path: Path) -> str:
    """How many frames and ticks come of a file, or a deliberate error."""
    source = FileSource(path, Input(24, 32))
    try:
        frames = list(islice(source.frames(), FRAMES))
    except SourceError as error:
        return type(error).__name__
    return f"{len(frames)} frames, {sum(1 for _ in ticks(frames, source.input))} ticks"


def as_camera(path: Path) -> str:
    """How many frames a live decoder makes of it, whose settings are others, or an error of FFmpeg's."""
    frames = 0
    try:
        with av.open(path, metadata_errors="replace") as container:
            if not container.streams.video or container.streams.video[0].codec_context is None:
                return "no video"
            decoder = Decoder("door", container.streams.video[0], session=0, index=0, live=True)
            for number, packet in enumerate(islice(container.demux(video=0), FRAMES)):
                frames += sum(1 for _ in decoder.frames(packet, number / 25))
    except av.FFmpegError as error:
        return type(error).__name__
    return f"{frames} frames"


def main(folder: Path, first: int, count: int) -> None:
    """Reads the mutations and prints what comes of them."""
    logging.disable()
    clips = sorted(folder.glob("clip-*"))
    for seed in range(first, first + count):
        clip = clips[seed % len(clips)]
        path = folder / f"mutation-{seed}{clip.suffix}"
        path.write_bytes(mutated(clip.read_bytes(), seed))
        print(seed, flush=True)  # noqa: T201
        signal.alarm(HANG_S)
        said = outcome(path)
        print(seed, said, flush=True)  # noqa: T201
        if not said.startswith("!"):
            path.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
