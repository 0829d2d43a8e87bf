"""Mutated bundles, opened in a child process: only `BundleError`s come out, and `DeviceError`s of runs.

A mutation that ends the child is a crash of ONNX Runtime (or of ours): the test fails and names the folder
that is kept.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stream.bundle import Bundle
from tests.graphs import with_one_graph
from tests.process import ROOT

KINDS = ("json", "arrays", "graphs", "fused")


def open_mutations(folder: Path, kind: str, first: int, count: int) -> tuple[dict[int, str], list[str]]:
    """What came of each mutation, and how each child ended that did not get through all of its own."""
    outcomes: dict[int, str] = {}
    deaths: list[str] = []
    end = first + count
    while first < end:
        command = [sys.executable, "-m", "tests.bundle_fuzz_child", str(folder), kind, str(first), str(end - first)]
        child = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, encoding="utf-8", errors="replace")
        assert child.stdout, "the child did not even begin"
        for line in child.stdout.split("\n")[:-1]:
            number, _, said = line.partition(" ")
            outcomes[int(number)] = said
        first = int(number) + 1
        if child.returncode:
            deaths.append(f"{kind} {number}: exit status {child.returncode}; kept: {folder / f'mutation-{number}'}")
    return outcomes, deaths


def check(tiny_bundle: Path, folder: Path, kind: str, first: int, count: int) -> None:
    if kind == "fused":
        with_one_graph(Bundle.load(tiny_bundle), folder / "whole")
    else:
        shutil.copytree(tiny_bundle, folder / "whole")
    outcomes, deaths = open_mutations(folder, kind, first, count)
    assert not deaths
    assert not [f"{kind} {seed}: {said}" for seed, said in outcomes.items() if said.startswith("!")]
    assert len(outcomes) == count
    assert any(said == "opened" for said in outcomes.values()), "else nothing gets as far as a runtime"


@pytest.mark.parametrize("kind", KINDS)
def test_only_bundle_errors_come_out(tiny_bundle: Path, tmp_path: Path, kind: str) -> None:
    check(tiny_bundle, tmp_path, kind, 0, 150)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", KINDS)
def test_only_bundle_errors_come_out_of_thousands(tiny_bundle: Path, tmp_path: Path, kind: str) -> None:
    check(tiny_bundle, tmp_path, kind, 150, 10_000)
