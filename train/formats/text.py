"""Lists that people, spreadsheets and other systems wrote: their lines, and their cells, each with its number.

A byte order mark, Windows' line ends, blank lines, quotes and any of the usual separators are the same list. What is no
UTF-8 is an error: a name that was guessed at is the wrong name. What the cells mean is known by each format.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from stream.errors import ConfigError

SEPARATORS = ",;\t|"


@dataclass(frozen=True)
class Line:
    """A line of a list that is not blank.

    Attributes:
        file: of the list.
        number: from 1.
        text: without what surrounds it.
    """

    file: Path
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.number}"

    def error(self, what: str) -> ConfigError:
        """The error that says `what` is wrong here."""
        return ConfigError(f"{self}: {what}")


@dataclass(frozen=True)
class Table:
    """Rows of cells.

    Attributes:
        file: of the list.
        columns: names of the header in small letters; empty where there is no header.
        rows: each with the line that it stands on.
        header: the line of the header; None where there is none.
    """

    file: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[Line, tuple[str, ...]], ...]
    header: Line | None = None

    def text_of(self, column: int, values: Collection[str]) -> str:
        """The list with only those rows that have one of `values` in `column`, its header before them."""
        lines = [line.text for line, cells in self.rows if clean(cells[column]) in values]
        return text_of([self.header.text, *lines] if self.header else lines)


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 that says so by its mark.

    Raises:
        ConfigError: it cannot be read, or is in some other encoding.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; check the name") from None
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        found = f"byte 0x{content[error.start]:02x}"
        raise ConfigError(f"{path}, line {line}: expected text in UTF-8, got {found}; save the file as UTF-8") from None


def beginning(path: Path, size: int | None = 1000) -> str:
    """The first `size` bytes of a file, or all, as far as they are text; to recognise it by, not to read it."""
    with path.open("rb") as file:
        return file.read(-1 if size is None else size).decode("utf-8-sig", errors="replace").replace("\0", "")


def read_lines(path: Path) -> list[Line]:
    """The lines of a list that are not blank.

    Raises:
        ConfigError: it cannot be read, is no text, or all of it is blank.
    """
    numbered = enumerate(read_text(path).splitlines(), 1)
    lines = [Line(path, number, text.strip()) for number, text in numbered if text.strip(f" \t\0{SEPARATORS}")]
    if not lines:
        raise ConfigError(f"{path} is an empty list: expected one recording a line; fill it, or remove it")
    return lines


def read_table(path: Path, is_header: Callable[[frozenset[str]], bool]) -> Table:
    """The cells of a comma-separated list, or one with semicolons, tabs or bars.

    Args:
        path: of the list.
        is_header: whether cells, in small letters, are names of columns: a list may have no header.

    Raises:
        ConfigError: it cannot be read, is no text, or all of it is blank.
    """
    lines = read_lines(path)
    separator = max(SEPARATORS, key=re.sub(r'"[^"]*"', "", lines[0].text).count)
    rows = tuple((line, _cells(line, separator)) for line in lines)
    first = tuple(cell.lower() for cell in rows[0][1])
    return Table(path, first, rows[1:], lines[0]) if is_header(frozenset(first)) else Table(path, (), rows)


def text_of(lines: Iterable[str]) -> str:
    """Lines as a file holds them."""
    return "".join(f"{line}\n" for line in lines)


def clean(name: str) -> str:
    """A name out of a list as it is meant: without quotes and spaces around it, its separators those of POSIX."""
    name = name.strip().strip("\"'").strip().replace("\\", "/")
    return name.removeprefix("./")


def words(line: Line) -> Iterator[str]:
    """The words of a line; what stands in quotes is one."""
    for quoted, plain in re.findall(r"\"([^\"]*)\"|(\S+)", line.text):
        yield quoted or plain


def last_word(line: Line) -> tuple[str, str]:
    """What stands before the last word of a line, which may have spaces in it, and that word."""
    before, _, last = line.text.replace("\t", " ").rpartition(" ")
    return before.rstrip(), last


def stem(name: str) -> str:
    """The name of a listed file without folders and suffix."""
    return PurePosixPath(clean(name)).stem


def _cells(line: Line, separator: str) -> tuple[str, ...]:
    try:
        (cells,) = csv.reader([line.text], delimiter=separator, skipinitialspace=True, strict=True)
    except (csv.Error, ValueError) as error:
        raise line.error(f"expected cells with {separator!r} between them: {error}; correct it") from None
    return tuple(cell.strip() for cell in cells)
