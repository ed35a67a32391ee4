"""Streams are values: seeds, equality, pickles, children; what is refused; forks, threads and outputs."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams import ENGINES, LAST, begins, engines, exactly, numbers, offsets, same, seeds

import stochcore as sc
from stochcore import Stream, noise

# A Stream is a value.


def test_a_stream_is_asked_again():
    s = Stream(4)
    assert same(s.uniform(100), s.uniform(100))
    assert same(s.at(7).at(8).uniform(10), s.at(15).uniform(10))


def test_equality_and_hash():
    s = Stream(3, stream=2).at(10)
    assert s == Stream(3, stream=2).at(4).at(6)
    assert hash(s) == hash(Stream(3, stream=2).at(10))
    others = [Stream(4, stream=2).at(10), Stream(3).at(10), Stream(3, stream=2), s._replace(purpose=1)]
    others += [Stream(3, stream=2, engine=engine).at(10) for engine in ("ars10", "philox")]
    assert all(s != other for other in others)
    assert len({s, *others, copy.copy(s)}) == 7
    assert s != 3
    assert Stream(0).at(LAST) != Stream(0)


def test_attributes_are_read_only():
    s = Stream(3, stream=2).at(10)
    assert (s.seed, s.stream, s.engine, s.offset) == (3, 2, "ars", 10)
    assert Stream(3).at(LAST).offset == LAST
    for name in ("seed", "stream", "engine", "offset", "_purpose", "anything"):
        message = f"a Stream is a value: make another one instead of setting `{name}`"
        with pytest.raises(AttributeError, match=exactly(message)):
            setattr(s, name, 1)
    with pytest.raises(AttributeError, match=exactly("a Stream is a value: `seed` stays")):
        del s.seed
    assert s == Stream(3, stream=2).at(10)


@given(seeds, numbers, engines, st.one_of(offsets, st.just(LAST)), st.sampled_from([0, 16]))
def test_copies(seed, number, engine, offset, purpose):
    s = Stream(seed, stream=number, engine=engine).at(offset)._replace(purpose=purpose)
    for other in (eval(repr(s)), pickle.loads(pickle.dumps(s)), copy.copy(s), copy.deepcopy(s)):
        assert other == s
        assert type(other) is Stream
        assert same(other.uniform(0 if offset == LAST else 5), s.uniform(0 if offset == LAST else 5))


def test_repr():
    assert repr(Stream(7)) == "Stream(7)"
    assert repr(Stream(7, stream=3).at(5)) == "Stream(7, stream=3).at(5)"
    assert repr(Stream(7, stream=3, engine="philox")) == "Stream(7, stream=3, engine='philox')"


class FromTheFuture:
    """Pickles as a Stream of format 3 would, with one number more."""

    def __reduce__(self):
        return noise._unpickle, (3, 7, 0, "threefry", 0, 0, 1)


def test_a_pickle_from_a_newer_version():
    message = "this Stream was pickled by a newer stochcore (format 3, this one reads up to 1)"
    with pytest.raises(ValueError, match=exactly(message)):
        pickle.loads(pickle.dumps(FromTheFuture()))


# Seeds.


def test_seeds_of_numpy():
    seq = np.random.SeedSequence(5, spawn_key=(2,))
    want = int(seq.generate_state(1, np.uint64)[0])
    assert Stream(seq) == Stream(seq) == Stream(want)
    a, b = np.random.default_rng(5), np.random.default_rng(5)
    first, second = b.integers(2**64 - 1, size=2, dtype=np.uint64, endpoint=True).tolist()
    assert [Stream(a), Stream(a.bit_generator, stream=4)] == [Stream(first), Stream(second, stream=4)]
    assert a.random() == b.random()
    narrow = Stream(np.random.MT19937(1))  # which gives 32 bits at a time
    assert narrow.seed >> 32 != 0
    assert narrow.seed % 2**32 != 0


@pytest.mark.parametrize("kind", [list, tuple, np.array, lambda seed: np.array(seed, dtype=np.uint8)])
def test_seeds_from_a_sequence(kind):
    want = np.random.SeedSequence([3, 1, 4]).generate_state(1, np.uint64)[0]
    assert Stream(kind([3, 1, 4])).seed == want
    assert Stream(kind([3, 1, 5])).seed != want
    assert Stream(range(3)) == Stream([0, 1, 2])
    assert Stream([2**100]) != Stream([2**100 + 1])


def test_fresh_entropy():
    streams = [Stream(None) for _ in range(20)]
    assert len(set(streams)) == 20
    assert eval(repr(streams[0])) == streams[0]  # drawn once


def test_integer_seeds():
    for seed in (7, np.int8(7), np.uint64(7), np.array(7)):
        assert Stream(seed).seed == 7
    assert Stream(2**64 - 1).seed == 2**64 - 1


def test_as_stream():
    s = Stream(7).at(1)
    assert noise.as_stream(s) is s
    assert noise.as_stream(7) == Stream(7)
    assert noise.as_stream([7, 8]) == Stream([7, 8])
    with pytest.raises(TypeError, match=begins("`seed` must be an integer, a sequence of integers, None or")):
        noise.as_stream("7")


def test_seeds_of_everything_else():
    model, cost = sc.Bernoulli(logits=[0.3, -0.2]), sc.costs.Linear([1.0, 2.0])
    want = sc.estimate(model, cost, 100, seed=Stream([1, 2]).seed)
    assert same(sc.estimate(model, cost, 100, seed=[1, 2]).grad, want.grad)
    assert same(sc.estimate(model, cost, 100, seed=np.random.SeedSequence([1, 2])).grad, want.grad)
    rng = np.random.default_rng(0)
    one, two = (sc.estimate(model, cost, 100, seed=rng) for _ in range(2))
    assert not same(one.grad, two.grad)


# Children.


def test_children_are_values():
    s = Stream(7, stream=1)
    children = s.spawn(7)
    assert s.spawn(7) == children
    assert children[5:] == s.at(5).spawn(2)
    assert all(type(child) is Stream and child.offset == 0 and child.engine == "ars" for child in children)
    assert Stream(7, engine="philox").spawn(1)[0].engine == "philox"


@pytest.mark.parametrize("engine", ENGINES)
def test_a_child_is_a_block_of_its_purpose(engine):
    s = Stream(7, stream=1, engine=engine)
    words = s._replace(purpose=noise.SPAWNING).bits((9, 4), dtype=np.uint32).tolist()
    want = [Stream(b << 32 | a, stream=c, engine=engine) for a, b, c, _ in words]
    assert s.spawn(9) == want
    assert s.at(2**62 - 1).spawn(1)[0].seed != want[0].seed


def test_children_differ():
    parents = [Stream(seed, stream=k, engine=engine) for seed in range(3) for k in range(3) for engine in ENGINES]
    parents += [Stream(0)._replace(purpose=16)]
    streams = parents + [child for parent in parents for child in parent.spawn(30)]
    streams += [child for parent in Stream(0).spawn(30) for child in parent.spawn(30)]
    assert len(set(streams)) == len(streams)
    assert np.unique([s.bits(10) for s in streams]).size == 10 * len(streams)


def test_children_are_uncorrelated():
    x = np.array([child.normal(5000) for child in Stream(1).spawn(40)])
    r = np.corrcoef(x)[np.triu_indices(40, 1)]
    assert abs(r).max() < 4.5 / np.sqrt(5000)


def test_the_last_child():
    assert len(Stream(0).at(2**62 - 2).spawn(2)) == 2
    for start, n in ((2**62 - 2, 3), (2**62, 1), (0, 2**62 + 1), (LAST, 1)):
        message = f"a stream has 2^62 children: {n} from element {start} on do not fit"
        with pytest.raises(ValueError, match=exactly(message)):
            Stream(0).at(start).spawn(n)


# Bad input.

SEED_RANGE = "`seed` must be in [0, 2^64 - 1], got "
SEED = (
    "`seed` must be an integer, a sequence of integers, None or a NumPy SeedSequence, Generator or BitGenerator, got "
)
STREAM_RANGE = "`stream` must be in [0, 2^32 - 1], got "
S = Stream(0)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Stream(-1), ValueError, SEED_RANGE + "-1"),
        (lambda: Stream(2**64), ValueError, SEED_RANGE + "18446744073709551616"),
        (lambda: Stream(1 << 50_000), ValueError, SEED_RANGE + "an integer of 50001 bits"),
        (lambda: Stream(1.0), TypeError, SEED + "1.0"),
        (lambda: Stream(np.float32(1)), TypeError, SEED + "np.float32(1.0)"),
        (lambda: Stream(True), TypeError, "`seed` must be an integer, got True"),
        (lambda: Stream(np.True_), TypeError, "`seed` must be an integer, got np.True_"),
        (lambda: Stream("1"), TypeError, SEED + "'1'"),
        (lambda: Stream(b"1"), TypeError, SEED + "b'1'"),
        (lambda: Stream({1}), TypeError, SEED + "{1}"),
        (lambda: Stream(S), TypeError, SEED + "Stream(0)"),
        (lambda: Stream(np.random.RandomState(1)), TypeError, begins(SEED)),
        (lambda: Stream([]), ValueError, "`seed` must hold at least one integer, got []"),
        (lambda: Stream(np.array([])), ValueError, "`seed` must hold at least one integer, got []"),
        (lambda: Stream([1, -2]), ValueError, "`seed[1]` must be at least 0, got -2"),
        (lambda: Stream([1, 2.0]), TypeError, "`seed[1]` must be an integer, got 2.0"),
        (lambda: Stream([True]), TypeError, "`seed[0]` must be an integer, got True"),
        (lambda: Stream(np.array([0.5])), TypeError, "`seed[0]` must be an integer, got 0.5"),
        (lambda: Stream(np.array([[1, 2]])), TypeError, "`seed[0]` must be an integer, got [1, 2]"),
        (lambda: Stream(np.array(0.5)), TypeError, SEED + "0.5"),
        (lambda: Stream(0, stream=-1), ValueError, STREAM_RANGE + "-1"),
        (lambda: Stream(0, stream=2**32), ValueError, STREAM_RANGE + "4294967296"),
        (lambda: Stream(0, stream=0.5), TypeError, "`stream` must be an integer, got 0.5"),
        (lambda: Stream(0, stream=False), TypeError, "`stream` must be an integer, got False"),
        (
            lambda: Stream(0, engine="mt19937"),
            ValueError,
            "`engine` must be one of 'philox', 'ars', 'ars10', got 'mt19937'",
        ),
        (lambda: Stream(0, engine=0), TypeError, "`engine` must be a string, got 0"),
        (lambda: S.at(-1), ValueError, "`offset` must be at least 0, got -1"),
        (lambda: S.at(5).at(-1), ValueError, "`offset` must be at least 0, got -1"),
        (lambda: S.at(1.0), TypeError, "`offset` must be an integer, got 1.0"),
        (lambda: S.at(True), TypeError, "`offset` must be an integer, got True"),
        (lambda: S.spawn(0), ValueError, "`n` must be at least 1, got 0"),
        (lambda: S.spawn(-3), ValueError, "`n` must be at least 1, got -3"),
        (lambda: S.spawn(2.0), TypeError, "`n` must be an integer, got 2.0"),
        (lambda: S.uniform(-1), ValueError, "`shape` must be at least 0, got -1"),
        (lambda: S.uniform((2, -3)), ValueError, "`shape` must be at least 0, got -3"),
        (lambda: S.uniform(2.0), TypeError, "`shape` must be an integer, got 2.0"),
        (lambda: S.uniform((2, "3")), TypeError, "`shape` must be an integer, got '3'"),
        (lambda: S.uniform(True), TypeError, "`shape` must be an integer, got True"),
        (lambda: S.uniform(), TypeError, "`shape` must be given where `out` is not"),
        (lambda: S.integers(3), TypeError, "`shape` must be given where `out` is not"),
        (lambda: S.uniform(2, n_threads=0), ValueError, "`n_threads` must be in [1, 1024], got 0"),
        (lambda: S.normal(2, n_threads=-2), ValueError, "`n_threads` must be in [1, 1024], got -2"),
        (lambda: S.normal(2, n_threads=1025), ValueError, "`n_threads` must be in [1, 1024], got 1025"),
        (lambda: S.uniform(0, n_threads=0), ValueError, "`n_threads` must be in [1, 1024], got 0"),
        (lambda: S.uniform(2, n_threads=1.0), TypeError, "`n_threads` must be an integer, got 1.0"),
        (lambda: S.uniform(2, n_threads=True), TypeError, "`n_threads` must be an integer, got True"),
        (lambda: S.uniform(2, n_threads=2**64), ValueError, begins("`n_threads` must be in [1, 1024], got")),
        (lambda: S.bernoulli_mask(1.2, 3), ValueError, "`p` must lie in [0, 1], got 1.2"),
        (lambda: S.bernoulli_mask(-0.1, 3), ValueError, "`p` must lie in [0, 1], got -0.1"),
        (lambda: S.bernoulli_mask(float("nan"), 3), ValueError, "`p` must lie in [0, 1], got nan"),
        (lambda: S.bernoulli_mask("0.5", 3), TypeError, "`p` must be a number, got '0.5'"),
        (lambda: S.bernoulli_mask([0.5], 3), TypeError, "`p` must be a number, got [0.5]"),
        (lambda: S.integers(5, 5, 2), ValueError, "`low` must be below `high`, got low=5, high=5"),
        (lambda: S.integers(0, shape=2), ValueError, "`low` must be below `high`, got low=0, high=0"),
        (lambda: S.integers(6, 5, 2, endpoint=True), ValueError, "`low` must be at most `high`, got low=6, high=5"),
        (
            lambda: S.integers(0, 2**64 + 1, 2, dtype=np.uint64),
            ValueError,
            "`low` .. `high` must hold at most 2^64 integers, got low=0, high=18446744073709551617",
        ),
        (
            lambda: S.integers(-(2**63), 2**63, 2, endpoint=True),
            ValueError,
            "`low` .. `high` must hold at most 2^64 integers, got low=-9223372036854775808, high=9223372036854775808",
        ),
        (lambda: S.integers(-1, 5, 2, dtype=np.uint32), ValueError, "`low` must be at least 0 for uint32, got -1"),
        (
            lambda: S.integers(0, 2**31 + 1, 2, dtype=np.int32),
            ValueError,
            "`high` must be at most 2147483648 for int32, got 2147483649",
        ),
        (
            lambda: S.integers(0, 2**31, out=np.empty(3, np.int32), endpoint=True),
            ValueError,
            "`high` must be at most 2147483647 for int32, got 2147483648",
        ),
        (lambda: S.integers(2**63 + 1, shape=2), ValueError, begins("`high` must be at most 9223372036854775808 for")),
        (lambda: S.integers(1 << 200, 1 << 201, 2), ValueError, begins("`low` .. `high` must hold at most 2^64")),
        (lambda: S.integers(1.0, shape=2), TypeError, "`high` must be an integer, got 1.0"),
        (lambda: S.integers(0.0, 1, 2), TypeError, "`low` must be an integer, got 0.0"),
        (lambda: S.integers(0, True, 2), TypeError, "`high` must be an integer, got True"),
        (lambda: S.integers(3, shape=2, endpoint=1), TypeError, "`endpoint` must be a bool, got 1"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message if message.startswith("^") else exactly(message)):
        call()


@pytest.mark.parametrize("dtype", [int, np.int32, np.float16, complex, bool, object, "nonsense", 3, ">f8", np.uint64])
def test_bad_dtype(dtype):
    for kind in ("uniform", "normal", "logistic", "exponential", "gumbel"):
        with pytest.raises(TypeError, match=exactly(f"`dtype` must be float64 or float32, got {dtype!r}")):
            getattr(S, kind)(2, dtype=dtype)


def test_bad_dtype_of_integers():
    with pytest.raises(TypeError, match=exactly("`dtype` must be uint64 or uint32, got 'int64'")):
        S.bits(2, dtype="int64")
    with pytest.raises(TypeError, match=exactly("`dtype` must be int64, int32, uint32 or uint64, got 'int8'")):
        S.integers(9, shape=2, dtype="int8")


def test_the_end_of_a_stream():
    message = "a stream has 2^64 elements: {} from element {} on do not fit"
    near = S.at(LAST - 3)
    assert near.uniform(3).shape == (3,)
    for call, count, start in (
        (lambda: near.uniform(4), 4, LAST - 3),
        (lambda: near.normal((2, 2), dtype=np.float32), 4, LAST - 3),
        (lambda: near.uniform(out=np.empty(4)), 4, LAST - 3),
        (lambda: near.integers(9, shape=4), 4, LAST - 3),
        (lambda: near.bernoulli_mask(0.5, 4), 4, LAST - 3),
        (lambda: near.at(4), 4, LAST - 3),
        (lambda: near.at(3).uniform(1), 1, LAST),
        (lambda: S.at(LAST + 1), LAST + 1, 0),
        (lambda: S.uniform(2**70), 2**70, 0),
        (lambda: S.at(5).normal((2**40, 2**40)), 2**80, 5),
    ):
        with pytest.raises(ValueError, match=exactly(message.format(count, start))):
            call()


@pytest.mark.parametrize("engine", ["ars", "ars10", "philox"])
def test_antithetic_noise_is_the_opposite(engine):
    s = sc.Stream(11, stream=3, engine=engine).at(5)
    a = s.antithetic()
    assert a != s
    assert a.antithetic() == s
    assert a.is_antithetic
    assert np.all(s.bits(999) ^ a.bits(999) == np.uint64(2**64 - 1))
    assert np.all(s.bits(999, dtype=np.uint32) ^ a.bits(999, dtype=np.uint32) == np.uint32(2**32 - 1))
    assert np.all(s.uniform(999) + a.uniform(999) == 1 - 2.0**-53)
    for kind in ("normal", "logistic"):
        for dtype in (np.float64, np.float32):
            assert np.array_equal(getattr(s, kind)(999, dtype=dtype), -getattr(a, kind)(999, dtype=dtype))
    assert np.array_equal(a.at(7).uniform(3), a.uniform(10)[7:])
    assert [child.antithetic() for child in s.spawn(3)] == a.spawn(3)
    assert pickle.loads(pickle.dumps(a)) == a
    assert repr(a) == f"{s!r}.antithetic()"
