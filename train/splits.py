"""Which recordings train, which validate and which are held out: whole groups only, labels spread evenly.

Two frames of one clip, or two clips of one person on one day, are nearly the same picture: a split that separates them
measures memory, not recognition. Pure functions on a Dataset; the seed decides everything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.errors import ConfigError
from train.datasets import fingerprint
from train.recordings import Dataset, Part

TRIALS = 100
"""Random orders that are tried; the most even division of them is taken."""


@dataclass(frozen=True)
class Split:
    """Numbers of recordings, in order; a group is in exactly one of the three.

    Attributes:
        training: what weights and thresholds are fitted on.
        validation: what chooses the best epoch; empty where the schedule is fixed.
        held_out: what nothing was fitted on: a fold, or an official test set; empty where there is neither.
    """

    training: tuple[int, ...]
    validation: tuple[int, ...]
    held_out: tuple[int, ...]


def split(dataset: Dataset, *, validation: float, seed: int, fold: int | None = None, folds: int = 5) -> Split:
    """Training, validation and held-out recordings.

    An official test set is what is held out; it neither trains nor validates. Folds are of all else: who compares
    folds does not touch the test set at all. An official validation set is taken as it is; without one, and in folds,
    validation is carved from the groups that train.

    Args:
        dataset: what to divide.
        validation: share of the groups that remain after what is held out; 0 for none.
        seed: decides the division.
        fold: 0-based number of the fold to hold out, or None.
        folds: number of folds.

    Raises:
        ConfigError: a class that cannot be divided, a fold that is not there, or nothing to train on.
    """
    if fold is not None:
        held_out = fold_of(dataset, fold, folds, seed)
        rest = tuple(sorted(set(outside_test(dataset)) - set(held_out)))
    else:
        held_out = _of_part(dataset, "test")
        rest = outside_test(dataset)
    official = () if fold is not None else _of_part(dataset, "validation")
    if validation == 0:
        kept: tuple[int, ...] = ()
    elif official:
        kept = official
    else:
        left = "" if fold is None else f" outside fold {fold} of {folds}"
        _check_divisible(dataset, rest, left)
        kept = divide(dataset, rest, _parts(dataset, rest, validation, left), seed)[0]
    training = tuple(sorted(set(rest) - set(kept)))
    if not training:
        raise ConfigError(f"{dataset.root}: all recordings are for test or validation; correct its lists, or --split")
    return Split(training, kept, held_out)


def _parts(dataset: Dataset, rest: tuple[int, ...], validation: float, left: str) -> int:
    """How many parts of the groups of `rest` there are, of which one validates.

    Raises:
        ConfigError: fewer groups than that.
    """
    parts, groups = max(2, round(1 / validation)), len({dataset.recordings[i].group for i in rest})
    if groups < parts:
        larger = f"raise it (--set data.validation={1 / groups:.2g}), " if groups >= 2 else ""
        raise ConfigError(
            f"{dataset.root} has {groups} groups{left}, too few to validate on a share of {validation:g}: expected "
            f"{parts} or more, for groups are never divided; {larger}add recordings of other sequences or people, or "
            "validate on nothing (--set data.validation=0)"
        )
    return parts


def fold_of(dataset: Dataset, fold: int, folds: int, seed: int) -> tuple[int, ...]:
    """Numbers of the recordings that are held out in a fold; those of an official test set are in none.

    Raises:
        ConfigError: a class that cannot be divided, or a fold that is not there.
    """
    if not (folds >= 2 and 0 <= fold < folds):
        raise ConfigError(f"no fold {fold} of {folds}: expected a fold from 0 to {folds - 1}, of at least 2")
    members = outside_test(dataset)
    _check_divisible(dataset, members)
    return divide(dataset, members, folds, seed)[fold]


def held_out_by(provenance: Mapping[str, Any], dataset: Dataset) -> tuple[int, ...] | None:
    """Numbers of the recordings that a model did not learn from; None where it was trained on other data.

    Args:
        provenance: the model's: its data, its fold and the seed that divided them.
        dataset: read with the groups and the split that the model was trained with, for these decide its folds.
    """
    trained = provenance.get("data", {})
    if trained.get("digest") != fingerprint(dataset):
        return None
    fold = re.fullmatch(r"(\d+) of (\d+)", trained.get("fold") or "")
    if fold is None:
        return _of_part(dataset, "test")
    return fold_of(dataset, int(fold[1]), int(fold[2]), int(provenance["seed"]))


def measured(dataset: Dataset) -> tuple[int, ...]:
    """Numbers of the recordings that a finished model is measured on: the official test set, or all without one."""
    return _of_part(dataset, "test") or tuple(range(len(dataset.recordings)))


def outside_test(dataset: Dataset) -> tuple[int, ...]:
    """Numbers of the recordings that are in no official test set."""
    return tuple(i for i, recording in enumerate(dataset.recordings) if recording.part != "test")


def _of_part(dataset: Dataset, part: Part) -> tuple[int, ...]:
    return tuple(i for i, recording in enumerate(dataset.recordings) if recording.part == part)


def divide(dataset: Dataset, members: tuple[int, ...], parts: int, seed: int) -> list[tuple[int, ...]]:
    """`members` in `parts` lists of whole groups, each with as even a share of every label as can be found.

    Raises:
        ConfigError: fewer groups than parts.
    """
    names = sorted({dataset.recordings[i].group for i in members})
    if len(names) < parts:
        raise ConfigError(
            f"{dataset.root} has {len(names)} groups, too few for {parts} folds: groups are never divided; add "
            "recordings of other sequences or people, or lower --folds"
        )
    counts = np.zeros((len(names), len(dataset.labels)))
    for i in members:
        counts[names.index(dataset.recordings[i].group)] += dataset.counts(dataset.recordings[i])
    # Groups without a label are spread as evenly as the label itself: each part shall hold both kinds.
    balanced = np.hstack([counts, counts == 0])
    shares = balanced / np.maximum(balanced.sum(0), 1)
    rng = np.random.default_rng([seed, parts])
    candidates = [_assign(shares, parts, rng) for _ in range(TRIALS)]
    best = min(candidates, key=lambda assigned: _unevenness(shares, assigned, parts))
    part_of = dict(zip(names, best.tolist(), strict=True))
    return [tuple(i for i in members if part_of[dataset.recordings[i].group] == part) for part in range(parts)]


def _assign(shares: NDArray[np.float64], parts: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Part numbers (G,): the groups in a random order, each to the part that it leaves most even."""
    sums = np.zeros((parts, shares.shape[1]))
    assigned = np.zeros(len(shares), np.int64)
    left = len(shares)
    for group in rng.permutation(len(shares)):
        empty = np.flatnonzero(sums.sum(1) == 0)
        # The last groups go where nothing is yet: no part may stay empty.
        choices = empty if len(empty) >= left else np.arange(parts)
        # Of all parts' squares only the chosen one's changes: (s + g)^2 - s^2 = 2 s g + g^2.
        part = choices[np.argmin((sums[choices] * shares[group]).sum(1))]
        sums[part] += shares[group]
        assigned[group] = part
        left -= 1
    return assigned


def _unevenness(shares: NDArray[np.float64], assigned: NDArray[np.int64], parts: int) -> float:
    sums = np.stack([shares[assigned == part].sum(0) for part in range(parts)])
    return float(((sums - 1 / parts) ** 2).sum())


def _check_divisible(dataset: Dataset, members: tuple[int, ...], left: str = "") -> None:
    """Raises ConfigError where a class has one clip, or one group, in `members`, the recordings that `left` names."""
    if dataset.untrimmed:
        return
    for label in dataset.labels:
        clips = [dataset.recordings[i] for i in members if dataset.recordings[i].label == label]
        groups = {recording.group for recording in clips}
        if len(clips) == 1:
            raise ConfigError(
                f"class {label!r} has one clip{left} ({clips[0].path.name}): it cannot both train and validate; "
                "expected at least two of different groups, so add a clip, or give --set data.validation=0"
            )
        if len(groups) == 1:
            raise ConfigError(
                f"class {label!r} has {len(clips)} clips of one group{left} ({groups.pop()}): groups are never "
                "divided; add a clip of another sequence or person, correct --group, or give --set data.validation=0"
            )
