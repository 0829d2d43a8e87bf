"""The wheel, in an environment of its own: `actionstream demo` runs from any folder, with all that it needs inside."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def test_make_wheel_installs_no_tensorflow() -> None:
    command = ["make", "--dry-run", "--always-make", "wheel"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    assert "pip wheel" in done.stdout
    assert "[train" not in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_installed_wheel_runs_the_demo_anywhere(tmp_path: Path) -> None:
    def pip(*arguments: str | Path, python: str | Path = sys.executable) -> None:
        command = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)]
        subprocess.run(command, check=True, timeout=600)

    pip("wheel", "--no-deps", "--wheel-dir", tmp_path, ROOT)
    (wheel,) = tmp_path.glob("actionstream-*.whl")
    venv.create(tmp_path / "empty", with_pip=True)
    python = tmp_path / "empty" / "bin" / "python"
    pip("install", "--constraint", ROOT / ".ci" / "constraints.txt", wheel, python=python)

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [str(tmp_path / "empty" / "bin" / "actionstream"), "demo"]
    done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    labels = (elsewhere / "out" / "demo" / "labels.jsonl").read_text().splitlines()
    assert len(labels) > 300 and "latency_ms" in json.loads(labels[0])
    installed = subprocess.run([python, "-m", "pip", "list"], capture_output=True, text=True, check=True).stdout
    assert "tensorflow" not in installed
