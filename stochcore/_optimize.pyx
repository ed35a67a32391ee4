"""optimize: a step of an optimiser on NumPy arrays; runs of steps on families."""

cimport numpy as cnp
from libc.math cimport sqrt
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

import numpy as np

from . cimport sc_stream
from ._dispatch cimport kernels, sc_step_scalars
from ._distributions cimport Sites
from ._estimate cimport read_costs, read_gradient
from ._estimators cimport Job
from ._noise cimport Address

cnp.import_array()

cdef double LEAST_INFORMATION = 1e-300

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


def norm(const double[::1] x):
    """The Euclidean norm; eight sums side by side, so its bits depend on x alone."""
    return norm_of(x.shape[0], &x[0] if x.shape[0] else NULL)


cdef double norm_of(Py_ssize_t n, const double *x) noexcept nogil:
    cdef double[8] sums
    cdef Py_ssize_t i
    for i in range(8):
        sums[i] = 0.0
    for i in range(n):
        sums[i & 7] += x[i] * x[i]
    return sqrt(((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7])))


cdef class Descent:
    """Descent(trainer, bits, parameters, problems, n_samples, dependent)

    Steps of a family, from the node of an estimate to moved parameters. `trainer` is a FamilyTrainer: it draws a best
    sample again, and makes what has no kernel. Python runs signal handlers between bytecodes, so never inside `commit`:
    Ctrl-C finds a step done or not begun.
    """

    cdef readonly Py_ssize_t completed  # steps of the last run
    cdef public bint natural  # divide by the Fisher information of bits
    cdef object trainer
    cdef Sites bits
    cdef double[::1] sites, scores
    cdef double[::1] parameters, grad, costs, best, average, baseline, latest
    cdef Py_ssize_t problems, n_samples, dependent
    cdef double decay

    def __init__(self, object trainer, Sites bits, double[::1] parameters, Py_ssize_t problems, Py_ssize_t n_samples,
                 Py_ssize_t dependent):
        self.trainer, self.bits, self.parameters = trainer, bits, parameters
        self.sites, self.scores = np.empty((2, parameters.shape[0]))
        self.problems, self.n_samples, self.dependent = problems, n_samples, dependent
        self.average = self.baseline = self.latest = None
        self.grad, self.costs, self.best = np.empty(parameters.shape[0]), np.empty(4 * problems), np.empty(problems)
        self.completed = 0
        self.natural = False

    def follow(self, double[::1] average, double[::1] baseline, double decay):
        """Keep a moving average of the costs, [problems] and its weight; the baseline is what it says."""
        self.average, self.baseline, self.decay = average, baseline, decay

    def learn(self, double[::1] average, double[::1] latest, double decay):
        """Keep a moving average of what each step's estimate says in `latest`."""
        self.average, self.latest, self.decay = average, latest, decay

    def begin(self):
        """Start a run."""
        cdef Py_ssize_t i
        self.completed = 0
        if self.baseline is not None and self.average[self.problems] > 0.0:
            for i in range(self.problems):
                self.baseline[i] = self.average[i] / self.average[self.problems]
        best = self.trainer.best
        np.asarray(self.best)[:] = np.inf if best is None else np.asarray(best[0]).reshape(-1)

    def run_outside(self, int kind, const double[:, ::1] scalars, Py_ssize_t first_step, double[:, ::1] moments,
                    double[:, ::1] records, const double[::1] weights):
        """Take a step for each row of scalars, whose estimates are made by the trainer."""
        cdef Py_ssize_t row
        cdef cnp.ndarray node
        check(scalars, 0, self.parameters.shape[0], self.grad.shape[0], moments.shape[0], moments.shape[1])
        for row in range(scalars.shape[0]):
            node = self.trainer.node_at(first_step + row)
            self.commit(<const double *>cnp.PyArray_DATA(node), kind, scalars, row, first_step + row, moments, records,
                        weights)

    def run(self, Job job, Address stream, Py_ssize_t width, Py_ssize_t blocks, int kind,
            const double[:, ::1] scalars, Py_ssize_t first_step, double[:, ::1] moments, double[:, ::1] records,
            const double[::1] weights, object n_threads):
        """Take a step for each row of scalars, whose costs are priced inside."""
        cdef cnp.ndarray node = np.empty(job.node_size)
        cdef double *memory = <double *>cnp.PyArray_DATA(node)
        cdef Py_ssize_t row
        cdef int64_t bad
        cdef sc_stream noise = stream.c
        cdef object flat = np.asarray(self.parameters)
        check(scalars, 0, self.parameters.shape[0], self.grad.shape[0], moments.shape[0], moments.shape[1])
        job.keeps = True
        for row in range(scalars.shape[0]):
            if self.bits is not None and finite(self.parameters.shape[0], &self.parameters[0]):
                self.bits.move_to(flat, &self.parameters[0])
            else:
                job.move(self.trainer.tables_at(first_step + row))
            if job.job.estimator.factor != NULL:
                self.trainer.renew_factor()
            noise.offset = stream.c.offset + <uint64_t>(first_step + row) * <uint64_t>width
            bad = job.fold_at(&noise, memory, True, 0, blocks, self.n_samples, NULL, 0, NULL, n_threads)
            if bad >= 0:
                raise ValueError(f"`cost` must be finite, got NaN or infinity for sample {bad}")
            self.commit(memory, kind, scalars, row, first_step + row, moments, records, weights)

    cdef int commit(self, const double *node, int kind, const double[:, ::1] scalars, Py_ssize_t row, Py_ssize_t step,
                    double[:, ::1] moments, double[:, ::1] records, const double[::1] weights) except -1:
        """Write a step down and take it; all or nothing."""
        cdef Py_ssize_t problems = self.problems, n = self.parameters.shape[0], i
        cdef double *costs = &self.costs[0]
        cdef double *record = &records[row, 0]
        cdef double *grad = &self.grad[0]
        cdef const double *least = costs + 2 * problems
        cdef const sc_step_scalars *s = <const sc_step_scalars *>&scalars[row, 0]
        cdef bint better = False
        cdef object best = None
        cdef double latest
        read_costs(node, problems, self.dependent, costs)
        read_gradient(node, problems, n, False, grad, NULL)
        memcpy(record, costs, 2 * problems * sizeof(double))
        if weights is not None:
            record[3 * problems + 1] = weights[row]
            self.add_entropy(weights[row], record + 3 * problems + 2)
        if self.natural:
            self.divide()
        record[2 * problems] = norm_of(n, grad)
        for i in range(problems):
            better = better or least[i] < self.best[i]
            record[2 * problems + 1 + i] = least[i] if least[i] < self.best[i] else self.best[i]
        if better:
            best = self.trainer.better(step, np.asarray(self.costs).reshape(4, -1))
        kernels().update64(kind, s, n, grad, &self.parameters[0], &moments[0, 0], &moments[1, 0])
        for i in range(problems):
            self.best[i] = record[2 * problems + 1 + i]
        if self.latest is not None:
            for i in range(self.latest.shape[0]):
                self.average[i] = self.decay * self.average[i] + (1.0 - self.decay) * self.latest[i]
        elif self.average is not None:
            for i in range(problems + 1):
                latest = costs[i] if i < problems else 1.0
                self.average[i] = self.decay * self.average[i] + (1.0 - self.decay) * latest
            for i in range(problems):
                self.baseline[i] = self.average[i] / self.average[problems]
        if better:
            self.trainer.best = best
        self.completed = row + 1
        return 0

    cdef int divide(self) except -1:
        """The natural gradient: grad over p (1 - p), of which next to nothing is left where a bit is decided."""
        cdef cnp.ndarray probs = self.bits.probs, complement = self.bits.complement
        cdef const double *p = <const double *>cnp.PyArray_DATA(probs)
        cdef const double *q = <const double *>cnp.PyArray_DATA(complement)
        cdef Py_ssize_t i
        for i in range(self.parameters.shape[0]):
            self.grad[i] /= max(p[i] * q[i], LEAST_INFORMATION)
        return 0

    cdef int add_entropy(self, double weight, double *entropy) except -1:
        """grad -= weight times the gradient of the entropy, which is written down."""
        cdef Py_ssize_t n = self.parameters.shape[0], width, i, p
        cdef double *sites = &self.sites[0]
        cdef double[::1] told
        if self.bits is None:
            told, self.scores = self.trainer.entropy()
            for p in range(self.problems):
                entropy[p] = told[p]
        else:
            self.bits.entropy_at(sites, &self.scores[0])
            width = self.bits.width // self.problems
            for p in range(self.problems):
                entropy[p] = 0.0
                for i in range(width):
                    entropy[p] += sites[p * width + i]
        for i in range(n):
            self.grad[i] -= weight * self.scores[i]
        return 0


cdef bint finite(Py_ssize_t n, const double *x) noexcept nogil:
    cdef Py_ssize_t i
    cdef double zero = 0.0
    for i in range(n):
        zero += 0.0 * x[i]
    return zero == 0.0
