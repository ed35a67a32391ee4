"""environments: programs to start from, written once for Python and for numba.

Each is a function ``(draw, theta, x)``: ``sc.simulator(environments.cartpole, compile="numba")``. Costs are minus
rewards.
"""

from __future__ import annotations

from typing import Any


def cartpole(draw: Any, theta: Any, x: Any) -> None:
    """Balance a pole on a cart by pushes to the left or right: CartPole of Gymnasium, with a linear policy.

    theta: four numbers, the logit of a push to the right by each number of the state. x: how many steps there are at
    most (200 and 500 in Gymnasium's two versions). Cost: -1 for each step.

    Barto, Sutton and Anderson, "Neuronlike adaptive elements that can solve difficult learning control problems", 1983;
    forces, lengths and Euler steps of 0.02 s as in Gymnasium.
    """
    position = 0.1 * draw.uniform() - 0.05
    speed = 0.1 * draw.uniform() - 0.05
    angle = 0.1 * draw.uniform() - 0.05
    spin = 0.1 * draw.uniform() - 0.05
    for _ in range(int(x)):
        right = draw.bernoulli(0, (position, speed, angle, spin))
        force = 10.0 if right else -10.0
        sine, cosine = draw.sin(angle), draw.cos(angle)
        pull = (force + 0.05 * spin * spin * sine) / 1.1
        twist = (9.8 * sine - cosine * pull) / (0.5 * (4.0 / 3.0 - 0.1 * cosine * cosine / 1.1))
        push = pull - 0.05 * twist * cosine / 1.1
        position += 0.02 * speed
        speed += 0.02 * push
        angle += 0.02 * spin
        spin += 0.02 * twist
        draw.cost(-1.0)
        if abs(position) > 2.4 or abs(angle) > 0.20943951023931953:
            return


def gridworld(draw: Any, theta: Any, x: Any) -> None:
    """Find the way out of a grid of n x n fields, from one corner to the opposite one.

    theta: shape (n * n, 4), logits of the four steps (up, down, left, right) at each field. x: two numbers, the
    probability that a step slips to a random direction, and the most steps. Cost: 1 for each step.
    """
    fields = len(theta)
    n = 1
    while n * n < fields:
        n += 1
    row, column = 0, 0
    slip, most = x[0], int(x[1])
    for _ in range(most):
        if row == n - 1 and column == n - 1:
            return
        step = draw.categorical(4 * (row * n + column), 4)
        if slip > 0.0 and draw.bernoulli(p=slip):
            step = int(4.0 * draw.uniform())
        if step == 0:
            row = max(row - 1, 0)
        elif step == 1:
            row = min(row + 1, n - 1)
        elif step == 2:
            column = max(column - 1, 0)
        else:
            column = min(column + 1, n - 1)
        draw.cost(1.0)


def newsvendor(draw: Any, theta: Any, x: Any) -> None:
    """Order before the demand is known: cost h (q - d)^+ + b (d - q)^+ for the order q = theta[0].

    x: holding cost h, shortage cost b, and the rate r of the exponential demand d, which is plain noise. The best q is
    the b/(b + h) quantile of the demand, log((b + h)/h)/r, and costs h q.
    """
    order, demand = theta[0], -draw.log(1.0 - draw.uniform()) / x[2]
    if order > demand:
        draw.cost(x[0] * (order - demand))
        draw.add_grad(0, x[0])
    else:
        draw.cost(x[1] * (demand - order))
        draw.add_grad(0, -x[1])


def inventory(draw: Any, theta: Any, x: Any) -> None:
    """Keep a stock for several periods of Poisson demand, with orders that are drawn.

    theta: the logits of orders of 0 .. n - 1 pieces are theta[2 c] + theta[2 c + 1] stock/10, class after class. x:
    periods, cost of an order, of a piece held, of a sale lost, and the demand's rate, at most 500. Demands are plain
    noise, by inversion of their distribution function.
    """
    orders, rate = len(theta) // 2, x[4]
    none = draw.exp(-rate)  # the probability of no demand
    stock = 0.0
    for _ in range(int(x[0])):
        ordered = draw.categorical(0, orders, (1.0, 0.1 * stock))
        if ordered > 0:
            draw.cost(x[1])
            stock += ordered
        u, demand, chance, below = draw.uniform(), 0.0, none, none
        while u >= below and (demand < rate or chance > 1e-18):  # up to what rounding leaves of the tail
            demand += 1.0
            chance *= rate / demand
            below += chance
        lost = max(demand - stock, 0.0)
        stock = max(stock - demand, 0.0)
        draw.cost(x[2] * stock + x[3] * lost)


def mm1_cycle(draw: Any, theta: Any, x: Any) -> None:
    """One busy cycle of a queue with one server, exponential arrivals and services (M/M/1).

    theta: logarithms of the rates of arrivals and of services, lambda < mu. x: weights a and b of the cost a (sum of
    the times that customers spend in the system) + b (number of customers). E[number] = mu/(mu - lambda); E[sum of
    times] = E[number]/(mu - lambda): regenerative simulation, Crane and Iglehart, "Simulating stable stochastic
    systems", 1975.
    """
    here = 0.0  # how long the customer that comes has to wait
    while True:
        here += draw.exponential(1, log=True)
        draw.cost(x[0] * here + x[1])
        here -= draw.exponential(0, log=True)
        if here <= 0.0:
            return
