cdef void read_costs(const double *node, Py_ssize_t problems, Py_ssize_t dependent, double *costs) noexcept nogil
cdef void read_gradient(const double *node, Py_ssize_t problems, Py_ssize_t parameters, bint many, double *grad,
                        double *grad_se) noexcept nogil
