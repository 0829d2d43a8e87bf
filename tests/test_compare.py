"""`bench compare`: all ways answer alike before they are timed, and the network that is timed is an ordinary one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from export.compare import LIMIT, NAMES, OURS, WANTED, compare, random_network, random_run
from export.report import print_costs
from stream.commands.terminal import console
from stream.contracts import Input
from stream.errors import ConfigError
from train.models import ModelSettings, step
from train.runs import Run


def test_every_way_answers_alike(tiny_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    costs = compare(tiny_run, tmp_path, threads=1, repeats=1)
    assert [cost.name for cost in costs] == list(NAMES)
    assert {cost.name: cost.wanted for cost in costs if cost.wanted is not None} == WANTED
    assert all(cost.closeness <= LIMIT and cost.ms > 0 for cost in costs)
    ours = costs[-1]
    assert ours.name == OURS
    assert [cost.ratio for cost in costs] == pytest.approx([cost.ms / ours.ms for cost in costs])
    print_costs(costs, 1, console())
    shown = capsys.readouterr().out
    assert all(cost.name in shown for cost in costs)


def test_features_with_state_cannot_be_compared(tmp_path: Path) -> None:
    settings = ModelSettings(backbone="compact", motion="difference", units=8, embedding=8)
    run = random_run(tmp_path, settings, Input(48, 64), ["none", "one"])
    with pytest.raises(ConfigError, match="features keep state"):
        compare(run, tmp_path, threads=1)


def test_random_features_are_of_ordinary_size() -> None:
    """With fresh weights they are about 1e-12, and everything is close to everything."""
    network = random_network(ModelSettings(alpha=0.35, units=8, embedding=8), Input(64, 64), 3)
    pictures = np.random.default_rng(1).integers(0, 256, (4, 64, 64, 3), np.uint8)
    features = np.asarray(step(network.features, tf.constant(pictures), [])[0])
    assert 0.1 < features.std() < 10
    assert np.abs(features[0] - features[1]).max() > 0.1


def test_a_seed_gives_one_network() -> None:
    settings = ModelSettings(backbone="compact", units=8, embedding=8)
    one, same, other = (random_network(settings, Input(48, 64), 3, seed).features.get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
