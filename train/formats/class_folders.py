"""Class folders of clips: wave/1.mp4, clap/1.mp4."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from stream.errors import ConfigError
from train.formats.files import VIDEOS, folders_of, videos_of
from train.formats.found import Format, Found, Wanted
from train.recordings import Recording


def recognises(path: Path) -> bool:
    """True for any folder: what nothing else recognises is read, or refused, as class folders."""
    return path.is_dir()


def read(root: Path, wanted: Wanted) -> Found:
    """Every video of every folder in `root`.

    Raises:
        ConfigError: nothing in it, or a folder without a video.
    """
    recordings = []
    for folder in folders_of(root):
        videos = videos_of(folder)
        if not videos:
            raise ConfigError(
                f"class folder {folder} holds no video: expected {', '.join(sorted(VIDEOS))}, or pictures; "
                "add clips or remove it"
            )
        for path in videos:
            group = wanted.group_of(path.name, f"{folder.name}/{path.name}")
            recordings.append(Recording(path, group, folder.name))
    if not recordings:
        raise ConfigError(
            f"{root} is empty: expected class folders of clips ({root.name}/wave/1.mp4), lists of clips, or streams "
            "with annotations.json"
        )
    return Found(root, tuple(recordings))


def narrowed(root: Path, labels: Collection[str]) -> dict[Path, str]:
    """Nothing: folders are their own lists."""
    return {}


FORMAT = Format("class folders of clips", recognises, read, narrowed)
