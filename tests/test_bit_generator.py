"""Streams as NumPy's BitGenerators: what NumPy draws is what the stream has, whatever is done in between."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams import ENGINES, LAST, begins, exactly, same

from stochcore import Stream, noise
from stochcore.bit_generator import StreamBitGenerator

S = Stream(7, stream=2).at(5)
SIZE = 256  # elements that are made at a time


def generator(stream=S):
    return np.random.Generator(stream.bit_generator())


class Oracle:
    """The same draws in plain Python, from the bits of the elements, by the algorithms of NumPy's C."""

    def __init__(self, stream):
        self.words, self.used = stream.bits(10_000).tolist(), 0

    def next_uint64(self):
        self.used += 1
        return self.words[self.used - 1]

    def next_uint32(self):
        return self.next_uint64() >> 32

    def random(self, dtype):
        if dtype == np.float32:
            return np.float32((self.next_uint32() >> 8) * 2.0**-24)
        return (self.next_uint64() >> 11) * 2.0**-53

    def below(self, count, b):
        """Lemire's method on b bits."""
        draw = self.next_uint64 if b == 64 else self.next_uint32
        while True:
            product = draw() * count
            if product % 2**b >= 2**b % count:
                return product >> b


@pytest.mark.parametrize("engine", ENGINES)
def test_elements_one_after_another(engine):
    s = Stream(7, stream=2, engine=engine).at(5)
    g, n = generator(s), 3 * SIZE + 7
    assert same(g.random(n), s.uniform(n))
    assert same(g.random(10), s.at(n).uniform(10))
    assert same(g.random(10, dtype=np.float32), s.at(n + 10).uniform(10, dtype=np.float32))
    assert same(g.bit_generator.random_raw(9), s.at(n + 20).bits(9))
    assert g.bit_generator.stream == s.at(n + 29)


def test_draws_of_numpy_against_plain_python():
    g, oracle = generator(), Oracle(S)
    for _ in range(40):
        assert g.random() == oracle.random(np.float64)
        assert g.random(dtype=np.float32) == oracle.random(np.float32)
        assert g.integers(2**64 - 1, dtype=np.uint64, endpoint=True) == oracle.next_uint64()
        assert g.integers(2**32 - 1, dtype=np.uint32, endpoint=True) == oracle.next_uint32()
        assert g.integers(3 << 60) == oracle.below(3 << 60, 64)
        assert g.integers(-5, (3 << 30) - 5) == oracle.below(3 << 30, 32) - 5
        assert g.uniform(2, 5) == 2 + 3 * oracle.random(np.float64)
    assert g.bit_generator.stream == S.at(oracle.used)
    assert oracle.used > 280  # some were drawn again


@pytest.mark.parametrize("dtype", [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)] + ["bool"])
def test_integers_of_every_dtype(dtype):
    drawn = generator().integers(0, 2 if dtype == "bool" else 100, 20_000, dtype=dtype)
    counts = np.bincount(drawn.astype(np.int64))
    assert drawn.dtype == dtype
    expected = drawn.size / counts.size
    assert abs(counts - expected).max() < 5 * np.sqrt(expected)


def test_what_numpy_can_draw():
    g, again = generator(), generator()
    x = g.normal(2.0, 3.0, 100_000)
    assert abs(x.mean() - 2) < 4 * 3 / np.sqrt(x.size)
    assert abs(x.std() / 3 - 1) < 4 / np.sqrt(2 * x.size)
    assert sorted(g.permutation(1000)) == list(range(1000))
    assert len(set(g.choice(1000, 500, replace=False).tolist())) == 500
    deck = list(range(52))
    g.shuffle(deck)
    assert sorted(deck) == list(range(52))
    assert deck != sorted(deck)
    assert abs(g.poisson(4.0, 10_000).mean() - 4) < 4 * 2 / 100
    assert same(again.normal(2.0, 3.0, 100_000), x)
    assert again.bit_generator.stream.offset > S.at(100_000).offset  # the ziggurat draws some again


def test_a_legacy_random_state():
    assert same(np.random.RandomState(S.bit_generator()).random_sample(9), S.uniform(9))


def test_c_interfaces():
    bit_generator = S.bit_generator()
    interface = bit_generator.ctypes
    assert interface.next_double(interface.state) == S.uniform(1)[0]
    assert interface.next_uint64(interface.state) == S.at(1).bits(1)[0]
    assert interface.next_uint32(interface.state) == S.at(2).bits(1, dtype=np.uint32)[0]


def test_the_stream_itself_is_not_consumed():
    g, before = generator(), S.uniform(4)
    g.random(100)
    assert same(S.uniform(4), before)
    assert same(generator().random(4), before)


# Copies and states.

places = st.sampled_from([0, 1, SIZE - 6, SIZE - 5, SIZE - 4, SIZE, 1000])  # 5 + 251 elements end a buffer


@given(places)
def test_copies_in_mid_stream(n):
    g = generator()
    g.random(n)
    b = g.bit_generator
    for other in (pickle.loads(pickle.dumps(b)), copy.copy(b), copy.deepcopy(b)):
        assert type(other) is StreamBitGenerator
        assert other is not b
        assert same(np.random.Generator(other).random(300), S.at(n).uniform(300))
        assert b.stream == S.at(n)
    for other in (pickle.loads(pickle.dumps(g)), copy.deepcopy(g)):
        assert same(other.random(300), S.at(n).uniform(300))
    assert b.stream == S.at(n)


@given(places, places)
def test_states_can_be_set(n, m):
    g = generator()
    g.random(n)
    state = g.bit_generator.state
    after = g.random(300)
    g.random(m)
    g.bit_generator.state = state
    assert g.bit_generator.state == state
    assert same(g.random(300), after)
    other = generator(Stream(99, engine="philox"))  # everything is in the state
    other.random(m)
    other.bit_generator.state = state
    assert same(other.random(300), after)
    assert other.bit_generator.stream == g.bit_generator.stream


def test_a_state_is_a_plain_dict():
    b = Stream(7, stream=2)._replace(purpose=16).at(5).bit_generator()
    assert b.state == {
        "bit_generator": "StreamBitGenerator",
        "state": {"seed": 7, "stream": 2, "engine": "ars", "purpose": 16, "position": 5, "children": 5},
    }


def changed(**changes):
    state = S.bit_generator().state
    state["state"].update(changes)
    return state


KEYS = "seed, stream, engine, purpose, position, children"


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        (3, TypeError, "`state` must be a dict, got 3"),
        ({}, ValueError, "`state` must be of a StreamBitGenerator, got one of None"),
        (np.random.PCG64(1).state, ValueError, "`state` must be of a StreamBitGenerator, got one of 'PCG64'"),
        (
            {"bit_generator": "StreamBitGenerator"},
            ValueError,
            f"`state['state']` must be a dict of {KEYS}, got None",
        ),
        (
            {"bit_generator": "StreamBitGenerator", "state": {"seed": 1}},
            ValueError,
            f"`state['state']` must be a dict of {KEYS}, got ['seed']",
        ),
        (changed(seed=-1), ValueError, "`state['state']['seed']` must be in [0, 2^64 - 1], got -1"),
        (changed(stream=2**32), ValueError, "`state['state']['stream']` must be in [0, 2^32 - 1], got 4294967296"),
        (changed(purpose=256), ValueError, "`state['state']['purpose']` must be in [0, 255], got 256"),
        (changed(position=0.5), TypeError, "`state['state']['position']` must be an integer, got 0.5"),
        (changed(children=-1), ValueError, f"`state['state']['children']` must be in [0, {2**64}], got -1"),
        (
            changed(engine="mt"),
            ValueError,
            "`state['state']['engine']` must be one of 'philox', 'ars', 'ars10', got 'mt'",
        ),
    ],
)
def test_wrong_states(state, error, message):
    g = generator()
    g.random(3)
    with pytest.raises(error, match=exactly(message)):
        g.bit_generator.state = state
    assert same(g.random(9), S.at(3).uniform(9))  # as it was


def test_a_pickle_from_a_newer_version(monkeypatch):
    monkeypatch.setattr(noise, "FORMAT", 2)
    data = pickle.dumps(S.bit_generator())
    monkeypatch.undo()
    message = "this Stream was pickled by a newer stochcore (format 2, this one reads up to 1)"
    with pytest.raises(ValueError, match=exactly(message)):
        pickle.loads(data)


def test_only_of_a_stream():
    for wrong in (7, None, "7", np.random.PCG64(1)):
        with pytest.raises(TypeError, match=begins("`stream` must be a Stream, got ")):
            StreamBitGenerator(wrong)


# Others.


def test_the_end_of_the_stream():
    g = generator(S.at(LAST - 5 - 9))
    assert same(g.random(9), S.at(LAST - 5 - 9).uniform(9))
    assert g.bit_generator.stream == Stream(7, stream=2)
    assert same(g.random(300), Stream(7, stream=2).uniform(300))
    assert same(generator(Stream(7).at(LAST)).random(4), Stream(7).uniform(4))


def test_jumps():
    b = S.bit_generator()
    b.random_raw(10)
    assert b.jumped().stream == Stream(7, stream=3).at(15)
    assert b.jumped(4).stream == Stream(7, stream=6).at(15)
    assert b.jumped(2**32 - 2).stream == Stream(7, stream=0).at(15)  # from number 2^32 - 1 on to 0
    assert b.stream == S.at(10)
    for wrong, error in ((-1, ValueError), (0.5, TypeError)):
        with pytest.raises(error, match=begins("`jumps` must be ")):
            b.jumped(wrong)


def test_children():
    g = generator()
    g.random(1000)  # has no part in it
    first, second = g.spawn(2), g.spawn(3)
    assert [child.bit_generator.stream for child in [*first, *second]] == S.spawn(5)
    assert same(first[0].random(9), S.spawn(1)[0].uniform(9))
    assert pickle.loads(pickle.dumps(g)).spawn(1)[0].bit_generator.stream == S.at(5).spawn(1)[0]
    assert g.bit_generator.jumped().spawn(1)[0].stream == Stream(7, stream=3).at(10).spawn(1)[0]
    with pytest.raises(ValueError, match=exactly("`n_children` must be at least 1, got 0")):
        g.bit_generator.spawn(0)


def test_seed_sequences():
    b, c = S.bit_generator(), Stream(7, stream=2, engine="philox").at(5).bit_generator()
    assert isinstance(b.seed_seq, np.random.SeedSequence)
    assert same(b.seed_seq.generate_state(4), S.bit_generator().seed_seq.generate_state(4))
    assert not same(b.seed_seq.generate_state(4), c.seed_seq.generate_state(4))


def test_many_threads_at_one_generator():
    g, jobs, n = generator(), 40, 1001
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda _: g.random(n), range(jobs)))  # each under the generator's lock
    got, want = sorted(row.tobytes() for row in rows), S.uniform((jobs, n))
    assert got == sorted(row.tobytes() for row in want)
    assert g.bit_generator.stream == S.at(jobs * n)


def test_a_generator_outlives_its_bit_generator():
    generators = [generator() for _ in range(20)]
    assert all(same(g.random(500), S.uniform(500)) for g in generators)
