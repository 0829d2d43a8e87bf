"""Odd files go through `actionstream watch`: frames come of them, or one clear line. No traceback, no hang."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stream.cli import main
from tests.odd_files import ODD, Odd
from tests.process import run


@pytest.mark.timeout(30)
@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.name)
def test_frames_or_one_line(odd: Odd, tiny_bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    odd.make(tmp_path / odd.name)
    capfd.readouterr()  # encoders talk
    status = main(["watch", str(tmp_path / odd.name), "--model", str(tiny_bundle), "--no-show", "--device", "cpu"])
    check(odd, status, *capfd.readouterr())


@pytest.mark.parametrize("name", ["jump.ts", "1x1.nut", "resized.ts", "part.mp4", "killed.mp4", "song.mp4"])
def test_in_a_process_of_its_own(name: str, tiny_bundle: Path, tmp_path: Path) -> None:
    (odd,) = (odd for odd in ODD if odd.name == name)
    odd.make(tmp_path / name)
    done = run("watch", tmp_path / name, "--model", tiny_bundle, "--no-show", "--device", "cpu", timeout=30)
    check(odd, done.returncode, done.stdout, done.stderr)


def check(odd: Odd, status: int, out: str, err: str) -> None:
    assert "Traceback" not in out + err
    if odd.says:
        assert (status, out, err.count("\n")) == (1, "", 1), err
        assert odd.name in err and odd.says in err
        return
    assert status == 0, err
    found = re.search(r"(\d+) decoded, (\d+) of them ticks", " ".join(out.split()))
    assert found is not None, out
    frames, ticks = map(int, found.groups())
    assert odd.least <= frames <= 20 and ticks > 0
