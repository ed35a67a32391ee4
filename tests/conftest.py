"""One profile for hypothesis: the same examples in every run, no time limit on a busy machine. And the wheel."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# A shell that starts the tests in the background has them ignore Ctrl-C, and so would the programs that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("stochcore", max_examples=50, deadline=None, derandomize=True, database=None)
settings.load_profile("stochcore")


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist and the wheel: those in STOCHCORE_DIST, or freshly built."""
    if "STOCHCORE_DIST" in os.environ:
        return Path(os.environ["STOCHCORE_DIST"])
    folder = tmp_path_factory.mktemp("dist")
    keep = {k: v for k, v in os.environ.items() if k not in ("LD_PRELOAD", "PYTHONPATH", "CC", "CFLAGS")}
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)],
        cwd=Path(__file__).resolve().parent.parent,
        env={k: v for k, v in keep.items() if not k.startswith("STOCHCORE_")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder
