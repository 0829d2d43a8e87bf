"""How old a picture is when its label is told: from the moment at which a camera sent it, on one clock.

A camera in a process of its own (`camera_server`) plays pictures with a counter drawn into them and tells when it sent
each. The live line runs here as it always does; the counter that is read out of a decoded frame says which picture its
label belongs to.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from stream.bench.age_meter import AgeMeter, Ages
from stream.bench.camera_process import CameraProcess
from stream.bench.clips import write_counted
from stream.engine import Engine
from stream.recognizer import Recognizer
from stream.sources import open_source

LOOP_S = 20.0  # seconds of pictures, played again and again


def measure_age(
    recognizer: Recognizer,
    *,
    seconds: float,
    size: tuple[int, int] = (640, 360),
    fps: int = 25,
    progress: Callable[[float], None] = lambda _: None,
) -> Ages:
    """Returns the ages of the labels of `recognizer` over `seconds`.

    Args:
        recognizer: as it would be used.
        seconds: to measure; memory does not grow with it.
        size: (width, height) of the camera's pictures.
        fps: of the camera.
        progress: called with the seconds that have gone by.

    Raises:
        SourceError: the camera did not come up.
    """
    with tempfile.TemporaryDirectory() as folder:
        clip = write_counted(Path(folder) / "counted.mp4", seconds=LOOP_S, size=size, fps=fps)
        meter = AgeMeter(progress=progress)
        with CameraProcess(clip, meter.sent) as camera:
            engine = Engine(
                recognizer,
                [open_source(camera.url, recognizer.input)],
                duration=seconds,
                on_frame=meter.saw,
                on_prediction=meter.told,
            )
            summary = engine.run()
    return meter.ages(dropped=sum(each.dropped for each in summary.cameras.values()))
