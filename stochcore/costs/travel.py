"""travel: C functions that go to another process, by what it can make them of: a source, or a library and a symbol."""

from __future__ import annotations

import ctypes
import functools
import importlib
import pickle
import sys
from typing import Any

Parcel = tuple[str, Any]
FUNCTION: Any = ctypes.CFUNCTYPE(None).__mro__[1]  # what all functions of ctypes are


def packed(fn: Any) -> Parcel:
    """Return what another process makes the function of: plain values that pickle.

    A numba ``cfunc`` goes by its source and signature, to be compiled there (by cloudpickle, if it is installed, else
    its module has to be there); a ctypes function by the path of its library and its symbol; a LowLevelCallable by what
    it holds. An address means nothing in another process, and a capsule, a cffi pointer or a callback has no more.
    """
    if type(fn).__module__.startswith("numba."):
        return "numba", (_source(fn._pyfunc), fn._sig)
    if isinstance(fn, FUNCTION):
        library = (fn._objects or {}).get("0")
        if isinstance(library, ctypes.CDLL) and library._name:
            types = [_named(t) for t in fn.argtypes or ()]
            return "library", (library._name, fn.__name__, _named(fn.restype), types)
    if type(fn).__name__ == "LowLevelCallable" and isinstance(fn.function, FUNCTION) and not fn.user_data:
        return "callable", (packed(fn.function), fn.signature)
    raise TypeError(
        f"a C function cannot be pickled as {_kind(fn)}: an address means nothing in another process. A numba cfunc "
        "travels by its source, a ctypes function by its library's path and its name"
    )


def unpacked(parcel: Parcel) -> Any:
    """Undo `packed`."""
    kind, what = parcel
    if kind == "numba":
        import numba

        (source, module, name), signature = what
        if source is None:
            return functools.reduce(getattr, name.split("."), importlib.import_module(module))
        return numba.cfunc(signature)(pickle.loads(source))
    if kind == "callable":
        from scipy import LowLevelCallable

        function, signature = what
        return LowLevelCallable(unpacked(function), signature=signature)
    path, name, returns, arguments = what
    fn = getattr(ctypes.CDLL(path), name)
    fn.restype, fn.argtypes = _type(returns), [_type(t) for t in arguments]
    return fn


def _source(function: Any) -> tuple[bytes | None, str, str]:
    """Return a Python function by value, where cloudpickle is there, and its name: by that it has become the cfunc."""
    data: bytes | None = None
    try:
        import cloudpickle
    except ImportError:
        return data, function.__module__, function.__qualname__
    module = sys.modules.get(function.__module__)
    known = module is not None and function.__module__ != "__main__"
    if known:
        cloudpickle.register_pickle_by_value(module)
    try:
        data = cloudpickle.dumps(function)
    finally:
        if known:
            cloudpickle.unregister_pickle_by_value(module)
    return data, function.__module__, function.__qualname__


def _named(kind: Any) -> Any:
    """Return a ctypes type in plain words."""
    inner = getattr(kind, "_type_", None)
    if isinstance(kind, type) and issubclass(kind, ctypes._Pointer):
        return ["pointer", _named(inner)]
    return None if kind is None else kind.__name__


def _type(word: Any) -> Any:
    """Undo `_named`."""
    if isinstance(word, list):
        return ctypes.POINTER(_type(word[1]))
    return None if word is None else getattr(ctypes, word)


def _kind(fn: Any) -> str:
    return "a number" if isinstance(fn, int) else f"a {type(fn).__name__}"
