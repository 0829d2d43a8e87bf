"""What `predict` says of the shipped clips, what it takes and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import pytest

from stream.cli import main
from tests.media import moving_pictures
from tests.process import ROOT
from tests.test_commands import say


@pytest.mark.parametrize("action", ["wave", "fall"])
def test_a_clip_of_an_action_is_called_that_though_it_is_over_at_the_end(
    action: str, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = ROOT / "samples" / "clips" / f"{action}.mp4"
    document = json.loads(say(["predict", clip, "--json"], capsys))
    assert next(iter(document["peak"])) == action and document["scores"][action] < 0.5
    assert [(event["label"], event["kind"]) for event in document["events"]] == [(action, "ended")]
    shown = say(["predict", clip], capsys)
    assert f"\n{action}  0:0" in shown and "known after" in shown


def test_a_folder_of_pictures_is_a_clip(tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, gif = tmp_path / "pictures", tmp_path / "new" / "folder" / "clip.gif"
    folder.mkdir()
    for number, picture in enumerate(moving_pictures(30, 64, 48)):
        cv2.imwrite(str(folder / f"{number}.png"), picture)
    assert f"written  {gif}" in say(["predict", folder, "--model", tiny_bundle, "--gif", gif], capsys)
    assert gif.read_bytes().startswith(b"GIF89a")


@pytest.mark.parametrize("address", ["rtsp://127.0.0.1:1/x", "0", "-"])
def test_what_has_no_end_is_for_watch(address: str, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", address, "--model", str(tiny_bundle)]) == 1
    shown = capsys.readouterr().err
    assert "predict takes a file or a folder of pictures; use `watch`" in shown and shown.count("\n") == 1


def test_an_animation_is_a_gif_and_not_the_clip(
    tiny_bundle: Path, h264_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(h264_clip), "--model", str(tiny_bundle), "--gif", str(tmp_path / "x.png")]) == 2
    assert "expected a name that ends in .gif" in capsys.readouterr().err
    clip = Path(shutil.copy(h264_clip, tmp_path / "clip.gif"))
    assert main(["predict", str(clip), "--model", str(tiny_bundle), "--gif", str(clip)]) == 1
    assert clip.read_bytes() == h264_clip.read_bytes()
