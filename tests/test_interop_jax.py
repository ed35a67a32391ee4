"""interop.jax: the bits of `sc.estimate` under jit, grad and vmap; noise that moves on; gradients by enumeration."""

import re

import numpy as np
import pytest

import stochcore as sc

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402

from stochcore.interop._expected import Steps, stream_of_step  # noqa: E402
from stochcore.interop.jax import ExpectedCost, expected_cost  # noqa: E402

RNG = np.random.default_rng(8)
THETA = RNG.normal(size=6)
RING = sc.costs.MaxCut([(i, (i + 1) % 6) for i in range(6)])


@pytest.fixture(params=[True, False], ids=["x64", "x32"])
def x64(request):
    with jax.enable_x64(request.param):
        yield request.param


@pytest.fixture
def double():
    with jax.enable_x64(True):
        yield


def price(y):
    return (y.sum(axis=-1) - 2.25) ** 2


def refuses(error, message):
    return pytest.raises(error, match="^" + re.escape(message) + r"(\n|$)")  # JAX may add a note


def noise(step, seed=0, *elements):
    """The stream of a step, and of an element of a mapped call."""
    stream = sc.Stream(seed).spawn(step + 1)[step]
    for element in elements:
        stream = stream.spawn(element + 1)[element]
    return stream


def same(found, expected, dtype):
    assert found.dtype == dtype
    assert np.asarray(found).tobytes() == np.asarray(expected, dtype).tobytes()


CASES = {
    "bits": (THETA, RING, {}),
    "bits of a function": (THETA, price, {}),
    "rows": (RNG.normal(size=(3, 6)), sc.costs.Linear(np.arange(6.0)), {"batch_ndims": 1}),
    "rows of a function": (RNG.normal(size=(2, 3, 4)), price, {"batch_ndims": 2}),
    "classes": (RNG.normal(size=(4, 3)), sc.costs.Table(RNG.normal(size=(4, 3))), {"family": sc.Categorical}),
    "options": (THETA, RING, {"estimator": sc.estimators.LeaveOneOut(k=4)}),
    "baseline": (THETA, RING, {"estimator": "score_function", "baseline": -3.0}),
    "array baseline": (THETA, RING, {"estimator": sc.estimators.ScoreFunction(np.arange(6.0))}),
}


@pytest.mark.parametrize(("theta", "cost", "options"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("compiled", [jax.jit, lambda f: f], ids=["jit", "eager"])
def test_the_bits_of_an_estimate(x64, theta, cost, options, compiled):
    logits = jnp.asarray(theta)
    made = {"family": sc.Bernoulli, "batch_ndims": 0, **options}
    model = made["family"](logits=np.asarray(logits, np.float64), batch_ndims=made["batch_ndims"])
    others = {k: v for k, v in options.items() if k in ("estimator", "baseline")}

    def both(logits, step):
        def total(logits):
            found = expected_cost(logits, cost, 600, seed=3, step=step, **options)
            return found.cost.sum(), found

        return jax.value_and_grad(total, has_aux=True)(logits)

    both = compiled(both)
    for step in (0, 5):
        e = sc.estimate(model, cost, 600, seed=noise(step, 3), **others)
        (_, found), grad = both(logits, step)
        assert isinstance(found, ExpectedCost)
        same(found.cost, e.cost, logits.dtype)
        same(found.cost_se, e.cost_se, logits.dtype)
        same(grad, e.grad, logits.dtype)


def test_half_floats():
    logits = jnp.asarray(THETA, jnp.bfloat16)
    grad = jax.grad(lambda w: expected_cost(w, RING, 600).cost)(logits)
    e = sc.estimate(sc.Bernoulli(logits=np.asarray(logits).astype(float)), RING, 600, seed=noise(0))
    assert grad.dtype == jnp.bfloat16
    assert np.asarray(grad).tolist() == e.grad.astype(grad.dtype).tolist()


def test_families_by_functions(double):
    rates = jnp.array([0.5, -0.5])
    options = {"family": lambda rate: sc.Poisson(log_rate=rate)}
    grad = jax.jit(jax.grad(lambda w: expected_cost(w, price, 500, **options).cost))(rates)
    same(grad, sc.estimate(sc.Poisson(log_rate=[0.5, -0.5]), price, 500, seed=noise(0)).grad, np.float64)


def test_jit_does_not_freeze_the_noise(double):
    run = jax.jit(lambda logits, step: expected_cost(logits, RING, 50, step=step).cost)
    costs = [float(run(THETA, step)) for step in range(8)]
    assert len(set(costs)) > 4
    assert costs == [sc.estimate(sc.Bernoulli(logits=THETA), RING, 50, seed=noise(i)).cost for i in range(8)]
    assert [float(run(THETA, step)) for step in range(8)] == costs
    frozen = jax.jit(lambda logits: expected_cost(logits, RING, 50).cost)
    assert {float(frozen(THETA)) for _ in range(4)} == {costs[0]}


def test_each_element_of_a_mapped_call_has_noise_of_its_own(double):
    logits = jnp.tile(THETA, (3, 1))

    def ask(w, step):
        return expected_cost(w, RING, 50, step=step)

    model = sc.Bernoulli(logits=THETA)
    for mapped, steps in ((jax.vmap(ask, (0, None)), 2), (jax.vmap(ask), np.array([2, 2, 7]))):
        numbers = np.broadcast_to(steps, 3)
        wanted = [sc.estimate(model, RING, 50, seed=noise(int(i), 0, b)) for b, i in enumerate(numbers)]
        for run in (mapped, jax.jit(mapped)):
            found = run(logits, steps)
            same(found.cost, [e.cost for e in wanted], np.float64)
            same(found.cost_se, [e.cost_se for e in wanted], np.float64)
            assert len({*found.cost.tolist()}) == 3
        grad = jax.jit(jax.vmap(jax.grad(lambda w, i: ask(w, i).cost), (0, None if np.ndim(steps) == 0 else 0)))
        same(grad(logits, steps), [e.grad for e in wanted], np.float64)
    twice = jax.vmap(jax.vmap(ask, (0, None)), (0, None))(jnp.tile(THETA, (2, 2, 1)), 1).cost
    wanted = [sc.estimate(model, RING, 50, seed=noise(1, 0, b)).cost for b in range(4)]
    same(twice, np.reshape(wanted, (2, 2)), np.float64)
    over_steps = jax.vmap(ask, (None, 0))(jnp.asarray(THETA), jnp.arange(3)).cost
    same(over_steps, [sc.estimate(model, RING, 50, seed=noise(b, 0, b)).cost for b in range(3)], np.float64)


def test_it_agrees_with_enumeration(double):
    exact = sc.exact(sc.Bernoulli(logits=THETA), price)
    run = jax.jit(jax.value_and_grad(lambda w, i: expected_cost(w, price, 16, step=i).cost))
    costs, grads = zip(*(run(THETA, i) for i in range(400)), strict=True)
    z = (np.mean(grads, axis=0) - exact.grad) / (np.std(grads, axis=0) / 20)
    assert np.all(abs(z) < 3.5)
    assert abs(np.mean(costs) - exact.cost) < 3.5 * np.std(costs) / 20


def test_gradients_go_through_a_network(double):
    x, weight, blame = RNG.normal(size=(3, 5)), RNG.normal(size=(5, 6)), np.array([1.0, -2.0, 0.5])

    @jax.jit
    def grad(weight, step):
        def total(weight):
            return blame @ expected_cost(x @ weight, price, 40_000, batch_ndims=1, step=step).cost

        return jax.grad(total)(weight)

    model = sc.Bernoulli(logits=x @ weight, batch_ndims=1)
    exact, e = sc.exact(model, price), sc.estimate(model, price, 40_000)
    by_rows = x.T * blame
    true, error = by_rows @ exact.grad, np.sqrt(by_rows**2 @ e.grad_se**2)
    assert np.all(abs((np.asarray(grad(weight, 4)) - true) / error) < 4)
    assert np.max(abs(true) / error) > 20  # so that a wrong sign or factor would be seen


def test_the_error_bar_has_no_gradient(double):
    grad = jax.grad(lambda w: expected_cost(w, RING, 100).cost_se)(jnp.asarray(THETA))
    assert grad.tolist() == [0.0] * 6


def test_it_runs_inside_loops(double):
    def step(logits, i):
        cost, grad = jax.value_and_grad(lambda w: expected_cost(w, RING, 64, step=i).cost)(logits)
        return logits - grad, cost

    _, costs = jax.lax.scan(step, jnp.asarray(THETA), jnp.arange(200))
    assert costs[-1] < -5.9  # all six edges of an even ring can be cut


def test_large_arrays_pass(x64):
    n, cost = 1 << 18, sc.costs.Linear(np.ones(1 << 18))
    run = jax.jit(jax.value_and_grad(lambda w, i: expected_cost(2 * w, cost, 32, step=i).cost))
    for i in range(3):
        found, grad = run(jnp.zeros(n), i)
        assert abs(found - n / 2) < 6 * np.sqrt(n / 4 / 32)
        assert grad.shape == (n,)


def test_numbers_of_eight_bytes_come_through_where_x64_does_not_hold():
    """As on the threads on which JAX runs callbacks now and then: logits, results and a step beyond 32 bits."""
    step = (1 << 40) + 3
    with jax.enable_x64(True):
        logits, number = jnp.asarray(THETA, jnp.float64) / 3, jnp.asarray(step)
        run = jax.jit(jax.value_and_grad(lambda w, i: expected_cost(w, RING, 50, seed=5, step=i).cost))
        compiled = run.lower(logits, number).compile()
        found, grad = map(np.asarray, run(logits, number))
    with jax.enable_x64(False):
        again, slope = map(np.asarray, compiled(logits, number))
    assert again.dtype == slope.dtype == np.float64
    assert (again.tobytes(), slope.tobytes()) == (found.tobytes(), grad.tobytes())
    own = sc.estimate(sc.Bernoulli(logits=np.asarray(logits)), RING, 50, seed=stream_of_step(sc.Stream(5), step))
    assert (float(found), grad.tobytes()) == (own.cost, own.grad.tobytes())


def test_jax_arrays_are_kept_where_they_stand(double):
    logits = jnp.linspace(-1, 1, 1 << 17)
    for taken in (sc.Bernoulli(logits=logits).parameters, sc.costs.Linear(logits).linear):
        assert taken.ctypes.data == logits.unsafe_buffer_pointer()
        assert not taken.flags.writeable


# Refused


def test_second_derivatives_are_refused():
    message = "expected_cost can be differentiated once: its gradient is an estimate without a derivative"
    with refuses(TypeError, message):
        jax.hessian(lambda w: expected_cost(w, RING, 50).cost)(jnp.asarray(THETA))
    with refuses(TypeError, message):
        jax.grad(lambda w: (jax.grad(lambda v: expected_cost(jnp.tanh(v), RING, 50).cost)(w) ** 2).sum())(
            jnp.asarray(THETA)
        )


BAD = {
    "integers": ((jnp.zeros(6, int), RING, 10), {}, TypeError, "`logits` must hold floats, got dtype int32"),
    "step": ((THETA, RING, 10), {"step": 0.5}, TypeError, "`step` must be an integer, got dtype float32 of shape ()"),
    "steps": (
        (THETA, RING, 10),
        {"step": np.arange(2)},
        TypeError,
        "`step` must be an integer, got dtype int32 of shape (2,)",
    ),
    "shape": (
        (np.zeros(4), RING, 10),
        {},
        ValueError,
        "`cost` must fit the sites (4,) of the model (batch ()), got MaxCut of 6 nodes",
    ),
    "samples": ((THETA, RING, 0), {}, ValueError, "`n_samples` must be at least 1, got 0"),
    "units": (
        (THETA, RING, 7),
        {"estimator": "antithetic"},
        ValueError,
        "`n_samples` must be a multiple of 2 for antithetic, such as 6 or 8, got 7",
    ),
    "noise": (
        (THETA, RING, 10),
        {"seed": Steps(0)},
        TypeError,
        "`seed` must be an int or a Stream, got Steps: jit would freeze them; count in `step`",
    ),
}


@pytest.mark.parametrize(("arguments", "options", "error", "message"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("compiled", [True, False], ids=["jit", "eager"])
def test_bad_arguments(arguments, options, error, message, compiled):
    def ask(logits):
        return expected_cost(logits, *arguments[1:], **options)

    with refuses(error, message):
        (jax.jit(ask) if compiled else ask)(arguments[0])


def broken(y):
    raise ZeroDivisionError("of one's own")


@pytest.mark.parametrize(
    ("logits", "cost", "step", "message"),
    [
        ([0.0, np.nan], price, 0, "ValueError: `logits` must be finite, got nan at index 1"),
        ([0.0, 0.0], broken, 0, "ZeroDivisionError: of one's own"),
        ([0.0, 0.0], lambda y: y[:, 0] / 0.0, 0, "ValueError: `cost` must be finite"),
        ([0.0, 0.0], price, -1, "ValueError: `step` must be at least 0, got -1"),
    ],
)
@pytest.mark.parametrize("compiled", [True, False], ids=["jit", "eager"])
@pytest.mark.filterwarnings("ignore:divide by zero|invalid value")
def test_what_is_wrong_with_numbers_comes_out_of_the_callback(logits, cost, step, message, compiled):
    def ask(logits, step):
        return expected_cost(logits, cost, 10, step=step)

    with pytest.raises((ValueError, RuntimeError), match=re.escape(message)):
        jax.block_until_ready((jax.jit(ask) if compiled else ask)(jnp.array(logits), step))


def test_tracers_are_no_arrays():
    with pytest.raises(TypeError, match=r"^`logits` must be an array that NumPy can view, got a \w*Tracer: "):
        jax.jit(lambda w: sc.Bernoulli(logits=w).mean)(jnp.zeros(3))
