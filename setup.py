"""Builds the extensions; all metadata is in pyproject.toml.

csrc/kernels.c is compiled once per instruction set and linked, with csrc/dispatch.c, into stochcore._dispatch
alone. Every other stochcore/_*.pyx becomes one extension; it reaches the kernels through _dispatch's table.

Environment:
    STOCHCORE_REQUIRE_OPENMP=1       no OpenMP is an error (otherwise: a warning and a serial build)
    STOCHCORE_NO_OPENMP=1            build serial on purpose
    STOCHCORE_WERROR=1               warnings in csrc are errors
    STOCHCORE_SANITIZE=1             AddressSanitizer and UndefinedBehaviorSanitizer
    STOCHCORE_BUILD_ISAS=avx2_vaes   these (and scalar) alone, of the instruction sets that the compiler can build
    STOCHCORE_TEST_EMULATE_AVX512=1  AVX-512 kernels on SIMDe, to test them on a CPU with AVX2 alone
"""

import os
import platform
import subprocess
import sys
import sysconfig
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CCompilerError, CompileError, ExecError, LinkError
from setuptools.modified import newer_group

PACKAGE = Path("stochcore")
CSRC = Path("csrc")
TRANSLATED = Path("build", "cython")
EMULATION = Path("tests", "emulate_avx512.h")
DISPATCH = "stochcore._dispatch"

# -ffp-contract=off and no fast-math: the same bits on every instruction set depend on it.
BASE_FLAGS = ["-std=c11", "-O3", "-g0", "-fno-fast-math", "-ffp-contract=off", "-fno-math-errno"]
BASE_FLAGS += ["-fvisibility=hidden"]
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow"]
SANITIZE_FLAGS = [
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=undefined",
    "-fno-omit-frame-pointer",
]
SANITIZE_FLAGS += ["-O1", "-g"]
AVX2 = ["-DSC_ISA_AVX2", "-mavx2", "-mfma", "-maes"]
AVX512 = ["-DSC_ISA_AVX512", "-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma", "-maes"]
AVX512 += ["-mprefer-vector-width=512"]
ISA_FLAGS = {
    "scalar": ["-DSC_ISA_SCALAR"],
    "avx2": AVX2,
    "avx2_vaes": [*AVX2, "-mvaes"],
    "avx512": AVX512,
    "avx512_vaes": [*AVX512, "-mvaes"],
    "neon": ["-DSC_ISA_NEON", "-march=armv8-a+crypto"],
}
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "autotestdict": False,
}

OPENMP_PROGRAM = """
#include <omp.h>
int main(void)
{
    int n = 0;
    #pragma omp parallel num_threads(2) reduction(+ : n)
    n += 1;
    return n >= 1 && omp_get_max_threads() >= 1 ? 0 : 1;
}
"""
X86_PROGRAM = """
#ifndef __x86_64__
#error "not x86-64"
#endif
#include <immintrin.h>
int main(void) { return 0; }
"""
AARCH64_PROGRAM = """
#if defined(__AARCH64EB__) || !(defined(__linux__) || defined(__APPLE__))
#error "words in the other order, or nothing that says which instructions the CPU has"
#endif
#include <arm_neon.h>
uint8x16_t probe(uint8x16_t x);
uint8x16_t probe(uint8x16_t x) { return vaesmcq_u8(vaeseq_u8(x, x)); }
int main(void) { return 0; }
"""
SIMDE_PROGRAM = """
#include <simde/x86/avx512.h>
int main(void) { return 0; }
"""


def wanted(name: str) -> bool:
    """Is the environment switch `name` on?"""
    return os.environ.get(name, "0") not in ("", "0")


class BuildExt(build_ext):
    """Adds the compiler probes, the kernels' objects and incremental builds in place."""

    def finalize_options(self) -> None:
        """Choose the folders and the number of jobs."""
        super().finalize_options()
        if self.parallel is None:
            self.parallel = os.cpu_count()
        if self.inplace:
            # pip's editable build would use throw-away folders, and so compile everything each time.
            self.build_temp = str(Path("build", "inplace", "temp"))
            self.build_lib = str(Path("build", "inplace", "lib"))

    def build_extensions(self) -> None:
        """Probe the compiler, translate the Cython, then build."""
        openmp = self.openmp_flags()
        sanitize = SANITIZE_FLAGS if wanted("STOCHCORE_SANITIZE") else []
        strict = [*WARNINGS, "-Werror"] if wanted("STOCHCORE_WERROR") else WARNINGS
        self.base_flags = BASE_FLAGS + sanitize
        self.own_flags = self.base_flags + strict
        isas = self.isa_flags()
        self.depends = [*header_files(), self.write_stamp([self.own_flags, openmp, isas])]
        # The same C for every variant of the build, so that it is translated once, and known to ccache.
        modules = cythonize(
            self.extensions, build_dir=str(TRANSLATED), compiler_directives=DIRECTIVES, force=self.force
        )
        sources = {module.name: module.sources for module in modules}
        for ext in self.extensions:
            ext.sources = sources[ext.name]
            ext.depends = [*header_files(kernels=False), self.depends[-1]]
            ext.extra_compile_args = self.base_flags + openmp
            ext.extra_link_args = sanitize + openmp
            if ext.name == DISPATCH:
                ext.extra_objects = self.compile_kernels(isas)
                ext.depends = [*ext.depends, *ext.extra_objects]
        super().build_extensions()

    def write_stamp(self, flags: list[object]) -> str:
        """Write down the compiler and its flags, in a file that changes only when they do."""
        text = repr([self.compiler.compiler_so, flags, DIRECTIVES])
        path = Path(self.build_temp, "flags.txt")
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return str(path)

    def compile_kernels(self, isas: dict[str, list[str]]) -> list[str]:
        """Compile kernels.c once per instruction set, and dispatch.c; return the objects."""
        jobs = [(CSRC / "kernels.c", isa, flags) for isa, flags in isas.items()]
        have = [f"-DSC_HAVE_{isa.upper()}" for isa in isas if isa != "scalar"]
        if "-DSC_EMULATE_AVX512" in isas.get("avx512", []):
            have.append("-DSC_EMULATE_AVX512")
        jobs.append((CSRC / "dispatch.c", "dispatch", have))
        with ThreadPoolExecutor(self.parallel) as pool:
            return list(pool.map(lambda job: self.compile_own(*job), jobs))

    def compile_own(self, source: Path, variant: str, flags: list[str]) -> str:
        """Compile one of our own C files under all warnings, unless its object is up to date."""
        folder = str(Path(self.build_temp, variant))
        (target,) = self.compiler.object_filenames([str(source)], output_dir=folder)
        if self.force or newer_group([str(source), *self.depends], target):
            self.compiler.compile(
                [str(source)],
                output_dir=folder,
                include_dirs=[str(CSRC), str(PACKAGE / "include")],
                extra_postargs=[*self.own_flags, *flags],
            )
        return target

    def isa_flags(self) -> dict[str, list[str]]:
        """Find the instruction sets that the compiler can build, with their flags."""
        found = {"scalar": ISA_FLAGS["scalar"]}
        program, isas = X86_PROGRAM, ["avx2", "avx2_vaes", "avx512", "avx512_vaes"]
        if self.target() in ("aarch64", "arm64"):
            program, isas = AARCH64_PROGRAM, ["neon"]
        for isa in isas:
            if self.compiles(program, ISA_FLAGS[isa]):
                found[isa] = ISA_FLAGS[isa]
        only = os.environ.get("STOCHCORE_BUILD_ISAS")
        if only:
            found = {isa: flags for isa, flags in found.items() if isa in ("scalar", *only.split(","))}
        if wanted("STOCHCORE_TEST_EMULATE_AVX512"):
            found.pop("avx512_vaes", None)
            if not self.compiles(SIMDE_PROGRAM, ISA_FLAGS["avx2"]):
                raise CompileError("STOCHCORE_TEST_EMULATE_AVX512=1 needs SIMDe (Debian: libsimde-dev)")
            # How 64-byte vectors are passed changed once; here no call that passes one leaves its file.
            found["avx512"] = ["-DSC_ISA_AVX512", "-DSC_EMULATE_AVX512", "-Wno-psabi", *AVX2[1:]]
        return found

    def target(self) -> str:
        """Name the processor that the compiler compiles for."""
        try:
            command = [*self.compiler.compiler_so, "-dumpmachine"]
            ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        except (OSError, subprocess.SubprocessError):
            return platform.machine()
        return ran.stdout.partition("-")[0]

    def openmp_flags(self) -> list[str]:
        """Return the flags for OpenMP, or none where it does not work."""
        if wanted("STOCHCORE_NO_OPENMP"):
            return []
        if self.compiles(OPENMP_PROGRAM, ["-fopenmp"], run=True):
            return ["-fopenmp"]
        message = f"OpenMP does not work with {self.compiler.compiler_so[0]} -fopenmp"
        if wanted("STOCHCORE_REQUIRE_OPENMP"):
            raise CompileError(f"{message}, and STOCHCORE_REQUIRE_OPENMP=1 asks for it")
        warnings.warn(f"{message}: stochcore will run on one thread", stacklevel=2)
        return []

    def compiles(self, program: str, flags: list[str], *, run: bool = False) -> bool:
        """Does the C program compile with these flags (and link, and run with status 0)?"""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text(program, encoding="utf-8")
            try:
                objects = self.compiler.compile([str(source)], output_dir=folder, extra_postargs=flags)
                if not run:
                    return True
                self.compiler.link_executable(objects, "probe", output_dir=folder, extra_postargs=flags)
                return subprocess.run([str(Path(folder, "probe"))], timeout=60, check=False).returncode == 0
            except (CCompilerError, ExecError, LinkError, OSError, subprocess.TimeoutExpired):
                return False


def header_files(*, kernels: bool = True) -> list[str]:
    """List the headers: all, or those that the extensions see, which are not the kernels' own."""
    headers = [*(CSRC.rglob("*.h") if kernels else CSRC.glob("*.h")), *PACKAGE.glob("include/*.h")]
    if wanted("STOCHCORE_TEST_EMULATE_AVX512"):
        headers.append(EMULATION)
    return sorted(map(str, headers))


def extensions() -> list[Extension]:
    """One extension for each stochcore/_*.pyx."""
    return [
        Extension(
            f"{PACKAGE}.{path.stem}",
            [path.as_posix()],
            include_dirs=[str(CSRC), str(PACKAGE / "include"), np.get_include()],
            define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
        )
        for path in sorted(PACKAGE.glob("_*.pyx"))
    ]


if sys.platform == "darwin" and sysconfig.get_platform().endswith("universal2") and "ARCHFLAGS" not in os.environ:
    # Python from python.org has everything compiled for both kinds of Mac at once, which share no instruction set but
    # scalar: compile for this kind alone, and call the wheel so.
    os.environ["ARCHFLAGS"] = f"-arch {platform.machine()}"
    oldest = "11.0" if platform.machine() == "arm64" else sysconfig.get_platform().split("-")[1]
    os.environ["_PYTHON_HOST_PLATFORM"] = f"macosx-{oldest}-{platform.machine()}"

setup(ext_modules=extensions(), cmdclass={"build_ext": BuildExt})
