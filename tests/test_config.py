"""cameras.toml: what it gives; and the one line, with a line number, that each mistake in it earns."""

from __future__ import annotations

import json
import re
import traceback
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import get_args

import pytest

from stream.address import expanded
from stream.commands.options import FORMATS
from stream.config import CamerasFile, json_schema
from stream.contracts import Input
from stream.errors import ConfigError
from stream.schema import LabelRule
from stream.sources.hardware import Decode
from stream.sources.rtsp import Transport
from stream.toml_file import TomlFile

INPUT = Input(96, 160, fit="letterbox", rate=10.0)
RULES = {"wave": LabelRule(enter=0.6, exit=0.4, min=0.2), "clap": LabelRule(enter=0.8, exit=0.5)}
GATE = '[[camera]]\nname = "gate"\nurl = "rtsp://gate/1"\n'


def read(tmp_path: Path, text: str) -> CamerasFile:
    path = tmp_path / "cameras.toml"
    path.write_text(text, encoding="utf-8")
    return CamerasFile(path)


def fault(tmp_path: Path, text: str) -> str:
    """The error's words after the file's name; checks that there is one line of them."""
    with pytest.raises(ConfigError) as told:
        read(tmp_path, text).rules(RULES)
    assert "\n" not in str(told.value)
    assert str(told.value).startswith(str(tmp_path / "cameras.toml"))
    return str(told.value).removeprefix(str(tmp_path / "cameras.toml"))


# what it gives


def test_a_camera_of_two_lines_has_all_defaults(tmp_path: Path) -> None:
    (camera,) = read(tmp_path, GATE).cameras
    assert (camera.name, camera.transport, camera.rotation, camera.decode) == ("gate", "tcp", 0, None)
    assert camera.tracks(INPUT) == {"gate": INPUT}
    assert camera.address() == "rtsp://gate/1"
    assert camera.is_awake(datetime(2026, 11, 16))


def test_defaults_fill_in_what_a_camera_does_not_say(tmp_path: Path) -> None:
    text = f"""
        [defaults]
        transport = "udp"
        rate = 5
        rotation = 90
        {GATE}
        transport = "tcp"
        [[camera]]
        name = "hall"
        url = "0"
        size = [1280, 720]
        fps = 30
    """
    gate, hall = read(tmp_path, text).cameras
    assert (gate.transport, gate.rate, gate.rotation) == ("tcp", 5, 90)
    assert (hall.transport, hall.rate, hall.rotation) == ("udp", 5, 90)
    assert (hall.size, hall.fps) == ((1280, 720), 30)


def test_each_region_is_a_track(tmp_path: Path) -> None:
    text = GATE + "rate = 'native'\n[camera.regions]\nleft = [0, 0, 0.5, 1]\ndoor = [0.5, 0.25, 1.0, 1.0]\n"
    (camera,) = read(tmp_path, text).cameras
    seen = replace(INPUT, fit="region", rate=None)
    assert camera.tracks(INPUT) == {
        "gate/left": replace(seen, region=(0.0, 0.0, 0.5, 1.0)),
        "gate/door": replace(seen, region=(0.5, 0.25, 1.0, 1.0)),
    }
    assert camera.track_names == ("gate/left", "gate/door")


def test_a_fit_replaces_the_bundles_region(tmp_path: Path) -> None:
    bundle = replace(INPUT, fit="region", region=(0.0, 0.0, 0.5, 0.5))
    plain, centred = read(tmp_path, GATE + GATE.replace("gate", "hall") + 'fit = "center"').cameras
    assert plain.tracks(bundle) == {"gate": bundle}
    assert centred.tracks(bundle) == {"hall": replace(bundle, fit="center", region=None)}


def test_thresholds_go_over_the_bundles_by_label_and_by_key(tmp_path: Path) -> None:
    text = f"""
        [defaults.thresholds.wave]
        enter = 0.9
        [defaults.thresholds.clap]
        min = 1
        {GATE}
        thresholds.wave.exit = 0.1
        [camera.regions]
        left = [0, 0, 0.5, 1]
        right = [0.5, 0, 1, 1]
        {GATE.replace("gate", "hall")}
    """
    clap = LabelRule(enter=0.8, exit=0.5, min=1.0)
    gate = {"wave": LabelRule(enter=0.6, exit=0.1, min=0.2), "clap": clap}
    hall = {"wave": LabelRule(enter=0.9, exit=0.4, min=0.2), "clap": clap}
    assert read(tmp_path, text).rules(RULES) == {"gate/left": gate, "gate/right": gate, "hall": hall}


def test_a_schedule_says_when_to_watch(tmp_path: Path) -> None:
    (camera,) = read(tmp_path, GATE + 'schedule = ["mon-fri 08:00-18:00", "sat 22:00-02:00"]').cameras
    awake = [camera.is_awake(datetime(2026, 11, day, hour)) for day, hour in ((16, 8), (16, 19), (21, 23), (22, 1))]
    assert awake == [True, False, True, True]


def test_dotted_keys_windows_line_ends_and_a_byte_order_mark_are_toml_too(tmp_path: Path) -> None:
    path = tmp_path / "cameras.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GATE.replace("\n", "\r\n").encode() + b"rate = 0\r\n")
    with pytest.raises(ConfigError, match=r"line 4: camera\.rate"):
        CamerasFile(path)


# logins


def test_a_login_is_percent_encoded_and_variables_are_left_to_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = '[defaults]\nuser = "a@b"\npassword = "${GATE_PW}/!${X}"\n' + GATE.replace("gate/1", "${HOST}/1")
    (camera,) = read(tmp_path, text).cameras
    assert camera.address() == "rtsp://a%40b:${GATE_PW}%2F%21${X}@${HOST}/1"
    for name, value in {"GATE_PW": "p@ss", "X": "#", "HOST": "10.0.0.9"}.items():
        monkeypatch.setenv(name, value)
    assert expanded(camera.address()) == "rtsp://a%40b:p%40ss%2F%21%23@10.0.0.9/1"


def test_a_login_in_the_address_wins_over_that_of_the_defaults(tmp_path: Path) -> None:
    text = '[defaults]\nuser = "admin"\npassword = "x"\n' + GATE.replace("gate/1", "me:own@gate/1")
    assert read(tmp_path, text).cameras[0].address() == "rtsp://me:own@gate/1"


@pytest.mark.parametrize("url", ["0", "clip.mp4", "/dev/video0", "${GATE}"])
def test_what_is_no_address_gets_no_login(url: str, tmp_path: Path) -> None:
    text = '[defaults]\nuser = "admin"\n' + GATE.replace("rtsp://gate/1", url)
    assert read(tmp_path, text).cameras[0].address() == url


def test_a_camera_does_not_show_its_secrets(tmp_path: Path) -> None:
    text = GATE.replace("gate/1", "gate/hunter2") + 'user = "hunter2"\npassword = "hunter2"'
    cameras = read(tmp_path, text)
    assert "hunter2" not in repr(cameras.cameras) + repr(cameras) + cameras.cameras[0].model_dump_json()


@pytest.mark.parametrize(
    "text",
    [
        GATE + "password = hunter2",
        GATE + "password = ['hunter2']",
        GATE + "passwrod = 'hunter2'",
        GATE + "user = {is = 'hunter2'}",
        GATE + "url = 'rtsp://hunter2:hunter2@gate'",
        GATE.replace('"rtsp://gate/1"', "['rtsp://hunter2@gate']"),
        "[camera]\nname = 'a'\nurl = 'rtsp://a'\npassword = 'hunter2'",
        "camera = ['rtsp://me:hunter2@gate']",
        "defaults = 'hunter2'\n" + GATE,
        GATE + "rate = 'rtsp://me:hunter2@gate'",
        GATE + "password = 'hunter2'",
        GATE + "[camera.regions]\nleft = [0, 0, 1, 1]\npassword = 'hunter2'",
        GATE + "[camera.regions]\nleft = [0, 0, 1, 1]\npasswrod = 'hunter2'",
        GATE + "[camera.thresholds]\npassword = 'hunter2'",
    ],
)
def test_no_mistake_shows_a_secret(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as told:
        read(tmp_path, text)
    assert "hunter2" not in str(told.value)
    assert "hunter2" not in "".join(traceback.format_exception(told.value))  # what --debug shows


# mistakes


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", None, ["camera", "expected at least one", "got none"]),
        ("camera = []", 1, ["camera", "expected at least one"]),
        ("# a comment\n\n[[cameras]]\nname = 'a'", 3, ["cameras: unknown key", "did you mean camera?"]),
        (GATE + "trasport = 'udp'", 4, ["camera.trasport", "unknown key", "did you mean transport?"]),
        ("transport = 'udp'\n" + GATE, 1, ["transport: unknown key", "expected defaults or camera"]),
        ("[defaults]\nurl = 'x'\n" + GATE, 2, ["defaults.url: unknown key"]),
        ("[[camera]]\nname = 'a'\nulr = 'b'", 3, ["camera.ulr", "did you mean url?"]),
        ("# x\n[[camera]]\nname = 'a'", 2, ["camera.url: expected this key, got none"]),
        (GATE + GATE.replace("gate", "hall") + "rate = -1", 7, ["camera.rate", "ticks a second", "got -1"]),
        (GATE + "rate = '5'", 4, ["camera.rate", "got '5'"]),
        (GATE + "rate = nan", 4, ["camera.rate", "got nan"]),
        (GATE + "rate = 2026-01-01", 4, ["camera.rate", "got '2026-01-01'"]),
        (GATE + "fps = '30'", 4, ["camera.fps", "expected a valid number", "got '30'"]),
        (GATE + "fps = 0", 4, ["camera.fps", "expected a number greater than 0", "got 0"]),
        (GATE + "rotation = 45", 4, ["camera.rotation", "expected 0, 90, 180 or 270", "got 45"]),
        (GATE + "transport = 'tpc'", 4, ["expected 'tcp' or 'udp'", "got 'tpc'"]),
        (GATE + "decode = 'gpu'", 4, ["camera.decode", "'cuda'", "got 'gpu'"]),
        (GATE + "size = '1280x720'", 4, ["camera.size", "expected [width, height]", "got '1280x720'"]),
        (GATE + "size = [1280]", 4, ["expected [width, height]", "got [1280]"]),
        (GATE + "size = [0, 720]", 4, ["expected [width, height]", "got [0, 720]"]),
        (GATE + "\n# again\n" + GATE, 7, ["expected another name than that of line 2", "'gate'"]),
        (GATE.replace("gate/1", "") + GATE.replace('"gate"', '"a/b"'), 5, ["camera.name", "slash", "got 'a/b'"]),
        (GATE.replace("rtsp://gate/1", ""), 3, ["camera.url", "got none"]),
        ("[camera]\nname = 'a'\nurl = 'b'", 1, ["expected [[camera]], got [camera]"]),
        (GATE + "regions = {left = [0, 0, 1.2, 1]}", 4, ["camera.regions.left", "shares (0-1)", "got [0, 0, 1.2, 1]"]),
        (GATE + "[camera.regions]\na = [0, 0, 1, 1]\nb = [\n  0.5,\n  0,\n  0.5,\n  1,\n]", 6, ["camera.regions.b"]),
        (GATE + "[camera.regions]\na = [0, 0, 1]", 5, ["[left, top, right, bottom]", "got [0, 0, 1]"]),
        (GATE + "[camera.regions]\n'a/b' = [0, 0, 1, 1]", 5, ["camera.regions.a/b", "slash"]),
        (GATE + "fit = 'center'\nregions.a = [0, 0, 1, 1]", 4, ["camera.fit", "regions", "got 'center'"]),
        (GATE + "schedule = 'mon 08:00-09:00'", 4, ["camera.schedule", "expected a valid array"]),
        (GATE + "schedule = []", 4, ["camera.schedule", "expected at least one"]),
        (GATE + "schedule = [\n'mon 08:00-09:00',\n'mon 25:00-26:00']", 4, ["camera.schedule", "'mon 25:00-26:00'"]),
        (GATE + "schedule = [08:00:00]", 4, ["camera.schedule", "got '08:00:00'"]),
        (GATE + "user = 'me'\nurl2 = 'x'", 5, ["camera.url2", "did you mean url?"]),
        (GATE.replace("gate/1", "me:x@gate/1") + "user = 'me'", 4, ["camera.user", "one login"]),
        (GATE.replace("rtsp://gate/1", "${GATE}") + "user = 'me'", 4, ["camera.user", "expected a url with ://"]),
        (GATE + "password = '${PW}'", 4, ["camera.password", "expected a user"]),
        ("[defaults]\npassword = 'x'\n" + GATE, 2, ["defaults.password", "expected a user"]),
        (GATE.replace("gate/1", "me:x@gate/1") + "password = 'y'", 4, ["camera.password", "one login"]),
        (GATE + "[camera.thresholds.wvae]\nenter = 0.5", 4, ["expected a label of the bundle (wave, clap)", "'wvae'"]),
        ("[defaults.thresholds.jump]\nenter = 0.5\n" + GATE, 1, ["defaults.thresholds.jump", "'jump'"]),
        (GATE + "[camera.thresholds.wave]\nenter = 0.3", 4, ["exit must not be over enter (0.3); got 0.4"]),
        (
            GATE + "[camera.thresholds.wave]\nenter = 2",
            5,
            ["thresholds.wave.enter", "less than or equal to 1", "got 2"],
        ),
        (GATE + "[camera.thresholds.wave]\nentre = 1", 5, ["thresholds.wave.entre", "did you mean enter?"]),
        (GATE + 'user = """\n[[camera]]\nname = 1\n"""\nrate = 0', 8, ["camera.rate"]),
        ("x = ", 1, ["no TOML", "invalid value"]),
        (GATE + "\nrate 5\nfps = 3", 5, ["no TOML"]),
        (GATE + "rate = 5\nrate = 6\n", 5, ["no TOML", "overwrite"]),
        (GATE + "regions.a = [0,\n0,\n", 6, ["no TOML"]),
    ],
)
def test_a_mistake_is_one_line_with_its_key_and_its_line(
    text: str, line: int | None, words: list[str], tmp_path: Path
) -> None:
    told = fault(tmp_path, text)
    assert told.startswith(f", line {line}" if line else ": "), told
    assert [word for word in words if word not in told] == [], told


@pytest.mark.parametrize(("content", "words"), [(b"\xff\xfe", "UTF-8"), (None, "No such file")])
def test_a_file_that_cannot_be_read_is_named(content: bytes | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "cameras.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        CamerasFile(path)


def test_lines_of_a_long_file_are_found(tmp_path: Path) -> None:
    """In every statement of it, with comments, empty lines and arrays over several lines between them."""
    path = tmp_path / "long.toml"
    camera = "# {n}\n[[camera]]\nname = 'c{n}'\n\nschedule = [ # a\n  'x', # ]\n]\n[camera.regions]\nleft = [0,\n 1]\n"
    path.write_text("".join(camera.format(n=n) for n in range(60)))
    file = TomlFile(path)
    for n in (0, 1, 30, 59):
        first = 10 * n + 2
        lines = [
            file.line_of(("camera", n, *rest)) for rest in ((), ("name",), ("schedule", 0), ("regions", "left", 1))
        ]
        assert lines == [first, first + 1, first + 3, first + 7]
    assert file.line_of(("camera", 59, "url")) == 592  # the table that lacks it
    assert file.line_of(("defaults",)) is None


# the schema


def test_the_schema_names_every_key_with_its_meaning() -> None:
    schema = json.loads(json.dumps(json_schema()))
    camera = schema["$defs"]["Camera"]
    assert set(camera["required"]) == {"name", "url"}
    assert camera["additionalProperties"] is False
    assert [name for name, key in camera["properties"].items() if not key.get("description")] == []
    assert schema["properties"]["camera"]["minItems"] == 1


def test_the_choices_are_those_of_the_sources() -> None:
    properties = json_schema()["$defs"]["Camera"]["properties"]
    assert properties["transport"]["enum"] == list(get_args(Transport))
    assert properties["decode"]["anyOf"][0]["enum"] == list(get_args(Decode))
    assert properties["format"]["anyOf"][0]["enum"] == list(FORMATS)


def test_the_schemas_pattern_of_hours_is_that_of_the_parser() -> None:
    pattern = json_schema()["$defs"]["Camera"]["properties"]["schedule"]["anyOf"][0]["items"]["pattern"]
    assert [text for text in ("mon-fri 08:00-18:00", "22:00-06:00") if not re.search(pattern, text)] == []
    assert [text for text in ("always", "mon", "x mon 08:00-09:00 x") if re.search(pattern, text)] == []
