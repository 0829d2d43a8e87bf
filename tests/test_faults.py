"""Cameras that fail, on real servers: every row of docs/cameras.md's table, and what must hold however they fail."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from stream import readers
from stream.engine import Engine
from stream.sources import open_source
from tests import faults
from tests.peers.namespace import missing
from tests.peers.rtsp_faulty import FaultyServer
from tests.peers.scene import Recovery, Scene
from tests.peers.stage import Stage
from tests.running import Notes, Running, wait_until

pytestmark = pytest.mark.usefixtures("no_thread_left_behind")

QUICK = {faults.killed_and_restarted, faults.unexpected_exception}
"""Of the rows, those that take some seconds; the others wait for stalls, keyframes or patience."""
PROC = Path("/proc/self")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("stage"))


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=row.__name__, marks=[] if row in QUICK else [pytest.mark.slow]) for row in faults.ROWS],
)
def test_recovery(
    row: Callable[[Stage], Recovery], stage: Stage, record_property: Callable[[str, object], None]
) -> None:
    """Each row asserts what it is about; the times go to the terminal (-s) and the report."""
    if row is faults.network_cut_and_back and (why := missing()):
        pytest.skip(why)
    recovery = faults.measure(row, stage)
    record_property("recovery", recovery)
    print(f"{row.__name__}: {recovery}")  # noqa: T201  this is asked for with -s


def test_the_table_is_of_these_rows() -> None:
    """docs/cameras.md is written by the rows; a row that was added, renamed or reworded asks for a new table."""
    text = faults.DOCUMENT.read_text(encoding="utf-8")
    written = text.partition(faults.BEGIN)[2].partition(faults.END)[0].strip().splitlines()[2:]
    assert [line.split("|")[1].strip() for line in written] == [faults.words(row) for row in faults.ROWS]


def test_stop_takes_under_2_s_whatever_the_cameras_do(stage: Stage) -> None:
    """One never answers, one fell silent in the middle, one refuses, one is well."""
    recognizer = stage.recognizer(batch_size=4)
    with ExitStack() as stack:
        deaf, silent, refusing, well = (stack.enter_context(FaultyServer({"/camera": stage.clip})) for _ in range(4))
        deaf.door, refusing.door = "deaf", "refusing"
        servers = {"deaf": deaf, "silent": silent, "refusing": refusing, "well": well}
        sources = [open_source(at.url("/camera"), recognizer.input, camera=name) for name, at in servers.items()]
        notes = Notes()
        running = Running(Engine(recognizer, sources, [notes], patient=True))
        wait_until(lambda: {"silent", "well"} <= {p.camera for p in notes.predictions} and refusing.knocks)
        silent.stall("/camera")
        time.sleep(0.3)
        asked = time.monotonic()
        running.engine.stop()
        running.result()
        assert time.monotonic() - asked < 2
        assert notes.closed == 1


@pytest.mark.slow
@pytest.mark.skipif(not PROC.exists(), reason="open files and memory are counted in /proc")
def test_200_reconnects_leave_nothing_behind(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread, no file, no socket; and no memory beyond what the first 100 took."""
    monkeypatch.setattr(readers, "BACKOFF_S", (0.01, 0.02))
    short = stage.brief
    with (
        FaultyServer({"/camera": short}, loop=False, per_client=True, speed=8) as server,
        Scene(server, stage.recognizer()) as scene,
    ):
        counts = []
        for reconnects in (20, 110, 200):
            scene.until(partial(lambda enough: len(scene.told()) >= 2 * enough, reconnects))  # lost, and back
            gc.collect()
            counts.append((threading.active_count(), len(list((PROC / "fd").iterdir())), _resident_mb()))
    threads, files, megabytes = zip(*counts, strict=True)
    print(f"threads {threads}, files {files}, MB {megabytes}")  # noqa: T201
    assert len(set(threads)) == 1
    assert max(files) - files[0] <= 4, "a connection more or less at the moment of counting"
    assert megabytes[2] - megabytes[1] < 4
    assert scene.stopped_in < 2


def _resident_mb() -> float:
    """Memory of this process in the machine."""
    pages = int((PROC / "statm").read_text().split()[1])
    return pages * 4096 / 2**20
