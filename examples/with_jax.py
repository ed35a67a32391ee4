"""A JAX network that decides, trained by optax: on a graph of triangles, which node goes to which of three groups.

Each node gets a logit for each group from a layer that sees its number alone; groups are drawn, and every edge inside
one costs 1. The triangles are joined in a ring, so nodes can be coloured with three colours: the least cost is 0. The
whole step is compiled; its number is an argument, which is what gives each step noise of its own.

    python examples/with_jax.py
"""

from __future__ import annotations

import argparse
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

import stochcore as sc
from stochcore.interop.jax import expected_cost

Array = NDArray[Any]

TRIANGLES, GROUPS = 6, 3
NODES = 3 * TRIANGLES
INSIDE = [(3 * t + i, 3 * t + (i + 1) % 3) for t in range(TRIANGLES) for i in range(3)]
BETWEEN = [(3 * t + 2, 3 * (t + 1) % NODES) for t in range(TRIANGLES)]
A, B = np.array(INSIDE + BETWEEN).T


def cost(y: Array) -> Array:
    """Edges whose ends are in one group: y of shape (n, nodes), costs of shape (n,)."""
    return (y[:, A] == y[:, B]).sum(axis=1)


def logits_of(weights: dict[str, jax.Array]) -> jax.Array:
    """Return a logit for each node and group."""
    return jnp.tanh(weights["first"]) @ weights["second"]


def main() -> None:
    """Train, and tell which groups came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    one, two = jax.random.split(jax.random.key(arguments.seed))
    weights = {"first": jax.random.normal(one, (NODES, 16)), "second": 0.1 * jax.random.normal(two, (16, GROUPS))}
    optimizer = optax.adam(0.02)

    @jax.jit
    def step(weights: Any, state: Any, number: Any) -> Any:
        def price(weights: Any) -> Any:
            logits, seed = logits_of(weights), arguments.seed
            found = expected_cost(logits, cost, arguments.samples, family=sc.Categorical, seed=seed, step=number)
            return found.cost, found.cost_se

        (mean, error), grad = jax.value_and_grad(price, has_aux=True)(weights)
        moves, state = optimizer.update(grad, state)
        return optax.apply_updates(weights, moves), state, mean, error

    state = optimizer.init(weights)
    for number in range(arguments.steps):
        weights, state, mean, error = step(weights, state, number)
        if number % 100 == 0 or number == arguments.steps - 1:
            print(f"step {number:3}: {mean:5.2f} +- {error:.2f}")

    groups = np.asarray(logits_of(weights)).argmax(axis=1)
    print(f"groups: {' '.join(map(str, groups))}")
    print(f"edges inside a group: {cost(groups[None])[0]} of {len(A)}, the least possible 0")


if __name__ == "__main__":
    main()
