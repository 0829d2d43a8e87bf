"""What training and measuring tell in the terminal: progress, and tables of what was reached. Nothing is computed."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

Result = dict[str, Any]
NOT_DEFINED = "not defined"
"""What is said of a number that these data cannot give, as of the precision on a class that does not happen."""

KINDS = ("decided", "argmax")
"""Decided labels and raw ones, as results name them."""
LEARNED = "The model learned from these very data: what it reaches here says nothing about data that it has not seen."


def progress_bar(console: Console) -> Progress:
    """A bar with the time left, which disappears when done; nothing where there is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def history_csv(history: Sequence[Result]) -> str:
    """The history as CSV: one row an epoch, under the names of all columns."""
    columns = list(dict.fromkeys(name for row in history for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue().rstrip("\n")


def print_results(results: Result, console: Console) -> None:
    """Prints what was measured: one table for all, and one a label where streams were judged."""
    table = Table("measured on", "what", "decided", "raw", title=results.get("model"), title_justify="left")
    for name, result in results.items():
        if isinstance(result, dict):
            for row, line in enumerate(_clip_rows(result) if "clips" in result else _stream_rows(result)):
                table.add_row(name if row == 0 else "", *line)
            table.add_section()
    console.print(table)
    if "streams" in results:
        _print_labels(results["streams"], console)
        if not results["streams"]["actions"]:
            console.print("Nothing happens here: numbers that need an action are not defined.")
    if results.get("learned_from"):
        console.print(LEARNED)


def share(value: float | None) -> str:
    """As a percentage."""
    return NOT_DEFINED if value is None else f"{value:.1%}"


def number(value: float | None, unit: str = "") -> str:
    """With two places, and its unit."""
    return NOT_DEFINED if value is None else f"{value:.2f}{unit}"


def _clip_rows(result: Result) -> list[tuple[str, ...]]:
    """Name, value by decided labels (empty where a number is of scores alone), value by the highest score."""
    return [
        (
            f"all {result['clips']} clips, at the last tick",
            share(result["decided_accuracy"]),
            share(result["accuracy"]),
        ),
        ("at half of the clip", share(result["decided_accuracy_half"]), share(result["accuracy_half"])),
        ("by the mean of its scores", "", share(result["accuracy_mean"])),
        (f"{result['actions']} of actions, over the actions", "", share(result["actions_accuracy"])),
    ]


def _stream_rows(result: Result) -> list[tuple[str, ...]]:
    """Name, value by decided labels and events, value by scores and the highest of them."""
    return [
        (f"ticks right, in {result['minutes']:.1f} minutes", *_both(result, "accuracy")),
        *([(f"of {result['actions']} actions found", share(result["found"]), "")] if result["actions"] else []),
        ("false events a minute", f"{result['false_per_minute']:.2f}", ""),
        ("false alarms an hour", f"{result['false_per_hour']:.1f}", ""),
        ("time to detect, median", number(result["detect_median_s"], " s"), ""),
        ("time to detect, 90% within", number(result["detect_p90_s"], " s"), ""),
        ("per-frame mAP", "", share(result["frame_map"])),
        ("per-frame mcAP (chance: 50%)", "", share(result["frame_mcap"])),
        *(
            (f"p-mAP of starts within {s} s", *(share(result[f"{kind}_p_map"][s - 1]) for kind in KINDS))
            for s in (1, 5, 10)
        ),
        *((f"segmental F1@{k}", *_both(result, f"f1_{k}")) for k in (10, 25, 50)),
        ("edit score", *_both(result, "edit")),
        (
            f"changes a minute (truth: {number(result['true_changes_per_minute'])})",
            *(number(result[f"{kind}_changes_per_minute"]) for kind in KINDS),
        ),
        ("calibration error (ECE)", "", share(result["ece_after"])),
        ("before the temperature", "", share(result["ece_before"])),
        ("rejection AUROC (chance: 50%)", "", share(result["rejection_auroc"])),
    ]


def _both(result: Result, name: str) -> tuple[str, ...]:
    """A share by decided labels, and by the highest score."""
    return tuple(share(result[f"{kind}_{name}"]) for kind in KINDS)


def _print_labels(result: Result, console: Console) -> None:
    """Ticks right by highest score, average precisions of the scores, and events, a label."""
    table = Table("label", "ticks right", "AP", "cAP", "actions", "found", "false")
    for label in result["labels"]:
        recall, found = result["argmax_recall"].get(label), result["found_by_label"].get(label, {})
        precise = result["ap_by_label"].get(label, {})
        shares = [precise.get("ap"), precise.get("cap")]
        counts = [str(found.get(column, "")) for column in ("actions", "found", "false")]
        table.add_row(label, *("" if each is None else f"{each:.1%}" for each in (recall, *shares)), *counts)
    console.print(table)
