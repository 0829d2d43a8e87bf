"""A camera that fails before a running engine, and what the engine told of it, with times. No row of the table is here.

with Scene(server, recognizer) as scene:
    scene.until_labelled()
    fault = scene.now()
    server.hang_up()
    return scene.recovery(fault, over=fault, gop=1.0)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import TracebackType
from typing import Any

from stream.bench.rtsp_server import RtspServer
from stream.contracts import Event, Health, Prediction, Source, Status
from stream.engine import Engine
from stream.recognizer import Recognizer
from stream.sources import open_source
from tests.running import Running

PATIENCE_S = 60.0


@dataclass(frozen=True)
class Recovery:
    """What a fault came to, in seconds; None where that does not apply.

    Attributes:
        told: how the camera was told to be, in order, once labels had come.
        noticed: from the fault to being told.
        back: from the end of the fault to the next label.
        opened: from the first successful opening, at which the camera sends, to the first label of a warm state;
            `limit` is what the rule allows.
        pause: the longest silence between two labels.
    """

    told: tuple[Health, ...]
    noticed: float | None = None
    back: float | None = None
    opened: float | None = None
    limit: float | None = None
    pause: float | None = None


@dataclass
class Journal:
    """A sink that notes what it is told, and when."""

    labels: list[tuple[float, Prediction]] = field(default_factory=list)
    events: list[tuple[float, Event]] = field(default_factory=list)
    statuses: list[tuple[float, Status]] = field(default_factory=list)

    def prediction(self, prediction: Prediction) -> None:
        """Notes it."""
        self.labels.append((time.monotonic(), prediction))

    def event(self, event: Event) -> None:
        """Notes it."""
        self.events.append((time.monotonic(), event))

    def status(self, status: Status) -> None:
        """Notes it."""
        self.statuses.append((time.monotonic(), status))

    def close(self) -> None:
        """Nothing is held back."""

    def longest_pause(self, camera: str, since: float) -> float:
        """Seconds between the two labels of `camera` that were told farthest apart after `since`."""
        times = [at for at, label in self.labels if label.camera == camera and at >= since]
        return max(after - before for before, after in pairwise(times))


class Scene:
    """An engine that watches a server's `/camera`, from `__enter__` to `__exit__`; it is patient.

    Attributes:
        server: where the camera is; its last client's opening counts for `Recovery.opened`.
        journal: what was told.
        began: for rows whose fault begins in another thread: when.
    """

    def __init__(
        self,
        server: RtspServer,
        recognizer: Recognizer,
        sources: Sequence[Source] | None = None,
        *,
        transport: Any = "tcp",
        url: str | None = None,
        **options: Any,
    ) -> None:
        """Makes the scene; nothing runs yet.

        Args:
            server: entered, or to be entered once the camera is to be there.
            recognizer: judges.
            sources: the cameras; None for one, named `camera`.
            transport: of that one.
            url: of that one, where it is not the server's own.
            options: of the engine.
        """
        self.server, self.recognizer = server, recognizer
        self.journal = Journal()
        self.began = 0.0
        sources = sources or [
            open_source(url or server.url("/camera"), recognizer.input, camera="camera", transport=transport)
        ]
        self._engine = Engine(recognizer, sources, [self.journal], patient=True, **options)

    def __enter__(self) -> Scene:
        self._running = Running(self._engine)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asked = time.monotonic()
        self._engine.stop()
        self._running.result()
        self.stopped_in = time.monotonic() - asked

    def until(self, condition: Callable[[], Any]) -> None:
        """Waits until `condition()`; fails when that takes longer than any fault may."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"waited {PATIENCE_S:.0f} s; told so far: {self.told()}"
            assert self._running.outcome is None, self._running.outcome
            time.sleep(0.005)

    def until_labelled(self, camera: str = "camera") -> None:
        """Waits for a label of a warm state."""
        self.until(lambda: any(label.warm and label.camera == camera for _, label in self.journal.labels))

    def until_told(self, *health: Health, since: float = 0.0) -> Status:
        """The first status of that health told after `since`, once it was."""
        found: list[Status] = []

        def look() -> bool:
            found.extend(told for at, told in self.journal.statuses if at >= since and told.health in health)
            return bool(found)

        self.until(look)
        return found[0]

    def told(self, camera: str = "camera") -> list[tuple[Health, str]]:
        """How the camera was told to be, so far, and why."""
        return [(told.health, told.reason) for _, told in self.journal.statuses if told.camera == camera]

    def recovery(self, began: float, over: float, gop: float) -> Recovery:
        """What became of a fault that `began`, and was `over`, at times of `time.monotonic()`.

        Waits for a warm label of a session that began after `over`; nothing may have been labelled in between.

        Args:
            began: when the camera went away; 0 where it was away from the start.
            over: when it could be reached again.
            gop: seconds between its keyframes.
        """
        before = max((label.session for at, label in self.journal.labels if at < began), default=-1)

        def fresh() -> list[tuple[float, Prediction]]:
            return [(at, label) for at, label in self.journal.labels if label.session > before]

        self.until(lambda: any(label.warm for _, label in fresh()))
        labels = fresh()
        first_at, first = labels[0]
        warm_at = next(at for at, label in labels if label.warm)
        statuses = [(at, status.health) for at, status in self.journal.statuses if at >= began]
        away = [at for at, health in statuses if health in ("stalled", "offline")]
        online = [at for at, health in statuses if health == "online"]
        assert away, f"nothing was told: {self.told()}"
        assert first_at >= over, "labelled while the camera was away"
        assert first.dt == 0.0, "the first label of a session begins afresh"
        # The first opening at which the camera sends: one that is stalled may have let us in before.
        opened = min((at for at in self.server.played if at >= over), default=over)
        assert online and opened <= online[-1] <= warm_at
        rate = self.recognizer.input.rate or 25.0
        return Recovery(
            told=tuple(health for _, health in statuses),
            noticed=away[0] - began if began else None,
            back=first_at - over,
            opened=warm_at - opened,
            limit=gop + self.recognizer.bundle.spec.temporal.warmup / rate,
        )

    def bearing(self, began: float, seconds: float) -> Recovery:
        """What `seconds` more of a camera come to that is there all the time, though not as it should be."""
        time.sleep(seconds)
        told = tuple(status.health for at, status in self.journal.statuses if at >= began)
        assert not {"stalled", "offline", "failed"} & set(told), self.told()
        return Recovery(told, pause=self.journal.longest_pause("camera", began))

    @staticmethod
    def now() -> float:
        """The time that everything here is measured in."""
        return time.monotonic()
