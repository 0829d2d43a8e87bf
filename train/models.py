"""The networks, as Keras models that take one step: frames to features, features and state to logits.

Training, export and verification all run these very models: one set of weights, one definition of a step. Here the two
are put together; backbones.py and heads.py build them, steps.py walks along a sequence with them, whose names this
module hands on. No training loop and no data live here.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras import layers

from stream.contracts import Input
from train.backbones import FILES, build_features
from train.heads import build_head
from train.model_settings import ModelSettings
from train.steps import StateTensor, Tensor, step, unroll, zeros

__all__ = [
    "FILES",
    "ModelSettings",
    "Network",
    "StateTensor",
    "Tensor",
    "batch_norms",
    "build",
    "step",
    "unroll",
    "zeros",
]


@dataclass(frozen=True)
class Network:
    """The two models and the states that they carry.

    Attributes:
        features: [frames (N, H, W, 3) uint8, *states] -> [features (N, D) float32, *next states]; called by `step`.
        head: [features (N, D) float32, *states] -> [logits (N, K) float32, *next states]; one step; called by `step`.
        features_state, head_state: the states, in the models' order.
        settings: what both were built from.
        finetune: how many of the backbone's last layers are trained where it is; None is all.
        learns_state: whether the features' states are themselves learned, so that gradients go through them.
    """

    features: keras.Model
    head: keras.Model
    features_state: tuple[StateTensor, ...]
    head_state: tuple[StateTensor, ...]
    settings: ModelSettings
    finetune: int | None = None
    learns_state: bool = False

    @property
    def dimension(self) -> int:
        """D, the length of a feature vector."""
        return int(self.features.outputs[0].shape[-1])

    @property
    def backbone(self) -> keras.Model | None:
        """The network inside `features` that may be pretrained; None where there is none."""
        return next((layer for layer in self.features.layers if isinstance(layer, keras.Model)), None)

    def set_trainable(self, *, features: bool, head: bool = True) -> None:
        """Chooses what training changes. A pretrained backbone's BatchNorm always keeps its statistics."""
        self.features.trainable = features
        self.head.trainable = head
        for layer in self.features.layers:
            if isinstance(layer, keras.Model):
                for norm in batch_norms(layer):
                    norm.trainable = False
        if features and self.finetune is not None and self.backbone is not None:
            for layer in self.backbone.layers[: -self.finetune]:
                layer.trainable = False


def build(settings: ModelSettings, input: Input, classes: int, *, precision: str = "float32") -> Network:
    """Returns the untrained network (its backbone pretrained where `settings.weights` says so).

    Args:
        settings: which network.
        input: what it sees.
        classes: K.
        precision: what the backbone's layers compute in, `float32` or `bfloat16`; weights are float32 in any case.

    Raises:
        ConfigError: no such backbone, a weights file that is missing or does not fit, a picture too small, or settings
            that do not go together.
    """
    features, features_state = build_features(settings, input, precision)
    head, head_state = build_head(settings, int(features.outputs[0].shape[-1]), classes)
    network = Network(
        features,
        head,
        features_state,
        head_state,
        settings,
        finetune=settings.finetune,
        learns_state=settings.shift > 0,
    )
    network.set_trainable(features=True)
    return network


def batch_norms(model: keras.Model) -> list[layers.BatchNormalization]:
    """Every BatchNormalization in `model`, those of the models in it too."""
    found = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found += batch_norms(layer)
        elif isinstance(layer, layers.BatchNormalization):
            found.append(layer)
    return found
