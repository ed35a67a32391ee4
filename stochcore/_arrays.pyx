"""arrays: what checks ask of an array, in one call and one pass. Small calls live on it."""

cimport numpy as cnp

cnp.import_array()


cpdef bint plain(object value) noexcept:
    """Is it an array of float64 and no subclass, C-contiguous, aligned, of this machine's byte order?"""
    return type(value) is cnp.ndarray and cnp.PyArray_TYPE(value) == cnp.NPY_DOUBLE and cnp.PyArray_ISCARRAY_RO(value)


def within(cnp.ndarray array, double low, double high):
    """Do all numbers of a plain array lie in low .. high, both included? NaN does not."""
    cdef const double *x = <const double *>cnp.PyArray_DATA(array)
    cdef cnp.npy_intp n = cnp.PyArray_SIZE(array), i
    cdef int inside = 1
    with nogil:
        for i in range(n):
            inside &= (x[i] >= low) & (x[i] <= high)
    return bool(inside)


def frozen(cnp.ndarray array):
    """A copy of a plain array that nobody can write to."""
    cdef cnp.ndarray copy = cnp.PyArray_NewCopy(array, cnp.NPY_CORDER)
    cnp.PyArray_CLEARFLAGS(copy, cnp.NPY_ARRAY_WRITEABLE)
    return copy


def at(size_t address, object shape, object owner):
    """A read-only array over float64 numbers in C order at an address, which `owner` keeps alive."""
    cdef cnp.npy_intp dims[64]
    cdef int ndim = len(shape), i
    if ndim > 64 or address % sizeof(double):
        raise ValueError("an array has at most 64 axes, and is aligned")
    for i in range(ndim):
        dims[i] = shape[i]
    cdef cnp.ndarray view = cnp.PyArray_SimpleNewFromData(ndim, dims, cnp.NPY_DOUBLE, <void *>address)
    cnp.set_array_base(view, owner)
    cnp.PyArray_CLEARFLAGS(view, cnp.NPY_ARRAY_WRITEABLE)
    return view
