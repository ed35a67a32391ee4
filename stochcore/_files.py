"""Files of arrays (.npz without pickles) that appear whole or not at all."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# What NumPy and zipfile raise on a file that is cut short, altered, or something else.
DAMAGES = (AttributeError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile, zlib.error)


def write_npz(path: Path, arrays: dict[str, Array]) -> None:
    """Write arrays beside `path`, then move the file there: nobody sees half of it."""
    whole = io.BytesIO()  # a zip file that breaks off half-way would have more to say when it is collected
    np.savez(whole, **arrays)  # type: ignore[arg-type]
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as file:
            file.write(whole.getbuffer())
            file.flush()
            os.fsync(file.fileno())  # before the name is: a machine that goes down leaves the old file or the new one
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def read_npz(path: Path) -> dict[str, Array]:
    """Read all arrays of a file.

    Raises ValueError where it is damaged or something else, OSError where it cannot be read.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except DAMAGES as error:
        raise ValueError(f"`path` must be a whole .npz file, got {str(path)!r}: {error}") from None
