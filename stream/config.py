"""cameras.toml: many cameras, each with its address, its regions, its thresholds and its hours; checked and frozen.

Nothing is opened here, and no variable of the environment is read: an address comes out of `Camera.address` alone, with
its `${VARIABLE}`s in it, which the source expands when it connects.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sized
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar
from urllib.parse import quote

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    SecretStr,
    ValidationError,
    WithJsonSchema,
)

from stream.address import VARIABLE
from stream.contracts import Input
from stream.errors import ConfigError
from stream.schedule import EXPECTED, PATTERN, Span, is_awake, parse_span
from stream.schema import LabelRule
from stream.toml_file import TomlFile

SECRETS = frozenset({"url", "user", "password"})
NAME = r"^[^\x00-\x1f/]{1,100}$"
Many = TypeVar("Many", bound=Sized)
HIGHEST_RATE = 1000  # ticks a second, as in bundle.json


def _name(name: str) -> str:
    if not re.fullmatch(NAME, name):
        raise ValueError(f"expected 1 to 100 characters without a slash, got {name!r}")
    return name


def _rate(rate: Any) -> Any:
    if rate == "native" or (type(rate) in (int, float) and 0 < rate <= HIGHEST_RATE):
        return rate
    raise ValueError(f'expected ticks a second, over 0 and up to {HIGHEST_RATE}, or "native", got {rate!r}')


def _region(edges: Any) -> tuple[float, ...]:
    # A text is not shown: below the header of regions it may be a misplaced password.
    numbers = _is_list(edges, 4, (int, float))
    if not numbers or not (0 <= edges[0] < edges[2] <= 1 and 0 <= edges[1] < edges[3] <= 1):
        raise ValueError(
            "expected [left, top, right, bottom] as shares (0-1) of the picture's width and height, "
            f"left < right and top < bottom, got {'a text' if isinstance(edges, str) else edges!r}"
        )
    return tuple(map(float, edges))


def _size(size: Any) -> tuple[int, ...]:
    if not _is_list(size, 2, (int,)) or min(size) < 1:
        raise ValueError(f"expected [width, height] in pixels, got {size!r}")
    return tuple(size)


def _hours(text: Any) -> Span:
    if not isinstance(text, str):
        raise ValueError(f"expected {EXPECTED}, got {text!r}")
    return parse_span(text)


def _some(values: Many) -> Many:
    if not len(values):
        raise ValueError("expected at least one, got none")
    return values


def _is_list(value: Any, length: int, types: tuple[type, ...]) -> bool:
    return isinstance(value, list) and len(value) == length and all(type(each) in types for each in value)


def _array(of: str, length: int, **limits: float) -> WithJsonSchema:
    items = {"type": of, **limits}
    return WithJsonSchema({"type": "array", "items": items, "minItems": length, "maxItems": length})


Name: TypeAlias = Annotated[str, AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": NAME})]
Rate: TypeAlias = Annotated[
    float | Literal["native"],
    PlainValidator(_rate),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "exclusiveMinimum": 0, "maximum": HIGHEST_RATE}, {"const": "native"}]}
    ),
]
Region: TypeAlias = Annotated[
    tuple[float, float, float, float], PlainValidator(_region), _array("number", 4, minimum=0, maximum=1)
]
Size: TypeAlias = Annotated[tuple[int, int], PlainValidator(_size), _array("integer", 2, minimum=1)]
Hours: TypeAlias = Annotated[
    Span, PlainValidator(_hours), WithJsonSchema({"type": "string", "pattern": f"^{PATTERN}$"})
]
Share: TypeAlias = Annotated[float, Field(gt=0, le=1)]


class _Table(BaseModel):
    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )


class Threshold(_Table):
    """When a label's event starts and ends; what is left out stays as the bundle says."""

    enter: Share | None = None
    """Score at or over which the label's event starts."""
    exit: Share | None = None
    """Score under which it ends; at most `enter`."""
    min: Annotated[float, Field(ge=0)] | None = None
    """Seconds for which the score must be at or over `enter` before it starts."""

    def over(self, rule: LabelRule) -> LabelRule:
        """`rule` with what is said here put over it.

        Raises:
            ConfigError: the event would end before it started.
        """
        try:
            return LabelRule.model_validate(rule.model_dump() | self.model_dump(exclude_none=True))
        except ValidationError as error:
            raise ConfigError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None


class Defaults(_Table):
    """What holds for every camera that does not say otherwise."""

    user: SecretStr | None = None
    """Of the login, as it is, without percent signs. `${VARIABLE}` is read from the environment."""
    password: SecretStr | None = None
    """Of the login, as it is. `${VARIABLE}` is read from the environment: keep passwords out of this file."""
    transport: Literal["tcp", "udp"] = "tcp"
    """What carries the video of an RTSP camera."""
    rate: Rate | None = None
    """Ticks a second, or "native" for every frame; what the bundle was trained for if left out."""
    fit: Literal["center", "squash", "letterbox"] | None = None
    """How the picture becomes the model's; what the bundle says if left out. A region is always letterboxed."""
    rotation: Literal[0, 90, 180, 270] = 0
    """Degrees clockwise by which the picture must be turned to stand upright."""
    loop: bool = False
    """A file or a folder of pictures: begin it again at its end, for ever; with `watch --realtime` it stands in for a
    camera."""
    decode: Literal["software", "auto", "cuda", "vaapi", "videotoolbox"] | None = None
    """What decodes the video; software if left out."""
    size: Size | None = None
    """Webcam: [width, height] to ask for."""
    fps: Annotated[float, Field(gt=0)] | None = None
    """Webcam: frames a second to ask for."""
    format: Literal["YUYV", "MJPG", "NV12", "YU12", "H264"] | None = None
    """Webcam: how it is to send, as `actionstream devices` lists it."""
    thresholds: dict[str, Threshold] = Field(default_factory=dict)
    """By label."""
    schedule: Annotated[tuple[Hours, ...], AfterValidator(_some)] | None = None
    """Hours, in local time, in which a live camera is watched, such as "mon-fri 08:00-18:00" or "sat 22:00-02:00";
    always if left out."""


class Camera(Defaults):
    """One camera."""

    name: Name
    """What its labels and events are told with; no other camera's."""
    url: Annotated[SecretStr, AfterValidator(_some)]
    """rtsp://host/path, http://host/path, a file, a folder of pictures, or a webcam's number. In addresses with ://,
    `${VARIABLE}` is read from the environment."""
    regions: dict[Name, Region] = Field(default_factory=dict)
    """Parts of the upright picture by name, each judged by itself: [left, top, right, bottom] as shares (0-1)."""

    @property
    def track_names(self) -> tuple[str, ...]:
        """Of its tracks: the camera itself, or each region as `camera/region`."""
        return tuple(f"{self.name}/{region}" for region in self.regions) or (self.name,)

    def tracks(self, input: Input) -> dict[str, Input]:
        """What each of its tracks sees, by name; `input` is what the bundle wants to see."""
        seen = input
        if self.rate is not None:
            seen = replace(seen, rate=None if self.rate == "native" else self.rate)
        if self.fit is not None:
            seen = replace(seen, fit=self.fit, region=None)
        boxes = [replace(seen, fit="region", region=region) for region in self.regions.values()]
        return dict(zip(self.track_names, boxes or [seen], strict=True))

    def is_awake(self, moment: datetime) -> bool:
        """True where its schedule, if it has one, holds the local time `moment`."""
        return self.schedule is None or is_awake(self.schedule, moment)

    def address(self) -> str:
        """Where it is, with its login: for `open_source`, which expands variables, and for nobody to see."""
        url = self.url.get_secret_value()
        scheme, separator, rest = url.partition("://")
        if self.user is None or not separator or _has_login(url):
            return url
        login = ":".join(_encoded(part) for part in (self.user, self.password) if part is not None)
        return f"{scheme}://{login}@{rest}"


class _Document(_Table):
    """Cameras for `actionstream watch` and `actionstream config check`."""

    model_config = ConfigDict(title="cameras.toml")

    defaults: Defaults = Defaults()
    """What holds for every camera that does not say otherwise."""
    camera: Annotated[tuple[Camera, ...], AfterValidator(_some)] = Field(
        default=(), validate_default=True, json_schema_extra={"minItems": 1}
    )
    """The cameras, each under a [[camera]] of its own."""


class CamerasFile:
    """A cameras.toml that was read.

    Attributes:
        cameras: in its order, defaults filled in.
    """

    def __init__(self, path: Path) -> None:
        """Reads the file at `path`.

        Raises:
            ConfigError: it cannot be read or is no TOML; a key is unknown or missing, a value cannot be, two cameras
                have one name. The message names the key and its line.
        """
        self._file = TomlFile(path, SECRETS)
        self._document = self._file.parsed(_Document)
        self.cameras = tuple(_with_defaults(camera, self._document.defaults) for camera in self._document.camera)
        for index in range(len(self.cameras)):
            self._check(index)

    @property
    def track_names(self) -> tuple[str, ...]:
        """Of the tracks of all cameras, in order."""
        return tuple(track for camera in self.cameras for track in camera.track_names)

    def rules(self, rules: Mapping[str, LabelRule]) -> dict[str, dict[str, LabelRule]]:
        """What each track changes of the bundle's `rules`: by track, then by label.

        Raises:
            ConfigError: a label that the bundle does not know, or an exit over its enter.
        """
        changed: dict[str, dict[str, LabelRule]] = {}
        for index, camera in enumerate(self.cameras):
            of_camera = {label: self._rule(index, label, rules) for label in camera.thresholds}
            changed |= {track: of_camera for track in camera.track_names}
        return changed

    def _rule(self, index: int, label: str, rules: Mapping[str, LabelRule]) -> LabelRule:
        """The rule of `label` for the camera at `index`."""
        is_own = label in self._document.camera[index].thresholds
        key = (*(("camera", index) if is_own else ("defaults",)), "thresholds", label)
        if label not in rules:
            raise self._file.fault(
                key, f"expected a label of the bundle ({', '.join(rules)}), got {label!r}; correct it"
            )
        try:
            return self.cameras[index].thresholds[label].over(rules[label])
        except ConfigError as error:
            raise self._file.fault(key, f"{error}; set both") from None

    def _check(self, index: int) -> None:
        """Raises ConfigError where the camera at `index` contradicts itself or those before it."""
        own, camera = self._document.camera[index], self.cameras[index]
        names, url = [each.name for each in self.cameras], own.url.get_secret_value()
        if camera.name in names[:index]:
            line = self._file.line_of(("camera", names.index(camera.name), "name"))
            what = f"expected another name than that of line {line}, got {camera.name!r} again; rename one"
            raise self._file.fault(("camera", index, "name"), what)
        if own.regions and own.fit is not None:
            what = f"expected no fit beside regions, which are letterboxed, got {own.fit!r}; leave one out"
            raise self._file.fault(("camera", index, "fit"), what)
        login = next((key for key in ("user", "password") if getattr(own, key) is not None), "")
        if login and _has_login(url):
            what = "expected one login, got one here and one in the url; leave one out"
            raise self._file.fault(("camera", index, login), what)
        if login and "://" not in url:
            what = "expected a url with :// beside a login, got another; write the login into it, or leave it out"
            raise self._file.fault(("camera", index, login), what)
        if camera.password is not None and camera.user is None:
            key = ("camera", index, "password") if own.password is not None else ("defaults", "password")
            raise self._file.fault(key, "expected a user with it, got none; add user")


def json_schema() -> dict[str, Any]:
    """The JSON schema of cameras.toml, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_Document.model_json_schema()}


def _with_defaults(camera: Camera, defaults: Defaults) -> Camera:
    """`camera`, with what only `defaults` says; thresholds by label."""
    missing = defaults.model_fields_set - camera.model_fields_set
    filled = {name: getattr(defaults, name) for name in missing}
    return camera.model_copy(update=filled | {"thresholds": {**defaults.thresholds, **camera.thresholds}})


def _encoded(secret: SecretStr) -> str:
    """`secret` percent-encoded, but for its variables: their values are when they are known."""
    parts = enumerate(VARIABLE.split(secret.get_secret_value()))  # every second one is a variable's name
    return "".join(f"${{{part}}}" if index % 2 else quote(part, safe="") for index, part in parts)


def _has_login(url: str) -> bool:
    return "@" in url.partition("://")[2].partition("/")[0]
