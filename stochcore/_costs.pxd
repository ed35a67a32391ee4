from ._dispatch cimport sc_cost

cdef int point_at(sc_cost *cost, str kind, const double[::1] linear, const double[::1] quadratic,
                  Py_ssize_t problem_stride, const double[::1] tables) except -1
