"""estimate: the one operation of the reduction tree, on nodes that NumPy holds."""

cimport numpy as cnp
from libc.math cimport INFINITY, sqrt

from ._dispatch cimport kernels

cnp.import_array()


def merge(double[::1] left, const double[::1] right, Py_ssize_t problems, Py_ssize_t parameters):
    """left := left and then right (csrc/kernels/estimate.h says what a node holds)."""
    kernels().merge(&left[0], &right[0], problems, parameters)


def read(cnp.ndarray node, Py_ssize_t problems, Py_ssize_t parameters, bint many, Py_ssize_t dependent):
    """What a node says: of the problems mean, its standard error, smallest cost, its sample; of the parameters
    gradient, its standard error, from the groups where there are `many`. `dependent` samples together have costs that
    depend on each other.
    """
    cdef cnp.ndarray costs = empty(4 * problems), grad = empty(parameters), grad_se = empty(parameters)
    read_costs(data(node), problems, dependent, data(costs))
    read_gradient(data(node), problems, parameters, many, data(grad), data(grad_se))
    return costs, grad, grad_se


cdef void read_costs(const double *node, Py_ssize_t problems, Py_ssize_t dependent, double *costs) noexcept nogil:
    """Rows of problems: mean, its standard error, smallest cost, its sample."""
    cdef double n = node[0], units = n / <double>dependent
    cdef const double *stats = node + 2
    cdef Py_ssize_t i
    for i in range(problems):
        costs[i], costs[2 * problems + i], costs[3 * problems + i] = stats[4 * i], stats[4 * i + 2], stats[4 * i + 3]
        costs[problems + i] = sqrt(stats[4 * i + 1] / (n * (units - 1.0))) if units > 1.0 else INFINITY


cdef void read_gradient(const double *node, Py_ssize_t problems, Py_ssize_t parameters, bint many, double *grad,
                        double *grad_se) noexcept nogil:
    """Gradient and its standard error, which may be NULL."""
    cdef double n = node[0], groups = node[1]
    cdef const double *mean = node + 2 + 4 * problems
    cdef const double *between = mean + parameters
    cdef const double *within = between + parameters
    cdef Py_ssize_t i
    for i in range(parameters):
        grad[i] = mean[i]
    if grad_se != NULL:
        for i in range(parameters):
            grad_se[i] = sqrt(between[i] / ((groups - 1.0) * n)) if many else sqrt(within[i]) / n


cdef cnp.ndarray empty(cnp.npy_intp n):
    return cnp.PyArray_SimpleNew(1, &n, cnp.NPY_DOUBLE)


cdef double *data(cnp.ndarray array) noexcept:
    return <double *>cnp.PyArray_DATA(array)
