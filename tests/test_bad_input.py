"""Whatever a person gets wrong: one line that says why, exit 1, no traceback and no hang. Real processes."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stream.bench.rtsp_server import RtspServer
from tests.process import run


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that `done` ended with; checks that it is one."""
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert done.stdout == ""
    assert done.stderr.startswith("actionstream: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    """A text that says of itself that it is a video."""
    path = tmp_path / "notes.mp4"
    path.write_text("this is not a video\n" * 50)
    return path


@pytest.fixture
def deaf_camera() -> Iterator[str]:
    """The address of something that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"rtsp://user:secret@127.0.0.1:{server.getsockname()[1]}/stream"


@pytest.mark.parametrize("command", ["watch", "predict"])
def test_no_such_file(command: str, tiny_bundle: Path, tmp_path: Path) -> None:
    assert "missing.mp4: no such file" in refusal(run(command, tmp_path / "missing.mp4", "--model", tiny_bundle))


@pytest.mark.parametrize("command", ["watch", "predict"])
def test_a_text_file_named_mp4(command: str, tiny_bundle: Path, text_file: Path) -> None:
    assert "not a video" in refusal(run(command, text_file, "--model", tiny_bundle))


def test_a_text_file_is_not_recorded(text_file: Path, tmp_path: Path) -> None:
    refusal(run("record", "wave", "--source", text_file, "--out", tmp_path / "clips"))
    assert not list((tmp_path / "clips").rglob("*.mp4"))


def test_an_empty_folder_as_source(tiny_bundle: Path, tmp_path: Path) -> None:
    assert "folder" in refusal(run("watch", tmp_path, "--model", tiny_bundle))


@pytest.mark.parametrize("command", ["watch", "predict", "inspect"])
def test_an_empty_folder_as_bundle(command: str, h264_clip: Path, tmp_path: Path) -> None:
    arguments = [tmp_path] if command == "inspect" else [h264_clip, "--model", tmp_path]
    assert "bundle.json" in refusal(run(command, *arguments))


@pytest.mark.parametrize("name", ["features.onnx", "head.onnx"])
def test_a_bundle_with_a_changed_byte(name: str, tiny_bundle: Path, h264_clip: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    assert f"{name}: expected sha256" in refusal(run("watch", h264_clip, "--model", bundle))


def test_labels_that_do_not_fit_the_graph(tiny_bundle: Path, h264_clip: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    document = json.loads((bundle / "bundle.json").read_text())
    document["labels"].append("jump")
    document["decision"]["labels"]["jump"] = {"enter": 0.5, "exit": 0.4, "min": 0.0}
    (bundle / "bundle.json").write_text(json.dumps(document))
    assert "logits" in refusal(run("watch", h264_clip, "--model", bundle))


def test_an_unreachable_camera(tiny_bundle: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    line = refusal(run("watch", f"rtsp://user:secret@127.0.0.1:{port}/stream", "--model", tiny_bundle))
    assert f"127.0.0.1:{port}" in line
    assert "secret" not in line


def test_cameras_that_send_no_video(deaf_camera: str, tiny_bundle: Path, h264_clip: Path) -> None:
    """One takes the connection and never says a word, one promises video and sends none: both are waited for 5 s."""
    with RtspServer({"/stream": h264_clip}) as server:
        server.stall("/stream")
        urls = (deaf_camera, server.url("/stream"))
        with ThreadPoolExecutor() as pool:
            for done in pool.map(lambda url: run("watch", url, "--model", tiny_bundle), urls):
                assert "secret" not in refusal(done)


def test_a_camera_without_that_stream(tiny_bundle: Path, h264_clip: Path) -> None:
    with RtspServer({"/stream": h264_clip}) as server:
        refusal(run("watch", server.url("/other"), "--model", tiny_bundle))


@pytest.mark.parametrize("display", ["", ":4711"])
def test_a_display_that_is_not_there(display: str, tiny_bundle: Path, h264_clip: Path) -> None:
    arguments = ("watch", h264_clip, "--model", tiny_bundle, "--show")
    assert "display" in refusal(run(*arguments, DISPLAY=display)).lower()


@pytest.mark.parametrize("command", [("watch",), ("record", "wave", "--source")])
def test_a_webcam_that_is_not_there(command: tuple[str, ...], tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = ("--model", tiny_bundle) if command[0] == "watch" else ()
    assert "/dev/video61" in refusal(run(*command, "61", *bundle, cwd=tmp_path))


def test_a_device_that_is_not_there(tiny_bundle: Path, h264_clip: Path) -> None:
    done = run("watch", h264_clip, "--model", tiny_bundle, "--device", "cuda", CUDA_VISIBLE_DEVICES="-1")
    assert "cuda" in refusal(done)


@pytest.mark.parametrize("address", ["", " "])
def test_no_address_is_not_the_folder_one_is_in(address: str, tiny_bundle: Path) -> None:
    """`watch "$CAMERA"`, with the variable unset."""
    assert "got nothing; is the variable that holds it set?" in refusal(run("watch", address, "--model", tiny_bundle))
