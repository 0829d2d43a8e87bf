"""Debian's gst-rtsp-server, which shares no code with us or with FFmpeg: the independent peer. A script, no module.

It is run by the system's Python, with its packages (python3-gi, gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-base,
-good and -bad), plays each clip from its beginning to whoever comes, and prints its port once it listens:

    /usr/bin/python3 gst_server.py /h264=clip.mp4 /h265=other.mp4 /mjpeg=clip.avi
"""

import sys
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

CHAINS = {
    "/h264": "qtdemux ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1",
    "/h265": "qtdemux ! h265parse ! rtph265pay name=pay0 pt=96 config-interval=-1",
    "/mjpeg": "avidemux ! jpegparse ! rtpjpegpay name=pay0 pt=26",
}


def main(clips: dict[str, Path]) -> None:
    """Serves `clips` by path until the process is ended."""
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    for path, clip in clips.items():
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(f'( filesrc location="{clip}" ! {CHAINS[path]} )')
        server.get_mount_points().add_factory(path, factory)
    server.attach(None)
    sys.stdout.write(f"{server.get_bound_port()}\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


if __name__ == "__main__":
    main({path: Path(clip) for path, _, clip in (argument.partition("=") for argument in sys.argv[1:])})
