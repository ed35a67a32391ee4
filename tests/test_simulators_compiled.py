"""simulators: one program by numba, in C and in Cython, by each kind of pointer, with the bits of Python's."""

import ctypes
import gc
import pickle
import re
import subprocess
import sys
import weakref

import c_programs
import numpy as np
import pytest
from programs import THETA, discounted, model_of, same

import stochcore as sc
from stochcore import _numba, environments

SOURCE = """
#include "stochcore.h"
void game(sc_draw *draw)
{
    for (int i = 0; i < 3; i++) {
        const double features[2] = {1.0, 0.5};
        int64_t a = sc_draw_bernoulli_linear(draw, 0, features, 2);
        sc_draw_cost(draw, 1.0 + (double)a);
        sc_draw_discount(draw, 0.5);
        if (a) sc_draw_cost(draw, draw->theta[2] * draw->theta[2]);
        if (a) sc_draw_add_grad(draw, 2, 2.0 * draw->theta[2]);
    }
}
void endless(sc_draw *draw) { while (sc_draw_uniform(draw) < 2.0) {} }
void scaled(sc_draw *draw) { sc_draw_cost(draw, draw->x[draw->n_x - 1] * (double)sc_draw_bernoulli(draw, 0)); }
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulators")
    (folder / "game.c").write_text(SOURCE)
    return ctypes.CDLL(str(c_programs.library(folder / "game.c", folder)))


def pointer_of(library, function):
    own = getattr(library, function)
    own.restype, own.argtypes = None, [ctypes.c_void_p]
    return own


# ---- the same bits -------------------------------------------------------------------------------------------------
POLE = np.array([0.1, 0.3, 2.0, 1.0])  # most poles fall, after different numbers of steps


def pole(simulator):
    """An estimate in blocks, a short one, and some costs."""
    model = simulator(POLE, 200)
    whole = sc.estimate(model, n_samples=100, seed=3, estimator="whole_return")
    return whole, sc.estimate(model, n_samples=5, seed=4), model.sample(9, sc.Stream(5))


@pytest.fixture(scope="module")
def in_python():
    return pole(sc.simulator(environments.cartpole))


def holds(simulator, truth):
    *estimates, costs = pole(simulator)
    assert all(map(same, estimates, truth))
    assert costs.tobytes() == truth[-1].tobytes()
    assert len(np.unique(costs)) > 3


@pytest.fixture(scope="module")
def in_c(tmp_path_factory):
    """The path of cartpole.c as a shared library."""
    return str(c_programs.library(c_programs.TESTS / "cartpole.c", tmp_path_factory.mktemp("cartpole")))


@pytest.fixture(scope="module")
def in_cython(tmp_path_factory):
    """cartpole.pyx, built and imported."""
    text, folder = (c_programs.TESTS / "cartpole.pyx").read_text(), tmp_path_factory.mktemp("cython")
    return c_programs.extension(text, "cartpole", folder, sc.get_include())


def test_cartpole_by_numba(in_python):
    pytest.importorskip("numba")
    holds(sc.simulator(environments.cartpole, compile="numba"), in_python)


def test_what_numba_compiles_lives_as_long_as_its_function(monkeypatch):
    pytest.importorskip("numba")
    made, compile_one = [], _numba._compile

    def counted(*arguments):
        one = compile_one(*arguments)
        made.append(weakref.ref(one))
        return one

    def fresh(cost):
        def program(draw, theta, x, unit=2.0):
            draw.cost(cost * unit * draw.bernoulli(0))

        return program

    monkeypatch.setattr(_numba, "_compile", counted)
    ours, other = fresh(1.0), fresh(3.0)
    for theta in ([0.0], [1.0], [0.0]):  # a new simulator and a new model each time: nothing but the function stays
        assert sc.exact(sc.simulator(ours, compile="numba")(theta)).cost == pytest.approx(2 / (1 + np.exp(-theta[0])))
        assert sc.exact(sc.simulator(other, compile="numba")(theta)).cost == pytest.approx(6 / (1 + np.exp(-theta[0])))
    assert len(made) == 2
    sc.exact(sc.simulator(ours, compile="numba")([0.0, 0.0]))  # theta has another shape
    assert len(made) == 3
    kept = sc.simulator(other, compile="numba")([0.0])
    sc.exact(kept)
    del ours, other
    gc.collect()
    assert [one() is None for one in made] == [True, False, True]
    assert sc.exact(kept).cost == 3.0
    del kept
    gc.collect()
    assert made[1]() is None


def test_cartpole_in_c_by_ctypes(in_c, in_python):
    function = pointer_of(ctypes.CDLL(in_c), "cartpole")
    holds(sc.CSimulator(function), in_python)
    holds(sc.CSimulator(ctypes.cast(function, ctypes.c_void_p).value), in_python)
    holds(sc.CSimulator(ctypes.CFUNCTYPE(None, ctypes.c_void_p)(("cartpole", ctypes.CDLL(in_c)))), in_python)


@pytest.mark.parametrize(
    "declared",
    ["typedef struct sc_draw sc_draw; void cartpole(sc_draw *);", "void cartpole(void *);"],
    ids=["own", "void"],
)
def test_cartpole_in_c_by_cffi(in_c, in_python, declared):
    ffi = pytest.importorskip("cffi").FFI()
    ffi.cdef(declared)
    found = ffi.dlopen(in_c)
    holds(sc.CSimulator(ffi.addressof(found, "cartpole")), in_python)
    holds(sc.CSimulator(found.cartpole), in_python)


def test_cartpole_in_cython_by_its_capsule(in_cython, in_python):
    holds(sc.CSimulator(in_cython.__pyx_capi__["cartpole"]), in_python)


PAGE = c_programs.TESTS.parent / "docs" / "simulators.md"


@pytest.mark.slow
@pytest.mark.parametrize("language", ["c", "cython"])
def test_programs_of_the_page(tmp_path, language):
    if not PAGE.exists():
        pytest.skip("needs the source tree")
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)
    if language == "c":
        (tmp_path / "walk.c").write_text(text)
        found = pointer_of(ctypes.CDLL(str(c_programs.library(tmp_path / "walk.c", tmp_path))), "walk")
    else:
        head = "# cython: language_level=3\n"
        found = c_programs.extension(head + text, "walk", tmp_path, sc.get_include()).__pyx_capi__["walk"]

    def walk(draw, theta, x):
        while draw.bernoulli(0):
            draw.cost(1.0)

    ours, theirs = (sc.estimate(made([0.3]), n_samples=500) for made in (sc.simulator(walk), sc.CSimulator(found)))
    assert same(ours, theirs)


def test_signatures_that_are_no_simulators(in_c, in_cython):
    wrong = r"`pointer` must be of a function void \(sc_draw \*\), got "
    with pytest.raises(TypeError, match=wrong + r"double \(sc_draw \*\)"):
        sc.CSimulator(in_cython.__pyx_capi__["wrong"])
    ffi = pytest.importorskip("cffi").FFI()
    ffi.cdef("void cartpole(double *);")
    with pytest.raises(TypeError, match=wrong + r"void \(double \*\)"):
        sc.CSimulator(ffi.dlopen(in_c).cartpole)


def test_c_has_the_bits_of_python_and_its_enumeration(library):
    theirs = sc.CSimulator(pointer_of(library, "game"))(THETA)
    assert same(sc.estimate(theirs, n_samples=3000), sc.estimate(model_of(discounted), n_samples=3000))
    assert same(sc.exact(theirs), sc.exact(model_of(discounted)))


def test_inputs_of_c(library):
    made = sc.CSimulator(pointer_of(library, "scaled"))
    assert sc.exact(made([0.0], [[1.0, 2.0], [3.0, 8.0]])).cost == 4.0


def test_a_program_without_end_is_stopped_by_its_limit(library):
    made = sc.CSimulator(pointer_of(library, "endless"), max_draws=1000)
    with pytest.raises(RuntimeError, match=r"made 1000 draws and goes on: raise `max_draws`"):
        sc.estimate(made([0.0]), n_samples=100)

    def endless(draw, theta, x):
        while True:
            draw.uniform()

    with pytest.raises(RuntimeError, match=r"made 64 draws and goes on"):
        sc.estimate(sc.simulator(endless, max_draws=64)([0.0]), n_samples=2)


INTERRUPTED = """
import ctypes, signal, sys, threading, time, os
import stochcore as sc
library = ctypes.CDLL(sys.argv[1])
made = sc.CSimulator(ctypes.cast(library.endless, ctypes.c_void_p).value, max_draws=2**33)
signal.signal(signal.SIGINT, signal.default_int_handler)
sent = []
def send():
    time.sleep(0.5)
    sent.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=send).start()
try:
    n = int(sys.argv[2])
    sc.estimate(made([0.0]), n_samples=n) if n else made([0.0]).sample(1000, sc.Stream(0))
except KeyboardInterrupt:
    print(time.monotonic() - sent[0])
"""


@pytest.mark.alone
@pytest.mark.parametrize("n", [0, 2, 1000], ids=["costs", "a block", "blocks"])
def test_control_c_ends_compiled_programs(library, n):
    ran = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, library._name, str(n)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert float(ran.stdout) < 0.1


def test_pointers_of_other_functions_are_refused(library):
    wrong = library.game
    wrong.restype, wrong.argtypes = ctypes.c_double, [ctypes.c_double]
    with pytest.raises(TypeError, match=r"`pointer` must be of a function void \(sc_draw \*\), got double \(double\)"):
        sc.CSimulator(wrong)
    with pytest.raises(TypeError, match=r"`pointer` must be an address, a function of ctypes, cffi or numba, or a Py"):
        sc.CSimulator("game")
    with pytest.raises(TypeError, match=r"cannot be pickled as a number: an address means nothing in another process"):
        pickle.dumps(sc.CSimulator(1))


def test_c_programs_travel_by_library_and_symbol(library):
    game = library.game
    game.restype, game.argtypes = None, [ctypes.c_void_p]
    there = pickle.loads(pickle.dumps(sc.CSimulator(game)))
    theta = [0.1] * 4
    one, other = (sc.estimate(program(theta), n_samples=500) for program in (sc.CSimulator(game), there))
    assert one.cost == other.cost
    assert one.grad.tobytes() == other.grad.tobytes()
