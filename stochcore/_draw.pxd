from . cimport sc_draw_table
from ._dispatch cimport sc_program, sc_recorder, sc_table

cdef enum:
    MOST_FEATURES = 1024


cdef class Draw:
    cdef sc_recorder r
    cdef const sc_draw_table *t
    cdef const sc_table *kernels
    cdef sc_program program
    cdef double[MOST_FEATURES] buffer
    cdef object keep
    cdef bint over

    cdef int checked(self) except -1
    cdef void end(self) noexcept
    cdef const double *features(self, object given, Py_ssize_t *n) except? NULL


cdef Draw new_draw(const sc_program *program, object keep)
