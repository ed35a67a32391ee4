from ._dispatch cimport sc_family


cdef class Sites:
    """The tables of a family of independent sites, and the struct that points at them."""

    cdef sc_family family
    cdef readonly object probs, log_probs, complement, thresholds, high, guide
    cdef Py_ssize_t n_elements

    cdef int bernoulli_tables(self, const double[::1] parameters) except -1
    cdef int categorical_tables(self, const double[::1] parameters) except -1
    cdef int threshold_tables(self) except -1
    cdef object by_class(self)
    cdef object by_site(self)
    cdef int guide_table(self) except -1
