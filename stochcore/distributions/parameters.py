"""parameters: what theta looks like, and deterministic maps from theta to a family's arguments."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check
from .._distributions import affine

Array = NDArray[Any]

MOST = 1 << 24  # inputs or outputs: far beyond sense, and no size overflows


@dataclass(frozen=True)
class Structure:
    """The shape of an array, or names with a structure each. All its numbers stand in one flat order."""

    shape: tuple[int, ...] | None
    fields: tuple[tuple[str, Structure], ...] = ()

    def __str__(self) -> str:
        if self.shape is not None:
            return f"<{' x '.join(map(str, self.shape)) or 'scalar'}>"
        return ", ".join(f"{name}={field}" for name, field in self.fields)

    @staticmethod
    def of(parameters: Any) -> Structure:
        """Return the structure of parameters."""
        if type(parameters) is np.ndarray:
            return _of_array(parameters.shape)
        if isinstance(parameters, Mapping):
            return Structure(None, tuple((name, Structure.of(value)) for name, value in parameters.items()))
        return _of_array(np.shape(parameters))

    @cached_property
    def size(self) -> int:
        """Numbers in all."""
        if self.shape is not None:
            return math.prod(self.shape)
        return sum(field.size for _, field in self.fields)

    def flatten(self, parameters: Any, name: str = "parameters") -> Array:
        """Return finite numbers of this structure as one new array."""
        return np.concatenate(self._pieces(parameters, name)) if self.size else np.empty(0)

    def checked(self, parameters: Any, name: str = "parameters") -> Any:
        """Return finite numbers of this structure, which may be those given."""
        if self.shape is not None:
            return self._pieces(parameters, name)[0].reshape(self.shape)
        return self.build(self.flatten(parameters, name))

    def _pieces(self, parameters: Any, name: str) -> list[Array]:
        if self.shape is not None:
            array = _check.reals(name, parameters)
            if array.shape != self.shape:
                raise ValueError(f"`{name}` must have shape {self.shape}, got {array.shape}")
            return [array.reshape(-1)]
        self._check_names(parameters, name)
        return [
            piece for field, inner in self.fields for piece in inner._pieces(parameters[field], f"{name}[{field!r}]")
        ]

    def _check_names(self, tree: Any, name: str) -> None:
        names = [field for field, _ in self.fields]
        if not isinstance(tree, Mapping):
            raise TypeError(f"`{name}` must be a dict of {', '.join(names)}, got {_check._short(tree)}")
        if set(tree) != set(names):
            came = ", ".join(map(repr, tree))
            raise ValueError(f"`{name}` must have the names {', '.join(map(repr, names))}, got {came}")

    def write(self, built: Any, out: Any) -> Any:
        """Return `out`, or what was built where it is None. All arrays of `out` are checked, then written."""
        if out is None:
            return built
        for kept, numbers in self._pairs(built, out, "out"):
            kept[...] = numbers
        return out

    def _pairs(self, built: Any, out: Any, name: str) -> list[tuple[Array, Array]]:
        if self.shape is not None:
            return [(_check.given_output(out, np.shape(built), np.float64), built)]
        self._check_names(out, name)
        return [
            pair
            for field, inner in self.fields
            for pair in inner._pairs(built[field], out[field], f"{name}[{field!r}]")
        ]

    def leaves(self, tree: Any) -> Array:
        """Return all numbers of a tree of this structure in one row, unchecked."""
        if self.shape is not None:
            return np.asarray(tree).reshape(-1)
        return np.concatenate([field.leaves(tree[name]) for name, field in self.fields])

    def build(self, flat: Array, lead: tuple[int, ...] = ()) -> Any:
        """Return arrays from the numbers on the last axis of `flat`, which has the axes `lead` before it."""
        if self.shape is not None:
            return flat if flat.shape == self.shape and not lead else flat.reshape((*lead, *self.shape))
        built, at = {}, 0
        for name, field in self.fields:
            built[name] = field.build(flat[..., at : at + field.size], lead)
            at += field.size
        return built

    def map(self, function: Any, *trees: Any) -> Any:
        """Apply a function to the arrays of several trees of this structure."""
        if self.shape is not None:
            return function(*trees)
        return {name: field.map(function, *(tree[name] for tree in trees)) for name, field in self.fields}


@lru_cache(maxsize=256)
def _of_array(shape: tuple[int, ...]) -> Structure:
    return Structure(shape)


class Linear:
    """Linear(weight, bias=None) or Linear(inputs, outputs)

    The map x -> x . weight + bias, whose weight and bias are parameters: ``sc.Bernoulli(logits=sc.Linear(W, b)(x))``.

    Gradients reach weight and bias: the model's parameters, and so its gradients, are ``{"weight": ..., "bias": ...}``.

    Parameters
    ----------
    weight : array_like of shape (inputs, *outputs)
    bias : array_like of shape (*outputs), optional
        Left out: there is none.
    inputs, outputs : int
        Sizes alone: weight and bias are zeros, which an ``sc.Network`` starts at random.

    Attributes
    ----------
    weight, bias : ndarray, or None for no bias
    sizes_only : bool
        Were sizes given, and no numbers?

    Examples
    --------
    >>> import numpy as np
    >>> import stochcore as sc
    >>> x = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])  # three inputs
    >>> q = sc.Bernoulli(logits=sc.Linear(np.zeros((2, 4)))(x), batch_ndims=1)
    >>> e = sc.estimate(q, lambda y: y.sum(axis=-1), n_samples=1000)
    >>> e.cost.shape, e.grad["weight"].shape
    ((3,), (2, 4))
    """

    def __init__(self, weight: ArrayLike | int, bias: ArrayLike | int | None = None) -> None:
        self.sizes_only = _is_size(weight) and _is_size(bias)
        if self.sizes_only:
            sizes = tuple(_check.integer(n, v, 1, MOST) for n, v in (("inputs", weight), ("outputs", bias)))
            weight, bias = np.zeros(sizes), np.zeros(sizes[1])
        self.weight = _check.kept("weight", weight)
        if self.weight.ndim < 1 or self.weight.size == 0:
            raise ValueError(f"`weight` must have shape (inputs, *outputs), got {self.weight.shape}")
        self.bias = None if bias is None else _check.kept("bias", bias)
        if self.bias is not None and self.bias.shape != self.weight.shape[1:]:
            raise ValueError(f"`bias` must have shape {self.weight.shape[1:]}, got {self.bias.shape}")

    def __call__(self, x: ArrayLike) -> Mapped:
        """Return x . weight + bias, as an argument of a family.

        Parameters
        ----------
        x : array_like of shape (*rows, inputs)

        Returns
        -------
        Mapped
            Of shape (*rows, *outputs).
        """
        return Mapped(self, x)

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.weight.shape))
        return f"Linear(<{shape}>{'' if self.bias is None else ', bias'})"


def _is_size(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_))


class Mapped:
    """x . weight + bias: what a `Linear` makes of inputs."""

    def __init__(self, linear: Linear, x: ArrayLike) -> None:
        self.linear, self.x = linear, _check.kept("x", x)
        inputs = linear.weight.shape[0]
        if self.x.ndim < 1 or self.x.shape[-1] != inputs or self.x.size == 0:
            raise ValueError(f"`x` must have {inputs} inputs on the last axis, got shape {self.x.shape}")
        self.shape = (*self.x.shape[:-1], *linear.weight.shape[1:])

    @property
    def parameters(self) -> dict[str, Array]:
        """Weight and bias."""
        more = {} if self.linear.bias is None else {"bias": self.linear.bias}
        return {"weight": self.linear.weight, **more}

    @cached_property
    def value(self) -> Array:
        """The numbers, of shape (*rows, *outputs)."""
        rows, inputs = self.x.reshape(-1, self.x.shape[-1]), self.linear.weight.shape[0]
        bias = None if self.linear.bias is None else self.linear.bias.reshape(-1)
        return affine(rows, self.linear.weight.reshape(inputs, -1), bias).reshape(self.shape)

    def with_parameters(self, parameters: Any) -> Mapped:
        """Return the same map with another weight and bias."""
        return Mapped(Linear(parameters["weight"], parameters.get("bias")), self.x)

    def __repr__(self) -> str:
        return f"{self.linear!r}(<{' x '.join(map(str, self.x.shape))}>)"


Argument = Array | Mapped


def value_of(argument: Argument) -> Array:
    """Return an argument's numbers."""
    return argument.value if isinstance(argument, Mapped) else argument


def parameters_of(arguments: dict[str, Argument]) -> Any:
    """Return theta: of a single argument its parameters, of several a dict."""
    if len(arguments) == 1:
        (own,) = arguments.values()
        return own.parameters if isinstance(own, Mapped) else own
    return {name: a.parameters if isinstance(a, Mapped) else a for name, a in arguments.items()}


def with_parameters(arguments: dict[str, Argument], parameters: Any) -> dict[str, Any]:
    """Return the arguments with other parameters; their structure was checked."""
    own = {next(iter(arguments)): parameters} if len(arguments) == 1 else parameters
    return {name: a.with_parameters(own[name]) if isinstance(a, Mapped) else own[name] for name, a in arguments.items()}


def table_map(arguments: dict[str, Argument]) -> list[tuple[int, int, Array | None, bool]]:
    """Say where each argument's parameters stand in theta: (numbers, first, x or None, bias), for the kernels."""
    rows: list[tuple[int, int, Array | None, bool]] = []
    at = 0
    for a in arguments.values():
        numbers = math.prod(a.shape)
        if isinstance(a, Mapped):
            bias = a.linear.bias
            rows.append((numbers, at, a.x.reshape(-1, a.x.shape[-1]), bias is not None))
            at += a.linear.weight.size + (0 if bias is None else bias.size)
        else:
            rows.append((numbers, at, None, False))
            at += numbers
    return rows
