"""interop.torch: the bits of `sc.estimate`, gradients by the chain rule against enumeration, and nothing copied."""

import pickle
import re
import threading

import numpy as np
import pytest

import stochcore as sc

torch = pytest.importorskip("torch")

from stochcore.interop._expected import Question  # noqa: E402
from stochcore.interop.torch import ExpectedCost, Steps, expected_cost, on_tensors  # noqa: E402

RNG = np.random.default_rng(8)
THETA = RNG.normal(size=6)
RING = sc.costs.MaxCut([(i, (i + 1) % 6) for i in range(6)])


def price(y):
    return (y.sum(axis=-1) - 2.25) ** 2


def leaf(numbers, dtype=None):
    return torch.tensor(numbers, dtype=dtype or torch.float64, requires_grad=True)


def refuses(error, message):
    return pytest.raises(error, match="^" + re.escape(message) + "$")


def tossed(draw, theta, x):
    draw.cost(float(draw.bernoulli(0)) + 2.0 * draw.bernoulli(1))


# The numbers

CASES = {
    "bits": (THETA, RING, {}),
    "bits of a function": (THETA, price, {}),
    "rows": (RNG.normal(size=(3, 6)), sc.costs.Linear(np.arange(6.0)), {"batch_ndims": 1}),
    "rows of a function": (RNG.normal(size=(2, 3, 4)), price, {"batch_ndims": 2}),
    "classes": (RNG.normal(size=(4, 3)), sc.costs.Table(RNG.normal(size=(4, 3))), {"family": sc.Categorical}),
    "disarm": (THETA, RING, {"estimator": "disarm"}),
    "options": (THETA, RING, {"estimator": sc.estimators.LeaveOneOut(k=4)}),
    "baseline": (THETA, RING, {"estimator": "score_function", "baseline": -3.0}),
    "local expectation": (THETA, RING, {"estimator": "local_expectation"}),
    "exact": (THETA, RING, {"estimator": "exact"}),
    "auto": (THETA, RING, {"estimator": "auto"}),
}


def model_of(theta, options):
    return options.get("family", sc.Bernoulli)(logits=theta, batch_ndims=options.get("batch_ndims", 0))


@pytest.mark.parametrize(("theta", "cost", "options"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("n_threads", [None, 1])
def test_the_bits_of_an_estimate(theta, cost, options, n_threads):
    others = {k: v for k, v in options.items() if k in ("estimator", "baseline")}
    for call in range(3):  # small calls go on with the model of the last one
        moved, seed = theta + call, sc.Stream(3 + call)
        e = sc.estimate(model_of(moved, options), cost, 600, seed=seed, **others)
        logits = leaf(moved)
        found = expected_cost(logits, cost, 600, seed=seed, n_threads=n_threads, **options)
        assert isinstance(found, ExpectedCost)
        assert found.cost.detach().numpy().tobytes() == np.asarray(e.cost).tobytes()
        assert found.cost_se.numpy().tobytes() == np.asarray(e.cost_se).tobytes()
        assert found.cost.shape == found.cost_se.shape == e.cost.shape
        assert found.cost.requires_grad
        assert not found.cost_se.requires_grad
        found.cost.sum().backward()
        assert logits.grad.numpy().tobytes() == np.ascontiguousarray(e.grad).tobytes()


def test_families_by_functions():
    rates = leaf([0.5, -0.5])
    found = expected_cost(rates, price, 500, family=lambda rate: sc.Poisson(log_rate=rate))
    e = sc.estimate(sc.Poisson(log_rate=[0.5, -0.5]), price, 500)
    found.cost.backward()
    assert (found.cost.item(), rates.grad.tolist()) == (e.cost, e.grad.tolist())
    theta = leaf([0.5, -0.5])
    model = sc.simulator(tossed)
    expected_cost(theta, None, 500, family=model).cost.backward()
    assert theta.grad.tolist() == sc.estimate(model([0.5, -0.5]), n_samples=500).grad.tolist()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_other_floats_are_converted(dtype):
    logits = leaf(THETA, getattr(torch, dtype))
    found = expected_cost(logits, RING, 500)
    found.cost.backward()
    e = sc.estimate(sc.Bernoulli(logits=logits.detach().double().numpy()), RING, 500)
    for ours, theirs in ((found.cost, e.cost), (found.cost_se, e.cost_se), (logits.grad, e.grad)):
        assert ours.dtype == logits.dtype
        assert torch.equal(ours.detach(), torch.tensor(theirs).to(ours.dtype))


def test_any_layout():
    rows = torch.tensor(RNG.normal(size=(6, 3)))
    odd = torch.complex(torch.zeros(1).double(), torch.ones(1).double()).conj().imag  # says 1, and is to be negated
    assert odd.is_neg()
    for logits in (rows.T, rows[:, 1], rows[::2, 1], rows[0, 0], odd, torch.nn.Parameter(rows[0].clone())):
        plain = sc.estimate(
            sc.Bernoulli(logits=logits.detach().resolve_neg().numpy()), lambda y: y.reshape(64, -1).sum(1), 64
        )
        assert expected_cost(logits, lambda y: y.reshape(64, -1).sum(1), 64).cost.item() == plain.cost


def test_it_agrees_with_enumeration():
    exact = sc.exact(sc.Bernoulli(logits=THETA), price)
    logits, noise, grads, costs = leaf(THETA), Steps(5), [], []
    for _ in range(400):
        cost, _ = expected_cost(logits, price, 16, seed=noise)
        (grad,) = torch.autograd.grad(cost, logits)
        costs.append(cost.item())
        grads.append(grad.numpy())
    z = (np.mean(grads, axis=0) - exact.grad) / (np.std(grads, axis=0) / 20)
    assert np.all(abs(z) < 3.5)
    assert abs(np.mean(costs) - exact.cost) < 3.5 * np.std(costs) / 20


def test_gradients_go_through_a_network():
    x, weight = torch.tensor(RNG.normal(size=(3, 5))), leaf(RNG.normal(size=(5, 6)))
    blame = torch.tensor([1.0, -2.0, 0.5])
    hidden = x @ weight
    cost, _ = expected_cost(hidden, price, 40_000, batch_ndims=1, seed=9)
    (blame * cost).sum().backward()
    model = sc.Bernoulli(logits=hidden.detach().numpy(), batch_ndims=1)
    exact, e = sc.exact(model, price), sc.estimate(model, price, 40_000, seed=9)
    by_rows = x.numpy().T * blame.numpy()
    true, error = by_rows @ exact.grad, np.sqrt(by_rows**2 @ e.grad_se**2)
    z = (weight.grad.numpy() - true) / error
    assert np.all(abs(z) < 4)
    assert np.all(abs(true) > 0)
    assert np.max(abs(true) / error) > 20  # so that a wrong sign or factor would be seen


# autograd


def test_without_gradients():
    logits = leaf(THETA)
    with torch.no_grad():
        quiet = expected_cost(logits, RING, 100)
    with torch.inference_mode():
        calm = expected_cost(logits, RING, 100)
    plain = expected_cost(logits.detach(), RING, 100)
    for found in (quiet, calm, plain):
        assert found.cost.grad_fn is None
        assert not found.cost.requires_grad
        assert found.cost.item() == expected_cost(logits, RING, 100).cost.item()


def test_second_derivatives_are_refused():
    message = "expected_cost can be differentiated once: its gradient is an estimate without a derivative"
    logits = leaf(THETA)
    (grad,) = torch.autograd.grad(expected_cost(logits, RING, 100).cost, logits, create_graph=True)
    assert grad.requires_grad
    with refuses(RuntimeError, message):
        grad.sum().backward()
    weight = leaf(np.eye(6))
    hidden = torch.tanh(weight @ torch.tensor(THETA))
    (grad,) = torch.autograd.grad(expected_cost(hidden, RING, 100).cost, weight, create_graph=True)
    with refuses(RuntimeError, message):
        torch.autograd.grad(grad.square().sum(), weight, allow_unused=True)


def test_a_graph_may_be_kept_and_used_twice():
    logits = leaf(THETA)
    cost, _ = expected_cost(logits, RING, 100)
    cost.backward(retain_graph=True)
    once = logits.grad.clone()
    (3 * cost).backward()
    assert torch.allclose(logits.grad, 4 * once)


def test_logits_may_move_in_place_before_the_backward_pass():
    logits = leaf(THETA)
    cost, _ = expected_cost(logits, RING, 100)
    with torch.no_grad():
        logits.add_(1.0)
    cost.backward()
    assert logits.grad.tolist() == sc.estimate(sc.Bernoulli(logits=THETA), RING, 100).grad.tolist()


# Noise


def test_noise_moves_on_by_steps():
    logits = torch.tensor(THETA)

    def run(steps, n):
        return [expected_cost(logits, RING, 50, seed=steps).cost.item() for _ in range(n)]

    steps = Steps(seed=4)
    costs = run(steps, 6)
    assert len(set(costs)) > 3
    assert steps.step == 6
    assert run(Steps(seed=4), 6) == costs
    assert run(Steps(seed=4, step=2), 4) == costs[2:]
    assert run(Steps(seed=5), 6) != costs
    children = sc.Stream(4).spawn(6)
    assert [expected_cost(logits, RING, 50, seed=child).cost.item() for child in children] == costs
    assert [next(it) for it in [iter(Steps(sc.Stream(4)))] * 6] == children
    assert repr(Steps(3, step=2)) == "Steps(Stream(3), step=2)"
    fixed = {expected_cost(logits, RING, 50, seed=4).cost.item() for _ in range(3)}
    assert len(fixed) == 1
    with refuses(ValueError, "`step` must be at least 0, got -1"):
        Steps(step=-1)


# Memory


def test_nothing_large_is_copied():
    logits = leaf(RNG.normal(size=1 << 18))
    seen = []
    expected_cost(logits, lambda y: y[:, 0], 32, family=lambda w: seen.append(w) or sc.Bernoulli(logits=w))
    assert seen[0].ctypes.data == logits.data_ptr()
    assert not seen[0].flags.writeable
    question = Question.of(None, 32, sc.Bernoulli, 0, "leave_one_out", None, None)
    assert question.model(seen[0]).parameters.ctypes.data == logits.data_ptr()
    model = sc.Bernoulli(logits=logits.detach())  # a value: it has a copy, as the tensor may change
    with torch.no_grad():
        logits.zero_()
    assert model.parameters.any()
    weights = torch.linspace(0, 1, 1 << 18, dtype=torch.float64)
    assert sc.costs.Linear(weights).linear.tobytes() == weights.numpy().tobytes()


def test_the_gradient_is_handed_over(monkeypatch):
    from stochcore.interop import torch as ours

    handed = []
    monkeypatch.setattr(ours, "_estimated", lambda logits, found: handed.append(found[1]) or found[0])
    answers, answer = [], Question.answer
    monkeypatch.setattr(Question, "answer", lambda *those: answers.append(answer(*those)) or answers[-1])
    expected_cost(leaf(np.zeros(1 << 18)), sc.costs.Linear(np.ones(1 << 18)), 32)
    assert handed[0].data_ptr() == answers[0].grad.ctypes.data


# Small calls


def test_a_call_does_not_depend_on_those_before():
    cost = sc.costs.Linear(np.arange(6.0))
    fresh = {}
    shapes = [((6,), {}), ((2, 6), {"batch_ndims": 1}), ((6,), {"estimator": "disarm"}), ((6,), {"estimator": "auto"})]
    calls = [
        (n, theta + np.zeros(shape), options) for n in (40, 60) for theta in (0.0, 1.5) for shape, options in shapes
    ]
    for i, (n, theta, options) in enumerate(calls):
        found = expected_cost(torch.tensor(theta), sc.costs.Linear(np.arange(6.0)), n, **options)
        fresh[i] = found.cost.tolist(), found.cost_se.tolist()
    for i in [*np.random.default_rng(0).permutation(len(calls)), *range(len(calls)), *np.repeat(range(len(calls)), 3)]:
        n, theta, options = calls[i]
        found = expected_cost(torch.tensor(theta), cost, n, **options)
        assert (found.cost.tolist(), found.cost_se.tolist()) == fresh[i]
    with refuses(ValueError, "`logits` must be finite, got nan at index 2"):
        expected_cost(torch.tensor([0.0, 0.0, np.nan, 0.0, 0.0, 0.0]).double(), cost, 60)
    assert pickle.dumps(cost) == pickle.dumps(sc.costs.Linear(np.arange(6.0)))


def test_threads_may_share_a_cost():
    thetas = [torch.tensor(THETA + i) for i in range(4)]
    alone = [expected_cost(theta, sc.costs.Linear(THETA), 200).cost.item() for theta in thetas]
    cost, wrong = sc.costs.Linear(THETA), []

    def work(i):
        for _ in range(200):
            if expected_cost(thetas[i], cost, 200, n_threads=1).cost.item() != alone[i]:
                wrong.append(i)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


def test_logits_are_not_kept_alive():
    import gc
    import weakref

    logits = torch.tensor(THETA)
    expected_cost(logits, RING, 50)
    gone = weakref.ref(logits)
    del logits
    gc.collect()
    assert gone() is None


# Costs of tensors


def test_costs_of_tensors():
    seen = []

    def of_tensors(y):
        seen.append((y.data_ptr(), y.dtype, torch.is_grad_enabled()))
        return (y.double().sum(dim=-1) - 2.25).square() + 0 * bias

    bias, logits = leaf(0.0), leaf(THETA)
    arrays, cost = [], on_tensors(of_tensors)
    found = expected_cost(logits, lambda y: arrays.append(y.ctypes.data) or cost(y), 500)
    assert found.cost.item() == sc.estimate(sc.Bernoulli(logits=THETA), price, 500).cost
    assert seen == [(arrays[0], torch.uint8, False)]
    with refuses(TypeError, "`cost` must be a callable J(y) of tensors, got int"):
        on_tensors(3)


def test_errors_of_costs_come_out():
    def broken(y):
        raise ZeroDivisionError("of one's own")

    with refuses(ZeroDivisionError, "of one's own"):
        expected_cost(leaf(THETA), on_tensors(broken), 10)
    with refuses(ValueError, "`cost` must return shape (10,) for y of shape (10, 6), got (10, 6)"):
        expected_cost(leaf(THETA), on_tensors(lambda y: y), 10)


# Bad input

BAD = {
    "array": (lambda: np.zeros(3), TypeError, "`logits` must be a torch.Tensor, got ndarray"),
    "integers": (
        lambda: torch.zeros(3, dtype=torch.int64),
        TypeError,
        "`logits` must hold floats, got dtype torch.int64",
    ),
    "complex": (
        lambda: torch.zeros(3, dtype=torch.complex64),
        TypeError,
        "`logits` must hold floats, got dtype torch.complex64",
    ),
    "elsewhere": (
        lambda: torch.zeros(3, device="meta"),
        TypeError,
        "`logits` must be on the CPU, got a tensor on meta: logits.cpu() moves it",
    ),
    "sparse": (
        lambda: torch.zeros(3).to_sparse(),
        TypeError,
        "`logits` must be dense, got layout torch.sparse_coo: logits.to_dense() makes it so",
    ),
    "nan": (lambda: torch.tensor([0.0, np.nan, 0.0]), ValueError, "`logits` must be finite, got nan at index 1"),
    "empty": (lambda: torch.zeros(0), ValueError, "`logits` must have at least one site, got shape (0,)"),
    "shape": (
        lambda: torch.zeros(4),
        ValueError,
        "`cost` must fit the sites (4,) of the model (batch ()), got weights of shape (3,) with batch_ndims=0",
    ),
}


@pytest.mark.parametrize(("make", "error", "message"), BAD.values(), ids=BAD)
def test_bad_logits(make, error, message):
    with refuses(error, message):
        expected_cost(make(), sc.costs.Linear([1.0, 2.0, 3.0]), 10)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"family": sc.Poisson},
            TypeError,
            "`family` must take logits, or be a function of an array such as lambda rate: sc.Poisson(log_rate=rate), "
            "got Poisson",
        ),
        (
            {"family": "bits"},
            TypeError,
            "`family` must be a class such as sc.Bernoulli, or a function that makes a family of an array, got 'bits'",
        ),
        (
            {"family": lambda w: sc.Bernoulli(logits=w), "batch_ndims": 1},
            ValueError,
            "`batch_ndims` goes with a class; a function sets its own, got 1",
        ),
        (
            {"family": lambda w: 3},
            TypeError,
            "`family` must return a family or a simulator with its theta, got 3",
        ),
        (
            {"family": lambda w: sc.Bernoulli(logits=w[:2])},
            ValueError,
            "`family` must return a family whose parameters are the array of shape (6,) that it is given, got "
            "Bernoulli(logits=<2>) with parameters <2>",
        ),
        ({"n_samples": 10.0}, TypeError, "`n_samples` must be an integer, got 10.0"),
        ({"n_threads": 0}, ValueError, "`n_threads` must be in [1, 1024], got 0"),
    ],
)
def test_bad_options(options, error, message):
    with refuses(error, message):
        expected_cost(leaf(THETA), price, **{"n_samples": 10, **options})


def test_tensors_in_other_places():
    for logits, why in (
        (leaf(THETA), "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."),
        (torch.zeros(3, device="meta"), "can't convert meta device type tensor to numpy."),
    ):
        message = f"`logits` must be an array that NumPy can view, got a {type(logits).__name__}: {why}"
        with pytest.raises(TypeError, match="^" + re.escape(message)):
            sc.Bernoulli(logits=logits)
