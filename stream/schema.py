"""bundle.json, key by key: what a bundle says about itself, and what of it must fit together. No file is read here.

The models are strict and frozen and forbid unknown keys. The names are those of the JSON.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from stream.contracts import Fit, Mode, State

Precision = Literal["fp32", "fp16", "int8"]

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,99}$")]
FileName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$", max_length=200)
]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Label = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f-\x9f]+$", max_length=100)]
Share = Annotated[float, Field(ge=0, le=1)]
Pixels = Annotated[int, Field(ge=1, le=4096)]
PERSON = "person_px"
"""Key in `provenance`: how many lines of the model's picture the smallest person fills whom it learned from."""
MAX_STATE = 2**24
"""Numbers of one row of one state."""
OPTIONAL = ("max_batch", "geometry", "fused")
"""Keys of bundle.json that are not written where there is no such part."""
UNHASHED = "0" * 64
"""What a hash is until `write_bundle` fills it in."""


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


class StateTensor(_Strict):
    """One tensor that a graph takes in and gives back; zero at reset."""

    input: Name
    output: Name
    shape: Annotated[tuple[Annotated[int, Field(ge=1, le=2**24)], ...], Field(max_length=8)]
    dtype: Literal["float32", "float16", "int64", "int32"] = "float32"

    @model_validator(mode="after")
    def _is_not_too_large(self) -> Self:
        if math.prod(self.shape) > MAX_STATE:
            raise ValueError(f"a state has at most {MAX_STATE} numbers a row; got shape {list(self.shape)}")
        return self


class GraphSpec(_Strict):
    """One ONNX graph: its file, and the names of what goes in and out."""

    file: FileName
    sha256: Hash = UNHASHED
    input: Name
    output: Name
    state: Annotated[tuple[StateTensor, ...], Field(max_length=64)] = ()

    def zeros(self, n: int) -> State:
        """The state of `n` fresh rows: each tensor (n, *shape), zero."""
        return {tensor.input: np.zeros((n, *tensor.shape), tensor.dtype) for tensor in self.state}


class InputSpec(_Strict):
    """What the model wants to see; `max_gap` is in `Temporal`."""

    height: Pixels
    width: Pixels
    fit: Fit = "letterbox"
    rate: Annotated[float, Field(gt=0, le=1000)] | Literal["native"] = 10.0
    region: tuple[Share, Share, Share, Share] | None = None

    @model_validator(mode="after")
    def _region_goes_with_its_fit(self) -> Self:
        if (self.region is not None) != (self.fit == "region"):
            raise ValueError(f"a region is given with fit 'region' and only there; got fit {self.fit!r}")
        if self.region is not None and not (self.region[0] < self.region[2] and self.region[1] < self.region[3]):
            raise ValueError(f"region is x0, y0, x1, y1 with x0 < x1 and y0 < y1; got {list(self.region)}")
        return self


class Temporal(_Strict):
    """How ticks follow each other: ticks for `window` and `warmup`, media seconds for `max_gap`.

    In mode `staggered`, `window` is the time from restart to restart of each of the `replicas` (stream.staggered).
    """

    mode: Mode
    window: Annotated[int, Field(ge=1, le=4096)] | None = None
    replicas: Annotated[int, Field(ge=2, le=64)] = 4
    warmup: Annotated[int, Field(ge=0, le=100_000)] = 0
    max_gap: Annotated[float, Field(gt=0)] = 2.0

    @model_validator(mode="after")
    def _window_has_a_length(self) -> Self:
        if self.mode != "carry" and self.window is None:
            raise ValueError(f"mode {self.mode!r} needs the window's length in ticks; got null")
        if self.mode == "staggered" and self.window is not None and self.window < self.replicas:
            raise ValueError(f"each of {self.replicas} replicas needs a tick of the window; got {self.window} ticks")
        return self


class LabelRule(_Strict):
    """When a label's event starts and ends: thresholds on the smoothed score, and media seconds over `enter`."""

    enter: Annotated[float, Field(gt=0, le=1)]
    exit: Annotated[float, Field(gt=0, le=1)]
    min: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _exit_is_not_over_enter(self) -> Self:
        if self.exit > self.enter:
            raise ValueError(f"exit must not be over enter ({self.enter}); got {self.exit}")
        return self


class Decision(_Strict):
    """From logits to events: softmax temperature, smoothing (seconds; 0 is none), and a rule a label but none."""

    temperature: Annotated[float, Field(gt=0)] = 1.0
    smoothing: Annotated[float, Field(ge=0)] = 0.0
    labels: dict[Label, LabelRule]


class GeometrySpec(_Strict):
    """A graph that does what stream.geometry does, on decoded pictures of any size (stream.embedded)."""

    file: FileName = "geometry.onnx"
    sha256: Hash = UNHASHED


class FusedSpec(_Strict):
    """Both graphs as one (stream.whole), and the hashes of the two that it was made of."""

    file: FileName = "model.onnx"
    sha256: Hash = UNHASHED
    features_sha256: Hash
    head_sha256: Hash


class GoldenSpec(_Strict):
    """A clip, and what Keras computed on it."""

    clip: FileName = "golden/clip.mp4"
    clip_sha256: Hash = UNHASHED
    arrays: FileName = "golden/golden.npz"
    arrays_sha256: Hash = UNHASHED


class BundleSpec(_Strict):
    """bundle.json, key by key.

    `closeness` says of features, logits, scores and the head's states how far from Keras they may be on its golden
    clip, where a graph of less than fp32 cannot keep to the limit of all others. `max_batch` is the most rows that a
    run of its graphs may have; None promises no limit.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    labels: Annotated[tuple[Label, ...], Field(min_length=2, max_length=10_000)]
    none: Label = "none"
    precision: Precision = "fp32"
    closeness: dict[str, Annotated[float, Field(gt=0, le=10)]] = Field(default_factory=dict)
    input: InputSpec
    features: GraphSpec
    head: GraphSpec
    temporal: Temporal
    decision: Decision
    max_batch: Annotated[int, Field(ge=1, le=4096)] | None = None
    geometry: GeometrySpec | None = None
    fused: FusedSpec | None = None
    golden: GoldenSpec | None = None
    provenance: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        if len(set(self.labels)) < len(self.labels):
            raise ValueError(f"labels must differ from each other; got {list(self.labels)}")
        if self.none not in self.labels:
            raise ValueError(f"the none label {self.none!r} must be one of the labels; got {list(self.labels)}")
        events = sorted(set(self.labels) - {self.none})
        if sorted(self.decision.labels) != events:
            raise ValueError(f"decision.labels must rule {events}; got {sorted(self.decision.labels)}")
        names = [tensor.input for tensor in (*self.features.state, *self.head.state)]
        if len(set(names)) < len(names):
            raise ValueError(f"states must have different input names; got {names}")
        numbers = {"features", "logits", "scores", *(tensor.input for tensor in self.head.state)}
        odd = sorted(self.closeness if self.precision == "fp32" else self.closeness.keys() - numbers)
        if odd:
            raise ValueError(
                f"closeness is given below fp32, and of {sorted(numbers)}; got it of {odd} at {self.precision}"
            )
        if self.features.state and self.temporal.mode == "window":
            raise ValueError("features that keep state need temporal.mode 'carry' or 'staggered'; got 'window'")
        return self

    @model_validator(mode="after")
    def _fused_graph_is_of_these_two(self) -> Self:
        if self.fused is None:
            return self
        if self.temporal.mode != "carry":
            raise ValueError(f"a fused graph goes with temporal.mode 'carry'; got {self.temporal.mode!r}")
        parts = (self.features.sha256, self.head.sha256)
        if (self.fused.features_sha256, self.fused.head_sha256) != parts:
            raise ValueError("the fused graph must be made of the bundle's two graphs; it was made of others")
        states = self.whole.state
        names = [self.features.input, *(tensor.input for tensor in states)]
        names += [self.features.output, self.head.output, *(tensor.output for tensor in states)]
        if len(set(names)) < len(names):
            raise ValueError(f"what goes into a fused graph and comes out must have different names; got {names}")
        return self

    @model_serializer(mode="wrap")
    def _said(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """All of it; a bundle without an optional part reads as it did before there was such a thing."""
        said: dict[str, Any] = written(self)
        for part in OPTIONAL:
            if said[part] is None:
                del said[part]
        return said

    @property
    def whole(self) -> GraphSpec:
        """The fused graph, described as the two are; beside the logits and the states it gives the features."""
        fused = self.fused or FusedSpec(features_sha256=UNHASHED, head_sha256=UNHASHED)
        return GraphSpec(
            file=fused.file,
            sha256=fused.sha256,
            input=self.features.input,
            output=self.head.output,
            state=(*self.features.state, *self.head.state),
        )

    def graphs(self) -> tuple[str, ...]:
        """The files that are ONNX graphs."""
        more = (part.file for part in (self.geometry, self.fused) if part is not None)
        return (self.features.file, self.head.file, *more)

    def hashes(self) -> dict[str, str]:
        """Every file that the bundle is made of, and its sha256."""
        files = {self.features.file: self.features.sha256, self.head.file: self.head.sha256}
        for part in (self.geometry, self.fused):
            if part is not None:
                files[part.file] = part.sha256
        if self.golden is not None:
            files |= {self.golden.clip: self.golden.clip_sha256, self.golden.arrays: self.golden.arrays_sha256}
        return files
