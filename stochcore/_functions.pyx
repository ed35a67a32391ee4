"""functions: special functions of whole arrays, with the same bits on every CPU (csrc/kernels/special.h)."""

cimport numpy as cnp

import numpy as np
from libc.stddef cimport ptrdiff_t

from ._arrays cimport plain
from ._dispatch cimport kernels

cnp.import_array()

ctypedef void (*function1)(ptrdiff_t, const double *, double *) noexcept nogil
ctypedef void (*function2)(ptrdiff_t, const double *, const double *, double *) noexcept nogil
ctypedef void (*function4)(ptrdiff_t, const double *, const double *, const double *, const double *,
                           double *) noexcept nogil
ctypedef void (*function3)(ptrdiff_t, const double *, const double *, double *, double *, double *) noexcept nogil


cdef tuple flat(tuple arguments):
    """The arguments as flat float64 arrays of one shape, and that shape."""
    arrays = np.broadcast_arrays(*[np.asarray(x, dtype=np.float64) for x in arguments])
    return [np.ascontiguousarray(a).reshape(-1) for a in arrays], arrays[0].shape


cdef object map1(function1 f, object x):
    cdef cnp.ndarray a = x if plain(x) else np.array(x, dtype=np.float64, order="C")
    cdef cnp.ndarray out = cnp.PyArray_SimpleNew(cnp.PyArray_NDIM(a), cnp.PyArray_DIMS(a), cnp.NPY_DOUBLE)
    cdef const double *given = <const double *>cnp.PyArray_DATA(a)
    cdef double *into = <double *>cnp.PyArray_DATA(out)
    cdef ptrdiff_t n = cnp.PyArray_SIZE(a)
    if n:
        with nogil:
            f(n, given, into)
    return out


cdef object map2(function2 f, object x, object y):
    arrays, shape = flat((x, y))
    cdef const double[::1] a = arrays[0], b = arrays[1]
    cdef double[::1] out = np.empty(a.shape[0])
    if a.shape[0]:
        with nogil:
            f(a.shape[0], &a[0], &b[0], &out[0])
    return np.asarray(out).reshape(shape)


cdef object map4(function4 f, object x, object y, object z, object w):
    arrays, shape = flat((x, y, z, w))
    cdef const double[::1] a = arrays[0], b = arrays[1], c = arrays[2], d = arrays[3]
    cdef double[::1] out = np.empty(a.shape[0])
    if a.shape[0]:
        with nogil:
            f(a.shape[0], &a[0], &b[0], &c[0], &d[0], &out[0])
    return np.asarray(out).reshape(shape)


cdef tuple map_interval(function3 f, object x, object y):
    arrays, shape = flat((x, y))
    cdef const double[::1] a = arrays[0], b = arrays[1]
    cdef double[:, ::1] out = np.empty((3, a.shape[0]))
    if a.shape[0]:
        with nogil:
            f(a.shape[0], &a[0], &b[0], &out[0, 0], &out[1, 0], &out[2, 0])
    first, second, third = np.asarray(out)
    return first.reshape(shape), second.reshape(shape), third.reshape(shape)


def exp(x):
    """e^x"""
    return map1(kernels().functions.exp, x)


def expm1(x):
    """e^x - 1"""
    return map1(kernels().functions.expm1, x)


def log(x):
    """log x"""
    return map1(kernels().functions.log, x)


def log1p(x):
    """log(1 + x)"""
    return map1(kernels().functions.log1p, x)


def sigmoid(x):
    """1 / (1 + e^-x)"""
    return map1(kernels().functions.sigmoid, x)


def softplus(x):
    """log(1 + e^x)"""
    return map1(kernels().functions.softplus, x)


def erfcx(x):
    """e^(x^2) erfc(x) for x >= 0"""
    return map1(kernels().functions.erfcx, x)


def ndtr(x):
    """Phi(x)"""
    return map1(kernels().functions.ndtr, x)


def log_ndtr(x):
    """log Phi(x)"""
    return map1(kernels().functions.log_ndtr, x)


def stirling(x):
    """log Gamma(x+1) - (x + 1/2) log x + x - log(2 pi)/2 for x >= 0"""
    return map1(kernels().functions.stirling, x)


def deviance(x, m):
    """x log(x/m) + m - x for x >= 0, m > 0"""
    return map2(kernels().functions.deviance, x, m)


def log_poisson(y, rate):
    """The logarithm of the Poisson probability of y."""
    return map2(kernels().functions.log_poisson, y, rate)


def log_binomial(y, n, p, q):
    """The logarithm of the binomial probability of y in n; q is 1 - p."""
    return map4(kernels().functions.log_binomial, y, n, p, q)


def log_negative_binomial(y, r, p, q):
    """The logarithm of the probability of y failures before r successes; q is 1 - p."""
    return map4(kernels().functions.log_negative_binomial, y, r, p, q)


def normal_interval(a, b):
    """log P(a < X < b), E[X | a < X < b] and E[X^2 - 1 | a < X < b] for a standard normal X; a < b."""
    return map_interval(kernels().functions.normal_interval, a, b)


def logistic_interval(a, b):
    """log(sigmoid(b) - sigmoid(a)) and its derivatives by a and by b; a < b."""
    return map_interval(kernels().functions.logistic_interval, a, b)
