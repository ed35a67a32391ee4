from ._dispatch cimport sc_cost


cdef class Weights:
    """A cost as the kernels see it: the struct, and the arrays that it points at."""

    cdef sc_cost cost
    cdef list keep

    cdef const double *numbers(self, object array) except? NULL
