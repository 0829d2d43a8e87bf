"""Arrays out of an .npz file that nobody vouches for: no pickle, and no memory taken before it is known how much."""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.errors import BundleError

MAX_ARRAYS = 256
KINDS = frozenset("fiubU")
"""Of numbers and of text: whatever else numpy knows may hold more than it says."""


def unpacked(content: bytes, path: Path, limit: int) -> dict[str, NDArray[Any]]:
    """The arrays in `content`, which errors call `path`, by name; of `limit` bytes together at most.

    Raises:
        BundleError: it is no such file, or holds other than plain arrays, or more than that.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            if len(entries) > MAX_ARRAYS:
                raise BundleError(f"{path}: expected at most {MAX_ARRAYS} arrays, got {len(entries)}")
            total = sum(entry.file_size for entry in entries)
            if total > limit:
                raise BundleError(f"{path}: expected at most {limit} bytes unpacked, got {total}")
            return {entry.filename.removesuffix(".npy"): _array(archive, entry) for entry in entries}
    except BundleError:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise whatever they like on what is none
        said = ascii(str(error))[:200]  # it may quote the file
        raise BundleError(f"{path}: expected arrays in .npz form, got {said}; export the bundle again") from error


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[Any]:
    """One array, made only where its header and its file say the same."""
    with archive.open(entry) as file, warnings.catch_warnings():
        warnings.simplefilter("error")  # of headers that Python 2 wrote
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
        size = math.prod(shape) * dtype.itemsize
        if dtype.kind not in KINDS or min(shape, default=0) < 0 or len(shape) > 16 or size > entry.file_size:
            raise ValueError(f"{entry.filename} of {dtype} {shape} in {entry.file_size} bytes")
        values = np.frombuffer(file.read(size + 1), dtype)
        if dtype.kind == "U":
            values.tolist()  # numbers that are no characters are found here
        return values.reshape(shape, order="F" if fortran else "C")
