"""An ONNX Runtime session on a graph: which provider, what it is told, what its errors mean; which graph is all one.

A device that was asked for is used or refused by name; nothing falls back in silence.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

from stream.bundle import Bundle
from stream.errors import BundleError, ConfigError, DeviceError

DEVICES = ("auto", "cpu", "cuda", "tensorrt")

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
_TENSORRT = "TensorrtExecutionProvider"
_PROVIDERS = {"cpu": [CPU], "cuda": [CUDA, CPU], "tensorrt": [_TENSORRT, CUDA, CPU]}
_PROBE = (  # the smallest graph, y = Abs(x): whether a provider takes it is whether the provider works
    b'\x08\x07:2\n\x0b\n\x01x\x12\x01y"\x03Abs\x12\x01gZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01'
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\r"
)
_FATAL = 4

Options: TypeAlias = Mapping[str, Mapping[str, str]]
"""Of each provider."""

# What a graph that can't be is refused with; any other exception while a session is made is the device's.
_GRAPH_ERRORS = (
    ort_state.InvalidProtobuf,
    ort_state.InvalidGraph,
    ort_state.InvalidArgument,
    ort_state.NotImplemented,
    ort_state.Fail,
)
# ONNX Runtime's exceptions (Fail, InvalidArgument, RuntimeException, ...) have no common root of their own.
ORT_ERRORS: tuple[type[Exception], ...] = (
    *(e for e in vars(ort_state).values() if isinstance(e, type) and issubclass(e, Exception)),
    RuntimeError,  # of a run with bound inputs
)

ort.set_default_logger_severity(_FATAL)  # its notes on stderr would break progress bars; what matters is raised


def resolve_device(device: str) -> list[str]:
    """ONNX Runtime's providers for `device`, the wanted one first: `auto` is CUDA where it works, else the CPU.

    Raises:
        ConfigError: `device` is none of DEVICES.
        DeviceError: it cannot be used here; the message names what is missing.
    """
    if device not in DEVICES:
        raise ConfigError(f"device: expected one of {', '.join(DEVICES)}, got {device!r}; choose one of them")
    if device == "auto":
        return list(_PROVIDERS["cpu" if _fault(CUDA) else "cuda"])
    fault = _fault(_PROVIDERS[device][0])
    if fault:
        raise DeviceError(f"device {device}: {fault}; or use device cpu")
    return list(_PROVIDERS[device])


def _fault(provider: str) -> str | None:
    """What keeps `provider` from working on this machine, and the remedy; None where it works."""
    if provider == CPU:
        return None
    if provider not in ort.get_available_providers():
        return f"expected {provider}, which this build of ONNX Runtime lacks; install onnxruntime-gpu"
    try:
        driver = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return "expected NVIDIA's driver, found no libcuda.so.1; install the driver"
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        return "expected an NVIDIA GPU, the driver finds none; check nvidia-smi"

    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find
        ort.preload_dlls(directory="")  # CUDA and cuDNN of NVIDIA's Python packages
    try:
        works = _session(_PROBE, [provider, CPU], {}, threads=1).get_providers()[0] == provider
    except ORT_ERRORS as error:
        return f"expected {provider} to start, got: {line_of(error)}; check nvidia-smi"
    remedy = "pip install -e '.[gpu]' in the folder of actionstream's sources"
    return None if works else f"{_missing_library(provider)}; {remedy}"


def _missing_library(provider: str) -> str:
    """Which library keeps `provider` from loading.

    ONNX Runtime tells only its log. The system's loader names the library, asked again once ONNX Runtime has failed:
    before that, loading the provider by hand would leave it without its host.
    """
    name = "tensorrt" if provider == _TENSORRT else "cuda"
    try:
        for path in (Path(ort.__file__).parent / "capi").glob(f"*onnxruntime_providers_{name}.*"):
            ctypes.CDLL(str(path))
    except OSError as error:
        return f"a library does not load ({error})"
    return f"{provider} refuses to start"


def provider_options(bundle: Bundle) -> Options:
    """What the providers are told for `bundle`.

    CUDA computes fp32 in full: TF32 rounds the factors of a product to 10 bits, and an fp32 bundle promises 1e-4.
    TensorRT keeps the engines that it builds, which takes minutes, in a folder beside the bundle, named by its digest.
    """
    exact = bundle.spec.precision == "fp32"
    folder = bundle.folder.resolve()
    engines = folder.with_name(f"{folder.name}-{bundle.digest[:8]}.tensorrt")
    return {
        CUDA: {"use_tf32": "0" if exact else "1"},
        _TENSORRT: {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(engines),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(engines),
            "trt_fp16_enable": "1" if bundle.spec.precision == "fp16" else "0",
        },
    }


def open_session(
    graph: bytes,
    path: Path,
    bundle: Bundle,
    device: str,
    threads: int,
    profile: Path | None = None,
    *,
    exact: bool = False,
    capture: bool = False,
) -> ort.InferenceSession:
    """A session on `graph`, which errors call `path`, for `device`, told what `bundle` wants its providers to be told.

    With `exact`, CUDA computes fp32 in full even where the bundle's own graphs may be rounded. With `capture`, it
    records runs as CUDA graphs, which it refuses for graphs of which a node has to run elsewhere.

    Raises:
        BundleError: it is no graph that can be run.
        ConfigError: no such device.
        DeviceError: the device cannot be used here, or not for this bundle.
    """
    providers = resolve_device(device)
    if providers[0] == _TENSORRT and bundle.spec.precision == "int8":
        raise DeviceError(
            f"device {device}: expected an fp32 or fp16 bundle, got int8, which is made for CPUs; use device cpu"
        )
    told = dict(provider_options(bundle))
    if exact:
        told[CUDA] = {**told[CUDA], "use_tf32": "0"}
    if capture:
        told[CUDA] = {**told[CUDA], "enable_cuda_graph": "1"}
    try:
        session = _session(graph, providers, told, threads, profile)
    except _GRAPH_ERRORS as error:
        raise BundleError(f"{path}: expected an ONNX graph, got: {line_of(error)}; export it again") from error
    except ORT_ERRORS as error:
        raise DeviceError(f"device {device}: {line_of(error)}; or use device cpu") from error
    if session.get_providers()[0] != providers[0]:
        got = session.get_providers()[0]
        raise DeviceError(f"device {device}: expected {providers[0]}, got {got}; or use device cpu")
    return session


def _session(
    graph: bytes, providers: Sequence[str], told: Options, threads: int, profile: Path | None = None
) -> ort.InferenceSession:
    """A session on `graph`, silent, whose providers are `told` something; it may write a profile of its runs."""
    options = ort.SessionOptions()
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL
    # Threads spin while a run goes on, where that saves wake-ups between nodes, and sleep at once when it ends: the
    # cores between two ticks belong to the readers, which decode.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    wanted = [(name, dict(told.get(name, {}))) for name in providers]
    # Else a provider that fails, when it starts or years later in a run, is told on stdout and left for the CPU.
    return ort.InferenceSession(graph, options, providers=wanted, enable_fallback=False)


def line_of(error: Exception) -> str:
    """ONNX Runtime's message on one line."""
    return " ".join(str(error).split())
