"""The cache keeps to its limit: what was not used for longest goes first, what somebody uses now stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from stream.contracts import Input
from stream.errors import ConfigError
from train.cache import ArrayCache, Arrays, plain_pictures
from train.data.commands import data
from train.room import VARIABLE, entries, holdings, limit_of, make_room

ENTRY = 100_000
"""Bytes of each entry's array here; its file has a header too."""
NOBODY = 65534
"""Number of a user who may do little."""


def fill(cache: ArrayCache, *names: int) -> None:
    for name in names:
        cache.get({"name": name}, lambda name=name: {"images": np.full(ENTRY, name, np.uint8)})  # type: ignore[misc]


def age(folder: Path) -> None:
    """Everything in the cache was last used an hour before."""
    for each in entries(folder):
        os.utime(each.folder, (each.used - 3600, each.used - 3600))


def kept(folder: Path) -> set[int]:
    return {int(np.load(each.folder / "images.npy")[0]) for each in entries(folder)}


def never() -> Arrays:
    raise AssertionError("it was there")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A cache with entries 1 to 6 of an hour ago, and nobody who uses it."""
    fill(ArrayCache(tmp_path), *range(1, 7))
    age(tmp_path)
    return tmp_path


def test_what_was_not_used_for_longest_goes_first(folder: Path) -> None:
    fill(ArrayCache(folder), 2)  # it was the second oldest, and is used again
    went, left = make_room(folder, 4 * ENTRY + 1000)
    assert kept(folder) == {2, 5, 6}
    assert went == pytest.approx(3 * ENTRY, rel=0.01)
    assert left == sum(each.size for each in entries(folder))
    assert make_room(folder, 4 * ENTRY + 1000) == (0, left)


def test_writing_over_the_limit_makes_room(folder: Path) -> None:
    cache = ArrayCache(folder, limit=6 * ENTRY)
    fill(cache, *range(11, 16))
    assert {11, 12, 13, 14, 15} <= kept(folder)
    assert sum(each.size for each in entries(folder)) <= 6 * ENTRY
    assert not list(folder.rglob("partial-*"))


def test_without_a_limit_nothing_goes(folder: Path) -> None:
    fill(ArrayCache(folder), 7)
    assert len(kept(folder)) == 7


def test_what_is_in_use_stays_whatever_the_limit(folder: Path) -> None:
    cache = ArrayCache(folder, limit=2 * ENTRY)
    fill(cache, 3, 4, 11, 12)
    assert kept(folder) == {3, 4, 11, 12}
    assert holdings(folder)["pictures"].in_use == sum(each.size for each in entries(folder))
    del cache  # whoever used them has gone
    assert holdings(folder)["pictures"].in_use == 0
    assert make_room(folder, 0)[1] == 0
    assert not kept(folder)


USES_ONE = """
import sys, time
from pathlib import Path
from train.cache import ArrayCache
cache = ArrayCache(Path(sys.argv[1]))
arrays, _ = cache.get({"name": 1}, dict)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no telling who uses a cache")
def test_what_another_process_uses_stays_until_it_ends_however_it_ends(folder: Path) -> None:
    command = [sys.executable, "-c", USES_ONE, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        make_room(folder, 0)
        assert kept(folder) == {1}
        other.kill()
    make_room(folder, 0)
    assert not kept(folder)
    assert not list((folder / "users").iterdir())


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="becomes another user")
@pytest.mark.parametrize("private", [False, True])
def test_people_share_a_cache(private: bool) -> None:
    """What one made another reads, and what one uses no other removes, whether or not they can see who is there."""
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        folder, mask = Path(name), os.umask(0)
        folder.chmod(0o777)
        try:
            mine = ArrayCache(folder)
            fill(mine, 1)
            if private:
                next((folder / "users").iterdir()).chmod(0o600)
            os.seteuid(NOBODY)
            theirs = ArrayCache(folder, limit=ENTRY)
            assert theirs.get({"name": 1}, never)[0]["images"][0] == 1
            fill(theirs, 2)
            del theirs
            make_room(folder, 0)
            assert kept(folder) == {1, 2}  # both in use since the first of them came
            os.seteuid(0)
            del mine
            os.seteuid(NOBODY)
            make_room(folder, 0)
            assert not kept(folder)
        finally:
            os.seteuid(0)
            os.umask(mask)


def test_what_went_is_made_again_and_what_is_mapped_stays_readable(class_folders: Path, tmp_path: Path) -> None:
    clip, small = sorted((class_folders / "right").iterdir())[0], Input(height=36, width=48, rate=10.0)
    cache = ArrayCache(tmp_path)
    before = plain_pictures(cache, clip, small)
    expected = before.images.copy()
    del cache
    make_room(tmp_path, 0)
    if sys.platform != "win32":
        assert not list(entries(tmp_path))
    again = plain_pictures(ArrayCache(tmp_path), clip, small)
    assert np.array_equal(before.images, expected)
    assert np.array_equal(again.images, expected)


def test_an_entry_that_goes_while_it_is_asked_for_is_made_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process takes it away just before this one marks it as used."""
    cache, use = ArrayCache(folder), ArrayCache._use
    taken: list[tuple[int, int]] = []

    def late(self: ArrayCache, entry: Path) -> None:
        if not taken:
            taken.append(make_room(folder, 0))
        use(self, entry)

    monkeypatch.setattr(ArrayCache, "_use", late)
    arrays, _ = cache.get({"name": 1}, lambda: {"images": np.full(ENTRY, 9, np.uint8)})
    assert taken and arrays["images"][0] == 9


def test_nothing_but_entries_is_touched(folder: Path) -> None:
    (folder / "threads.json").write_text("{}")
    (folder / "ab").mkdir(exist_ok=True)
    (folder / "ab" / "notes").mkdir()
    yesterday = folder / "ab" / "partial-left"
    yesterday.mkdir()
    being_written = folder / "ab" / "partial-now"
    being_written.mkdir()
    os.utime(yesterday, (time.time() - 90_000,) * 2)
    make_room(folder, 0)
    assert (folder / "threads.json").is_file() and (folder / "ab" / "notes").is_dir() and being_written.is_dir()
    assert not yesterday.exists()


@pytest.mark.parametrize(
    ("text", "count"),
    [("20GB", 20_000_000_000), ("1.5 mb", 1_500_000), ("700", 700), ("none", None), ("2t", 2 * 10**12)],
)
def test_sizes(text: str, count: int | None) -> None:
    assert limit_of(text) == count


def test_the_environment_says_the_limit_where_nobody_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert limit_of() == 20_000_000_000
    monkeypatch.setenv(VARIABLE, "3GB")
    assert limit_of() == 3_000_000_000
    assert limit_of("5GB") == 5_000_000_000
    monkeypatch.setenv(VARIABLE, "much")
    with pytest.raises(ConfigError, match=f"'much' is no size .*correct {VARIABLE}"):
        limit_of()


def told(*words: object) -> str:
    result = CliRunner().invoke(data, ["cache", *(str(word) for word in words)])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def test_the_command_says_what_is_kept_and_clears_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "3GB")
    cache = ArrayCache(folder)
    cache.get({"kind": "features"}, lambda: {"features": np.zeros(1000, np.float32)})
    said = told("--cache", folder)
    assert "6 entries, 0.6 MB" in said and "3.00 GB" in said and "in use" in said
    facts = json.loads(told("--cache", folder, "--clear", "--json"))
    assert facts["pictures"]["entries"] == 0 and facts["features"]["entries"] == 1
    assert facts["removed_bytes"] == pytest.approx(6 * ENTRY, rel=0.01)
    assert facts["limit_bytes"] == 3_000_000_000
    assert cache.get({"kind": "features"}, never)[0]["features"].shape == (1000,)


def test_commands_keep_to_the_limit_that_they_are_given(folder: Path, class_folders: Path) -> None:
    command = ["check", str(class_folders), "--cache", str(folder), "--cache-limit", "1kB"]
    result = CliRunner().invoke(data, command)
    assert result.exit_code == 0, (result.output, result.exception)
    held = holdings(folder)
    assert held["pictures"].entries == 0
    assert held["facts"].entries > 1  # what it looked up itself was in use
