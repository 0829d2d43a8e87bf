"""`actionstream diff`: two bundles side by side: what they say of themselves, and what they make of a video."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stream.commands.embedded import demo_clip
from stream.commands.options import DEVICES, examples, json_option

if TYPE_CHECKING:
    from rich.console import Console

    from stream.contracts import Event, Prediction

PATH = click.Path(path_type=Path)
CELL = 200
"""Letters of a setting that are shown."""
SAME_S = 1.0
"""Events of one label that start within this are the same event."""


@click.command(
    epilog=examples(
        "actionstream diff models/first models/first-int8",
        "actionstream diff models/first models/second --video clips/wave/001.mp4 --json",
    )
)
@click.argument("first", type=PATH)
@click.argument("second", type=PATH)
@click.option("--video", type=PATH, help="What both are shown; the demo's clip if left out.")
@click.option("--device", type=click.Choice(DEVICES), default="cpu", show_default=True, help="Where the graphs run.")
@json_option
def diff(first: Path, second: Path, video: Path | None, device: str, as_json: bool) -> None:
    """What differs between the bundles FIRST and SECOND: settings, files, and what they say of a video.

    Each sees the video at its own size and rate. Every tick of the first is held against the newest tick that the
    second has had by then; labels that only one of them knows are left out of it.
    """
    from stream.bundle import Bundle
    from stream.commands.terminal import console

    bundles = Bundle.load(first), Bundle.load(second)
    ours, theirs = (_judged(folder, video or demo_clip(), device) for folder in (first, second))
    one, other = (bundle.spec.model_dump(mode="json", by_alias=True) for bundle in bundles)
    differing = {name: list(pair) for name, pair in _differing(one, other) if not name.endswith("sha256")}
    files = [bundle.spec.hashes() for bundle in bundles]
    found = {
        "models": [bundle.model for bundle in bundles],
        "settings": differing,
        "files": sorted(name for name in {*files[0], *files[1]} if files[0].get(name) != files[1].get(name)),
        "video": str(video or demo_clip()),
        **_compared(ours[0], theirs[0], [bundle.labels for bundle in bundles]),
        "events": _events(ours[1], theirs[1]),
    }
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        _print(console(), found)


def _judged(folder: Path, video: Path, device: str) -> tuple[list[Prediction], list[Event]]:
    """What the bundle says of the video, tick by tick, and the events that started."""
    from stream.engine import Engine
    from stream.recognizer import Recognizer
    from stream.sources import FileSource

    recognizer = Recognizer.load(folder, device=device)
    predictions: list[Prediction] = []
    events: list[Event] = []

    def hear(prediction: Prediction, begun: Sequence[Event]) -> None:
        predictions.append(prediction)
        events.extend(event for event in begun if event.kind == "started")

    Engine(recognizer, [FileSource(video, recognizer.input)], on_prediction=hear).run()
    return predictions, events


def _differing(first: Any, second: Any, name: str = "") -> Iterator[tuple[str, tuple[Any, Any]]]:
    """The values that differ, by their dotted names; None where there is none, and then by each name of the other."""
    parts = [_parts(value) for value in (first, second)]
    if any(parts) and all(
        part is not None or value is None for part, value in zip(parts, (first, second), strict=True)
    ):
        one, other = (part or {} for part in parts)
        for key in dict.fromkeys([*one, *other]):
            yield from _differing(one.get(key), other.get(key), f"{name}.{key}" if name else key)
    elif first != second:
        yield name, (first, second)


def _parts(value: Any) -> dict[str, Any] | None:
    """What `value` is made of, by name or number; None where it is said as a whole, as a list of plain values is."""
    if isinstance(value, Mapping):
        return {str(key): inner for key, inner in value.items()}
    if isinstance(value, list) and any(isinstance(inner, Mapping | list) for inner in value):
        return {str(number): inner for number, inner in enumerate(value)}
    return None


def _shown(value: Any) -> str:
    """A value in a cell; all of a long one is in the JSON."""
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= CELL else f"{text[: CELL - 3]}..."


def _compared(
    first: Sequence[Prediction], second: Sequence[Prediction], labels: Sequence[tuple[str, ...]]
) -> dict[str, Any]:
    """How the scores of both stand to each other, tick by tick, and label by label."""
    shared = [label for label in labels[0] if label in labels[1]]
    places = [[known.index(label) for label in shared] for known in labels]
    times = [prediction.time for prediction in second]
    apart = {label: [0.0, 0.0] for label in shared}  # sum, most
    agreed = decided = 0
    differs: float | None = None
    pairs = [(tick, second[number - 1]) for tick in first if (number := bisect_right(times, tick.time + 1e-6))]
    for ours, theirs in pairs:
        scores = [ours.scores[places[0]], theirs.scores[places[1]]]
        agreed += int(not shared or scores[0].argmax() == scores[1].argmax())
        decided += ours.label == theirs.label
        if differs is None and ours.label != theirs.label:
            differs = ours.time
        for label, one, other in zip(shared, *scores, strict=True):
            distance = abs(float(one) - float(other))
            apart[label] = [apart[label][0] + distance, max(apart[label][1], distance)]
    count = max(1, len(pairs))
    return {
        "ticks": len(pairs),
        "same_highest": round(agreed / count, 4),
        "same_label": round(decided / count, 4),
        "first_differs_s": differs,
        "labels": {
            label: {"mean": round(total / count, 5), "most": round(most, 5)} for label, (total, most) in apart.items()
        },
        "only": [sorted(set(labels[side]) - set(labels[1 - side])) for side in (0, 1)],
    }


def _events(first: Sequence[Event], second: Sequence[Event]) -> dict[str, Any]:
    """How many events each started, and how many of them are the same."""
    left = list(second)
    same = 0
    for event in first:
        near = [each for each in left if each.label == event.label and abs(each.start - event.start) <= SAME_S]
        if near:
            left.remove(min(near, key=lambda each: abs(each.start - event.start)))
            same += 1
    return {"first": len(first), "second": len(second), "same": same}


def _print(screen: Console, found: dict[str, Any]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from stream.commands.terminal import facts

    events, ticks = found["events"], found["ticks"]
    moment = "never" if found["first_differs_s"] is None else f"first at {found['first_differs_s']:.2f} s"
    screen.print(
        facts(
            {
                "models": " and ".join(found["models"]),
                "files": ", ".join(found["files"]) or "all alike",
                "video": found["video"],
                "ticks": f"{ticks}; same highest score at {found['same_highest']:.1%}, same label said at "
                f"{found['same_label']:.1%}, another one {moment}",
                "events": f"{events['first']} and {events['second']}, {events['same']} of them the same",
                "only": "; ".join(", ".join(names) or "none" for names in found["only"]),
            }
        )
    )
    scores = Table("label", "scores differ by", "at most", box=None, pad_edge=False, header_style="dim")
    for label, numbers in found["labels"].items():
        scores.add_row(label, f"{numbers['mean']:.4f}", f"{numbers['most']:.4f}")
    settings = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("setting", "first", "second"):
        settings.add_column(column, overflow="fold", no_wrap=column == "setting")
    for name, (one, other) in found["settings"].items():
        settings.add_row(*map(escape, (name, _shown(one), _shown(other))))
    for table in (scores, settings):
        if table.row_count:
            screen.print()
            screen.print(table)
