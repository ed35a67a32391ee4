"""Prints a line `name hash` for everything that the contract promises bit for bit; contract.txt holds what it must be.

`python tests/contract.py` uses the instruction set in STOCHCORE_ISA, and `--threads N`. After a change that is meant to
change bits: `python tests/contract.py > tests/contract.txt`, and a line in CHANGELOG.md.
"""

import argparse
import hashlib
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))  # under PYTHONSAFEPATH a program's own folder is not there

from streams import KINDS, draw

import stochcore as sc
from stochcore import environments


def digest(*arrays):
    """Hash bytes, shapes and dtypes."""
    h = hashlib.blake2b(digest_size=12)
    for array in map(np.asarray, arrays):
        h.update(f"{array.dtype.str}{array.shape}".encode())
        h.update(np.ascontiguousarray(array).tobytes())
    return h.hexdigest()


def numbers(n, seed):
    """Make n float64 of moderate size without any function of libm."""
    return (sc.Stream(seed, stream=9).uniform(n) - 0.5) * 4.0


def noise(threads):
    for engine in ("ars", "ars10", "philox"):
        for name, stream in {
            "start": sc.Stream(0, engine=engine),
            "seed": sc.Stream(2**64 - 1, stream=2**32 - 1, engine=engine),
            "odd": sc.Stream(42, engine=engine).at(3),
            "carry": sc.Stream(42, engine=engine).at(4 * (2**32 - 5) + 1),
            "end": sc.Stream(42, engine=engine).at(2**64 - 40_001),
        }.items():
            for kind, dtype in KINDS:
                array = draw(stream, kind, 40_001, dtype=dtype, n_threads=threads)
                yield f"{kind} {np.dtype(dtype)} {engine} {name}", array
        yield f"spawn {engine}", [sc.Stream(1, engine=engine).at(5).spawn(9)[i].bits(3) for i in (0, 8)]
    yield "uniform large", sc.Stream(3).at(1).uniform(1_200_000, n_threads=threads)
    yield "seed sequence", sc.Stream([1, 2, 3]).bits(1)


def models():
    yield "bits 7", sc.Bernoulli(logits=numbers(7, 1))
    yield "bits 1000", sc.Bernoulli(logits=numbers(1000, 2))
    yield "bits 9000", sc.Bernoulli(logits=numbers(9000, 2))
    yield "bits probs", sc.Bernoulli(probs=numbers(33, 3) / 8 + 0.5)
    yield "bits batch", sc.Bernoulli(logits=numbers(60, 4).reshape(4, 15), batch_ndims=1)
    yield "classes 5", sc.Categorical(logits=numbers(45, 5).reshape(9, 5))
    yield "classes 100", sc.Categorical(logits=numbers(700, 6).reshape(7, 100))
    p = sc.Stream(7).uniform((6, 4))
    yield "classes probs", sc.Categorical(probs=p / p.sum(axis=1, keepdims=True))
    yield "classes batch", sc.Categorical(logits=numbers(72, 8).reshape(3, 6, 4), batch_ndims=1)


def distributions(threads):
    for name, model in models():
        y = model.sample(3000, sc.Stream(5).at(17), n_threads=threads)
        yield f"sample {name}", y
        yield f"log_prob {name}", model.log_prob(y, n_threads=threads)
        yield f"probs {name}", model.probs


def costs():
    for name, model in models():
        sites = model.event_shape
        yield name, model, "linear", sc.costs.Linear(numbers(sites, 11))
        if len(sites) == 1 and sites[0] <= 1000:
            yield (
                name,
                model,
                "quadratic",
                sc.costs.Quadratic(numbers((*sites, *sites), 12), numbers(sites, 13)),
            )
        weights = numbers(sites, 14)

        def python(y, weights=weights):  # in order, without NumPy's sum
            total = np.zeros(y.shape[: y.ndim - 1])
            for site in range(y.shape[-1]):
                total += weights[site] * y[..., site]
            return total

        if model.n_elements <= 100:
            yield name, model, "python", python


def estimates(threads):
    for name, model, priced, cost in costs():
        sizes = (2, 9, 1000, 5001) if model.n_elements <= 100 else (2, 300)
        if name in ("bits 7", "classes 5"):
            sizes = (*sizes, 70_000)  # more than one shard, and more than 32 groups
        for n in sizes:
            for estimator in ("leave_one_out", "score_function"):
                e = sc.estimate(model, cost, n, estimator=estimator, seed=3, n_threads=threads)
                yield (
                    f"{estimator} {name} {priced} {n}",
                    (e.cost, e.cost_se, e.grad, e.grad_se, e.best_cost, e.best_y),
                )
        if model.event_shape[0] <= 7 and model.n_classes <= 4:
            e = sc.exact(model, cost)
            yield f"exact {name} {priced}", (e.cost, e.grad)


def others():
    """Every family but bits and classes."""
    sites, x = np.abs(numbers(70, 21)) + 0.1, numbers(30, 22).reshape(10, 3)
    yield "poisson", sc.Poisson(rate=20 * sites)
    yield "poisson wide", sc.Poisson(log_rate=[13.0, -40.0])
    yield "binomial", sc.Binomial([5, 70, 10**9], probs=[0.2, 0.7, 0.5])
    yield "binomial logits", sc.Binomial(30, logits=numbers(12, 23).reshape(3, 4), batch_ndims=1)
    yield "geometric", sc.Geometric(probs=sites / 4)
    yield "geometric logits", sc.Geometric(logits=[-30.0, -5.0, 0.0, 800.0])
    yield "negative binomial", sc.NegativeBinomial(sites * 3, logits=numbers(70, 24))
    yield "ordinal", sc.Ordinal(numbers(9, 25), [-1.0, 0.0, 0.5])
    yield "ordinal normal", sc.Ordinal(numbers(9, 25), free_cutpoints=[-1.0, 0.0, 0.5], noise="normal")
    yield "rounded normal", sc.RoundedNormal(numbers(9, 26), sites[:9], step=0.25)
    yield "normal", sc.Normal(numbers(9, 26), log_scale=numbers(9, 27))
    yield "ranking", sc.PlackettLuce(numbers(14, 28).reshape(2, 7))
    yield "ranking long", sc.PlackettLuce(numbers(600, 29))
    yield "first", sc.TopK(numbers(100, 30), 4)
    yield "set", sc.TopK(numbers(100, 30), 4, ordered=False)
    yield "chain", sc.MarkovChain(numbers(3, 31), numbers(9, 32).reshape(3, 3), n_steps=9)
    yield "chain per step", sc.MarkovChain(numbers(2, 33), numbers(16, 34).reshape(4, 2, 2))
    linear = sc.Linear(numbers(12, 35).reshape(3, 4), numbers(4, 36))
    yield "linear bits", sc.Bernoulli(logits=linear(x), batch_ndims=1)
    yield "linear classes", sc.Categorical(logits=linear(x))
    yield "linear counts", sc.Poisson(log_rate=linear(x), batch_ndims=1)


def families(threads):
    for name, model in others():
        y = model.sample(300, sc.Stream(5).at(17), n_threads=threads)
        yield f"sample {name}", y
        yield f"log_prob {name}", model.log_prob(y, n_threads=threads)
        yield f"score {name}", model._structure.leaves(model.score(y[:7]))
        cost = sc.costs.Linear(np.ones(model.event_shape))
        for n in (9, 700):
            for estimator in ("leave_one_out", "score_function"):
                e = sc.estimate(model, cost, n, estimator=estimator, seed=3, n_threads=threads)
                leaves = model._structure.leaves
                yield f"{estimator} {name} {n}", (e.cost, e.cost_se, leaves(e.grad), leaves(e.grad_se), e.best_cost)
    joint = sc.Joint(
        bits=sc.Bernoulli(logits=numbers(5, 37)), counts=sc.Poisson(rate=2.0), order=sc.TopK([1.0, 0.0], 1)
    )
    y = joint.sample(100, sc.Stream(6).at(3))
    yield "sample joint", list(y.values())
    e = sc.estimate(joint, lambda y: y["bits"][:, 0] * 2.0 + y["counts"], 500, n_threads=threads)
    yield "estimate joint", (e.cost, joint._structure.leaves(e.grad), joint._structure.leaves(e.grad_se))


def graphs(n, seed):
    """A weighted pair for each number of a list, of three kinds."""
    ends = sc.Stream(seed).integers(n, shape=(3 * n, 2))
    ends = ends[ends[:, 0] != ends[:, 1]]
    whole = np.rint(numbers(len(ends), seed) * 20)
    for kind, weight in (("unit", np.ones(len(ends))), ("whole", whole), ("real", numbers(len(ends), seed))):
        yield kind, np.column_stack([ends, weight])


def sums():
    """Costs of bits and classes that are sums over sites and pairs."""
    for n in (7, 33, 300):
        model = sc.Bernoulli(logits=numbers(n, 41))
        yield f"bits {n} table", model, sc.costs.Table(numbers((n, 2), 42))
        for kind, edges in graphs(n, n):
            yield f"bits {n} maxcut {kind}", model, sc.costs.MaxCut(edges, n_nodes=n)
            yield f"bits {n} ising {kind}", model, sc.costs.Ising(edges, numbers(n, 43), n_nodes=n)
            yield f"bits {n} qubo {kind}", model, sc.costs.QUBO(edges, np.rint(numbers(n, 44) * 9), n_nodes=n)
        yield f"bits {n} linear", model, sc.costs.Linear(numbers(n, 45))
        yield f"bits {n} quadratic", model, sc.costs.Quadratic(numbers((n, n), 46), numbers(n, 47))
    yield "classes table", sc.Categorical(logits=numbers(45, 48).reshape(9, 5)), sc.costs.Table(numbers((9, 5), 49))


def further_costs(threads):
    for name, model, cost in sums():
        y = model.sample(700, sc.Stream(5).at(16))
        yield f"cost {name}", cost(y)
        if cost.can_flip:
            yield f"flip {name}", cost.flip(y[:9])
        for estimator in ("leave_one_out", "antithetic"):
            e = sc.estimate(model, cost, 700, estimator=estimator, seed=3, n_threads=threads)
            yield f"{estimator} {name}", (e.cost, e.cost_se, e.grad, e.grad_se, e.best_cost, e.best_y)
    y = numbers((9, 33), 50)
    quadratic = sc.costs.Quadratic(numbers((33, 33), 46), numbers(33, 47))
    yield "cost real", (quadratic(y), quadratic.grad_y(y), sc.costs.Linear(numbers(33, 45))(y))


def weightings(threads):
    """The other estimators, on some models; those of the kernels in several blocks too."""
    left_out = (
        "auto",
        "exact",
        "finite_difference",
        "leave_one_out",
        "measure_valued",
        "moving_average",
        "score_function",
    )
    named = {**dict(models()), **dict(others())}
    for name in (
        "bits 7",
        "bits 1000",
        "bits probs",
        "bits batch",
        "classes 5",
        "classes probs",
        "poisson",
        "linear bits",
    ):
        model = named[name]
        cost = sc.costs.Linear(numbers(model.event_shape, 61))
        found = [sc.estimators.resolve(kind) for kind in sc.estimators.available(model, cost) if kind not in left_out]
        for estimator in (*found, sc.estimators.LeaveOneOut(k=4)):
            fused = estimator.weighing(model, cost, 8) is not None
            if not fused and model.n_elements > 100:
                continue
            for n in (8, 3000) if fused else (8,):
                e = sc.estimate(model, cost, n, estimator=estimator, seed=3, n_threads=threads)
                leaves = model._structure.leaves
                yield (
                    f"{estimator.name} {name} {n}",
                    (e.cost, e.cost_se, leaves(e.grad), leaves(e.grad_se), e.best_cost),
                )


def descent(threads):
    model, cost = sc.Bernoulli(logits=np.zeros(20)), sc.costs.Linear(numbers(20, 15))
    for optimizer in (sc.SGD(0.1), sc.Momentum(0.1), sc.RMSProp(0.1), sc.Adam(0.1)):
        fit = sc.minimize(model, cost, optimizer=optimizer, n_steps=20, n_samples=50, seed=1, n_threads=threads)
        yield f"minimize {type(optimizer).__name__}", (fit.model.logits, fit.history["cost"])


def annealing(threads):
    """Entropies, and descents with a weight on them and with a moving average."""
    weight = sc.schedules.linear_decay(0.5, 20)
    options = {"optimizer": sc.SGD(0.001), "n_steps": 12, "n_samples": 40, "entropy": weight, "n_threads": threads}
    for name, model in (*models(), *others()):
        if name in ("ranking", "ranking long", "first", "set"):
            continue
        leaves = model._structure.leaves
        yield f"entropy {name}", (model.entropy, leaves(model.entropy_grad))
        if model.n_elements > 100 or "probs" in name or "wide" in name or name == "geometric logits":
            continue
        cost = sc.costs.Linear(np.full(model.event_shape, 0.125))
        fit = sc.minimize(model, cost, estimator="moving_average", **options)
        yield f"annealed {name}", (leaves(fit.model.parameters), fit.history.cost, fit.history.entropy)


def networks(threads):
    data = sc.Stream(16).uniform((100, 30))
    for estimator in ("leave_one_out", "score_function", "disarm"):
        for sizes in ((30, 7, 20, 2), (30, 32, 50, 4 if estimator == "disarm" else 3)):
            _, latents, batch, samples = sizes
            vae = sc.BernoulliVAE(30, latents, mean=numbers(30, 17) / 8 + 0.5, seed=4)
            fit = sc.minimize(
                vae,
                data=data,
                batch_size=batch,
                optimizer=sc.Adam(3e-3),
                n_steps=12,
                n_samples=samples,
                estimator=estimator,
                n_threads=threads,
            )
            name = f"{estimator} {latents} {batch} {samples}"
            yield f"vae {name}", [fit.model.parameters[key] for key in sorted(fit.model.parameters)]
            yield f"vae history {name}", fit.history["cost"]
            yield f"vae bound {name}", fit.model.bound(data, n_draws=3, n_threads=threads)


def game(draw, theta, x):
    """A bit of everything that a program may draw."""
    for step in range(4):
        kind = draw.categorical(0, 3, (1.0, 0.25 * step))
        draw.cost(draw.sin(kind + draw.uniform()) + 0.1 * draw.poisson(6))
        if draw.bernoulli(7, (1.0, draw.standard_normal())):
            draw.discount(0.75)
        draw.cost(draw.exp(-draw.exponential(9, log=True)) * draw.geometric(10) + draw.normal(11, 0.5))
        action = draw.tanh_policy(12, 2, 2, (1.0, 0.5 * kind))
        draw.cost(draw.log(1.0 + draw.binomial(6, 300)) * draw.cos(float(action)))
        draw.add_grad(11, 0.125 * step)


def simulations(threads):
    made = sc.simulator(game)(numbers(24, 31) / 4)
    for estimator in ("leave_one_out", "whole_return", "score_function", "antithetic", sc.estimators.LeaveOneOut(k=4)):
        for n in (4, 100, 1200):
            e = sc.estimate(made, n_samples=n, estimator=estimator, seed=5, n_threads=threads)
            name = getattr(estimator, "k", estimator)
            yield f"simulator {name} {n}", (e.cost, e.cost_se, e.grad, e.grad_se, e.best_cost)
    for program, theta, x in (
        (environments.cartpole, numbers(4, 32), 60),
        (environments.gridworld, numbers((4, 4), 33), (0.25, 20)),
        (environments.newsvendor, [1.5], (1.0, 3.0, 0.5)),
        (environments.inventory, numbers(6, 34), (5, 2.0, 0.5, 4.0, 1.25)),
        (environments.mm1_cycle, [-1.0, 0.0], (0.5, 0.25)),
    ):
        e = sc.estimate(sc.simulator(program)(theta, x), n_samples=70, seed=5, n_threads=threads)
        yield f"environment {program.__name__}", (e.cost, e.cost_se, e.grad, e.grad_se, e.best_cost)


def lines(threads=None):
    """Yield every line."""
    for stage in (
        noise, distributions, estimates, families, descent, networks, further_costs, annealing, weightings, simulations,
    ):  # fmt: skip
        for name, value in stage(threads):
            arrays = value if isinstance(value, (tuple, list)) else (value,)
            yield f"{name.replace(' ', '_')} {digest(*arrays)}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=None)
    for line in lines(parser.parse_args().threads):
        print(line)
