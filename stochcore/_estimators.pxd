from libc.stdint cimport int64_t, uint8_t

from . cimport sc_stream
from ._dispatch cimport sc_job
from ._distributions cimport Tables


cdef class Job:
    """What the kernels are told of one part of an estimate, and the memory that they work in."""

    cdef sc_job job
    cdef object keep  # what the struct points at
    cdef bint keeps  # scratch of its own from call to call, whatever its size?
    cdef object memory  # this
    cdef Py_ssize_t node_size

    cpdef int move(self, Tables tables) except -1
    cdef int64_t fold_at(self, const sc_stream *stream, double *node, bint empty, Py_ssize_t first_block,
                         Py_ssize_t n_blocks, Py_ssize_t stop, const uint8_t *y, Py_ssize_t width, const double *j,
                         object n_threads) except -2
