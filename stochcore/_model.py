"""model: what networks have in common as values: parameters in one flat array, by name, and in files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check, _files

Array = NDArray[Any]
M = TypeVar("M", bound="Model")


class Model:
    """A network whose parameters lie in one flat array of float32, which nobody writes to."""

    FORMAT: ClassVar[str]  # of the files that `save` writes
    _flat: Array

    def _named(self, flat: Array) -> dict[str, Array]:
        """Return views of all parameters by name."""
        raise NotImplementedError

    def _renew(self: M, flat: Array) -> M:
        """Return the same network with other parameters."""
        raise NotImplementedError

    def _about(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return what a file says besides parameters: plain words, and arrays."""
        raise NotImplementedError

    @property
    def parameters(self) -> Mapping[str, Array]:
        """The parameters by name, as read-only views."""
        return MappingProxyType(self._named(self._flat))

    def with_parameters(self: M, parameters: Mapping[str, ArrayLike]) -> M:
        """Return the same network with these parameters, rounded to float32.

        Parameters
        ----------
        parameters : mapping
            Arrays by the names and in the shapes of the attribute.

        Returns
        -------
        Network or BernoulliVAE
        """
        flat = self._flat.copy()
        views = self._named(flat)
        if set(parameters) != set(views):
            raise ValueError(f"`parameters` must hold {', '.join(views)}, got {', '.join(parameters)}")
        for name, view in views.items():
            array = single(name, _check.reals(name, parameters[name]))
            if array.shape != view.shape:
                raise ValueError(f"`{name}` must have shape {view.shape}, got {array.shape}")
            view[...] = array
        return self._renew(flat)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to an .npz file (no pickles), which appears whole or not at all.

        Parameters
        ----------
        path : path
            Replaced if it exists. A cost of one's own is not in it.
        """
        words, arrays = self._about()
        parameters = {name: np.ascontiguousarray(array) for name, array in self.parameters.items()}
        about = {"format": np.array(self.FORMAT), "about": np.array(json.dumps(words))}
        _files.write_npz(Path(path), {**about, **arrays, **parameters})


def single(name: str, array: Array) -> Array:
    """Return an array in float32, if it fits."""
    if np.abs(array).max(initial=0) > np.finfo(np.float32).max:
        raise ValueError(f"`{name}` must fit in float32, got {np.abs(array).max()}")
    return array.astype(np.float32)


def not_read(path: str | os.PathLike[str], wanted: str, why: Exception) -> ValueError:
    """Return the error for a file that is no network of that kind."""
    return ValueError(f"`path` must be a {wanted!r} file, got {str(path)!r}: {why}")


def read(path: str | os.PathLike[str], formats: tuple[str, ...]) -> tuple[str, dict[str, Any], dict[str, Array]]:
    """Return the format of a file, one of these, its words, and its arrays."""
    arrays = _files.read_npz(Path(path))
    written = str(arrays.pop("format", None))
    try:
        if written not in formats:
            raise ValueError("it is of another kind")
        return written, json.loads(str(arrays.pop("about", "{}"))), arrays
    except ValueError as error:
        raise not_read(path, formats[0], error) from None
