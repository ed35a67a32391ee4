"""The same bits on every instruction set and for any number of threads, held by a file of hashes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stochcore import _dispatch

HERE = Path(__file__).parent


def hashes(isa, threads):
    run = subprocess.run(
        [sys.executable, str(HERE / "contract.py"), "--threads", str(threads)],
        env={**os.environ, "STOCHCORE_ISA": isa},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split() for line in run.stdout.splitlines())


BEST, *OTHERS = _dispatch.runnable()


@pytest.mark.parametrize(("isa", "threads"), [(BEST, 1), (BEST, 2), (BEST, 3), *((isa, 2) for isa in OTHERS)])
def test_hashes(isa, threads):
    want = dict(line.split() for line in (HERE / "contract.txt").read_text().splitlines())
    got = hashes(isa, threads)
    assert got.keys() == want.keys()
    assert [name for name in want if got[name] != want[name]] == []


def test_every_isa_of_this_cpu_is_tried():
    assert "scalar" in _dispatch.runnable()
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    if " avx2 " in flags and " fma " in flags:
        assert "avx2" in _dispatch.runnable()


@pytest.mark.parametrize("isa", ["sse9", "AVX2", "neon "])
def test_unknown_isa_is_refused(isa):
    run = subprocess.run(
        [sys.executable, "-c", "import stochcore as sc; sc.Stream(0).uniform(3)"],
        env={**os.environ, "STOCHCORE_ISA": isa},
        capture_output=True,
        text=True,
    )
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("ValueError: STOCHCORE_ISA must be one of ")
    assert repr(isa) in last
