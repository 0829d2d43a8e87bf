"""Rendered video of people doing things, with the truth: streams in memory, and clips and streams as files.

    python samples/render.py clips --out DIR --per-label 20 --seed 1
    python samples/render.py streams --out DIR --count 20 --seconds 60 --seed 1000
    python samples/render.py pairs --out DIR --count 20 --seconds 60 --seed 1000
    python samples/render.py sheet --out sheet.png

The same seed and size give the same pixels. What people do lives in script.py and actions.py, how it looks in scene.py.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import click
import cv2
import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if __name__ == "__main__":  # run as a file: the packages lie beside this one's folder
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from samples.actions import LABELS
from samples.drawing import RGB, Figure
from samples.figure import Array, draw_body, draw_look, grown
from samples.outdoors import KINDS
from samples.pairs import LABELS as PAIR_LABELS
from samples.pairs_scene import PairScene
from samples.pairs_script import Encounter
from samples.scene import Scene
from samples.script import Annotation, Script, gesture, walk

DEMO_SEED = 274
"""Of a stream with all seven actions, found by looking."""
SHIPPED = {
    "none": (3, "street"),
    "wave": (5, "street"),
    "clap": (4, "gym"),
    "jump": (2, "lawn"),
    "squat": (5, "gym"),
    "punch": (3, "studio"),
    "fall": (5, "room"),
    "get_up": (3, "lawn"),
}
"""Seed and backdrop of the clip of each label."""


class Video:
    """People before a scene, drawn frame by frame when asked.

    Args:
        scene: where.
        seed: decides the grain.
        seconds: length.
        fps: frames a second.

    Attributes:
        times: of the frames, seconds, (F,).
        annotations: what is done when, in order.
    """

    def __init__(self, scene: Scene, seed: int, seconds: float, fps: float) -> None:
        self.scene, self.seed, self.seconds, self.fps = scene, seed, seconds, fps
        self.size = scene.width, scene.height
        self.times: Array = np.arange(round(seconds * fps)) / fps
        self.annotations: list[Annotation] = []
        self._people: list[tuple[Figure, Array, int]] = []

    def _add_crowd(self, rng: np.random.Generator) -> None:
        """People who cross the background, one in 25 seconds; and everybody in order, the farthest first."""
        crowd = [self._passer_by(rng) for _ in range(rng.poisson(self.seconds / 25))]
        self._people += [passer_by for passer_by in crowd if len(passer_by[1])]
        self._people.sort(key=lambda person: float(np.median(person[1][:, 0, 2])))

    def _passer_by(self, rng: np.random.Generator) -> tuple[Figure, Array, int]:
        """Someone who crosses the background: figure, points (F', P, 3), first frame."""
        body = draw_body(rng)
        z = -rng.uniform(0.12, 0.45) * self.scene.camera.distance
        edge = (self.scene.reach + 0.4) * (1 - z / self.scene.camera.distance) * rng.choice((-1, 1))
        here, there = np.array([edge, z, -np.sign(edge) * np.pi / 2]), np.array([-edge, z, -np.sign(edge) * np.pi / 2])
        script = Script(rng, body, here, self.scene.reach)
        script.add(walk(rng, body, here, there, rng.uniform(0.5, 0.9)))
        start = rng.uniform(-0.5 * script.time, self.seconds)
        first = int(np.searchsorted(self.times, start))
        last = int(np.searchsorted(self.times, start + script.time))
        points, _, _ = script.play(self.times[first:last] - start)
        return self.scene.figure(body, draw_look(rng)), points, first

    def __len__(self) -> int:
        return len(self.times)

    def picture(self, index: int) -> RGB:
        """Frame `index`, (H, W, 3) uint8 RGB."""
        seen = [(who, points[index - first]) for who, points, first in self._people if 0 <= index - first < len(points)]
        return self.scene.picture(float(self.times[index]), index, seen, self.seed)

    def __iter__(self) -> Iterator[tuple[RGB, float]]:
        """Each picture, (H, W, 3) uint8 RGB, and its time in seconds."""
        for index, time in enumerate(self.times):
            yield self.picture(index), float(time)


class Stream(Video):
    """An untrimmed video of one person.

    Args:
        seed: decides everything.
        seconds: length.
        size: width and height, pixels.
        fps: frames a second; None: drawn from 20 to 30.
        label: None: a life of many actions; a label: a short clip of just that (`seconds` is then ignored).
        kind: the backdrop's kind; None: any.
    """

    def __init__(
        self,
        seed: int,
        seconds: float = 60.0,
        size: tuple[int, int] = (640, 360),
        fps: float | None = None,
        label: str | None = None,
        kind: str | None = None,
    ) -> None:
        body_rng, scene_rng, script_rng, crowd_rng, drawn = (np.random.default_rng((seed, part)) for part in range(5))
        scene = Scene(scene_rng, size, kind)
        body = draw_body(body_rng)
        look = draw_look(body_rng)
        script = Script(script_rng, body, np.zeros(3), scene.reach)
        script.place = np.array([script.spot(), 0.0, script.facing()])
        if label is None:
            script.live(seconds)
        else:
            seconds = _clip(script, script_rng, label)
        super().__init__(scene, seed, seconds, float(drawn.integers(20, 31)) if fps is None else fps)
        points, _, self.annotations = script.play(self.times)
        self._people.append((scene.figure(body, look), points, 0))
        self._add_crowd(crowd_rng)


class PairStream(Video):
    """An untrimmed video of two people, now and then of one, and of what they do to each other.

    Args:
        seed: decides everything.
        seconds: length.
        size: width and height, pixels.
        fps: frames a second; None: drawn from 20 to 30.
        kind: the backdrop's kind; None: mostly outdoors.
    """

    def __init__(
        self,
        seed: int,
        seconds: float = 60.0,
        size: tuple[int, int] = (640, 360),
        fps: float | None = None,
        kind: str | None = None,
    ) -> None:
        body_rng, scene_rng, script_rng, crowd_rng, drawn = (np.random.default_rng((seed, part)) for part in range(5))
        scene = PairScene(scene_rng, size, kind)
        bodies = [grown(draw_body(body_rng), body_rng.uniform(0.88, 1.06)) for _ in range(1 + (drawn.random() < 0.85))]
        encounter = Encounter(script_rng, bodies, scene.reach)
        encounter.live(seconds)
        super().__init__(scene, seed, seconds, float(drawn.integers(20, 31)) if fps is None else fps)
        everybody, self.annotations = encounter.play(self.times)
        for body, points in zip(bodies, everybody, strict=True):
            self._people.append((scene.figure(body, draw_look(body_rng)), points, 0))
        self._add_crowd(crowd_rng)


def _clip(script: Script, rng: np.random.Generator, label: str) -> float:
    """Writes a short script around one action; returns its length."""
    lead, tail = rng.uniform(0.25, 0.8, 2)
    if label == "get_up" or (label == "none" and rng.random() < 0.12):
        script.lying = script.draw_lying()
    script.rest(float(lead))
    if label != "none":
        script.act(label)
    elif script.lying is not None:
        script.rest(float(rng.uniform(1, 2)))
    else:
        kind = rng.choice(["gesture", "walk", "turn", "rest"], p=[0.6, 0.15, 0.1, 0.15])
        if kind == "gesture":
            script.add(gesture(rng, script.body))
        elif kind == "rest":
            script.rest(float(rng.uniform(1, 2.5)))
        else:
            script.go(script.spot() if kind == "walk" else script.place[0], script.facing())
    script.rest(float(tail) + 0.1)
    return script.time - 0.1


def write_video(path: Path, stream: Video) -> None:
    """Encodes `stream` as H.264 in an mp4 at `path`."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=Fraction(stream.fps).limit_denominator(1000))
        video.width, video.height = stream.size
        video.pix_fmt = "yuv420p"
        video.options = {"crf": "21", "preset": "veryfast"}
        for picture, _ in stream:
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode())


def truth(stream: Video, file: str, subset: str) -> dict[str, Any]:
    """The entry of `stream` in an annotation file's database; times are rounded to a millisecond."""
    return {
        "subset": subset,
        "duration": round(len(stream) / stream.fps, 3),
        "file": file,
        "seed": stream.seed,
        "fps": stream.fps,
        "resolution": "{}x{}".format(*stream.size),
        "annotations": [
            {"label": done.label, "segment": [round(done.start, 3), round(done.end, 3)]} for done in stream.annotations
        ],
    }


def write_truth(path: Path, database: dict[str, Any], labels: tuple[str, ...] = LABELS) -> None:
    """Writes an annotation file in the manner of ActivityNet."""
    taxonomy = [{"nodeId": i, "nodeName": label} for i, label in enumerate(labels)]
    content = {"version": "actionstream figures 1", "taxonomy": taxonomy, "database": database}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _tracked(jobs: Iterable[tuple[str, Video, Path]], total: int, subset: str, root: Path) -> dict[str, Any]:
    """Writes every job's video, showing progress; returns the database of what they show."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    database = {}
    with Progress(*columns) as progress:
        task = progress.add_task("rendering", total=total)
        for name, stream, path in jobs:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_video(path, stream)
            database[name] = truth(stream, path.relative_to(root).as_posix(), subset)
            progress.advance(task)
    return database


def _size(text: str) -> tuple[int, int]:
    """Width and height of "WIDTHxHEIGHT"."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdigit() and int(part) >= 32 and int(part) % 2 == 0 for part in parts):
        raise click.BadParameter(f"a size is WIDTHxHEIGHT in even pixels, each 32 at least, as 640x360; got {text!r}")
    return int(parts[0]), int(parts[1])


size_option = click.option(
    "--size", type=_size, default="640x360", metavar="WxH", show_default=True, help="Of the picture."
)
out_option = click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write to.")


@click.group()
def main() -> None:
    """Renders video of people doing things, with the truth about what they do when."""


@main.command()
@out_option
@size_option
@click.option("--per-label", type=click.IntRange(1), default=20, show_default=True, help="Clips of each label.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the first clip.")
def clips(out: Path, size: tuple[int, int], per_label: int, seed: int) -> None:
    """Short clips in one folder a label, and clips.json with the times in each, which no training looks at."""
    jobs = (
        (
            f"{label}_{n:04d}",
            Stream(seed + n * len(LABELS) + k, size=size, label=label),
            out / label / f"{label}_{n:04d}.mp4",
        )
        for k, label in enumerate(LABELS)
        for n in range(per_label)
    )
    database = _tracked(jobs, per_label * len(LABELS), "clips", out)
    write_truth(out / "clips.json", database)
    click.echo(f"{len(database)} clips in {out}")


def stream_options(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with what all streams are asked for."""
    options = (
        out_option,
        click.option(
            "--size", "sizes", type=_size, default=["640x360"], metavar="WxH", multiple=True, help="Several: by turns."
        ),
        click.option("--count", type=click.IntRange(1), default=20, show_default=True, help="Number of streams."),
        click.option("--seconds", type=click.FloatRange(2), default=60.0, show_default=True, help="Length of each."),
        click.option(
            "--seed",
            type=click.IntRange(0),
            default=1000,
            show_default=True,
            help="Of the first; the next has the next.",
        ),
        click.option(
            "--fps", type=click.FloatRange(5, 60), default=None, help="Frames a second.  [default: 20-30, by the seed]"
        ),
        click.option(
            "--kind", default=None, type=click.Choice(list(KINDS)), help="Where it plays.  [default: by the seed]"
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _write_streams(
    made: type[Stream] | type[PairStream],
    labels: tuple[str, ...],
    out: Path,
    sizes: tuple[tuple[int, int], ...],
    count: int,
    seconds: float,
    seed: int,
    fps: float | None,
    kind: str | None,
) -> None:
    """Writes untrimmed streams, and annotations.json with the truth about them."""
    jobs = (
        (
            f"stream_{n:04d}",
            made(seed + n - 1, seconds, sizes[(n - 1) % len(sizes)], fps, kind=kind),
            out / f"stream_{n:04d}.mp4",
        )
        for n in range(1, count + 1)
    )
    database = _tracked(jobs, count, "streams", out)
    write_truth(out / "annotations.json", database, labels)
    click.echo(f"{count} streams, {sum(len(entry['annotations']) for entry in database.values())} actions in {out}")


@main.command()
@stream_options
def streams(**asked: Any) -> None:
    """Untrimmed streams, and annotations.json with what happens when."""
    _write_streams(Stream, LABELS, **asked)


@main.command()
@stream_options
def pairs(**asked: Any) -> None:
    """Untrimmed streams of two people and what they do to each other, and annotations.json."""
    _write_streams(PairStream, PAIR_LABELS, **asked)


@main.command()
@out_option
def shipped(out: Path) -> None:
    """What lies in samples/clips: the demo with demo.json, and one clip a label with clips.json."""
    demo = Stream(DEMO_SEED, 40.0, fps=25)
    write_truth(out / "demo.json", _tracked([("demo", demo, out / "demo.mp4")], 1, "demo", out))
    jobs = (
        (label, Stream(seed, label=label, kind=kind), out / f"{label}.mp4") for label, (seed, kind) in SHIPPED.items()
    )
    write_truth(out / "clips.json", _tracked(jobs, len(SHIPPED), "clips", out))


@main.command()
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="PNG file to write.")
@size_option
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the first picture.")
def sheet(out: Path, size: tuple[int, int], seed: int) -> None:
    """A contact sheet: a row a label, five scenes each, in the middle of the action."""
    rows = []
    for k, label in enumerate(LABELS):
        row = []
        for n in range(5):
            stream = Stream(seed + n * len(LABELS) + k, size=size, label=label)
            done = stream.annotations[0] if stream.annotations else Annotation(label, 0.0, stream.seconds)
            picture = stream.picture(int((done.start + done.end) / 2 * stream.fps))
            if n == 0:
                cv2.putText(picture, label, (8, 22), cv2.FONT_HERSHEY_DUPLEX, 0.7, (250, 250, 250), 1, cv2.LINE_AA)
            row.append(picture)
        rows.append(np.hstack(row))
    cv2.imwrite(str(out), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
