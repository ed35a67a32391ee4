"""costs: J of many rows, in parallel over blocks of rows."""

import numpy as np
from cython.parallel cimport prange
from libc.stdint cimport uint8_t

from ._dispatch cimport (
    SC_COST_LINEAR, SC_COST_QUADRATIC, SC_F64, SC_I32, SC_I64, SC_U8, begin, finish, kernels, sc_cancel, sc_cost,
    sc_family, sc_table, sc_tables_size, team,
)

cdef Py_ssize_t BLOCK = 1 << 15  # outcomes in a block of rows


cdef int point_at(sc_cost *cost, str kind, const double[::1] linear, const double[::1] quadratic,
                  Py_ssize_t problem_stride, const double[::1] tables) except -1:
    """Fill the C struct; the arrays must outlive it."""
    cost.kind = SC_COST_LINEAR if kind == "linear" else SC_COST_QUADRATIC
    cost.problem_stride = problem_stride
    cost.linear = &linear[0]
    cost.quadratic = &quadratic[0] if quadratic is not None else NULL
    cost.tables = &tables[0] if tables is not None else NULL
    return 0


def linear_tables(const double[::1] linear):
    """The tables of partial sums that packed samples are priced by (csrc/kernels/bits.h)."""
    cdef double[::1] tables = np.empty(sc_tables_size(linear.shape[0]))
    kernels().linear_tables(linear.shape[0], &linear[0], &tables[0])
    return np.asarray(tables)


def rows(str kind, const double[::1] linear, const double[::1] quadratic, Py_ssize_t problem_stride, object y,
         Py_ssize_t n_problems, Py_ssize_t n_sites, double[::1] out, object n_threads):
    """J of the rows of y (flat uint8 or int32), out[row * n_problems + problem]."""
    cdef const uint8_t[::1] raw = y.view(np.uint8)
    cdef Py_ssize_t n = out.shape[0] // n_problems, width = n_problems * n_sites, each = y.itemsize * width
    cdef Py_ssize_t block = max(1, BLOCK // width), i
    cdef double[:, ::1] scratch = np.empty(((n + block - 1) // block, n_sites))
    cdef const sc_table *t = kernels()
    cdef int threads = team(n_threads, n * width * (n_sites if kind == "quadratic" else 1))
    cdef sc_family family
    cdef sc_cost cost
    cdef sc_cancel cancel
    family.type = SC_U8 if y.itemsize == 1 else SC_I32 if y.itemsize == 4 else SC_F64 if y.dtype.kind == "f" else SC_I64
    family.n_problems, family.n_sites = n_problems, n_sites
    point_at(&cost, kind, linear, quadratic, problem_stride, None)
    begin(&cancel)
    for i in prange((n + block - 1) // block, nogil=True, num_threads=threads, schedule="static"):
        t.cost_rows(&family, &cost, &raw[0] + i * block * each, min(block, n - i * block), &scratch[i, 0], &cancel,
                    &out[i * block * n_problems])
    finish(&cancel)
