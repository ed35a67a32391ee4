"""Costs that numba compiles, at the top of a module and within a function, for tests of what travels to workers."""

import numba

SIGNATURE = "float64(CPointer(uint8), intp, CPointer(float64))"


@numba.cfunc(SIGNATURE)
def weighted(y, n, w):
    total = 0.0
    for i in range(n):
        total += w[i] * y[i]
    return total


def local():
    start = 0.0

    @numba.cfunc(SIGNATURE)
    def cost(y, n, w):
        total = start
        for i in range(n):
            total += w[i] * y[i]
        return total

    return cost
