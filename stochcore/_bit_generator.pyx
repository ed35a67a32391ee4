"""bit_generator: the C functions through which NumPy takes a stream's elements one after another.

NumPy reaches a generator through a small struct of function pointers (numpy/random/bitgen.h) in a capsule. Its fields
are filled in through that capsule, so nothing here depends on how NumPy lays out its own classes.
"""

from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport uint32_t, uint64_t

from ._dispatch cimport kernels
from ._noise cimport Address, stream_of

from . cimport sc_noise, sc_stream

cdef extern from "numpy/random/bitgen.h":
    ctypedef struct bitgen_t:
        void *state
        uint64_t (*next_uint64)(void *) noexcept nogil
        uint32_t (*next_uint32)(void *) noexcept nogil
        double (*next_double)(void *) noexcept nogil
        uint64_t (*next_raw)(void *) noexcept nogil

cdef enum:
    SIZE = 256  # elements made at a time; divides 2^64, so that none of them lies past the end of the stream

cdef struct source_t:
    const sc_noise *noise
    sc_stream stream  # from its element 0 on
    uint64_t first  # number of the element in buffer[0]
    uint64_t place  # of the next element in the buffer
    uint64_t buffer[SIZE]


cdef uint64_t next_uint64(void *state) noexcept nogil:
    cdef source_t *s = <source_t *>state
    if s.place == SIZE:
        s.first += SIZE
        s.place = 0
        s.noise.bits64(&s.stream, s.first, SIZE, s.buffer)
    s.place += 1
    return s.buffer[s.place - 1]


cdef uint32_t next_uint32(void *state) noexcept nogil:
    return <uint32_t>(next_uint64(state) >> 32)


cdef double next_double(void *state) noexcept nogil:
    return <double>(next_uint64(state) >> 11) * (1.0 / 9007199254740992.0)


cdef class Source:
    """Source(stream): its elements one after another, and from the start again after the last."""

    cdef source_t source

    def __init__(self, Address stream not None):
        self.begin(stream)

    def begin(self, Address stream not None):
        """Go on with the first element of another stream."""
        cdef source_t *s = &self.source
        s.noise = &kernels().noise
        s.stream = stream_of(stream)
        s.first = s.stream.offset // SIZE * SIZE
        s.place = s.stream.offset % SIZE
        s.stream.offset = 0
        s.noise.bits64(&s.stream, s.first, SIZE, s.buffer)

    @property
    def position(self):
        """The number of the next element."""
        return self.source.first + self.source.place

    def connect(self, object capsule):
        """Let the BitGenerator that has this capsule draw from here."""
        cdef bitgen_t *bitgen = <bitgen_t *>PyCapsule_GetPointer(capsule, "BitGenerator")
        bitgen.state = &self.source
        bitgen.next_uint64 = next_uint64
        bitgen.next_uint32 = next_uint32
        bitgen.next_double = next_double
        bitgen.next_raw = next_uint64
