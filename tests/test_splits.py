"""Official parts in divisions: the test set is held out once, in no fold; validation comes from groups that train."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from stream.errors import ConfigError
from train.datasets import Dataset, Part, Recording
from train.splits import Split, fold_of, measured, split


def official(parts: Sequence[Part | None], groups: int = 10) -> Dataset:
    """Two classes, in each `groups` groups of two clips a part."""
    recordings = [
        Recording(Path(f"{label}/{part}_{group}_{clip}"), f"{part}_{group}", label, part=part)
        for part in parts
        for group in range(groups)
        for label in ("clap", "wave")
        for clip in range(2)
    ]
    return Dataset(Path("data"), ("none", "clap", "wave"), "none", tuple(recordings), untrimmed=False)


def of(dataset: Dataset, part: Part) -> tuple[int, ...]:
    return tuple(i for i, each in enumerate(dataset.recordings) if each.part == part)


def groups(dataset: Dataset, members: tuple[int, ...]) -> set[str]:
    return {dataset.recordings[i].group for i in members}


@pytest.mark.parametrize("seed", range(3))
def test_the_test_set_is_held_out_and_validation_is_carved_from_whole_groups_that_train(seed: int) -> None:
    dataset = official(("training", "test"))
    divided = split(dataset, validation=0.2, seed=seed)
    assert divided.held_out == of(dataset, "test")
    assert sorted(divided.training + divided.validation) == list(of(dataset, "training"))
    assert len(groups(dataset, divided.validation)) == 2
    assert not groups(dataset, divided.training) & groups(dataset, divided.validation)
    assert {dataset.recordings[i].label for i in divided.validation} == {"clap", "wave"}


def test_an_official_validation_set_is_taken_as_it_is() -> None:
    dataset = official(("training", "validation", "test"))
    assert split(dataset, validation=0.2, seed=0) == Split(
        of(dataset, "training"), of(dataset, "validation"), of(dataset, "test")
    )
    # A recipe without validation trains on it, too; never on the test set.
    everything = split(dataset, validation=0, seed=0)
    assert everything.training == tuple(sorted(of(dataset, "training") + of(dataset, "validation")))
    assert everything.held_out == of(dataset, "test")


def test_no_fold_touches_the_test_set() -> None:
    dataset = official(("training", "validation", "test"))
    held_out: list[int] = []
    for fold in range(4):
        divided = split(dataset, validation=0.25, seed=1, fold=fold, folds=4)
        assert divided.held_out == fold_of(dataset, fold, 4, 1)
        everything = {*divided.training, *divided.validation, *divided.held_out}
        assert not everything & set(of(dataset, "test"))
        held_out += divided.held_out
    assert sorted(held_out) == sorted(of(dataset, "training") + of(dataset, "validation"))


def test_a_finished_model_is_measured_on_the_test_set_alone() -> None:
    assert measured(official(("training", "test"))) == of(official(("training", "test")), "test")
    assert len(measured(official((None,)))) == 40


def test_what_cannot_be_divided_is_told() -> None:
    with pytest.raises(ConfigError, match="all recordings are for test or validation"):
        split(official(("validation", "test")), validation=0.2, seed=0)
    one = official(("training", "test"), groups=1)
    with pytest.raises(ConfigError, match=r"class 'clap' has 2 clips of one group \(training_0\)"):
        split(one, validation=0.2, seed=0)
    assert split(one, validation=0, seed=0).held_out == of(one, "test")
    with pytest.raises(ConfigError, match="no fold 2 of 2"):
        fold_of(official((None,)), 2, 2, 0)
