"""Arrays of others: seen without a copy, kept without one where nobody writes to them, refused with their own words."""

import re
import tracemalloc

import numpy as np
import pytest

import stochcore as sc
from stochcore import _views

N = 1 << 17  # 1 MB


class ByInterface:
    def __init__(self, array):
        self.array, self.__array_interface__ = array, array.__array_interface__


class ByArray:
    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


class ByDLPack:
    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


KINDS = {"ndarray": lambda a: a, "memoryview": memoryview, "interface": ByInterface, "array": ByArray}
BOTH = pytest.mark.parametrize("kind", [*KINDS, "dlpack"])
TAKERS = {
    "bits": lambda x: sc.Bernoulli(logits=x).parameters,
    "rates": lambda x: sc.Poisson(log_rate=x).parameters,
    "linear": lambda x: sc.costs.Linear(x).linear,
}


def numbers(n=N, dtype=np.float64):
    return np.linspace(-1, 1, n).astype(dtype)


def address(array):
    return array.__array_interface__["data"][0]


@BOTH
@pytest.mark.parametrize("take", TAKERS.values(), ids=TAKERS)
def test_any_kind_gives_the_same_numbers(kind, take):
    given = {**KINDS, "dlpack": ByDLPack}[kind](numbers())
    assert take(given).tobytes() == numbers().tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("take", TAKERS.values(), ids=TAKERS)
def test_what_nobody_writes_to_is_kept_where_it_stands(kind, take):
    frozen = numbers()
    frozen.flags.writeable = False
    given = KINDS[kind](frozen)
    shared = address(take(given)) == address(frozen)
    # The owner of what a memoryview or an interface shows may be anybody: such are copied.
    assert shared is (kind in ("ndarray", "array"))


def test_bytes_are_kept_where_they_stand():
    held = numbers().tobytes()
    array = np.frombuffer(held)
    assert address(sc.Bernoulli(logits=array).parameters) == address(array)
    assert address(sc.Bernoulli(logits=memoryview(held).cast("d")).parameters) == address(array)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("take", TAKERS.values(), ids=TAKERS)
def test_what_somebody_may_write_to_is_copied(kind, take):
    array = numbers()
    taken = take(KINDS[kind](array))
    array[:] = 7.0
    assert taken.tobytes() == numbers().tobytes()


def test_a_read_only_view_of_what_can_be_written_to_is_copied():
    array = numbers()
    view = array.view()
    view.flags.writeable = False
    model = sc.Bernoulli(logits=view)
    array[:] = 7.0
    assert model.parameters.tobytes() == numbers().tobytes()
    array = bytearray(numbers().tobytes())
    model = sc.Bernoulli(logits=memoryview(array).toreadonly().cast("d"))
    array[:8] = bytes(8)
    assert model.parameters.tobytes() == numbers().tobytes()


def peak(take):
    """The most memory that was allocated at a time, in bytes."""
    tracemalloc.start()
    try:
        kept = take()
        return tracemalloc.get_traced_memory()[1], kept
    finally:
        tracemalloc.stop()


def test_conversions_are_made_once():
    small = numbers(dtype=np.float32)
    for given in (small, numbers()[::-1], ByArray(small)):
        most, _ = peak(lambda given=given: sc.costs.Linear(given))
        assert 8 * N <= most < 8 * N + 10_000
    listed = [0.5] * N
    most, _ = peak(lambda: sc.costs.Linear(listed))
    assert 8 * N <= most < 8 * N + 10_000
    frozen = numbers()
    frozen.flags.writeable = False
    most, _ = peak(lambda: sc.costs.Linear(frozen))
    assert most < 10_000
    most, _ = peak(lambda: sc.costs.Table(frozen.reshape(-1, 2)))
    assert most < 10_000


def test_converted_parameters_cannot_be_written_to():
    for given in (numbers(dtype=np.float32), numbers(), numbers().tolist(), numbers(4)):
        with pytest.raises(ValueError, match="read-only"):
            sc.Bernoulli(logits=given).parameters[0] = 1.0


def test_costs_from_kept_weights_are_the_same():
    frozen = np.arange(160_000.0).reshape(400, 400) % 7
    frozen.flags.writeable = False
    assert frozen.nbytes > 1 << 20
    y = sc.Bernoulli(logits=np.zeros(400)).sample(5, sc.Stream(1))
    kept, copied = sc.costs.Quadratic(frozen), sc.costs.Quadratic(frozen.copy())
    assert address(kept.quadratic) == address(frozen) != address(copied.quadratic)
    assert kept(y).tobytes() == copied(y).tobytes()
    assert kept.negated()(y).tobytes() == copied.negated()(y).tobytes()


class Refusing:
    def __init__(self, error):
        self.error = error

    def __array__(self, dtype=None, copy=None):
        raise self.error


@pytest.mark.parametrize("error", [TypeError, RuntimeError, BufferError])
def test_what_others_say_is_told(error):
    message = "`logits` must be an array that NumPy can view, got a Refusing: it stands elsewhere"
    with pytest.raises(TypeError, match="^" + re.escape(message) + "$"):
        sc.Bernoulli(logits=Refusing(error("it stands elsewhere\nand more")))


def test_lent_arrays():
    array = numbers()
    view = _views.lent(address(array), (2, N // 2), array)
    assert view.tobytes() == array.tobytes()
    assert not view.flags.writeable
    assert address(sc.Bernoulli(logits=view).parameters) == address(array)
    with pytest.raises(ValueError, match="at most 64 axes, and is aligned"):
        _views.lent(address(array) + 1, (3,), array)
