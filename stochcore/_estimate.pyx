"""estimate: the one operation of the reduction tree, on nodes that NumPy holds."""

from ._dispatch cimport kernels


def merge(double[::1] left, const double[::1] right, Py_ssize_t problems, Py_ssize_t parameters):
    """left := left and then right (csrc/kernels/estimate.h says what a node holds)."""
    kernels().merge(&left[0], &right[0], problems, parameters)
