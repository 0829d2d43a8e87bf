"""The networks: one step and a whole sequence are the same, states say what was seen, statistics stay as they were."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from pydantic import ValidationError

from stream.contracts import Input
from stream.errors import ConfigError
from train.models import ModelSettings, Network, batch_norms, build, step, unroll, zeros

SEEN = Input(48, 64)
SMALL = ModelSettings(backbone="MobileNetV2", alpha=0.35, units=8, embedding=8)


def frames(count: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, SEEN.height, SEEN.width, 3), np.uint8)


@pytest.fixture(scope="module")
def moving() -> Network:
    keras.utils.set_random_seed(0)  # what is untrained is seen through random weights: of six seeds, two show it less
    return build(ModelSettings(backbone="compact", motion="difference", units=8, embedding=8), SEEN, 3)


@pytest.fixture(scope="module")
def mobile() -> Network:
    return build(SMALL, SEEN, 3)


@pytest.mark.parametrize("evidence", [0.0, 4.0])
@pytest.mark.parametrize("head", ["miniroad", "gru"])
def test_a_sequence_is_its_steps(head: Literal["miniroad", "gru"], evidence: float) -> None:
    settings = ModelSettings(backbone="compact", head=head, units=8, embedding=8, evidence=evidence)
    network = build(settings, SEEN, 3)
    features = tf.random.stateless_normal((2, 5, network.dimension), seed=(1, 2))
    logits, last = unroll(network.head, features, zeros(network.head_state, 2))

    states = zeros(network.head_state, 2)
    for t in range(5):
        expected, states = step(network.head, features[:, t], states)
        np.testing.assert_allclose(logits[:, t], expected, atol=1e-6)
    np.testing.assert_allclose(last[0], states[0], atol=1e-6)
    assert float(np.abs(logits[:, 4] - logits[:, 0]).max()) > 1e-2  # the steps do differ


def test_evidence_is_the_average_of_what_each_tick_says() -> None:
    """By hand: an exponential average from zero, of the logits of the same weights without one."""
    plain = build(ModelSettings(backbone="compact", units=8, embedding=8), SEEN, 3)
    gathering = build(ModelSettings(backbone="compact", units=8, embedding=8, evidence=4), SEEN, 3)
    gathering.head.set_weights(plain.head.get_weights())
    features = tf.random.stateless_normal((1, 6, plain.dimension), seed=(1, 2))
    each, _ = unroll(plain.head, features, zeros(plain.head_state, 1))
    gathered, (_, kept) = unroll(gathering.head, features, zeros(gathering.head_state, 1))
    average, fresh = np.zeros(3), 1 - np.exp(-1 / 4)
    for t in range(6):
        average = average + fresh * (each[0, t].numpy() - average)
        np.testing.assert_allclose(gathered[0, t], average, atol=1e-6)
    np.testing.assert_allclose(kept[0], average, atol=1e-6)


def test_a_sequence_of_unknown_length_can_be_traced(moving: Network) -> None:
    features = tf.random.stateless_normal((2, 4, moving.dimension), seed=(1, 2))
    traced = tf.function(
        lambda sequence: unroll(moving.head, sequence, zeros(moving.head_state, 2))[0],
        input_signature=[tf.TensorSpec((None, None, moving.dimension), tf.float32)],
    )
    np.testing.assert_allclose(
        traced(features), unroll(moving.head, features, zeros(moving.head_state, 2))[0], atol=1e-6
    )


def test_dropout_only_in_training() -> None:
    network = build(ModelSettings(backbone="compact", units=8, embedding=32, dropout=0.5), SEEN, 3)
    features = tf.random.stateless_normal((2, 6, network.dimension), seed=(3, 4))

    def logits(training: bool) -> NDArray[np.float32]:
        return np.asarray(unroll(network.head, features, zeros(network.head_state, 2), training=training)[0])

    np.testing.assert_array_equal(logits(False), logits(False))
    assert np.abs(logits(True) - logits(True)).max() > 1e-3


def test_what_the_first_picture_differs_from_is_nothing(moving: Network) -> None:
    picture, other = tf.constant(frames(1, 1)), tf.constant(frames(1, 2))
    fresh = zeros(moving.features_state, 1)
    alone, seen = step(moving.features, picture, fresh)
    still, _ = step(moving.features, picture, seen)
    moved, _ = step(moving.features, picture, step(moving.features, other, fresh)[1])

    np.testing.assert_allclose(alone, still, atol=1e-6)
    assert float(np.abs(alone - moved).max()) > 1e-3
    np.testing.assert_allclose(seen[0], picture.numpy().mean(axis=-1, keepdims=True) / 255, atol=1e-6)
    assert [tuple(state.shape[1:]) for state in seen] == [state.shape for state in moving.features_state]


def test_a_stack_is_this_picture_and_the_two_before_it() -> None:
    """The stack is what a plain network without motion sees when the three pictures are its three colours."""
    settings = ModelSettings(backbone="compact", units=8, embedding=8)
    stacked = build(settings.model_copy(update={"motion": "stack"}), SEEN, 3)
    plain = build(settings, SEEN, 3)
    plain.features.set_weights(stacked.features.get_weights())
    grey = np.repeat(frames(4)[..., :1], 3, axis=-1)

    states = zeros(stacked.features_state, 1)
    for t in range(4):
        earlier = [grey[max(0, t - ago), ..., 0] for ago in range(3)]
        expected, _ = step(plain.features, tf.constant(np.stack(earlier, axis=-1)[None]), [])
        got, states = step(stacked.features, tf.constant(grey[t : t + 1]), states)
        np.testing.assert_allclose(got, expected, atol=1e-5)
    assert [tuple(state.shape[1:]) for state in states] == [state.shape for state in stacked.features_state]


def test_compact_keeps_where_things_are(moving: Network) -> None:
    left, right = np.zeros((2, 1, SEEN.height, SEEN.width, 3), np.uint8)
    left[:, 16:32, 8:16] = 255
    right[:, 16:32, 40:48] = 255  # a whole stride of the network further, so that averages alone are much alike
    seen = [step(moving.features, tf.constant(each), zeros(moving.features_state, 1))[0][0] for each in (left, right)]
    average, cells = np.abs(seen[0] - seen[1])[:128], np.abs(seen[0] - seen[1])[128:]
    assert cells.max() > 2 * average.max()


def test_compact_is_small() -> None:
    assert 300_000 < build(ModelSettings(backbone="compact"), Input(96, 128), 8).features.count_params() < 600_000


def test_a_pretrained_network_keeps_its_statistics_in_training(mobile: Network) -> None:
    norm = batch_norms(mobile.features)[0]
    before = norm.moving_mean.numpy()
    pictures = tf.constant(frames(4))
    tuned = step(mobile.features, pictures, [], training=True)[0]
    np.testing.assert_array_equal(before, norm.moving_mean.numpy())
    np.testing.assert_array_equal(tuned, step(mobile.features, pictures, [])[0])


def test_what_is_tuned_can_be_chosen(mobile: Network) -> None:
    kernels = [weight for weight in mobile.features.trainable_weights if "kernel" in weight.path]
    assert len(kernels) == 52
    assert not any("gamma" in weight.path for weight in mobile.features.trainable_weights)
    mobile.set_trainable(features=False)
    assert mobile.features.trainable_weights == []
    assert mobile.head.trainable_weights
    mobile.set_trainable(features=True)
    assert len(mobile.features.trainable_weights) == len(kernels)
    assert not any(norm.trainable for norm in batch_norms(mobile.features))


def test_pretrained_weights_and_their_normalisation(shared: Path) -> None:
    weights = shared / "weights" / "mobilenet_v2_1.0_224_imagenet_notop.weights.h5"
    network = build(ModelSettings(weights=str(weights), units=8, embedding=8), Input(96, 128), 3)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 96, 128, 3), np.uint8)

    plain = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(96, 128, 3), pooling="avg")
    plain.load_weights(weights)
    expected = plain(pictures.astype(np.float32) / 127.5 - 1, training=False)
    got = step(network.features, tf.constant(pictures), [])[0]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert float(np.std(expected)) > 0.1


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"backbone": "MobileNetV9"}, "no backbone 'MobileNetV9'"),
        ({"backbone": "Model"}, "no backbone 'Model'"),
        ({"backbone": "VGG16", "alpha": 0.5}, "VGG16 cannot be built"),
        ({"backbone": "MobileNetV2", "weights": "missing.weights.h5"}, "no weights at missing.weights.h5"),
    ],
)
def test_what_cannot_be_built_is_told(settings: dict[str, object], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        build(ModelSettings.model_validate(settings), SEEN, 3)


def test_weights_of_another_network_are_refused(mobile: Network, tmp_path: Path) -> None:
    path = tmp_path / "head.weights.h5"
    path.write_bytes(b"not weights")
    with pytest.raises(ConfigError, match="do not fit"):
        build(SMALL.model_copy(update={"weights": str(path)}), SEEN, 3)


def test_a_misspelt_setting_is_refused() -> None:
    with pytest.raises(ValidationError, match="backbon"):
        ModelSettings.model_validate({"backbon": "compact"})
