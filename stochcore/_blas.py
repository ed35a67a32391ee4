"""BLAS: the matrix product that SciPy ships, on the calling thread alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

_lock = threading.Lock()
_users: list[Any] = []  # how many are inside `one_thread`, and what restores BLAS's own number of threads


@lru_cache(maxsize=1)
def sgemm() -> Any:
    """Return the capsule with SciPy's sgemm, for C."""
    try:
        from scipy.linalg import cython_blas
    except ImportError as error:
        raise _missing(error) from None
    return cython_blas.__pyx_capi__["sgemm"]


@lru_cache(maxsize=1)
def _controller() -> Any:
    sgemm()  # its library must be there when libraries are looked for
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError as error:
        raise _missing(error) from None
    return ThreadpoolController()


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep BLAS to one thread a call: the loops around it are parallel. Several callers may be inside at a time."""
    controller = _controller()
    with _lock:
        if not _users:
            _users.append(controller.limit(limits=1, user_api="blas"))
        _users.append(None)
    try:
        yield
    finally:
        with _lock:
            _users.pop()
            if len(_users) == 1:
                _users.pop().restore_original_limits()


def _missing(error: ImportError) -> ImportError:
    return ImportError(
        f"sc.Network multiplies by SciPy's BLAS, kept by threadpoolctl: pip install 'stochcore[networks]' ({error})"
    )
