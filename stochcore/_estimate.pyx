"""estimate: the one operation of the reduction tree, on nodes that NumPy holds."""

cimport numpy as cnp
from libc.math cimport INFINITY, sqrt

from ._dispatch cimport kernels

cnp.import_array()


def merge(double[::1] left, const double[::1] right, Py_ssize_t problems, Py_ssize_t parameters):
    """left := left and then right (csrc/kernels/estimate.h says what a node holds)."""
    kernels().merge(&left[0], &right[0], problems, parameters)


def read(cnp.ndarray node, Py_ssize_t problems, Py_ssize_t parameters, Py_ssize_t enough, Py_ssize_t dependent):
    """What a node says. Rows of problems: mean, its standard error, smallest cost, its sample; gradient; its standard
    error, from the groups where they are `enough`. `dependent` samples together have costs that depend on each other.
    """
    cdef cnp.ndarray costs = empty(4 * problems), grad = empty(parameters), grad_se = empty(parameters)
    read_into(node, problems, parameters, enough, dependent, costs, grad, grad_se)
    return costs, grad, grad_se


cdef void read_into(cnp.ndarray node, Py_ssize_t problems, Py_ssize_t parameters, Py_ssize_t enough,
                    Py_ssize_t dependent, cnp.ndarray costs, cnp.ndarray grad, cnp.ndarray grad_se) noexcept:
    read_costs(data(node), problems, dependent, data(costs))
    read_gradient(data(node), problems, parameters, data(node)[1] >= enough, data(grad), data(grad_se))


def fill(dict into, cnp.ndarray node, Py_ssize_t problems, Py_ssize_t parameters, Py_ssize_t enough,
         Py_ssize_t dependent, Py_ssize_t unit, Py_ssize_t evals):
    """The same by the names of an Estimate, arrays flat; of one problem numbers."""
    cdef cnp.ndarray costs = empty(4 * problems), grad = empty(parameters), grad_se = empty(parameters)
    cdef Py_ssize_t n = <Py_ssize_t>data(node)[0]
    cdef bint many = data(node)[1] >= enough
    read_into(node, problems, parameters, enough, dependent, costs, grad, grad_se)
    into["cost"], into["cost_se"] = part(costs, problems, 0), part(costs, problems, 1)
    into["grad"], into["grad_se"] = grad, grad_se
    into["n_samples"], into["n_evals"] = n, n * problems * evals
    into["best_cost"], into["_best_sample"] = part(costs, problems, 2), part(costs, problems, 3)
    into["dof"] = data(node)[1] - 1.0 if many else n // unit - 1


cdef object part(cnp.ndarray costs, Py_ssize_t problems, Py_ssize_t row):
    if problems == 1:
        return cnp.PyArray_ToScalar(data(costs) + row, costs)
    return costs[row * problems:(row + 1) * problems]


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
