"""Which networks of keras.applications can be a frame encoder here, how near their graphs are, and what they cost.

Each is built without weights, since those would have to be downloaded, but rescaled so that what it computes on real
pictures is of ordinary size: through the layers of a fresh network numbers shrink to nothing, and any two of them are
close. It is exported as a bundle is, its own preprocessing inside the graph, then lowered to fp16 and int8. Each runs
in a process of its own: what one leaves in TensorFlow, or how it dies, is not the next one's business.

    python -m export.backbones NAME SIZE THREADS        one of them, as JSON on the last line; for this module's own use
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.bundle import Bundle, write_bundle
from stream.errors import BundleError, StreamError
from stream.schema import Precision

NAMES = (
    *("MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large", "EfficientNetB0", "EfficientNetV2B0"),
    *("InceptionV3", "InceptionResNetV2", "Xception", "ResNet50", "ResNet50V2", "DenseNet121", "VGG16", "VGG19"),
    *("NASNetMobile", "ConvNeXtTiny"),
)
"""One of each family, the smallest; VGG has two."""
SIZE = 224
PICTURES = 8
RUNS = 15
"""Timed, of which the median counts."""
TIMEOUT_S = 900
LIMIT = 1e-4


@dataclass(frozen=True)
class Row:
    """What came of one network.

    Attributes:
        name: in keras.applications.
        size: height and width of its pictures.
        error: why it is not exported, in one line; None where it is, and then the rest is known.
        width: D, features a picture.
        features: root mean square of what Keras computes, so that closeness means something.
        closeness: max|a - b| / max(1, max|a|) of the features, ONNX Runtime against Keras.
        megabytes: of the graph in fp32, fp16, int8.
        ms: a picture, in fp32, fp16, int8; the median, one picture a run.
        apart: mean|a - b| of the features as a share of their root mean square, fp16 and int8 against fp32.
        remarks: of a precision that it cannot be lowered to, why.
        seconds: that all of it took.
    """

    name: str
    size: int
    error: str | None = None
    width: int = 0
    features: float = 0.0
    closeness: float = 0.0
    megabytes: dict[str, float] | None = None
    ms: dict[str, float] | None = None
    apart: dict[str, float] | None = None
    remarks: dict[str, str] | None = None
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether it is exported, and near enough."""
        return self.error is None and self.closeness <= LIMIT


def measure_each(names: Sequence[str], size: int, threads: int) -> Iterator[Row]:
    """What came of each of the networks, in turn, each in a process of its own."""
    for name in names:
        command = [sys.executable, "-m", "export.backbones", name, str(size), str(threads)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            yield Row(name, size, f"not done after {TIMEOUT_S} s")
            continue
        lines = done.stdout.splitlines()
        if done.returncode == 0 and lines:
            yield Row(**json.loads(lines[-1]))
        else:
            last = done.stderr.strip().splitlines()[-1:] or ["no word"]
            yield Row(name, size, f"its process ended with status {done.returncode}: {last[0][:300]}")


def measure(name: str, size: int, threads: int) -> Row:
    """What comes of one network, here and now."""
    begun = time.monotonic()
    from train.quiet import quiet_tensorflow

    quiet_tensorflow()
    try:
        row = _measured(name, size, threads)
    except (StreamError, ValueError, TypeError, KeyError, AttributeError, NotImplementedError, RuntimeError) as error:
        row = Row(name, size, f"{type(error).__name__}: {' '.join(str(error).split())}"[:300])
    return replace(row, seconds=round(time.monotonic() - begun, 1))


def pictures(size: int, count: int = PICTURES) -> NDArray[np.uint8]:
    """(count, size, size, 3) uint8 RGB: crops of the two photographs that travel with scikit-learn."""
    folder = files("sklearn.datasets.images")
    photos = [cv2.imread(str(folder.joinpath(name))) for name in ("china.jpg", "flower.jpg")]
    crops = []
    for number in range(count):
        photo = photos[number % 2]
        assert photo is not None
        side = min(photo.shape[:2]) - 40 * (number // 4)
        left = (photo.shape[1] - side) * (number // 2 % 2)
        crop = photo[:side, left : left + side, ::-1]
        crops.append(cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA))
    return np.stack(crops).astype(np.uint8)


def _measured(name: str, size: int, threads: int) -> Row:
    import tensorflow as tf

    from export.compare import random_run, rescale
    from export.lower import Feed, to_fp16, to_int8
    from export.pack import pack
    from stream.contracts import Input
    from train.models import ModelSettings, step

    seen = pictures(size)
    with tempfile.TemporaryDirectory() as folder:
        settings = ModelSettings(backbone=name, head="frame")
        run = random_run(Path(folder), settings, Input(size, size), ["none", "one"])
        rescale(run.network, seen)
        wanted = np.asarray(step(run.network.features, tf.constant(seen), [])[0])
        bundle = pack(run, Path(folder) / "fp32", clip=None)
        made: dict[Precision, Bundle] = {"fp32": bundle}
        remarks: dict[str, str] = {}

        def feeds() -> Iterator[Feed]:
            yield from ({"frames": picture[None]} for picture in seen)

        lowered: dict[Precision, Callable[[], bytes]] = {
            "fp16": lambda: to_fp16(bundle),
            "int8": lambda: to_int8(bundle, feeds()),
        }
        for precision, lower in lowered.items():
            try:
                graph = {**{each: bundle.read(each) for each in bundle.spec.hashes()}, "features.onnx": lower()}
                spec = bundle.spec.model_copy(update={"precision": precision})
                made[precision] = write_bundle(Path(folder) / precision, spec, graph)
            except (StreamError, ValueError, RuntimeError) as error:
                remarks[precision] = " ".join(str(error).split())[:200]
        return _compared(name, seen, wanted, made, remarks, threads)


def _compared(
    name: str,
    seen: NDArray[np.uint8],
    wanted: NDArray[np.float32],
    made: dict[Precision, Bundle],
    remarks: dict[str, str],
    threads: int,
) -> Row:
    """The row of the bundles that were `made` of one network, whose features by Keras are `wanted`."""
    from stream.inference import OnnxFeatures

    graphs, got = {}, {}
    for precision, bundle in made.items():
        try:
            graph = OnnxFeatures(bundle, "cpu", threads)
            got[precision] = np.concatenate([graph.extract(picture[None], {})[0] for picture in seen])
            graphs[precision] = graph
        except BundleError as error:
            if precision == "fp32":
                raise
            remarks[precision] = str(error)[-200:]
    spent: dict[str, list[float]] = {precision: [] for precision in graphs}
    for _ in range(RUNS):
        for precision, graph in graphs.items():
            begun = time.perf_counter()
            graph.extract(seen[:1], {})
            spent[precision].append((time.perf_counter() - begun) * 1000)
    size = float(np.sqrt(np.square(wanted, dtype=np.float64).mean()))
    exact = got["fp32"]
    return Row(
        name=name,
        size=seen.shape[1],
        width=wanted.shape[1],
        features=round(size, 3),
        closeness=float(np.abs(exact - wanted).max()) / max(1.0, float(np.abs(wanted).max())),
        megabytes={each: round(len(made[each].read("features.onnx")) / 1e6, 1) for each in graphs},
        ms={precision: round(median(times), 1) for precision, times in spent.items()},
        apart={
            precision: round(float(np.abs(values - exact).mean()) / size, 5)
            for precision, values in got.items()
            if precision != "fp32"
        },
        remarks=remarks,
    )


def table(rows: Sequence[Row]) -> str:
    """`rows` in Markdown, as docs/export.md has them."""
    head = [
        "network",
        "exports",
        "D",
        "size of features",
        "closeness",
        "MB fp32 / fp16 / int8",
        "ms fp32 / fp16 / int8",
        "int8 apart",
    ]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        if row.error is not None:
            lines.append(f"| {row.name} | no: {row.error} |" + " |" * 6)
            continue
        apart = (row.apart or {}).get("int8")
        cells: list[Any] = [
            row.name,
            "yes" if row.passed else "too far",
            row.width,
            row.features,
            f"{row.closeness:.1e}",
        ]
        cells += [_three(row.megabytes), _three(row.ms), "-" if apart is None else f"{apart:.1%}"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _three(values: dict[str, float] | None) -> str:
    return " / ".join(f"{values[each]:g}" if values and each in values else "-" for each in ("fp32", "fp16", "int8"))


if __name__ == "__main__":
    print(json.dumps(asdict(measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))))  # noqa: T201
