"""One training a run folder: a second one is refused; an interrupted one says where the same command goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stream.errors import ConfigError
from tests.process import ROOT, run, start
from train.lock import LOCK, held

RECIPE = """
name = "long"
input = {height = 48, width = 64}
model = {backbone = "compact", units = 8, embedding = 8}
data = {validation = 0}
decision = {streams = 1, seconds = 4.0}
stages = [
    {kind = "head", epochs = 2, batch = 4, window = 6, variants = 0},
    {kind = "head", epochs = 100000, batch = 4, window = 6, variants = 0},
]
"""


def test_a_folder_is_held_by_one(tmp_path: Path) -> None:
    with held(tmp_path):
        with (
            pytest.raises(ConfigError, match=f"{tmp_path.name} is being trained into by another process"),
            held(tmp_path),
        ):
            pass
        assert (tmp_path / LOCK).is_file()
    assert not list(tmp_path.iterdir())
    with held(tmp_path):
        pass


def test_who_was_killed_holds_nothing(tmp_path: Path) -> None:
    program = "import sys, time, pathlib, train.lock\nwith train.lock.held(pathlib.Path(sys.argv[1])):\n"
    program += "    print('held', flush=True)\n    time.sleep(60)"
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(ConfigError), held(tmp_path):
            pass
        process.kill()
    assert (tmp_path / LOCK).is_file()
    with held(tmp_path):
        pass


@pytest.mark.timeout(400)  # TensorFlow is imported four times
def test_a_second_training_is_refused_and_an_interrupted_one_goes_on(class_folders: Path, tmp_path: Path) -> None:
    recipe, out = tmp_path / "long.toml", tmp_path / "run"
    recipe.write_text(RECIPE)
    command: list[str | Path] = [
        "train",
        class_folders,
        "--recipe",
        recipe,
        "--out",
        out,
        "--cache",
        tmp_path / "cache",
    ]
    with start(*command, COLUMNS="200", PYTHONUNBUFFERED="1") as process:
        assert process.stdout is not None
        told = []
        for line in process.stdout:
            told.append(line)
            if line.startswith("stage 2: head: epoch 3 "):
                break
        second = run(*command, timeout=100)
        process.send_signal(signal.SIGINT)
        last = process.communicate(timeout=100)[0].splitlines()[-1]
        assert process.returncode == 130
    assert "epoch 1 of 2, loss" in told[0] and told[0].endswith(" s left of this stage\n")
    assert "left" not in told[1]  # nothing is left of that stage
    assert second.returncode == 1 and second.stderr.count("\n") == 1
    assert f"{out} is being trained into by another process" in second.stderr
    assert last.startswith("interrupted; the same command goes on at stage 2, epoch ")

    with start(*command, COLUMNS="200", PYTHONUNBUFFERED="1") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "going on" + last.partition("goes on")[2] + "\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=100)[0].splitlines()[-1] == last
        assert process.returncode == 130
    assert not (out / LOCK).exists()
