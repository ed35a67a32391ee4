"""estimate: the one operation of the reduction tree, on nodes that NumPy holds."""

import numpy as np
from libc.math cimport INFINITY, sqrt

from ._dispatch cimport kernels


def merge(double[::1] left, const double[::1] right, Py_ssize_t problems, Py_ssize_t parameters):
    """left := left and then right (csrc/kernels/estimate.h says what a node holds)."""
    kernels().merge(&left[0], &right[0], problems, parameters)


def read(const double[::1] node, Py_ssize_t problems, Py_ssize_t parameters, bint many, Py_ssize_t dependent):
    """What a node says. Rows of problems: mean, its standard error, smallest cost, its sample; rows of parameters:
    gradient, its standard error, from the groups where there are `many`. `dependent` samples together have costs that
    depend on each other.
    """
    cdef double n = node[0], groups = node[1], units = n / <double>dependent
    cdef const double *stats = &node[2]
    cdef const double *grad = stats + 4 * problems
    cdef const double *between = grad + parameters
    cdef const double *within = between + parameters
    cdef double[:, ::1] costs = np.empty((4, problems)), grads = np.empty((2, parameters))
    cdef Py_ssize_t i
    for i in range(problems):
        costs[0, i], costs[2, i], costs[3, i] = stats[4 * i], stats[4 * i + 2], stats[4 * i + 3]
        costs[1, i] = sqrt(stats[4 * i + 1] / (n * (units - 1.0))) if units > 1.0 else INFINITY
    for i in range(parameters):
        grads[0, i] = grad[i]
        grads[1, i] = sqrt(between[i] / ((groups - 1.0) * n)) if many else sqrt(within[i]) / n
    return costs.base, grads.base
