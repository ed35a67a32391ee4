"""`stochcore.verify`: it is content with a good build, and notices each way in which a build can be wrong."""

import re
import subprocess
import sys

import numpy as np
import pytest
from command import HERE, LIMIT

from stochcore import Stream, _dispatch, _reference, battery, noise, verify


@pytest.fixture(scope="module")
def quick():
    calls = []
    return verify.run(quick=True, progress=lambda *call: calls.append(call)), calls


def test_a_good_build(quick):
    report, calls = quick
    assert report.ok, report.problems
    assert report.problems == []
    assert list(report.wrong) == _dispatch.runnable()
    assert list(report.p_values) == list(noise.ENGINES)
    n = len(noise.ENGINES) * len(battery.TESTS) * len(verify.WAYS)
    assert report.threshold == pytest.approx(1e-6 / n)
    for tests in report.p_values.values():
        assert list(tests) == list(battery.TESTS)
        assert all(list(ways) == list(verify.WAYS) for ways in tests.values())
    total = len(report.wrong) + len(noise.ENGINES) * len(verify.WAYS)
    assert [call[:2] for call in calls] == [(done, total) for done in range(total + 1)]


def test_the_report_is_a_table(quick):
    report, _ = quick
    lines = str(report).splitlines()
    for engine in noise.ENGINES:
        start = next(i for i, line in enumerate(lines) if line.startswith(f"{engine}, p-values"))
        assert re.split(" {2,}", lines[start])[1:] == list(verify.WAYS)
        for line, (test, ways) in zip(lines[start + 1 :], report.p_values[engine].items(), strict=False):
            assert line.startswith(test)
            assert [float(cell) for cell in line[32:].split()] == pytest.approx(list(ways.values()), abs=5.1e-5)
    p = [p for tests in report.p_values.values() for ways in tests.values() for p in ways.values()]
    assert f"{len(p)} p-values of 65,536 words each, seed 0: smallest {min(p):.1e} (" in lines[-2]
    assert lines[-1].startswith("OK: ")


def test_a_report_with_a_small_p_value():
    ways = dict.fromkeys(verify.WAYS, 0.5)
    wrong = {"scalar": {column: [] for column in verify.COLUMNS}}
    p_values = {"ars": {"gaps": {**ways, "seeds": 1e-12}, "collisions": {**ways, "along": 2e-7}}}
    report = verify.Report(wrong, p_values, 5, 1000)
    assert report.threshold == 1e-6 / 8
    assert not report.ok
    assert report.problems == ["ars, seeds: gaps has p = 1.0e-12"]
    text = str(report)
    assert "!1.0e-12" in text
    assert " 2.0e-07" in text
    assert text.splitlines()[-2:] == [
        "ars, seeds: gaps has p = 1.0e-12",
        "FAILED: this installation's noise is not what it should be",
    ]


# ---- the battery's directions ------------------------------------------------------------------------


def test_directions():
    n, engine, seed = 1 << 16, "philox", 2**64 - 100  # the seeds go round
    ways = dict(verify.directions(engine, seed, n))
    assert list(ways) == list(verify.WAYS)
    bits = {"dtype": np.uint64}
    assert np.array_equal(ways["along"], Stream(seed, engine=engine).bits(n, **bits))
    count = n // verify.PIECE
    for i in (0, 1, 99, 100, count - 1):
        near = Stream(seed, stream=i, engine=engine)
        far = Stream(seed, engine=engine).at(i * (2**64 // count))
        other = Stream((seed + i) % 2**64, engine=engine)
        for way, stream in zip(verify.WAYS[1:], (near, far, other), strict=True):
            assert np.array_equal(ways[way][i::count], stream.bits(verify.PIECE, **bits))


class Forgetful:
    """A Stream that forgets part of its address."""

    forgets = ""

    def __init__(self, seed, *, stream=0, engine="philox", offset=0):
        self.seed = 0 if self.forgets == "seeds" else seed
        self.stream = 0 if self.forgets == "streams" else stream
        self.engine, self.offset = engine, offset

    def at(self, offset):
        low = offset % 2**32 if self.forgets == "far apart" else offset
        return Forgetful(self.seed, stream=self.stream, engine=self.engine, offset=low)

    def bits(self, shape=None, *, dtype, out=None):
        stream = Stream(self.seed, stream=self.stream, engine=self.engine).at(self.offset)
        return stream.bits(shape, dtype=dtype, out=out)


@pytest.mark.parametrize("part", verify.WAYS[1:])
def test_the_battery_notices_a_forgotten_part_of_the_address(monkeypatch, part):
    monkeypatch.setattr(verify, "Stream", Forgetful)
    monkeypatch.setattr(Forgetful, "forgets", part)
    smallest = {way: min(battery.p_values(words).values()) for way, words in verify.directions("philox", 0, 1 << 16)}
    assert smallest.pop(part) < 1e-9
    assert min(smallest.values()) > 1e-6


# ---- known answers and hashes ------------------------------------------------------------------------


def test_published_answers():
    answers = verify.known_answers()
    assert {(name, rounds) for name, rounds, _, _ in answers} >= {("philox4x32", 10), ("ars4x32", 10)}
    assert len(answers) == 9
    assert verify.check_reference() == []


def test_published_answers_that_are_addresses():
    """The vector of zeros is block 0 of stream 0 of seed 0 itself."""
    engines = {own: name for name, own in _reference.ENGINES.items()}
    found = 0
    for name, rounds, given, expected in verify.known_answers():
        if not any(given) and (name, rounds) in engines:
            stream = Stream(0, engine=engines[name, rounds])
            assert (stream.bits(4, dtype=np.uint64) >> np.uint64(32)).tolist() == expected
            found += 1
    assert found == 2


def test_a_wrong_reference_is_noticed(monkeypatch):
    monkeypatch.setattr(_reference, "S_BOX", np.roll(_reference.S_BOX, 1))
    assert verify.check_reference() == ["ars4x32 of 10 rounds in NumPy misses a published answer"] * 3
    words = verify.check_words()
    assert "ars gives other words than the published function, from element 0 on" in words
    assert not [line for line in words if line.startswith("philox")]


def test_hashes_are_those_that_were_packaged():
    assert verify.hashes(1) == verify.packaged_hashes()
    assert max(n for *_, n in verify.ADDRESSES) > _dispatch.WORK_FOR_TEAM
    assert max(offset + n for _, _, offset, n in verify.ADDRESSES) == 2**64


def test_the_packaged_hashes_are_what_the_module_prints():
    command = [sys.executable, "-m", "stochcore.verify"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=True, cwd=HERE)
    printed = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())
    assert printed == verify.packaged_hashes()


def test_every_kind_of_every_engine_is_hashed():
    """A kind that a Stream learns later is hashed as well."""
    not_kinds = {"antithetic", "at", "spawn", "bit_generator"}
    kinds = {name for name in dir(Stream) if not name.startswith("_") and callable(getattr(Stream, name))}
    assert kinds - not_kinds == {kind.split(" ")[0] for kind in verify.KINDS}
    assert set(verify.packaged_hashes()) == {f"{e} {kind}" for e in noise.ENGINES for kind in verify.KINDS}


def test_other_hashes_are_noticed(monkeypatch):
    packaged = verify.packaged_hashes()
    name = next(iter(packaged))
    changed = {**packaged, name: "0" * 24, "dice float64": "1" * 24}
    monkeypatch.setattr(verify, "packaged_hashes", lambda: changed)
    isa = _dispatch.isa()
    wrong = verify.ask(isa)
    assert wrong["known answers"] == []
    for column in verify.COLUMNS[1:]:
        assert wrong[column] == [
            f"{isa}, {column}: {other} has other bits than were packaged" for other in sorted((name, "dice float64"))
        ]


def test_a_process_that_dies_is_noticed(monkeypatch):
    monkeypatch.setattr(verify, "CHILD", "import os; os.abort()")
    (line,) = verify.ask("scalar")["known answers"]
    assert line == "scalar: the process ended with status -6: without a word"
    monkeypatch.undo()
    (line,) = verify.ask("mmx")["known answers"]
    assert line.startswith("mmx: the process ended with status 1: ValueError: STOCHCORE_ISA must be one of ")


def test_a_process_that_ignores_the_instruction_set_is_noticed(monkeypatch):
    code = verify.CHILD.replace("from stochcore", "import os; os.environ['STOCHCORE_ISA'] = 'scalar'; from stochcore")
    monkeypatch.setattr(verify, "CHILD", code)
    best = _dispatch.runnable()[0]
    if best == "scalar":
        pytest.skip("this CPU has one instruction set")
    assert verify.ask(best)["known answers"] == [f"{best}: the process used scalar"]


def test_what_is_wrong_reaches_the_report(monkeypatch):
    monkeypatch.setattr(verify, "ask", lambda isa: {column: [f"{isa} {column}"] for column in verify.COLUMNS})
    monkeypatch.setattr(battery, "TESTS", {"equal": lambda x: 0.5})
    report = verify.run(quick=True, seed=9)
    assert not report.ok
    assert report.problems == [f"{isa} {column}" for isa in _dispatch.runnable() for column in verify.COLUMNS]
    assert str(report).count("WRONG") == len(report.problems)


@pytest.mark.parametrize(
    ("seed", "error", "message"),
    [
        (-1, ValueError, r"^`seed` must be in \[0, 2\^64 - 1\], got -1$"),
        ("1", TypeError, "^`seed` must be an integer, got '1'$"),
    ],
)
def test_bad_seed(seed, error, message):
    with pytest.raises(error, match=message):
        verify.run(seed=seed)
