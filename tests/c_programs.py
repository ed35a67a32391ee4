"""C programs of the tests: compiled for one instruction set, and the command that runs them here; and libraries.

A program for AArch64 is cross-compiled and run by qemu where this machine is none (Debian: gcc-aarch64-linux-gnu,
libc6-dev-arm64-cross, qemu-user).
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import stochcore as sc

TESTS = Path(__file__).resolve().parent
CSRC = TESTS.parent / "csrc"

BASE = ["-std=c11", "-ffp-contract=off", f"-I{CSRC}", f"-I{TESTS.parent / 'stochcore' / 'include'}"]
STRICT = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
AVX2 = ["-mavx2", "-mfma", "-maes"]
AVX512 = [*AVX2, "-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl"]
ISA = {
    "scalar": ["-DSC_ISA_SCALAR"],
    "avx2": ["-DSC_ISA_AVX2", *AVX2],
    "avx2_vaes": ["-DSC_ISA_AVX2", *AVX2, "-mvaes"],
    "avx512": ["-DSC_ISA_AVX512", *AVX512],
    "avx512_vaes": ["-DSC_ISA_AVX512", *AVX512, "-mvaes"],
    # AVX-512 by SIMDe on any CPU with AVX2; its headers are not clean under our warnings.
    "emulated": ["-DSC_ISA_AVX512", "-DSC_EMULATE_AVX512", "-w", "-fwrapv", *AVX2],
    "neon": ["-DSC_ISA_NEON", "-march=armv8-a+crypto"],
}
SIMDE = Path("/usr/include/simde/x86/avx512.h")
CROSS = ("aarch64-linux-gnu-gcc", "qemu-aarch64")

# A sanitizer that is preloaded into Python has no business in the compiler.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}


def machine() -> str:
    """Name the processor's family: "x86_64", "aarch64" or another."""
    return {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())


def family(isa: str) -> str:
    """Name the family of processors that `isa` belongs to."""
    return {"scalar": machine(), "neon": "aarch64"}.get(isa, "x86_64")


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, env=ENVIRONMENT, check=False)


def tools(target: str) -> tuple[list[str], list[str]]:
    """Return the compiler for a family of processors, and what runs its programs; skip where there is none."""
    compiler, runner = (["cc"], []) if target == machine() else ([CROSS[0], "-static"], [CROSS[1]])
    if target not in (machine(), "aarch64"):
        pytest.skip(f"nothing here runs {target}, this is {machine()}")
    for tool in (compiler[0], *runner):
        if shutil.which(tool) is None:
            pytest.skip(f"no `{tool}`")
    return compiler, runner


def need(isa: str) -> None:
    """Skip where this CPU has not all of the instructions. (qemu has.)"""
    if isa == "scalar" or family(isa) != machine() or sys.platform == "darwin":
        return
    try:
        features = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        features = set()
    wanted = {"aes", "asimd"} if isa == "neon" else {flag[2:] for flag in ISA[isa] if flag.startswith("-m")}
    if not wanted <= features:
        pytest.skip(f"this CPU has no {', '.join(sorted(wanted - features))}")
    if isa == "emulated" and not SIMDE.exists():
        pytest.skip(f"no {SIMDE} to emulate AVX-512 with (Debian: libsimde-dev)")


def build(source: Path, program: Path, isa: str, *flags: str, target: str | None = None) -> list[str]:
    """Compile `source` for one instruction set (`target`: scalar, but on that family); return the command to run."""
    compiler, runner = tools(target or family(isa))
    need(isa)
    parts = program.with_suffix(".o")  # compiled, then linked: in one step, ccache would have nothing to keep
    for step in (("-c", source, "-o", parts), (parts, "-o", program, "-lm")):
        built = run(*compiler, *BASE, *ISA[isa], *flags, *step)
        assert built.returncode == 0, built.stderr
    return [*runner, str(program)]


def library(source: Path, folder: Path, *flags: str) -> Path:
    """Compile a program that needs nothing but stochcore.h to a shared library; return its path."""
    compiler, _ = tools(machine())
    target = folder / f"{source.stem}.so"
    command = [*compiler, "-std=c11", "-O2", "-ffp-contract=off", *STRICT, *flags, f"-I{sc.get_include()}"]
    built = run(*command, "-shared", "-fPIC", source, "-o", target, "-lm")
    assert built.returncode == 0, built.stderr
    return target


SETUP = """
import sys
from Cython.Build import cythonize
from setuptools import Extension, setup
name, *folders = sys.argv[1:]
one = Extension(name, [name + ".pyx"], include_dirs=folders, extra_compile_args=["-ffp-contract=off"])
setup(ext_modules=cythonize([one]), script_args=["-q", "build_ext", "--inplace"])
"""


def extension(text: str, name: str, folder: Path, *include: str) -> Any:
    """Build and import a module in Cython, as somebody would who has the package that is tested."""
    pytest.importorskip("Cython")
    (folder / f"{name}.pyx").write_text(text)
    keep = {k: v for k, v in ENVIRONMENT.items() if k not in ("CC", "CFLAGS", "PYTHONPATH")}
    paths = {"PYTHONPATH": str(Path(sc.__file__).parents[1]), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-c", SETUP, name, *include]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=keep | paths, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob(f"{name}.*.so")
    spec = importlib.util.spec_from_file_location(name, built)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
