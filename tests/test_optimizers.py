"""optimisers and schedules: against their formulas in plain NumPy."""

from __future__ import annotations

import json
import math
import pickle
import re

import numpy as np
import pytest

import stochcore as sc
from stochcore import _optimize, schedules
from stochcore.optimizers import as_plain, from_plain

OPTIMIZERS = [
    sc.SGD(0.1),
    sc.Momentum(0.05, momentum=0.8),
    sc.RMSProp(0.02, decay=0.95, epsilon=1e-6),
    sc.Adam(0.01),
    sc.Adam(schedules.warmup(5, schedules.cosine_decay(0.1, 30, end=1e-3)), beta1=0.7, beta2=0.9),
    sc.SGD(schedules.linear_decay(0.1, 40)),
]


def ids(value: object) -> str:
    return repr(value)[:40]


def twin(optimizer, grads, start):
    """The formulas of csrc/kernels/optimize.h in NumPy, in the type of the parameters."""
    real = start.dtype.type
    p, m, v = start.copy(), np.zeros_like(start), np.zeros_like(start)
    rate = optimizer.learning_rate
    power = {"beta1": 1.0, "beta2": 1.0}
    for t, g in enumerate(grads):
        a = rate(t) if callable(rate) else rate
        if isinstance(optimizer, sc.SGD):
            p = p - real(a) * g
        elif isinstance(optimizer, sc.Momentum):
            m = real(optimizer.momentum) * m + g
            p = p - real(a) * m
        elif isinstance(optimizer, sc.RMSProp):
            v = real(optimizer.decay) * v + real(1 - optimizer.decay) * (g * g)
            p = p - real(a) * g / (np.sqrt(v) + real(optimizer.epsilon))
        else:
            b1, b2 = optimizer.beta1, optimizer.beta2
            power = {"beta1": power["beta1"] * b1, "beta2": power["beta2"] * b2}
            m = real(b1) * m + real(1 - b1) * g
            v = real(b2) * v + real(1 - b2) * (g * g)
            step = real(a * (1 / (1 - power["beta1"]))) * m
            p = p - step / (np.sqrt(v * real(1 / (1 - power["beta2"]))) + real(optimizer.epsilon))
    return p


def walk(optimizer, grads, start):
    """The same by the kernels."""
    p, moments = start.copy(), np.zeros((2, start.size), start.dtype)
    scalars = optimizer.scalars(0, len(grads))
    for t, g in enumerate(grads):
        _optimize.update(optimizer.kind, scalars, t, g, p, moments)
    return p


def some_grads(n, dtype, steps=50):
    grads = sc.Stream(3).normal((steps, n), dtype=dtype)
    grads[:, ::7] = 0.0  # a parameter that nothing moves: 0 / (0 + epsilon)
    return grads * np.logspace(-6, 6, n).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [1, 7, 8, 16, 53])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=ids)
def test_optimizer_is_its_formula(optimizer, n, dtype):
    grads, start = some_grads(n, dtype), sc.Stream(4).normal(n, dtype=dtype)
    found, want = walk(optimizer, grads, start), twin(optimizer, grads, start)
    assert found.dtype == dtype
    # Adam's powers of beta: by squaring in the one, factor by factor in the other. Their last bits differ.
    rtol = 4 * np.finfo(dtype).eps if isinstance(optimizer, sc.Adam) else 0
    np.testing.assert_allclose(found, want, rtol=rtol, atol=rtol * np.abs(start).max())


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=ids)
def test_update_of_a_slice_is_a_slice_of_the_update(optimizer, dtype):
    grads, start = some_grads(53, dtype), sc.Stream(4).normal(53, dtype=dtype)
    whole = walk(optimizer, grads, start)
    parts = [walk(optimizer, np.ascontiguousarray(grads[:, a:b]), start[a:b]) for a, b in ((0, 3), (3, 40), (40, 53))]
    assert np.concatenate(parts).tobytes() == whole.tobytes()


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=ids)
def test_scalars_depend_on_the_number_of_the_step_alone(optimizer):
    whole = optimizer.scalars(0, 300)
    cut = np.vstack([optimizer.scalars(a, b - a) for a, b in ((0, 1), (1, 17), (17, 17), (17, 256), (256, 300))])
    assert whole.shape == (300, 6)
    assert whole.tobytes() == cut.tobytes()


def test_scalars_of_adam():
    rate, b1, b2, c1, c2, epsilon = sc.Adam(0.5, 0.9, 0.999, 1e-7).scalars(999_999, 1)[0]
    assert (rate, b1, b2, epsilon) == (0.5, 0.9, 0.999, 1e-7)
    assert c1 == pytest.approx(1.0, abs=1e-15)
    assert c2 == pytest.approx(1.0 / (1.0 - 0.999**1_000_000), rel=1e-12)
    c1, c2 = sc.Adam(0.5).scalars(9, 1)[0, 3:5]
    assert c1 == pytest.approx(1 / (1 - 0.9**10), rel=1e-14)
    assert c2 == pytest.approx(1 / (1 - 0.999**10), rel=1e-12)


def test_update_refuses_what_does_not_fit():
    p, moments, scalars = np.zeros(3), np.zeros((2, 3)), sc.SGD(1.0).scalars(0, 2)
    with pytest.raises(ValueError, match=r"^no row 2 in scalars of shape \(2, 6\)$"):
        _optimize.update(0, scalars, 2, p, p, moments)
    with pytest.raises(ValueError, match=r"^arrays do not fit: 3 parameters, a gradient of 2, moments \(2, 3\)$"):
        _optimize.update(0, scalars, 0, p[:2], p, moments)
    fixed = p.copy()
    fixed.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        _optimize.update(0, scalars, 0, p, fixed, moments)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=ids)
def test_optimizers_are_values(optimizer):
    assert eval(repr(optimizer), {**vars(sc), "schedules": schedules}) == optimizer
    assert pickle.loads(pickle.dumps(optimizer)) == optimizer
    assert from_plain(json.loads(json.dumps(as_plain(optimizer)))) == optimizer
    assert hash(optimizer) == hash(pickle.loads(pickle.dumps(optimizer)))
    with pytest.raises(AttributeError):
        optimizer.learning_rate = 1.0


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: sc.SGD(0.0), ValueError, "`learning_rate` must be a positive finite number, got 0.0"),
        (lambda: sc.SGD(-1), ValueError, "`learning_rate` must be a positive finite number, got -1"),
        (lambda: sc.Adam(math.nan), ValueError, "`learning_rate` must be a positive finite number, got nan"),
        (lambda: sc.Adam(math.inf), ValueError, "`learning_rate` must be a positive finite number, got inf"),
        (lambda: sc.Adam("fast"), TypeError, "`learning_rate` must be a number, got 'fast'"),
        (lambda: sc.Adam(0.1, 1.0), ValueError, "`beta1` must lie in [0, 1), got 1.0"),
        (lambda: sc.Adam(0.1, beta2=-0.1), ValueError, "`beta2` must lie in [0, 1), got -0.1"),
        (lambda: sc.Adam(0.1, epsilon=0), ValueError, "`epsilon` must be at least 1e-30, got 0"),
        (lambda: sc.Adam(0.1, epsilon=math.inf), ValueError, "`epsilon` must be a finite number, got inf"),
        (lambda: sc.Momentum(0.1, 1), ValueError, "`momentum` must lie in [0, 1), got 1"),
        (lambda: sc.RMSProp(0.1, decay=2), ValueError, "`decay` must lie in [0, 1), got 2"),
        (lambda: schedules.constant(-1), ValueError, "`rate` must be a positive finite number, got -1"),
        (lambda: schedules.linear_decay(1, 0), ValueError, "`n_steps` must be at least 1, got 0"),
        (lambda: schedules.linear_decay(1, 2.5), TypeError, "`n_steps` must be an integer, got 2.5"),
        (lambda: schedules.cosine_decay(1, 9, -1), ValueError, "`end` must not be negative, got -1.0"),
        (
            lambda: schedules.exponential_decay(1, 9, 0),
            ValueError,
            "`factor` must be a positive finite number, got 0",
        ),
        (lambda: schedules.warmup(3, 0.0), ValueError, "`then` must be a positive finite number, got 0.0"),
        (
            lambda: sc.SGD(lambda t: 1.0 if t < 7 else math.nan).scalars(5, 5),
            ValueError,
            "`learning_rate` must be finite and not negative, got nan at step 7",
        ),
    ],
)
def test_bad_optimizers_say_so(make, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        make()


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        (schedules.constant(2), {0: 2.0, 10**9: 2.0}),
        (schedules.linear_decay(1.0, 4, end=0.5), {0: 1.0, 2: 0.75, 4: 0.5, 99: 0.5}),
        (schedules.cosine_decay(1.0, 4), {0: 1.0, 2: 0.5, 4: 0.0, 99: 0.0}),
        (schedules.exponential_decay(1.0, 2, 0.25), {0: 1.0, 1: 0.5, 4: 0.0625}),
        (schedules.warmup(3, 0.4), {0: 0.1, 1: 0.2, 2: 0.3, 3: 0.4, 50: 0.4}),
    ],
    ids=ids,
)
def test_schedules(schedule, rates):
    for step, rate in rates.items():
        assert schedule(step) == pytest.approx(rate, abs=1e-15)
        assert schedule(step) >= 0
    assert eval(repr(schedule), {"schedules": schedules}) == schedule
