"""estimators: blocks of samples to nodes of the reduction tree, in parallel; then their fold, in order.

Blocks go out in waves, so that memory is bounded and signals are looked at; a wave's size changes no bits.
"""

cimport numpy as cnp

import numpy as np
from cython.parallel cimport prange, threadid
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy

from . cimport sc_stream
from ._arrays cimport plain
from ._costs cimport Weights
from ._dispatch cimport (
    SC_ANTITHETIC, SC_COST_COMPILED, SC_COST_GIVEN, SC_COST_NOT_FINITE, SC_DISARM, SC_GROUPS, SC_LEAVE_ONE_OUT,
    SC_LOCAL, SC_OPTIMAL_BASELINE, SC_SCORE_FUNCTION, begin, finish, kernels, sc_cancel, sc_job, sc_place_scratch,
    sc_scratch, sc_table, sc_terms, sc_terms_scratch, stop as stop_all, team,
)
from ._distributions cimport Tables
from ._noise cimport Address

cnp.import_array()

# Numbers of scratch that are kept from call to call, at most: 8 MB. Where malloc gives memory back at once, as Dask
# asks it to in its workers, new memory would cost half as much as what is done in it.
cdef Py_ssize_t KEPT = 1 << 20
cdef cnp.ndarray spare = None  # these; whoever uses them takes them away
cdef Py_ssize_t WAVE = 64  # blocks in flight, at most
cdef Py_ssize_t WAVE_NUMBERS = 1 << 20  # and their nodes' size, in numbers; but two blocks a thread at least

_KINDS = {
    "score_function": SC_SCORE_FUNCTION, "leave_one_out": SC_LEAVE_ONE_OUT, "groups": SC_GROUPS,
    "antithetic": SC_ANTITHETIC, "disarm": SC_DISARM, "optimal_baseline": SC_OPTIMAL_BASELINE,
    "local_expectation": SC_LOCAL,
}


cdef class Job:
    """Job(tables, block_rows, n_parameters, kind, mirrored, unit, within, baseline, sample_baseline, first_sample,
        parameter_baseline, factor, cost)

    `cost` is None where J will be given.
    """

    def __init__(self, Tables tables, Py_ssize_t block_rows, Py_ssize_t n_parameters, str kind, bint mirrored,
                 Py_ssize_t unit, bint within, double[::1] baseline, const double[::1] sample_baseline,
                 Py_ssize_t first_sample, const double[::1] parameter_baseline, double[::1] factor, Weights cost):
        self.keep = [tables, baseline, sample_baseline, parameter_baseline, factor, cost]
        self.job.family = tables.family
        self.job.block_rows = block_rows
        self.job.n_parameters = n_parameters
        self.job.estimator.kind = _KINDS[kind]
        self.job.estimator.mirrored, self.job.estimator.unit, self.job.estimator.within = mirrored, unit, within
        self.job.estimator.baseline = &baseline[0]
        self.job.estimator.sample_baseline = &sample_baseline[0] if sample_baseline is not None else NULL
        self.job.estimator.first_sample = first_sample
        self.job.estimator.parameter_baseline = &parameter_baseline[0] if parameter_baseline is not None else NULL
        self.job.estimator.factor = &factor[0] if factor is not None else NULL
        self.job.cost.kind = SC_COST_GIVEN
        if cost is not None:
            self.job.cost = cost.cost
        self.node_size = 2 + 4 * tables.family.n_problems + 3 * n_parameters

    @property
    def baseline(self):
        """One number a problem, live."""
        return np.asarray(self.keep[1])

    @property
    def factor(self):
        """One number a score, live; or None."""
        return None if self.keep[4] is None else np.asarray(self.keep[4])

    def like(self, Tables tables):
        """A job that differs in its tables alone; None: one that has none, to make others like it."""
        cdef Job other = Job.__new__(Job)
        other.job, other.node_size = self.job, self.node_size
        other.keep = [tables, *self.keep[1:]]
        if tables is not None:
            other.job.family = tables.family
        return other

    cpdef int move(self, Tables tables) except -1:
        """Go over to a model of the same shapes, or to what has become of tables that were moved in place."""
        self.keep[0] = tables
        self.job.family = tables.family
        return 0

    def fold(self, Address stream, cnp.ndarray node, bint empty, Py_ssize_t first_block, Py_ssize_t n_blocks,
             Py_ssize_t stop, cnp.ndarray y, cnp.ndarray j, object n_threads):
        """Fold blocks first_block .. first_block + n_blocks, the last up to sample `stop`, into `node`.

        `empty`: the node holds nothing yet. y (outcomes) and j (costs) of exactly these samples, contiguous. Returns
        -1, or the number of a sample whose cost is not finite.
        """
        cdef Py_ssize_t n = stop - first_block * self.job.block_rows
        if not (plain(node) and plain(j) and cnp.PyArray_ISCARRAY_RO(y)) or cnp.PyArray_SIZE(node) != self.node_size:
            raise ValueError("a node, outcomes or costs that do not fit")
        return self.fold_at(&stream.c, <double *>cnp.PyArray_DATA(node), empty, first_block, n_blocks, stop,
                            <const uint8_t *>cnp.PyArray_DATA(y), cnp.PyArray_NBYTES(y) // n,
                            <const double *>cnp.PyArray_DATA(j), n_threads)

    def whole(self, Address stream, Py_ssize_t first_block, Py_ssize_t n_blocks, Py_ssize_t stop, object n_threads):
        """A new node of blocks that are made here, and what `fold` returns."""
        cdef cnp.npy_intp size = self.node_size
        cdef cnp.ndarray node = cnp.PyArray_SimpleNew(1, &size, cnp.NPY_DOUBLE)
        return node, self.fold_at(&stream.c, <double *>cnp.PyArray_DATA(node), True, first_block, n_blocks, stop, NULL,
                                  0, NULL, n_threads)

    cdef int64_t fold_at(self, const sc_stream *stream, double *node, bint empty, Py_ssize_t first_block,
                         Py_ssize_t n_blocks, Py_ssize_t stop, const uint8_t *y0, Py_ssize_t width, const double *j0,
                         object n_threads) except -2:
        """`fold` by pointers."""
        global spare
        cdef Py_ssize_t rows = self.job.block_rows, base = first_block * rows
        cdef Py_ssize_t each = 64 if self.job.cost.kind == SC_COST_COMPILED else 1  # nobody knows what that does
        cdef int threads = team(n_threads, (stop - base) * self.job.family.n_elements * each) if n_blocks > 1 else 1
        cdef Py_ssize_t wave = min(n_blocks, max(2 * threads, min(WAVE, WAVE_NUMBERS // self.node_size)))
        cdef sc_job job = self.job
        cdef sc_scratch unused
        cdef Py_ssize_t stride = sc_place_scratch(&job, NULL, &unused)
        cdef cnp.npy_intp size = threads * stride + wave * (self.node_size + 1)
        cdef cnp.ndarray memory = self.memory if self.keeps else spare
        cdef int64_t bad
        if self.keeps:
            self.memory = None  # while it is in use
        else:
            spare = None
        job.stream = stream[0]
        if memory is None or cnp.PyArray_DIM(memory, 0) < size:
            memory = cnp.PyArray_SimpleNew(1, &size, cnp.NPY_DOUBLE)
        bad = fold_waves(&job, <double *>cnp.PyArray_DATA(memory), stride, threads, wave, self.node_size, node, empty,
                         base, n_blocks, stop, y0, width, j0)
        if self.keeps:
            self.memory = memory
        elif size <= KEPT:
            spare = memory
        return bad


cdef int64_t fold_waves(const sc_job *job, double *scratch, Py_ssize_t stride, int threads, Py_ssize_t wave,
                        Py_ssize_t size, double *node, bint empty, Py_ssize_t base, Py_ssize_t n_blocks,
                        Py_ssize_t stop, const uint8_t *y0, Py_ssize_t width, const double *j0) except -2:
    """Blocks from sample `base` on, `wave` of them at a time."""
    cdef double *nodes = scratch + threads * stride
    cdef int64_t *bad = <int64_t *>(nodes + wave * size)
    cdef const sc_table *t = kernels()
    cdef sc_cancel cancel
    cdef Py_ssize_t i, at, count, rows = job.block_rows
    cdef int64_t found
    for at in range(0, n_blocks, wave):
        count = min(wave, n_blocks - at)
        for i in range(count):
            bad[i] = -1
        begin(&cancel)
        if count == 1:
            with nogil:
                one_block(t, job, base + at * rows, stop if at == n_blocks - 1 else 0, y0, j0, base, width, scratch,
                          &cancel, nodes, bad)
        else:
            for i in prange(count, nogil=True, num_threads=threads, schedule="dynamic"):  # results go by number
                one_block(t, job, base + (at + i) * rows, stop if at + i == n_blocks - 1 else 0, y0, j0, base, width,
                          scratch + threadid() * stride, &cancel, nodes + i * size, bad + i)
        if finish(&cancel) == SC_COST_NOT_FINITE:
            found = min([bad[i] for i in range(count) if bad[i] >= 0])
            for i in range(count):  # once more, one after the other: the first is named, whoever met one first
                bad[i] = -1
                begin(&cancel)
                with nogil:
                    one_block(t, job, base + (at + i) * rows, stop if at + i == n_blocks - 1 else 0, y0, j0, base,
                              width, scratch, &cancel, nodes + i * size, bad + i)
                if finish(&cancel) == SC_COST_NOT_FINITE:
                    return bad[i]
            return found
        with nogil:
            i = 0
            if empty:
                memcpy(node, nodes, size * sizeof(double))
                i = 1
            if i < count:
                t.fold(node, nodes + i * size, count - i, job.family.n_problems, job.n_parameters)
        empty = False
    return -1


def fold_terms(Tables tables, const double[:, :, ::1] costs, const double[:, ::1] terms, Py_ssize_t first, bint mapped,
               bint within, Py_ssize_t n_parameters, double[::1] node):
    """A block's node from costs [unit][of it][problem] and terms [unit], by scores of all problems or by theta."""
    cdef const sc_table *table = kernels()
    cdef sc_terms t
    cdef double[::1] scratch
    t.units, t.each, t.problems = costs.shape[0], costs.shape[1], costs.shape[2]
    t.width, t.first, t.mapped, t.within = terms.shape[1], first, mapped, within
    t.costs, t.terms = &costs[0, 0, 0], &terms[0, 0]
    scratch = np.empty(sc_terms_scratch(&tables.family.map, &t, n_parameters))
    with nogil:
        table.terms_block(&tables.family.map, &t, n_parameters, &scratch[0], &node[0])


cdef void one_block(const sc_table *t, const sc_job *job, Py_ssize_t first, Py_ssize_t stop, const uint8_t *y,
                    const double *j, Py_ssize_t base, Py_ssize_t width, double *memory, sc_cancel *cancel,
                    double *node, int64_t *bad) noexcept nogil:
    """Lay out one thread's scratch and call the kernel; a failure stops the others."""
    cdef Py_ssize_t count = stop - first if stop else job.block_rows
    cdef sc_scratch scratch
    cdef int status
    sc_place_scratch(job, memory, &scratch)
    status = t.estimate_block(job, first, count, y + (first - base) * width if y != NULL else NULL,
                              j + (first - base) * job.family.n_problems if j != NULL else NULL, &scratch, cancel, node,
                              bad)
    if status:
        stop_all(cancel, status)
