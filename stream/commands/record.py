"""`actionstream record`: clips of one action from a camera, in the class folders that `actionstream train` reads."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from stream.commands.options import camera_options, examples

if TYPE_CHECKING:
    from stream.sources import Decode


def _folder_name(_context: click.Context, _parameter: click.Parameter, label: str) -> str:
    if label != Path(label).name or label.startswith("."):
        raise click.BadParameter(f"expected a name that can be a folder, such as wave, got {label!r}")
    return label


@click.command(
    epilog=examples(
        "actionstream record wave --out clips",
        "actionstream record none --clips 20 --seconds 5 --out clips",
        "actionstream record wave --source rtsp://camera/stream --countdown 5 --out clips",
    )
)
@click.argument("label", callback=_folder_name)
@click.option("--source", default="0", show_default=True, help="Webcam, address or file, as in `watch`.")
@click.option("--clips", type=click.IntRange(min=1), default=8, show_default=True, help="How many.")
@click.option("--seconds", type=click.FloatRange(min=0.2), default=3.0, show_default=True, help="Length of each.")
@click.option("--countdown", type=click.FloatRange(min=0), default=3.0, show_default=True, help="Seconds before each.")
@click.option(
    "--out", type=click.Path(path_type=Path), default="clips", show_default=True, help="Folder of the classes."
)
@click.option("--show/--no-show", default=None, help="A preview window; the default where there is a display.")
@camera_options
def record(
    label: str,
    source: str,
    clips: int,
    seconds: float,
    countdown: float,
    out: Path,
    show: bool | None,
    transport: Literal["tcp", "udp"],
    size: tuple[int, int] | None,
    fps: float | None,
    format: str | None,
    rotation: int,
    decode: Decode,
) -> None:
    """Collect clips of one action from a camera into a class folder.

    They become OUT/LABEL/LABEL_seq01_001.mp4 and so on; what is there is kept. Each run is a sequence of its own,
    numbered over all labels, and `train` never divides one between training and validation: record every label in
    several runs, best of several people or days. A file is cut from its beginning on, without a countdown. Record
    `none` too: people who do nothing that has a name.
    """
    from stream.commands.clips import Preview, Stop, record_clips
    from stream.commands.live import wants_window
    from stream.commands.terminal import console
    from stream.contracts import Input
    from stream.errors import SourceOpenError
    from stream.sources import open_source
    from stream.views.window import Window

    every_frame = Input(height=224, width=224, rate=None)  # recording takes frames, not ticks: the size is never used
    camera = open_source(
        source,
        every_frame,
        transport=transport,
        size=size,
        fps=fps,
        format=format,
        rotation=rotation,
        decode=decode,
    )
    window = Window(f"record {label}") if wants_window(show, lasting=camera.live) else None
    pause = countdown if camera.live else 0.0
    screen, folder, written = console(), out / label, 0
    with closing(camera), Preview(screen, label, window) as preview:
        try:
            for path in record_clips(camera.frames(), folder, label, clips, seconds, pause, preview):
                written += 1
                screen.print(f"{path}  {written} of {clips}", markup=False, soft_wrap=True)
        except Stop:
            screen.print("stopped")
        else:
            if not written:
                raise SourceOpenError(
                    f"{camera.url}: expected {seconds:g} s of video or more, got less; lower --seconds"
                )
    click.echo(
        f"\n{written} clips written to {folder}. Next: other labels, each in two runs of record or more, then "
        f"actionstream train {out} --out RUN"
    )
