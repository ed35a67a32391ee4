"""distributions: tables of families; samples, steps, log-probabilities and scores, in parallel over blocks of rows."""

from math import gcd

cimport numpy as cnp

import numpy as np
from cython.parallel cimport prange, threadid
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy, memset

from ._dispatch cimport (
    SC_AFFINE, SC_BERNOULLI, SC_BY_CLASS, SC_CATEGORICAL, SC_CHAINS, SC_F64, SC_GAUSSIAN, SC_GIVEN, SC_I32, SC_I64,
    SC_LADDERS, SC_LEAST, SC_NORMAL, SC_ORDERS, SC_PATHS, SC_RANKS, SC_ROWS, SC_TABLED, SC_TRIALS, SC_U8, begin,
    finish, kernels, sc_argument, sc_cancel, sc_family, sc_ladder, sc_stream, sc_table, stopped, team,
)
from ._arrays cimport plain
from ._noise cimport stream_of

cnp.import_array()

cdef Py_ssize_t BLOCK = 1 << 15  # elements in a block of rows
cdef Py_ssize_t LADDER_BLOCK = 1 << 17  # where a site's tables should be used often
cdef Py_ssize_t LADDER_SITES = 1 << 10  # so many of them at a time, where there are more
cdef Py_ssize_t SHORT_ROW = 4096  # rows up to here are repeated to fill the lanes
cdef Py_ssize_t FEW_CLASSES = 24  # up to here counting all thresholds in lanes beats a ladder
cdef int MAX_BITS = 24  # of the cells of a ladder

MAX_OUTCOMES = 1 << 27  # of all ladders together

_KINDS = {
    "bernoulli": SC_BERNOULLI, "categorical": SC_CATEGORICAL, "ladders": SC_LADDERS, "chains": SC_CHAINS,
    "orders": SC_ORDERS, "normal": SC_NORMAL, "trials": SC_TRIALS, "given": SC_GIVEN,
}
_TYPES = {np.dtype(name): code for name, code in (("u1", SC_U8), ("i4", SC_I32), ("i8", SC_I64), ("f8", SC_F64))}
_SCORES = {
    "by class": SC_BY_CLASS, "affine": SC_AFFINE, "tabled": SC_TABLED, "gaussian": SC_GAUSSIAN, "paths": SC_PATHS,
    "ranks": SC_RANKS, "rows": SC_ROWS,
}


cdef class Tables:
    """Tables(kind, dtype, n_problems, n_sites, n_elements, n_classes=0)

    `n_sites` outcomes of each problem, `n_elements` elements of noise a sample. What a kind needs besides is set by the
    methods below.
    """

    def __init__(self, str kind, object dtype, Py_ssize_t n_problems, Py_ssize_t n_sites, Py_ssize_t n_elements,
                 Py_ssize_t n_classes=0):
        self.take_sizes(_KINDS[kind], _TYPES[np.dtype(dtype)], n_problems, n_sites, n_elements, n_classes)

    cdef int take_sizes(self, int kind, int type, Py_ssize_t n_problems, Py_ssize_t n_sites, Py_ssize_t n_elements,
                        Py_ssize_t n_classes) except -1:
        memset(&self.family, 0, sizeof(sc_family))
        self.keep = []
        self.family.kind, self.family.type = kind, type
        self.family.n_problems, self.family.n_sites, self.family.n_elements = n_problems, n_sites, n_elements
        self.family.n_classes = n_classes
        self.family.map.plain = True
        self.width = n_problems * n_sites
        return 0

    @property
    def n_elements(self):
        """Elements of noise that a sample takes."""
        return self.family.n_elements

    cdef const double *numbers(self, object array) except? NULL:
        """Keep float64 numbers for the struct."""
        cdef cnp.ndarray own
        if array is None:
            return NULL
        own = array if plain(array) else np.ascontiguousarray(array, dtype=np.float64)
        self.keep.append(own)
        return data(own) if cnp.PyArray_SIZE(own) else NULL

    def set_scores(self, str kind, Py_ssize_t n_scores, *, object probs=None, object centre=None, object slope=None,
                   object scale=None, object table=None, object rows=None, Py_ssize_t n_each=0):
        """How scores come out of outcomes (family.h): n_scores of each problem."""
        cdef const int64_t[::1] view
        self.family.score = _SCORES[kind]
        self.family.n_scores = self.n_scores = n_scores
        self.family.n_each = n_each
        self.family.centre, self.family.slope = self.numbers(centre), self.numbers(slope)
        if scale is not None:
            self.family.scale = self.numbers(scale)
        if table is not None:
            self.family.table = self.numbers(table)
        if probs is not None:
            self.family.probs = self.numbers(probs)
        if rows is not None:
            view = rows
            self.keep.append(rows)
            self.family.rows = &view[0]

    def set_map(self, object index, list arguments):
        """From scores to theta: `index` among all arguments, and for each (n, theta, x or None, bias)."""
        cdef cnp.ndarray own
        cdef sc_argument *a
        self.family.map.plain = False
        self.family.map.index = NULL
        if index is not None:
            own = np.ascontiguousarray(index, dtype=np.int64)
            self.keep.append(own)
            self.family.map.index = <const int64_t *>cnp.PyArray_DATA(own)
        self.family.map.n_arguments = len(arguments)
        for i, (n, theta, x, bias) in enumerate(arguments):
            a = &self.family.map.argument[<Py_ssize_t>i]
            a.n, a.theta, a.bias = n, theta, bias
            a.x = self.numbers(x)
            if x is not None:
                a.rows, a.inputs = x.shape

    def set_chains(self, Py_ssize_t n_steps, bint per_step, object probs):
        """Chains of n_steps; probs [chains][1 + states of each step or of all][states]."""
        cdef Py_ssize_t chains = self.family.n_elements // n_steps
        self.family.n_steps, self.family.per_step = n_steps, per_step
        self.family.n_ladders = probs.size // (chains * self.family.n_classes)
        n = np.full(chains * self.family.n_ladders, self.family.n_classes)
        self.set_ladders(np.zeros_like(n), n, probs, True)

    def set_orders(self, object logits, Py_ssize_t n_taken, bint unordered):
        """Lists of n_classes items each, flat logits; the first n_taken are wanted."""
        self.family.logits = self.numbers(logits)
        self.family.n_taken, self.family.unordered = n_taken, unordered
        self.family.n_scratch = kernels().ranks_scratch(self.family.n_classes, n_taken, not unordered)

    def log_prob_ranks(self, const int32_t[::1] y, double[::1] out):
        """log p of each list."""
        cdef double[::1] scratch = np.empty(self.family.n_scratch)
        cdef const sc_table *t = kernels()
        if out.shape[0]:
            with nogil:
                t.log_prob_ranks(&self.family, out.shape[0], &y[0], &scratch[0], &out[0])

    def set_trials(self, cnp.ndarray rates):
        """Minus the logarithms of the chances of failure, one a site: plain numbers, in rows that fill the lanes."""
        cdef Py_ssize_t n = self.width, i
        cdef cnp.npy_intp period = n * 16 // <Py_ssize_t>gcd(n, 16) if n <= SHORT_ROW else n
        cdef cnp.ndarray every = numbers_of(period), inverse = numbers_of(period)
        cdef cnp.ndarray few = cnp.PyArray_SimpleNew(1, &period, cnp.NPY_FLOAT)
        cdef const double *rate = data(rates)
        cdef double *table = data(every)
        cdef double *scale = data(inverse)
        cdef float *short_scale = <float *>cnp.PyArray_DATA(few)
        cdef double most = 0.0
        for i in range(period):
            table[i] = rate[i % n]
            scale[i] = 1.0 / table[i]
            short_scale[i] = <float>scale[i]
            most = max(most, scale[i])
        self.keep += [every, inverse, few]
        self.family.period, self.family.table, self.family.scale = period, table, scale
        if most <= 1 << 13:
            self.family.inverse = short_scale

    def set_classes(self, cnp.ndarray masses, bint as_given):
        """n_classes outcomes from 0 on at each site, with these masses; `as_given`: they are probabilities."""
        cdef Py_ssize_t classes = self.family.n_classes
        if classes > FEW_CLASSES:
            n = np.full(self.width, classes)
            self.family.kind = SC_LADDERS
            self.set_ladders(np.zeros_like(n), n, masses, as_given)
            return
        self.family.kind = SC_CATEGORICAL
        self.place_thresholds(max(classes - 1, 1))
        self.few_thresholds(self.numbers(masses), as_given)

    cdef int place_thresholds(self, Py_ssize_t rows) except -1:
        """Memory for so many thresholds of each site, and for their first bits (family.h), which begin a cache line:
        16 of them then never cross one.
        """
        cdef Py_ssize_t period = period_of(self.width), at = (8 * rows * period + 63) // 64 * 64
        cdef cnp.npy_intp size = 64 + at + 2 * rows * (period + 64)
        cdef cnp.ndarray memory = cnp.PyArray_SimpleNew(1, &size, cnp.NPY_UINT8)
        cdef uint8_t *line = <uint8_t *>cnp.PyArray_DATA(memory)
        line += (64 - (<uintptr_t>line & 63)) & 63
        self.keep.append(memory)
        self.family.period = period
        self.family.thresholds, self.family.top = <uint64_t *>line, <int16_t *>(line + at)
        return 0

    cdef int few_thresholds(self, const double *masses, bint as_given) except -1:
        """Write the thresholds of few classes: rows repeated as those of bits; and their first bits, with a margin."""
        cdef Py_ssize_t classes = self.family.n_classes, n = self.width, period = self.family.period, i, c, at
        cdef uint64_t *thresholds = <uint64_t *>self.family.thresholds
        cdef const sc_table *t = kernels()
        cdef int16_t *top
        cdef uint64_t own[64]
        for i in range(n):
            if as_given:
                t.class_thresholds(classes, masses + i * classes, own)
            else:
                t.ladder_thresholds(classes, masses + i * classes, own)
            for c in range(max(classes - 1, 1)):
                top = <int16_t *>self.family.top + c * (period + 64)
                for at in range(i, period, n):
                    thresholds[c * period + at] = own[c]
                    top[at] = <int16_t>(<int32_t>min(own[c] >> 37, <uint64_t>0xFFFF) - 0x8000)
        for c in range(max(classes - 1, 1)):
            top = <int16_t *>self.family.top + c * (period + 64)
            memcpy(top + period, top, 64 * sizeof(int16_t))
        return 0

    def set_ladders(self, object first, object n, object masses, bint as_given):
        """A ladder for each site: n outcomes from `first` on, with these masses; `as_given`: they are probabilities."""
        self.ladders(np.ascontiguousarray(first, dtype=np.int64), np.ascontiguousarray(n, dtype=np.int64),
                     np.ascontiguousarray(masses, dtype=np.float64), as_given)

    cdef int ladders(self, cnp.ndarray first, cnp.ndarray n, cnp.ndarray masses, bint as_given) except -1:
        """All of them in one piece of memory: thresholds, ladders, high words, cells."""
        cdef Py_ssize_t sites = cnp.PyArray_SIZE(n), total = 0, cells = 0, i
        cdef const int64_t *firsts = <const int64_t *>cnp.PyArray_DATA(first)
        cdef const int64_t *counts = <const int64_t *>cnp.PyArray_DATA(n)
        cdef const double *mass = data(masses)
        cdef const sc_table *t = kernels()
        cdef cnp.npy_intp size
        cdef cnp.ndarray memory
        cdef uint64_t *thresholds
        cdef uint32_t *high
        cdef uint8_t *cell
        cdef sc_ladder *ladder
        cdef int threads
        for i in range(sites):
            total += counts[i]
            cells += <Py_ssize_t>size_of_cells(counts[i]) << bits_of_cells(counts[i])
        size = total * 12 + sites * (4 + sizeof(sc_ladder)) + cells + 4
        memory = cnp.PyArray_SimpleNew(1, &size, cnp.NPY_UINT8)
        self.keep.append(memory)
        thresholds = <uint64_t *>cnp.PyArray_DATA(memory)
        ladder = <sc_ladder *>(thresholds + total)
        high = <uint32_t *>(ladder + sites)
        cell = <uint8_t *>(high + total + sites)
        cell += -<uintptr_t>cell & 3
        self.family.ladders = ladder
        for i in range(sites):
            ladder[i].first, ladder[i].count = firsts[i], <uint32_t>(counts[i] - 1)
            ladder[i].shift, ladder[i].size = 32 - bits_of_cells(counts[i]), size_of_cells(counts[i])
            ladder[i].thresholds, ladder[i].high, ladder[i].cells = thresholds, high, cell
            thresholds += counts[i]
            high += counts[i] + 1
            cell += <Py_ssize_t>ladder[i].size << (32 - ladder[i].shift)
        thresholds = <uint64_t *>cnp.PyArray_DATA(memory)
        threads = team(None, total * 8)
        for i in prange(sites, nogil=True, num_threads=threads, schedule="static"):
            one_ladder(t, ladder + i, mass + (ladder[i].thresholds - thresholds), as_given)
        return 0

    def sample(self, object stream, Py_ssize_t n, cnp.ndarray out, object n_threads):
        """Rows 0 .. n of the stream's samples into `out`, contiguous, of the family's type."""
        cdef sc_stream s = stream_of(stream)
        cdef uint8_t *raw = <uint8_t *>cnp.PyArray_DATA(out)
        cdef Py_ssize_t block = BLOCK if self.family.ladders == NULL else LADDER_BLOCK
        cdef Py_ssize_t width = cnp.PyArray_NBYTES(out) // n, rows = max(1, block // self.family.n_elements), i
        cdef Py_ssize_t sites = self.family.n_elements, parts = 1
        cdef const sc_table *t = kernels()
        cdef int threads = team(n_threads, n * self.family.n_elements)
        cdef sc_family f = self.family
        cdef Py_ssize_t each = f.n_scratch + 1
        cdef cnp.ndarray scratch = numbers_of(threads * each)
        cdef double *own = data(scratch)
        cdef sc_cancel cancel
        if f.kind == SC_LADDERS and sites > LADDER_SITES:
            sites, rows = LADDER_SITES, LADDER_BLOCK // LADDER_SITES
            parts = (f.n_elements + sites - 1) // sites
        begin(&cancel)
        for i in prange((n + rows - 1) // rows * parts, nogil=True, num_threads=threads, schedule="static"):
            sample_block(t, &f, &s, i // parts * rows, min(rows, n - i // parts * rows), i % parts * sites,
                         min(sites, f.n_elements - i % parts * sites), raw + i // parts * rows * width,
                         own + threadid() * each, &cancel)
        finish(&cancel)

    def sample_apart(self, object stream, Py_ssize_t n, Py_ssize_t stride, object out):
        """The same, with the noise of sample i from element i * stride on."""
        cdef sc_stream s = stream_of(stream)
        cdef uint8_t[::1] raw = out.view(np.uint8)
        cdef Py_ssize_t width = raw.shape[0] // n, i
        cdef const sc_table *t = kernels()
        cdef double[::1] scratch = np.empty(self.family.n_scratch + 1)
        with nogil:
            for i in range(n):
                t.sample(&self.family, &s, <uint64_t>i * <uint64_t>stride, 1, &scratch[0], &raw[0] + i * width)

    def step(self, object noise, object out):
        """The outcomes of given noise, flat: whole rows of k, or of variates."""
        cdef const uint8_t[::1] z = noise.view(np.uint8)
        cdef uint8_t[::1] raw = out.view(np.uint8)
        cdef Py_ssize_t rows = noise.shape[0] // self.family.n_elements
        cdef double[::1] scratch = np.empty(self.family.n_scratch + 1)
        cdef const sc_table *t = kernels()
        if rows:
            with nogil:
                t.step(&self.family, &z[0], rows, &scratch[0], &raw[0])

    def scores(self, object y, Py_ssize_t rows, double[:, ::1] out):
        """The derivative of log p by theta of each row of y (flat), into out[row]."""
        cdef const uint8_t[::1] raw = y.view(np.uint8)
        cdef Py_ssize_t problems = self.family.n_problems, part, each = self.family.n_scores, r, p
        cdef double[::1] row = np.empty(problems * each), scratch = np.empty(self.family.n_scratch + 1)
        cdef double[::1] flat = np.empty(1 + sum(self.family.map.argument[i].n for i in range(3)))
        cdef const sc_table *t = kernels()
        if not rows:
            return
        part = raw.shape[0] // (rows * problems)
        with nogil:
            for r in range(rows):
                for p in range(problems):
                    t.score_row(&self.family, p, &raw[0] + (r * problems + p) * part, &scratch[0], &row[p * each])
                t.pull(&self.family.map, problems * each, &row[0], &flat[0], out.shape[1], &out[r, 0])

    def pull(self, const double[:, ::1] scores, double[:, ::1] out):
        """Each row of scores, of all problems, as derivatives by theta."""
        cdef Py_ssize_t r
        cdef double[::1] flat = np.empty(1 + sum(self.family.map.argument[i].n for i in range(3)))
        cdef const sc_table *t = kernels()
        with nogil:
            for r in range(scores.shape[0]):
                t.pull(&self.family.map, scores.shape[1], &scores[r, 0], &flat[0], out.shape[1], &out[r, 0])

    def weigh(self, object y, const double[:, ::1] weights, double[::1] out, object n_threads):
        """sum_n weights[n, problem] * (derivative of log p by theta) of the rows of y (flat) into out.

        Blocks of rows in parallel, each to one partial sum; these are added up in order.
        """
        cdef const uint8_t[::1] raw = y.view(np.uint8)
        cdef Py_ssize_t problems = self.family.n_problems, each = self.family.n_scores, n = weights.shape[0], i, j
        cdef Py_ssize_t rows = max(SC_LEAST, min(1024, BLOCK // max(1, self.width))), blocks = max(1, n // rows)
        cdef Py_ssize_t part = raw.shape[0] // (n * problems), own = problems * each
        cdef const double[:, ::1] columns = np.ascontiguousarray(np.asarray(weights).T)
        cdef double[:, ::1] sums = np.empty((blocks, own))
        cdef double[::1] flat = np.empty(1 + sum(self.family.map.argument[a].n for a in range(3)))
        cdef const sc_table *t = kernels()
        cdef int threads = team(n_threads, n * self.width)
        cdef sc_family f = self.family
        cdef double[:, ::1] scratch = np.empty((threads, f.n_scratch + 1))
        cdef sc_cancel cancel
        begin(&cancel)
        for i in prange(blocks, nogil=True, num_threads=threads, schedule="static"):
            weigh_block(t, &f, &raw[0], part, i * rows, rows if i < blocks - 1 else n - i * rows, &columns[0, 0], n,
                        &scratch[threadid(), 0], &sums[i, 0], &cancel)
        finish(&cancel)
        with nogil:
            for i in range(1, blocks):
                for j in range(own):
                    sums[0, j] += sums[i, j]
            t.pull(&f.map, own, &sums[0, 0], &flat[0], out.shape[0], &out[0])


cdef void weigh_block(const sc_table *t, const sc_family *f, const uint8_t *y, Py_ssize_t part, Py_ssize_t first,
                      Py_ssize_t rows, const double *weights, Py_ssize_t n, double *scratch, double *out,
                      sc_cancel *cancel) noexcept nogil:
    cdef Py_ssize_t p
    for p in range(f.n_problems):
        if stopped(cancel) == 0:
            t.weigh_scores(f, p, y + (first * f.n_problems + p) * part, rows, weights + p * n + first, scratch,
                           out + p * f.n_scores)


cdef Py_ssize_t period_of(Py_ssize_t n) noexcept:
    """Elements of a row of thresholds of n sites: 64 at least, of short rows a multiple of 16."""
    cdef Py_ssize_t whole = n * 16 // <Py_ssize_t>gcd(n, 16)
    return whole * ((63 + whole) // whole) if n <= SHORT_ROW else n


cdef cnp.ndarray numbers_of(cnp.npy_intp n):
    """A new array of n float64."""
    return cnp.PyArray_SimpleNew(1, &n, cnp.NPY_DOUBLE)


cdef double *data(cnp.ndarray array) noexcept:
    return <double *>cnp.PyArray_DATA(array)


cdef uint16_t bits_of_cells(int64_t n) noexcept nogil:
    """2^bits cells, two to four times as many as thresholds."""
    cdef uint16_t bits = 2
    while bits < MAX_BITS and (n - 1) >> (bits - 1):
        bits += 1
    return bits


cdef uint16_t size_of_cells(int64_t n) noexcept nogil:
    return 1 if n <= 1 << 8 else 2 if n <= 1 << 16 else 4


cdef void one_ladder(const sc_table *t, const sc_ladder *ladder, const double *mass, bint as_given) noexcept nogil:
    cdef Py_ssize_t n = ladder.count + 1
    cdef uint64_t *thresholds = <uint64_t *>ladder.thresholds
    if as_given:
        t.class_thresholds(n, mass, thresholds)
    else:
        t.ladder_thresholds(n, mass, thresholds)
    t.ladder_high(n - 1, thresholds, <uint32_t *>ladder.high)
    t.ladder_cells(n - 1, thresholds, 32 - ladder.shift, ladder.size, <void *>ladder.cells)


cdef void sample_block(const sc_table *t, const sc_family *f, const sc_stream *s, Py_ssize_t first, Py_ssize_t rows,
                       Py_ssize_t site, Py_ssize_t sites, void *y, double *scratch, sc_cancel *cancel) noexcept nogil:
    if stopped(cancel):
        return
    if sites < f.n_elements:
        t.sample_sites(f, s, <uint64_t>first * <uint64_t>f.n_elements, rows, site, sites, y)
    else:
        t.sample(f, s, <uint64_t>first * <uint64_t>f.n_elements, rows, scratch, y)


def count_masses(cnp.ndarray abc):
    """For each (a, b, c) of the Panjer class (ladders.h), a row of plain numbers: first outcomes, how many, and all
    their masses in a row; and the end of the outcomes of all.

    Raises OverflowError where there are more than MAX_OUTCOMES of them.
    """
    cdef cnp.npy_intp sites = cnp.PyArray_SIZE(abc) // 3, i, total = 0
    cdef cnp.ndarray first = cnp.PyArray_SimpleNew(1, &sites, cnp.NPY_INT64)
    cdef cnp.ndarray n = cnp.PyArray_SimpleNew(1, &sites, cnp.NPY_INT64)
    cdef int64_t *firsts = <int64_t *>cnp.PyArray_DATA(first)
    cdef int64_t *counts = <int64_t *>cnp.PyArray_DATA(n)
    cdef int64_t end = 0
    cdef Py_ssize_t limit = MAX_OUTCOMES
    cdef const double *q = data(abc)
    cdef double *mass
    cdef const sc_table *t = kernels()
    cdef int threads = team(None, sites * 64)
    cdef cnp.ndarray masses
    cdef cnp.npy_intp[::1] starts
    for i in prange(sites, nogil=True, num_threads=threads, schedule="static"):
        counts[i] = t.count_range(q + 3 * i, limit, firsts + i)
    starts = np.empty(sites, dtype=np.intp)
    for i in range(sites):
        starts[i] = total
        total += counts[i]
        end = max(end, firsts[i] + counts[i])
        if counts[i] == 0 or total > limit:
            raise OverflowError
    masses = numbers_of(total)
    mass = data(masses)
    for i in prange(sites, nogil=True, num_threads=threads, schedule="static"):
        t.count_masses(q + 3 * i, firsts[i], counts[i], mass + starts[i])
    return first, n, masses, end


def affine(const double[:, ::1] x, const double[:, ::1] weight, const double[::1] bias):
    """x @ weight + bias, each number summed in the order of the inputs."""
    cdef double[:, ::1] out = np.zeros((x.shape[0], weight.shape[1]))
    cdef Py_ssize_t r, i, d
    with nogil:
        for r in range(x.shape[0]):
            for i in range(x.shape[1]):
                for d in range(weight.shape[1]):
                    out[r, d] += x[r, i] * weight[i, d]
            for d in range(weight.shape[1] if bias is not None else 0):
                out[r, d] += bias[d]
    return np.asarray(out)


def row_sums(const double[:, ::1] x):
    """Sum each row from left to right."""
    cdef double[::1] out = np.zeros(x.shape[0])
    cdef Py_ssize_t i, j
    with nogil:
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                out[i] += x[i, j]
    return np.asarray(out)


cdef class Sites(Tables):
    """Sites(kind, by_probs, parameters, n_problems, n_sites, n_classes)

    kind: "bernoulli" or "categorical"; parameters: flat float64, [sites] or [sites * n_classes], logits or
    probabilities.
    """

    def __init__(self, str kind, bint by_probs, cnp.ndarray parameters, Py_ssize_t n_problems, Py_ssize_t n_sites,
                 Py_ssize_t n_classes):
        cdef bint bits = kind == "bernoulli"
        cdef Py_ssize_t each = 1 if bits else n_classes
        self.take_sizes(SC_BERNOULLI if bits else SC_CATEGORICAL, SC_U8 if bits else SC_I32, n_problems, n_sites,
                        n_problems * n_sites, n_classes)
        self.family.by_probs = by_probs
        self.parameters = parameters if plain(parameters) else np.ascontiguousarray(parameters, dtype=np.float64)
        self.probs = numbers_of(self.width * each)
        if bits:
            self.complement = numbers_of(self.width)
            self.bernoulli_tables()
            self.place_thresholds(1)
            self.bernoulli_thresholds()
            self.family.slope = data(self.complement)
            cnp.PyArray_CLEARFLAGS(self.complement, cnp.NPY_ARRAY_WRITEABLE)
        else:
            self.categorical_tables()
            self.set_classes(self.probs, True)
        self.family.score = SC_BY_CLASS
        self.family.n_scores = self.n_scores = n_sites * each
        self.family.probs = data(self.probs)
        cnp.PyArray_CLEARFLAGS(self.probs, cnp.NPY_ARRAY_WRITEABLE)

    @property
    def moves(self):
        """Can other logits go into the same memory?"""
        return not self.family.by_probs and self.family.map.plain and self.family.kind in (SC_BERNOULLI, SC_CATEGORICAL)

    cdef int move_to(self, cnp.ndarray parameters, const double *logits) except -1:
        """Go over to other logits, in place: for tables that nobody else holds."""
        self.parameters = parameters
        if self.family.kind == SC_BERNOULLI:
            self.logs = None
            kernels().bernoulli_means(self.width, logits, data(self.probs), data(self.complement))
            return self.bernoulli_thresholds()
        kernels().categorical_logits(self.width, self.family.n_classes, logits, data(self.probs), data(self.logs))
        return self.few_thresholds(data(self.probs), True)

    def move(self, cnp.ndarray parameters):
        """The same by an array that stays."""
        self.move_to(parameters, data(parameters))

    cdef int bernoulli_tables(self) except -1:
        """probs = p, complement = 1 - p, accurate where it is small."""
        cdef const double *given = data(self.parameters)
        cdef double *p = data(self.probs)
        cdef double *q = data(self.complement)
        cdef Py_ssize_t i
        if self.family.by_probs:
            for i in range(self.width):
                p[i], q[i] = given[i], 1.0 - given[i]
        else:
            kernels().bernoulli_means(self.width, given, p, q)
        return 0

    cdef int bernoulli_thresholds(self) except -1:
        kernels().bernoulli_thresholds(self.width, data(self.probs), self.family.period,
                                       <uint64_t *>self.family.thresholds, <int16_t *>self.family.top)
        return 0

    @property
    def log_probs(self):
        """Bits: rows log(1 - p), log p. Classes: [sites * classes]."""
        cdef const sc_table *t = kernels()
        cdef Py_ssize_t n = self.width
        cdef cnp.ndarray made
        cdef double *logs
        if self.logs is None:
            made = np.empty((2, n))
            logs = data(made)
            if self.family.by_probs:
                t.bernoulli_probs(n, data(self.parameters), logs + n, logs)
            else:
                t.bernoulli_logits(n, data(self.parameters), data(numbers_of(n)), logs + n, logs)
            cnp.PyArray_CLEARFLAGS(made, cnp.NPY_ARRAY_WRITEABLE)
            self.logs = made
        return self.logs

    cdef int categorical_tables(self) except -1:
        """probs and log_probs, [sites * classes]."""
        cdef const sc_table *t = kernels()
        cdef Py_ssize_t n = self.width * self.family.n_classes
        cdef double *p = data(self.probs)
        self.logs = numbers_of(n)
        if self.family.by_probs:
            memcpy(p, data(self.parameters), n * sizeof(double))
            t.categorical_probs(n, p, data(self.logs))
        else:
            t.categorical_logits(self.width, self.family.n_classes, data(self.parameters), p, data(self.logs))
        cnp.PyArray_CLEARFLAGS(self.logs, cnp.NPY_ARRAY_WRITEABLE)
        return 0

    def entropy(self, double[::1] sites, double[::1] scores):
        """H of each site, and its derivatives by what scores are by."""
        self.entropy_at(&sites[0], &scores[0])

    cdef int entropy_at(self, double *sites, double *scores) except -1:
        """The same by pointers. Of a bit with logit l, m = min(p, q): H = softplus(-|l|) + |l| m, dH/dl = -l p q."""
        cdef Py_ssize_t n = self.width, i
        cdef const double *logit = data(self.parameters)
        cdef const double *p = data(self.probs)
        cdef const double *q = NULL if self.complement is None else data(self.complement)
        if q == NULL or self.family.by_probs:
            logit = data(self.log_probs)
            for i in range(n):
                if q != NULL:
                    entropy_of_bit(p[i], q[i], logit[n + i], logit[i], sites + i, scores + i)
                else:
                    entropy_of_classes(self.family.n_classes, self.family.by_probs, p + i * self.family.n_classes,
                                       logit + i * self.family.n_classes, sites + i, scores + i * self.family.n_classes)
            return 0
        for i in range(n):
            sites[i] = -abs(logit[i])
        kernels().functions.softplus(n, sites, sites)
        for i in range(n):
            sites[i] += abs(logit[i]) * min(p[i], q[i])
            scores[i] = -logit[i] * p[i] * q[i]
        return 0

    def log_prob(self, object y, double[::1] out, object n_threads):
        """log p of len(out) rows of one problem's sites each; row r belongs to problem r mod n_problems."""
        cdef const uint8_t[::1] raw = y.view(np.uint8)
        cdef Py_ssize_t n = out.shape[0], rows = max(1, BLOCK // self.family.n_sites), i
        cdef const double[::1] logs = self.log_probs.reshape(-1)
        cdef const sc_table *t = kernels()
        cdef int threads = team(n_threads, n * self.family.n_sites)
        cdef sc_family f = self.family
        cdef sc_cancel cancel
        begin(&cancel)
        if n:
            for i in prange((n + rows - 1) // rows, nogil=True, num_threads=threads, schedule="static"):
                log_prob_block(t, &f, &logs[0], &raw[0], i * rows, min((i + 1) * rows, n), &out[0], &cancel)
        finish(&cancel)


cdef void entropy_of_bit(double p, double q, double log_p, double log_q, double *entropy,
                         double *by_p) noexcept nogil:
    """H = -p log p - q log q, dH/dp = log q - log p; what is never drawn adds nothing to H."""
    entropy[0] = -(p * log_p if p > 0.0 else 0.0) - (q * log_q if q > 0.0 else 0.0)
    by_p[0] = log_q - log_p


cdef void entropy_of_classes(Py_ssize_t classes, bint by_probs, const double *p, const double *log_p, double *entropy,
                             double *scores) noexcept nogil:
    """H = -sum p log p; by logits -p (log p + H), by probs tangent to the simplex: -log p less its mean."""
    cdef Py_ssize_t c
    cdef double sum = 0.0, logs = 0.0
    for c in range(classes):
        sum += p[c] * log_p[c] if p[c] > 0.0 else 0.0
        logs += log_p[c]
    entropy[0] = -sum
    for c in range(classes):
        if by_probs:
            scores[c] = logs / <double>classes - log_p[c]
        else:
            scores[c] = -p[c] * (log_p[c] - sum) if p[c] > 0.0 else 0.0


cdef void log_prob_block(const sc_table *t, const sc_family *f, const double *logs, const uint8_t *y, Py_ssize_t first,
                         Py_ssize_t stop, double *out, sc_cancel *cancel) noexcept nogil:
    cdef Py_ssize_t r, at, all_sites = f.n_problems * f.n_sites
    if stopped(cancel):
        return
    for r in range(first, stop):
        at = r % f.n_problems * f.n_sites
        if f.kind == SC_BERNOULLI:
            out[r] = t.log_prob_bernoulli(logs + all_sites + at, logs + at, y + r * f.n_sites, f.n_sites)
        else:
            out[r] = t.log_prob_categorical(logs + at * f.n_classes, <const int32_t *>y + r * f.n_sites, f.n_sites,
                                            f.n_classes)
