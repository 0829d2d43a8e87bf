"""Features that are kept are those of this very backbone: same weights under other settings are another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from stream.contracts import Input
from train.cache import ArrayCache
from train.forward import CachedFeatures, Forward
from train.model_settings import OF_THE_HEAD, OF_THE_WEIGHTS
from train.models import ModelSettings, Network, build

SEEN = Input(height=32, width=32)
PICTURES = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)


def network(weights: list[Any] | None = None, **settings: Any) -> Network:
    made = build(ModelSettings.model_validate({"backbone": "MobileNetV2", "alpha": 0.35} | settings), SEEN, 3)
    if weights is not None:
        made.features.set_weights(weights)
    return made


@pytest.mark.parametrize("changed", [{"shift": 0.125}, {"motion": "stack"}, {"scale": "unit"}])
def test_the_same_weights_under_other_settings_have_features_of_their_own(
    changed: dict[str, Any], tmp_path: Path
) -> None:
    keras.utils.set_random_seed(0)
    plain, cache = network(), ArrayCache(tmp_path)
    other = Forward(network(plain.features.get_weights(), **changed))
    kept = CachedFeatures(Forward(plain), cache).get("pictures", lambda: PICTURES)
    found = CachedFeatures(other, cache).get("pictures", lambda: PICTURES)
    assert np.array_equal(found, other.features(PICTURES))
    assert not np.allclose(found, kept, rtol=1e-3, atol=0)


def test_another_head_shares_the_features(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    first, cache = network(), ArrayCache(tmp_path)
    kept = CachedFeatures(Forward(first), cache).get("pictures", lambda: PICTURES)
    second = Forward(network(first.features.get_weights(), head="transformer", context=8, dropout=0.1))
    assert np.array_equal(CachedFeatures(second, cache).get("pictures", lambda: PICTURES[:0]), kept)


def test_every_setting_is_of_the_head_of_the_weights_or_of_what_is_seen() -> None:
    """A new setting that stands in no list counts as one of the backbone, and changes the keys: never a stale entry."""
    assert set(ModelSettings.model_fields) > OF_THE_HEAD | OF_THE_WEIGHTS
    assert set(ModelSettings().sees) == {"backbone", "alpha", "scale", "pool", "dimension", "motion", "shift"}
