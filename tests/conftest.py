"""One profile for hypothesis: the same examples in every run, no time limit on a busy machine. Room to measure time.

And the wheel.
"""

import contextlib
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# A shell that starts the tests in the background has them ignore Ctrl-C, and so would the programs that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Several workers (`pytest -n`) have more threads than there are cores: one without work sleeps, and does not spin.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")

settings.register_profile("stochcore", max_examples=50, deadline=None, derandomize=True, database=None)
settings.load_profile("stochcore")


TESTS = Path(__file__).resolve().parent


@contextlib.contextmanager
def held(folder: Path, how: str) -> Iterator[None]:
    """Hold the lock of a folder, which the system lets go of when the process dies."""
    import fcntl

    file = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(file, getattr(fcntl, how))
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)  # also for a child that a test has forked
        os.close(file)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """C programs for a processor that must be emulated here are slow tests."""
    here = {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    for item in items:
        isa = item.callspec.params.get("isa") if hasattr(item, "callspec") else None
        if isa == "emulated" or (isa == "neon" and here != "aarch64"):
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Of several workers (`pytest -n`), let one run a test marked `alone` only while the others run none."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return (yield)
    with contextlib.ExitStack() as room:
        with held(TESTS.parent, "LOCK_EX"):  # the door: nobody comes in while one waits for the room to be empty
            room.enter_context(held(TESTS, "LOCK_EX" if item.get_closest_marker("alone") else "LOCK_SH"))
        return (yield)


@pytest.fixture
def teams() -> Iterator[None]:
    """Several threads for the smallest step of a network."""
    from stochcore import _network

    before = _network.sums_a_unit(1e-9)
    yield
    _network.sums_a_unit(before)


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist and the wheel: those in STOCHCORE_DIST, or freshly built."""
    if "STOCHCORE_DIST" in os.environ:
        return Path(os.environ["STOCHCORE_DIST"])
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # the one that the workers have in common
    folder = root / "dist"
    with held(root, "LOCK_EX"):
        if not folder.exists():
            build_dist(root / "dist.part").rename(folder)
    return folder


def build_dist(folder: Path) -> Path:
    keep = {k: v for k, v in os.environ.items() if k not in ("LD_PRELOAD", "PYTHONPATH", "CC", "CFLAGS")}
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)],
        cwd=TESTS.parent,
        env={k: v for k, v in keep.items() if not k.startswith("STOCHCORE_")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder
