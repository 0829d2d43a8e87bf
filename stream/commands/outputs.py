"""What a command may write to: files whose names say what is in them, each once, and never over what is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import click

STDOUT = Path("-")


def named(suffix: str) -> Callable[[click.Context, click.Parameter, Path | None], Path | None]:
    """An option's callback that refuses a file whose name does not end in `suffix`: it would hold what it does not say.

    Devices may be called as they like; stdout is refused: such a file is completed by going back to its beginning.
    """

    def check(_context: click.Context, _parameter: click.Parameter, path: Path | None) -> Path | None:
        if path is None or path.is_char_device():
            return path
        if path == STDOUT:
            raise click.BadParameter("expected the name of a file: a video cannot go to stdout")
        if path.suffix.lower() != suffix:
            raise click.BadParameter(f"expected a name that ends in {suffix}, got {path}; there is no other form")
        return path

    return check


def refuse_overlaps(sources: Sequence[str], outputs: Sequence[Path]) -> None:
    """Nothing, where each of `outputs` is a file of its own.

    Raises:
        ConfigError: a file would be written over a source, or twice.
    """
    from stream.errors import ConfigError

    taken = {Path(source).resolve() for source in sources}
    for path in outputs:
        if path.resolve() in taken and not path.is_char_device():  # /dev/null may be named as often as one likes
            raise ConfigError(f"{path}: this command reads or writes that file already; name another one")
        taken.add(path.resolve())
