"""noise: the parallel fill of an array with the noise of a stream's elements."""

from cython.parallel cimport prange
from libc.stdint cimport uint32_t, uint64_t

from ._dispatch cimport begin, finish, kernels, sc_cancel, stopped, team

from . cimport sc_noise, sc_stream

ENGINES = {"philox": 0, "ars": 1, "ars10": 2}
cdef Py_ssize_t BLOCK = 1 << 14  # elements; a multiple of every kernel's group

ctypedef fused noise_t:
    uint32_t
    uint64_t
    float
    double

ctypedef void (*fill_t)(const sc_stream *, uint64_t, Py_ssize_t, void *) noexcept nogil


cdef sc_stream stream_of(object stream) except *:
    """The C value of a stochcore.Stream."""
    cdef sc_stream s
    s.seed = stream.seed
    s.offset = stream.offset
    s.stream = stream.stream
    s.purpose = stream._purpose
    s.engine = ENGINES[stream.engine]
    s.reserved = 0
    return s


cdef fill_t fill_of(const sc_noise *t, str kind, size_t itemsize) except NULL:
    cdef bint wide = itemsize == 8
    if kind == "uniform":
        return <fill_t>t.uniform64 if wide else <fill_t>t.uniform32
    if kind == "normal":
        return <fill_t>t.normal64 if wide else <fill_t>t.normal32
    if kind == "logistic":
        return <fill_t>t.logistic64 if wide else <fill_t>t.logistic32
    if kind == "exponential":
        return <fill_t>t.exponential64 if wide else <fill_t>t.exponential32
    if kind == "gumbel":
        return <fill_t>t.gumbel64 if wide else <fill_t>t.gumbel32
    if kind == "bits":
        return <fill_t>t.bits64 if wide else <fill_t>t.bits32
    if kind == "k53":
        return <fill_t>t.k53
    raise ValueError(f"no noise of kind {kind!r}")


cdef void fill_block(fill_t fill, const sc_stream *s, Py_ssize_t i, Py_ssize_t n, noise_t *out,
                     sc_cancel *cancel) noexcept nogil:
    cdef Py_ssize_t first = i * BLOCK
    if stopped(cancel) == 0:
        fill(s, first, min(BLOCK, n - first), out + first)


def fill(object stream, str kind, noise_t[::1] out, object n_threads):
    """Fill `out` with elements 0 .. len(out) of the stream; kind is uniform, normal or k53 (uint64)."""
    cdef sc_stream s = stream_of(stream)
    cdef fill_t kernel = fill_of(&kernels().noise, kind, sizeof(noise_t))
    cdef Py_ssize_t n = out.shape[0], i
    cdef int threads = team(n_threads, n)
    cdef sc_cancel cancel
    begin(&cancel)
    for i in prange((n + BLOCK - 1) // BLOCK, nogil=True, num_threads=threads, schedule="static"):
        fill_block(kernel, &s, i, n, &out[0], &cancel)
    finish(&cancel)
