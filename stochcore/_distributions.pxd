from ._dispatch cimport sc_family


cdef class Tables:
    """What the kernels know of a family: its struct, and the arrays that it points at."""

    cdef sc_family family
    cdef list keep
    cdef Py_ssize_t width
    cdef readonly Py_ssize_t n_scores

    cdef const double *numbers(self, object array) except? NULL
    cdef int few_thresholds(self, object rows) except -1
    cdef int ladders(self, object first, object n, object masses, bint as_given) except -1


cdef class Sites(Tables):
    """Bernoulli and categorical sites."""

    cdef readonly object probs, complement
    cdef object parameters, logs

    cdef int bernoulli_tables(self, object parameters) except -1
    cdef int bernoulli_thresholds(self, const double *p) except -1
    cdef int move_to(self, object parameters, const double *logits) except -1
    cdef int entropy_at(self, double *sites, double *scores) except -1
    cdef int move_classes(self, const double *masses) except -1
    cdef int categorical_tables(self, const double[::1] parameters) except -1
