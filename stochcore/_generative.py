"""What a model of images says once it has learned: bounds, codes and pictures."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check, _networks
from ._autoencoder import Images, Shape, bounds, chances
from ._graph import Graph
from ._model import Model
from ._training import checked_images, evaluation_noise, padded, padded_images
from .distributions import Bernoulli
from .noise import LAYERS, Stream, as_stream

Array = NDArray[Any]

MOST = 1 << 24  # samples: far beyond sense, and no size overflows


class Generative(Model):
    """An autoencoder of a shape and a mean image, without what makes it learn."""

    mean: Array
    _shape: Shape

    def _adopt(self, shape: Shape, flat: Array, mean: Array) -> None:
        flat.flags.writeable = mean.flags.writeable = False
        self._shape, self._flat, self.mean = shape, flat, mean
        self.n_visible, self.hidden = shape.n_visible, shape.hidden
        self.n_latents = shape.latents[0] if len(shape.latents) == 1 else shape.latents

    @functools.cached_property
    def _graph(self) -> Graph:
        return self._shape.graph(self.mean)

    @functools.cached_property
    def _network(self) -> _networks.Network:
        """The parameters as the kernels of bits want them."""
        return padded(self.parameters, self.mean)

    def _named(self, flat: Array) -> dict[str, Array]:
        return self._shape.named(flat)

    def _about(self) -> tuple[dict[str, Any], dict[str, Array]]:
        words = {"n_latents": self._shape.latents, "hidden": self.hidden, "slope": self._shape.slope}
        return words, {"mean": self.mean}

    def bound(
        self,
        data: ArrayLike,
        *,
        n_draws: int = 100,
        n_samples: int = 1,
        seed: int | Stream = 0,
        n_threads: int | None = None,
    ) -> tuple[float, float]:
        """Return the evidence lower bound, in nats: its mean over images, and the standard error of that.

        Each draw binarises an image afresh and takes K = `n_samples` samples of its units: the bound with many samples,
        E[log(1/K sum_k p(x, z_k) / q(z_k | x))], grows with K towards log p(x) (Burda, Grosse and Salakhutdinov, ICLR
        2016, theorem 1). With one it is the usual one. The standard error is that of the Monte
        Carlo average with the images fixed, sqrt(sum_i var_i / n_draws) / n_images: another seed moves the mean by so
        much, another set of images by more.

        Parameters
        ----------
        data : array_like
            Images, as in `trainer`.
        n_draws : int
            Draws for each image, at least 2.
        n_samples : int
            Samples of the units within the logarithm.
        seed : int or Stream
            Noise of its own, apart from that of training.
        n_threads : int, optional
            At most so many threads; the bits do not depend on it.

        Returns
        -------
        mean, se : float
        """
        images = self._images("data", data)
        n_draws = _check.integer("n_draws", n_draws, 2, 1 << 40)
        K, threads = _check.integer("n_samples", n_samples, 1, MOST), _check.threads(n_threads)
        pixels, units = evaluation_noise(seed)
        if self._shape.bits and K == 1:
            rows = padded_images(images, self._network.visible_stride)
            mean, squares = _networks.bound(self._network, rows, n_draws, pixels, units, threads)
        else:
            mean, squares = bounds(self._graph, self._flat, Images(images), n_draws, K, pixels, units, threads)
        if not np.isfinite(mean).all():
            raise ValueError(f"the bound is not finite: {mean[~np.isfinite(mean)][0]}")
        n = len(images)
        return math.fsum(mean) / n, math.sqrt(math.fsum(squares) / (n_draws - 1) / n_draws) / n

    def evaluate(
        self,
        held_out: ArrayLike,
        *,
        n_draws: int = 100,
        n_samples: int = 1,
        seed: int | Stream = 0,
        n_threads: int | None = None,
    ) -> tuple[float, float]:
        """Return the mean cost of images, minus their `bound`, and its standard error: what `minimize` looks at."""
        images = self._images("held_out", held_out)[:, : self.n_visible]
        mean, se = self.bound(images, n_draws=n_draws, n_samples=n_samples, seed=seed, n_threads=n_threads)
        return -mean, se

    def encode(self, x: ArrayLike) -> Array:
        """Return the probability of each unit of the first layer: with linear maps sigmoid(2 (x - mean) W + b).

        Parameters
        ----------
        x : array_like
            Images, as in `trainer`; grey ones are taken as they are.

        Returns
        -------
        ndarray of float32, shape (n_images, units)
        """
        return chances(self._graph, self._flat, self._shape.outputs()[0][0], self._images("x", x))

    def decode(self, z: ArrayLike) -> Array:
        """Return the probability of each pixel: with linear maps and one layer sigmoid(z V + c).

        Parameters
        ----------
        z : array_like, shape (n, units)
            Units of the first layer: numbers in [0, 1].

        Returns
        -------
        ndarray of float32, shape (n, n_visible)
        """
        z = np.asarray(z, dtype=np.float64) if np.asarray(z).dtype == np.bool_ else z
        units = _check.probabilities("z", z).astype(np.float32)
        if units.ndim != 2 or units.shape[1] != self._shape.latents[0] or not len(units):
            raise ValueError(f"`z` must have the shape (n, n_latents = {self._shape.latents[0]}), got {units.shape}")
        return chances(self._graph, self._flat, self._shape.outputs()[1][0], units)

    def reconstruct(self, data: ArrayLike, *, seed: int | Stream = 0) -> Array:
        """Return images as the model sees them: binarise, sample the units once, decode.

        Parameters
        ----------
        data : array_like
            Images, as in `trainer`.
        seed : int or Stream
            The noise is that of the first draw of `bound`.

        Returns
        -------
        ndarray of float32, in the shape of the data
            Probabilities of the pixels.
        """
        pixels, latents = evaluation_noise(seed)
        z = _networks.bernoulli(latents, self.encode(_networks.bernoulli(pixels, self._images("data", data))))
        return self.decode(z).reshape(np.shape(data))

    def sample(self, n: int, *, seed: int | Stream = 0) -> Array:
        """Return n images from the model: units of the last layer from the prior, decoded layer by layer.

        Parameters
        ----------
        n : int
            How many, at least 1.
        seed : int or Stream
            Noise of the units.

        Returns
        -------
        ndarray of float32, shape (n, n_visible)
            Probabilities of the pixels.
        """
        n = _check.integer("n", n, 1)
        stream = as_stream(seed)
        prior = Bernoulli(logits=self.parameters["prior"].astype(np.float64)).probs.astype(np.float32)
        q = np.ascontiguousarray(np.broadcast_to(prior, (n, len(prior))))
        for purpose, node in enumerate(reversed(self._shape.outputs()[1]), LAYERS):
            z = _networks.bernoulli(stream._replace(purpose=purpose), q)
            q = chances(self._graph, self._flat, node, z)
        return q

    def _images(self, name: str, data: ArrayLike) -> Array:
        return checked_images(name, np.asarray(data), self.n_visible)
