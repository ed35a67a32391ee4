"""Streams into arrays that are given, from many threads, and after a fork."""

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from streams import KINDS, begins, draw, exactly, same

from stochcore import Stream


@pytest.mark.parametrize(("kind", "dtype"), KINDS)
def test_out_is_filled_and_returned(kind, dtype):
    s = Stream(8)
    empty = np.ones(1, dtype=dtype)[0]
    out = np.full((5, 7), empty)
    assert draw(s, kind, (5, 7), dtype=dtype, out=out) is out
    assert same(out, draw(s, kind, (5, 7), dtype=dtype))
    for shape in (None, (5, 7), [5, 7]):
        again = np.full((5, 7), empty)
        assert draw(s, kind, shape, dtype=dtype, out=again) is again
        assert same(again, out)
    buffer = np.full(40, empty)
    draw(s, kind, dtype=dtype, out=buffer[3:38])
    assert same(buffer[3:38], out.reshape(-1))
    assert np.all(buffer[[0, 1, 2, 38, 39]] == empty)  # and nothing beside it
    scalar = np.full((), empty)
    assert draw(s, kind, dtype=dtype, out=scalar) is scalar
    assert scalar == out[0, 0]


def test_out_without_a_shape_keeps_its_dtype():
    s = Stream(8)
    assert same(s.uniform(out=np.empty(9, np.float32)), s.uniform(9, dtype=np.float32))
    assert same(s.bits(out=np.empty(9, np.uint32)), s.bits(9, dtype=np.uint32))
    assert same(s.integers(9, out=np.empty(9, np.int32)), s.integers(9, shape=9, dtype=np.int32))
    assert same(s.uniform(out=np.empty(9, "=f8").view(np.ndarray)), s.uniform(9))


class Own(np.ndarray):
    """A subclass, as np.memmap is."""


def test_out_of_a_subclass():
    out = np.zeros(9).view(Own)
    assert Stream(8).normal(out=out) is out
    assert same(np.asarray(out), Stream(8).normal(9))


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        ([0.0] * 4, TypeError, "`out` must be a NumPy array, got [0.0, 0.0, 0.0, 0.0]"),
        (np.empty(4, np.float32), TypeError, "`out` must have dtype float64, got float32"),
        (np.empty(4, np.int64), TypeError, "`out` must have dtype float64, got int64"),
        (np.empty(4, ">f8"), TypeError, "`out` must have dtype float64, got >f8"),
        (np.empty(5), ValueError, "`out` must have shape (4,), got (5,)"),
        (np.empty((4, 1)), ValueError, "`out` must have shape (4,), got (4, 1)"),
        (np.empty(8)[::2], ValueError, "`out` must be C-contiguous, got strides (16,) for shape (4,)"),
    ],
)
def test_out_that_does_not_fit(out, error, message):
    with pytest.raises(error, match=exactly(message)):
        Stream(0).uniform(4, out=out)


def test_out_that_cannot_be_written():
    frozen = np.zeros(4)
    frozen.flags.writeable = False
    for shape in (None, 4):
        with pytest.raises(ValueError, match=exactly("`out` must be writable, got a read-only array")):
            Stream(0).normal(shape, out=frozen)
    assert not frozen.any()
    crooked = np.frombuffer(bytearray(33), dtype=np.float64, offset=1)
    with pytest.raises(ValueError, match=begins("`out` must be aligned in memory")):
        Stream(0).normal(out=crooked)
    turned = np.empty((3, 4)).T
    with pytest.raises(ValueError, match=begins("`out` must be C-contiguous")):
        Stream(0).normal((4, 3), out=turned)


def test_out_of_another_kind():
    for kind, wrong, right in (
        ("uniform", np.int32, "float64"),
        ("bits", np.int64, "uint64"),
        ("bits", np.float64, "uint64"),
        ("bernoulli_mask", np.uint8, "bool"),
        ("integers", np.int8, "int64"),
    ):
        with pytest.raises(TypeError, match=exactly(f"`out` must have dtype {right}, got {np.dtype(wrong)}")):
            draw(Stream(0), kind, dtype=right, out=np.empty(3, wrong))


@pytest.mark.parametrize("rows", [100, 2000])
def test_memory_mapped_out(tmp_path, rows):
    path = tmp_path / "noise.bin"
    out = np.memmap(path, dtype=np.float64, mode="w+", shape=(rows, 701))
    assert Stream(12).normal(out=out, n_threads=2) is out
    out.flush()
    assert path.read_bytes() == Stream(12).normal((rows, 701)).tobytes()
    frozen = np.memmap(path, dtype=np.float64, mode="r", shape=(rows, 701))
    with pytest.raises(ValueError, match=begins("`out` must be writable")):
        Stream(12).normal(out=frozen)


# Threads and processes.


def test_many_python_threads_at_once():
    sizes = (10, 3001, 100_001, 1_200_000)

    def work(i):
        kind, dtype = KINDS[i % len(KINDS)]
        noise = draw(Stream(i % 3), kind, sizes[i % 4], dtype=dtype, n_threads=1 + i % 3)
        return hashlib.sha256(noise.tobytes()).digest()

    jobs = range(3 * len(KINDS))
    alone = [work(i) for i in jobs]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, jobs)) == alone


FORK = """
import os, signal, sys, warnings
import stochcore as sc
warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads: what is tested here

def bits():
    s = sc.Stream(1)
    return s.normal(300_000, n_threads=2).tobytes() + s.uniform(2_000_000, n_threads=2).tobytes() + sc.Bernoulli(
        logits=[0.5]).sample(100_000, sc.Stream(2), n_threads=2).tobytes()

before = bits()  # starts the threads that a child does not inherit
for depth in range(2):  # a child, and a child of it
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        sys.exit(os.waitstatus_to_exitcode(status) or bits() != before)
    signal.alarm(30)  # ends a child that hangs
    if bits() != before:
        os._exit(3)
os._exit(0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_a_forked_child_has_the_same_bits():
    command = [sys.executable, "-c", FORK]
    done = subprocess.run(command, timeout=120, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
