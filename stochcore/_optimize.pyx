"""optimize: a step of an optimiser on NumPy arrays."""

from libc.math cimport sqrt

from ._dispatch cimport kernels, sc_step_scalars

ctypedef fused real_t:
    float
    double


cdef int check(const double[:, ::1] scalars, Py_ssize_t row, Py_ssize_t n, Py_ssize_t n_grad,
               Py_ssize_t n_slots, Py_ssize_t n_moments) except -1:
    if scalars.shape[1] != 6 or not 0 <= row < scalars.shape[0]:
        raise ValueError(f"no row {row} in scalars of shape ({scalars.shape[0]}, {scalars.shape[1]})")
    if n == 0 or n_grad != n or n_slots != 2 or n_moments != n:
        raise ValueError(f"arrays do not fit: {n} parameters, a gradient of {n_grad}, "
                         f"moments ({n_slots}, {n_moments})")
    return 0


def update(int kind, const double[:, ::1] scalars, Py_ssize_t row, const real_t[::1] grad, real_t[::1] param,
           real_t[:, ::1] moments):
    """Take one step, in place: row `row` of scalars, moments of shape (2, len(param))."""
    cdef Py_ssize_t n = param.shape[0]
    check(scalars, row, n, grad.shape[0], moments.shape[0], moments.shape[1])
    cdef const sc_step_scalars *s = <const sc_step_scalars *>&scalars[row, 0]
    if real_t is float:
        kernels().update32(kind, s, n, &grad[0], &param[0], &moments[0, 0], &moments[1, 0])
    else:
        kernels().update64(kind, s, n, &grad[0], &param[0], &moments[0, 0], &moments[1, 0])


def commit(object run, int kind, const double[:, ::1] scalars, Py_ssize_t row, const double[::1] grad,
           double[::1] param, double[:, ::1] moments, object best):
    """Take one step and write it down: run.best = best, run.completed = row + 1.

    Python runs signal handlers between bytecodes, so never in here: Ctrl-C finds a step done or not begun.
    """
    cdef Py_ssize_t n = param.shape[0]
    check(scalars, row, n, grad.shape[0], moments.shape[0], moments.shape[1])
    cdef const sc_step_scalars *s = <const sc_step_scalars *>&scalars[row, 0]
    kernels().update64(kind, s, n, &grad[0], &param[0], &moments[0, 0], &moments[1, 0])
    run.best = best
    run.completed = row + 1


def norm(const double[::1] x):
    """The Euclidean norm; eight sums side by side, so its bits depend on x alone."""
    cdef double[8] sums
    cdef Py_ssize_t i
    for i in range(8):
        sums[i] = 0.0
    for i in range(x.shape[0]):
        sums[i & 7] += x[i] * x[i]
    return sqrt(((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7])))
