"""Programs with few ways to go, what compares their estimates, and the inventory by dynamic programming."""

import math

import numpy as np

import stochcore as sc

THETA = np.array([0.3, -0.2, 0.1, 0.5, -0.4, 0.2, 0.7, -0.6])


def bits(draw, theta, x):
    a = draw.bernoulli(0)
    draw.cost(0.5 * a)
    b = draw.bernoulli(1, (1.0, 0.5 - a))
    draw.cost(1.0 + b - 2.0 * a * b)


def classes(draw, theta, x):
    c = draw.categorical(0, 3)
    draw.cost(float(c * c))
    e = draw.categorical(2, 2, (1.0, -0.5 * c))
    draw.cost(2.0 * e - c)


def counts(draw, theta, x):
    n = draw.binomial(0, 3)
    draw.cost(1.0 * n)
    m = draw.binomial(1, 2, (0.5, 1.0 + n))
    draw.cost(0.3 * m * n)


def endless_counts(draw, theta, x):
    n = draw.poisson(0)
    draw.cost(1.0 * n)
    g = draw.geometric(1)
    draw.cost(0.1 * g * n)


def own_probability(draw, theta, x):
    p = 0.2 + 0.1 * theta[0] * theta[0]
    y = draw.bernoulli(p=p)
    slope = 0.2 * theta[0]
    draw.add_score(0, slope / p if y else -slope / (1.0 - p))
    draw.cost(3.0 * y)
    c = draw.categorical(p=(0.25, 0.5, 0.25))
    draw.cost(1.0 * c * y)


def discounted(draw, theta, x):
    for _ in range(3):
        a = draw.bernoulli(0, (1.0, 0.5))
        draw.cost(1.0 + a)
        draw.discount(0.5)
        if a:
            draw.cost(theta[2] * theta[2])
            draw.add_grad(2, 2.0 * theta[2])


def layer(draw, theta, x):
    for step in range(2):
        a = draw.tanh_policy(0, 1, 2, (1.0, 0.5 * step))
        draw.cost(1.0 - 2.0 * a + step)


def noisy(draw, theta, x):
    t = draw.exponential(0) + draw.exponential(1, log=True) + draw.normal(2, 0.5) + draw.standard_normal()
    u = draw.uniform() + draw.normal(3, 1.0, (0.5, 2.0))
    draw.cost(draw.sin(t) + draw.cos(u) + draw.exp(-t * t) + draw.log(1.0 + u * u))


PROGRAMS = [bits, classes, counts, endless_counts, own_probability, discounted, layer]


def name(value):
    return getattr(value, "__name__", None)


def size_of(program):
    return 7 if program is layer else len(THETA)


def model_of(program, how=None):
    return sc.simulator(program, compile=how)(THETA[: size_of(program)])


def same(a, b):
    return a.cost == b.cost and a.cost_se == b.cost_se and (a.grad == b.grad).all() and (a.grad_se == b.grad_se).all()


def inventory_by_hand(theta, x):
    """The expected cost of `environments.inventory`; theta may be complex, for its derivative by a complex step."""
    periods, order, hold, lose, rate = x
    n, top = len(theta) // 2, int(periods) * (len(theta) // 2 - 1)
    ordered, start, level = np.arange(n), np.arange(top + 1), np.arange(top + n)[:, None]
    demand = np.arange(int(rate + 12 * math.sqrt(rate)) + 20)
    chance = np.array([math.exp(d * math.log(rate) - rate - math.lgamma(d + 1)) for d in demand])
    left = np.maximum(level - demand, 0)
    day = (hold * left + lose * np.maximum(demand - level, 0)) @ chance
    weight = np.exp(theta[0::2] + 0.1 * start[:, None] * theta[1::2])
    ahead = np.zeros(top + n, dtype=complex)
    for _ in range(int(periods)):
        after = day + ahead[left] @ chance  # at each level of the stock once the order has come
        ahead[start] = (weight * (after[start[:, None] + ordered] + order * (ordered > 0))).sum(1) / weight.sum(1)
    return ahead[0]
