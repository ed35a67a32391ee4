"""What the tests of noise share: how arrays are compared, which addresses are tried, and every kind of noise."""

import re

import numpy as np
from hypothesis import strategies as st

ENGINES = ["ars", "ars10", "philox"]
FLOATS = ["uniform", "normal", "logistic", "exponential", "gumbel"]
KINDS = [
    *((kind, dtype) for kind in FLOATS for dtype in (np.float64, np.float32)),
    ("bits", np.uint64),
    ("bits", np.uint32),
    *(("integers", dtype) for dtype in (np.int64, np.int32, np.uint32, np.uint64)),
    ("bernoulli_mask", np.bool_),
]
REJECTING = 3 << 29  # a range of integers for which a quarter of the words is drawn again

BORDER = 2**34  # the element whose block is number 2^32
LAST = 2**64

seeds = st.integers(0, 2**64 - 1)
numbers = st.integers(0, 2**32 - 1)
engines = st.sampled_from(ENGINES)
offsets = st.one_of(
    st.integers(0, 200),
    st.integers(BORDER - 70, BORDER + 70),
    st.integers(0, LAST - 200),
    st.integers(LAST - 600, LAST - 200),
)


def draw(stream, kind, shape=None, *, dtype, **given):
    """Noise of any kind."""
    if kind == "integers":
        return stream.integers(0, REJECTING, shape, dtype=dtype, **given)
    if kind == "bernoulli_mask":
        return stream.bernoulli_mask(0.3, shape, **given)
    return getattr(stream, kind)(shape, dtype=dtype, **given)


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def begins(text):
    return "^" + re.escape(text)


def exactly(text):
    return begins(text) + "$"
