"""One step of training: rows forward, the loss, gradients back, two optimizers with their own rates.

`Stepper` owns what changes from step to step: weights, optimizer slots and the final states that later rows may start
from; `state` and `restore` are all of it. It knows nothing of epochs, files or how rows are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stream.errors import ConfigError
from train.forward import see
from train.models import Network, step, unroll, zeros
from train.settings import StageSettings

Tensor = Any


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows to step on.

    Attributes:
        shown: features (N, T, D) float32; frames (N, T, H, W, 3) uint8; or, where a row's ticks stand apart, frames
            (N, T, M, H, W, 3): each tick after the M - 1 ticks that it follows.
        targets: (N, T) int32 label numbers.
        weights: (N, T) float32, each row's shares of the loss.
        partners: (N,) int32, the row of the batch before whose final state each row may start from.
        carried: (N,) float32, 1 for rows that do.
    """

    shown: NDArray[np.generic]
    targets: NDArray[np.int32]
    weights: NDArray[np.float32]
    partners: NDArray[np.int32]
    carried: NDArray[np.float32]


class Stepper:
    """The step of one stage."""

    def __init__(
        self,
        network: Network,
        stage: StageSettings,
        *,
        classes: int,
        seed: int,
        label_weights: NDArray[np.float32] | None = None,
        strategy: Any = None,
    ) -> None:
        """Makes a stepper; the graph is built at the first step.

        Args:
            network: what is trained, in place.
            stage: how.
            classes: K.
            seed: of the auxiliary classifier's first weights.
            label_weights: (K,) how much a tick of each label weighs in the loss; None for all alike.
            strategy: of tf.distribute, in whose scope the network was made; None for one device.

        Raises:
            ConfigError: a batch that the devices cannot share evenly.
        """
        self._strategy = strategy or tf.distribute.get_strategy()
        self._devices = self._strategy.num_replicas_in_sync
        if stage.batch % self._devices:
            raise ConfigError(
                f"a batch of {stage.batch} rows on {self._devices} devices: expected a multiple of their number; "
                "correct the recipe"
            )
        self._network, self._stage = network, stage
        self._label_weights = tf.ones(classes) if label_weights is None else tf.constant(label_weights)
        network.set_trainable(features=stage.kind == "finetune")
        with self._strategy.scope():
            self._auxiliary = keras.layers.Dense(classes, kernel_initializer=keras.initializers.GlorotUniform(seed))
            self._auxiliary.build((None, network.dimension))
        self._head_weights = network.head.trainable_variables
        if stage.auxiliary:
            self._head_weights = self._head_weights + self._auxiliary.trainable_variables
        self._backbone_weights = network.features.trainable_variables if stage.kind == "finetune" else []
        with self._strategy.scope():
            self._optimizers = [
                _optimizer(variables, stage) for variables in (self._head_weights, self._backbone_weights) if variables
            ]
        states = network.features_state if stage.kind == "finetune" else ()
        self._bank = [tf.Variable(state) for state in zeros((*states, *network.head_state), stage.batch)]
        self._feature_states = len(states)
        self._train = tf.function(self._train_step, autograph=False)
        self._judge = tf.function(self._validation_step, autograph=False)

    def step(self, batch: Batch, share: float) -> tuple[float, float]:
        """Loss and accuracy (shares of the ticks that count) of one step; the weights have changed.

        Args:
            batch: `stage.batch` rows.
            share: of the peak learning rates, from train.schedule.
        """
        rates = (self._stage.learning_rate, self._stage.backbone_learning_rate)
        for optimizer, rate in zip(self._optimizers, rates, strict=False):
            optimizer.learning_rate.assign(rate * share)
        loss, accuracy = self._train(batch.shown, batch.targets, batch.weights, batch.partners, batch.carried)
        return float(loss), float(accuracy)

    def judge(self, features: NDArray[np.float32], targets: NDArray[np.int32], weights: NDArray[np.float32]) -> Any:
        """Loss and accuracy (2,) of rows of plain features (N, T, D), from zero state, without label smoothing."""
        return self._judge(features, targets, weights).numpy()

    def state(self) -> dict[str, NDArray[Any]]:
        """All that the next step depends on."""
        return {f"v{i:04d}": variable.numpy() for i, variable in enumerate(self._variables())}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Sets everything to what `state` gave.

        Raises:
            ConfigError: it was given by another network.
        """
        variables = self._variables()
        if [tuple(variable.shape) for variable in variables] != [state[name].shape for name in sorted(state)]:
            raise ConfigError(
                "the checkpoint was left by another version of the network: remove the run folder and train again"
            )
        for variable, name in zip(variables, sorted(state), strict=True):
            variable.assign(state[name])

    def _variables(self) -> list[Any]:
        models = self._network.features.variables + self._network.head.variables + self._auxiliary.variables
        return [*models, *(v for optimizer in self._optimizers for v in optimizer.variables), *self._bank]

    def _train_step(
        self, shown: Tensor, targets: Tensor, weights: Tensor, partners: Tensor, carried: Tensor
    ) -> tuple[Tensor, Tensor]:
        starts = [
            tf.gather(held, partners) * tf.reshape(carried, (-1, *[1] * (len(held.shape) - 1))) for held in self._bank
        ]
        measured, ends = self._strategy.run(self._share_step, args=(shown, targets, weights, *starts))
        for held, end in zip(self._bank, ends, strict=True):
            held.assign(tf.concat(self._strategy.experimental_local_results(end), axis=0))
        loss, accuracy = tf.unstack(tf.add_n(self._strategy.experimental_local_results(measured)) / self._devices)
        return loss, accuracy

    def _share_step(self, *whole: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Loss and accuracy (2,) of this device's share of the rows, and their last states; all devices learn alike."""
        shown, targets, weights, *starts = (self._share(each) for each in whole)
        with tf.GradientTape() as tape:
            features, feature_states = self._features(shown, starts[: self._feature_states])
            logits, head_states = unroll(self._network.head, features, starts[self._feature_states :], training=True)
            shares = weights * tf.gather(self._label_weights, targets)
            loss = _loss(logits, targets, shares, self._stage.smoothing)
            if self._stage.auxiliary:
                loss += self._stage.auxiliary * self._auxiliary_loss(features, targets, weights)
        variables = [self._head_weights, self._backbone_weights]
        gradients = tape.gradient(loss, variables[0] + variables[1])
        if self._devices > 1:
            gradients = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, gradients)
        if self._stage.clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, self._stage.clip_norm)
        gradients = [gradient / self._devices for gradient in gradients]  # Keras sums over devices what it applies
        parts = gradients[: len(variables[0])], gradients[len(variables[0]) :]
        for optimizer, part, changed in zip(self._optimizers, parts, variables, strict=False):
            optimizer.apply_gradients(zip(part, changed, strict=True))
        return tf.stack([loss, _accuracy(logits, targets, weights)]), [*feature_states, *head_states]

    def _share(self, whole: Tensor) -> Tensor:
        """This device's rows of `whole` (N, ...)."""
        if self._devices == 1:
            return whole
        rows = tf.reshape(whole, (self._devices, whole.shape[0] // self._devices, *whole.shape[1:]))
        return rows[tf.distribute.get_replica_context().replica_id_in_sync_group]

    def _features(self, shown: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        if self._stage.kind == "head":
            return shown, []
        if not self._stage.apart:
            return see(self._network, shown, states, training=True)
        rows, ticks = shown.shape[:2]
        each = tf.reshape(shown, (rows * ticks, *shown.shape[2:]))
        before = zeros(self._network.features_state, rows * ticks)
        for earlier in range(each.shape[1] - 1):
            _, before = step(self._network.features, each[:, earlier], before)
        features, _ = step(self._network.features, each[:, -1], before, training=True)
        return tf.reshape(features, (rows, ticks, features.shape[-1])), states

    def _auxiliary_loss(self, features: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Loss of a linear classifier on the mean over ticks, for the row's label at its last tick that counts."""
        positions = tf.range(targets.shape[1])[None] * tf.cast(weights > 0, tf.int32)
        label = tf.gather(targets, tf.argmax(positions, axis=1), batch_dims=1)
        logits = self._auxiliary(tf.reduce_mean(features, axis=1))
        counts = tf.cast(tf.reduce_sum(weights, axis=1, keepdims=True) > 0, tf.float32)
        return _loss(logits[:, None], label[:, None], counts, self._stage.smoothing)

    def _validation_step(self, features: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        states = zeros(self._network.head_state, features.shape[0])
        logits, _ = unroll(self._network.head, features, states)
        return tf.stack([_loss(logits, targets, weights, 0.0), _accuracy(logits, targets, weights)])


def strategy_of(devices: str) -> Any:
    """The strategy of tf.distribute by which devices share a batch.

    Args:
        devices: `one`; or `all` graphics cards, or else all CPUs that TensorFlow was told to see.
    """
    found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if devices == "one" or len(found) == 1:
        return tf.distribute.get_strategy()
    return tf.distribute.MirroredStrategy([device.name for device in found])


def _optimizer(variables: list[Any], stage: StageSettings) -> Any:
    if stage.optimizer == "adam":
        optimizer = keras.optimizers.Adam(learning_rate=stage.learning_rate, epsilon=stage.epsilon)
    else:
        optimizer = keras.optimizers.AdamW(
            learning_rate=stage.learning_rate, weight_decay=stage.weight_decay, epsilon=stage.epsilon
        )
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimizer.build(variables)
    return optimizer


def _loss(logits: Tensor, targets: Tensor, weights: Tensor, smoothing: float) -> Tensor:
    """Mean over rows of the weighted cross-entropy over ticks; rows without a tick that counts are left out."""
    classes = logits.shape[-1]
    wanted = tf.one_hot(targets, classes) * (1 - smoothing) + smoothing / classes
    each = tf.nn.softmax_cross_entropy_with_logits(wanted, logits)
    return tf.reduce_sum(each * weights) / tf.maximum(tf.reduce_sum(weights), 1e-6)


def _accuracy(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    right = tf.cast(tf.argmax(logits, axis=-1, output_type=tf.int32) == targets, tf.float32)
    return tf.reduce_sum(right * weights) / tf.maximum(tf.reduce_sum(weights), 1e-6)
