"""What a run came to: counts of the cameras and of the whole. Only values live here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CameraSummary:
    """What became of one camera.

    Attributes:
        frames: decoded.
        ticks: sampled, of all its tracks.
        dropped: of these, not judged: pushed out by newer ones, too old when their turn came (`stale`), or left out
            because the engine did not keep up with its cameras (`thinned`).
        faults: ticks judged to be none because their numbers were not finite, or their run failed.
        corrupt: packets that could not be decoded and were passed over, and pictures that are not whole.
        skipped: packets that were not decoded, since decoding had fallen behind the camera.
        sessions: with at least one tick.
        reopened: times that it was lost and came back.
        media_s: media seconds covered, over all sessions.
        error: why it ended early, or never began; None when it went well.
    """

    frames: int
    ticks: int
    dropped: int
    stale: int
    thinned: int
    faults: int
    corrupt: int
    skipped: int
    sessions: int
    reopened: int
    media_s: float
    error: str | None

    def after(self, earlier: CameraSummary) -> CameraSummary:
        """This and what became of it `earlier`, before it was removed and added again."""
        numbers = {name: value + getattr(earlier, name) for name, value in vars(self).items() if name != "error"}
        return CameraSummary(**numbers, error=self.error)


@dataclass(frozen=True)
class Summary:
    """What became of a run.

    Attributes:
        cameras: by name.
        predictions, events: labels told, and events that started.
        undelivered: results that slow sinks of live cameras, or sinks that were left behind, never got.
        unsaved: frames of live cameras that slow sinks of frames never wrote.
        latency_ms: median, 95th percentile and maximum.
        overloaded_s: seconds during which the engine did not keep up, and live cameras had ticks left out.
        paced: False where a file was read as fast as it goes: latency then is mostly waiting in the queue.
        wall_s: how long it ran.
    """

    cameras: dict[str, CameraSummary]
    predictions: int
    events: int
    undelivered: int
    unsaved: int
    latency_ms: tuple[float, float, float]
    overloaded_s: float
    paced: bool
    wall_s: float
