"""The `[model]` table of a recipe: which network is built. No Keras here: train.backbones and train.heads build it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

OF_THE_HEAD = frozenset(
    {"head", "units", "embedding", "cell", "cells", "context", "blocks", "heads", "dense", "evidence"}
    | {"dropout", "input_dropout", "recurrent_dropout", "dense_dropout"}
)
"""Settings on which features do not depend."""
OF_THE_WEIGHTS = frozenset({"weights", "finetune"})
"""Settings that tell where a backbone's weights come from, and which of them change; not what it makes of them."""


class ModelSettings(BaseModel):
    """What to build; the `[model]` table of a recipe.

    Attributes:
        backbone: a network of keras.applications by its name there; `compact`, ours, small; `blocks`, four blocks of
            two convolutions and a pooling; or `features`, where features are read from files.
        weights: of the backbone: a file, `imagenet` (downloaded), the folder of another run (in a recipe, where
            train.fit sees to it), or None for random ones.
        alpha: width multiplier of the MobileNets.
        scale: how pixels reach it: by its `own` preprocess_input, or as `unit`, x / 255.
        pool: what is made of its last map: the `average` over it, or all of it, `flatten`.
        finetune: how many of its last layers a `finetune` stage trains; None is all.
        dimension: D of backbone `features`; what the data say if None.
        motion: `difference` adds what changed since the previous picture; `stack` puts the grey levels of this picture
            and of the two before it where red, green and blue were, so that a pretrained network sees motion at no
            cost. Either keeps earlier pictures as state of the features.
        shift: share of the channels that each residual block of MobileNetV2 takes from the previous tick; kept as
            state of the features (TSM, online; Lin et al., ICCV 2019).
        head: `miniroad` (Dense, LayerNorm, ReLU, Dropout, GRU, ReLU, Dense; An et al., ICCV 2023), `gru` alone,
            `recurrent` (`cells`, then `dense`), `frame` (`dense` alone: no memory), or `transformer`.
        units: U of the GRU of `miniroad` and `gru`.
        embedding: width of the Dense layer before it (miniroad); width of the transformer.
        dropout: share dropped in training: before the GRU (miniroad, gru), before `dense` (recurrent, frame), in each
            block (transformer).
        cell, cells: kind of the recurrent cells, and the units of each, one on top of the other.
        input_dropout, recurrent_dropout: share of what goes into a cell, and of its state, that is dropped in
            training; the same values all along a row.
        dense: widths of the ReLU layers between `cells` and the logits.
        dense_dropout: share dropped after each of them, in training.
        context: T, ticks that the transformer attends to.
        blocks, heads: its depth, and its attention heads.
        evidence: ticks, the time constant of an exponential average of the logits that is kept as state; 0 is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    backbone: str = "MobileNetV2"
    weights: str | None = None
    alpha: float = Field(default=1.0, gt=0)
    scale: Literal["own", "unit"] = "own"
    pool: Literal["average", "flatten"] = "average"
    finetune: int | None = Field(default=None, gt=0)
    dimension: int | None = Field(default=None, gt=0)
    motion: Literal["none", "difference", "stack"] = "none"
    shift: float = Field(default=0.0, ge=0, le=0.5)
    head: Literal["miniroad", "gru", "recurrent", "frame", "transformer"] = "miniroad"
    units: int = Field(default=256, gt=0)
    embedding: int = Field(default=256, gt=0)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    cell: Literal["gru", "lstm"] = "gru"
    cells: tuple[int, ...] = Field(default=(128,), min_length=1)
    input_dropout: float = Field(default=0.0, ge=0, lt=1)
    recurrent_dropout: float = Field(default=0.0, ge=0, lt=1)
    dense: tuple[int, ...] = ()
    dense_dropout: float = Field(default=0.0, ge=0, lt=1)
    context: int = Field(default=32, gt=0)
    blocks: int = Field(default=2, gt=0)
    heads: int = Field(default=4, gt=0)
    evidence: float = Field(default=0.0, ge=0)

    @property
    def keeps_state(self) -> bool:
        """Whether what the backbone makes of a picture depends on those before it."""
        return self.motion != "none" or self.shift > 0

    @property
    def sees(self) -> dict[str, Any]:
        """The settings that decide, with its weights, what the backbone makes of pictures."""
        return self.model_dump(mode="json", exclude=set(OF_THE_HEAD | OF_THE_WEIGHTS))
