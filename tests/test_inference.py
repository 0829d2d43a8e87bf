"""The two graphs in ONNX Runtime: against numpy, against their declarations, and on devices that are not there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from stream.bundle import Bundle, write_bundle
from stream.contracts import FeatureExtractor, Head
from stream.errors import BundleError, ConfigError, DeviceError
from stream.inference import OnnxFeatures, OnnxHead, placement
from stream.session import DEVICES, provider_options, resolve_device
from stream.threads import available_cores
from tests.graphs import FAIL_PIXEL, FILTERS, UNITS, Reference, features_graph, head_graph, make_bundle, weights_of

SIZE = (24, 32)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "b", feature_state=True, golden=False)


def images(count: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (count, *SIZE, 3), dtype=np.uint8)


def with_graphs(bundle: Bundle, folder: Path, **graphs: onnx.ModelProto) -> Bundle:
    """The bundle with other graphs under the same declarations."""
    files = {name: bundle.read(name) for name in bundle.spec.hashes()}
    files |= {f"{name}.onnx": graph.SerializeToString() for name, graph in graphs.items()}
    return write_bundle(folder, bundle.spec, files)


def test_both_graphs_step_by_step_are_the_reference(bundle: Bundle) -> None:
    features, head = OnnxFeatures(bundle, "cpu"), OnnxHead(bundle, "cpu")
    extractor: FeatureExtractor = features
    stepper: Head = head
    clip, reference = images(12), Reference(weights_of(feature_state=True))
    wanted = reference.features(clip)
    logits, states = reference.carried(wanted)
    trace, hidden = features.zeros(1), head.zeros(1)
    for t, image in enumerate(clip):
        vector, trace = extractor.extract(image[None], trace)
        out, hidden = stepper.step(vector, hidden)
        assert vector.dtype == np.float32 and out.dtype == np.float32
        np.testing.assert_allclose(vector[0], wanted[t], atol=1e-5)
        np.testing.assert_allclose(trace["trace_in"][0], wanted[t], atol=1e-5)
        np.testing.assert_allclose(out[0], logits[t], atol=1e-4)
        np.testing.assert_allclose(hidden["h_in"][0], states[t], atol=1e-5)


def test_batches_have_any_size(bundle: Bundle) -> None:
    features = OnnxFeatures(bundle, "cpu", threads=1)
    for count in (0, 1, 3, 8):
        vectors, state = features.extract(images(count), features.zeros(count))
        assert vectors.shape == (count, FILTERS) and state["trace_in"].shape == (count, FILTERS)


def test_widths_states_and_providers_are_known(bundle: Bundle) -> None:
    features, head = OnnxFeatures(bundle, "cpu"), OnnxHead(bundle, "cpu")
    assert features.width == head.width == FILTERS
    assert [tensor.input for tensor in (*features.state_spec, *head.state_spec)] == ["trace_in", "h_in"]
    assert features.providers == head.providers == ["CPUExecutionProvider"]
    assert not head.zeros(4)["h_in"].any() and head.zeros(4)["h_in"].shape == (4, UNITS)


def test_wrong_arrays_are_refused_before_the_run(bundle: Bundle) -> None:
    features, head = OnnxFeatures(bundle, "cpu"), OnnxHead(bundle, "cpu")
    with pytest.raises(ValueError, match="frames: expected uint8"):
        features.extract(images(1).astype(np.float32), features.zeros(1))
    with pytest.raises(ValueError, match="frames: expected"):
        features.extract(images(1)[:, :5], features.zeros(1))
    with pytest.raises(ValueError, match="trace_in"):
        features.extract(images(2), features.zeros(1))
    with pytest.raises(ValueError, match="state"):
        features.extract(images(1), {})
    with pytest.raises(ValueError, match="h_in: expected float32"):
        head.step(np.zeros((1, FILTERS), np.float32), {"h_in": np.zeros((1, UNITS), np.float64)})


def test_a_failing_run_is_a_device_error(tmp_path: Path) -> None:
    features = OnnxFeatures(make_bundle(tmp_path / "b", traps=True, golden=False), "cpu")
    bad = images(1)
    bad[0, 0, 0, 0] = FAIL_PIXEL
    with pytest.raises(DeviceError, match=r"features\.onnx: the run failed") as caught:
        features.extract(bad, {})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("graphs", "named"),
    [
        ({"features": features_graph(weights_of(feature_state=True), (24, 30))}, "frames of shape"),
        ({"features": features_graph(weights_of(), SIZE)}, "the names"),
        ({"head": head_graph(weights_of(labels=("none", "wave", "clap", "jump")))}, "logits of shape"),
        ({"head": features_graph(weights_of(), SIZE)}, "the names"),
        ({"features": onnx.ModelProto()}, "ONNX graph"),
    ],
)
def test_graphs_that_are_not_what_the_bundle_says(
    bundle: Bundle, tmp_path: Path, graphs: dict[str, onnx.ModelProto], named: str
) -> None:
    changed = with_graphs(bundle, tmp_path / "changed", **graphs)
    with pytest.raises(BundleError, match=named) as caught:
        OnnxFeatures(changed, "cpu")
        OnnxHead(changed, "cpu")
    assert "\n" not in str(caught.value) and ".onnx" in str(caught.value)


def test_a_fixed_batch_axis_and_a_wrong_type_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    fixed = head_graph(weights_of())
    for value in (*fixed.graph.input, *fixed.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    with pytest.raises(BundleError, match="open batch axis"):
        OnnxHead(with_graphs(bundle, tmp_path / "fixed", head=fixed), "cpu")
    double = head_graph(weights_of())
    for constant in double.graph.initializer:
        if constant.data_type == onnx.TensorProto.FLOAT:
            constant.CopyFrom(
                onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(constant).astype(np.float64), constant.name)
            )
    for value in (*double.graph.input, *double.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    with pytest.raises(BundleError, match="of type float32"):
        OnnxHead(with_graphs(bundle, tmp_path / "double", head=double), "cpu")


def test_devices_are_resolved_or_refused_by_name() -> None:
    assert resolve_device("cpu") == ["CPUExecutionProvider"]
    assert resolve_device("auto")[-1] == "CPUExecutionProvider"
    assert available_cores() >= 1
    with pytest.raises(ConfigError, match=", ".join(DEVICES)):
        resolve_device("tpu")
    if resolve_device("auto") == ["CPUExecutionProvider"]:
        for device in ("cuda", "tensorrt"):
            with pytest.raises(DeviceError, match=f"device {device}: .*(libcuda|GPU|ONNX Runtime|library)"):
                resolve_device(device)


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_gpu_that_cannot_be_used_is_never_replaced_in_silence(bundle: Bundle, device: str) -> None:
    try:
        resolve_device(device)
    except DeviceError as error:
        named = re.search(r"libcuda|GPU|ONNX Runtime|library .*\.so", str(error))
        assert named, error
        for graph in (OnnxFeatures, OnnxHead):
            with pytest.raises(DeviceError, match=f"device {device}: .*or use device cpu"):
                graph(bundle, device)
    else:
        assert OnnxFeatures(bundle, device).providers[0] != "CPUExecutionProvider"


def test_what_the_providers_are_told(bundle: Bundle, tmp_path: Path) -> None:
    """fp32 is computed in full; engines lie beside the bundle, and those of another bundle elsewhere."""
    told = provider_options(bundle)
    assert told["CUDAExecutionProvider"] == {"use_tf32": "0"}
    tensorrt = told["TensorrtExecutionProvider"]
    engines = Path(tensorrt["trt_engine_cache_path"])
    assert engines.parent == bundle.folder.parent.resolve() and bundle.digest[:8] in engines.name
    assert (tensorrt["trt_engine_cache_enable"], tensorrt["trt_fp16_enable"]) == ("1", "0")

    files = {name: bundle.read(name) for name in bundle.spec.hashes()}
    half = write_bundle(tmp_path / "b", bundle.spec.model_copy(update={"precision": "fp16"}), files)
    told = provider_options(half)
    assert told["CUDAExecutionProvider"]["use_tf32"] == "1"
    assert told["TensorrtExecutionProvider"]["trt_fp16_enable"] == "1"
    assert told["TensorrtExecutionProvider"]["trt_engine_cache_path"] != str(engines)


def test_where_each_node_runs(bundle: Bundle) -> None:
    nodes = placement(bundle, "cpu")
    assert set(nodes) == {"features", "head"}
    assert set(nodes["features"]) == set(nodes["head"]) == {"CPUExecutionProvider"}
    assert nodes["features"]["CPUExecutionProvider"]["Conv"] == 1
    assert nodes["head"]["CPUExecutionProvider"]["Tanh"] == 1


def test_threads_by_measurement(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    chosen = OnnxFeatures(bundle, "cpu", "auto", rows=2).threads
    assert 1 <= chosen <= available_cores()
    assert bundle.spec.features.sha256 in (tmp_path / "actionstream" / "threads.json").read_text()
    assert OnnxFeatures(bundle, "cpu").threads == available_cores()
    assert OnnxFeatures(bundle, "cpu", 1).threads == OnnxHead(bundle, "cpu").threads == 1


def test_opening_and_running_prints_nothing(bundle: Bundle) -> None:
    code = (
        "from stream.recognizer import Recognizer; import sys;"
        "r = Recognizer.load(sys.argv[1], device='auto'); r.warm_up()"
    )
    done = subprocess.run([sys.executable, "-c", code, bundle.folder], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_probe_is_a_graph_that_runs() -> None:
    from stream.session import _PROBE

    session = onnxruntime.InferenceSession(_PROBE, providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": np.array([-2], np.float32)})[0].tolist() == [2]


def test_no_session_falls_back_to_the_cpu_in_silence(tiny_bundle: Path) -> None:
    """ONNX Runtime's Python would, with a print on stdout, when it starts and in every run."""
    assert not OnnxHead(Bundle.load(tiny_bundle), "cpu").session._enable_fallback
