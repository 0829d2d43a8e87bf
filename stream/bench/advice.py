"""What a camera's measures mean for a bundle: how large a person must stand in the picture, and what to change.

Pure: measures go in, numbers and sentences come out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stream.bench.probe import Probe
from stream.contracts import Input
from stream.geometry import vertical_scale
from stream.schema import PERSON

FINE_SCALE = 1 / 4  # of the model's lines for one of the picture's: below it most of what is decoded is thrown away
LARGE_SHARE = 0.5  # of the picture's height; a person across a room fills less
LONG_KEYFRAME_S = 2.0
LYING_MS = 600.0  # a minute (1 %): no crystal is that far off


def person_share(provenance: Mapping[str, Any], size: tuple[int, int], input: Input) -> float | None:
    """The share of the picture's height that a person must fill; None where the bundle does not say.

    Over 1 where even a person as high as the picture is too small.

    Args:
        provenance: of the bundle.
        size: (height, width) of the upright picture.
        input: what the track sees of it.
    """
    lines = provenance.get(PERSON)
    if not isinstance(lines, int | float) or isinstance(lines, bool) or lines <= 0:
        return None
    return lines / (vertical_scale(size, input) * size[0])


def suggestions(
    probe: Probe, tracks: Mapping[str, Input], provenance: Mapping[str, Any], *, transport: str
) -> list[str]:
    """What would make a camera serve better, a sentence each, the most useful first.

    Args:
        probe: of the camera, which went well.
        tracks: what each of its tracks sees.
        provenance: of the bundle.
        transport: of the camera.
    """
    network = "://" in probe.url
    return [
        *_about_rate(probe, tracks),
        *_about_people(probe, tracks, provenance),
        *(_about_loss(probe, transport) if network else ()),
        *(_about_keyframes(probe) if network else ()),
        *(_about_size(probe, tracks) if probe.live else ()),
        *_about_clock(probe),
    ]


def _about_rate(probe: Probe, tracks: Mapping[str, Input]) -> Iterator[str]:
    wanted = max((seen.rate or 0 for seen in tracks.values()), default=0)
    if probe.fps is not None and probe.fps < 0.9 * wanted:
        yield f"raise its frame rate: {probe.fps:.1f} pictures a second come, {wanted:g} are wanted"


def _about_people(probe: Probe, tracks: Mapping[str, Input], provenance: Mapping[str, Any]) -> Iterator[str]:
    for track, seen in tracks.items():
        share = person_share(provenance, probe.size, seen)
        if share is None or share <= LARGE_SHARE:
            continue
        where = "give it regions where people stand" if seen.region is None else f"make the region of {track} smaller"
        yield f"{where}: a person must fill {share:.0%} of the picture's height"


def _about_loss(probe: Probe, transport: str) -> Iterator[str]:
    if probe.corrupt:
        remedy = 'use transport = "tcp"' if transport == "udp" else "look at its network, or lower its bit rate"
        yield f"{remedy}: {probe.corrupt} damaged packets came"


def _about_keyframes(probe: Probe) -> Iterator[str]:
    apart = probe.keyframe_s or probe.seconds
    if apart > LONG_KEYFRAME_S:
        known = f"{apart:.1f} s apart" if probe.keyframe_s else f"more than {apart:.1f} s apart"
        yield f"set its keyframe (I-frame) interval to 1 or 2 s: they come {known}; after a loss it is blind so long"


def _about_size(probe: Probe, tracks: Mapping[str, Input]) -> Iterator[str]:
    scale = max((vertical_scale(probe.size, seen) for seen in tracks.values()), default=1.0)
    if scale < FINE_SCALE:
        height, width = probe.size
        enough = f"{2 * round(width * scale)}x{2 * round(height * scale)}"
        what = "a sub-stream" if "://" in probe.url else "a size"
        yield f"use {what} of {enough} or more: the model sees one line of {1 / scale:.0f}"


def _about_clock(probe: Probe) -> Iterator[str]:
    if probe.untimed:
        yield "its stream has no usable times, so pictures are timed by when they arrive"
    elif probe.drift is not None and abs(probe.drift.gain_ms) - probe.drift.error_ms > LYING_MS:
        yield f"its timestamps do not follow real time: {probe.drift.gain_ms:+.0f} ms a minute; set its frame rate anew"
