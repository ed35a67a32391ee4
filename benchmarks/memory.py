"""A program of its own: how much memory does one sc.estimate take? Prints JSON.

Extra memory is the peak of resident memory (VmHWM) while it runs, less what was resident just before. A
small estimate goes first, so that threads and their stacks are there; /proc/self/clear_refs then sets the
peak back.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import stochcore as sc


def resident(field: str) -> float:
    """Return a field of /proc/self/status in MB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024 / 1e6
    raise KeyError(field)


def main() -> None:
    kind, n, sites, threads = sys.argv[1], *map(int, sys.argv[2:])
    w = np.linspace(-1.0, 1.0, sites)
    model, linear = sc.Bernoulli(logits=np.linspace(-2, 2, sites)), sc.costs.Linear(w)
    w32 = w.astype(np.float32)

    def python(y: Any) -> Any:
        return y.astype(np.float32) @ w32

    cost = linear if kind == "Linear" else python
    sc.estimate(model, linear, 100, n_threads=threads)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = resident("VmRSS")
    found = sc.estimate(model, cost, n, n_threads=threads)
    print(json.dumps({"megabytes": resident("VmHWM") - before, "seconds": found.seconds}))


main()
