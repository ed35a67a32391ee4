"""foreign: costs that are C functions of somebody else's, by their pointers."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check
from .._costs import Weights, open_capsule
from ..distributions import compiled as families
from . import travel
from .built_in import BuiltIn, _integers

if TYPE_CHECKING:
    from typing_extensions import Self

Array = NDArray[Any]

WANTED = "double cost(const T *y, ptrdiff_t n_sites, void *data) with T uint8_t, int32_t, int64_t or double"
WIDE = {"long", "long int", "signed long", "int64_t", "npy_int64"} if np.dtype("l").itemsize == 8 else {"int64_t"}
WIDE |= {"long long", "long long int", "npy_longlong"}
TYPES = {
    "uint8": {"uint8_t", "unsigned char", "ubyte", "npy_uint8", "uint8"},
    "int32": {"int32_t", "int", "signed int", "npy_int32", "int32"},
    "int64": WIDE | {"int64"},
    "float64": {"double", "npy_float64", "float64"},
}
SIZES = {"ptrdiff_t", "Py_ssize_t", "ssize_t", "intptr_t", "npy_intp", "intp", "int64"} | WIDE
CALLS_PYTHON = 4  # ctypes' FUNCFLAG_PYTHONAPI


@dataclass(frozen=True)
class Pointer:
    """A function, and what was read of it: its address, its signature as it names it, the pointer of its data."""

    address: int
    returns: str
    arguments: tuple[str, ...]
    data: int | None = None

    def __str__(self) -> str:
        return f"{self.returns} ({', '.join(self.arguments)})"


class Compiled(BuiltIn):
    """What `compiled` returns: a cost that is a C function."""

    kind = "compiled"
    _flat = True

    def __init__(self, function: Any, pointer: Pointer, dtype: str, data: Any, address: int, sign: float) -> None:
        self._function, self._pointer, self._data, self._address = function, pointer, data, address
        self.dtype, self._sign = np.dtype(dtype), sign

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Any."""
        return ()

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """None: every problem has the same cost."""
        return ()

    def fit(self, batch_shape: tuple[int, ...], event_shape: tuple[int, ...]) -> int:
        """Fit any shape; it is the function that counts the sites."""
        return 0

    def _take(self, model: families.Compiled) -> None:
        if model.dtype != self.dtype:
            raise TypeError(
                f"`cost` takes outcomes of {self.dtype}, and those of a {type(model).__name__} are {model.dtype}"
            )

    def _make(self, packed: bool, flips: bool) -> Weights:
        weights = Weights(self.kind, 0)
        weights.set_function(self._pointer.address, self._address, (self._function, self._data), self._sign)
        return weights

    def _outcomes(self, y: ArrayLike) -> Array:
        if self.dtype.kind == "f":
            return _check.reals("y", y)
        array = _integers(y)
        if array.dtype == self.dtype:
            return array
        own = array.astype(self.dtype, copy=False)
        if array.size and not np.array_equal(array, own):
            raise ValueError(f"`y` must fit into {self.dtype}, got values from {array.min()} to {array.max()}")
        return own

    def __call__(self, y: ArrayLike) -> Array:
        """Return J of each sample.

        Parameters
        ----------
        y : array_like of shape (n, *sites)

        Returns
        -------
        ndarray of shape (n,)
        """
        return self._price(y)

    def _price(self, y: ArrayLike, n_threads: int | None = None) -> Array:
        array = self._outcomes(y)
        if array.ndim < 2:
            raise ValueError(f"`y` must have shape (n, *sites), got {array.shape}")
        return self._rows(array, 1, array[0].size if len(array) else 0, array.shape[:1], n_threads)

    def values(self, y: Array, batch_shape: tuple[int, ...], n_threads: int | None = None) -> Array:
        """Return J of a model's samples y, shape (n, *batch)."""
        lead = y.shape[: 1 + len(batch_shape)]
        return self._price(y.reshape(int(np.prod(lead)), -1), n_threads).reshape(lead)

    def negated(self) -> Self:
        """Return minus this cost, exactly."""
        cls = type(self)
        return cls(self._function, self._pointer, self.dtype.name, self._data, self._address, -self._sign)

    def __reduce__(self) -> Any:
        if not (self._data is None or isinstance(self._data, np.ndarray)):
            raise TypeError("a compiled cost cannot be pickled with a pointer as its data: an array travels")
        return _again, (travel.packed(self._function), self._data, self._sign)

    def __repr__(self) -> str:
        return f"costs.compiled(<{self.dtype} function of {type(self._function).__module__.split('.')[0]}>)"


def compiled(fn: Any, data: Any = None) -> Compiled:
    """Return a cost that is the C function ``double cost(const T *y, ptrdiff_t n_sites, void *data)``.

    It is called for one sample after another, without the GIL, from several threads at once: it must be re-entrant, and
    must not call Python. T is what the family's outcomes are: uint8_t for bits, int32_t for classes and counts
    (int64_t for wide ones), double for `Normal`.

    Parameters
    ----------
    fn : function
        One of: a numba ``cfunc`` of ``float64(CPointer(uint8), intp, voidptr)``; a SciPy ``LowLevelCallable``; a
        capsule such as Cython puts into a module's ``__pyx_capi__``; a cffi pointer (``ffi.addressof(lib, "cost")``);
        a ctypes function whose `argtypes` and `restype` are set.
    data : ndarray, pointer or capsule, optional
        What the function gets as `data`: a C-contiguous array, which is kept alive and not copied; a ctypes or cffi
        pointer, or a capsule; None is NULL. (A LowLevelCallable brings its own.)

    Returns
    -------
    Compiled
        A cost. It can be pickled if its function is a numba ``cfunc`` (which is compiled again) or one of a library
        that ctypes has opened (by its path and name), and its data an array or nothing.

    Raises
    ------
    TypeError
        No function of these kinds, or of another signature: the message has both.

    Examples
    --------
    >>> import ctypes
    >>> import stochcore as sc
    >>> kind = ctypes.CFUNCTYPE(
    ...     ctypes.c_double, ctypes.POINTER(ctypes.c_uint8), ctypes.c_ssize_t, ctypes.c_void_p
    ... )
    >>> cost = sc.costs.compiled(kind(lambda y, n, data: float(sum(y[:n]))))  # a C function would not need Python
    >>> cost([[0, 1], [1, 1]])
    array([1., 2.])
    """
    pointer = read(fn)
    if pointer is None:
        raise TypeError(
            "`fn` must be a numba cfunc, a SciPy LowLevelCallable, a capsule, or a function pointer of cffi or ctypes, "
            f"got {_check._short(fn)}"
        )
    dtype = _type_of(pointer)
    if dtype is None:
        raise TypeError(f"`fn` must be {WANTED}, got {pointer}")
    if pointer.data is not None and data is not None:
        raise ValueError("`data` must be left out for a LowLevelCallable that has its own")
    address = pointer.data if data is None else _address_of(data)
    return Compiled(fn, pointer, dtype, data, address or 0, 1.0)


def _again(parcel: travel.Parcel, data: Array | None, sign: float) -> Compiled:
    made = compiled(travel.unpacked(parcel), data)
    return made if sign > 0 else made.negated()


def _type_of(pointer: Pointer) -> str | None:
    """Return the dtype of T, or None where the signature is another."""
    if pointer.returns not in TYPES["float64"] or len(pointer.arguments) != 3:
        return None
    y, n, data = pointer.arguments
    if not y.endswith("*") or n not in SIZES or not data.endswith("*"):
        return None
    return next((name for name, words in TYPES.items() if y[:-1].strip() in words), None)


def _parsed(address: int, signature: str, data: int | None = None) -> Pointer:
    """Read a C signature: ``double (uint8_t const *, ptrdiff_t, void *)``, with or without (*) and const."""
    match = re.fullmatch(r"\s*([\w\s]+?)\s*(?:\(\s*\*\s*\)\s*)?\((.*)\)\s*(?:nogil|noexcept|\s)*", signature)
    if not match:
        return Pointer(address, signature or "no signature", (), data)
    arguments = [re.sub(r"\b(const|volatile|restrict)\b", " ", part) for part in match[2].split(",")]
    plain = [re.sub(r"\s*\*\s*", " *", re.sub(r"\s+", " ", part)).strip() for part in arguments]
    return Pointer(
        address, match[1], tuple(re.sub(r"__pyx_t_\w*numpy_(\w+?)(_t)?\b", r"\1", part) for part in plain), data
    )


def read(fn: Any) -> Pointer | None:
    """Return what is known of a function, or None where it is none."""
    module, kind = type(fn).__module__.split(".")[0], type(fn).__name__
    if kind == "PyCapsule":
        name, address, _ = open_capsule(fn)
        return _parsed(address, name or "")
    if kind == "LowLevelCallable":
        name, address, context = open_capsule(tuple.__getitem__(fn, 0))
        return _parsed(address, name or "", context or None)
    if module == "numba" and hasattr(fn, "address") and hasattr(fn, "_sig"):
        words = tuple(str(word).replace("*", " *") for word in fn._sig.args)
        return Pointer(fn.address, str(fn._sig.return_type), words)
    if module == "_cffi_backend":
        return _of_cffi(fn)
    ctypes = sys.modules.get("ctypes")
    if ctypes is not None and isinstance(fn, ctypes._CFuncPtr):
        return _of_ctypes(ctypes, fn)
    return None


def _of_cffi(fn: Any) -> Pointer | None:
    cffi: Any = sys.modules["_cffi_backend"]
    try:
        kind = cffi.typeof(fn)
    except TypeError:
        return None
    if kind.kind != "function":
        return None
    address = int(cffi.cast(cffi.new_primitive_type("uintptr_t"), fn))
    return _parsed(address, kind.cname)


def _of_ctypes(ctypes: Any, fn: Any) -> Pointer:
    if fn._flags_ & CALLS_PYTHON:
        raise TypeError("`fn` of ctypes must not want the GIL, got one of a PyDLL")
    if fn.argtypes is None:
        raise TypeError("`fn` of ctypes must have its `argtypes` and `restype` set, got no argtypes")
    names = {
        ctypes.c_double: "double", ctypes.c_uint8: "uint8_t", ctypes.c_int32: "int32_t", ctypes.c_int64: "int64_t",
        ctypes.c_ssize_t: "ptrdiff_t", ctypes.c_void_p: "void *", None: "void",
    }  # fmt: skip

    def told(kind: Any) -> str:
        if isinstance(kind, type) and issubclass(kind, ctypes._Pointer):
            pointed: Any = kind._type_  # type: ignore[attr-defined]
            own = names.get(pointed, pointed.__name__)
            return f"{'int64_t' if own == 'ptrdiff_t' else own} *"
        return names.get(kind, getattr(kind, "__name__", str(kind)))

    return Pointer(ctypes.cast(fn, ctypes.c_void_p).value, told(fn.restype), tuple(map(told, fn.argtypes)))


def _address_of(data: Any) -> int:
    """Return where `data` stands."""
    if isinstance(data, np.ndarray):
        if not data.flags.c_contiguous:
            raise ValueError(f"`data` must be C-contiguous, got strides {data.strides} for shape {data.shape}")
        return data.ctypes.data
    if type(data).__name__ == "PyCapsule":
        return open_capsule(data)[1]
    if type(data).__module__ == "_cffi_backend":
        cffi: Any = sys.modules["_cffi_backend"]
        if cffi.typeof(data).kind in ("pointer", "array", "function"):
            return int(cffi.cast(cffi.new_primitive_type("uintptr_t"), data))
    ctypes: Any = sys.modules.get("ctypes")
    if ctypes is not None and isinstance(data, (ctypes._Pointer, ctypes.c_void_p, ctypes.Array)):
        return ctypes.cast(data, ctypes.c_void_p).value or 0
    rule = "None, a NumPy array, a pointer or an array of ctypes or cffi, or a capsule"
    raise TypeError(f"`data` must be {rule}, got {_check._short(data)}")
