"""What this installation is and runs on."""

from __future__ import annotations

import platform
from typing import Literal, overload

import numpy as np

from . import _dispatch
from .noise import DEFAULT_ENGINE
from .version import __version__

__all__ = ["show_config"]

Config = dict[str, str | int | bool | list[str]]


@overload
def show_config(mode: Literal["stdout"] = "stdout") -> None: ...
@overload
def show_config(mode: Literal["dicts"]) -> Config: ...
def show_config(mode: str = "stdout") -> Config | None:
    """Tell the instruction set, the engine of noise, the threads and the versions.

    Parameters
    ----------
    mode : {"stdout", "dicts"}
        Print it, or return it as a dictionary.

    Returns
    -------
    dict or None
        With ``mode="dicts"``: what is printed otherwise.

    Raises
    ------
    ValueError
        If `mode` is another word, or the environment variable STOCHCORE_ISA names no instruction set that
        runs here.

    Examples
    --------
    >>> import stochcore as sc
    >>> sc.show_config(mode="dicts")["engine"]
    'ars'
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"`mode` must be 'stdout' or 'dicts', got {mode!r}")
    config: Config = {
        "stochcore": __version__,
        "instruction_set": _dispatch.isa(),
        "runnable": _dispatch.runnable(),
        "engine": DEFAULT_ENGINE,
        "openmp": _dispatch.openmp(),
        "threads": _dispatch.max_threads(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
    }
    if mode == "dicts":
        return config
    for name, value in config.items():
        text = ", ".join(value) if isinstance(value, list) else str(value)
        text = {"True": "yes", "False": "no"}.get(text, text)
        print(f"{name.replace('_', ' ') + ':':<17}{text}")
    return None
