"""A torch network that decides: what to pack in each season, where every item is taken or left.

The network turns the season into a logit for each item; bits are drawn, and the bag costs what it weighs too much less
what is in it. Bits have no derivative: `expected_cost` hands torch the gradient of the expected cost, and torch goes on
through the network. With eight items the best bags can be found by trying all: the network is to find them too.

    python examples/with_torch.py
"""

from __future__ import annotations

import argparse
import itertools
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stochcore.interop.torch import Steps, expected_cost

Array = NDArray[Any]

SEASONS = ("winter", "spring", "summer", "autumn")
ITEMS = ("coat", "boots", "umbrella", "map", "camera", "tent", "swimsuit", "sunscreen")
WEIGHT = np.array([3.0, 2.5, 1.0, 0.25, 1.5, 4.0, 0.5, 0.75])
VALUE = np.array(
    [
        [6.0, 5.0, 0.25, 1.0, 1.0, 0.5, 0.25, 0.25],
        [1.5, 3.0, 4.0, 1.0, 2.5, 2.0, 0.25, 1.0],
        [0.25, 0.5, 0.5, 1.0, 2.5, 5.5, 3.0, 3.5],
        [3.5, 4.0, 5.0, 1.0, 2.0, 1.0, 0.25, 0.25],
    ]
)
MOST = 6.0  # what the bag carries


def cost(y: Array) -> Array:
    """What the bags of all seasons cost: y of shape (n, 4, 8), costs of shape (n, 4)."""
    return 2.0 * np.maximum(y @ WEIGHT - MOST, 0.0) - (y * VALUE).sum(axis=-1)


def main() -> None:
    """Train, and tell what is packed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    torch.manual_seed(arguments.seed)
    network = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.Tanh(), torch.nn.Linear(16, len(ITEMS))).double()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    noise = Steps(arguments.seed)  # other noise in each step, the same in every run
    x = torch.eye(4, dtype=torch.float64)
    for step in range(arguments.steps):
        optimizer.zero_grad()
        costs, errors = expected_cost(network(x), cost, arguments.samples, batch_ndims=1, seed=noise)
        costs.mean().backward()
        optimizer.step()
        if step % 100 == 0 or step == arguments.steps - 1:
            told = ", ".join(f"{c:6.2f} +- {e:.2f}" for c, e in zip(costs.tolist(), errors.tolist(), strict=True))
            print(f"step {step:3}: {told}")

    bags = np.array(list(itertools.product([0, 1], repeat=len(ITEMS))))
    least = cost(np.repeat(bags[:, None], 4, axis=1)).min(axis=0)
    with torch.no_grad():
        packed = (network(x) > 0).numpy()
    for i, (season, own, best) in enumerate(zip(SEASONS, cost(packed[None])[0], least, strict=True)):
        names = " ".join(itertools.compress(ITEMS, packed[i]))
        print(f"{season}: {names}: {own:.2f}, the best possible {best:.2f}")


if __name__ == "__main__":
    main()
