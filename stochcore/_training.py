"""What networks train with: the trainer that `minimize` drives, the layout of parameters, checked images."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check, _networks
from ._batches import Orders
from .estimators import Estimator, resolve
from .noise import BINARISING, EVALUATION, LAYERS, Stream, as_stream

Array = NDArray[Any]

NAMES = ("W", "b", "V", "c", "prior")
KINDS = {"score_function": 0, "leave_one_out": 1, "disarm": 2}  # csrc/vae.h
NEVER = np.float32(-200)  # bias of padding (csrc/vae.h): a unit that is never on
HALF = 1 << 63  # the units' noise lies half a stream away from the pixels'
MOST = 1 << 24  # samples: far beyond sense, and no size overflows


class Trainer:
    """A network that `stochcore.minimize` moves. `parameters` are live, in the kernels' layout."""

    def __init__(
        self,
        network: _networks.Network,
        renew: Callable[[Array], Any],
        images: Array,
        batch: int,
        rule: tuple[int, int, float],
        stream: Stream,
        n_threads: int | None,
    ) -> None:
        self._network, self._renew = network, renew
        self._images, self._rule, self._stream = images, rule, stream
        self._n, self._batch, self._n_threads = len(images), batch, n_threads
        self._descent = _networks.Descent(
            self._network,
            images,
            batch,
            *rule,
            stream._replace(purpose=BINARISING),
            stream._replace(purpose=LAYERS),
        )
        self._orders = Orders(len(images), stream)
        self.parameters: Array = self._network.parameters
        self.records: Array = np.empty((0, 3))

    def again(self, n_threads: int | None) -> Trainer:
        """Return another trainer that stands where this one does, on the same images, which are not checked again."""
        network = self._network.copy()
        return Trainer(network, self._renew, self._images, self._batch, self._rule, self._stream, n_threads)

    @property
    def completed(self) -> int:
        """How many steps of the last run are done."""
        return self._descent.completed

    @completed.setter
    def completed(self, value: int) -> None:
        self._descent.completed = value

    def run(self, kind: int, scalars: Array, first_step: int, moments: Array) -> Array:
        """Take a step for each row of scalars: cost, standard error over images, norm of the gradient."""
        self.completed, self.records = 0, np.empty((len(scalars), 3))
        piece = max(1, (1 << 16) // self._batch)
        for start in range(0, len(scalars), piece):
            part, step = slice(start, start + piece), first_step + start
            rows = self._orders.rows(step, len(scalars[part]), self._batch)
            status = self._descent.run(kind, scalars[part], step, rows, moments, self.records[part], self._n_threads)
            if status:
                at, why = first_step + self.completed, self.records[self.completed, 0]
                raise ValueError(f"the descent diverged at step {at}, try a smaller `learning_rate`: its cost is {why}")
        return self.records

    def gradient(self) -> tuple[Array, Array]:
        """Return the record and the gradient of step 0 for all images in their order, without padding."""
        self.completed, self.records = 0, np.empty((1, 3))
        rows = np.arange(self._n).reshape(1, -1)
        moments = np.zeros((2, self.parameters.size), dtype=np.float32)
        status = self._descent.run(
            _networks.NO_UPDATE, np.zeros((1, 6)), 0, rows, moments, self.records, self._n_threads
        )
        if status:
            raise ValueError(f"the cost is not finite: {self.records[0, 0]}")
        return self.records[0], self._unpadded(self._descent.gradient())

    def _unpadded(self, flat: Array) -> Array:
        D, H = self._network.n_visible, self._network.n_latents
        return np.concatenate([view(flat, name, D, H).reshape(-1) for name in NAMES])

    def model(self) -> Any:
        """Return the model as it is now."""
        return self._renew(self._unpadded(self.parameters))


def checked_parameters(parameters: Mapping[str, ArrayLike], mean: ArrayLike) -> tuple[dict[str, Array], Array]:
    """Return parameters and mean as float64 arrays whose shapes fit each other."""
    if set(parameters) != set(NAMES):
        raise ValueError(f"`parameters` must hold {', '.join(NAMES)}, got {', '.join(parameters)}")
    arrays = {name: _check.reals(name, parameters[name]) for name in NAMES}
    centre, W = _check.probabilities("mean", mean), arrays["W"]
    if W.ndim != 2 or 0 in W.shape:
        raise ValueError(f"`W` must have the shape (n_visible, n_latents), got {W.shape}")
    D, H = W.shape
    shapes = (D, H), (H,), (H, D), (D,), (H,), (D,)
    for name, array, shape in zip((*NAMES, "mean"), (*arrays.values(), centre), shapes, strict=True):
        if array.shape != shape:
            raise ValueError(f"`{name}` must have shape {shape} beside W's {W.shape}, got {array.shape}")
        if np.abs(array).max() > np.finfo(np.float32).max:
            raise ValueError(f"`{name}` must fit in float32, got {np.abs(array).max()}")
    return arrays, centre


def view(flat: Array, name: str, D: int, H: int, *, padding: bool = False) -> Array:
    """Return one parameter's part of the flat vector: W, b, V, c, prior in turn, rows padded to 16."""
    ds, hs = -(-D // 16) * 16, -(-H // 16) * 16
    rows, stride, width = {
        "W": (D, hs, H), "b": (1, hs, H), "V": (H, ds, D), "c": (1, ds, D), "prior": (1, hs, H)
    }[name]  # fmt: skip
    start = {
        "W": 0,
        "b": D * hs,
        "V": (D + 1) * hs,
        "c": (D + 1) * hs + H * ds,
        "prior": (D + 1) * hs + (H + 1) * ds,
    }[name]
    part = flat[start : start + rows * stride].reshape(rows, stride)
    part = part if padding else part[:, :width]
    return part if name in "WV" else part[0]


def padded(parameters: Mapping[str, Array], mean: Array) -> _networks.Network:
    """Return the kernels' network, read-only: rows padded to 16, biases of padding NEVER."""
    D, H = parameters["W"].shape
    network = _networks.Network(D, H)
    network.mean[:D] = mean
    for name in ("b", "c", "prior"):
        view(network.parameters, name, D, H, padding=True)[:] = NEVER
    for name, array in parameters.items():
        view(network.parameters, name, D, H)[...] = array
    network.parameters.flags.writeable = network.mean.flags.writeable = False
    return network


def padded_images(images: Array, stride: int) -> Array:
    """Return images as the kernels want them: rows of `stride`, on lines of the cache."""
    out: Array = _networks.aligned(len(images) * stride, np.float32).reshape(len(images), stride)
    out[:, : images.shape[1]] = images
    return out


def checked_images(name: str, array: Array, n_visible: int) -> Array:
    """Return pixels as float32 in [0, 1], a row for each image."""
    if array.dtype.kind in "USO":
        raise TypeError(f"`{name}` must be an array of numbers, got {_check._short(array.tolist())}")
    if array.ndim not in (2, 3) or array.size == 0 or math.prod(array.shape[1:]) != n_visible:
        shapes = f"(n, {n_visible}) or (n, height, width) with height x width = {n_visible}"
        raise ValueError(f"`{name}` must have the shape {shapes}, n at least 1, got {array.shape}")
    if array.dtype == np.uint8 and array.max() == 1:
        raise ValueError(f"`{name}` must be bool or float if it is binary: a uint8 array stands for value / 255")
    if array.dtype.kind not in "bf" and array.dtype != np.uint8:
        raise TypeError(f"`{name}` must be floats in [0, 1], bool, or uint8 in 0 .. 255, got dtype {array.dtype}")
    if array.dtype.kind == "f":
        bad = ~((array >= 0) & (array <= 1))
        if bad.any():
            raise ValueError(f"`{name}` must lie in [0, 1], got {_check._first(array, bad)}")
    pixels: Array = array.reshape(len(array), n_visible).astype(np.float32, order="C")
    if array.dtype == np.uint8:
        pixels /= np.float32(255)
    return pixels


def samples(n_samples: int, estimator: str | Estimator) -> tuple[int, int, float]:
    """Return how many samples, what weighs them (csrc/vae.h), and the baseline of score_function."""
    K, chosen = _check.integer("n_samples", n_samples, 1, MOST), resolve(estimator)
    if chosen.name not in KINDS or getattr(chosen, "k", None):
        known = ", ".join(map(repr, KINDS))
        raise ValueError(f"`estimator` must be one of {known} for a BernoulliVAE, got {chosen!r}")
    if K % chosen.samples_per_unit:
        raise ValueError(f"`n_samples` must be a multiple of {chosen.samples_per_unit} for {chosen.name}, got {K}")
    if chosen.least > K:
        raise ValueError(f"`n_samples` must be at least {chosen.least} for {chosen.name}, got {K}")
    given = getattr(chosen, "baseline", None)
    return K, KINDS[chosen.name], 0.0 if given is None else _check.real("baseline", given)


def evaluation_noise(seed: int | Stream) -> tuple[Stream, Stream]:
    """Return the noise of pixels and of units for looking at a model."""
    pixels = as_stream(seed)._replace(purpose=EVALUATION)
    return pixels, pixels._replace(offset=(pixels.offset + HALF) % (1 << 64))
