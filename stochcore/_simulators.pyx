"""simulators: programs that draw from a recorder, in Python one by one, compiled ones in parallel; and their nodes."""

cimport numpy as cnp

import numpy as np
from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange, threadid
from libc.stdint cimport int32_t, int64_t, uint64_t, uintptr_t
from libc.string cimport memset

from . cimport sc_simulator, sc_stream
from ._dispatch cimport (
    SC_ANTITHETIC, SC_BLAME_LATER, SC_BLAME_STAGE, SC_BLAME_WHOLE, SC_COST_NOT_FINITE, SC_DRAW_STOPPED, SC_GROUPS,
    SC_LEAVE_ONE_OUT, SC_MOST_STAGES, SC_ROWS_PAD, SC_SCORE_FUNCTION, begin, finish, kernels, sc_cancel, sc_job,
    sc_program, sc_recorder, sc_table, stop as stop_all, stopped, team,
)
from ._draw cimport Draw, new_draw
from ._noise cimport Address

from ._draw import NotListedError, rule

cnp.import_array()

cdef enum:
    WORK = 1 << 12  # elements that a sample counts as: programs are long
    COST_ROWS = 32  # samples in a block where only their costs are asked for

_KINDS = {
    "score_function": SC_SCORE_FUNCTION, "leave_one_out": SC_LEAVE_ONE_OUT, "groups": SC_GROUPS,
    "antithetic": SC_ANTITHETIC,
}
_BLAMES = {"whole": SC_BLAME_WHOLE, "later": SC_BLAME_LATER, "stage": SC_BLAME_STAGE}


cdef struct failure:  # of a block: which sample broke a rule, which one, and by what
    int64_t sample
    int status
    double got


cdef class Failures:
    """The failures of blocks that run in parallel."""
    cdef object memory
    cdef failure *first

    def __init__(self, Py_ssize_t n_blocks):
        cdef unsigned char[::1] memory = np.zeros(n_blocks * sizeof(failure), np.uint8)
        self.memory, self.first = memory, <failure *>&memory[0]

    cdef int64_t tell(self, Py_ssize_t n_theta) except -2:
        """Raise the error of the first block that has one; or return its sample, whose cost is not finite."""
        cdef failure *broken = self.first
        while broken.status == 0:
            broken += 1
        if broken.status == SC_COST_NOT_FINITE:
            return broken.sample
        error = rule(broken.status, broken.got, n_theta)
        if hasattr(error, "add_note"):
            error.add_note(f"in sample {broken.sample}")
        raise error


cdef void fail(failure *broken, sc_cancel *cancel, int status, double got) noexcept nogil:
    """Keep what went wrong in a block, and stop the others; one that was stopped has nothing to tell."""
    if status != SC_DRAW_STOPPED and not stopped(cancel):
        broken.status, broken.got = status, got
        stop_all(cancel, status)


cdef class Program:
    """Program(function, pointer, keep, theta, shown, x, max_draws)

    A simulator with its parameters and inputs: `function(draw, theta, x)` in Python, or the address of a compiled one
    that takes a recorder. `shown` is theta as the function sees it, and x float64 where it is compiled.
    """
    cdef object function, keep, theta_given, x_given
    cdef sc_program c
    cdef double[::1] theta
    cdef const double[::1] x

    def __init__(self, object function, uintptr_t pointer, object keep, theta, shown, x, int64_t max_draws):
        self.function, self.keep = function, keep
        self.theta_given, self.x_given = shown, x
        self.theta = theta.reshape(-1)
        memset(&self.c, 0, sizeof(sc_program))
        self.c.run = <sc_simulator>pointer
        self.c.theta, self.c.n_theta = &self.theta[0], self.theta.shape[0]
        if pointer and x is not None and x.size:
            self.x = x.reshape(-1)
            self.c.x, self.c.n_x = &self.x[0], self.x.shape[0]
        self.c.max_draws = max_draws

    cdef int run(self, Draw d, const sc_stream *s, uint64_t sample, double *score, double *rest) except -1:
        """One sample; what a function in Python raises comes out of here."""
        d.kernels.recorder_begin(&d.r, &d.program, s, sample, score, rest)
        if self.c.run != NULL:
            if d.kernels.run_program(&d.program, &d.r):
                d.checked()
        else:
            returned = self.function(d, self.theta_given, self.x_given)
            if returned is not None:
                raise TypeError(
                    "a simulator must return nothing and tell its costs by `draw.cost`, got "
                    f"{type(returned).__name__}"
                )
            d.kernels.recorder_end(&d.r)
        return 0

    def costs(self, Address stream, Py_ssize_t first, double[::1] out, object n_threads):
        """J of samples first, first + 1, ...; compiled programs run in parallel."""
        cdef Py_ssize_t n = self.c.n_theta, count = out.shape[0], n_blocks = (count + COST_ROWS - 1) // COST_ROWS, i
        cdef Py_ssize_t stride = sizeof(sc_recorder) // 8 + 1 + 2 * n
        cdef int threads = 1
        cdef const sc_table *t = kernels()
        cdef sc_program program = self.c
        cdef sc_stream own = stream.c
        cdef sc_cancel cancel
        cdef double[::1] memory
        cdef Failures failures
        cdef Draw d
        if self.c.run == NULL:
            memory, d = np.empty(2 * n), new_draw(&self.c, self)
            try:
                for i in range(count):
                    self.run(d, &own, first + i, &memory[0], &memory[n])
                    out[i] = d.r.cost
            finally:
                d.end()
            return
        if count == 0:
            return
        threads = min(team(n_threads, count * WORK), n_blocks)
        memory, failures = np.empty(threads * stride), Failures(n_blocks)
        begin(&cancel)
        for i in prange(n_blocks, nogil=True, num_threads=threads, schedule="dynamic"):  # costs go by number
            costs_of_block(t, &program, &own, first + i * COST_ROWS, min(COST_ROWS, count - i * COST_ROWS),
                           &memory[0] + threadid() * stride, &cancel, &out[i * COST_ROWS], &failures.first[i])
        if finish(&cancel):
            failures.tell(n)

    def paths(self, Address stream, Py_ssize_t most_paths, Py_ssize_t most_depth):
        """Enumerate the tree of decisions: lists of chances, costs, S and R of its leaves."""
        cdef double[:, ::1] memory = np.empty((2, self.c.n_theta))
        cdef int32_t[::1] script = np.zeros(most_depth, np.int32), width = np.zeros(most_depth, np.int32)
        cdef Draw d = new_draw(&self.c, self)
        cdef Py_ssize_t depth
        found = []
        d.program.blame = SC_BLAME_LATER
        d.r.script, d.r.width, d.r.n_script, d.r.most_depth = &script[0], &width[0], 0, most_depth
        try:
            while True:
                PyErr_CheckSignals()
                self.run(d, &stream.c, 0, &memory[0, 0], &memory[1, 0])
                found.append((d.r.chance, d.r.cost, np.array(memory[0]), np.array(memory[1])))
                if len(found) > most_paths:
                    raise NotListedError(f"the program has more than {most_paths} ways to go: too many to enumerate")
                depth = d.r.depth
                while depth > 0 and script[depth - 1] + 1 >= width[depth - 1]:
                    depth -= 1
                if depth == 0:
                    return found
                script[depth - 1] += 1
                d.r.n_script = depth
        finally:
            d.end()

    def fold(self, Address stream, double[:, ::1] shards, Py_ssize_t first_block, Py_ssize_t n_blocks,
             Py_ssize_t shard_blocks, Py_ssize_t rows, Py_ssize_t stop, str kind, str blame, bint mirrored,
             Py_ssize_t unit, bint within, double[::1] baseline, const double[::1] sample_baseline, object value,
             Py_ssize_t first_sample, object n_threads):
        """Fold blocks first_block .. first_block + n_blocks, the last up to sample `stop`, into a node for each shard.

        `value`, None or an ``estimators.values.Value``, is added to in the order of the blocks.

        Returns -1, or the number of a sample whose cost is not finite.
        """
        cdef Py_ssize_t base = first_block * rows, n = self.c.n_theta, size = shards.shape[1], last = stop - base
        cdef Py_ssize_t most = max(last - (n_blocks - 1) * rows, rows), sums = 0
        cdef int threads = 1
        cdef sc_job job
        cdef sc_program program = self.c
        cdef sc_stream own = stream.c
        cdef const sc_table *t = kernels()
        cdef sc_cancel cancel
        cdef Py_ssize_t stride, i, k, shard
        cdef int64_t bad
        cdef double[::1] memory
        cdef double[:, ::1] nodes, learned
        cdef double[::1] weights, total
        cdef Failures failures
        memset(&job, 0, sizeof(sc_job))
        job.family.n_problems, job.n_parameters, job.block_rows = 1, n, rows
        job.estimator.kind, job.estimator.mirrored, job.estimator.unit = _KINDS[kind], mirrored, unit
        job.estimator.within, job.estimator.baseline = within, &baseline[0]
        job.estimator.first_sample = first_sample
        job.estimator.sample_baseline = &sample_baseline[0] if sample_baseline is not None else NULL
        program.blame = _BLAMES[blame]
        if value is not None:
            weights = value.weights
            program.value, program.n_value, program.by_time = &weights[0], weights.shape[0], value.by_time
            if value.learned is not None:
                total = value.learned
                sums = total.shape[0]
        learned = np.zeros((n_blocks, sums))
        stride = most * (2 * n + 1) + 2 * n + 3 * (most + SC_ROWS_PAD) + 2 * SC_MOST_STAGES + program.n_value
        stride += sizeof(sc_recorder) // 8 + 8
        threads = min(team(n_threads, last * WORK), n_blocks) if self.c.run != NULL else 1
        memory = np.empty(threads * stride)
        nodes = np.empty((n_blocks, size))
        if self.c.run == NULL:
            for i in range(n_blocks):
                bad = self.python_block(&program, &own, &job, base + i * rows, rows if i < n_blocks - 1
                                        else stop - base - i * rows, &memory[0], sums_at(learned, i), &nodes[i, 0])
                if bad >= 0:
                    return bad
        else:
            failures = Failures(n_blocks)
            begin(&cancel)
            for i in prange(n_blocks, nogil=True, num_threads=threads, schedule="dynamic"):  # nodes go by number
                one_block(t, &program, &own, &job, base + i * rows, rows if i < n_blocks - 1
                          else stop - base - i * rows, &memory[0] + threadid() * stride, sums_at(learned, i), &cancel,
                          &nodes[i, 0], &failures.first[i])
            if finish(&cancel):
                return failures.tell(n)
        for i in range(n_blocks):
            shard = i // shard_blocks
            if i == shard * shard_blocks:
                shards[shard, :] = nodes[i]
            else:
                t.merge(&shards[shard, 0], &nodes[i, 0], 1, n)
            for k in range(sums):
                total[k] += learned[i, k]
        return -1

    cdef int64_t python_block(self, const sc_program *program, const sc_stream *stream, sc_job *job, Py_ssize_t first,
                              Py_ssize_t rows, double *memory, double *learned, double *node) except -2:
        """Run the samples of a block with a function in Python, and weigh them."""
        cdef Draw d = new_draw(program, self)
        cdef Py_ssize_t n = program.n_theta, i, half, number, base
        cdef double *stages = memory
        cdef double *seen = stages + 2 * SC_MOST_STAGES
        cdef double *j = seen + program.n_value
        cdef double *score = j + rows
        cdef double *rest = score + rows * n
        cdef sc_stream own = stream[0]
        cdef int64_t bad = -1
        half, base = (rows // 2, first // 2) if job.estimator.mirrored else (rows, first)
        memset(stages, 0, 2 * SC_MOST_STAGES * sizeof(double))
        d.r.learned, d.r.seen = learned, (NULL if learned == NULL else seen)
        d.r.learning = program.blame == SC_BLAME_STAGE
        d.r.sum, d.r.count = (stages if d.r.learning else NULL), stages + SC_MOST_STAGES
        try:
            for i in range((1 + d.r.learning) * rows):
                if i == rows:
                    d.r.learning = 0
                i %= rows
                own.antithetic = stream.antithetic ^ (i >= half)
                number = base + (i if i < half else i - half)
                self.run(d, &own, number, score + i * n, rest + i * n)
                j[i] = d.r.cost
        finally:
            d.end()
        d.kernels.simulated_node(job, first, rows, j, score, rest, rest + rows * n, node, &bad)
        return bad


cdef double *sums_at(double[:, ::1] learned, Py_ssize_t block) noexcept nogil:
    """What a value learns from a block; NULL: nothing."""
    return &learned[block, 0] if learned.shape[1] else NULL


cdef void costs_of_block(const sc_table *t, const sc_program *p, const sc_stream *s, Py_ssize_t first, Py_ssize_t rows,
                         double *memory, sc_cancel *cancel, double *out, failure *broken) noexcept nogil:
    """Run the samples of a block for their costs alone; a failure stops the others."""
    cdef sc_recorder *r = <sc_recorder *>memory
    cdef double *score = memory + sizeof(sc_recorder) // 8 + 1
    cdef Py_ssize_t i
    memset(r, 0, sizeof(sc_recorder))
    r.draw.table, r.cancel = &t.draw, cancel
    for i in range(rows):
        t.recorder_begin(r, p, s, first + i, score, score + p.n_theta)
        if t.run_program(p, r):
            broken.sample = first + i
            fail(broken, cancel, r.status, r.got)
            return
        out[i] = r.cost


cdef void one_block(const sc_table *t, const sc_program *p, const sc_stream *s, const sc_job *job, Py_ssize_t first,
                    Py_ssize_t rows, double *memory, double *learned, sc_cancel *cancel, double *node,
                    failure *broken) noexcept nogil:
    """Run the samples of a block and weigh them; a failure stops the others."""
    cdef Py_ssize_t n = p.n_theta
    cdef sc_recorder *r = <sc_recorder *>memory
    cdef double *stages = memory + sizeof(sc_recorder) // 8 + 1
    cdef double *seen = stages + 2 * SC_MOST_STAGES
    cdef double *j = seen + p.n_value
    cdef double *score = j + rows
    cdef double *rest = score + rows * n
    cdef int status
    memset(r, 0, sizeof(sc_recorder))
    r.draw.table = &t.draw
    r.learned, r.seen = learned, (NULL if learned == NULL else seen)
    status = t.simulate_rows(p, s, first, rows, job.estimator.mirrored, r, cancel, stages, j, score, rest,
                             &broken.sample)
    if status == 0:
        status = t.simulated_node(job, first, rows, j, score, rest, rest + rows * n, node, &broken.sample)
    if status:
        fail(broken, cancel, status, r.got)


def table_address():
    """Where the table of functions stands that recorders of this process have."""
    return <uintptr_t>&kernels().draw
