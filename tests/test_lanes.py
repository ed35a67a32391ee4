"""The same bits on every instruction set: lanes_probe.c, compiled for each, prints equal lines."""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
CSRC = TESTS.parent / "csrc"
PROBE = TESTS / "lanes_probe.c"

FLAGS = ["-std=c11", "-O2", "-ffp-contract=off", f"-I{CSRC}"]
STRICT = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
AVX2 = ["-mavx2", "-mfma"]
AVX512 = ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma"]
ISA = {
    "scalar": ["-DSC_ISA_SCALAR"],
    "avx2": ["-DSC_ISA_AVX2", *AVX2],
    "avx512": ["-DSC_ISA_AVX512", *AVX512],
    "avx512, emulated": ["-DSC_ISA_AVX512", "-DSC_EMULATE_AVX512", "-Wno-psabi", "-fwrapv", *AVX2],
}

Probe = Callable[[str], dict[str, str]]

# A sanitizer that is preloaded into Python has no business in the compiler.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, env=ENVIRONMENT, check=False)


def need_x86(isa: str) -> None:
    if isa != "scalar" and platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip(f"{isa} lanes are for x86-64, this is {platform.machine()}")


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler `cc`")
    return tmp_path_factory.mktemp("lanes")


@pytest.fixture(scope="session")
def cpu_has(directory: Path) -> Callable[[list[str]], bool]:
    """Whether the CPU and the operating system support all of these features, given as compiler flags."""

    def has(flags: list[str]) -> bool:
        tests = " && ".join(f'__builtin_cpu_supports("{flag.removeprefix("-m")}")' for flag in flags)
        source = directory / "cpu.c"
        source.write_text(f"int main(void) {{ return !({tests}); }}\n")
        built = run("cc", source, "-o", directory / "cpu")
        return built.returncode == 0 and run(directory / "cpu").returncode == 0

    return has


@pytest.fixture(scope="session")
def probe(directory: Path) -> Probe:
    """The hash of each word under one instruction set."""

    @functools.cache
    def lines(isa: str) -> dict[str, str]:
        program = directory / f"probe-{isa}"
        built = run("cc", *FLAGS, *ISA[isa], PROBE, "-o", program, "-lm")
        assert built.returncode == 0, built.stderr
        ran = run(program)
        assert ran.returncode == 0, f"the probe for {isa} ended with {ran.returncode}: {ran.stderr}"
        return dict(line.split() for line in ran.stdout.splitlines())

    return lines


def differing(ours: dict[str, str], scalar: dict[str, str]) -> list[str]:
    return sorted(word for word in ours.keys() | scalar.keys() if ours.get(word) != scalar.get(word))


def test_avx2_has_the_bits_of_scalar(probe: Probe, cpu_has: Callable[[list[str]], bool]) -> None:
    need_x86("avx2")
    if not cpu_has(AVX2):
        pytest.skip("this CPU has no AVX2 with FMA")
    assert differing(probe("avx2"), probe("scalar")) == []


def test_avx512_has_the_bits_of_scalar(probe: Probe, cpu_has: Callable[[list[str]], bool]) -> None:
    need_x86("avx512")
    if not cpu_has(AVX512):
        pytest.skip("this CPU has no AVX-512; the emulated test runs its lanes")
    assert differing(probe("avx512"), probe("scalar")) == []


def test_emulated_avx512_has_the_bits_of_scalar(
    probe: Probe, cpu_has: Callable[[list[str]], bool], directory: Path
) -> None:
    need_x86("avx512")
    if not cpu_has(AVX2):
        pytest.skip("this CPU has no AVX2 with FMA, which the emulation of AVX-512 needs")
    source = directory / "simde.c"
    source.write_text("#include <simde/x86/avx512.h>\n")
    if run("cc", *AVX2, "-fsyntax-only", source).returncode != 0:
        pytest.skip("no SIMDe headers to emulate AVX-512 with (Debian: libsimde-dev)")
    assert differing(probe("avx512, emulated"), probe("scalar")) == []


def test_every_word_is_probed(probe: Probe) -> None:
    text = "".join((CSRC / "lanes" / name).read_text() for name in ("scalar.h", "lanes.h"))
    words = re.findall(r"^static inline \w+ (\w+?)_?\(", text, flags=re.MULTILINE)
    assert len(words) == len(set(words)) == text.count("static inline")
    assert set(words) == probe("scalar").keys()


@pytest.mark.parametrize("isa", ["scalar", "avx2", "avx512"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_compiles_without_warnings(compiler: str, isa: str, directory: Path) -> None:
    need_x86(isa)
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    unused = directory / "unused.c"
    unused.write_text('#include "lanes/lanes.h"\nint nothing;\n')
    for source in (unused, PROBE):
        built = run(compiler, *FLAGS, *STRICT, *ISA[isa], "-c", source, "-o", directory / "unused.o")
        assert built.returncode == 0, built.stderr
        assert built.stderr == ""
