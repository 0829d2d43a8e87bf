"""Every fault of a network camera that we know, made on a real server, and what it came to: docs/cameras.md's table.

Each function below is one row: its docstring is what the table says of the fault, what it returns is measured, and it
fails where the rule of the row is broken. tests/test_faults.py runs them as tests; this writes the table anew:

    python -m tests.faults [ROW ...]
"""

from __future__ import annotations

import json
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

from stream.contracts import Frame
from stream.sources import RtspSource, open_source
from tests.peers.namespace import is_inside, missing, run_inside, switch_loopback
from tests.peers.rtsp_faulty import FaultyServer
from tests.peers.scene import Recovery, Scene
from tests.peers.stage import Stage

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "cameras.md"
BEGIN, END = "<!-- faults: begin, written by python -m tests.faults -->", "<!-- faults: end -->"
GOP = 1.0
"""Seconds between two keyframes of the cameras below, where the row does not say otherwise."""
BUSY_S = 3.0
"""What a machine that does other things may add to a measured time before a row fails."""


def free_port() -> int:
    """A port at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


# away from the start


def offline_at_start(stage: Stage) -> Recovery:
    """Nothing listens when we start; 2 s later the camera is there."""
    with Scene(FaultyServer({"/camera": stage.clip}, port=free_port()), stage.recognizer()) as scene:
        scene.until_told("offline")
        time.sleep(2)
        over = scene.now()
        with scene.server:
            return scene.recovery(0, over, GOP)


def refused(stage: Stage) -> Recovery:
    """The camera hangs up on us, as if it had too many clients; for 2 s."""
    with FaultyServer({"/camera": stage.clip}) as server:
        server.door = "refusing"
        with Scene(server, stage.recognizer()) as scene:
            scene.until_told("offline")
            time.sleep(2)
            over, server.door = scene.now(), "open"
            return scene.recovery(0, over, GOP)


def wrong_password(stage: Stage) -> Recovery:
    """The camera wants another password; after 12 s it takes ours."""
    with FaultyServer({"/camera": stage.clip}, user="admin", password="other") as server:
        url = server.url("/camera", user="admin", password="hunter2")
        with Scene(server, stage.recognizer(), url=url) as scene:
            scene.until_told("offline")
            time.sleep(12)
            assert server.knocks <= 3, f"a storm: {server.knocks} tries in 12 s"
            over, server.password = scene.now(), "hunter2"
            recovery = scene.recovery(0, over, GOP)
        (health, reason), *_ = scene.told()
        assert health == "offline" and "password" in reason and "hunter2" not in str(scene.told())
        assert recovery.told == ("offline", "online"), "said once"
        return recovery


def wrong_path(stage: Stage) -> Recovery:
    """The camera knows no such path; 2 s later it does."""
    with FaultyServer({"/other": stage.clip}) as server, Scene(server, stage.recognizer()) as scene:
        scene.until_told("offline")
        time.sleep(2)
        over = scene.now()
        server.show("/camera", stage.clip)
        return scene.recovery(0, over, GOP)


def stalled_at_open(stage: Stage) -> Recovery:
    """The camera takes the connection and never answers, until we have given it up once."""
    with FaultyServer({"/camera": stage.clip}) as server:
        server.door = "deaf"
        with Scene(server, stage.recognizer()) as scene:
            scene.until_told("offline", "stalled")
            over, server.door = scene.now(), "open"
            return scene.recovery(0, over, GOP)


# there, and then away


def killed_and_restarted(stage: Stage) -> Recovery:
    """The camera loses power and is back after 2 s."""
    port = free_port()
    with Scene(FaultyServer({"/camera": stage.clip}, port=port), stage.recognizer()) as scene:
        with scene.server:
            scene.until_labelled()
            began = scene.now()
        scene.until_told("offline", since=began)
        time.sleep(2)
        scene.server = FaultyServer({"/camera": stage.clip}, port=port)
        over = scene.now()
        with scene.server:
            return scene.recovery(began, over, GOP)


def stalled_with_the_connection_open(stage: Stage) -> Recovery:
    """The camera falls silent, answers nothing wrong, and goes on after 8 s."""
    with FaultyServer({"/camera": stage.clip}) as server, Scene(server, stage.recognizer()) as scene:
        scene.until_labelled()
        began = scene.now()
        server.stall("/camera")
        time.sleep(8)
        over = scene.now()
        server.resume("/camera")
        recovery = scene.recovery(began, over, GOP)
        assert recovery.noticed is not None and recovery.noticed <= 3 + BUSY_S
        return recovery


def network_cut_and_back(stage: Stage) -> Recovery:
    """The network is cut (a namespace's loopback goes down) and is back after 8 s."""
    if not is_inside():
        measured = json.loads(run_inside("-m", "tests.faults", "--json", "network_cut_and_back", timeout=100))
        return Recovery(**measured | {"told": tuple(measured["told"])})
    switch_loopback(on=True)
    with FaultyServer({"/camera": stage.clip}) as server, Scene(server, stage.recognizer()) as scene:
        scene.until_labelled()
        began = scene.now()
        switch_loopback(on=False)
        time.sleep(8)
        over = scene.now()
        switch_loopback(on=True)
        return scene.recovery(began, over, GOP)


def another_codec_at_reconnect(stage: Stage) -> Recovery:
    """Somebody sets the camera to H.265, for which it hangs up on us."""
    with FaultyServer({"/camera": stage.clip}) as server, Scene(server, stage.recognizer()) as scene:
        scene.until_labelled()
        server.show("/camera", stage.hevc)
        began = scene.now()
        server.hang_up()
        return scene.recovery(began, began, GOP)


def unexpected_exception(stage: Stage) -> Recovery:
    """Our own reader has a bug and breaks down in the middle of the stream."""

    class Broken(RtspSource):
        def frames(self, session: int = 0) -> Iterator[Frame]:
            for frame in super().frames(session):
                if frame.index == 30:
                    scene.began = scene.now()
                    raise ZeroDivisionError("a bug")
                yield frame

    with FaultyServer({"/camera": stage.clip}) as server:
        recognizer = stage.recognizer()
        broken = Broken(server.url("/camera"), recognizer.input, camera="camera")
        with Scene(server, recognizer, [broken]) as scene:
            status = scene.until_told("offline")
            assert "unexpected ZeroDivisionError: a bug" in status.reason
            return scene.recovery(scene.began, scene.began, GOP)


def a_keyframe_every_10_s(stage: Stage) -> Recovery:
    """The camera hangs up, and sends a keyframe only every 10 s."""
    with (
        FaultyServer({"/camera": stage.rare_keys}, from_key=False) as server,
        Scene(server, stage.recognizer()) as scene,
    ):
        scene.until_labelled()
        began = scene.now()
        server.hang_up()
        return scene.recovery(began, began, 10.0)


# there all the time, but not as it should be


def packet_loss_1_percent(stage: Stage) -> Recovery:
    """Over UDP one packet in a hundred is lost."""
    return _lossy(stage, 0.01)


def packet_loss_5_percent(stage: Stage) -> Recovery:
    """Over UDP one packet in twenty is lost."""
    return _lossy(stage, 0.05)


def _lossy(stage: Stage, loss: float) -> Recovery:
    server = FaultyServer({"/camera": stage.clip})
    with server, Scene(server, stage.recognizer(), transport="udp") as scene:
        scene.until_labelled()
        began, server.loss = scene.now(), loss
        return scene.bearing(began, 10)


def garbage_packets(stage: Stage) -> Recovery:
    """For 8 s what is in every other packet is noise."""
    with FaultyServer({"/camera": stage.clip}) as server, Scene(server, stage.recognizer()) as scene:
        scene.until_labelled()
        began, server.garbage = scene.now(), 0.5
        scene.until_told("degraded")
        time.sleep(max(0.0, began + 8 - scene.now()))
        server.garbage = 0.0
        scene.until_told("online", since=scene.now())
        return scene.bearing(began, 1)


def another_resolution(stage: Stage) -> Recovery:
    """The pictures' size changes in the middle of the stream, every 2 s."""
    return _changing(stage, stage.two_sizes, sessions=3)


def another_frame_rate(stage: Stage) -> Recovery:
    """The camera goes from 25 frames a second to 5 and back, without a word."""
    return _changing(stage, stage.two_rates, sessions=1)


def _changing(stage: Stage, clip: Path, sessions: int) -> Recovery:
    """A camera whose own pictures change; labels come of at least so many sessions, and it is never away."""
    with FaultyServer({"/camera": clip}) as server, Scene(server, stage.recognizer()) as scene:
        scene.until_labelled()
        recovery = scene.bearing(scene.now(), 6)
        assert len({label.session for _, label in scene.journal.labels}) >= sessions
        assert set(recovery.told) <= {"online"}
        return recovery


def clock_jump(stage: Stage) -> Recovery:
    """The camera sets its clock an hour ahead, and 2 s later half an hour back."""
    with FaultyServer({"/camera": stage.clip}) as server, Scene(server, stage.recognizer()) as scene:
        scene.until_labelled()
        began = scene.now()
        for jump in (3600.0, 1800.0):
            session, server.jump = scene.journal.labels[-1][1].session, jump
            scene.until(partial(lambda old: scene.journal.labels[-1][1].session > old, session))
            time.sleep(2)
        recovery = scene.bearing(began, 0)
        assert all(0 <= label.dt <= scene.recognizer.input.max_gap for _, label in scene.journal.labels)
        return recovery


def one_slow_and_fifteen_well(stage: Stage) -> Recovery:
    """Of sixteen cameras one sends a picture every 1.5 s; then it falls silent. The pause is the others' longest."""
    clips = {f"/{index}": stage.slow if index == 0 else stage.small for index in range(16)}
    recognizer = stage.recognizer(batch_size=16)
    with FaultyServer(clips) as server:
        sources = [open_source(server.url(path), recognizer.input, camera=path[1:]) for path in clips]
        with Scene(server, recognizer, sources) as scene:
            scene.until(lambda: {label.camera for _, label in scene.journal.labels} == {path[1:] for path in clips})
            began = scene.now()
            time.sleep(5)
            server.stall("/0")
            status = scene.until_told("stalled", since=began)
            time.sleep(2)
            pauses = [scene.journal.longest_pause(path[1:], began) for path in clips][1:]
            assert status.camera == "0" and max(pauses) < BUSY_S
            told = {status.camera for at, status in scene.journal.statuses if at >= began}
            assert told == {"0"}, "nobody else was away"
            return Recovery(("stalled",), pause=max(pauses))


ROWS: tuple[Callable[[Stage], Recovery], ...] = (
    offline_at_start,
    refused,
    wrong_password,
    wrong_path,
    stalled_at_open,
    killed_and_restarted,
    stalled_with_the_connection_open,
    network_cut_and_back,
    packet_loss_1_percent,
    packet_loss_5_percent,
    garbage_packets,
    another_resolution,
    another_codec_at_reconnect,
    another_frame_rate,
    clock_jump,
    a_keyframe_every_10_s,
    one_slow_and_fifteen_well,
    unexpected_exception,
)


def measure(row: Callable[[Stage], Recovery], stage: Stage) -> Recovery:
    """What came of a row; the rule that holds for all of them is checked here."""
    recovery = row(stage)
    if recovery.opened is not None and recovery.limit is not None:
        assert recovery.opened <= recovery.limit + BUSY_S, f"{row.__name__}: {recovery}"
    return recovery


def words(row: Callable[[Stage], Recovery]) -> str:
    """What the table says of a row."""
    return (row.__doc__ or "").rstrip(".")


def table(recoveries: dict[str, Recovery | str]) -> str:
    """The measured rows as Markdown; one that cannot be measured here says why."""
    lines = [
        "| fault | what is told | noticed after | first label, from the fault's end | warm label, from the opening |"
        " longest pause |",
        "|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        if row.__name__ not in recoveries:
            continue
        came = recoveries[row.__name__]
        if isinstance(came, str):
            lines.append(f"| {words(row)} | {came} | | | | |")
            continue
        limit = f" (limit {came.limit:.1f})" if came.limit is not None else ""
        cells = [_seconds(came.noticed), _seconds(came.back), _seconds(came.opened) + limit, _seconds(came.pause)]
        lines.append(f"| {words(row)} | {', '.join(came.told) or 'nothing'} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} s"


def main(names: list[str]) -> None:
    """Measures the rows of these names, or all of them, and writes the table."""
    recoveries: dict[str, Recovery | str] = {}
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder))
        for row in ROWS:
            if names and row.__name__ not in names:
                continue
            recoveries[row.__name__] = (
                why if (row is network_cut_and_back and (why := missing())) else measure(row, stage)
            )
            sys.stderr.write(f"{row.__name__}: {recoveries[row.__name__]}\n")
    if len(recoveries) < len(ROWS):
        sys.stdout.write(table(recoveries) + "\n")
        return
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{table(recoveries)}\n\n{END}{after}", encoding="utf-8")


def print_json(name: str) -> None:
    """Measures one row, for the process that asked."""
    row = next(row for row in ROWS if row.__name__ == name)
    with tempfile.TemporaryDirectory() as folder:
        sys.stdout.write(json.dumps(asdict(row(Stage(Path(folder))))))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--json"]:
        print_json(sys.argv[2])
    else:
        main(sys.argv[1:])
