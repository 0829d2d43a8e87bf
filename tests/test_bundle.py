"""Bundles on disk: written and read back, and every way in which one can be wrong, told in one line that names it."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from stream.bundle import (
    Bundle,
    BundleSpec,
    Decision,
    FusedSpec,
    GeometrySpec,
    GoldenSpec,
    GraphSpec,
    InputSpec,
    LabelRule,
    StateTensor,
    Temporal,
    write_bundle,
)
from stream.errors import BundleError
from tests.graphs import FILTERS, LABELS, UNITS, make_bundle
from tests.process import ROOT


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "whole", feature_state=True)


@pytest.fixture
def folder(whole: Bundle, tmp_path: Path) -> Path:
    """A copy of a good bundle, to be damaged."""
    return Path(shutil.copytree(whole.folder, tmp_path / "copy"))


def refused(folder: Path) -> str:
    """The one line with which the bundle is refused."""
    with pytest.raises(BundleError) as caught:
        Bundle.load(folder).golden()
    message = str(caught.value)
    assert "\n" not in message and str(folder) in message
    return message


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes bundle.json."""
    path = folder / "bundle.json"
    spec = json.loads(path.read_text())
    change(spec)
    path.write_text(json.dumps(spec))


def replace_arrays(folder: Path, content: bytes) -> None:
    """Puts other golden arrays in, with the right hash."""
    (folder / "golden/golden.npz").write_bytes(content)
    edit(folder, lambda spec: spec["golden"].update(arrays_sha256=hashlib.sha256(content).hexdigest()))


def packed(arrays: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def test_what_was_written_is_read_back(whole: Bundle) -> None:
    bundle = Bundle.load(whole.folder)
    assert (bundle.spec, bundle.digest, bundle.labels, bundle.none) == (whole.spec, whole.digest, LABELS, "none")
    assert bundle.model == f"tiny@{bundle.digest[:8]}"
    assert (bundle.input.height, bundle.input.width, bundle.input.rate, bundle.input.max_gap) == (24, 32, 10.0, 2.0)
    for name, sha256 in bundle.spec.hashes().items():
        assert hashlib.sha256((bundle.folder / name).read_bytes()).hexdigest() == sha256


def test_the_json_has_the_names_that_were_agreed_on(whole: Bundle) -> None:
    spec = json.loads((whole.folder / "bundle.json").read_text())
    assert list(spec) == [
        *("schema", "name", "labels", "none", "precision", "closeness", "input", "features", "head"),
        *("temporal", "decision", "golden", "provenance"),
    ]
    assert set(spec["features"]) == {"file", "sha256", "input", "output", "state"}
    assert spec["head"]["state"] == [{"input": "h_in", "output": "h_out", "shape": [UNITS], "dtype": "float32"}]
    assert set(spec["temporal"]) == {"mode", "window", "replicas", "warmup", "max_gap"}
    assert spec["decision"]["labels"]["wave"] == {"enter": 0.5, "exit": 0.4, "min": 0.0}
    assert set(spec["golden"]) == {"clip", "clip_sha256", "arrays", "arrays_sha256"}


SCHEMA_1 = """{"schema": 1, "name": "kept", "labels": ["none", "wave", "clap"], "none": "none", "precision": "fp32",
"closeness": {}, "input": {"height": 24, "width": 32, "fit": "letterbox", "rate": 10.0, "region": null},
"features": {"file": "features.onnx", "sha256": "FEATURES", "input": "frames", "output": "features", "state": [
{"input": "trace_in", "output": "trace_out", "shape": [8], "dtype": "float32"}]},
"head": {"file": "head.onnx", "sha256": "HEAD", "input": "features", "output": "logits", "state": [
{"input": "h_in", "output": "h_out", "shape": [6], "dtype": "float32"}]},
"temporal": {"mode": "carry", "window": null, "replicas": 4, "warmup": 3, "max_gap": 2.0},
"decision": {"temperature": 0.8, "smoothing": 0.3, "labels": {
"wave": {"enter": 0.8, "exit": 0.48, "min": 0.2}, "clap": {"enter": 0.65, "exit": 0.39, "min": 0.0}}},
"golden": null, "provenance": {"recipe": "kept", "seed": 0}}"""
"""A bundle.json as the first version wrote it. It is never changed: what is here must be read for ever."""


def test_what_the_first_version_wrote_is_read(folder: Path) -> None:
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("features.onnx", "head.onnx")}
    text = SCHEMA_1.replace("FEATURES", hashes["features.onnx"]).replace("HEAD", hashes["head.onnx"])
    (folder / "bundle.json").write_text(text)
    bundle = Bundle.load(folder)
    assert (bundle.spec.name, bundle.labels, bundle.spec.decision.labels["clap"].exit) == ("kept", LABELS, 0.39)
    assert bundle.spec.features.state[0].shape == (8,) and bundle.spec.temporal.warmup == 3


def test_every_key_is_documented() -> None:
    text = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    spec = text[text.index("## bundle.json") : text.index("## What loading trusts")]
    models: list[type[BaseModel]] = [
        BundleSpec,
        InputSpec,
        GraphSpec,
        StateTensor,
        Temporal,
        Decision,
        LabelRule,
        GeometrySpec,
        FusedSpec,
        GoldenSpec,
    ]
    keys = {field.alias or name for model in models for name, field in model.model_fields.items()}
    assert not [key for key in sorted(keys) if f"`{key}`" not in spec]


def test_golden_arrays_are_one_row_a_tick(whole: Bundle) -> None:
    golden = whole.golden()
    count = len(golden.times)
    assert golden.labels == LABELS and count == 20
    assert golden.images is not None and golden.images.shape == (count, 24, 32, 3)
    assert golden.features.shape == (count, FILTERS) and golden.logits.shape == (count, 3)
    assert {name: value.shape for name, value in golden.states.items()} == {
        "h_in": (count, UNITS),
        "trace_in": (count, FILTERS),
    }


def test_native_rate_and_no_golden(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b", rate="native", golden=False)
    assert bundle.input.rate is None
    with pytest.raises(BundleError, match="golden"):
        bundle.golden()


def test_the_digest_follows_every_file_and_setting(whole: Bundle, tmp_path: Path) -> None:
    same = make_bundle(tmp_path / "same", feature_state=True, golden=False)
    again = make_bundle(tmp_path / "again", feature_state=True, golden=False)
    weights = make_bundle(tmp_path / "weights", feature_state=True, golden=False, seed=1)
    thresholds = make_bundle(tmp_path / "thresholds", feature_state=True, golden=False, enter=0.6)
    assert same.digest == again.digest
    assert len({whole.digest, same.digest, weights.digest, thresholds.digest}) == 4


@pytest.mark.parametrize("name", ["features.onnx", "head.onnx", "golden/clip.mp4", "golden/golden.npz"])
def test_a_changed_byte_is_found_before_anything_is_made_of_the_file(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    message = refused(folder)
    assert name in message and "sha256" in message
    with pytest.raises(BundleError, match="sha256"):
        Bundle.load(folder, check=False).read(name)


def test_missing_things(folder: Path, tmp_path: Path) -> None:
    assert "bundle.json" in refused(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "bundle.json" in refused(tmp_path / "empty")
    (folder / "head.onnx").unlink()
    assert "head.onnx" in refused(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema": 1}', '{"schema": 1, "schema": 2}', "\ud800"])
def test_a_spec_that_is_no_spec(folder: Path, text: str) -> None:
    (folder / "bundle.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    assert "bundle.json" in refused(folder)


def test_a_spec_too_large_is_not_read(folder: Path) -> None:
    (folder / "bundle.json").write_bytes(b" " * (2**20 + 1))
    assert "1048576" in refused(folder)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda spec: spec.update(schema=2), "schema"),
        (lambda spec: spec.update(surprise=1), "surprise"),
        (lambda spec: spec.pop("head"), "head"),
        (lambda spec: spec.update(name="../x"), "name"),
        (lambda spec: spec.update(labels=["none"]), "labels"),
        (lambda spec: spec.update(labels=["none", "wave", "wave"]), "labels"),
        (lambda spec: spec.update(labels=["none", "wave", "jump"]), "decision.labels"),
        (lambda spec: spec.update(labels=["none", "a\nb", "clap"]), "labels.1: String"),
        (lambda spec: spec.update(labels=["none", "\x9b31mred", "clap"]), "labels.1: String"),  # colours a terminal
        (lambda spec: spec.update(none="nothing"), "nothing"),
        (lambda spec: spec["input"].update(height="24"), "input.height"),
        (lambda spec: spec["input"].update(width=0), "input.width"),
        (lambda spec: spec["input"].update(width=10**6), "input.width"),
        (lambda spec: spec["input"].update(rate=0), "input.rate"),
        (lambda spec: spec["input"].update(rate="fast"), "input.rate"),
        (lambda spec: spec["input"].update(fit="stretch"), "input.fit"),
        (lambda spec: spec["input"].update(fit="region"), "region"),
        (lambda spec: spec["input"].update(region=[0, 0, 1, 1]), "region"),
        (lambda spec: spec["input"].update(fit="region", region=[0.5, 0, 0.5, 1]), "region"),
        (lambda spec: spec["input"].update(fit="region", region=[0, 0, 1, 1.5]), "input.region"),
        (lambda spec: spec["features"].update(file="../features.onnx"), "features.file"),
        (lambda spec: spec["features"].update(file="/etc/passwd"), "features.file"),
        (lambda spec: spec["features"].update(file="a/../../b"), "features.file"),
        (lambda spec: spec["features"].update(sha256="abc"), "features.sha256"),
        (lambda spec: spec["head"]["state"][0].update(shape=[0]), "head.state"),
        (lambda spec: spec["head"]["state"][0].update(dtype="object"), "head.state"),
        (lambda spec: spec["head"]["state"][0].update(input="trace_in"), "trace_in"),
        (lambda spec: spec["temporal"].update(mode="window", window=8), "carry"),
        (lambda spec: spec["temporal"].update(window=0), "temporal.window"),
        (lambda spec: spec["temporal"].update(max_gap=0), "temporal.max_gap"),
        (lambda spec: spec["decision"].update(temperature=0), "decision.temperature"),
        (lambda spec: spec["decision"].update(smoothing=float("inf")), "decision.smoothing"),
        (lambda spec: spec["decision"]["labels"].pop("wave"), "wave"),
        (lambda spec: spec["decision"]["labels"].update(none=spec["decision"]["labels"]["wave"]), "none"),
        (lambda spec: spec["decision"]["labels"]["wave"].update(exit=0.9), "exit"),
        (lambda spec: spec["decision"]["labels"]["wave"].update(enter=1.1), "enter"),
    ],
)
def test_a_key_that_cannot_be_is_named(folder: Path, change: Callable[[dict[str, Any]], object], named: str) -> None:
    edit(folder, change)
    assert named in refused(folder)


def test_window_mode_needs_a_length(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b", mode="window", window=5, golden=False)
    edit(bundle.folder, lambda spec: spec["temporal"].update(window=None))
    assert "window" in refused(bundle.folder)


def test_a_link_out_of_the_folder_is_not_followed(folder: Path, tmp_path: Path) -> None:
    outside = (folder / "head.onnx").rename(tmp_path / "outside.onnx")
    (folder / "head.onnx").symlink_to(outside)
    assert "inside the bundle" in refused(folder)


def test_golden_arrays_that_do_not_fit(folder: Path) -> None:
    with np.load(folder / "golden/golden.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    replace_arrays(folder, packed({**arrays, "labels": np.array(["none", "clap", "wave"])}))
    assert "['none', 'wave', 'clap']" in refused(folder)
    replace_arrays(folder, packed({**arrays, "logits": arrays["logits"][:-1]}))
    assert "one row a tick" in refused(folder)
    replace_arrays(folder, packed({**arrays, "logits": arrays["logits"][:, :2]}))
    assert "(T, 3)" in refused(folder)
    replace_arrays(folder, packed({name: value for name, value in arrays.items() if name != "features"}))
    assert "features" in refused(folder)
    replace_arrays(folder, packed({**arrays, "extra": np.array([{"code": 1}], dtype=object)}))
    assert "golden.npz" in refused(folder)
    replace_arrays(folder, b"no archive")
    assert "golden.npz" in refused(folder)


def test_writing_replaces_a_bundle_whole(whole: Bundle, tmp_path: Path) -> None:
    old = make_bundle(tmp_path / "b", seed=1)
    files = {name: whole.read(name) for name in whole.spec.hashes()}
    new = write_bundle(old.folder, whole.spec, files)
    assert new.spec.features.sha256 == whole.spec.features.sha256 and new.digest != old.digest
    assert not (old.folder / "CARD.md").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_writing_that_is_interrupted_leaves_the_old_bundle(
    whole: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = make_bundle(tmp_path / "b", seed=1)
    rename = Path.rename

    def interrupted(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_bundle(old.folder, whole.spec, {name: whole.read(name) for name in whole.spec.hashes()})
    assert Bundle.load(old.folder).digest == old.digest
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_writing_refuses_what_it_would_damage_or_cannot_finish(whole: Bundle, tmp_path: Path) -> None:
    files = {name: whole.read(name) for name in whole.spec.hashes()}
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/one.jpg").write_bytes(b"precious")
    with pytest.raises(BundleError, match="photos"):
        write_bundle(tmp_path / "photos", whole.spec, files)
    with pytest.raises(BundleError, match=r"head\.onnx"):
        write_bundle(tmp_path / "b", whole.spec, {name: files[name] for name in files if name != "head.onnx"})
    with pytest.raises(BundleError, match="escape"):
        write_bundle(tmp_path / "b", whole.spec, {**files, "../../escape": b""})
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["one.jpg", "photos"]
