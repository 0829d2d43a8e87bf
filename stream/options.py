"""What a recognizer may be asked for beside its bundle, and what of it cannot be. Pure: no graph is opened."""

from __future__ import annotations

from collections.abc import Sequence

from stream.bundle import Bundle
from stream.contracts import MODES, Mode
from stream.errors import ConfigError
from stream.staggered import shortest_memory


def require_possible(
    bundle: Bundle, batch_sizes: Sequence[int], mode: Mode, window: int | None, *, gated: bool, joined: str | None
) -> None:
    """Raises ConfigError unless ticks can be stepped through `bundle` so.

    Args:
        bundle: whose graphs.
        batch_sizes: rows of a run, ascending.
        mode: how the past is carried.
        window: ticks of a window, or from restart to restart; None in carry mode.
        gated: with a motion gate before the backbone.
        joined: how both graphs are run as one, in a word, `resident` or `fused`; None where they are run as two.
    """
    keeps_state = bool(bundle.spec.features.state)
    if not batch_sizes or batch_sizes[0] < 1:
        got = ", ".join(map(str, batch_sizes)) or "none"
        raise ConfigError(f"batch_size: expected 1 or more, got {got}")
    if mode not in MODES:
        raise ConfigError(f"mode: expected one of {', '.join(MODES)}, got {mode!r}")
    if window is not None and window < 1:
        raise ConfigError(f"window: expected 1 tick or more, got {window}; {bundle.model} names none of its own")
    if mode == "window" and keeps_state:
        raise ConfigError(
            f"mode: {bundle.model} keeps state in its features and expects carry or staggered, got window"
        )
    if mode == "staggered" and window is not None:
        _require_replicas(bundle, window)
    if joined and (mode != "carry" or gated):
        got = f"mode {mode}" + (" and a gate" if gated else "")
        raise ConfigError(f"{joined}: expected mode carry and no gate, got {got}; leave it out, or the other")
    if gated and keeps_state:
        raise ConfigError(f"gate: {bundle.model} keeps state in its features and must see every tick; expected no gate")


def largest_batch(bundle: Bundle, mode: Mode) -> int | None:
    """The most ticks that a run may hold by what the bundle promises (`max_batch`); None where it promises no limit.

    Raises:
        ConfigError: it is not even one: the replicas of a staggered head are rows, too.
    """
    most = bundle.spec.max_batch
    if most is None or mode != "staggered":
        return most
    replicas = bundle.spec.temporal.replicas
    if most < replicas:
        raise ConfigError(
            f"mode: {bundle.model} promises batches of {most} at most, expected {replicas} or more for the replicas of "
            "mode staggered; export it with a larger --max-batch, or choose another mode"
        )
    return most // replicas


def _require_replicas(bundle: Bundle, period: int) -> None:
    """Raises ConfigError unless the replica that speaks is always past the warm-up."""
    temporal = bundle.spec.temporal
    if period < temporal.replicas or shortest_memory(period, temporal.replicas) < temporal.warmup:
        raise ConfigError(
            f"window: expected ticks enough that the oldest of {temporal.replicas} replicas always is past the "
            f"warm-up of {temporal.warmup} ticks, got {period}; give more"
        )
