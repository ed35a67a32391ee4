"""The build: what it does without OpenMP, when it compiles again, and what the sdist and the wheel hold.

setup.py is tried on a stand-in for the package, a few lines long, so that each try takes seconds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import stochcore

ROOT = Path(__file__).resolve().parent.parent
STAND_IN = {
    "csrc/answer.h": "#define ANSWER 41\n",
    "csrc/kernels.c": """
#include "answer.h"
#ifdef SC_ISA_SCALAR
int answer(void);
int answer(void) { return ANSWER; }
#endif
""",
    "csrc/dispatch.c": "extern int answer(void);\n",
    "stochcore/__init__.py": "",
    "stochcore/_dispatch.pyx": '''
cdef extern from *:
    """
    int answer(void);
    #ifdef _OPENMP
    static const int has_openmp = 1;
    #else
    static const int has_openmp = 0;
    #endif
    """
    int c_answer "answer"()
    const int has_openmp

def report():
    return c_answer(), bool(has_openmp)
''',
}
NO_OPENMP = """#!/bin/sh
for word in "$@"; do
    if [ "$word" = -fopenmp ]; then echo "unknown option -fopenmp" >&2; exit 1; fi
done
exec cc "$@"
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    if not (ROOT / "setup.py").exists() or shutil.which("cc") is None:
        pytest.skip("needs the source tree and a C compiler `cc`")
    shutil.copy(ROOT / "setup.py", tmp_path)
    for name, text in STAND_IN.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    compiler = tmp_path / "no-openmp-cc"
    compiler.write_text(NO_OPENMP)
    compiler.chmod(0o755)
    return tmp_path


def run(tree: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the tree, with these environment variables in place of the STOCHCORE_* of this run."""
    keep = {k: v for k, v in os.environ.items() if k not in ("LD_PRELOAD", "PYTHONPATH", "CC", "CFLAGS")}
    keep = {k: v for k, v in keep.items() if not k.startswith("STOCHCORE_")}
    command = [sys.executable, *words]
    return subprocess.run(
        command, cwd=tree, env=keep | variables, capture_output=True, text=True, timeout=600, check=False
    )


def build(tree: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return run(tree, "setup.py", "build_ext", "--inplace", **variables)


def report(tree: Path) -> str:
    done = run(tree, "-c", "from stochcore import _dispatch; print(_dispatch.report())")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_build_that_was_asked_for_is_the_one_tested() -> None:
    wanted = os.environ.get("STOCHCORE_BUILD_UNDER_TEST", str(ROOT))
    assert Path(stochcore.__file__).is_relative_to(wanted)


def test_openmp_required_and_missing_is_an_error(tree: Path) -> None:
    done = build(tree, CC=str(tree / "no-openmp-cc"), STOCHCORE_REQUIRE_OPENMP="1")
    assert done.returncode != 0
    assert "no-openmp-cc -fopenmp, and STOCHCORE_REQUIRE_OPENMP=1 asks for it" in done.stderr
    assert not list(tree.glob("stochcore/*.so"))


@pytest.mark.slow
def test_openmp_missing_warns_and_builds_serial(tree: Path) -> None:
    done = build(tree, CC=str(tree / "no-openmp-cc"))
    assert done.returncode == 0, done.stderr
    assert "no-openmp-cc -fopenmp: stochcore will run on one thread" in done.stderr
    assert report(tree) == "(41, False)"


@pytest.mark.slow
def test_openmp_is_left_out_in_silence_when_asked(tree: Path) -> None:
    done = build(tree, STOCHCORE_NO_OPENMP="1", STOCHCORE_REQUIRE_OPENMP="0")
    assert done.returncode == 0, done.stderr
    assert "OpenMP" not in done.stderr
    assert report(tree) == "(41, False)"


@pytest.mark.slow
def test_a_changed_header_or_switch_compiles_again_and_nothing_else_does(tree: Path) -> None:
    assert build(tree).returncode == 0
    assert report(tree).startswith("(41,")

    objects = {path: path.stat().st_mtime_ns for path in tree.glob("build/**/*.o")}
    assert len(objects) >= 3
    assert build(tree).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in objects} == objects

    (tree / "csrc/answer.h").write_text("#define ANSWER 42\n")
    assert build(tree).returncode == 0
    assert report(tree).startswith("(42,")

    assert build(tree, STOCHCORE_NO_OPENMP="1").returncode == 0
    assert report(tree) == "(42, False)"


@pytest.mark.slow
def test_a_warning_in_our_c_is_an_error_when_asked(tree: Path) -> None:
    (tree / "csrc/dispatch.c").write_text("int answer(void);\nstatic int idle(long x) { return x; }\n")
    done = build(tree)
    assert done.returncode == 0, done.stderr
    assert "-Wconversion" in done.stderr
    done = build(tree, STOCHCORE_WERROR="1")
    assert done.returncode != 0
    assert "-Werror=conversion" in done.stderr


@pytest.mark.slow
def test_the_sdist_holds_what_builds_and_tests_it(dist: Path) -> None:
    (path,) = dist.glob("stochcore-*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for folder in ("csrc", "stochcore", "tests", "benchmarks"):
        sources = {p.relative_to(ROOT).as_posix() for p in (ROOT / folder).rglob("*.*")}
        sources = {name for name in sources if name.endswith((".c", ".h", ".py", ".pyx", ".pxd", ".pyi"))}
        assert sources - names == set()
    assert {"setup.py", "pyproject.toml", "Makefile", "README.md", "LICENSE", "stochcore/py.typed"} <= names
    assert not [name for name in names if name.endswith((".so", ".pyc", ".o"))]


@pytest.mark.slow
def test_the_wheel_holds_what_others_build_on_and_no_sources(dist: Path) -> None:
    (path,) = dist.glob("stochcore-*.whl")
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
    package = ROOT / "stochcore"
    wanted = [
        *package.glob("*.py"),
        *package.glob("*.pyi"),
        *package.glob("*.pxd"),
        *package.glob("include/*.h"),
    ]
    assert {p.relative_to(ROOT).as_posix() for p in wanted} - names == set()
    assert {"stochcore/py.typed", "stochcore/include/stochcore.h"} <= names
    for source in package.glob("_*.pyx"):
        assert [n for n in names if n.startswith(f"stochcore/{source.stem}.") and n.endswith(".so")], source
    assert not [n for n in names if n.endswith((".c", ".pyx", ".o")) or n.startswith(("tests", "csrc", "build"))]
    assert not [n for n in names if n.endswith(".h") and not n.startswith("stochcore/include/")]
