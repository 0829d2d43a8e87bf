"""What a measurement was made on and with: machine, versions, bundle, providers, threads. No date, no host's name.

Every bench puts this beside its numbers, so that a figure can be judged, and made again elsewhere. Nothing is measured
here, and no library is imported to learn its version.
"""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from stream.bundle import Bundle
from stream.contracts import Input
from stream.embedded import EmbeddedGeometry, open_geometry
from stream.inference import OnnxFeatures, OnnxHead, OnnxWhole, Threads
from stream.recognizer import Recognizer
from stream.resident import CAPACITY, Resident, pays
from stream.threads import available_cores
from stream.unfitted import embedded_input
from stream.whole import Whole, serves

LIBRARIES = ("actionstream", "onnxruntime-gpu", "onnxruntime", "av", "opencv-python", "numpy", "tensorflow", "keras")
CPU_INFO = Path("/proc/cpuinfo")
BRAND = ("sysctl", "-n", "machdep.cpu.brand_string")
"""How macOS names its CPU."""
GPUS = ("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")


@dataclass(frozen=True, eq=False)
class OpenBundle:
    """A bundle whose graphs are open: what is measured.

    Attributes:
        bundle: as it was loaded.
        features, head: its graphs.
        device: that was asked for.
        geometry: its geometry graph, where that takes the place of stream.geometry.
        graphs: whether runs are captured as CUDA graphs, as in `stream.resident`.
        whole: its fused graph, where the line runs that in place of the two.
    """

    bundle: Bundle
    features: OnnxFeatures
    head: OnnxHead
    device: str
    geometry: EmbeddedGeometry | None = None
    graphs: bool | None = None
    whole: OnnxWhole | None = None

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        device: str = "auto",
        threads: Threads = None,
        rows: int = 1,
        embedded: bool | None = None,
        graphs: bool | None = None,
    ) -> OpenBundle:
        """The bundle in `folder`, open.

        Args:
            folder: of the bundle.
            device: where its graphs run.
            threads: of the features graph, as in `stream.inference`.
            rows: of the runs that `auto` threads are to be fastest for.
            embedded: with its geometry graph, as in `stream.recognizer`.
            graphs: with its runs captured, as in `stream.resident`.

        Raises:
            BundleError: it is missing or damaged.
            ConfigError: no such device, or no geometry graph.
            DeviceError: the device cannot be used here.
        """
        bundle = Bundle.load(folder, check=False)
        features = OnnxFeatures(bundle, device, threads, rows=rows)
        geometry = open_geometry(bundle, features, device, embedded)
        whole = OnnxWhole(bundle, device, features.threads) if serves(bundle, device) else None
        return cls(bundle, features, OnnxHead(bundle, device), device, geometry, graphs, whole)

    @property
    def input(self) -> Input:
        """What sources are to give."""
        return self.bundle.input if self.geometry is None else embedded_input(self.bundle.input)

    @property
    def stays(self) -> bool:
        """Whether states stay on the device, as `Recognizer.load` has it."""
        return pays(self.features.providers, self.bundle.spec.temporal.mode)

    def resident(self, capacity: int = CAPACITY) -> Resident:
        """Both graphs as one that keeps the states of `capacity` tracks where it runs."""
        return Resident(self.bundle, self.device, self.features.threads, capacity=capacity, graphs=self.graphs)

    def recognizer(self, batch_size: int | Sequence[int] = 1, *, apart: bool = False) -> Recognizer:
        """A recognizer over these very graphs, which are run as `load` has it; or, `apart`, as two in any case."""
        joined: Resident | Whole | None = None
        if self.stays:
            joined = self.resident()
        elif self.whole is not None:
            joined = Whole(self.bundle, self.whole)
        if apart:
            joined = None
        return Recognizer(
            self.bundle, self.features, self.head, batch_size=batch_size, joined=joined, geometry=self.geometry
        )


def conditions(opened: OpenBundle, batch_sizes: Sequence[int]) -> dict[str, Any]:
    """Machine, versions, bundle, and how its graphs run, at which batch sizes: for JSON."""
    bundle = opened.bundle
    return {
        "machine": machine(),
        "versions": versions(),
        "bundle": {
            "model": bundle.model,
            "digest": bundle.digest,
            "precision": bundle.spec.precision,
            "mode": bundle.spec.temporal.mode,
            "window": bundle.spec.temporal.window,
        },
        "runtime": {
            "device": opened.device,
            "providers": {"features": opened.features.providers, "head": opened.head.providers},
            "threads": {"features": opened.features.threads, "head": opened.head.threads},
            "batch_sizes": list(batch_sizes),
            "embedded_geometry": opened.geometry is not None,
            "resident": opened.stays,
            "fused": opened.whole is not None,
            "cuda_graphs": "where they can be" if opened.graphs is None else opened.graphs,
        },
    }


def machine() -> dict[str, Any]:
    """This machine: its CPU, the cores that this process may use, memory in bytes, operating system, GPUs."""
    return {
        "cpu": _cpu(),
        "cores": available_cores(),
        "memory_bytes": _memory(),
        "os": platform.platform(),
        "gpus": _told(GPUS).splitlines(),
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that are installed."""
    found = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def in_words(told: Mapping[str, Any]) -> str:
    """What `conditions` gave, on one line, for people."""
    machine, runtime, bundle = told["machine"], told["runtime"], told["bundle"]
    threads = runtime["threads"]
    where = ", ".join([machine["cpu"], f"{machine['cores']} cores", *machine["gpus"]])
    return (
        f"{bundle['model']}, {bundle['precision']}, {runtime['providers']['features'][0]}, "
        f"{threads['features']} + {threads['head']} threads; {where}"
    )


def _cpu() -> str:
    """The CPU's name as its maker gives it, as far as the system tells."""
    if CPU_INFO.exists():
        for line in CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return _told(BRAND) or platform.processor() or platform.machine()


def _memory() -> int | None:
    """Bytes of physical memory; None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):  # Windows
        return None


def _told(command: Sequence[str]) -> str:
    """What a command prints; nothing where it does not exist or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
