"""What others build on: the capsule of kernels, the header and the .pxd, with the examples of docs/c-api.md.

The slow tests build those examples against an installed wheel, as somebody else would.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stochcore as sc
from stochcore import _dispatch

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs" / "c-api.md"
ENGINES = ["philox", "ars", "ars10"]

Array = np.ndarray[Any, Any]


# ---- the capsule -----------------------------------------------------------------------------------------------------


class CStream(ctypes.Structure):
    _fields_ = [
        ("seed", ctypes.c_uint64),
        ("offset", ctypes.c_uint64),
        ("stream", ctypes.c_uint32),
        ("purpose", ctypes.c_uint32),
        ("engine", ctypes.c_uint32),
        ("antithetic", ctypes.c_uint32),
    ]


FILL = [ctypes.POINTER(CStream), ctypes.c_uint64, ctypes.c_ssize_t]
KINDS = ("uniform", "normal", "logistic", "exponential", "gumbel")
NAMES = ["bits32", "bits64", "k53", *(f"{kind}{bits}" for kind in KINDS for bits in (64, 32))]


def function(*more: Any) -> Any:
    return ctypes.CFUNCTYPE(None, *FILL, *more, ctypes.c_void_p)


class CNoise(ctypes.Structure):
    _fields_ = [
        ("version", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        *((name, function()) for name in NAMES),
        ("integers64", function(ctypes.c_uint64, ctypes.c_uint64)),
        ("integers32", function(ctypes.c_uint32, ctypes.c_uint64)),
        ("mask", function(ctypes.c_uint64)),
    ]


@pytest.fixture(scope="module")
def noise() -> CNoise:
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return CNoise.from_address(pointer(_dispatch.noise, b"stochcore._dispatch.noise"))


def drawn(noise: CNoise, name: str, stream: sc.Stream, first: int, out: Array, *more: int) -> bytes:
    c = CStream(stream.seed, stream.offset, stream.stream, 0, ENGINES.index(stream.engine), 0)
    getattr(noise, name)(ctypes.byref(c), first, out.size, *more, out.ctypes.data)
    return out.tobytes()


def test_the_capsule_is_the_table_of_the_header(noise: CNoise) -> None:
    header = (Path(sc.get_include()) / "stochcore.h").read_text()
    (version,) = re.findall(r"#define STOCHCORE_ABI_VERSION (\d+)", header)
    (struct,) = re.findall(r"typedef struct sc_noise \{(.*?)\} sc_noise;", header, flags=re.DOTALL)
    assert re.findall(r"\(\*(\w+)\)\(", struct) == [name for name, _ in CNoise._fields_][2:]
    assert (noise.version, noise.size) == (int(version), ctypes.sizeof(CNoise))
    assert _dispatch.noise is _dispatch.noise


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", [f"{kind}{bits}" for kind in (*KINDS, "bits") for bits in (64, 32)])
def test_kernels_have_the_bits_of_the_stream(noise: CNoise, name: str, engine: str) -> None:
    stream = sc.Stream(2**64 - 3, stream=2**32 - 5, engine=engine).at(17)
    dtype = ("uint" if name[:-2] == "bits" else "float") + name[-2:]
    whole = getattr(stream, name[:-2])(1000, dtype=dtype)
    assert drawn(noise, name, stream, 0, np.empty(1000, dtype)) == whole.tobytes()
    assert drawn(noise, name, stream, 333, np.empty(500, dtype)) == whole[333:833].tobytes()
    assert drawn(noise, name, stream, 333, np.empty(0, dtype)) == b""


@pytest.mark.parametrize("engine", ENGINES)
def test_integers_and_masks_have_the_bits_of_the_stream(noise: CNoise, engine: str) -> None:
    stream = sc.Stream(5, engine=engine)
    k = (stream.uniform(1000) * 2.0**53).astype(np.uint64)
    assert drawn(noise, "k53", stream, 0, np.empty(1000, np.uint64)) == k.tobytes()
    assert drawn(noise, "mask", stream, 0, np.empty(1000, np.uint8), 2**51) == (k < 2**51).tobytes()
    expected = stream.integers(10, 10 + 3 * 2**60, 1000, dtype=np.int64).astype(np.uint64)
    assert drawn(noise, "integers64", stream, 0, np.empty(1000, np.uint64), 10, 3 * 2**60) == expected.tobytes()
    expected = stream.integers(10, 10 + 3 * 2**28, 1000, dtype=np.int32).astype(np.uint32)
    assert drawn(noise, "integers32", stream, 0, np.empty(1000, np.uint32), 10, 3 * 2**28) == expected.tobytes()


def test_an_unknown_instruction_set_is_an_error_of_the_capsule_too() -> None:
    program = """
import ctypes, stochcore
load = ctypes.pythonapi.PyCapsule_Import
load.restype, load.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_int]
load(b"stochcore._dispatch.noise", 0)
"""
    environment = {**os.environ, "STOCHCORE_ISA": "sse9"}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode != 0
    assert "ValueError: STOCHCORE_ISA must be one of " in ran.stderr


def test_no_other_attribute_is_made_up() -> None:
    with pytest.raises(AttributeError, match=r"module 'stochcore._dispatch' has no attribute 'noises'"):
        _ = _dispatch.noises  # type: ignore[attr-defined]


# ---- the examples of docs/c-api.md -----------------------------------------------------------------------------------


def write_examples(folder: Path) -> None:
    """Each code block of the page that names its file in its first line."""
    if not DOCS.exists() or shutil.which("cc") is None:
        pytest.skip("needs the source tree and a C compiler `cc`")
    blocks = re.findall(r"^```\w+\n((?:/\*|#) ([\w.]+).*?)^```$", DOCS.read_text(), flags=re.DOTALL | re.MULTILINE)
    for text, name in blocks:
        (folder / name).write_text(text)
    assert {name for _, name in blocks} == {"in_c.c", "in_cython.pyx", "setup.py", "use.py", "alone.c"}


def python(folder: Path, installed: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python in `folder`, with the installed package and nothing of the source tree."""
    keep = {k: v for k, v in os.environ.items() if k not in ("LD_PRELOAD", "CC", "CFLAGS")}
    paths = {"PYTHONPATH": os.pathsep.join([str(installed), str(folder)]), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, *words]
    return subprocess.run(
        command, cwd=folder, env=keep | paths, capture_output=True, text=True, timeout=600, check=False
    )


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip put the wheel."""
    folder = tmp_path_factory.mktemp("installed")
    (wheel,) = dist.glob("stochcore-*.whl")
    options = ["--no-deps", "--no-index", "--disable-pip-version-check", "--target", str(folder)]
    done = python(folder, folder, "-m", "pip", "install", "-q", *options, str(wheel.resolve()))
    assert done.returncode == 0, done.stderr
    where = python(folder, folder, "-c", "import stochcore; print(stochcore.__file__)").stdout
    assert Path(where.strip()).is_relative_to(folder)
    return folder


@pytest.fixture(scope="module")
def built(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the examples, with both extensions."""
    folder = tmp_path_factory.mktemp("examples")
    write_examples(folder)
    done = python(folder, installed, "setup.py", "-q", "build_ext", "--inplace")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_the_examples_run(built: Path, installed: Path) -> None:
    done = python(built, installed, "use.py")
    assert done.returncode == 0, done.stderr


THREADS = """
import sys, threading, time
from concurrent.futures import ThreadPoolExecutor
import numpy as np, stochcore as sc, in_c, in_cython

with ThreadPoolExecutor(4) as pool:
    for engine, code in in_cython.ENGINES.items():
        for seed, number, first in ((0, 0, 0), (2**64 - 1, 2**32 - 1, 2**63 + 5), (123456789, 7, 2**34 - 50_000)):
            stream = sc.Stream(seed, stream=number, engine=engine).at(first)
            out = np.zeros(100_003)
            cuts = [0, 1, 7, 40_000, 77_777, out.size]
            pairs = list(zip(cuts, cuts[1:]))
            list(pool.map(lambda p: in_c.normal(seed, number, code, first + p[0], out[p[0] : p[1]]), pairs))
            assert out.tobytes() == stream.normal(out.size).tobytes(), (engine, seed)
            in_cython.logistic(stream, out)
            assert out.tobytes() == stream.logistic(out.size).tobytes(), (engine, seed)

# The GIL is free while a thread fills: this one goes on meanwhile.
big, times, span = np.empty(4_000_000), [], []

def fill():
    span.append(time.perf_counter())
    in_c.normal(1, 0, 1, 0, big)
    span.append(time.perf_counter())

for attempt in range(20):
    times.clear(), span.clear()
    thread = threading.Thread(target=fill)
    thread.start()
    while thread.is_alive():
        times.append(time.perf_counter())
        time.sleep(0.0005)
    start, end = span
    inside = [t for t in times if start + 0.2 * (end - start) < t < end - 0.2 * (end - start)]
    if len(inside) >= 2:
        break
else:
    sys.exit("the GIL was held")
"""


@pytest.mark.alone
@pytest.mark.slow
def test_threads_fill_without_the_gil(built: Path, installed: Path) -> None:
    done = python(built, installed, "-c", THREADS)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "#define STOCHCORE_ABI_VERSION 1",
            "#define STOCHCORE_ABI_VERSION 2",
            "this extension was built with version 2 of stochcore's C interface, the installed stochcore has "
            "version 1: build the extension again",
        ),
        (
            "} sc_noise;",
            "    void (*later)(void);\n} sc_noise;",
            "this extension was built with a newer stochcore.h than the installed stochcore has: upgrade it",
        ),
    ],
    ids=["version", "size"],
)
def test_another_interface_is_refused(installed: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    write_examples(tmp_path)
    header = (installed / "stochcore" / "include" / "stochcore.h").read_text()
    assert header.count(old) == 1
    (tmp_path / "stochcore.h").write_text(header.replace(old, new))
    setup = (tmp_path / "setup.py").read_text()
    (tmp_path / "setup.py").write_text(setup.replace("[stochcore.get_include()]", '["."]'))
    done = python(tmp_path, installed, "setup.py", "-q", "build_ext", "--inplace")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("in_c", "in_cython"):
        done = python(tmp_path, installed, "-c", f"import {name}")
        assert done.stderr.strip().splitlines()[-1] == f"ImportError: {message}"


STRICT = ["-O2", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]


@pytest.mark.slow
@pytest.mark.parametrize("flags", [[], ["-maes"]], ids=["plain", "aes"])
@pytest.mark.parametrize("language", ["c99", "c++17"])
def test_a_program_without_python(installed: Path, tmp_path: Path, language: str, flags: list[str]) -> None:
    write_examples(tmp_path)
    compiler = "c++" if language == "c++17" else "cc"
    cpu = Path("/proc/cpuinfo").read_text().split() if Path("/proc/cpuinfo").exists() else []
    if shutil.which(compiler) is None or (flags and (platform.machine() != "x86_64" or "aes" not in cpu)):
        pytest.skip(f"no {compiler} or no AES instructions")
    kind = ["-x", "c++"] if language == "c++17" else []
    include = f"-I{installed / 'stochcore' / 'include'}"
    command = [compiler, f"-std={language}", *STRICT, *flags, include, *kind, "alone.c", "-o", "alone"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for code, engine in enumerate(ENGINES):
        for seed, number, first in ((0, 0, 0), (2**64 - 1, 2**32 - 1, 2**63 + 5), (99, 3, 2**34 - 100)):
            words = [str(word) for word in (seed, number, code, first, 300)]
            out = subprocess.run([tmp_path / "alone", *words], stdout=subprocess.PIPE, text=True, check=True).stdout
            k, uniform = zip(*(line.split() for line in out.splitlines()), strict=True)
            expected = sc.Stream(seed, stream=number, engine=engine).at(first).uniform(300)
            assert [float.fromhex(u) for u in uniform] == expected.tolist()
            assert [int(word) for word in k] == [int(u * 2.0**53) for u in expected]
