"""Costs: the built-in ones against NumPy, and the protocol that a callable obeys."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stochcore import Bernoulli, Categorical, Stream, costs
from stochcore.costs import Linear, Quadratic

DTYPES = [bool, np.uint8, np.int8, np.int32, np.int64, np.uint64]
SITES = [1, 2, 7, 8, 9, 15, 16, 17, 33, 100]


def refuses(error, message):
    return pytest.raises(error, match="^" + re.escape(message) + "$")


def outcomes(rng, shape, dtype):
    return rng.integers(0, 2 if dtype is bool else 100, size=shape).astype(dtype)


# Built in. Weights that are small integers leave no rounding: every order of summation gives the same number.


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sites", SITES)
def test_linear(sites, dtype):
    rng = np.random.default_rng(sites)
    y = outcomes(rng, (6, sites), dtype)
    w = rng.integers(-1000, 1000, size=sites).astype(float)
    expected = y.astype(float) @ w
    j = Linear(w)(y)
    assert j.dtype == np.float64
    assert np.array_equal(j, expected)
    w = rng.normal(size=sites)
    np.testing.assert_allclose(Linear(w)(y), y.astype(float) @ w, rtol=1e-12, atol=1e-12 * abs(w).sum())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sites", SITES)
def test_quadratic(sites, dtype):
    rng = np.random.default_rng(sites)
    y = outcomes(rng, (6, sites), dtype)
    f = y.astype(float)
    Q, b = (rng.integers(-50, 50, size=size).astype(float) for size in ((sites, sites), sites))
    expected = np.einsum("ni,ij,nj->n", f, Q, f)
    assert np.array_equal(Quadratic(Q)(y), expected)  # Q is not symmetric
    assert np.array_equal(Quadratic(Q, b)(y), expected + f @ b)
    Q, b = rng.normal(size=(sites, sites)), rng.normal(size=sites)
    expected = np.einsum("ni,ij,nj->n", f, Q, f) + f @ b
    size = f.max() ** 2 * abs(Q).sum() + f.max() * abs(b).sum()
    np.testing.assert_allclose(Quadratic(Q, b)(y), expected, rtol=1e-12, atol=1e-14 * size)


def test_negative_outcomes():
    y = np.array([[-3, 2], [0, -1]])
    assert Linear([1.0, 10.0])(y).tolist() == [17.0, -10.0]
    assert Quadratic([[1.0, 2.0], [3.0, 4.0]], b=[1.0, 1.0])(y).tolist() == [9 - 30 + 16 - 1, 4 - 1]


@pytest.mark.parametrize("n", [0, 1, 33, 5000])
def test_many_rows_have_the_bits_of_one(n):
    rng = np.random.default_rng(n)
    y = rng.integers(0, 2, size=(n, 21)).astype(np.uint8)
    for cost in (Linear(rng.normal(size=21)), Quadratic(rng.normal(size=(21, 21)), rng.normal(size=21))):
        j = cost(y)
        assert j.shape == (n,)
        for i in range(0, n, 97):
            assert cost(y[i]) == j[i]
            assert cost(y[i]).shape == ()


@pytest.mark.parametrize("sites", SITES)
def test_every_outcome_type_has_the_same_bits(sites):
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, size=(50, sites))
    linear = Linear(rng.normal(size=sites))
    quadratic = Quadratic(rng.normal(size=(sites, sites)), rng.normal(size=sites))
    for dtype in DTYPES[1:]:
        assert quadratic(y.astype(dtype)).tobytes() == quadratic(y.astype(bool)).tobytes()
        wide = linear(y.astype(dtype))
        np.testing.assert_allclose(wide, linear(y.astype(bool)), rtol=1e-12, atol=1e-13)


def test_any_layout_of_outcomes():
    rng = np.random.default_rng(2)
    y = rng.integers(0, 9, size=(10, 6), dtype=np.int32)
    crooked = np.frombuffer(bytearray(y.size * 4 + 1), dtype=np.int32, offset=1).reshape(y.shape)
    crooked[...] = y
    frozen = y.copy()
    frozen.flags.writeable = False
    for cost in (Linear(rng.normal(size=6)), Quadratic(rng.normal(size=(6, 6)))):
        j = cost(y)
        for other in (y.tolist(), np.asfortranarray(y), np.repeat(y, 2, axis=1)[:, ::2], frozen, crooked):
            assert cost(other).tobytes() == j.tobytes()
        assert np.array_equal(cost(y.reshape(2, 5, 6)), j.reshape(2, 5))


@given(st.data())
def test_shapes_of_sites_and_problems(data):
    lead, batch, event = (tuple(data.draw(st.lists(st.integers(1, 4), max_size=2))) for _ in ("lead", "batch", "event"))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    y = rng.integers(0, 5, size=(*lead, *batch, *event))
    w = rng.integers(-9, 9, size=(*batch, *event)).astype(float)
    expected = (y * w).reshape(*lead, *batch, -1).sum(axis=-1)
    own = Linear(w, batch_ndims=len(batch))
    assert (own.batch_shape, own.event_shape) == (batch, event)
    assert np.array_equal(own(y), expected)
    shared = rng.integers(-9, 9, size=event).astype(float)
    assert np.array_equal(Linear(shared)(y), (y * shared).reshape(*lead, *batch, -1).sum(axis=-1))


def test_quadratic_of_a_batch():
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, size=(7, 2, 3, 5))
    Q, b = (rng.integers(-9, 9, size=(2, 3, *size)).astype(float) for size in ((5, 5), (5,)))
    cost = Quadratic(Q, b, batch_ndims=2)
    assert (cost.batch_shape, cost.event_shape) == ((2, 3), (5,))
    expected = np.einsum("nbci,bcij,nbcj->nbc", y, Q, y) + (y * b).sum(axis=-1)
    assert np.array_equal(cost(y), expected)
    assert np.array_equal(Quadratic(Q[0, 0])(y), np.einsum("nbci,ij,nbcj->nbc", y, Q[0, 0], y))


def test_a_cost_keeps_its_weights():
    w, Q, b = np.ones(3), np.eye(3), np.ones(3)
    linear, quadratic = Linear(w), Quadratic(Q, b)
    for weights in (w, Q, b):
        weights[...] = np.nan
    assert linear([1, 1, 0]) == 2.0
    assert quadratic([1, 1, 0]) == 4.0


def test_weights_of_other_types():
    assert Linear([1, 2])([[1, 1]]).tolist() == [3.0]
    assert Linear(np.array([0.5, 2.0], np.float32))([[1, 1]]).tolist() == [2.5]
    assert Linear(2.0)([3, 4]).tolist() == [6.0, 8.0]
    assert Quadratic(np.arange(4.0).reshape(2, 2).T)([[0, 1], [1, 1]]).tolist() == [3.0, 6.0]


def test_a_cost_of_samples():
    q, w = Bernoulli(logits=np.zeros(5)), np.arange(5.0)
    y = q.sample(100, Stream(0))
    assert np.array_equal(Linear(w)(y), y @ w)
    y = Categorical(logits=np.zeros((5, 3))).sample(100, Stream(0))
    assert np.array_equal(Linear(w)(y), y @ w)


def test_repr():
    assert repr(Linear([1.0, 2.0])) == "costs.Linear(<2>)"
    assert repr(Linear(1.0)) == "costs.Linear(<scalar>)"
    assert repr(Linear(np.ones((3, 2)), batch_ndims=1)) == "costs.Linear(<3 x 2>)"
    assert repr(Quadratic(np.eye(4))) == "costs.Quadratic(<4>)"


# Bad weights

REAL = "must hold real numbers (float64 or what converts to it), got dtype"
SQUARE = "`Q` must have shape (D, D) after {} axes of problems, got {}"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Linear([1.0, np.nan]), ValueError, "`w` must be finite, got nan at index 1"),
        (lambda: Linear([[np.inf, 1.0]]), ValueError, "`w` must be finite, got inf at index (0, 0)"),
        (lambda: Linear([1j]), TypeError, f"`w` {REAL} complex128"),
        (lambda: Linear(["1"]), TypeError, f"`w` {REAL} <U1"),
        (lambda: Linear(None), TypeError, f"`w` {REAL} object"),
        (lambda: Linear([[1], [1, 2]]), ValueError, "`w` must be a rectangular array, got [[1], [1, 2]]"),
        (lambda: Linear([]), ValueError, "`w` must have at least one site, got shape (0,)"),
        (lambda: Linear([1.0], batch_ndims=2), ValueError, "`batch_ndims` must be in [0, 1], got 2"),
        (lambda: Linear([1.0], batch_ndims=True), TypeError, "`batch_ndims` must be an integer, got True"),
        (lambda: Quadratic(np.zeros((2, 3))), ValueError, SQUARE.format(0, "(2, 3)")),
        (lambda: Quadratic([1.0, 2.0]), ValueError, SQUARE.format(0, "(2,)")),
        (lambda: Quadratic(1.0), ValueError, SQUARE.format(0, "()")),
        (lambda: Quadratic(np.zeros((0, 0))), ValueError, SQUARE.format(0, "(0, 0)")),
        (lambda: Quadratic(np.zeros((4, 2, 2))), ValueError, SQUARE.format(0, "(4, 2, 2)")),
        (lambda: Quadratic(np.eye(2), batch_ndims=1), ValueError, SQUARE.format(1, "(2, 2)")),
        (
            lambda: Quadratic(np.eye(2), batch_ndims=-1),
            ValueError,
            "`batch_ndims` must be at least 0, got -1",
        ),
        (
            lambda: Quadratic([[0.0, np.nan], [0.0, 0.0]]),
            ValueError,
            "`Q` must be finite, got nan at index (0, 1)",
        ),
        (lambda: Quadratic(np.eye(2), [1.0]), ValueError, "`b` must have shape (2,), got (1,)"),
        (lambda: Quadratic(np.eye(2), 1.0), ValueError, "`b` must have shape (2,), got ()"),
        (lambda: Quadratic(np.eye(2), [1.0, np.nan]), ValueError, "`b` must be finite, got nan at index 1"),
        (lambda: Quadratic(np.eye(2), [True, True]), TypeError, f"`b` {REAL} bool"),
    ],
)
def test_bad_weights(call, error, message):
    with refuses(error, message):
        call()


@pytest.mark.parametrize("cost", [Linear([1.0, 2.0]), Quadratic(np.eye(2))])
@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        ([0.0, np.nan], ValueError, "`y` must be finite, got nan at index 1"),
        ([1j, 0.0], TypeError, "`y` must hold integers, got dtype complex128"),
        ([None, 1], TypeError, "`y` must hold integers, got dtype object"),
        ([0, 1, 1], ValueError, "`y` must have the sites (2,) as its last axes, got shape (3,)"),
        ([[0], [1]], ValueError, "`y` must have the sites (2,) as its last axes, got shape (2, 1)"),
        (1, ValueError, "`y` must have the sites (2,) as its last axes, got shape ()"),
        ([0, 2**31], ValueError, "`y` must fit into int32, got values from 0 to 2147483648"),
        ([-(2**31) - 1, 0], ValueError, "`y` must fit into int32, got values from -2147483649 to 0"),
    ],
)
def test_bad_outcomes(cost, y, error, message):
    with refuses(error, message):
        cost(y)


# How a cost fits a model


def test_fit():
    linear, own = Linear(np.ones((2, 3))), Linear(np.ones((4, 2, 3)), batch_ndims=1)
    assert linear.fit((), (2, 3)) == 0  # shared: no stride
    assert linear.fit((4,), (2, 3)) == 0
    assert own.fit((4,), (2, 3)) == 6
    assert Quadratic(np.eye(6)).fit((), (2, 3)) == 0
    assert Quadratic(np.zeros((4, 6, 6)), batch_ndims=1).fit((4,), (6,)) == 6
    for cost, batch, event in (
        (linear, (), (3, 2)), (linear, (), (6,)), (linear, (2,), (3,)), (own, (), (2, 3)), (own, (5,), (2, 3)),
        (own, (), (4, 2, 3)), (Quadratic(np.eye(6)), (), (2, 2)),
    ):  # fmt: skip
        message = (
            f"`cost` must fit the sites {batch + event} of the model (batch {batch}), "
            f"got weights of shape {cost.linear.shape} with batch_ndims={cost.batch_ndims}"
        )
        with refuses(ValueError, message):
            cost.fit(batch, event)


# Callables


def test_as_cost():
    linear = Linear([1.0])
    assert costs.as_cost(linear) is linear
    assert costs.as_cost(len) is len
    for wrong, came in ((None, "None"), (3, "3"), ("sum", "'sum'"), (np.zeros(99), "a ndarray")):
        with refuses(TypeError, f"`cost` must be one of stochcore.costs or a callable J(y), got {came}"):
            costs.as_cost(wrong)


def test_a_callable_sees_outcomes_that_it_cannot_change():
    def cost(y):
        y[0] = 1
        return y.sum(axis=1)

    y = np.zeros((3, 2), np.uint8)
    with pytest.raises(ValueError, match="read-only"):
        costs.evaluate(cost, y, ())
    assert not y.any()


def test_values_of_a_callable():
    y = np.zeros((3, 4), np.uint8)
    for given_as in (
        [1, 2, 3],
        (1.0, 2.0, 3.0),
        np.array([1, 2, 3], np.int8),
        np.array([1, 2, 3], np.float32),
    ):
        values = costs.evaluate(lambda _, v=given_as: v, y, ())
        assert values.dtype == np.float64
        assert values.tolist() == [1.0, 2.0, 3.0]
    assert costs.evaluate(lambda y: y.any(axis=1), y, ()).tolist() == [0.0] * 3
    assert costs.evaluate(lambda y: np.asfortranarray(y[:, :2]), y, (2,)).flags.c_contiguous


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (np.zeros(2), ValueError, "`cost` must return shape (3,) for y of shape (3, 4), got (2,)"),
        (np.zeros((3, 1)), ValueError, "`cost` must return shape (3,) for y of shape (3, 4), got (3, 1)"),
        (0.0, ValueError, "`cost` must return shape (3,) for y of shape (3, 4), got ()"),
        (None, TypeError, "`cost` must return real numbers, got dtype object"),
        (np.zeros(3, complex), TypeError, "`cost` must return real numbers, got dtype complex128"),
        (["a", "b", "c"], TypeError, "`cost` must return real numbers, got dtype <U1"),
    ],
)
def test_wrong_values_of_a_callable(value, error, message):
    with refuses(error, message):
        costs.evaluate(lambda _: value, np.zeros((3, 4), np.uint8), ())


def test_the_exception_of_a_callable_comes_out_unchanged():
    error = KeyError("mine")

    def cost(_):
        raise error

    with pytest.raises(KeyError) as caught:
        costs.evaluate(cost, np.zeros((3, 4), np.uint8), ())
    assert caught.value is error
