"""costs: J of many rows, and its differences, in parallel over blocks of rows; pointers of foreign functions."""

import numpy as np
from cpython.pycapsule cimport PyCapsule_GetContext, PyCapsule_GetName, PyCapsule_GetPointer, PyCapsule_IsValid
from cython.parallel cimport prange, threadid
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t, uintptr_t

from ._dispatch cimport (
    SC_BUCKET_ROW, SC_COST_COMPILED, SC_COST_FORM, SC_COST_LINEAR, SC_COST_NOT_BITS, SC_COST_QUADRATIC, SC_COST_TABLE,
    SC_CUT_ROWS, SC_F64, SC_I32, SC_I64, SC_U8, begin, finish, kernels, sc_cancel, sc_cost, sc_cut_terms,
    sc_digits_size, sc_family, sc_function, sc_price_size, sc_table, stop as stop_all, stopped, team,
)

cdef Py_ssize_t BLOCK = 1 << 15  # outcomes in a block of rows

_KINDS = {
    "linear": SC_COST_LINEAR, "quadratic": SC_COST_QUADRATIC, "table": SC_COST_TABLE, "form": SC_COST_FORM,
    "compiled": SC_COST_COMPILED,
}


cdef class Weights:
    """Weights(kind, problem_stride, linear=None, quadratic=None, table=None, n_classes=0)

    Flat arrays of float64, or None where the kind has none.
    """

    def __init__(self, str kind, Py_ssize_t problem_stride, linear=None, quadratic=None, table=None,
                 Py_ssize_t n_classes=0):
        self.keep = []
        self.cost.kind = _KINDS[kind]
        self.cost.problem_stride, self.cost.n_classes, self.cost.sign = problem_stride, n_classes, 1.0
        self.cost.linear, self.cost.quadratic = self.numbers(linear), self.numbers(quadratic)
        self.cost.table = self.numbers(table)

    cdef const double *numbers(self, object array) except? NULL:
        """Where the numbers of an array stand; it is kept."""
        if array is None:
            return NULL
        cdef const double[::1] own = array
        self.keep.append(own)
        return &own[0] if own.shape[0] else NULL

    def set_form(self, double constant, const int64_t[::1] start, const int64_t[::1] upper,
                 const int32_t[::1] neighbour, weight):
        """Neighbours and their weights, each pair twice."""
        self.keep += [start, upper, neighbour]
        self.cost.form.constant = constant
        self.cost.form.start, self.cost.form.upper = &start[0], &upper[0]
        self.cost.form.neighbour = &neighbour[0] if neighbour.shape[0] else NULL
        self.cost.form.weight = self.numbers(weight)

    def set_cut(self, double constant, double unit, int64_t offset, Py_ssize_t n_planes, const int64_t[:, ::1] groups,
                const uint64_t[::1] pairs):
        """The same form as a cut: groups are rows (first, count, plane, turned)."""
        self.keep += [groups, pairs]
        self.cost.form.cut_constant, self.cost.form.unit, self.cost.form.offset = constant, unit, offset
        self.cost.form.n_planes, self.cost.form.n_groups = n_planes, groups.shape[0]
        self.cost.form.groups, self.cost.form.pairs = <const sc_cut_terms *>&groups[0, 0], &pairs[0]

    def set_outcomes(self, outcomes):
        """J of every outcome of at most eight sites."""
        self.cost.outcomes = self.numbers(outcomes)

    def set_tables(self, const double[::1] table):
        """Tables of sums, from the numbers of both outcomes of each site."""
        cdef Py_ssize_t sites = table.shape[0] // 2
        cdef double[::1] tables
        cdef uint8_t[::1] digits
        if sites <= SC_BUCKET_ROW:
            tables = np.empty(256 * 8)
            kernels().word_tables(sites, &table[0], &tables[0])
            self.keep.append(tables)
            self.cost.tables = &tables[0]
            if sites <= 8:
                self.cost.outcomes = &tables[0]
        else:
            digits = np.empty(sc_digits_size(sites), np.uint8)
            self.cost.unit = kernels().digit_tables(sites, &table[0], &digits[0])
            self.keep.append(digits)
            self.cost.digits = &digits[0]

    def set_slope(self, slope, symmetric):
        """What flips are made of."""
        self.cost.slope, self.cost.symmetric = self.numbers(slope), self.numbers(symmetric)

    def set_function(self, uintptr_t function, uintptr_t data, object owner, double sign):
        """A foreign function and its data; `owner` keeps both alive."""
        self.keep.append(owner)
        self.cost.function, self.cost.data, self.cost.sign = <sc_function>function, <void *>data, sign

    def rows(self, object y, Py_ssize_t n_problems, Py_ssize_t n_sites, double[::1] out, object n_threads):
        """J of the rows of y (flat, of a family's type), out[row * n_problems + problem]; False: y are no bits."""
        cdef const uint8_t[::1] raw = y.view(np.uint8)
        cdef Py_ssize_t n = out.shape[0] // n_problems, width = n_problems * n_sites, each = y.itemsize * width
        cdef bint form = self.cost.kind == SC_COST_FORM
        cdef Py_ssize_t block = max(1, SC_CUT_ROWS // n_problems if form else BLOCK // width)
        cdef Py_ssize_t blocks = (n + block - 1) // block, stride, i
        cdef Py_ssize_t work = n_sites if self.cost.kind == SC_COST_QUADRATIC else 64 * (
            self.cost.kind == SC_COST_COMPILED) + 1
        cdef int threads = team(n_threads, n * width * work) if blocks > 1 else 1
        cdef const sc_table *t = kernels()
        cdef sc_family family
        cdef sc_cancel cancel
        cdef double[::1] scratch
        family.type = type_of(y.dtype)
        family.n_problems, family.n_sites = n_problems, n_sites
        stride = sc_price_size(self.cost.kind, n_sites, min(n, block) * n_problems)
        scratch = np.empty(threads * stride)
        begin(&cancel)
        for i in prange(blocks, nogil=True, num_threads=threads, schedule="dynamic"):  # results go by number
            one_block(t, &family, &self.cost, &raw[0] + i * block * each, min(block, n - i * block),
                      &scratch[0] + threadid() * stride, &cancel, &out[i * block * n_problems])
        return finish(&cancel) != SC_COST_NOT_BITS

    def flips(self, const double[:, ::1] y, Py_ssize_t n_problems, double[:, ::1] out, object n_threads):
        """J(y with y_d = 1) - J(y with y_d = 0) of each row (rows go from problem to problem) and site."""
        cdef Py_ssize_t n = y.shape[0], sites = y.shape[1], i
        cdef int threads = team(n_threads, n * sites * (sites if self.cost.kind == SC_COST_QUADRATIC else 4))
        cdef const sc_table *t = kernels()
        cdef sc_cancel cancel
        begin(&cancel)
        for i in prange(n, nogil=True, num_threads=threads, schedule="static"):
            one_flip(t, &self.cost, i % n_problems, &y[i, 0], sites, &cancel, &out[i, 0])
        finish(&cancel)


cdef void one_block(const sc_table *t, const sc_family *family, const sc_cost *cost, const uint8_t *y, Py_ssize_t rows,
                    double *scratch, sc_cancel *cancel, double *out) noexcept nogil:
    """Call the kernel; a failure stops the others."""
    cdef int status = t.cost_rows(family, cost, y, rows, scratch, cancel, out)
    if status:
        stop_all(cancel, status)


cdef void one_flip(const sc_table *t, const sc_cost *cost, Py_ssize_t problem, const double *y, Py_ssize_t sites,
                   sc_cancel *cancel, double *out) noexcept nogil:
    """Call the kernel, unless somebody asked to stop."""
    if not stopped(cancel):
        t.flip_row(cost, problem, y, sites, out)


cdef int type_of(dtype) except -1:
    """How the kernels call an outcome's type."""
    if dtype.kind == "f":
        return SC_F64
    return SC_U8 if dtype.itemsize == 1 else SC_I32 if dtype.itemsize == 4 else SC_I64


def open_capsule(object capsule):
    """Name, pointer and context of a capsule."""
    cdef const char *name = PyCapsule_GetName(capsule)
    if not PyCapsule_IsValid(capsule, name):
        raise ValueError("a capsule without a pointer")
    told = None if name == NULL else (<bytes>name).decode()
    return told, <uintptr_t>PyCapsule_GetPointer(capsule, name), <uintptr_t>PyCapsule_GetContext(capsule)
