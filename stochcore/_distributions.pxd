cimport numpy as cnp

from ._dispatch cimport sc_family


cdef class Tables:
    """What the kernels know of a family: its struct, and the arrays that it points at."""

    cdef sc_family family
    cdef list keep
    cdef Py_ssize_t width
    cdef readonly Py_ssize_t n_scores

    cdef int take_sizes(self, int kind, int type, Py_ssize_t n_problems, Py_ssize_t n_sites, Py_ssize_t n_elements,
                        Py_ssize_t n_classes) except -1
    cdef const double *numbers(self, object array) except? NULL
    cdef int place_thresholds(self, Py_ssize_t rows) except -1
    cdef int few_thresholds(self, const double *masses, bint as_given) except -1
    cdef int ladders(self, cnp.ndarray first, cnp.ndarray n, cnp.ndarray masses, bint as_given) except -1


cdef class Sites(Tables):
    """Bernoulli and categorical sites."""

    cdef readonly cnp.ndarray probs, complement
    cdef cnp.ndarray parameters, logs

    cdef int bernoulli_tables(self) except -1
    cdef int bernoulli_thresholds(self) except -1
    cdef int categorical_tables(self) except -1
    cdef int move_to(self, cnp.ndarray parameters, const double *logits) except -1
    cdef int entropy_at(self, double *sites, double *scores) except -1
