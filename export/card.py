"""CARD.md: what a bundle says about itself to a person. Text only; the facts come from the spec and its provenance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stream.schema import PERSON, BundleSpec

NOT_MEASURED = (
    "Nobody wrote here where it fails and how large a person must be in the picture, so neither is known. "
    "`actionstream export --card FILE` puts a text here."
)


def card(spec: BundleSpec, text: str | None) -> str:
    """The card, in Markdown.

    Args:
        spec: of the bundle.
        text: Markdown by whoever trained it: what it is for, where it fails, how large a person must be.
    """
    known = spec.provenance
    parts = [f"# {spec.name}", (text or NOT_MEASURED).strip(), "## What it tells apart", _labels(spec)]
    parts += [
        "## What it looks at",
        _input(spec),
        "## What it was trained on",
        _facts(known, ("recipe", "data", "seed")),
    ]
    parts += ["## What it reached", _facts({"metrics": known.get("metrics")}, ("metrics",)), "## Made with"]
    parts += [_facts(known, ("versions", "export"))]
    return "\n\n".join(parts) + "\n"


def _labels(spec: BundleSpec) -> str:
    named = ", ".join(label for label in spec.labels if label != spec.none)
    return f"{named}; and `{spec.none}`, when it is none of these."


def _input(spec: BundleSpec) -> str:
    seen, temporal = spec.input, spec.temporal
    rate = "every frame" if seen.rate == "native" else f"{seen.rate:g} pictures a second"
    past = {
        "window": f"the last {temporal.window} pictures",
        "staggered": f"never more than the last {temporal.window} pictures; trusted after {temporal.warmup}",
        "carry": f"all since the session began; trusted after {temporal.warmup} pictures",
    }[temporal.mode]
    person = spec.provenance.get(PERSON)
    smallest = "" if person is None else f" The smallest person that it learned from is {person} of its lines high."
    return f"{rate} of {seen.width}x{seen.height} pixels (`{seen.fit}`); it judges by {past}.{smallest}"


def _facts(values: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """A Markdown table of the values under `names`, nested names joined by a dot."""
    rows = [row for name in names for row in _flat(name, values.get(name))]
    if not rows:
        return "Not recorded."
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def _flat(name: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [row for key, inner in value.items() for row in _flat(f"{name}.{key}", inner)]
    if value is None or value == [] or value == "":
        return []
    if isinstance(value, list | tuple):
        return [(name, ", ".join(str(each) for each in value))]
    return [(name, f"{value:.4g}" if isinstance(value, float) else str(value))]
