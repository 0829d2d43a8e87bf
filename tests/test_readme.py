"""Runs what README.md shows, so that it cannot say what is not so.

Every ```console and ```python block has an HTML comment on the line before its fence:

    <!-- test: run -->           its commands are run, in a folder that holds nothing but `samples`
    <!-- test: help -->          too long or too large to run: commands, options and values must be accepted
    <!-- test: needs webcam -->  or a camera, or a display: the same
"""

from __future__ import annotations

import ast
import importlib
import itertools
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from _pytest.mark import ParameterSet

from samples.render import main as render
from stream.cli import actionstream
from tests.process import ROOT, run

README = ROOT / "README.md"
FENCE = re.compile(
    r"(?:^<!-- test: (?P<mark>[\w ]+) -->\n+)?^```(?P<kind>console|python)\n(?P<text>.*?)^```", re.M | re.S
)
UNCHECKED = {".", "cd", "export", "git", "pip", "sudo"}
"""Programs that change the shell or the machine, or need the network."""


@dataclass(frozen=True)
class Block:
    """One fenced block: the line where it begins, its mark, its language and its text."""

    line: int
    mark: str | None
    kind: str
    text: str

    def commands(self) -> list[list[str]]:
        """The words of each command after a `$ `; a line that ends in a backslash goes on in the next."""
        joined = self.text.replace("\\\n", " ")
        return [shlex.split(line[2:], comments=True) for line in joined.splitlines() if line.startswith("$ ")]


def read_blocks() -> list[Block]:
    text = README.read_text(encoding="utf-8") if README.exists() else ""
    return [
        Block(text.count("\n", 0, found.start()) + 1, found["mark"], found["kind"], found["text"])
        for found in FENCE.finditer(text)
    ]


BLOCKS = read_blocks()


def of(*kinds: str, run: bool) -> list[ParameterSet]:
    chosen = [block for block in BLOCKS if block.kind in kinds and (block.mark == "run") == run]
    return [pytest.param(block, id=f"line{block.line}") for block in chosen]


def test_every_block_says_how_it_is_tested() -> None:
    assert BLOCKS, "README.md shows no command"
    assert not [
        block.line
        for block in BLOCKS
        if block.mark not in ("run", "help") and not (block.mark or "").startswith("needs ")
    ]
    assert not [block.line for block in BLOCKS if block.kind == "console" and not block.commands()]
    assert of("console", run=True)
    assert of("python", run=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder to run in, from which `samples` is seen as from the repository's root."""
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    return tmp_path


@pytest.mark.parametrize("block", of("console", run=True))
def test_commands_run(block: Block, folder: Path) -> None:
    for words in block.commands():
        assert words[0] == "actionstream", f"only actionstream's commands are run, not {words[0]}"
        done = run(*words[1:], cwd=folder, timeout=110)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", of("python", run=True))
def test_python_runs(block: Block, folder: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-c", block.text]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", of("console", run=False))
def test_commands_are_accepted(block: Block) -> None:
    for words in block.commands():
        if words[0] == "actionstream":
            own = itertools.takewhile(lambda word: word not in ("|", ">"), words[1:])
            accept(actionstream, words[0], list(own))
        elif words[:2] == ["python", "samples/render.py"]:
            accept(render, words[1], words[2:])
        elif words[0] == "make":
            subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, capture_output=True, check=True)
        else:
            assert words[0] in UNCHECKED, f"nobody checks {words[0]!r}"


def accept(command: click.Command, name: str, arguments: list[str], parent: click.Context | None = None) -> None:
    """Parses `arguments` as `command` would, down to its subcommand, and runs nothing."""
    with command.make_context(name, list(arguments), parent=parent) as context:
        if isinstance(command, click.Group):
            rest = [*context._protected_args, *context.args]
            below, subcommand, rest = command.resolve_command(context, rest)
            assert below is not None
            assert subcommand is not None
            accept(subcommand, below, rest, context)


@pytest.mark.parametrize("block", of("python", run=False))
def test_python_names_exist(block: Block) -> None:
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module or "")
            assert not [alias.name for alias in node.names if not hasattr(module, alias.name)]


def test_nothing_is_installed_under_a_name_that_is_not_ours_on_pypi() -> None:
    """The name is free there: whoever took it would run their code on our readers' machines."""
    texts = {README, *(ROOT / "docs").glob("*.md"), *(ROOT / "stream").rglob("*.py"), *(ROOT / "train").rglob("*.py")}
    assert not [path.name for path in texts if re.search(r"install '?actionstream\b", path.read_text("utf-8"))]


def test_accept_refuses_what_is_not_there() -> None:
    with pytest.raises(click.UsageError):
        accept(actionstream, "actionstream", ["watch", "0", "--no-such-option"])
    with pytest.raises(click.UsageError):
        accept(actionstream, "actionstream", ["no-such-command"])
