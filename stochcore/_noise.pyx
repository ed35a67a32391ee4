"""noise: the C value of a Stream, and the fill of an array with the noise of its elements.

A call for few elements costs little beside its kernel: what people usually pass is taken as it is and filled by the
calling thread. Everything else goes through `_check`, which says what is wrong with it. Large arrays are filled in
parallel, block by block, in place: to make pieces in a cache and copy them past the others was measured too (from 8
to 76 MiB, on one thread and two) and was not faster.
"""

cimport numpy as cnp
from cpython.long cimport PyLong_AsSsize_t, PyLong_CheckExact
from cpython.tuple cimport PyTuple_CheckExact
from cpython.type cimport PyType_Check
from cpython.unicode cimport PyUnicode_CheckExact
from cython.parallel cimport prange
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ._dispatch cimport begin, finish, kernels, sc_cancel, sc_table, stopped, team

from . cimport sc_noise, sc_stream

import numpy as np

from . import _check, _dispatch

cnp.import_array()

ENGINES = {"philox": 0, "ars": 1, "ars10": 2}
cdef tuple ENGINE_NAMES = tuple(ENGINES)

cdef enum:
    BLOCK = 1 << 14  # elements that a thread fills at a time; a multiple of every kernel's group
    FEW = 1 << 11  # elements for which other Python threads need not be let in
    AXES = 8  # of a shape that needs no check
cdef Py_ssize_t WORK_FOR_TEAM = _dispatch.WORK_FOR_TEAM
cdef long MAX_THREADS = _dispatch.MAX_THREADS

cdef enum:
    _UNIFORM, _NORMAL, _LOGISTIC, _EXPONENTIAL, _GUMBEL, _BITS, _K53, _INTEGERS, _MASK
UNIFORM, NORMAL, LOGISTIC, EXPONENTIAL, GUMBEL = _UNIFORM, _NORMAL, _LOGISTIC, _EXPONENTIAL, _GUMBEL
BITS, K53, INTEGERS, MASK = _BITS, _K53, _INTEGERS, _MASK

# What a kind can be made as; the first is the default.
FLOATS = (np.dtype(np.float64), np.dtype(np.float32))
DTYPES = {
    _UNIFORM: FLOATS,
    _NORMAL: FLOATS,
    _LOGISTIC: FLOATS,
    _EXPONENTIAL: FLOATS,
    _GUMBEL: FLOATS,
    _BITS: (np.dtype(np.uint64), np.dtype(np.uint32)),
    _K53: (np.dtype(np.uint64),),
    _INTEGERS: (np.dtype(np.int64), np.dtype(np.int32), np.dtype(np.uint32), np.dtype(np.uint64)),
    _MASK: (np.dtype(np.bool_),),
}
# NumPy's number of a dtype, by each of the objects that people write for it.
cdef dict NUMBERS = {
    form: kind.num
    for kinds in DTYPES.values()
    for kind in kinds
    for form in (kind, kind.type, kind.name)
}

cdef struct work_t:
    const sc_table *table
    sc_stream stream
    int kind
    uint64_t low  # of integers; the threshold of a mask
    uint64_t range  # of integers; 0 is 2^64
    Py_ssize_t n
    Py_ssize_t itemsize  # in bytes; a mask's is 1
    char *out


cdef void fill64(const work_t *w, uint64_t first, Py_ssize_t n, void *out) noexcept nogil:
    cdef const sc_noise *t = &w.table.noise
    if w.kind == _UNIFORM:
        t.uniform64(&w.stream, first, n, <double *>out)
    elif w.kind == _NORMAL:
        t.normal64(&w.stream, first, n, <double *>out)
    elif w.kind == _LOGISTIC:
        t.logistic64(&w.stream, first, n, <double *>out)
    elif w.kind == _EXPONENTIAL:
        t.exponential64(&w.stream, first, n, <double *>out)
    elif w.kind == _GUMBEL:
        t.gumbel64(&w.stream, first, n, <double *>out)
    elif w.kind == _BITS:
        t.bits64(&w.stream, first, n, <uint64_t *>out)
    elif w.kind == _K53:
        t.k53(&w.stream, first, n, <uint64_t *>out)
    else:
        t.integers64(&w.stream, first, n, w.low, w.range, <uint64_t *>out)


cdef void fill32(const work_t *w, uint64_t first, Py_ssize_t n, void *out) noexcept nogil:
    cdef const sc_noise *t = &w.table.noise
    if w.kind == _UNIFORM:
        t.uniform32(&w.stream, first, n, <float *>out)
    elif w.kind == _NORMAL:
        t.normal32(&w.stream, first, n, <float *>out)
    elif w.kind == _LOGISTIC:
        t.logistic32(&w.stream, first, n, <float *>out)
    elif w.kind == _EXPONENTIAL:
        t.exponential32(&w.stream, first, n, <float *>out)
    elif w.kind == _GUMBEL:
        t.gumbel32(&w.stream, first, n, <float *>out)
    elif w.kind == _BITS:
        t.bits32(&w.stream, first, n, <uint32_t *>out)
    else:
        t.integers32(&w.stream, first, n, <uint32_t>w.low, w.range, <uint32_t *>out)


cdef void fill(const work_t *w, uint64_t first, Py_ssize_t n, void *out) noexcept nogil:
    """The kernel for that kind and size of element, on the calling thread."""
    if w.itemsize == 8:
        fill64(w, first, n, out)
    elif w.itemsize == 4:
        fill32(w, first, n, out)
    else:
        w.table.noise.mask(&w.stream, first, n, w.low, <uint8_t *>out)


cdef void fill_block(const work_t *w, Py_ssize_t i, sc_cancel *cancel) noexcept nogil:
    """Block i of the array. Blocks begin at multiples of BLOCK in the stream, so that no kernel starts in mid-group."""
    cdef Py_ssize_t skip = <Py_ssize_t>(w.stream.offset & 3)
    cdef Py_ssize_t first = max(0, i * BLOCK - skip), last = min(w.n, (i + 1) * BLOCK - skip)
    if stopped(cancel) == 0:
        fill(w, first, last - first, w.out + first * w.itemsize)


cdef int fill_all(const work_t *w, object n_threads) except -1:
    cdef int threads
    cdef Py_ssize_t i, blocks = (w.n + <Py_ssize_t>(w.stream.offset & 3) + BLOCK - 1) // BLOCK
    cdef sc_cancel cancel
    if w.n <= FEW:
        fill(w, 0, w.n, w.out)
    elif w.n < WORK_FOR_TEAM:
        with nogil:
            fill(w, 0, w.n, w.out)
    else:
        threads = team(n_threads, w.n)
        begin(&cancel)
        for i in prange(blocks, nogil=True, num_threads=threads, schedule="static"):
            fill_block(w, i, &cancel)
        finish(&cancel)
    return 0


# ---- what people usually pass ----------------------------------------------------------------------------------------


cdef int type_number(object dtype):
    """NumPy's number of the dtype, -1 where it is not one of the objects in NUMBERS."""
    if PyType_Check(dtype) or PyUnicode_CheckExact(dtype) or cnp.PyArray_DescrCheck(dtype):
        return NUMBERS.get(dtype, -1)
    return -1


cdef bint makes(int kind, int number) noexcept:
    """Can noise of that kind have that dtype? Those of DTYPES, by number."""
    if kind <= _GUMBEL:
        return number == cnp.NPY_DOUBLE or number == cnp.NPY_FLOAT
    if kind == _MASK:
        return number == cnp.NPY_BOOL
    if kind == _K53:
        return number == cnp.NPY_UINT64
    if kind == _BITS or number == cnp.NPY_UINT64 or number == cnp.NPY_UINT32:
        return number == cnp.NPY_UINT64 or number == cnp.NPY_UINT32
    return number == cnp.NPY_INT64 or number == cnp.NPY_INT32


cdef Py_ssize_t size_of(object number) noexcept:
    """An int that is the length of an axis, or -1."""
    cdef Py_ssize_t value
    if not PyLong_CheckExact(number):
        return -1
    try:
        value = PyLong_AsSsize_t(number)
    except OverflowError:
        value = -1
    return value


cdef Py_ssize_t plain_shape(object shape, cnp.npy_intp *dims, int *ndim) noexcept:
    """Read an int or a tuple of few ints into `dims`; return how many elements there are, or -1."""
    cdef Py_ssize_t n = 1, i
    if not PyTuple_CheckExact(shape):
        ndim[0] = 1
        dims[0] = size_of(shape)
        return dims[0]
    if len(<tuple>shape) > AXES:
        return -1
    ndim[0] = <int>len(<tuple>shape)
    for i in range(ndim[0]):
        dims[i] = size_of((<tuple>shape)[i])
        if dims[i] < 0 or dims[i] > 0 and n > (1 << 60) // dims[i]:
            return -1
        n *= dims[i]
    return n


cdef bint plain_threads(object n_threads) noexcept:
    return n_threads is None or 0 < size_of(n_threads) <= MAX_THREADS


cdef bint fits(cnp.ndarray out, int ndim, const cnp.npy_intp *dims) noexcept:
    cdef int i
    if cnp.PyArray_NDIM(out) != ndim:
        return False
    for i in range(ndim):
        if cnp.PyArray_DIMS(out)[i] != dims[i]:
            return False
    return True


cdef bint has(Address address, Py_ssize_t n) noexcept:
    """Are there n more elements?"""
    return n == 0 or not address.ended and (address.c.offset == 0 or <uint64_t>n <= 0 - address.c.offset)


cdef object usual(Address address, int kind, object shape, object dtype, object out):
    """The array to fill, where everything is as it usually is; otherwise None."""
    cdef cnp.npy_intp dims[AXES]
    cdef int ndim = 0, number
    cdef bint given = out is not None
    if given and not (cnp.PyArray_CheckExact(out) and cnp.PyArray_ISCARRAY(<cnp.ndarray>out)):
        return None
    number = cnp.PyArray_TYPE(<cnp.ndarray>out) if given and shape is None else type_number(dtype)
    if not makes(kind, number):
        return None
    if shape is None:
        return out if given and has(address, cnp.PyArray_SIZE(out)) else None
    n = plain_shape(shape, dims, &ndim)
    if n < 0 or not has(address, n):
        return None
    if not given:
        return cnp.PyArray_EMPTY(ndim, dims, number, 0)
    return out if cnp.PyArray_TYPE(<cnp.ndarray>out) == number and fits(out, ndim, dims) else None


cdef class Address:
    """Address(seed, stream, engine, offset, purpose, antithetic): what a Stream is made of; never changes."""

    def __cinit__(self, uint64_t seed, uint32_t stream, str engine, object offset, uint32_t purpose,
                  bint antithetic=False):
        self.c.seed = seed
        self.c.stream = stream
        self.c.engine = ENGINES[engine]
        self.ended = offset == 1 << 64
        self.c.offset = 0 if self.ended else offset
        self.c.purpose = purpose
        self.c.antithetic = antithetic

    @property
    def seed(self):
        """The seed, 0 .. 2^64 - 1."""
        return self.c.seed

    @property
    def stream(self):
        """The number of the stream, 0 .. 2^32 - 1."""
        return self.c.stream

    @property
    def engine(self):
        """The name of the engine."""
        return ENGINE_NAMES[self.c.engine]

    @property
    def offset(self):
        """The number of the first element, 0 .. 2^64."""
        return 1 << 64 if self.ended else self.c.offset

    @property
    def _purpose(self):
        return self.c.purpose

    @property
    def is_antithetic(self):
        """Is every k complemented?"""
        return bool(self.c.antithetic)

    def _key(self):
        key = self.seed, self.stream, self.engine, self.offset, self._purpose
        return (*key, True) if self.c.antithetic else key

    def __setattr__(self, name, value):
        raise AttributeError(f"a Stream is a value: make another one instead of setting `{name}`")

    def __delattr__(self, name):
        raise AttributeError(f"a Stream is a value: `{name}` stays")

    def __eq__(self, other):
        return self._key() == (<Address>other)._key() if isinstance(other, Address) else NotImplemented

    def __hash__(self):
        return hash(self._key())

    def _replace(self, *, seed=None, stream=None, offset=None, purpose=None, antithetic=None):
        return Address.__new__(
            type(self),
            self.c.seed if seed is None else seed,
            self.c.stream if stream is None else stream,
            ENGINE_NAMES[self.c.engine],
            self.offset if offset is None else offset,
            self.c.purpose if purpose is None else purpose,
            self.c.antithetic if antithetic is None else antithetic,
        )

    def _fill(self, int kind, shape, dtype, out, n_threads, uint64_t low=0, uint64_t count=0):
        """Fill an array with noise of that kind and return it; low and count: of integers, low: threshold of a mask."""
        cdef work_t w
        cdef object array = usual(self, kind, shape, dtype, out) if plain_threads(n_threads) else None
        if array is None:
            n_threads = _check.threads(n_threads)
            array = _check.noise_array(shape, dtype, out, DTYPES[kind], self.offset)
        w.table = kernels()
        w.stream = self.c
        w.kind = kind
        w.n = cnp.PyArray_SIZE(array)
        w.itemsize = cnp.PyArray_ITEMSIZE(<cnp.ndarray>array)
        w.low = low
        w.range = count
        w.out = cnp.PyArray_BYTES(<cnp.ndarray>array)
        fill_all(&w, n_threads)
        return array


cdef sc_stream stream_of(Address stream) except *:
    """The C value of a stochcore.Stream."""
    if stream is None:
        raise TypeError("`stream` must be a Stream, got None")
    return stream.c
