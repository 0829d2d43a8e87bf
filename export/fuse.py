"""The fused graph of a bundle: made of its two graphs, checked, and described. The joining itself is stream.fused's."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import onnx

from stream.errors import BundleError, ConfigError
from stream.fused import joined
from stream.schema import BundleSpec, FusedSpec


def with_fused(spec: BundleSpec, files: Mapping[str, bytes], folder: Path) -> tuple[BundleSpec, dict[str, bytes]]:
    """Returns `spec` and `files` with both graphs as one besides; one that is there already is made anew.

    Args:
        spec: of a bundle in carry mode.
        files: its files by name, both graphs among them; the hashes in `spec` are not looked at.
        folder: of the bundle, for errors.

    Raises:
        ConfigError: the bundle does not carry its state.
        BundleError: the two graphs cannot be joined.
    """
    if spec.temporal.mode != "carry":
        raise ConfigError(
            f"--fuse: expected mode carry, got {spec.temporal.mode}, whose head runs apart from the features; "
            "leave --fuse out, or export it with --mode carry"
        )
    content = joined(spec, files.__getitem__, folder)
    try:
        onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    except Exception as error:  # protobuf and onnx raise whatever they like
        said = " ".join(str(error).split())[:300]
        raise BundleError(f"{folder}: expected two graphs that can be one, got: {said}; leave --fuse out") from error
    hashes = (hashlib.sha256(files[graph.file]).hexdigest() for graph in (spec.features, spec.head))
    made_of = dict(zip(("features_sha256", "head_sha256"), hashes, strict=True))
    fused = FusedSpec(**({} if spec.fused is None else {"file": spec.fused.file}), **made_of)
    return spec.model_copy(update={"fused": fused}), {**files, fused.file: content}
