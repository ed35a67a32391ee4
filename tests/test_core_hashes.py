"""The C core without Python: core_hashes.c prints core_hashes.txt; slow tests: on every instruction set and AArch64.

After a change that is meant to change bits: `python tests/test_core_hashes.py > tests/core_hashes.txt`, and a line in
CHANGELOG.md.
"""

from __future__ import annotations

import functools
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from c_programs import BASE, CSRC, ISA, STRICT, TESTS, family, need, run, tools

WANT = TESTS / "core_hashes.txt"


def runs_here(isa: str) -> bool:
    try:
        need(isa)
    except pytest.skip.Exception:
        return False
    return True


def instruction_sets(target: str) -> list[str]:
    """All of a family that can be run; without a family scalar alone, with this machine's compiler."""
    return [isa for isa in ISA if isa == "scalar" or (family(isa) == target and isa != "emulated" and runs_here(isa))]


def compile_core(directory: Path, target: str) -> list[str]:
    """Compile the core with every instruction set of a family; return the command."""
    compiler, runner = tools(target or family("scalar"))
    isas = instruction_sets(target)
    flags = [*BASE, "-O1" if target else "-O0", "-fno-math-errno", *STRICT]

    def kernels(isa: str) -> Path:
        built = run(*compiler, *flags, *ISA[isa], "-c", CSRC / "kernels.c", "-o", directory / f"{isa}.o")
        assert built.returncode == 0, built.stderr
        return directory / f"{isa}.o"

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(kernels, isas))
    have = [f"-DSC_HAVE_{isa.upper()}" for isa in isas]
    sources = [TESTS / "core_hashes.c", CSRC / "dispatch.c"]
    built = run(*compiler, *flags, *have, *sources, *objects, "-o", directory / "core", "-lm")
    assert built.returncode == 0, built.stderr
    return [*runner, str(directory / "core")]


def hashes(program: list[str], isa: str) -> dict[str, str]:
    ran = run(*program, isa)
    assert ran.returncode == 0, f"{isa}: {ran.returncode} {ran.stderr}"
    return dict(line.split() for line in ran.stdout.splitlines())


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[str]]:
    return functools.cache(lambda target: compile_core(tmp_path_factory.mktemp(target or "scalar"), target))


@pytest.mark.parametrize(
    "target", ["", pytest.param("x86_64", marks=pytest.mark.slow), pytest.param("aarch64", marks=pytest.mark.slow)]
)
def test_core_hashes(target: str, core: Callable[[str], list[str]]) -> None:
    want = dict(line.split() for line in WANT.read_text().splitlines())
    program = core(target)
    isas = run(*program).stdout.split()
    assert "scalar" in isas
    assert target != "aarch64" or "neon" in isas
    for isa in isas:
        got = hashes(program, isa)
        assert got.keys() == want.keys()
        assert [name for name in want if got[name] != want[name]] == [], isa


def test_an_unknown_name_is_refused(core: Callable[[str], list[str]]) -> None:
    ran = run(*core(""), "sse9")
    assert ran.returncode == 2
    assert "sse9" in ran.stderr


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        sys.stdout.write(run(*compile_core(Path(folder), family("scalar")), "scalar").stdout)
