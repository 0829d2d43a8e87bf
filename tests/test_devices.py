"""Training in bfloat16, and on several devices: two CPUs stand in for two graphics cards, and learn what one learns."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

from stream.contracts import Input
from train import fit
from train.cache import ArrayCache
from train.models import ModelSettings, build, step
from train.runs import load_run
from train.settings import read_recipe

ROOT = Path(__file__).resolve().parent.parent
TWO_DEVICES = """
import keras, numpy as np, tensorflow as tf
cpu, two = tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
from stream.contracts import Input
from train.models import ModelSettings, build
from train.settings import StageSettings
from train.stepper import Batch, Stepper, strategy_of

def learned(devices, dropout):
    keras.utils.set_random_seed(0)
    strategy = strategy_of(devices)
    with strategy.scope():
        model = ModelSettings(backbone="blocks", head="recurrent", cells=(6,), dropout=dropout)
        network = build(model, Input(16, 16), 3)
    stage = StageSettings(kind="finetune", epochs=1, batch=4, window=3, clip_norm=0.5)
    stepper = Stepper(network, stage, classes=3, seed=0, strategy=strategy)
    rng = np.random.default_rng(0)
    results = []
    for _ in range(3):
        batch = Batch(
            shown=rng.integers(0, 256, (4, 3, 16, 16, 3), np.uint8),
            targets=rng.integers(0, 3, (4, 3)).astype(np.int32),
            weights=np.full((4, 3), 1 / 3, np.float32),
            partners=np.array([3, 2, 1, 0], np.int32),
            carried=np.array([1, 0, 1, 1], np.float32),
        )
        results.append(stepper.step(batch, 1.0))
    return strategy.num_replicas_in_sync, np.array(results), [v.numpy() for v in network.head.trainable_variables]

(one, ours, head), (two, theirs, other) = learned("one", 0.0), learned("all", 0.0)
assert (one, two) == (1, 2), (one, two)
np.testing.assert_allclose(ours, theirs, atol=1e-4)
for a, b in zip(head, other, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-4)
assert abs(ours[0, 0] - ours[2, 0]) > 1e-4
assert np.isfinite(learned("all", 0.5)[1]).all()
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_devices_learn_what_one_learns() -> None:
    ran = subprocess.run([sys.executable, "-c", TWO_DEVICES], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]


def test_bfloat16_is_inside_the_backbone_alone() -> None:
    keras.utils.set_random_seed(0)
    settings = ModelSettings(backbone="compact", head="gru", units=8)
    exact, mixed = (build(settings, Input(48, 64), 3, precision=each) for each in ("float32", "bfloat16"))
    mixed.features.set_weights(exact.features.get_weights())
    pictures = tf.constant(np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3), np.uint8))
    expected, got = (step(network.features, pictures, [])[0] for network in (exact, mixed))
    assert got.dtype == tf.float32
    scale = float(np.abs(expected).max())
    assert 0 < np.abs(expected - got).max() < 0.05 * scale
    assert {variable.dtype for variable in mixed.features.variables} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.timeout(300)
def test_a_run_trained_in_bfloat16_is_a_run_like_any_other(class_folders: Path, tmp_path: Path) -> None:
    changes = {
        "model.backbone": "compact", "model.weights": None, "stages.*.epochs": 1, "input.height": 32, "input.width": 32,
        "decision.streams": 1, "decision.seconds": 3, "data.validation": 0.25, "compute.precision": "bfloat16",
    }  # fmt: skip
    cache = ArrayCache(tmp_path / "cache")
    recipe = read_recipe("vgg16-frame", changes)
    run = fit.train(class_folders, recipe, tmp_path / "run", cache=cache, console=Console(quiet=True))
    assert {layer.compute_dtype for layer in run.network.features.layers} <= {"float32", "uint8"}
    loaded = load_run(tmp_path / "run")
    pictures = tf.constant(np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8))
    ours, theirs = (np.asarray(step(each.network.features, pictures, [])[0]) for each in (run, loaded))
    np.testing.assert_array_equal(ours, theirs)
