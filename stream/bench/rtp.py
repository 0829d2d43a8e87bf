"""A clip's encoded pictures as RTP payloads: H.264 (RFC 6184), H.265 (RFC 7798) and JPEG (RFC 2435).

Pure: a file goes in, payloads with their times come out. Sockets, clients and pacing live in `rtsp_server`. Nothing is
decoded or encoded again, so what a client decodes is bit for bit what the file holds.
"""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.bitstream import BitStreamFilterContext
from av.packet import Packet
from av.video.stream import VideoStream

CLOCK_HZ = 90_000
PAYLOAD_BYTES = 1400  # with RTP, UDP and IP headers still under an Ethernet frame
PAYLOAD_TYPE = 96
START_CODE = re.compile(b"\x00\x00\x00?\x01")


@dataclass(frozen=True)
class Unit:
    """One encoded picture.

    Attributes:
        due: seconds after the clip's first picture at which it is sent (from dts).
        timestamp: presentation time in 1/90000 s, from the clip's first.
        key: True where decoding can begin.
        payloads: RTP payloads in order; the last one carries the marker bit.
    """

    due: float
    timestamp: int
    key: bool
    payloads: tuple[bytes, ...]


@dataclass(frozen=True)
class Clip:
    """A file, packetised from its first keyframe on.

    Attributes:
        units: its pictures in decode order.
        period: seconds after which a looped clip begins again.
        payload_type: RTP payload type.
        media: the `a=` lines of the SDP that describe the codec, without `a=`.
    """

    units: tuple[Unit, ...]
    period: float
    payload_type: int
    media: tuple[str, ...]

    @classmethod
    def load(cls, path: Path) -> Clip:
        """The clip in a file whose video is H.264, H.265 or baseline JPEG.

        Raises:
            ValueError: the video has another codec.
        """
        with av.open(path.absolute()) as container:  # FFmpeg would take 12:30.mp4 for a protocol
            stream = container.streams.video[0]
            codec = stream.codec_context.name
            if codec not in PACKETISERS:
                raise ValueError(
                    f"{path.name} holds {codec}, expected one of {', '.join(PACKETISERS)}: encode it first"
                )
            packets = _encoded(container.demux(stream), stream, codec)
            start = next(index for index, packet in enumerate(packets) if packet.is_keyframe)
            times = _times(packets[start:], stream)
            payloads = [PACKETISERS[codec](bytes(packet)) for packet in packets[start:]]

        first_due, first_time = times[0][0], min(time for _, time in times)
        units = tuple(
            Unit(float(due - first_due), round((time - first_time) * CLOCK_HZ), packet.is_keyframe, parts)
            for packet, (due, time), parts in zip(packets[start:], times, payloads, strict=True)
        )
        step = units[1].due if len(units) > 1 else 1.0
        payload_type, media = _media(codec, bytes(packets[start]))
        return cls(units, units[-1].due + step, payload_type, media)


def _encoded(demuxed: Iterable[Packet[VideoStream]], stream: VideoStream, codec: str) -> list[Packet[VideoStream]]:
    """The packets, with H.264 and H.265 as NAL units behind start codes (parameter sets in front of keyframes)."""
    packets = [packet for packet in demuxed if packet.size]
    if codec == "mjpeg":
        return packets
    annex_b = BitStreamFilterContext(f"{codec}_mp4toannexb", stream)
    return [out for packet in packets for out in annex_b.filter(packet)]


def _times(packets: list[Packet[VideoStream]], stream: VideoStream) -> list[tuple[Fraction, Fraction]]:
    """Decode and presentation time of each packet in seconds; a raw elementary stream has none and runs at its rate."""
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    base = stream.time_base or Fraction(1, CLOCK_HZ)
    stamps = [(packet.dts, packet.pts) for packet in packets]
    if any(dts is None or pts is None for dts, pts in stamps):
        return [(index / rate, index / rate) for index in range(len(packets))]
    return [((dts or 0) * base, (pts or 0) * base) for dts, pts in stamps]


def _nal_units(data: bytes) -> list[bytes]:
    """The NAL units of a byte stream with start codes."""
    return [unit for unit in START_CODE.split(data) if unit]


def _h264(data: bytes) -> tuple[bytes, ...]:
    """RFC 6184: single NAL unit packets, and FU-A (type 28) for those that do not fit."""
    payloads: list[bytes] = []
    for nal in _nal_units(data):
        if len(nal) <= PAYLOAD_BYTES:
            payloads.append(nal)
            continue
        indicator, kind = (nal[0] & 0xE0) | 28, nal[0] & 0x1F
        payloads += _fragments(bytes([indicator]), kind, nal[1:])
    return tuple(payloads)


def _hevc(data: bytes) -> tuple[bytes, ...]:
    """RFC 7798: single NAL unit packets, and fragmentation units (type 49) for those that do not fit."""
    payloads: list[bytes] = []
    for nal in _nal_units(data):
        if len(nal) <= PAYLOAD_BYTES:
            payloads.append(nal)
            continue
        header, kind = bytes([(nal[0] & 0x81) | (49 << 1), nal[1]]), (nal[0] >> 1) & 0x3F
        payloads += _fragments(header, kind, nal[2:])
    return tuple(payloads)


def _fragments(header: bytes, kind: int, body: bytes) -> list[bytes]:
    """One NAL unit cut up: `header`, then a byte with start and end bits and the unit's type, then a part of it."""
    size = PAYLOAD_BYTES - len(header) - 1
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    first, last = 0, len(parts) - 1
    return [
        header + bytes([(index == first) << 7 | (index == last) << 6 | kind]) + part for index, part in enumerate(parts)
    ]


def _jpeg(data: bytes) -> tuple[bytes, ...]:
    """RFC 2435 with quantisation tables in band (Q = 255); the picture must use the standard Huffman tables."""
    segments, scan = _parse_jpeg(data)
    frame = segments[0xC0][0]
    height, width, sampling = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big"), frame[7]
    restart = b"".join(interval + b"\xff\xff" for interval in segments.get(0xDD, []))
    kind = {0x21: 0, 0x22: 1}[sampling] | (64 if restart else 0)  # 4:2:2, 4:2:0
    shape = bytes([kind, 255, width // 8, height // 8]) + restart
    tables = b"".join(body[at + 1 : at + 65] for body in segments[0xDB] for at in range(0, len(body), 65))
    quantisation = struct.pack("!BBH", 0, 0, len(tables)) + tables
    payloads, at = [], 0
    while at < len(scan):
        head = struct.pack("!I", at) + shape + (quantisation if at == 0 else b"")
        part = scan[at : at + PAYLOAD_BYTES - len(head)]
        payloads.append(head + part)
        at += len(part)
    return tuple(payloads)


def _parse_jpeg(data: bytes) -> tuple[dict[int, list[bytes]], bytes]:
    """The bodies of a JPEG's segments by marker, and its entropy-coded data."""
    segments: dict[int, list[bytes]] = {}
    marker, at = 0, 2
    while marker != 0xDA:  # start of scan
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        segments.setdefault(marker, []).append(data[at + 4 : at + 2 + size])
        at += 2 + size
    return segments, data[at : data.rfind(b"\xff\xd9")]


def _media(codec: str, keyframe: bytes) -> tuple[int, tuple[str, ...]]:
    """RTP payload type and SDP attributes of a codec; parameter sets come from its first keyframe."""
    if codec == "mjpeg":
        return 26, ("rtpmap:26 JPEG/90000",)
    nals = _nal_units(keyframe)
    if codec == "h264":
        sps, pps = (next(nal for nal in nals if nal[0] & 0x1F == kind) for kind in (7, 8))
        sprop = f"profile-level-id={sps[1:4].hex()};sprop-parameter-sets={_base64(sps)},{_base64(pps)}"
        return PAYLOAD_TYPE, (f"rtpmap:{PAYLOAD_TYPE} H264/90000", f"fmtp:{PAYLOAD_TYPE} packetization-mode=1;{sprop}")
    vps, sps, pps = (next(nal for nal in nals if (nal[0] >> 1) & 0x3F == kind) for kind in (32, 33, 34))
    sprop = f"sprop-vps={_base64(vps)};sprop-sps={_base64(sps)};sprop-pps={_base64(pps)}"
    return PAYLOAD_TYPE, (f"rtpmap:{PAYLOAD_TYPE} H265/90000", f"fmtp:{PAYLOAD_TYPE} {sprop}")


def _base64(data: bytes) -> str:
    """Base64 text."""
    return base64.b64encode(data).decode()


PACKETISERS: dict[str, Callable[[bytes], tuple[bytes, ...]]] = {"h264": _h264, "hevc": _hevc, "mjpeg": _jpeg}
