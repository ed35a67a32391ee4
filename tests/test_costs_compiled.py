"""Costs that are C functions of others: each kind of pointer for real, and signatures that are refused."""

import ctypes
import os
import pickle
import re
import signal
import subprocess
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import c_programs
import numpy as np
import pytest

import stochcore as sc
from stochcore.costs import Linear, compiled

WANTED = "double cost(const T *y, ptrdiff_t n_sites, void *data) with T uint8_t, int32_t, int64_t or double"
KINDS = (
    "`fn` must be a numba cfunc, a SciPy LowLevelCallable, a capsule, or a function pointer of cffi or ctypes, got {}"
)
SOURCE = """
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define COST(name, type)                                                                       \\
    double name(const type *y, ptrdiff_t n_sites, void *data)                                  \\
    {                                                                                          \\
        const double *w = data;                                                                \\
        double sum = 0;                                                                        \\
        for (ptrdiff_t d = 0; d < n_sites; d++) sum += (w ? w[d] : (double)d) * (double)y[d];  \\
        return sum;                                                                            \\
    }
COST(cost_u8, uint8_t)
COST(cost_i32, int32_t)
COST(cost_i64, int64_t)
COST(cost_f64, double)

double bad(const uint8_t *y, ptrdiff_t n_sites, void *data) { return y[0] && y[1] ? NAN : 1.0; }

double slow(const uint8_t *y, ptrdiff_t n_sites, void *data)
{
    struct timespec t = {0, 2000000};
    nanosleep(&t, NULL);
    return y[0];
}

double two(const uint8_t *y, ptrdiff_t n_sites) { return 0.0; }
float single(const uint8_t *y, ptrdiff_t n_sites, void *data) { return 0.0f; }
double shorts(const int16_t *y, ptrdiff_t n_sites, void *data) { return 0.0; }
"""
CYTHON = """
# cython: language_level=3
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int32_t, uint8_t
cimport numpy as np

cdef api double cost_u8(const uint8_t *y, ptrdiff_t n_sites, void *data) noexcept nogil:
    cdef const double *w = <const double *>data
    cdef double total = 0
    cdef ptrdiff_t d
    for d in range(n_sites):
        total += w[d] * y[d]
    return total

cdef api double cost_i32(np.int32_t *y, Py_ssize_t n_sites, double *w) noexcept nogil:
    cdef double total = 0
    cdef ptrdiff_t d
    for d in range(n_sites):
        total += w[d] * y[d]
    return total

cdef api float wrong(const uint8_t *y, ptrdiff_t n_sites, void *data) noexcept nogil:
    return 0

cdef api double wide(const unsigned short *y, ptrdiff_t n_sites, void *data) noexcept nogil:
    return 0
"""
TYPES = {"u8": ctypes.c_uint8, "i32": ctypes.c_int32, "i64": ctypes.c_int64, "f64": ctypes.c_double}
W = np.linspace(-1, 2, 7)
MODEL = sc.Bernoulli(logits=np.linspace(-1, 1, 7))
Y = MODEL.sample(300, sc.Stream(5))


def refuses(error, message):
    return pytest.raises(error, match="^" + re.escape(message) + "$")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The path of SOURCE as a shared library."""
    folder = tmp_path_factory.mktemp("library")
    (folder / "costs.c").write_text(SOURCE)
    keep = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
    command = ["cc", "-O1", "-shared", "-fPIC", "costs.c", "-o", "costs.so", "-lm"]
    subprocess.run(command, cwd=folder, check=True, env=keep)
    return str(folder / "costs.so")


@pytest.fixture(scope="module")
def functions(library):
    """Its functions by ctypes, typed."""
    loaded = ctypes.CDLL(library)
    found = {}
    for name in ("cost_u8", "cost_i32", "cost_i64", "cost_f64", "bad", "slow"):
        function = found[name] = getattr(loaded, name)
        kind = TYPES[name.partition("_")[2] or "u8"]
        function.restype = ctypes.c_double
        function.argtypes = [ctypes.POINTER(kind), ctypes.c_ssize_t, ctypes.c_void_p]
    return found


@pytest.fixture(scope="module")
def extension(tmp_path_factory):
    """CYTHON, built and imported."""
    return c_programs.extension(CYTHON, "foreign_costs", tmp_path_factory.mktemp("extension"), np.get_include())


def holds(cost, y=Y, w=W):
    """Is the cost w . y?"""
    want = sum((w[d] * y[:, d] for d in range(y.shape[1])), np.zeros(len(y)))  # in the order of the function
    assert np.array_equal(cost(y), want)


# Each kind of pointer


def test_ctypes(functions):
    for name, dtype in (("u8", np.uint8), ("i32", np.int32), ("i64", np.int64), ("f64", np.float64)):
        cost = compiled(functions[f"cost_{name}"], W)
        assert cost.dtype == dtype
        assert repr(cost) == f"costs.compiled(<{np.dtype(dtype)} function of ctypes>)"
        holds(cost)
        holds(compiled(functions[f"cost_{name}"]), w=np.arange(7.0))  # no data: NULL
    for width in ("c_long", "c_longlong"):  # other names of the same type
        cost = functions["cost_i64"]
        kind = ctypes.CFUNCTYPE(
            ctypes.c_double, ctypes.POINTER(getattr(ctypes, width)), ctypes.c_int64, ctypes.c_void_p
        )
        if ctypes.sizeof(getattr(ctypes, width)) == 8:
            holds(compiled(ctypes.cast(cost, kind), W))


def test_numba():
    numba = pytest.importorskip("numba")
    types = numba.types

    def code(y, n_sites, data):
        w = numba.carray(data, (n_sites,), numba.float64)
        total = 0.0
        for d in range(n_sites):
            total += w[d] * y[d]
        return total

    for kind in (types.uint8, types.int32, types.int64, types.float64):
        for data in (types.CPointer(types.float64), types.voidptr):
            signature = types.float64(types.CPointer(kind), types.intp, data)
            function = numba.cfunc(signature)(code)
            cost = compiled(function, W)
            assert cost.dtype == np.dtype(str(kind))
            holds(cost)
    assert repr(cost) == "costs.compiled(<float64 function of numba>)"
    holds(compiled(function.ctypes, W))
    wrong = numba.cfunc(types.float64(types.CPointer(types.uint16), types.intp, types.voidptr))(lambda y, n, d: 0.0)
    with refuses(TypeError, f"`fn` must be {WANTED}, got float64 (uint16 *, int64, void *)"):
        compiled(wrong)
    wrong = numba.cfunc(types.float32(types.float64))(lambda x: x)
    with refuses(TypeError, f"`fn` must be {WANTED}, got float32 (float64)"):
        compiled(wrong)
    with pytest.raises(TypeError, match=r"^`fn` must be a numba cfunc, .* got "):
        compiled(numba.njit(lambda y, n, d: 0.0))


def test_low_level_callables(functions, extension):
    scipy = pytest.importorskip("scipy")
    cython = pytest.importorskip("numba").cfunc  # its ctypes pointers have signatures of their own
    pointer = W.ctypes.data_as(ctypes.c_void_p)
    holds(compiled(scipy.LowLevelCallable(functions["cost_u8"], pointer)))
    holds(compiled(scipy.LowLevelCallable(functions["cost_i32"], pointer)))
    holds(compiled(scipy.LowLevelCallable(functions["cost_f64"], pointer)))
    holds(compiled(scipy.LowLevelCallable(functions["cost_i64"])), w=np.arange(7.0))
    holds(compiled(scipy.LowLevelCallable(functions["cost_u8"]), W))
    holds(compiled(scipy.LowLevelCallable.from_cython(extension, "cost_u8", pointer)))
    assert repr(compiled(scipy.LowLevelCallable(functions["cost_u8"]))) == "costs.compiled(<uint8 function of scipy>)"
    assert cython
    with refuses(ValueError, "`data` must be left out for a LowLevelCallable that has its own"):
        compiled(scipy.LowLevelCallable(functions["cost_u8"], pointer), W)
    wrong = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(lambda x: x)
    with refuses(TypeError, f"`fn` must be {WANTED}, got double (double)"):
        compiled(scipy.LowLevelCallable(wrong))


def test_cython(extension):
    capsules = extension.__pyx_capi__
    holds(compiled(capsules["cost_u8"], W))
    cost = compiled(capsules["cost_i32"], W)
    assert cost.dtype == np.int32
    holds(cost)
    with refuses(TypeError, f"`fn` must be {WANTED}, got float (uint8_t *, ptrdiff_t, void *)"):
        compiled(capsules["wrong"])
    with refuses(TypeError, f"`fn` must be {WANTED}, got double (unsigned short *, ptrdiff_t, void *)"):
        compiled(capsules["wide"])
    other = sc.Stream(0).bit_generator().capsule
    with refuses(TypeError, f"`fn` must be {WANTED}, got BitGenerator ()"):
        compiled(other)


def test_cffi(library):
    cffi = pytest.importorskip("cffi")
    ffi = cffi.FFI()
    ffi.cdef("""
        double cost_u8(const uint8_t *y, ptrdiff_t n_sites, void *data);
        double cost_i32(const int32_t *y, ptrdiff_t n_sites, void *data);
        double cost_i64(const int64_t *y, ptrdiff_t n_sites, void *data);
        double cost_f64(const double *y, ptrdiff_t n_sites, void *data);
        double two(const uint8_t *y, ptrdiff_t n_sites);
        float single(const uint8_t *y, ptrdiff_t n_sites, void *data);
        double shorts(const int16_t *y, ptrdiff_t n_sites, void *data);
    """)
    loaded = ffi.dlopen(library)
    for name in ("u8", "i32", "i64", "f64"):
        holds(compiled(ffi.addressof(loaded, f"cost_{name}"), W))
        holds(compiled(getattr(loaded, f"cost_{name}"), ffi.cast("double *", W.ctypes.data)))
    own = ffi.new("double[]", W.tolist())
    cost = compiled(loaded.cost_u8, own)
    del own  # it is kept
    holds(cost)
    for name, came in (
        ("two", "double (uint8_t *, ptrdiff_t)"),
        ("single", "float (uint8_t *, ptrdiff_t, void *)"),
        ("shorts", "double (int16_t *, ptrdiff_t, void *)"),
    ):
        with refuses(TypeError, f"`fn` must be {WANTED}, got {came}"):
            compiled(getattr(loaded, name))
    with refuses(TypeError, KINDS.format("<cdata 'int *' NULL>")):
        compiled(ffi.cast("int *", 0))


# What is refused


@pytest.mark.parametrize("fn", [None, 3, "cost", len, lambda y: 0.0, object])
def test_no_pointer_at_all(fn):
    with pytest.raises(TypeError, match=f"^{re.escape(KINDS.format(''))}"):
        compiled(fn)


def test_signatures_of_ctypes(library):
    loaded = ctypes.CDLL(library)
    with refuses(TypeError, "`fn` of ctypes must have its `argtypes` and `restype` set, got no argtypes"):
        compiled(loaded.cost_u8)
    pointer, size, data = ctypes.POINTER(ctypes.c_uint8), ctypes.c_ssize_t, ctypes.c_void_p
    for argtypes, restype, came in (
        ([pointer, size, data], ctypes.c_int, "int32_t (uint8_t *, ptrdiff_t, void *)"),
        ([pointer, size, data], None, "void (uint8_t *, ptrdiff_t, void *)"),
        ([pointer, size], ctypes.c_double, "double (uint8_t *, ptrdiff_t)"),
        ([data, size, data], ctypes.c_double, "double (void *, ptrdiff_t, void *)"),
        ([pointer, ctypes.c_int, data], ctypes.c_double, "double (uint8_t *, int32_t, void *)"),
        ([pointer, size, ctypes.c_double], ctypes.c_double, "double (uint8_t *, ptrdiff_t, double)"),
        (
            [ctypes.POINTER(ctypes.c_uint16), size, data],
            ctypes.c_double,
            "double (c_ushort *, ptrdiff_t, void *)",
        ),
    ):
        function = loaded["cost_u8"]  # another object each time
        function.argtypes, function.restype = argtypes, restype
        with refuses(TypeError, f"`fn` must be {WANTED}, got {came}"):
            compiled(function)
    locked = ctypes.PyDLL(library).cost_u8
    locked.argtypes, locked.restype = [pointer, size, data], ctypes.c_double
    with refuses(TypeError, "`fn` of ctypes must not want the GIL, got one of a PyDLL"):
        compiled(locked)


def test_data(functions):
    function = functions["cost_u8"]
    for data in (
        W,
        W.ctypes.data_as(ctypes.c_void_p),
        W.ctypes.data_as(ctypes.POINTER(ctypes.c_double)),
        (ctypes.c_double * 7)(*W),
    ):
        holds(compiled(function, data))
    kept = compiled(function, W.copy())
    holds(kept)
    rule = "`data` must be None, a NumPy array, a pointer or an array of ctypes or cffi, or a capsule, got"
    for data, came in ((3, "3"), ([1.0], "[1.0]"), ("w", "'w'")):
        with refuses(TypeError, f"{rule} {came}"):
            compiled(function, data)
    with refuses(ValueError, "`data` must be C-contiguous, got strides (16,) for shape (4,)"):
        compiled(function, np.arange(8.0)[::2])


def test_outcomes_of_the_wrong_type(functions):
    bits, classes, reals = (compiled(functions[f"cost_{name}"]) for name in ("u8", "i32", "f64"))
    for cost, model, told in (
        (classes, MODEL, "int32, and those of a Bernoulli are uint8"),
        (bits, sc.Categorical(logits=np.zeros((2, 3))), "uint8, and those of a Categorical are int32"),
        (bits, sc.Normal([0.0], 1.0), "uint8, and those of a Normal are float64"),
        (reals, MODEL, "float64, and those of a Bernoulli are uint8"),
    ):
        for call, options in ((sc.estimate, {}), (sc.minimize, {"n_steps": 1, "n_samples": 9})):
            with refuses(TypeError, f"`cost` takes outcomes of {told}"):
                call(model, cost, **options)
    assert bits([[True, False]]).tolist() == [0.0]
    assert bits([[3, 255]]).tolist() == [255.0]
    with refuses(ValueError, "`y` must fit into uint8, got values from 0 to 256"):
        bits([[0, 256]])
    with refuses(TypeError, "`y` must hold integers, got dtype float64"):
        bits([[0.0, 1.0]])
    with refuses(ValueError, "`y` must be finite, got nan at index (0, 1)"):
        reals([[0.0, np.nan]])
    with refuses(ValueError, "`y` must have shape (n, *sites), got (2,)"):
        bits([0, 1])


# In estimates


def same(a, b):
    for name in ("cost", "cost_se", "grad", "grad_se", "best_cost", "best_y"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name


@pytest.mark.filterwarnings("ignore:all .* sampled costs are equal")
@pytest.mark.parametrize("sites", [1, 7, 8, 9, 70, 300])
def test_estimates_have_the_bits_of_a_callable(functions, sites):
    model, cost = sc.Bernoulli(logits=np.linspace(-1, 1, sites)), compiled(functions["cost_u8"], np.arange(300.0))
    for n, skip in ((2, 0), (40, 1), (3000, 0)):
        stream = sc.Stream(2).at(skip)
        want = sc.estimate(model, lambda y: cost(y), n, seed=stream)
        for threads in (1, 2, 3):
            same(sc.estimate(model, cost, n, seed=stream, n_threads=threads), want)
    twice = sc.estimate(model, cost, 100, estimator="antithetic")
    same(twice, sc.estimate(model, lambda y: cost(y), 100, estimator="antithetic"))


def test_every_family_and_batches(functions):
    for name, model in (
        ("i32", sc.Categorical(logits=np.linspace(-1, 1, 24).reshape(2, 4, 3), batch_ndims=1)),
        ("i32", sc.Poisson(rate=[[1.0, 2.0], [0.5, 3.0]])),
        ("i64", sc.Binomial([10**10, 5], probs=0.3)),
        ("f64", sc.Normal(np.arange(3.0), 1.0)),
        ("u8", sc.Bernoulli(logits=np.linspace(-1, 1, 24).reshape(2, 3, 4), batch_ndims=2)),
    ):
        cost = compiled(functions[f"cost_{name}"])
        flat = int(np.prod(model.event_shape))
        linear = Linear(np.arange(flat, dtype=float).reshape(model.event_shape))
        a, b = (sc.estimate(model, c, 500) for c in (cost, linear))
        np.testing.assert_allclose(a.cost, b.cost, rtol=1e-12)
        leaves = model._structure.leaves
        np.testing.assert_allclose(leaves(a.grad), leaves(b.grad), rtol=1e-9, atol=1e-12)
        one = sc.estimate(model, cost, 500, n_threads=1)
        assert np.array_equal(a.cost, one.cost)
        assert np.array_equal(leaves(a.grad), leaves(one.grad))


def test_exact_and_minimize(functions):
    cost = compiled(functions["cost_u8"], W)
    truth, linear = sc.exact(MODEL, cost), sc.exact(MODEL, Linear(W))
    assert truth.cost == pytest.approx(linear.cost, rel=1e-13)
    np.testing.assert_allclose(truth.grad, linear.grad, rtol=1e-12)
    batch = sc.Bernoulli(logits=np.zeros((3, 7)), batch_ndims=1)
    np.testing.assert_allclose(sc.exact(batch, cost).cost, W.sum() / 2, rtol=1e-13)
    for sign in (1, -1):
        fit = sc.minimize(MODEL, cost, n_steps=60, n_samples=100, optimizer=sc.Adam(0.2), maximize=sign < 0)
        best = W[sign * W < 0].sum()
        assert fit.best_cost == pytest.approx(best)
        assert cost(fit.best_y[None]) == fit.best_cost
    assert np.array_equal(cost.negated()(Y), -cost(Y))


def test_a_cost_that_is_not_finite_is_named(functions):
    model, cost = sc.Bernoulli(logits=np.zeros(3)), compiled(functions["bad"])
    y = model.sample(3000, sc.Stream(0))
    first = np.argmax(y[:, 0] & y[:, 1])
    for threads in (1, 2):
        with refuses(ValueError, f"`cost` must be finite, got NaN or infinity for sample {first}"):
            sc.estimate(model, cost, 3000, n_threads=threads)
    with refuses(ValueError, "`cost` must be finite, got nan for outcome [1, 1, 0]"):
        sc.exact(model, cost)


@pytest.mark.alone
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c(functions, threads):
    """Every call takes 2 ms, a block of them 2 s."""
    cost, sent = compiled(functions["slow"]), []

    def interrupt():
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.3, interrupt)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        sc.estimate(MODEL, cost, 100_000, n_threads=threads)
    assert time.monotonic() - sent[0] < 0.1
    timer.join()
    assert sc.estimate(MODEL, cost, 20).n_samples == 20


def test_values(functions):
    cost = compiled(functions["cost_u8"], W)
    rows = 64 * sc.estimate(MODEL, cost, 100)._tree.layout.block_rows
    parts = [sc.estimate(MODEL, cost, rows, first_sample=i * rows) for i in range(2)]
    same(parts[0].merge(parts[1]), sc.estimate(MODEL, cost, 2 * rows))
    other = sc.estimate(MODEL, compiled(functions["cost_u8"], W + 1), rows, first_sample=rows)
    with pytest.raises(ValueError, match="cost"):
        parts[0].merge(other)


def test_they_travel(functions):
    """By source, or by library and symbol, to another process: the worker of a pool."""
    pytest.importorskip("numba")
    import cluster_numba
    from scipy import LowLevelCallable

    costs = [
        compiled(functions["cost_u8"], W),
        compiled(functions["cost_u8"], W).negated(),
        compiled(LowLevelCallable(functions["cost_u8"]), W),
        compiled(cluster_numba.weighted, W),
        compiled(cluster_numba.local(), W),
    ]
    wanted = sc.estimate(MODEL, costs[0], 200_000)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        for cost in costs:
            again = pickle.loads(pickle.dumps(cost))
            assert again(Y).tobytes() == cost(Y).tobytes()
            found = sc.estimate(MODEL, cost, 200_000, executor=pool)
            sign = -1 if cost is costs[1] else 1
            assert found.cost == sign * wanted.cost
            np.testing.assert_array_equal(found.grad, sign * wanted.grad)


def test_those_that_cannot_travel_say_why(functions, extension):
    kind = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.POINTER(ctypes.c_uint8), ctypes.c_ssize_t, ctypes.c_void_p)
    for fn, what in [(extension.__pyx_capi__["cost_u8"], "PyCapsule"), (kind(lambda y, n, d: 0.0), "CFunctionType")]:
        with pytest.raises(TypeError, match=rf"a C function cannot be pickled as a {what}: an address means nothing"):
            pickle.dumps(compiled(fn, W))
    with pytest.raises(TypeError, match="cannot be pickled with a pointer as its data: an array travels"):
        pickle.dumps(compiled(functions["cost_u8"], ctypes.c_void_p(W.ctypes.data)))
