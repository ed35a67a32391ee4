"""Sets of grey images for the command line: scikit-learn's digits, NumPy archives and idx files.

Every reader checks what it reads and says in one line what is wrong; nothing is unpickled.
"""

from __future__ import annotations

import gzip
import math
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

__all__ = ["Images", "load_images"]

GZIP, ZIP = b"\x1f\x8b", b"PK"
IDX_UBYTE = b"\x00\x00\x08"  # then one byte: the number of dimensions
CHUNK = 1 << 24


@dataclass(frozen=True)
class Images:
    """Images to train on and to test on, float32 in [0, 1], one flattened image a row; others that are held out."""

    name: str
    train: NDArray[np.float32]
    test: NDArray[np.float32]
    shape: tuple[int, int]
    held_out: NDArray[np.float32] | None = None

    def holding_out(self) -> Images:
        """Return the same images with the last sixth of those to train on held out: of MNIST the usual 10,000.

        Raises
        ------
        ValueError
            If nothing would be left.
        """
        n_train = _most(self.train)
        if not n_train:
            raise ValueError("`data` must have at least 2 images to train on to hold some out, got 1")
        return replace(self, train=self.train[:n_train], held_out=self.train[n_train:])


def _most(images: NDArray[np.generic]) -> int:
    """Return how many images are left when the last sixth is taken away."""
    return len(images) * 5 // 6


def load_images(data: str | Path) -> Images:
    """Load a set of grey images.

    Parameters
    ----------
    data : str or Path
        One of

        ``"digits"``
            The 1,797 digits of 8 by 8 pixels that come with scikit-learn, pixels / 16, split at random,
            always alike: 1,500 to train, 297 to test.
        a NumPy archive (.npz)
            With the arrays ``x_train`` and ``x_test``, as in Keras' ``mnist.npz``; or with one array of
            images under any name (labels and other arrays of one dimension are passed over), of which the
            first five sixths train. Images are ``(n, height, width)`` or ``(n, pixels)``; uint8 stands for
            value / 255, bool for 0 and 1, floats must lie in [0, 1].
        an idx file of unsigned bytes (MNIST's format), plain or gzipped
            Value / 255. The file to test on is the one with ``t10k`` in place of ``train`` in its name, if
            it lies beside it; otherwise the last sixth of the images.

    Returns
    -------
    Images
        With ``train`` and ``test``, float32 of shape ``(n, pixels)``, and the ``shape`` of one image.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModuleNotFoundError
        If ``"digits"`` is asked for and scikit-learn is not installed.
    ValueError
        If the file is damaged or holds no images.
    """
    if str(data) == "digits":
        return _digits()
    path = Path(data)
    try:
        arrays = _read(path)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"`data` must be 'digits' or a file with images, got {str(data)!r}: no such file"
        ) from None
    except (EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile) as error:
        raise _bad(path, f"truncated or damaged ({error})") from None
    except OSError as error:
        raise _bad(path, error.strerror or str(error)) from None
    train, test = (_pixels(path, array) for array in _split(path, arrays))
    if train.shape[1:] != test.shape[1:]:
        raise _bad(path, f"images to train on are {train.shape[1:]}, images to test on {test.shape[1:]}")
    return Images(path.name, _flat(train), _flat(test), _image_shape(train.shape[1:]))


def _digits() -> Images:
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "`data` digits comes with scikit-learn, which is not installed: pip install 'stochcore[cli]'"
        ) from None
    pixels = load_digits().data.astype(np.float32) / np.float32(16)
    order = np.random.default_rng(0).permutation(len(pixels))
    return Images("digits", pixels[order[:1500]], pixels[order[1500:]], (8, 8))


def _bad(path: Path, why: str) -> ValueError:
    return ValueError(f"`data` must be an image set, got {str(path)!r}: {why}")


def _read(path: Path) -> list[NDArray[np.generic]]:
    """Return the images to train on and those to test on, or one array that still wants splitting."""
    if path.exists() and not path.is_file():
        raise _bad(path, "not a file")
    with path.open("rb") as file:
        start = file.read(2)
    if start == ZIP:
        return _read_npz(path)
    if start in (GZIP, IDX_UBYTE[:2]):
        arrays: list[NDArray[np.generic]] = [_read_idx(path)]
        sibling = path.with_name(path.name.replace("train", "t10k"))
        if sibling.name != path.name and sibling.is_file():
            arrays.append(_read_idx(sibling))
        return arrays
    raise _bad(path, "empty file" if not start else "neither a NumPy archive (.npz) nor an idx file")


def _read_npz(path: Path) -> list[NDArray[np.generic]]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            names = [name for name in ("x_train", "x_test") if name in archive.files]
            if "x_train" in names:
                return [archive[name] for name in names]
            arrays = {name: archive[name] for name in archive.files}
    except ValueError as error:
        raise _bad(path, f"not an archive of plain arrays ({error})") from None
    images = [array for array in arrays.values() if array.ndim > 1]
    if len(images) != 1:
        found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "nothing"
        raise _bad(path, f"it should hold x_train and x_test, or one array of images; it holds {found}")
    return images


def _read_idx(path: Path) -> NDArray[np.uint8]:
    with path.open("rb") as raw:
        packed = raw.read(2) == GZIP
        raw.seek(0)
        file = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if packed else raw
        magic = file.read(4)
        if magic[:3] != IDX_UBYTE or len(magic) < 4:
            raise _bad(
                path,
                f"an idx file of images starts with the bytes 00 00 08 03, this one with {magic.hex(' ')}",
            )
        if magic[3] not in (2, 3):
            what = "labels" if magic[3] == 1 else "other data"
            raise _bad(path, f"an idx file of {magic[3]} dimension(s), which is {what}; images have 3, or 2 if flat")
        header = file.read(4 * magic[3])
        if len(header) < 4 * magic[3]:
            raise _bad(path, "truncated in its header")
        shape = [int(size) for size in np.frombuffer(header, dtype=">u4")]
        pixels = _read_up_to(file, math.prod(shape) + 1)
    sizes = " x ".join(map(str, shape))
    if len(pixels) != math.prod(shape):
        much = "more" if len(pixels) > math.prod(shape) else f"{len(pixels):,}: truncated"
        raise _bad(path, f"its header promises {sizes} = {math.prod(shape):,} bytes, it holds {much}")
    return np.frombuffer(pixels, dtype=np.uint8).reshape(shape)


def _read_up_to(file: BinaryIO, size: int) -> bytearray:
    """Read at most `size` bytes; memory follows what is there, not what a header says."""
    found = bytearray()
    while len(found) < size and (chunk := file.read(min(CHUNK, size - len(found)))):
        found += chunk
    return found


def _split(path: Path, arrays: list[NDArray[np.generic]]) -> list[NDArray[np.generic]]:
    for array in arrays:
        if array.ndim not in (2, 3):
            raise _bad(path, f"images have the shape (n, height, width) or (n, pixels), these have {array.shape}")
        if math.prod(array.shape[1:]) == 0:
            raise _bad(path, f"its images have no pixels: the shape is {array.shape}")
    if len(arrays) == 1:
        (images,) = arrays
        n_train = _most(images)
        arrays = [images[:n_train], images[n_train:]]
    if min(len(array) for array in arrays) == 0:
        raise _bad(path, "at least one image to train on and one to test on are needed, it holds too few")
    return arrays


def _pixels(path: Path, images: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return the same images as float32 in [0, 1]."""
    if images.dtype == np.uint8:
        if images.max() == 1:
            raise _bad(path, "uint8 stands for value / 255, and no value is above 1; binary images are bool")
        return images.astype(np.float32) / np.float32(255)
    if images.dtype != np.bool_ and not np.issubdtype(images.dtype, np.floating):
        raise _bad(path, f"pixels must be uint8, bool or floats in [0, 1], these are {images.dtype}")
    pixels = images.astype(np.float32)
    outside = ~((pixels >= 0) & (pixels <= 1))  # NaN is outside too
    if outside.any():
        index = tuple(int(i) for i in np.argwhere(outside)[0])
        raise _bad(path, f"floats must lie in [0, 1], got {pixels[index]:g} at index {index}")
    return pixels


def _flat(images: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(images.reshape(len(images), -1))


def _image_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width: those given, or a square, or else one line."""
    if len(shape) == 2:
        return (shape[0], shape[1])
    side = math.isqrt(shape[0])
    return (side, side) if side * side == shape[0] else (1, shape[0])
