"""_numba: simulators in numba's nopython mode.

A draw is a pointer to a recorder (stochcore.h). Its methods load the function from the recorder's own table, so that
compiled code carries no addresses. Features are tuples of numbers or one-dimensional arrays of float64.
"""

# mypy: disable-error-code="no-untyped-call,call-arg,var-annotated,arg-type"

from __future__ import annotations

import weakref
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SLOTS = (
    "bernoulli", "bernoulli_p", "categorical", "categorical_p", "tanh_policy", "binomial", "poisson", "geometric",
    "exponential", "normal", "uniform", "standard_normal", "cost", "discount", "add_score", "add_grad", "exp", "log",
    "sin", "cos", "fail", "state",
)  # fmt: skip
FIRST_SLOT = 8  # bytes of the table before its first function

_entries: weakref.WeakKeyDictionary[Any, dict[Any, Any]] = weakref.WeakKeyDictionary()  # they die with their function
_words: Any = None


def needed() -> Any:
    """Return numba, or say how to get it."""
    try:
        import numba
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            '`compile` "numba" needs numba (pip install numba); without `compile` the same simulator runs in Python'
        ) from None
    return numba


def entry(function: Any, theta: Array, x: Any) -> tuple[int, Any]:
    """Return the address of a compiled program, and the object that owns it; compile it where there is none yet."""
    numba = needed()
    inputs = None if x is None else np.asarray(x)
    if inputs is not None and inputs.dtype.kind not in "iufb":
        raise TypeError(
            f"`x` must be None, a number or an array of numbers for a compiled simulator, got {inputs.dtype}"
        )
    shape = None if inputs is None else inputs.shape
    entries = _entries.setdefault(function, {})
    key = theta.shape, shape
    if key not in entries:
        entries[key] = _compile(numba, function, theta.shape, shape)
    made = entries[key]
    return made.address, made


def _copy(function: Any) -> Any:
    """Return the same function once more: what numba makes of it does not keep the original alive."""
    if not isinstance(function, FunctionType):
        return function
    parts = function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    made = FunctionType(*parts)
    made.__kwdefaults__, made.__module__ = function.__kwdefaults__, function.__module__
    return made


def _compile(numba: Any, function: Any, theta_shape: tuple[int, ...], x_shape: tuple[int, ...] | None) -> Any:
    global _words
    if _words is None:
        _words = _vocabulary(numba)
    as_draw, theta_of, x_of, nothing = _words
    program = numba.njit(_copy(function), error_model="numpy")
    kind = "array" if x_shape else "none" if x_shape is None else "number"

    @numba.njit(error_model="numpy")
    def run(pointer):  # type: ignore[no-untyped-def]
        draw = as_draw(pointer)
        theta = theta_of(pointer, theta_shape)
        try:
            if kind == "none":
                nothing(program(draw, theta, None))
            elif kind == "number":
                nothing(program(draw, theta, x_of(pointer, (1,))[0]))
            else:
                nothing(program(draw, theta, x_of(pointer, x_shape)))
        except Exception:
            draw.fail()

    return numba.cfunc(numba.types.void(numba.types.voidptr), error_model="numpy")(_plain(numba, run))


def _plain(numba: Any, run: Any) -> Callable[[Any], None]:
    def start(pointer):  # type: ignore[no-untyped-def]
        run(pointer)

    return start


def _vocabulary(numba: Any) -> Any:
    """Teach numba what a draw is."""
    from llvmlite import ir
    from numba.core import cgutils, types
    from numba.core.datamodel import models
    from numba.extending import intrinsic, overload, overload_method, register_model

    class DrawType(types.Type):
        def __init__(self) -> None:
            super().__init__(name="stochcore.Draw")

    draw_type = DrawType()

    @register_model(DrawType)
    class DrawModel(models.PrimitiveModel):
        def __init__(self, dmm: Any, fe_type: Any) -> None:
            super().__init__(dmm, fe_type, ir.IntType(8).as_pointer())

    @intrinsic
    def as_draw(typing_context, pointer):  # type: ignore[no-untyped-def]
        return draw_type(types.voidptr), lambda context, builder, signature, args: args[0]

    def of_field(number: int) -> Any:
        """The array of float64 that a pointer field of the recorder points to."""

        @intrinsic
        def field(typing_context, pointer):  # type: ignore[no-untyped-def]
            def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
                fields = builder.bitcast(args[0], ir.IntType(8).as_pointer().as_pointer())
                return builder.load(builder.gep(fields, [ir.Constant(ir.IntType(64), number)]))

            return types.voidptr(types.voidptr), generate

        return field

    theta_field, x_field = of_field(1), of_field(3)

    @intrinsic
    def frozen(typing_context, array):  # type: ignore[no-untyped-def]
        """The same array, which cannot be written to."""
        return array.copy(readonly=True)(array), lambda context, builder, signature, args: args[0]

    def nothing(value):  # type: ignore[no-untyped-def]
        """Refuse what a program returns."""

    @overload(nothing)
    def refuse(value):  # type: ignore[no-untyped-def]
        if not isinstance(value, types.NoneType):
            raise TypeError(f"a simulator must return nothing and tell its costs by `draw.cost`, got {value}")
        return lambda value: None

    @numba.njit
    def theta_of(pointer, shape):  # type: ignore[no-untyped-def]
        return frozen(numba.carray(theta_field(pointer), shape, np.float64))

    @numba.njit
    def x_of(pointer, shape):  # type: ignore[no-untyped-def]
        return numba.carray(x_field(pointer), shape, np.float64)

    C = {"i": types.int64, "d": types.float64, "v": types.void, "p": types.voidptr, "c": types.int32}

    def slot(name: str, returns: str, arguments: str, with_draw: bool = True) -> Any:
        """A call of one function of the recorder's table."""
        at = SLOTS.index(name)

        @intrinsic
        def call(typing_context, draw, packed):  # type: ignore[no-untyped-def]
            wanted = [C[letter] for letter in arguments]
            signature = C[returns](draw, types.Tuple(wanted))

            def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
                byte = ir.IntType(8).as_pointer()
                table = builder.load(builder.bitcast(args[0], byte.as_pointer()))
                place = builder.gep(table, [ir.Constant(ir.IntType(64), FIRST_SLOT + 8 * at)])
                kinds = ([byte] if with_draw else []) + [context.get_value_type(word) for word in wanted]
                result = ir.VoidType() if returns == "v" else context.get_value_type(C[returns])
                kind = ir.FunctionType(result, kinds).as_pointer()
                function = builder.load(builder.bitcast(place, kind.as_pointer()))
                values = [builder.extract_value(args[1], i) for i in range(len(wanted))]
                returned = builder.call(function, ([args[0]] if with_draw else []) + values)
                return context.get_dummy_value() if returns == "v" else returned

            return signature, generate

        return call

    @intrinsic
    def on_stack(typing_context, numbers):  # type: ignore[no-untyped-def]
        """A tuple of numbers as an array in memory, for the time of one call."""
        if not isinstance(numbers, types.BaseTuple):
            return None

        def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
            count = max(1, len(numbers))
            place = cgutils.alloca_once(builder, ir.ArrayType(ir.DoubleType(), count))
            for i, kind in enumerate(numbers):
                value = context.cast(builder, builder.extract_value(args[0], i), kind, types.float64)
                builder.store(value, cgutils.gep_inbounds(builder, place, 0, i))
            return builder.bitcast(place, ir.IntType(8).as_pointer())

        return types.voidptr(numbers), generate

    @intrinsic
    def as_pointer(typing_context, address):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
            return builder.inttoptr(args[0], ir.IntType(8).as_pointer())

        return types.voidptr(types.uintp), generate

    @numba.njit
    def of_array(features):  # type: ignore[no-untyped-def]
        return as_pointer(features.ctypes.data)

    def place_of(features: Any) -> Any:
        """What makes a pointer of features; None: there are none."""
        if features is None or isinstance(features, (types.NoneType, types.Omitted)):
            return None
        if isinstance(features, types.BaseTuple):
            return on_stack
        row = isinstance(features, types.Array) and features.ndim == 1 and features.layout == "C"
        if row and features.dtype == types.float64:
            return of_array
        raise TypeError(f"`features` must be a tuple of numbers or a C-contiguous row of float64, got {features}")

    calls = {
        "bernoulli": slot("bernoulli", "i", "ipi"), "bernoulli_p": slot("bernoulli_p", "i", "d"),
        "categorical": slot("categorical", "i", "iipi"), "categorical_p": slot("categorical_p", "i", "pi"),
        "tanh_policy": slot("tanh_policy", "i", "iiipi"), "binomial": slot("binomial", "i", "iipi"),
        "poisson": slot("poisson", "i", "ipi"), "geometric": slot("geometric", "i", "ipi"),
        "exponential": slot("exponential", "d", "ic"), "normal": slot("normal", "d", "idpi"),
    }  # fmt: skip
    plain = {
        "uniform": slot("uniform", "d", ""), "standard_normal": slot("standard_normal", "d", ""),
        "cost": slot("cost", "v", "d"), "discount": slot("discount", "v", "d"),
        "add_score": slot("add_score", "v", "id"), "add_grad": slot("add_grad", "v", "id"),
        "fail": slot("fail", "v", ""), "state": slot("state", "v", "pi"),
    }  # fmt: skip
    functions = {name: slot(name, "d", "d", with_draw=False) for name in ("exp", "log", "sin", "cos")}

    bernoulli, bernoulli_p = calls["bernoulli"], calls["bernoulli_p"]

    @overload_method(DrawType, "bernoulli")
    def draw_bernoulli(draw, i=-1, features=None, p=None):  # type: ignore[no-untyped-def]
        if not isinstance(p, (types.NoneType, types.Omitted)) and p is not None:
            return lambda draw, i=-1, features=None, p=None: bernoulli_p(draw, (float(p),))
        place = place_of(features)
        if place is None:
            return lambda draw, i=-1, features=None, p=None: bernoulli(draw, (np.int64(i), as_pointer(0), np.int64(0)))
        return lambda draw, i=-1, features=None, p=None: bernoulli(draw, (np.int64(i), place(features), len(features)))

    categorical, categorical_p = calls["categorical"], calls["categorical_p"]

    @overload_method(DrawType, "categorical")
    def draw_categorical(draw, i=-1, k=0, features=None, p=None):  # type: ignore[no-untyped-def]
        if not isinstance(p, (types.NoneType, types.Omitted)) and p is not None:
            own = place_of(p)
            return lambda draw, i=-1, k=0, features=None, p=None: categorical_p(draw, (own(p), len(p)))
        place = place_of(features)
        if place is None:
            return lambda draw, i=-1, k=0, features=None, p=None: categorical(
                draw, (np.int64(i), np.int64(k), as_pointer(0), np.int64(0))
            )
        return lambda draw, i=-1, k=0, features=None, p=None: categorical(
            draw, (np.int64(i), np.int64(k), place(features), len(features))
        )

    tanh_policy = calls["tanh_policy"]

    @overload_method(DrawType, "tanh_policy")
    def draw_tanh_policy(draw, i, hidden, k, features):  # type: ignore[no-untyped-def]
        place = place_of(features)
        return lambda draw, i, hidden, k, features: tanh_policy(
            draw, (np.int64(i), np.int64(hidden), np.int64(k), place(features), len(features))
        )

    binomial = calls["binomial"]

    @overload_method(DrawType, "binomial")
    def draw_binomial(draw, i, n, features=None):  # type: ignore[no-untyped-def]
        place = place_of(features)
        if place is None:
            return lambda draw, i, n, features=None: binomial(
                draw, (np.int64(i), np.int64(n), as_pointer(0), np.int64(0))
            )
        return lambda draw, i, n, features=None: binomial(
            draw, (np.int64(i), np.int64(n), place(features), len(features))
        )

    def count_of(name: str) -> None:
        function = calls[name]

        @overload_method(DrawType, name)
        def draw_count(draw, i, features=None):  # type: ignore[no-untyped-def]
            place = place_of(features)
            if place is None:
                return lambda draw, i, features=None: function(draw, (np.int64(i), as_pointer(0), np.int64(0)))
            return lambda draw, i, features=None: function(draw, (np.int64(i), place(features), len(features)))

    count_of("poisson")
    count_of("geometric")
    exponential, normal = calls["exponential"], calls["normal"]

    @overload_method(DrawType, "exponential")
    def draw_exponential(draw, i, log=False):  # type: ignore[no-untyped-def]
        return lambda draw, i, log=False: exponential(draw, (np.int64(i), np.int32(log)))

    @overload_method(DrawType, "normal")
    def draw_normal(draw, i, scale=1.0, features=None):  # type: ignore[no-untyped-def]
        place = place_of(features)
        if place is None:
            return lambda draw, i, scale=1.0, features=None: normal(
                draw, (np.int64(i), float(scale), as_pointer(0), np.int64(0))
            )
        return lambda draw, i, scale=1.0, features=None: normal(
            draw, (np.int64(i), float(scale), place(features), len(features))
        )

    def noise_of(name: str) -> None:
        function = plain[name]

        @overload_method(DrawType, name)
        def draw_noise(draw):  # type: ignore[no-untyped-def]
            return lambda draw: function(draw, ())

    for name in ("uniform", "standard_normal", "fail"):
        noise_of(name)

    def number_to(name: str, function: Any) -> None:
        @overload_method(DrawType, name)
        def draw_number(draw, x):  # type: ignore[no-untyped-def]
            return lambda draw, x: function(draw, (float(x),))

    for name in ("cost", "discount"):
        number_to(name, plain[name])
    for name, function in functions.items():
        number_to(name, function)

    def told_to(name: str) -> None:
        function = plain[name]

        @overload_method(DrawType, name)
        def draw_told(draw, i, value):  # type: ignore[no-untyped-def]
            return lambda draw, i, value: function(draw, (np.int64(i), float(value)))

    told_to("add_score")
    told_to("add_grad")
    state = plain["state"]

    @overload_method(DrawType, "state")
    def draw_state(draw, features):  # type: ignore[no-untyped-def]
        place = place_of(features)
        return lambda draw, features: state(draw, (place(features), len(features)))

    return as_draw, theta_of, x_of, nothing
