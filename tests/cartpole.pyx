# cython: language_level=3, cdivision=True
"""environments.cartpole in Cython: `cartpole` is found in the module's __pyx_capi__, as a capsule."""

from libc.math cimport fabs

from stochcore cimport sc_draw, sc_draw_bernoulli_linear, sc_draw_cost, sc_draw_uniform


cdef api void cartpole(sc_draw *draw) noexcept nogil:
    cdef double[4] state
    cdef double position, speed, angle, spin, force, sine, cosine, pull, twist, push
    cdef Py_ssize_t i, step
    for i in range(4):
        state[i] = 0.1 * sc_draw_uniform(draw) - 0.05
    for step in range(<Py_ssize_t>draw.x[0]):
        force = 10.0 if sc_draw_bernoulli_linear(draw, 0, state, 4) else -10.0
        position, speed, angle, spin = state[0], state[1], state[2], state[3]
        sine, cosine = draw.table.sin(angle), draw.table.cos(angle)
        pull = (force + 0.05 * spin * spin * sine) / 1.1
        twist = (9.8 * sine - cosine * pull) / (0.5 * (4.0 / 3.0 - 0.1 * cosine * cosine / 1.1))
        push = pull - 0.05 * twist * cosine / 1.1
        state[0] = position + 0.02 * speed
        state[1] = speed + 0.02 * push
        state[2] = angle + 0.02 * spin
        state[3] = spin + 0.02 * twist
        sc_draw_cost(draw, -1.0)
        if fabs(state[0]) > 2.4 or fabs(state[2]) > 0.20943951023931953:
            return


cdef api double wrong(sc_draw *draw) noexcept nogil:
    return draw.x[0]
