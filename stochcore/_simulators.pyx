"""simulators: programs that draw from a recorder, in Python one by one, compiled ones in parallel; and their nodes."""

cimport numpy as cnp

import numpy as np
from cython.parallel cimport prange, threadid
from libc.stdint cimport int32_t, int64_t, uint64_t, uintptr_t
from libc.string cimport memset

from . cimport sc_draw_table, sc_simulator, sc_stream
from ._dispatch cimport (
    SC_ANTITHETIC, SC_BLAME_LATER, SC_BLAME_STAGE, SC_BLAME_WHOLE, SC_COST_NOT_FINITE, SC_DRAW_CONTINUOUS,
    SC_DRAW_INDEX, SC_DRAW_LIMIT, SC_DRAW_NOT_FINITE, SC_DRAW_PARAMETER, SC_DRAW_PROBABILITY, SC_GROUPS,
    SC_LEAVE_ONE_OUT, SC_MOST_STAGES, SC_ROWS_PAD, SC_SCORE_FUNCTION, begin, finish, kernels, sc_cancel, sc_job,
    sc_program, sc_recorder, sc_table, stop as stop_all, team,
)
from ._noise cimport Address

cnp.import_array()

cdef enum:
    MOST_FEATURES = 1024
    WORK = 1 << 12  # elements that a sample counts as: programs are long
    COST_ROWS = 32  # samples in a block where only their costs are asked for

_KINDS = {
    "score_function": SC_SCORE_FUNCTION, "leave_one_out": SC_LEAVE_ONE_OUT, "groups": SC_GROUPS,
    "antithetic": SC_ANTITHETIC,
}
_BLAMES = {"whole": SC_BLAME_WHOLE, "later": SC_BLAME_LATER, "stage": SC_BLAME_STAGE}


class NotListedError(ValueError):
    """An enumeration met a draw that has no list of outcomes, or too many of them."""


def rule(int status, double value, Py_ssize_t n_theta):
    """The error for what broke a rule."""
    if status == SC_DRAW_INDEX:
        return IndexError(f"a draw's parameters must lie in theta, which has {n_theta} numbers, got index {int(value)}")
    if status == SC_DRAW_PROBABILITY:
        return ValueError(f"a draw's probabilities must lie in [0, 1] and sum to 1, got {value}")
    if status == SC_DRAW_PARAMETER:
        return ValueError(
            "a draw's rate or scale must be positive and finite, its classes and units 1 to 256, its trials 0 to "
            f"10^6, got {value:g}"
        )
    if status == SC_DRAW_NOT_FINITE:
        return ValueError(f"costs, logits, scores and derivatives must be finite, got {value}")
    if status == SC_DRAW_LIMIT:
        return RuntimeError(f"the program has made {int(value)} draws and goes on: raise `max_draws` if it should")
    if status == SC_DRAW_CONTINUOUS:
        return NotListedError("the program draws continuous noise, which cannot be enumerated")
    return RuntimeError("the compiled program raised an exception: run it without `compile` to see which")


cdef class Draw:
    """What a simulator draws its decisions from; every call adds to the score that the recorder keeps.

    Where `features` are given, theta[i] stands for features . theta[i : i + len(features)].
    """
    cdef sc_recorder r
    cdef const sc_draw_table *t
    cdef const sc_table *kernels
    cdef sc_program program
    cdef double[MOST_FEATURES] buffer
    cdef object keep

    def __cinit__(self):
        memset(&self.r, 0, sizeof(sc_recorder))
        memset(&self.program, 0, sizeof(sc_program))

    def __init__(self):
        raise TypeError("a Draw is made by the simulator that it is given to")

    cdef int checked(self) except -1:
        if self.r.status:
            status, value = self.r.status, self.r.value
            self.r.status = 0
            if status == SC_DRAW_LIMIT and self.r.script != NULL:
                raise NotListedError(f"the program makes more than {int(value)} decisions in a row")
            raise rule(status, value, self.program.n_theta)
        return 0

    cdef const double *features(self, object given, Py_ssize_t *n) except? NULL:
        """Numbers of the program's own, for the time of one call."""
        cdef Py_ssize_t i = 0
        if given is None:
            n[0] = 0
            return NULL
        n[0] = len(given)
        if n[0] < 1 or n[0] > MOST_FEATURES:
            raise ValueError(f"`features` must have 1 to {MOST_FEATURES} numbers, got {n[0]}")
        if type(given) is tuple or type(given) is list:
            for x in given:
                self.buffer[i] = x
                i += 1
        else:
            for x in np.asarray(given, dtype=np.float64).reshape(-1).tolist():
                if i >= MOST_FEATURES:
                    raise ValueError(f"`features` must be one row of numbers, got shape {np.shape(given)}")
                self.buffer[i] = x
                i += 1
            if i != n[0]:
                raise ValueError(f"`features` must be one row of numbers, got shape {np.shape(given)}")
        return self.buffer

    def bernoulli(self, Py_ssize_t i=-1, features=None, *, p=None):
        """0 or 1 with the logit theta[i]; with ``p=`` that probability, whose score `add_score` has to be told."""
        cdef Py_ssize_t n
        cdef int64_t y
        if p is not None:
            if i != -1 or features is not None:
                raise TypeError("`bernoulli` takes either an index of theta or `p`, got both")
            y = self.t.bernoulli_p(&self.r.draw, p)
        else:
            values = self.features(features, &n)
            y = self.t.bernoulli(&self.r.draw, i, values, n)
        self.checked()
        return y

    def categorical(self, Py_ssize_t i=-1, Py_ssize_t k=0, features=None, *, p=None):
        """One of k classes with the logits theta[i : i + k]; of n features class c has features . theta[i + c n :]."""
        cdef Py_ssize_t n
        cdef int64_t y
        cdef const double[::1] probs
        if p is not None:
            if i != -1 or features is not None or k:
                raise TypeError("`categorical` takes either indices of theta or `p`, got both")
            probs = np.ascontiguousarray(p, dtype=np.float64)
            if not probs.shape[0]:
                raise ValueError("`p` must have a probability for each class, got none")
            y = self.t.categorical_p(&self.r.draw, &probs[0], probs.shape[0])
        else:
            values = self.features(features, &n)
            y = self.t.categorical(&self.r.draw, i, k, values, n)
        self.checked()
        return y

    def tanh_policy(self, Py_ssize_t i, Py_ssize_t hidden, Py_ssize_t k, features):
        """One of k classes by a layer of `hidden` tanh units: see `simulators.tanh_policy_size`."""
        cdef Py_ssize_t n
        values = self.features(features, &n)
        cdef int64_t y = self.t.tanh_policy(&self.r.draw, i, hidden, k, values, n)
        self.checked()
        return y

    def binomial(self, Py_ssize_t i, int64_t n, features=None):
        """Successes among n trials, each with the logit theta[i]."""
        cdef Py_ssize_t m
        values = self.features(features, &m)
        cdef int64_t y = self.t.binomial(&self.r.draw, i, n, values, m)
        self.checked()
        return y

    def poisson(self, Py_ssize_t i, features=None):
        """A count with the rate exp(theta[i])."""
        cdef Py_ssize_t n
        values = self.features(features, &n)
        cdef int64_t y = self.t.poisson(&self.r.draw, i, values, n)
        self.checked()
        return y

    def geometric(self, Py_ssize_t i, features=None):
        """Trials up to and with the first success, each with the logit theta[i]."""
        cdef Py_ssize_t n
        values = self.features(features, &n)
        cdef int64_t y = self.t.geometric(&self.r.draw, i, values, n)
        self.checked()
        return y

    def exponential(self, Py_ssize_t i, *, bint log=False):
        """A waiting time with the rate theta[i], or exp(theta[i])."""
        cdef double y = self.t.exponential(&self.r.draw, i, log)
        self.checked()
        return y

    def normal(self, Py_ssize_t i, double scale=1.0, features=None):
        """Normal with the mean theta[i] and this standard deviation."""
        cdef Py_ssize_t n
        values = self.features(features, &n)
        cdef double y = self.t.normal(&self.r.draw, i, scale, values, n)
        self.checked()
        return y

    def uniform(self):
        """Plain noise, uniform on [0, 1)."""
        cdef double y = self.t.uniform(&self.r.draw)
        self.checked()
        return y

    def standard_normal(self):
        """Plain noise, normal."""
        cdef double y = self.t.standard_normal(&self.r.draw)
        self.checked()
        return y

    def cost(self, double c):
        """Add to the cost: decisions that were made before are weighed by it, later ones are not. Ends a stage."""
        self.t.cost(&self.r.draw, c)
        self.checked()

    def discount(self, double factor):
        """Multiply all costs that follow by a factor."""
        self.t.discount(&self.r.draw, factor)
        self.checked()

    def add_score(self, Py_ssize_t i, double value):
        """Tell the derivative by theta[i] of the logarithm of a probability that was the program's own."""
        self.t.add_score(&self.r.draw, i, value)
        self.checked()

    def add_grad(self, Py_ssize_t i, double value):
        """Tell a derivative by theta[i] that the cost itself has."""
        self.t.add_grad(&self.r.draw, i, value)
        self.checked()

    def exp(self, double x):
        """e^x, the same bits everywhere."""
        return self.t.exp(x)

    def log(self, double x):
        """The natural logarithm, the same bits everywhere."""
        return self.t.log(x)

    def sin(self, double x):
        """The sine, the same bits everywhere; NaN from 2^30 on."""
        return self.t.sin(x)

    def cos(self, double x):
        """The cosine, the same bits everywhere; NaN from 2^30 on."""
        return self.t.cos(x)


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

    cdef Draw new_draw(self):
        cdef Draw d = Draw.__new__(Draw)
        d.kernels = kernels()
        d.t = &d.kernels.draw
        d.r.draw.table = d.t
        d.program = self.c
        d.keep = self
        return d

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
        return 0

    def costs(self, Address stream, Py_ssize_t first, double[::1] out, object n_threads):
        """J of samples first, first + 1, ...; compiled programs run in parallel."""
        cdef Py_ssize_t n = self.c.n_theta, count = out.shape[0], n_blocks = (count + COST_ROWS - 1) // COST_ROWS, i
        cdef Py_ssize_t stride = sizeof(sc_recorder) // 8 + 1 + 2 * n
        cdef int threads = 1, status
        cdef const sc_table *t = kernels()
        cdef sc_program program = self.c
        cdef sc_stream own = stream.c
        cdef sc_cancel cancel
        cdef double[::1] memory, values
        cdef int64_t[::1] where
        cdef Draw d
        if self.c.run == NULL:
            memory, d = np.empty(2 * n), self.new_draw()
            for i in range(count):
                self.run(d, &own, first + i, &memory[0], &memory[n])
                out[i] = d.r.cost
            return
        if count == 0:
            return
        threads = min(team(n_threads, count * WORK), n_blocks)
        memory, where, values = np.empty(threads * stride), np.full(n_blocks, -1, np.int64), np.zeros(n_blocks)
        begin(&cancel)
        for i in prange(n_blocks, nogil=True, num_threads=threads, schedule="dynamic"):  # costs go by number
            costs_of_block(t, &program, &own, first + i * COST_ROWS, min(COST_ROWS, count - i * COST_ROWS),
                           &memory[0] + threadid() * stride, &cancel, &out[i * COST_ROWS], &where[i], &values[i])
        status = finish(&cancel)
        if status:
            for i in range(n_blocks):
                if where[i] >= 0:
                    error = rule(status, values[i], n)
                    error.add_note(f"in sample {where[i]}") if hasattr(error, "add_note") else None
                    raise error

    def paths(self, Address stream, Py_ssize_t most_paths, Py_ssize_t most_depth):
        """Enumerate the tree of decisions: lists of chances, costs, S and R of its leaves."""
        cdef double[:, ::1] memory = np.empty((2, self.c.n_theta))
        cdef int32_t[::1] script = np.zeros(most_depth, np.int32), width = np.zeros(most_depth, np.int32)
        cdef Draw d = self.new_draw()
        cdef Py_ssize_t depth
        found = []
        d.program.blame = SC_BLAME_LATER
        d.r.script, d.r.width, d.r.n_script, d.r.most_depth = &script[0], &width[0], 0, most_depth
        while True:
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

    def fold(self, Address stream, double[:, ::1] shards, Py_ssize_t first_block, Py_ssize_t n_blocks,
             Py_ssize_t shard_blocks, Py_ssize_t rows, Py_ssize_t stop, str kind, str blame, bint mirrored,
             Py_ssize_t unit, bint within, double[::1] baseline, const double[::1] sample_baseline,
             Py_ssize_t first_sample, object n_threads):
        """Fold blocks first_block .. first_block + n_blocks, the last up to sample `stop`, into a node for each shard.

        Returns -1, or the number of a sample whose cost is not finite.
        """
        cdef Py_ssize_t base = first_block * rows, n = self.c.n_theta, size = shards.shape[1], last = stop - base
        cdef Py_ssize_t most = last - (n_blocks - 1) * rows
        cdef int threads = 1
        cdef sc_job job
        cdef sc_program program = self.c
        cdef sc_stream own = stream.c
        cdef const sc_table *t = kernels()
        cdef sc_cancel cancel
        cdef Py_ssize_t stride, i, shard, end
        cdef int64_t bad
        cdef double[::1] memory
        cdef double[:, ::1] nodes
        cdef int64_t[::1] where
        cdef double[::1] values
        memset(&job, 0, sizeof(sc_job))
        job.family.n_problems, job.n_parameters, job.block_rows = 1, n, rows
        job.estimator.kind, job.estimator.mirrored, job.estimator.unit = _KINDS[kind], mirrored, unit
        job.estimator.within, job.estimator.baseline = within, &baseline[0]
        job.estimator.first_sample = first_sample
        job.estimator.sample_baseline = &sample_baseline[0] if sample_baseline is not None else NULL
        program.blame = _BLAMES[blame]
        most = max(most, rows)
        stride = most * (2 * n + 1) + 2 * n + 3 * (most + SC_ROWS_PAD) + 2 * SC_MOST_STAGES
        stride += sizeof(sc_recorder) // 8 + 8
        if self.c.run == NULL:
            memory = np.empty(stride)
            for shard in range(shards.shape[0]):
                i = shard * shard_blocks
                end = min(n_blocks, i + shard_blocks)
                bad = self.fold_python(&job, program.blame, &own, shards[shard], memory, base + i * rows, end - i, rows,
                                       stop if end == n_blocks else base + end * rows)
                if bad >= 0:
                    return bad
            return -1
        threads = min(team(n_threads, last * WORK), n_blocks)
        memory = np.empty(threads * stride)
        nodes = np.empty((n_blocks, size))
        where, values = np.full(n_blocks, -1, np.int64), np.zeros(n_blocks)
        begin(&cancel)
        for i in prange(n_blocks, nogil=True, num_threads=threads, schedule="dynamic"):  # nodes go by number
            one_block(t, &program, &own, &job, base + i * rows, rows if i < n_blocks - 1 else stop - base - i * rows,
                      &memory[0] + threadid() * stride, &cancel, &nodes[i, 0], &where[i], &values[i])
        status = finish(&cancel)
        if status:
            for i in range(n_blocks):
                if where[i] >= 0:
                    if status == SC_COST_NOT_FINITE:
                        return where[i]
                    error = rule(status, values[i], n)
                    error.add_note(f"in sample {where[i]}") if hasattr(error, "add_note") else None
                    raise error
        for i in range(n_blocks):
            shard = i // shard_blocks
            if i == shard * shard_blocks:
                shards[shard, :] = nodes[i]
            else:
                t.merge(&shards[shard, 0], &nodes[i, 0], 1, n)
        return -1

    cdef int64_t fold_python(self, sc_job *job, int blame, sc_stream *stream, double[::1] node, double[::1] memory,
                             Py_ssize_t base, Py_ssize_t n_blocks, Py_ssize_t rows, Py_ssize_t stop) except -2:
        """The same with a function in Python, one sample after another."""
        cdef Draw d = self.new_draw()
        d.program.blame = blame
        cdef Py_ssize_t n = self.c.n_theta, block, i, count, first, half, number
        cdef double *stages = &memory[0]
        cdef double *j = stages + 2 * SC_MOST_STAGES
        cdef double *score
        cdef double *rest
        cdef double[::1] one = node
        cdef sc_stream own = stream[0]
        cdef int64_t bad = -1
        for block in range(n_blocks):
            first = base + block * rows
            count = rows if block < n_blocks - 1 else stop - first
            score, rest = j + count, j + count + count * n
            half = count // 2 if job.estimator.mirrored else count
            memset(stages, 0, 2 * SC_MOST_STAGES * sizeof(double))
            d.r.learning = blame == SC_BLAME_STAGE
            d.r.sum, d.r.count = (stages if d.r.learning else NULL), stages + SC_MOST_STAGES
            for i in range((1 + d.r.learning) * count):
                if i == count:
                    d.r.learning = 0
                i %= count
                own.antithetic = stream.antithetic ^ (i >= half)
                number = (first // 2 if job.estimator.mirrored else first) + (i if i < half else i - half)
                self.run(d, &own, number, score + i * n, rest + i * n)
                j[i] = d.r.cost
            if block:
                one = np.empty(node.shape[0])
            if d.kernels.simulated_node(job, first, count, j, score, rest, rest + count * n, &one[0], &bad):
                return bad
            if block:
                d.kernels.merge(&node[0], &one[0], 1, n)
        return -1


cdef void costs_of_block(const sc_table *t, const sc_program *p, const sc_stream *s, Py_ssize_t first, Py_ssize_t rows,
                         double *memory, sc_cancel *cancel, double *out, int64_t *where, double *value) noexcept nogil:
    """Run the samples of a block for their costs alone; a failure stops the others."""
    cdef sc_recorder *r = <sc_recorder *>memory
    cdef double *score = memory + sizeof(sc_recorder) // 8 + 1
    cdef Py_ssize_t i
    memset(r, 0, sizeof(sc_recorder))
    r.draw.table, r.cancel = &t.draw, cancel
    for i in range(rows):
        t.recorder_begin(r, p, s, first + i, score, score + p.n_theta)
        if t.run_program(p, r):
            where[0], value[0] = first + i, r.value
            stop_all(cancel, r.status)
            return
        out[i] = r.cost


cdef void one_block(const sc_table *t, const sc_program *p, const sc_stream *s, const sc_job *job, Py_ssize_t first,
                    Py_ssize_t rows, double *memory, sc_cancel *cancel, double *node, int64_t *where,
                    double *value) noexcept nogil:
    """Run the samples of a block and weigh them; a failure stops the others."""
    cdef Py_ssize_t n = p.n_theta
    cdef sc_recorder *r = <sc_recorder *>memory
    cdef double *stages = memory + sizeof(sc_recorder) // 8 + 1
    cdef double *j = stages + 2 * SC_MOST_STAGES
    cdef double *score = j + rows
    cdef double *rest = score + rows * n
    cdef int status
    memset(r, 0, sizeof(sc_recorder))
    r.draw.table = &t.draw
    status = t.simulate_rows(p, s, first, rows, job.estimator.mirrored, r, cancel, stages, j, score, rest,
                             where)
    if status == 0:
        status = t.simulated_node(job, first, rows, j, score, rest, rest + rows * n, node, where)
    if status:
        value[0] = r.value
        stop_all(cancel, status)


def table_address():
    """Where the table of functions stands that recorders of this process have."""
    return <uintptr_t>&kernels().draw
