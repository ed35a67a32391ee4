"""verify: does this installation make the noise it should, and does that look like noise?

Three parts. Known answers: the engines written out in NumPy (`_reference`) meet the published vectors, and every
instruction set that this CPU has gives the words of `_reference` at addresses all over the range. Hashes: every kind
of noise has the bits that were packaged with it, on every instruction set, on one thread and on two. Battery: the
tests of `battery` on the words of each engine, in four directions. The first two run in a process for each instruction
set.

`python -m stochcore.verify > stochcore/noise_hashes.txt` makes the hashes anew, after a change that is meant.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _check, _dispatch, _reference, battery
from .noise import ENGINES, Stream
from .version import __version__

__all__ = ["Report", "run"]

Array = NDArray[Any]

LIMIT = 1e-6  # the chance that the battery fails a perfect generator
WORDS, QUICK_WORDS = 1 << 20, 1 << 16  # for the battery, in each direction
PIECE = 64  # elements at a time where many streams are looked at
WAYS = ("along", "streams", "far apart", "seeds")  # in which neighbours are neighbours
THREADS = (1, 2)
COLUMNS = ("known answers", *(f"{n} thread{'s' * (n > 1)}" for n in THREADS))
# seed, stream, offset, and how many elements are hashed; only the first are enough work for a team of threads
ADDRESSES = (
    (0, 0, 0, 40_003),
    (2**64 - 1, 2**32 - 1, 4, 1003),
    (42, 1, 3, 1003),
    (0x0123456789ABCDEF, 7, 4 * (2**32 - 5) + 1, 1003),  # a carry between the counter's words
    (2**63, 2**31, 2**64 - 1003, 1003),  # to the end of the stream
)


def _floats(kind: str, dtype: type) -> Callable[[Stream, int, int], Array]:
    return lambda s, n, t: getattr(s, kind)(n, dtype=dtype, n_threads=t)


KINDS: dict[str, Callable[[Stream, int, int], Array]] = {
    "bits uint32": lambda s, n, t: s.bits(n, dtype=np.uint32, n_threads=t),
    "bits uint64": lambda s, n, t: s.bits(n, dtype=np.uint64, n_threads=t),
    **{
        f"{kind} {dtype.__name__}": _floats(kind, dtype)
        for kind in ("uniform", "normal", "logistic", "exponential", "gumbel")
        for dtype in (np.float64, np.float32)
    },
    # few in 2^32, few in 2^64, and ranges in which half of all words are drawn again
    "integers 6": lambda s, n, t: s.integers(1, 7, n, n_threads=t),
    "integers 10^12": lambda s, n, t: s.integers(-(10**12), 10**12, n, n_threads=t),
    "integers 2^31 + 1": lambda s, n, t: s.integers(0, 2**31 + 1, n, dtype=np.uint32, n_threads=t),
    "integers 2^63 + 1": lambda s, n, t: s.integers(0, 2**63 + 1, n, dtype=np.uint64, n_threads=t),
    "bernoulli_mask 0.3": lambda s, n, t: s.bernoulli_mask(0.3, n, n_threads=t),
}


def directions(engine: str, seed: int, n: int) -> Iterator[tuple[str, Array]]:
    """Give n words of an engine in each order in which the battery looks at them."""
    yield WAYS[0], Stream(seed, engine=engine).bits(n, dtype=np.uint64)
    count = n // PIECE
    far = 2**64 // count
    rows = np.empty((count, PIECE), dtype=np.uint64)
    streams: list[Callable[[int], Stream]] = [
        lambda i: Stream(seed, stream=i, engine=engine),
        lambda i: Stream(seed, engine=engine).at(i * far),
        lambda i: Stream((seed + i) % 2**64, engine=engine),
    ]
    for name, stream in zip(WAYS[1:], streams, strict=True):
        for i in range(count):
            stream(i).bits(dtype=np.uint64, out=rows[i])
        yield name, rows.T.reshape(-1)  # neighbours are of neighbouring streams, stretches or seeds


# ---- known answers and hashes ------------------------------------------------------------------------


def known_answers() -> list[tuple[str, int, list[int], list[int]]]:
    """Read the published vectors: function, rounds, counter and key, expected words."""
    lines = (files(__package__) / "known_answers.txt").read_text(encoding="ascii").splitlines()
    split = [line.split() for line in lines if line and not line.startswith("#")]
    return [
        (name, int(rounds), [int(word, 16) for word in words[:-4]], [int(word, 16) for word in words[-4:]])
        for name, rounds, *words in split
    ]


def check_reference() -> list[str]:
    """Hold the engines in NumPy against the published vectors; return what is wrong."""
    wrong = []
    for name, rounds, given, expected in known_answers():
        words = np.array(given, dtype=np.uint64)
        if _reference.FUNCTIONS[name](words[None, :4], words[4:], rounds)[0].tolist() != expected:
            wrong.append(f"{name} of {rounds} rounds in NumPy misses a published answer")
    return wrong


def check_words() -> list[str]:
    """Hold the kernels in use against the engines in NumPy; return what is wrong."""
    wrong = []
    for engine in ENGINES:
        for seed, stream, offset, n in ADDRESSES:
            elements = np.arange(n, dtype=np.uint64) + np.uint64(offset)
            words = Stream(seed, stream=stream, engine=engine).at(offset).bits(n, dtype=np.uint64)
            if not np.array_equal(words, _reference.bits64(engine, elements, seed=seed, stream=stream)):
                wrong.append(f"{engine} gives other words than the published function, from element {offset} on")
    return wrong


def hashes(n_threads: int) -> dict[str, str]:
    """Hash every kind of noise of every engine, at all addresses."""
    result = {}
    for engine in ENGINES:
        for kind, draw in KINDS.items():
            h = hashlib.blake2b(digest_size=12)
            for seed, stream, offset, n in ADDRESSES:
                array = draw(Stream(seed, stream=stream, engine=engine).at(offset), n, n_threads)
                h.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
            result[f"{engine} {kind}"] = h.hexdigest()
    return result


def packaged_hashes() -> dict[str, str]:
    """Read what the hashes must be."""
    text = (files(__package__) / "noise_hashes.txt").read_text(encoding="ascii")
    return {name: value for name, _, value in (line.rpartition(" ") for line in text.splitlines())}


def child() -> None:
    """Print, as JSON, what one instruction set gives; run by `ask`."""
    found = {str(n): hashes(n) for n in THREADS}
    print(json.dumps({"isa": _dispatch.isa(), "wrong": check_words(), "hashes": found}))


CHILD = "import sys; sys.path[:] = sys.argv[1:]; from stochcore import verify; verify.child()"


def ask(isa: str) -> dict[str, list[str]]:
    """Run `child` on one instruction set; return what is wrong with its words, and with each number of threads."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *sys.path],
        env={**os.environ, "STOCHCORE_ISA": isa},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    wrong: dict[str, list[str]] = {column: [] for column in COLUMNS}
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
        wrong[COLUMNS[0]].append(f"{isa}: the process ended with status {done.returncode}: {last}")
        return wrong
    answer = json.loads(done.stdout)
    if answer["isa"] != isa:
        wrong[COLUMNS[0]].append(f"{isa}: the process used {answer['isa']}")
    wrong[COLUMNS[0]] += [f"{isa}: {line}" for line in answer["wrong"]]
    expected = packaged_hashes()
    for column, found in zip(COLUMNS[1:], answer["hashes"].values(), strict=True):
        for name in sorted(expected.keys() | found.keys()):
            if found.get(name) != expected.get(name):
                wrong[column].append(f"{isa}, {column}: {name} has other bits than were packaged")
    return wrong


# ---- all together ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Report:
    """What `run` found.

    Attributes
    ----------
    wrong : dict
        For each instruction set and each column of its table, what is wrong, in words; empty lists where all is well.
    p_values : dict
        By engine, test and direction.
    seed, n_words : int
        Of the battery.
    """

    wrong: dict[str, dict[str, list[str]]]
    p_values: dict[str, dict[str, dict[str, float]]]
    seed: int
    n_words: int

    @property
    def threshold(self) -> float:
        """Below it, a p-value is a failure: 10^-6, divided by how many p-values there are."""
        return LIMIT / max(1, len(self._all()))

    @property
    def problems(self) -> list[str]:
        """What is wrong, in words."""
        lines = [line for columns in self.wrong.values() for column in columns.values() for line in column]
        for p, engine, test, way in self._all():
            if p < self.threshold:
                lines.append(f"{engine}, {way}: {test} has p = {p:.1e}")
        return lines

    @property
    def ok(self) -> bool:
        """Is all well?"""
        return not self.problems

    def _all(self) -> list[tuple[float, str, str, str]]:
        return [
            (p, engine, test, way)
            for engine, tests in self.p_values.items()
            for test, ways in tests.items()
            for way, p in ways.items()
        ]

    def __str__(self) -> str:
        lines = [f"stochcore {__version__}", ""]
        lines.append(f"{'instruction set':<24}" + "".join(f"{column:>15}" for column in COLUMNS))
        for isa, columns in self.wrong.items():
            lines.append(f"{isa:<24}" + "".join(f"{'WRONG' if found else 'right':>15}" for found in columns.values()))
        for engine, tests in self.p_values.items():
            lines += ["", f"{engine + ', p-values':<32}" + "".join(f"{way:>11}" for way in WAYS)]
            for test, values in tests.items():
                lines.append(f"{test:<32}" + "".join(f"{self._cell(values[way]):>11}" for way in WAYS))
        lines += ["", *self._verdict()]
        return "\n".join(lines)

    def _cell(self, p: float) -> str:
        mark = "!" if p < self.threshold else ""
        return mark + (f"{p:.4f}" if p >= 1e-4 else f"{p:.1e}")

    def _verdict(self) -> list[str]:
        p, engine, test, way = min(self._all())
        smallest = f"smallest {p:.1e} ({engine}, {way}: {test}), a failure is below {self.threshold:.0e}"
        lines = [f"{len(self._all())} p-values of {self.n_words:,} words each, seed {self.seed}: {smallest}"]
        if self.ok:
            return [
                *lines,
                "OK: the right bits on every instruction set and number of threads, and no p-value too small",
            ]
        return [*lines, *self.problems, "FAILED: this installation's noise is not what it should be"]


def run(*, quick: bool = False, seed: int = 0, progress: Callable[[int, int, str], object] | None = None) -> Report:
    """Check the noise of this installation: known answers, hashes, and a quick battery of statistical tests.

    Known answers and hashes are checked on every instruction set that this CPU has. The battery looks at each
    engine's 64-bit words along one stream, across neighbouring streams, across elements that lie far apart in one
    stream, and across neighbouring seeds. With the seed given, the result is always the same.

    Parameters
    ----------
    quick : bool
        Give the battery fewer words: a few seconds instead of some twenty.
    seed : int
        Of the streams in the battery, 0 .. 2^64 - 1.
    progress : callable, optional
        Called as progress(done, total, name of what comes next).

    Returns
    -------
    Report
        ``report.ok`` is the verdict, ``print(report)`` shows all.

    Raises
    ------
    TypeError, ValueError
        A seed that is not an integer of that range.

    Examples
    --------
    >>> from stochcore import verify
    >>> verify.run(quick=True).ok  # doctest: +SKIP
    True
    """
    seed = _check.integer("seed", seed, 0, 2**64 - 1)
    n = QUICK_WORDS if quick else WORDS
    sets = _dispatch.runnable()
    total = len(sets) + len(WAYS) * len(ENGINES)
    say = progress or (lambda *_: None)
    wrong: dict[str, dict[str, list[str]]] = {}
    for isa in sets:
        say(len(wrong), total, isa)
        wrong[isa] = ask(isa)
    wrong[sets[0]][COLUMNS[0]] += check_reference()
    p_values: dict[str, dict[str, dict[str, float]]] = {}
    done = len(sets)
    for engine in ENGINES:
        tests = p_values.setdefault(engine, {name: {} for name in battery.TESTS})
        for way, words in directions(engine, seed, n):
            say(done, total, f"{engine}, {way}")
            for name, p in battery.p_values(words).items():
                tests[name][way] = p
            done += 1
    say(done, total, "")
    return Report(wrong, p_values, seed, n)


if __name__ == "__main__":
    for name, value in hashes(1).items():
        print(name, value)
