"""How benchmarks run: in short rounds, with machine and peers written down, no wall of figures."""

import os
import sys
from importlib import metadata
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import side_by_side as beside

LIBRARIES = ("numpy", "gymnasium", "mkl-random", "numba", "torch", "jax", "optax", "scikit-learn", "scipy")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    options = config.option
    options.benchmark_quiet = True  # report.py makes the table
    options.benchmark_max_time = 0.1  # seconds for each, or
    options.benchmark_min_rounds = 3
    options.benchmark_disable_gc = True
    options.benchmark_warmup = "off"  # `measured` calls each once before


def pytest_report_header() -> list[str]:
    others = [peer for peer in beside.PEERS if peer not in beside.INSTALLED]
    absent = f"; not installed: {', '.join(others)}" if others else ""
    return [
        f"stochcore: {beside.CONFIG['instruction_set']}, {beside.path(beside.ALL)}",
        f"peers: {', '.join(beside.INSTALLED)}{absent}",
    ]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.filterwarnings("ignore"))  # peers warn as they like


def pytest_benchmark_update_machine_info(machine_info: dict[str, object]) -> None:
    """Write down what the figures depend on."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    machine_info["libraries"] = found
    machine_info["stochcore"] = beside.CONFIG
    machine_info["peers"] = list(beside.INSTALLED)
    machine_info["load"] = os.getloadavg()[0]
    machine_info["model"] = cpu_model()


def cpu_model() -> str:
    """Name of the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
