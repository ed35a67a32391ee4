"""simulators: CartPole with a linear policy and its gradient, single draws, and error bars reached in ten seconds.

A step of an episode that is not over is a live step; JAX takes the others too. The peers average float32 (JAX) or use
fast-math (numba), and give no standard errors. Our C is tests/cartpole.c, our numba `environments.cartpole`.
"""

import ctypes
import functools
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import c_programs
import numpy as np
import pytest
from programs import inventory_by_hand
from side_by_side import ALL, OURS, SMOKE, THREADS, Work, cases, measured, path, peer

import stochcore as sc
from stochcore import environments

POLE, MOST = np.array([0.1, 0.3, 2.0, 1.0]), 200  # most poles fall after 40 steps or so
EPISODES = 512 if SMOKE else 65_536
DRAWS, SAMPLES = (100, 8) if SMOKE else (10_000, 64)
SECONDS = 0.05 if SMOKE else 10.0

# A program in C for each draw, and the same in Python.
SOURCE = f"""
#include "stochcore.h"
#define MANY(name, draw) void name(sc_draw *d); void name(sc_draw *d) {{ for (int i = 0; i < {DRAWS}; i++) draw; }}
static const double f[4] = {{1.0, 0.5, -0.2, 0.1}};
MANY(direct, sc_draw_bernoulli(d, 0))
MANY(linear, sc_draw_bernoulli_linear(d, 0, f, 4))
MANY(uniform, sc_draw_uniform(d))
MANY(cost, sc_draw_cost(d, 1.0))
"""
FEATURES = (1.0, 0.5, -0.2, 0.1)


def in_python(name: str) -> Callable[[Any, Any, Any], None]:
    def direct(draw: Any, theta: Any, x: Any) -> None:
        for _ in range(DRAWS):
            draw.bernoulli(0)

    def linear(draw: Any, theta: Any, x: Any) -> None:
        for _ in range(DRAWS):
            draw.bernoulli(0, FEATURES)

    def uniform(draw: Any, theta: Any, x: Any) -> None:
        for _ in range(DRAWS):
            draw.uniform()

    def cost(draw: Any, theta: Any, x: Any) -> None:
        for _ in range(DRAWS):
            draw.cost(1.0)

    return {"direct": direct, "linear": linear, "uniform": uniform, "cost": cost}[name]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("simulators")


def of_c(source: Path, folder: Path, name: str) -> sc.CSimulator:
    function = getattr(ctypes.CDLL(str(c_programs.library(source, folder))), name)
    function.argtypes, function.restype = [ctypes.c_void_p], None
    return sc.CSimulator(function)


# ---- CartPole ------------------------------------------------------------------------------------------------------
@functools.cache
def steps_of_an_episode() -> tuple[float, float]:
    """Mean number of steps of our episodes, and its standard error."""
    pole = sc.simulator(environments.cartpole, compile="numba")(POLE, MOST)
    e = sc.estimate(pole, n_samples=EPISODES, estimator="whole_return")
    return -float(e.cost), float(e.cost_se)


def works() -> Any:
    for language, rates in (("numba", (30e6, 45e6)), ("C", (40e6, 60e6))):
        for threads in THREADS:
            held: Any = {"floor": 3.0, "goal": 5.0, "against": "jax"} if threads == ALL else {}
            if threads == 2:
                held |= {"rate_floor": rates[0], "rate_goal": rates[1]}
            what = f"CartPole in {language}, {EPISODES:,} episodes"
            yield Work("simulators", what, 0, "live steps", threads, headline=True, **held), language


@cases(works(), peers=("jax", "numba"))
def bench_cartpole(benchmark: Any, work: Work, who: str, arguments: Any, folder: Path) -> None:
    (language,) = arguments
    mean, error = steps_of_an_episode()
    if who != OURS:
        run = peer(who).cartpole(POLE, EPISODES, MOST, work.threads)
    else:
        made = sc.simulator(environments.cartpole, compile="numba")
        if language == "C":
            made = of_c(c_programs.TESTS / "cartpole.c", folder, "cartpole")
        model = made(POLE, MOST)

        def run() -> Any:
            e = sc.estimate(model, n_samples=EPISODES, estimator="whole_return", n_threads=work.threads)
            return e.grad, -e.cost

    live = replace(work, items=EPISODES * mean)
    _, steps = measured(
        benchmark, live, who, run, make=lambda other: other.cartpole(POLE, EPISODES, MOST, work.threads)
    )
    assert abs(steps - mean) < 7 * 1.5 * error  # two means of as many episodes


# ---- a draw --------------------------------------------------------------------------------------------------------
def nanoseconds(model: Any, samples: int) -> float:
    """The least CPU time of a draw on one thread."""
    least = np.inf
    for _ in range(1 if SMOKE else 7):
        start = time.thread_time()
        sc.estimate(model, n_samples=samples, estimator="whole_return", n_threads=1)
        least = min(least, (time.thread_time() - start) / samples / DRAWS)
    return 1e9 * float(least)


WORDS = {
    "direct": "a Bernoulli decision, theta[0] its logit",
    "linear": "a Bernoulli decision, four features",
    "uniform": "plain noise, a uniform",
    "cost": "a cost",
}


@pytest.mark.parametrize("name", list(WORDS))
@pytest.mark.parametrize("language", ["C", "Python"])
def bench_draw(benchmark: Any, folder: Path, language: str, name: str) -> None:
    if language == "C":
        (folder / "draws.c").write_text(SOURCE)
        made = of_c(folder / "draws.c", folder, name)
    else:
        made = sc.simulator(in_python(name))
    model, samples = made([0.1, 0.2, 0.3, 0.4]), SAMPLES if language == "C" else SAMPLES // 4
    found = benchmark.pedantic(lambda: nanoseconds(model, samples), rounds=1, iterations=1)
    held = (10.0, 5.0) if language == "C" else (2000.0, 700.0)
    report(
        benchmark, f"{WORDS[name]}, in {language}, CPU time", found, "ns", held if name in ("direct", "linear") else ()
    )


def report(benchmark: Any, what: str, found: float, unit: str, held: Any) -> None:
    """Print a figure, less of which is better, and put it into the report where it is held to a floor and a goal."""
    floor, goal = held or (None, None)
    told = f"; floor {floor:g}, goal {goal:g} {unit}" if held else ""
    print(f"\n{what}: {found:.3g} {unit}{told} ({path(1 if unit == 'ns' else ALL)})")
    benchmark.extra_info.update(figure=found, what=what, figure_unit=unit, floor=floor, goal=goal)


# ---- error bars ----------------------------------------------------------------------------------------------------
def queue(weights: tuple[float, float]) -> tuple[Any, Any, Any, Any]:
    """Busy cycles of M/M/1 with lambda = 1 and mu = 2: the gradient of customers, or of their times, by log-rates."""
    arrivals, services = 1.0, 2.0
    gap = services - arrivals
    number = np.array([1.0, -1.0]) * arrivals * services / gap**2
    times = services * np.array([2 * arrivals / gap**3, 1 / gap**2 - 2 * services / gap**3])
    truth = weights[0] * times + weights[1] * number
    return environments.mm1_cycle, np.log([arrivals, services]), weights, truth


def newsvendor() -> tuple[Any, Any, Any, Any]:
    """An order of half the best one."""
    hold, lose, rate = 1.0, 4.0, 0.2
    order = 0.5 * np.log((lose + hold) / hold) / rate
    return environments.newsvendor, [order], (hold, lose, rate), hold - (hold + lose) * np.exp(-rate * order)


def stock() -> tuple[Any, Any, Any, Any]:
    """Twelve days, orders of 0 to 5 pieces, all as likely; the gradient by dynamic programming and a complex step."""
    theta, x = np.zeros(12), (12.0, 5.0, 1.0, 6.0, 3.0)
    truth = np.array([inventory_by_hand(theta + 1e-30j * row, x).imag * 1e30 for row in np.eye(12)])
    return environments.inventory, theta, x, truth


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("M/M/1, customers of a busy cycle", lambda: queue((0.0, 1.0))),
        ("M/M/1, times of a busy cycle", lambda: queue((1.0, 0.0))),
        ("newsvendor, by the order", newsvendor),
        ("inventory, by the policy", stock),
    ],
    ids=["customers", "times", "newsvendor", "inventory"],
)
def bench_error_bar(benchmark: Any, name: str, make: Callable[[], Any]) -> None:
    """Norm of the error bars over that of the gradient, in percent; and the gradient within four error bars.

    By the whole return, which is ahead of leave-one-out here: 0.13% beside 0.16, 0.20 beside 0.23, 0.44 beside 0.53.
    """
    program, theta, x, truth = make()
    model = sc.simulator(program, compile="numba")(theta, x)
    sc.estimate(model, n_samples=32)  # compiles

    def run() -> Any:
        return sc.estimate(model, n_samples=10**12, max_seconds=SECONDS, estimator="whole_return")

    e = benchmark.pedantic(run, rounds=1, iterations=1)
    z = np.abs((e.grad - truth) / e.grad_se).max()
    percent = 100 * float(np.linalg.norm(e.grad_se) / np.linalg.norm(e.grad))
    print(f"\n{e.n_samples:,} samples in {e.seconds:.1f} s, largest |z| against the closed form {z:.2f}")
    report(benchmark, f"error bar of the gradient of {name}, {SECONDS:g} s", percent, "%", (1.0, 0.2))
    assert z < 4
