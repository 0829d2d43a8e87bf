"""Whether scores mean what they say: of what is told with 0.8, four in five should be right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15
"""Of equal width, as in Guo et al."""


@dataclass(frozen=True, eq=False)
class Reliability:
    """A reliability diagram.

    Attributes:
        counts: (M,) int64 ticks whose highest score lies in each bin ((m - 1) / M, m / M].
        confidence: (M,) float64 their mean highest score; 0 in an empty bin.
        accuracy: (M,) float64 share of them that is right; 0 in an empty bin.
    """

    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def ece(self) -> float | None:
        """Expected calibration error: sum over bins of counts / T |accuracy - confidence|; None without ticks.

        Guo et al., On Calibration of Modern Neural Networks, ICML 2017, equation 3.
        """
        total = self.counts.sum()
        return float(np.abs(self.accuracy - self.confidence) @ self.counts / total) if total else None


def reliability(scores: NDArray[np.float32], targets: NDArray[np.int32], bins: int = BINS) -> Reliability:
    """The reliability diagram of the highest of scores (T, K), right where it is that of `targets` (T,)."""
    highest = scores.max(axis=1).astype(np.float64)
    right = scores.argmax(axis=1) == targets
    place = np.clip(np.ceil(highest * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    divisor = np.maximum(counts, 1)
    return Reliability(
        counts,
        np.bincount(place, weights=highest, minlength=bins) / divisor,
        np.bincount(place, weights=right, minlength=bins) / divisor,
    )


def uncalibrated(scores: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """The scores (T, K) that the logits gave before they were divided by `temperature`.

    softmax(z) is softmax(z / t) to the power of t, up to the sum.
    """
    powers: NDArray[np.float64] = scores.astype(np.float64) ** temperature
    powers /= powers.sum(axis=1, keepdims=True)
    return powers.astype(np.float32)


def log_loss(logits: NDArray[np.float32], targets: NDArray[np.int32], temperature: float) -> float:
    """Mean cross-entropy in nats of logits (T, K) at a temperature."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    chosen = scaled[np.arange(len(targets)), targets]
    return float((np.log(np.exp(scaled).sum(axis=1)) - chosen).mean())
