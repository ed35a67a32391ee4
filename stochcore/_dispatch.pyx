"""The one extension that holds the C core: the table of kernels, threads, and the host's half of cancellation."""

import os

from cpython.exc cimport PyErr_CheckSignals
from cpython.pycapsule cimport PyCapsule_New

from . cimport STOCHCORE_NOISE

cdef extern from "dispatch.h" nogil:
    const sc_table *sc_choose_table(const char *name, int *known)
    int sc_runnable(const char **names)
    void sc_cancel_begin(sc_cancel *cancel, int (*poll)() noexcept nogil)
    int sc_cancelled(sc_cancel *cancel)
    void sc_cancel_raise(sc_cancel *cancel, int status)

cdef extern from *:
    """
    #ifdef _OPENMP
    #include <omp.h>
    static int sc_max_threads(void) { return omp_get_max_threads(); }
    static const int sc_openmp = 1;
    #else
    static int sc_max_threads(void) { return 1; }
    static const int sc_openmp = 0;
    #endif
    """
    int sc_max_threads()
    const int sc_openmp

cdef const sc_table *chosen = NULL
cdef object interruption = None  # what a signal handler raised while a loop ran
cdef bint ran_threads = False  # has this process started OpenMP's threads?
cdef bint serial = False  # a child of such a process: its threads did not come along

MAX_THREADS = 1024
WORK_FOR_TEAM = 1 << 15  # fewer elements than this are done by one thread; the bits are the same


cdef const sc_table *kernels() except NULL:
    """The kernels for this CPU, or for STOCHCORE_ISA; chosen at the first call."""
    global chosen
    cdef int known = 0
    if chosen == NULL:
        name = os.environ.get("STOCHCORE_ISA", "")
        chosen = sc_choose_table(name.encode(), &known)
        if chosen == NULL:
            why = "which this CPU or its operating system cannot run" if known else "which no build has"
            raise ValueError(f"STOCHCORE_ISA must be one of {', '.join(runnable())} here, got {name!r}, {why}")
    return chosen


cdef int ask_signals() noexcept with gil:
    global interruption
    try:
        PyErr_CheckSignals()
    except BaseException as error:
        interruption = error
        return 1
    return 0


cdef int begin(sc_cancel *cancel) except -1:
    """Before a parallel loop, in the calling thread."""
    sc_cancel_begin(cancel, <int (*)() noexcept nogil>ask_signals)
    return 0


cdef int finish(sc_cancel *cancel) except? -1:
    """After it: raise what a signal handler raised, or return the loop's status."""
    global interruption
    cdef int status
    PyErr_CheckSignals()
    status = sc_cancelled(cancel)
    if status == SC_CANCELLED and interruption is not None:
        error, interruption = interruption, None
        raise error
    return status


cdef int stopped(sc_cancel *cancel) noexcept nogil:
    """Inside the loop, at the border of a block: the status for which to stop, or 0."""
    return sc_cancelled(cancel)


cdef void stop(sc_cancel *cancel, int status) noexcept nogil:
    """Make everybody stop at the next border; the first status stays."""
    sc_cancel_raise(cancel, status)


cdef int team(object n_threads, Py_ssize_t work) except -1:
    """How many threads a loop over `work` elements gets; `n_threads` was checked, None means all."""
    global ran_threads
    cdef int wanted = sc_max_threads() if n_threads is None else n_threads
    if serial or work < WORK_FOR_TEAM or not sc_openmp:
        return 1
    if wanted > 1:
        ran_threads = True
    return wanted


def _after_fork_in_child():
    global serial
    serial = serial or ran_threads


os.register_at_fork(after_in_child=_after_fork_in_child)


def __getattr__(str name):
    """`noise`, the capsule of stochcore.h: made when it is first asked for, since STOCHCORE_ISA may be wrong."""
    if name != "noise":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    capsule = PyCapsule_New(<void *>&kernels().noise, STOCHCORE_NOISE, NULL)
    globals()["noise"] = capsule
    return capsule


def runnable():
    """Names of the instruction sets that this build has and this machine can run, best first."""
    cdef const char *names[SC_N_TABLES]
    cdef int count = sc_runnable(names)
    return [names[i].decode() for i in range(count)]


def isa():
    """Name of the instruction set in use."""
    return kernels().isa.decode()


def openmp():
    """Was this build made with OpenMP?"""
    return bool(sc_openmp)


def max_threads():
    """Threads that a large loop gets by default."""
    return 1 if serial else sc_max_threads()
