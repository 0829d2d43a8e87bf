"""What `data check` and `data cache` print: tables for people, a dictionary for programs. Nothing is found out here."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream.commands.terminal import facts as named
from train.data.check import Checked, Range, sampled
from train.data.leaks import name_of
from train.room import Held

SAMPLE = 8
TOLD = 10
"""Lines of one kind that are printed; the others are counted."""
WHAT = {"group": "of one group", "bytes": "the same bytes", "picture": "nearly the same first picture"}


def as_dictionary(checked: Checked) -> dict[str, Any]:
    """What was found, ready for JSON."""
    dataset = checked.dataset
    return {
        "data": dataset.root.name,
        "format": dataset.format,
        "untrimmed": dataset.untrimmed,
        "labels": list(dataset.labels),
        "recordings": len(dataset.recordings),
        "groups": len({each.group for each in dataset.recordings}),
        "parts": checked.parts,
        "classes": [asdict(each) for each in checked.classes],
        "lengths": {name: asdict(each) for name, each in checked.lengths.items()},
        "sizes": checked.sizes,
        "sample": [_row(checked, i) for i in sampled(len(dataset.recordings), SAMPLE)],
        "remarks": list(dataset.remarks),
        "unreadable": list(checked.unreadable),
        "beyond": list(checked.beyond),
        "leaks": [asdict(each) for each in checked.leaks],
        "given_away": [asdict(each) | {"gives_away": each.gives_away} for each in checked.answers],
    }


def print_checked(checked: Checked, console: Console) -> None:
    """Prints what was found, for people."""
    dataset = checked.dataset
    groups = len({each.group for each in dataset.recordings})
    rows = {
        "format": dataset.format,
        "recordings": f"{len(dataset.recordings)} {'streams' if dataset.untrimmed else 'clips'}, in {groups} groups",
    }
    if checked.parts:
        rows["official split"] = ", ".join(f"{count} {part}" for part, count in sorted(checked.parts.items()))
    for name, each in checked.lengths.items():
        rows[name] = _range(each)
    sizes = list(checked.sizes.items())
    rows["sizes"] = ", ".join(f"{size} ({count})" for size, count in sizes[:5])
    rows["sizes"] += f" and {len(sizes) - 5} more" if len(sizes) > 5 else ""
    console.print(named(rows))
    console.print(_classes(checked))
    console.print(_sample(checked))
    _print_lines(console, "remarks", "yellow", list(dataset.remarks))
    _print_lines(console, "cannot be read, and are left out", "red", list(checked.unreadable))
    single = [each for each in checked.classes if each.groups == 1 and not dataset.untrimmed]
    lines = [f"{each.label}: one group, of {each.recordings} clips" for each in single]
    _print_lines(console, "classes that cannot be divided between training and validation", "yellow", lines)
    _print_lines(console, "annotated beyond the end", "yellow", list(checked.beyond))
    sides = "parts of the split" if checked.parts else "groups, by which splits are made"
    lines = [
        f"{WHAT[leak.kind]}: {leak.first} ({leak.sides[0]}), {leak.second} ({leak.sides[1]})" for leak in checked.leaks
    ]
    _print_lines(console, f"suspected leaks between {sides}", "red", lines)
    _print_answers(checked, console)


def _classes(checked: Checked) -> Table:
    parts = sorted(checked.parts)
    table = Table("class", "recordings", "times", "groups", *parts, title="classes", title_justify="left")
    for each in checked.classes:
        numbers = (each.recordings, each.times, each.groups, *(each.parts.get(part, 0) for part in parts))
        table.add_row(Text(each.label), *map(str, numbers))
    return table


def _sample(checked: Checked) -> Table:
    table = Table(title="a sample", title_justify="left")
    rows = [_row(checked, i) for i in sampled(len(checked.dataset.recordings), SAMPLE)]
    columns = [column for column in (rows[0] if rows else ()) if column != "part" or checked.parts]
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(row[column])) for column in columns))
    return table


def _row(checked: Checked, i: int) -> dict[str, Any]:
    recording, facts = checked.dataset.recordings[i], checked.facts[i]
    return {
        "recording": name_of(checked.dataset, recording),
        "label": recording.label or f"segments: {len(recording.segments)}",
        "group": recording.group,
        "part": recording.part or "",
        "frames": facts.frames,
        "seconds": round(facts.seconds, 2),
        "fps": round(facts.fps, 2),
        "size": facts.size,
    }


def _listed(words: list[str]) -> str:
    """Words as a sentence lists them: size, length and fps."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _range(each: Range) -> str:
    if each.least == each.greatest:
        return f"{each.least:g}"
    return f"{each.least:g} to {each.greatest:g}, median {each.median:g}"


def _print_lines(console: Console, what: str, style: str, lines: list[str]) -> None:
    if not lines:
        return
    console.print(Text(f"{what}: {len(lines)}", f"bold {style}"), soft_wrap=True)
    for line in lines[:TOLD]:
        console.print(Text(f"  {line}"), soft_wrap=True)
    if len(lines) > TOLD:
        console.print(f"  and {len(lines) - TOLD} more: --json names them all")


def _print_answers(checked: Checked, console: Console) -> None:
    if not checked.answers:
        return
    table = Table("asked", "classes told apart", "chance", "by it one tells", title_justify="left")
    table.title = "do numbers tell the class? (asked of groups unseen)"
    for answer in checked.answers:
        told = ", ".join(f"{label} {answer.found[label]:.0%}" for label in answer.betrayed)
        style = "red" if answer.gives_away else ""
        table.add_row(answer.asked, Text(f"{answer.accuracy:.0%}", style), f"{answer.chance:.0%}", Text(told))
    console.print(table)
    away = [answer.asked for answer in checked.answers[:-1] if answer.gives_away]
    if away:
        console.print(
            Text(
                f"A clip's class can be told by {_listed(away)} alone: a network may learn that instead of the action. "
                "Letterbox the pictures, sample them by time, vary scale and shape (a recipe's [augment]), and compare "
                "with clips that are placed anywhere in a frame (`evaluate` does).",
                "red",
            )
        )


def print_holdings(folder: Path, held: dict[str, Held], limit: int | None, went: int | None, console: Console) -> None:
    """Prints what a cache holds, its limit in bytes, and how many bytes were removed, where any were to be."""
    rows = {"folder": str(folder), "limit": "none" if limit is None else _bytes(limit)}
    for name, each in held.items():
        used = f", {_bytes(each.in_use)} of it in use" if each.in_use else ""
        rows[name] = f"{each.entries} entries, {_bytes(each.size)}{used}"
    if went is not None:
        rows["removed"] = _bytes(went)
    console.print(named(rows))


def _bytes(count: int) -> str:
    """A number of bytes in the unit in which limits are given, too."""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
