"""draw: what a program in Python draws its decisions from, a call of the recorder's table each (kernels/draws.h)."""

cimport numpy as cnp

import numpy as np
from libc.stdint cimport int64_t
from libc.string cimport memset

from ._dispatch cimport (
    SC_DRAW_CONTINUOUS, SC_DRAW_FAILED, SC_DRAW_INDEX, SC_DRAW_LIMIT, SC_DRAW_NOT_FINITE, SC_DRAW_PARAMETER,
    SC_DRAW_PROBABILITY, SC_DRAW_STATE, kernels, sc_program, sc_recorder,
)

cnp.import_array()


class NotListedError(ValueError):
    """An enumeration met a draw that has no list of outcomes, or too many of them."""


def rule(int status, double value, Py_ssize_t n_theta):
    """The error for what broke a rule."""
    if status == SC_DRAW_INDEX:
        return IndexError(f"a draw's parameters must lie in theta, which has {n_theta} numbers, got index {int(value)}")
    if status == SC_DRAW_PROBABILITY:
        return ValueError(f"a draw's probabilities must lie in [0, 1] and sum to 1, got {value}")
    if status == SC_DRAW_PARAMETER:
        return ValueError(
            "a draw's rate or scale must be positive and finite, its classes and units 1 to 256, its trials 0 to "
            f"10^6, got {value:g}"
        )
    if status == SC_DRAW_NOT_FINITE:
        return ValueError(f"costs, logits, scores and derivatives must be finite, got {value}")
    if status == SC_DRAW_LIMIT:
        return RuntimeError(f"the program has made {int(value)} draws and goes on: raise `max_draws` if it should")
    if status == SC_DRAW_STATE:
        return ValueError(
            f"`draw.state` must be given as many numbers as ValueBaseline(features=...) has, got {int(value)}"
        )
    if status == SC_DRAW_CONTINUOUS:
        return NotListedError("the program draws continuous noise, which cannot be enumerated")
    return RuntimeError("the compiled program raised an exception: run it without `compile` to see which")


cdef class Draw:  # its attributes: _draw.pxd
    """What a simulator draws its decisions from; every call adds to the score that the recorder keeps.

    Where `features` are given, theta[i] stands for features . theta[i : i + len(features)].
    """
    def __cinit__(self):
        memset(&self.r, 0, sizeof(sc_recorder))
        memset(&self.program, 0, sizeof(sc_program))

    def __init__(self):
        raise TypeError("a Draw is made by the simulator that it is given to")

    cdef int checked(self) except -1:
        if self.r.status:
            if self.over:
                raise RuntimeError("this Draw is over, as its simulator's run is: draw inside of the simulator alone")
            status, value = self.r.status, self.r.got
            self.r.status = 0
            if status == SC_DRAW_LIMIT and self.r.script != NULL:
                raise NotListedError(f"the program makes more than {int(value)} decisions in a row")
            raise rule(status, value, self.program.n_theta)
        return 0

    cdef void end(self) noexcept:
        """The memory behind it goes away; whoever has kept the Draw gets errors from now on."""
        memset(&self.r, 0, sizeof(sc_recorder))
        self.r.draw.table = self.t
        self.r.status, self.over = SC_DRAW_FAILED, True

    cdef const double *features(self, object given, Py_ssize_t *n) except? NULL:
        """Numbers of the program's own, for the time of one call."""
        cdef Py_ssize_t i = 0
        if given is None:
            n[0] = 0
            return NULL
        if not hasattr(given, "__len__"):
            raise TypeError(f"`features` must be a row of numbers, got {type(given).__name__}")
        n[0] = len(given)
        if n[0] < 1 or n[0] > MOST_FEATURES:
            raise ValueError(f"`features` must have 1 to {MOST_FEATURES} numbers, got {n[0]}")
        if type(given) is tuple or type(given) is list:
            for x in given:
                self.buffer[i] = x
                i += 1
        else:
            for x in np.asarray(given, dtype=np.float64).reshape(-1).tolist():
                if i >= MOST_FEATURES:
                    raise ValueError(f"`features` must be one row of numbers, got shape {np.shape(given)}")
                self.buffer[i] = x
                i += 1
            if i != n[0]:
                raise ValueError(f"`features` must be one row of numbers, got shape {np.shape(given)}")
        return self.buffer

    def bernoulli(self, Py_ssize_t i=-1, features=None, *, p=None):
        """0 or 1 with the logit theta[i]; with ``p=`` that probability, whose score `add_score` has to be told."""
        cdef Py_ssize_t n
        cdef int64_t y
        if p is not None:
            if i != -1 or features is not None:
                raise TypeError("`bernoulli` takes either an index of theta or `p`, got both")
            y = self.t.bernoulli_p(&self.r.draw, p)
        else:
            values = self.features(features, &n)
            y = self.t.bernoulli(&self.r.draw, i, values, n)
        self.checked()
        return y

    def categorical(self, Py_ssize_t i=-1, Py_ssize_t k=0, features=None, *, p=None):
        """One of k classes with the logits theta[i : i + k]; of n features class c has features . theta[i + c n :]."""
        cdef Py_ssize_t n
        cdef int64_t y
        cdef const double[::1] probs
        if p is not None:
            if i != -1 or features is not None or k:
                raise TypeError("`categorical` takes either indices of theta or `p`, got both")
            probs = np.ascontiguousarray(p, dtype=np.float64)
            if not probs.shape[0]:
                raise ValueError("`p` must have a probability for each class, got none")
            y = self.t.categorical_p(&self.r.draw, &probs[0], probs.shape[0])
        else:
            values = self.features(features, &n)
            y = self.t.categorical(&self.r.draw, i, k, values, n)
        self.checked()
        return y

    def tanh_policy(self, Py_ssize_t i, Py_ssize_t hidden, Py_ssize_t k, features):
        """One of k classes by a layer of `hidden` tanh units: see `simulators.tanh_policy_size`."""
        cdef Py_ssize_t n
        values = self.features(features, &n)
        cdef int64_t y = self.t.tanh_policy(&self.r.draw, i, hidden, k, values, n)
        self.checked()
        return y

    def binomial(self, Py_ssize_t i, int64_t n, features=None):
        """Successes among n trials, each with the logit theta[i]."""
        cdef Py_ssize_t m
        values = self.features(features, &m)
        cdef int64_t y = self.t.binomial(&self.r.draw, i, n, values, m)
        self.checked()
        return y

    def poisson(self, Py_ssize_t i, features=None):
        """A count with the rate exp(theta[i])."""
        cdef Py_ssize_t n
        values = self.features(features, &n)
        cdef int64_t y = self.t.poisson(&self.r.draw, i, values, n)
        self.checked()
        return y

    def geometric(self, Py_ssize_t i, features=None):
        """Trials up to and with the first success, each with the logit theta[i]."""
        cdef Py_ssize_t n
        values = self.features(features, &n)
        cdef int64_t y = self.t.geometric(&self.r.draw, i, values, n)
        self.checked()
        return y

    def exponential(self, Py_ssize_t i, *, bint log=False):
        """A waiting time with the rate theta[i], or exp(theta[i])."""
        cdef double y = self.t.exponential(&self.r.draw, i, log)
        self.checked()
        return y

    def normal(self, Py_ssize_t i, double scale=1.0, features=None):
        """Normal with the mean theta[i] and this standard deviation."""
        cdef Py_ssize_t n
        values = self.features(features, &n)
        cdef double y = self.t.normal(&self.r.draw, i, scale, values, n)
        self.checked()
        return y

    def uniform(self):
        """Plain noise, uniform on [0, 1)."""
        cdef double y = self.t.uniform(&self.r.draw)
        self.checked()
        return y

    def standard_normal(self):
        """Plain noise, normal."""
        cdef double y = self.t.standard_normal(&self.r.draw)
        self.checked()
        return y

    def cost(self, double c):
        """Add to the cost: decisions that were made before are weighed by it, later ones are not. Ends a stage."""
        self.t.cost(&self.r.draw, c)
        self.checked()

    def state(self, features):
        """Tell the state from here on, as ``estimators.ValueBaseline(features=...)`` sees it; others do not look."""
        cdef Py_ssize_t n
        values = self.features(features, &n)
        self.t.state(&self.r.draw, values, n)
        self.checked()

    def discount(self, double factor):
        """Multiply all costs that follow by a factor."""
        self.t.discount(&self.r.draw, factor)
        self.checked()

    def add_score(self, Py_ssize_t i, double value):
        """Tell the derivative by theta[i] of the logarithm of a probability that was the program's own."""
        self.t.add_score(&self.r.draw, i, value)
        self.checked()

    def add_grad(self, Py_ssize_t i, double value):
        """Tell a derivative by theta[i] that the cost itself has."""
        self.t.add_grad(&self.r.draw, i, value)
        self.checked()

    def exp(self, double x):
        """e^x, the same bits everywhere."""
        return self.t.exp(x)

    def log(self, double x):
        """The natural logarithm, the same bits everywhere."""
        return self.t.log(x)

    def sin(self, double x):
        """The sine, the same bits everywhere; NaN from 2^30 on."""
        return self.t.sin(x)

    def cos(self, double x):
        """The cosine, the same bits everywhere; NaN from 2^30 on."""
        return self.t.cos(x)


cdef Draw new_draw(const sc_program *program, object keep):
    """A recorder for a program, whose memory `keep` holds."""
    cdef Draw d = Draw.__new__(Draw)
    d.kernels = kernels()
    d.t = &d.kernels.draw
    d.r.draw.table = d.t
    d.program = program[0]
    d.keep = keep
    return d
