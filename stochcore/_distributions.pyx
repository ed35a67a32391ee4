"""distributions: tables from parameters; samples, steps and log-probabilities in parallel over blocks of rows."""

from math import gcd

import numpy as np
from cython.parallel cimport prange
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from ._dispatch cimport (
    SC_BERNOULLI, SC_CATEGORICAL, begin, finish, kernels, sc_cancel, sc_family, sc_stream, sc_table, stopped, team,
)
from ._noise cimport stream_of

cdef Py_ssize_t BLOCK = 1 << 15  # elements in a block of rows
cdef Py_ssize_t SHORT_ROW = 4096  # rows up to here are repeated to fill the lanes
cdef Py_ssize_t FEW_CLASSES = 24  # up to here counting all thresholds in lanes beats a guide
cdef int MAX_GUIDE_BITS = 24


cdef class Sites:
    """Sites(kind, by_probs, parameters, n_problems, n_sites, n_classes)

    kind: "bernoulli" or "categorical"; parameters: flat float64, [sites] or [sites * n_classes], logits or
    probabilities.
    """

    def __init__(self, str kind, bint by_probs, double[::1] parameters, Py_ssize_t n_problems, Py_ssize_t n_sites,
                 Py_ssize_t n_classes):
        self.family.kind = SC_BERNOULLI if kind == "bernoulli" else SC_CATEGORICAL
        self.family.by_probs = by_probs
        self.family.n_problems = n_problems
        self.family.n_sites = n_sites
        self.family.n_classes = n_classes
        self.n_elements = n_problems * n_sites
        if self.family.kind == SC_BERNOULLI:
            self.bernoulli_tables(parameters)
        else:
            self.categorical_tables(parameters)
        self.threshold_tables()
        for table in (self.probs, self.complement, self.log_probs, self.thresholds, self.high, self.guide):
            if table is not None:
                table.flags.writeable = False

    cdef int bernoulli_tables(self, const double[::1] parameters) except -1:
        """probs = p, complement = 1 - p (accurate where it is small), log_probs = rows log(1 - p), log p."""
        cdef const sc_table *t = kernels()
        cdef Py_ssize_t n = self.n_elements
        cdef double[::1] p = np.array(parameters), q = np.empty(n), negative
        cdef double[:, ::1] logs = np.empty((2, n))
        if self.family.by_probs:
            t.bernoulli_probs(n, &p[0], &logs[1, 0], &logs[0, 0])
            q = 1.0 - np.asarray(p)
        else:
            negative = -np.asarray(parameters)
            t.bernoulli_logits(n, &negative[0], &q[0], &logs[0, 0], &logs[1, 0])
            t.bernoulli_logits(n, &parameters[0], &p[0], &logs[1, 0], &logs[0, 0])
        self.probs, self.complement, self.log_probs = np.asarray(p), np.asarray(q), np.asarray(logs)
        return 0

    cdef int categorical_tables(self, const double[::1] parameters) except -1:
        """probs and log_probs, [sites * classes]."""
        cdef const sc_table *t = kernels()
        cdef Py_ssize_t n = self.n_elements * self.family.n_classes
        cdef double[::1] p = np.array(parameters), logs = np.empty(n)
        if self.family.by_probs:
            t.categorical_probs(n, &p[0], &logs[0])
        else:
            t.categorical_logits(self.n_elements, self.family.n_classes, &parameters[0], &p[0], &logs[0])
        self.probs, self.complement, self.log_probs = np.asarray(p), None, np.asarray(logs)
        return 0

    cdef int threshold_tables(self) except -1:
        """Thresholds of k and their high words, as family.h lays them down."""
        cdef bint many = self.family.n_classes > FEW_CLASSES
        cdef const uint64_t[:, ::1] thresholds = self.by_site() if many else self.by_class()
        # 2^53 ties at the top word, and wins there
        cdef const uint32_t[:, ::1] high = np.minimum(np.asarray(thresholds) >> 21, 0xFFFFFFFF).astype(np.uint32)
        cdef const double[::1] p = self.probs
        self.thresholds, self.high = np.asarray(thresholds), np.asarray(high)
        self.family.thresholds = &thresholds[0, 0]
        self.family.high = &high[0, 0]
        self.family.probs = &p[0]
        if many:
            self.guide_table()
        return 0

    cdef object by_class(self):
        """[classes - 1][sites], rows repeated to a multiple of 16 elements where they are short."""
        cdef Py_ssize_t n = self.n_elements, period = n
        cdef uint64_t[:, ::1] thresholds = np.zeros((max(self.family.n_classes - 1, 1), n), dtype=np.uint64)
        cdef const double[::1] p = self.probs
        self.family.site_stride, self.family.class_stride = 1, n
        if self.family.kind == SC_BERNOULLI:
            thresholds = np.ceil(np.ldexp(self.probs, 53)).astype(np.uint64)[None]
        else:
            kernels().categorical_thresholds(&self.family, n, &p[0], &thresholds[0, 0])
        if n <= SHORT_ROW:
            period = n * 16 // gcd(n, 16)
        self.family.period = self.family.class_stride = period
        return np.tile(np.asarray(thresholds), (1, period // n))

    cdef object by_site(self):
        """[sites][classes + 1], where two that no k reaches end a row."""
        cdef Py_ssize_t n = self.n_elements, width = self.family.n_classes + 1
        cdef uint64_t[:, ::1] thresholds = np.full((n, width), 1 << 53, dtype=np.uint64)
        cdef const double[::1] p = self.probs
        self.family.period, self.family.site_stride, self.family.class_stride = n, width, 1
        kernels().categorical_thresholds(&self.family, n, &p[0], &thresholds[0, 0])
        return np.asarray(thresholds)

    cdef int guide_table(self) except -1:
        """Twice to four times as many entries as classes."""
        cdef int bits = min((<object>self.family.n_classes - 1).bit_length() + 1, MAX_GUIDE_BITS)
        cdef uint32_t[:, ::1] guide = np.empty((self.n_elements, (1 << bits) + 1), dtype=np.uint32)
        self.family.guide_bits = bits
        kernels().categorical_guide(&self.family, self.n_elements, self.family.thresholds, &guide[0, 0])
        self.guide = np.asarray(guide)
        self.family.guide = &guide[0, 0]
        return 0

    def sample(self, object stream, Py_ssize_t n, object out, object n_threads):
        """Rows 0 .. n of the stream's samples into `out`, flat, uint8 or int32."""
        cdef sc_stream s = stream_of(stream)
        cdef uint8_t[::1] raw = out.view(np.uint8)
        cdef Py_ssize_t width = raw.shape[0] // n, rows = max(1, BLOCK // self.n_elements), i
        cdef const sc_table *t = kernels()
        cdef int threads = team(n_threads, n * self.n_elements)
        cdef sc_family f = self.family
        cdef sc_cancel cancel
        begin(&cancel)
        for i in prange((n + rows - 1) // rows, nogil=True, num_threads=threads, schedule="static"):
            sample_block(t, &f, &s, i * rows, min(rows, n - i * rows), &raw[0] + i * rows * width, &cancel)
        finish(&cancel)

    def step(self, const uint64_t[::1] k, object out):
        """The outcomes of given k, flat: whole rows."""
        cdef uint8_t[::1] raw = out.view(np.uint8)
        cdef const sc_table *t = kernels()
        if k.shape[0]:
            with nogil:
                t.step(&self.family, &k[0], k.shape[0], &raw[0])

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


cdef void sample_block(const sc_table *t, const sc_family *f, const sc_stream *s, Py_ssize_t first, Py_ssize_t rows,
                       void *y, sc_cancel *cancel) noexcept nogil:
    cdef Py_ssize_t width = f.n_problems * f.n_sites
    if stopped(cancel) == 0:
        t.sample(f, s, <uint64_t>first * <uint64_t>width, rows * width, y)


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
