"""Temporal shift: MobileNetV2 whose residual blocks take a share of their channels from the previous tick.

"TSM: Temporal Shift Module for Efficient Video Understanding" (Lin, Gan and Han, ICCV 2019), the online form: inside
each residual branch, the first channels of what goes in are exchanged for those of the tick before, which are kept as
state. Shifting computes nothing; weights and their number stay those of the pretrained network.
"""

from __future__ import annotations

import keras
from keras import layers, ops

from train.steps import StateTensor, Tensor, state_tensor


def shifted(backbone: keras.Model, share: float) -> tuple[keras.Model, tuple[StateTensor, ...]]:
    """MobileNetV2 with its very layers and weights, shifting: [picture, *states] -> [map, *next states].

    Args:
        backbone: of keras.applications, pretrained or not.
        share: of each block's channels that come from the previous tick.
    """
    # Each layer once, with what it takes and gives: calling a layer anew adds to what it knows of itself.
    calls = [(layer, layer.input, layer.output) for layer in backbone.layers[1:]]
    starts, picture = _residual_starts(backbone), keras.Input(backbone.inputs[0].shape[1:])
    again: dict[int, Tensor] = {id(backbone.inputs[0]): picture}
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []
    states: list[StateTensor] = []
    for layer, taken, given in calls:
        if isinstance(taken, list):
            again[id(given)] = layer([again[id(each)] for each in taken])
            continue
        now = again[id(taken)]
        if layer.name in starts:
            kept = max(1, round(now.shape[-1] * share))
            before, state = state_tensor(f"shift{len(states) + 1}", (*now.shape[1:3], kept))
            inputs.append(before)
            outputs.append(now[..., :kept])
            states.append(state)
            now = ops.concatenate([before, now[..., kept:]], axis=-1)
        again[id(given)] = layer(now)
    last = again[id(backbone.outputs[0])]
    return keras.Model([picture, *inputs], [last, *outputs], name=backbone.name), tuple(states)


def _residual_starts(backbone: keras.Model) -> set[str]:
    """Names of the first layer of each residual branch: those that share their input with an addition."""
    starts = set()
    for addition in backbone.layers:
        if isinstance(addition, layers.Add):
            skipped: Tensor = addition.input[0]
            starts |= {layer.name for layer in backbone.layers if layer is not addition and layer.input is skipped}
    return starts
