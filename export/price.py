"""What a trained model costs where it runs: its size, its operations, the time of a live label on this machine."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from export.pack import pack
from stream.bench.conditions import OpenBundle
from stream.bench.latency import STEP, measure_steps
from stream.graphs import read_graph
from stream.work import operations
from train.runs import Run

CAMERA = (640, 360)
"""Width and height of the pictures that a label is timed from."""
TIMED_S = 2.0


@dataclass(frozen=True)
class Cost:
    """What a model costs where it runs.

    Attributes:
        parameters: of both graphs.
        gflops: of the backbone, for one picture; a multiplication and an addition are two.
        label_ms: the median of one step, from a decoded 640x360 picture to its label.
        megabytes: of both graphs.
    """

    parameters: int
    gflops: float
    label_ms: float
    megabytes: float


def price(run: Run) -> Cost:
    """What the model of `run` costs, as a bundle on this machine."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = pack(run, Path(folder) / "priced", clip=None)
        graphs = [read_graph(bundle.read(name), bundle.folder / name) for name in bundle.spec.graphs()]
        _, stages = measure_steps(OpenBundle.load(bundle.folder, device="cpu"), size=CAMERA, seconds=TIMED_S)
        return Cost(
            parameters=sum(graph.parameters for graph in graphs),
            gflops=operations(bundle)["features"] / 1e9,
            label_ms=next(stage.p50 for stage in stages if stage.name == STEP),
            megabytes=sum(graph.bytes for graph in graphs) / 1e6,
        )
