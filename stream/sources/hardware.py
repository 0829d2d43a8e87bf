"""Decoding on a graphics chip, where that is asked for and to be had; the pictures come back to the processor's memory.

That pays for many cameras or large pictures on a weak processor. Which device decodes changes no tick: H.264 and H.265
define their pictures bit for bit.
"""

from __future__ import annotations

import logging
from typing import Literal

import av
from av.codec import Codec
from av.codec.hwaccel import HWAccel
from av.video.stream import VideoStream

Decode = Literal["software", "auto", "cuda", "vaapi", "videotoolbox"]

# In the order in which `auto` tries them, each with the pixel format of a decoder that runs on it.
DEVICES = {"cuda": "cuda", "vaapi": "vaapi", "videotoolbox": "videotoolbox_vld"}

logger = logging.getLogger("stream")


class Hardware:
    """The decoding device of one camera; software, for good and after one warning, where it cannot be used.

    Args:
        wanted: the device; None is software.
        camera: whose warning it is.
    """

    def __init__(self, wanted: Decode | None, camera: str) -> None:
        self._wanted = None if wanted == "software" else wanted
        self._camera = camera

    def accelerator(self) -> HWAccel | None:
        """What `av.open` is to be told: the device, found working just now; None for software."""
        if self._wanted is None:
            return None
        reason = ""
        for device in DEVICES if self._wanted == "auto" else (self._wanted,):
            try:
                HWAccel(device).create(
                    Codec("h264", "r")
                )  # else a device that is not there is told of as a lost camera
                return HWAccel(device)
            except NotImplementedError:
                reason = reason or f"this build of FFmpeg has no {device}"
            except av.FFmpegError as error:
                reason = reason or f"{device}: {error.strerror}"
        self._fall_back(reason)
        return None

    def check(self, stream: VideoStream) -> None:
        """Warns where `stream`, of which a frame was decoded, is decoded in software against what was asked for."""
        if self._wanted is not None and stream.codec_context.pix_fmt not in DEVICES.values():
            self._fall_back(f"it cannot decode this {stream.codec_context.name}")

    def _fall_back(self, reason: str) -> None:
        logger.warning(
            "%s: decoded in software, though %s was asked for (%s); check the driver, or ask for software",
            self._camera,
            self._wanted,
            reason,
        )
        self._wanted = None
