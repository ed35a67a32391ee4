"""Small calls: what they spare themselves changes no bits, keeps nobody alive and is no excuse for a wrong answer."""

import gc
import pickle
import threading
import weakref

import numpy as np
import pytest

import stochcore as sc

RNG = np.random.default_rng(5)
MODELS = {
    "bits": lambda: sc.Bernoulli(logits=RNG.normal(size=10)),
    "bits in rows": lambda: sc.Bernoulli(logits=RNG.normal(size=(2, 5))),
    "batch": lambda: sc.Bernoulli(logits=RNG.normal(size=(3, 10)), batch_ndims=1),
    "bits by probs": lambda: sc.Bernoulli(probs=RNG.uniform(size=10)),
    "classes": lambda: sc.Categorical(logits=RNG.normal(size=(10, 3))),
    "many classes": lambda: sc.Categorical(logits=RNG.normal(size=(10, 30))),
    "counts": lambda: sc.Poisson(log_rate=RNG.normal(size=10)),
    "trials": lambda: sc.Geometric(logits=RNG.normal(size=10)),
    "counts with a shared rate": lambda: sc.Binomial(np.arange(1, 11), logits=RNG.normal(size=1)),
    "normal": lambda: sc.Normal(RNG.normal(size=10), log_scale=RNG.normal(size=10)),
    "normal, one scale": lambda: sc.Normal(RNG.normal(size=10), log_scale=RNG.normal()),
    "inputs": lambda: sc.Bernoulli(logits=sc.Linear(RNG.normal(size=(2, 10)))(RNG.normal(size=(1, 2))), batch_ndims=1),
}


def cost_of(model):
    return sc.costs.Linear(np.linspace(1.0, 2.0, 10).reshape(model.event_shape))


def told(e):
    parts = (e.cost, e.cost_se, e._flat_grad(), e._flat_grad_se(), e.best_y, e.n_evals, e.dof)
    return [np.asarray(part).tobytes() for part in parts]


CASES = [
    (name, estimator)
    for name, make in MODELS.items()
    for estimator in ("leave_one_out", "score_function", "disarm", "local_expectation", "antithetic")
    if estimator not in ("disarm", "local_expectation") or isinstance(make(), sc.Bernoulli)
]


@pytest.mark.parametrize(("name", "estimator"), CASES)
def test_a_cost_that_has_seen_other_models_gives_the_same_bits(name, estimator):
    models = [MODELS[name]() for _ in range(3)]
    shared = cost_of(models[0])
    for n in (64, 64, 2_000):
        for model in models:
            found = sc.estimate(model, shared, n, estimator=estimator)
            assert found.source.model is model
            assert found.source.cost is shared
            again = pickle.loads(pickle.dumps(model))
            assert told(found) == told(sc.estimate(again, cost_of(model), n, estimator=estimator))


def test_models_of_other_forms_are_checked_as_ever():
    cost = sc.costs.Linear(np.ones(10))
    sc.estimate(sc.Bernoulli(logits=np.zeros(10)), cost, 64)
    for other in (sc.Bernoulli(logits=np.zeros(9)), sc.Bernoulli(logits=np.zeros((1, 10)))):
        with pytest.raises(ValueError, match=r"`cost` must fit the sites"):
            sc.estimate(other, cost, 64)
    table = sc.costs.Table(RNG.normal(size=(10, 3)))
    sc.estimate(sc.Categorical(logits=RNG.normal(size=(10, 3))), table, 64)
    with pytest.raises(ValueError, match="`cost` has a table of 3 classes"):
        sc.estimate(sc.Categorical(logits=np.zeros((10, 4))), table, 64)
    with pytest.raises(ValueError, match="`n_samples` must be at least 2"):
        sc.estimate(sc.Bernoulli(logits=np.zeros(10)), cost, 1)
    with pytest.raises(TypeError, match="`n_samples` must be an integer, got True"):
        sc.estimate(sc.Bernoulli(logits=np.zeros(10)), cost, True)
    with pytest.raises(ValueError, match="`first_sample` must be a multiple"):
        sc.estimate(sc.Bernoulli(logits=np.zeros(10)), cost, 64, first_sample=7)


def test_a_cost_keeps_no_model_alive_and_looks_the_same():
    cost = cost_of(MODELS["bits"]())
    before = pickle.dumps(cost)
    model = MODELS["bits"]()
    logits, gone = weakref.ref(model.logits), weakref.ref(model)
    sc.estimate(model, cost, 64)
    sc.estimate(MODELS["bits"](), cost, 64)
    assert pickle.dumps(cost) == before
    del model
    gc.collect()
    assert gone() is None
    assert logits() is None


def test_a_descent_leaves_the_estimates_of_its_cost_alone():
    model, average = MODELS["bits"](), sc.estimators.MovingAverage()
    cost = cost_of(model)
    before = told(sc.estimate(model, cost, 64, estimator=average))
    sc.minimize(MODELS["bits"](), cost, n_steps=20, n_samples=64, estimator=average)
    again = pickle.loads(pickle.dumps(model))
    assert told(sc.estimate(again, cost, 64, estimator=average)) == before


def test_threads_may_share_a_cost():
    models = [MODELS["bits"]() for _ in range(8)]
    cost = cost_of(models[0])
    expected = [told(sc.estimate(model, cost_of(model), 200)) for model in models]
    wrong = []

    def work(first):
        for i in range(200):
            which = (first + i) % len(models)
            again = sc.Bernoulli(logits=models[which].logits)
            if told(sc.estimate(again, cost, 200)) != expected[which]:
                wrong.append(which)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("cost", [sc.costs.Linear(np.arange(6.0)), sc.costs.Quadratic(np.eye(6))], ids=str)
def test_values_have_the_same_bits_for_any_number_of_threads(cost):
    y = sc.Bernoulli(logits=np.zeros(6)).sample(40_000, sc.Stream(1))
    one = cost.values(y, (), 1)
    assert one.shape == (40_000,)
    assert one.tobytes() == cost.values(y, (), 2).tobytes() == cost.values(y, ()).tobytes() == cost(y).tobytes()


def test_costs_are_priced_by_as_many_threads_as_were_asked_for(monkeypatch):
    seen = set()
    model, cost = sc.Bernoulli(logits=np.zeros(4)), sc.costs.Linear(np.ones(4))
    values = type(cost).values

    def watched(self, y, batch_shape, n_threads=None):
        seen.add(n_threads)
        return values(self, y, batch_shape, n_threads)

    monkeypatch.setattr(type(cost), "values", watched)
    sc.estimate(model, cost, 640, estimator="finite_difference", n_threads=1)
    assert seen == {1}
    known = sc.estimators.ControlVariate(lambda y: y[:, 0], 0.5, [0.25, 0.0, 0.0, 0.0])
    sc.estimate(model, cost, 640, estimator=known, n_threads=3)
    assert 3 in seen


def test_what_a_model_is_made_of_is_a_copy_that_nobody_changes():
    theta = np.zeros((2, 3))
    model = sc.Bernoulli(logits=theta)
    theta[:] = 9.0
    assert not model.logits.any()
    for array in (model.logits, model.parameters, model.probs):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 1.0


@pytest.mark.parametrize("given", [np.float32, np.int64, ">f8"])
def test_other_dtypes_strides_and_byte_orders_make_the_same_model(given):
    theta = np.arange(-4, 4).reshape(2, 4).astype(given)
    expected = sc.Bernoulli(logits=theta.astype(float))
    for same in (theta, np.asfortranarray(theta), theta.tolist(), np.repeat(theta, 2, axis=1)[:, ::2]):
        assert sc.Bernoulli(logits=same).probs.tobytes() == expected.probs.tobytes()
