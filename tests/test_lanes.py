"""The same bits on every instruction set: lanes_probe.c, compiled for each, prints equal lines."""

from __future__ import annotations

import functools
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from c_programs import BASE, CROSS, CSRC, ISA, STRICT, TESTS, build, family, machine, run

PROBE = TESTS / "lanes_probe.c"
REAL = [isa for isa in ISA if isa != "emulated"]

Probe = Callable[..., dict[str, str]]


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lanes")


@pytest.fixture(scope="session")
def probe(directory: Path) -> Probe:
    """The hash of each word under one instruction set; `target`: scalar, but on that family of processors."""

    @functools.cache
    def lines(isa: str, target: str | None = None) -> dict[str, str]:
        ran = run(*build(PROBE, directory / f"{isa}-{target}", isa, "-O2", target=target))
        assert ran.returncode == 0, f"the probe for {isa} ended with {ran.returncode}: {ran.stderr}"
        return dict(line.split() for line in ran.stdout.splitlines())

    return lines


def differing(ours: dict[str, str], scalar: dict[str, str]) -> list[str]:
    return sorted(word for word in ours.keys() | scalar.keys() if ours.get(word) != scalar.get(word))


@pytest.mark.parametrize("isa", [isa for isa in ISA if isa != "scalar"])
def test_the_bits_of_scalar(probe: Probe, isa: str) -> None:
    assert differing(probe(isa), probe("scalar")) == []


@pytest.mark.slow
def test_scalar_on_aarch64_has_the_bits_of_scalar(probe: Probe) -> None:
    if machine() == "aarch64":
        pytest.skip("this is the scalar of the other tests")
    assert differing(probe("scalar", "aarch64"), probe("scalar")) == []


def test_every_word_is_probed(probe: Probe) -> None:
    text = "".join((CSRC / "lanes" / name).read_text() for name in ("scalar.h", "lanes.h"))
    words = re.findall(r"^static inline \w+ (\w+?)_?\(", text, flags=re.MULTILINE)
    assert len(words) == len(set(words)) == text.count("static inline")
    assert set(words) == probe("scalar").keys()


@pytest.mark.slow
@pytest.mark.parametrize("isa", REAL)
@pytest.mark.parametrize("compiler", ["gcc", "clang", CROSS[0]])
def test_compiles_without_warnings(compiler: str, isa: str, directory: Path) -> None:
    target = "aarch64" if compiler == CROSS[0] else machine()
    if isa != "scalar" and family(isa) != target:
        pytest.skip(f"{isa} lanes are for {family(isa)}")
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    unused = directory / "unused.c"
    unused.write_text('#include "lanes/lanes.h"\nint nothing;\n')
    much = "-fsyntax-only" if compiler == "clang" else "-O2"  # gcc warns of some things while it optimises
    for source in (unused, PROBE):
        built = run(compiler, *BASE, much, *STRICT, *ISA[isa], "-c", source, "-o", directory / "unused.o")
        assert built.returncode == 0, built.stderr
        assert built.stderr == ""
