import gzip
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from stochcore.data import load_images

MNIST = Path(__file__).parents[2] / "shared" / "data" / "mnist"
IMAGES = np.random.default_rng(7).integers(0, 256, (12, 3, 5), dtype=np.uint8)


def idx(array, magic=None):
    """The bytes of an idx file."""
    return struct.pack(f">4B{array.ndim}I", *(magic or (0, 0, 8, array.ndim)), *array.shape) + array.tobytes()


def gz(content):
    """The bytes of a gzip file that says no time: tests are named after them, in each worker the same."""
    return gzip.compress(content, mtime=0)


def message_of(path):
    with pytest.raises(ValueError, match="`data` must be an image set") as caught:
        load_images(path)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    return text


def test_digits_are_split_as_the_peer_splits_them():
    datasets = pytest.importorskip("sklearn.datasets")
    everything = datasets.load_digits().data.astype(np.float32) / 16.0
    order = np.random.default_rng(0).permutation(len(everything))
    images = load_images("digits")
    assert images.shape == (8, 8)
    assert images.train.dtype == images.test.dtype == np.float32
    assert images.train.tobytes() == everything[order[:1500]].tobytes()
    assert images.test.tobytes() == everything[order[1500:]].tobytes()
    assert len(images.test) == 297


def test_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ModuleNotFoundError, match=r"not installed: pip install 'stochcore\[cli\]'"):
        load_images("digits")


@pytest.mark.parametrize("pack", [bytes, gz], ids=["plain", "gz"])
def test_idx_last_sixth_is_held_out(tmp_path, pack):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(pack(idx(IMAGES)))
    images = load_images(path)
    assert images.shape == (3, 5)
    pixels = IMAGES.reshape(12, 15).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(images.train, pixels[:10])
    np.testing.assert_array_equal(images.test, pixels[10:])
    assert images.train.flags.c_contiguous
    assert images.train.dtype == np.float32


def test_idx_sibling_is_held_out(tmp_path):
    (tmp_path / "train-images").write_bytes(idx(IMAGES))
    (tmp_path / "t10k-images").write_bytes(idx(IMAGES[:4]))
    images = load_images(str(tmp_path / "train-images"))
    assert (len(images.train), len(images.test)) == (12, 4)


def test_idx_siblings_must_agree(tmp_path):
    (tmp_path / "train-images").write_bytes(idx(IMAGES))
    (tmp_path / "t10k-images").write_bytes(idx(IMAGES[:, :, :4]))
    assert "(3, 5), images to test on (3, 4)" in message_of(tmp_path / "train-images")


def test_mnist():
    path = MNIST / "train-images-idx3-ubyte.gz"
    if not path.exists():
        pytest.skip(f"no MNIST at {path}")
    images = load_images(path)
    assert images.train.shape == (60000, 784)
    assert images.test.shape == (10000, 784)
    assert images.shape == (28, 28)
    assert images.train.min() == 0
    assert images.train.max() == 1
    assert images.train.mean(dtype=np.float64) == pytest.approx(0.1307, abs=1e-4)
    assert "labels" in message_of(MNIST / "train-labels-idx1-ubyte.gz")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty file"),
        (b"hello, world", "neither a NumPy archive"),
        (b"\x00", "neither a NumPy archive"),
        (idx(IMAGES)[:3], "starts with the bytes 00 00 08 03"),
        (idx(IMAGES)[:10], "truncated in its header"),
        (idx(IMAGES)[:-1], "promises 12 x 3 x 5 = 180 bytes, it holds 179: truncated"),
        (idx(IMAGES) + b"\x00", "it holds more"),
        (gz(idx(IMAGES))[:60], "truncated or damaged"),
        (gz(idx(IMAGES))[:-6], "truncated or damaged"),
        (gz(idx(IMAGES))[:5], "truncated or damaged"),
        (b"\x1f\x8bnonsense", "truncated or damaged"),
        (gz(b""), "starts with the bytes 00 00 08 03"),
        (gz(b"hello, world"), "starts with the bytes 00 00 08 03"),
        (idx(np.zeros(9, np.uint8)), "1 dimension(s), which is labels"),
        (idx(np.zeros((2, 2, 2, 2), np.uint8)), "4 dimension(s), which is other data"),
        (idx(IMAGES, (0, 0, 13, 3)), "starts with the bytes 00 00 08 03, this one with 00 00 0d 03"),
        (idx(IMAGES[:1]), "at least one image to train on and one to test on"),
        (idx(IMAGES[:0]), "at least one image to train on and one to test on"),
        (idx(IMAGES[:, :0]), "no pixels"),
        (struct.pack(">4B3I", 0, 0, 8, 3, *[2**32 - 1] * 3), "it holds 0: truncated"),
        (b"PK\x03\x04 and no more", "truncated or damaged"),
    ],
)
def test_files_that_are_no_image_sets(tmp_path, content, words):
    path = tmp_path / "data"
    path.write_bytes(content)
    assert words in message_of(path)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`data` must be .* got '.*gone': no such file"):
        load_images(tmp_path / "gone")
    with pytest.raises(ValueError, match="not a file"):
        load_images(tmp_path)
    with pytest.raises(ValueError, match="`data` must be"):
        load_images("x" * 5000)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(idx(IMAGES))
    path.chmod(0)
    assert "Permission denied" in message_of(path)


def saved(tmp_path, **arrays):
    path = tmp_path / "data.npz"
    np.savez_compressed(path, **arrays)
    return path


def test_npz_like_keras(tmp_path):
    keras = {"x_train": IMAGES, "y_train": np.arange(12), "x_test": IMAGES[:5], "y_test": np.arange(5)}
    images = load_images(saved(tmp_path, **keras))
    assert (len(images.train), len(images.test), images.shape) == (12, 5, (3, 5))
    pixels = IMAGES[:5].reshape(5, 15).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(images.test, pixels)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, bool])
def test_npz_one_array(tmp_path, dtype):
    pixels = (np.arange(12 * 16).reshape(12, 16) % 2).astype(dtype)
    images = load_images(saved(tmp_path, anything=pixels, labels=np.arange(12)))
    assert (images.train.shape, images.test.shape, images.shape) == ((10, 16), (2, 16), (4, 4))
    np.testing.assert_array_equal(np.concatenate([images.train, images.test]), pixels.astype(np.float32))
    assert images.train.dtype == np.float32


def test_npz_x_train_alone_and_a_shape_that_is_no_square(tmp_path):
    images = load_images(saved(tmp_path, x_train=np.zeros((6, 7)), other=np.zeros((3, 3))))
    assert (len(images.train), len(images.test), images.shape) == (5, 1, (1, 7))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({}, "it holds nothing"),
        ({"a": IMAGES, "b": IMAGES}, "it holds a (12, 3, 5), b (12, 3, 5)"),
        ({"labels": np.arange(3)}, "it holds labels (3,)"),
        ({"x_train": np.arange(3)}, "these have (3,)"),
        ({"a": np.zeros((2, 3, 3, 3))}, "these have (2, 3, 3, 3)"),
        ({"a": np.zeros((4, 4), dtype=np.int64)}, "these are int64"),
        ({"a": np.zeros((4, 4), dtype=complex)}, "these are complex128"),
        ({"a": np.eye(6, dtype=np.uint8)}, "no value is above 1; binary images are bool"),
        ({"a": np.full((4, 4), np.nan)}, "floats must lie in [0, 1], got nan at index (0, 0)"),
        ({"a": np.eye(6) * 2}, "floats must lie in [0, 1], got 2 at index (0, 0)"),
        ({"a": np.eye(6) - 1e-3}, "floats must lie in [0, 1], got -0.001 at index (0, 1)"),
        ({"a": np.array([[None]])}, "not an archive of plain arrays"),
        ({"x_train": IMAGES, "x_test": IMAGES[:, 1:]}, "(3, 5), images to test on (2, 5)"),
        ({"x_train": IMAGES, "x_test": IMAGES[:0]}, "at least one image"),
    ],
)
def test_archives_that_are_no_image_sets(tmp_path, arrays, words):
    assert words in message_of(saved(tmp_path, **arrays))


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.95])
def test_truncated_archive(tmp_path, keep):
    path = saved(tmp_path, x=np.random.default_rng(0).random((100, 64)))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    assert "truncated or damaged" in message_of(path)


def test_archive_with_a_flipped_byte(tmp_path):
    path = saved(tmp_path, x=np.random.default_rng(0).random((100, 64)))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    assert "truncated or damaged" in message_of(path)


def test_holding_out_takes_the_last_sixth_of_the_images_to_train_on():
    pytest.importorskip("sklearn")
    images = load_images("digits")
    part = images.holding_out()
    assert (len(part.train), len(part.held_out)) == (1250, 250)
    assert np.concatenate([part.train, part.held_out]).tobytes() == images.train.tobytes()
    assert part.test is images.test
    assert images.held_out is None
