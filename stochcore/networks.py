"""networks: layers of stochastic units that learn. sc.BernoulliVAE, and the loop that trains it."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check, _files, _networks
from ._training import (
    NAMES,
    NEVER,
    Trainer,
    checked_images,
    checked_parameters,
    evaluation_noise,
    samples,
    view,
)
from .distributions import Bernoulli
from .estimators import Estimator
from .noise import INITIALISING, LAYERS, Stream, as_stream

__all__ = ["BernoulliVAE"]

Array = NDArray[Any]

FORMAT = "stochcore.BernoulliVAE 1"
MOST = 1 << 24  # pixels, units, samples: far beyond sense, and no size overflows


class BernoulliVAE:
    """BernoulliVAE(n_visible, n_latents=32, *, mean=None, seed=0)

    A variational autoencoder with one layer of Bernoulli units between two linear maps, in float32.

    Prior: z_h ~ Bernoulli(sigmoid(prior_h)). Decoder: x_d ~ Bernoulli(sigmoid(z V + c)_d). Encoder: z_h ~
    Bernoulli(sigmoid(2 (x - mean) W + b)_h). The cost is minus the evidence lower bound, in nats:

        J(z) = -(log p(x | z) + log p(z) - log q(z | x)).

    Decoder and prior learn by ordinary gradients, averaged over K samples of z. The encoder learns through its discrete
    units by the score function: the mean over samples of (J_k - baseline_k) (z_k - q), times 2 (x - mean) for W. With
    ``leave_one_out`` a sample's baseline is the mean cost of the image's other samples. ``disarm`` takes samples in
    pairs z, z' of opposite noise, (J - J')/2 (z - z') max(q, 1 - q). All are unbiased. (J also depends on the encoder
    directly, through log q; that derivative has expectation zero and is left out.)

    The start: W ~ N(0, 1/n_visible), V ~ N(0, 1/n_latents), b = prior = 0 and c = logit(mean). A model is a value:
    ``stochcore.minimize(model, data=...)`` makes a new one.

    Parameters
    ----------
    n_visible : int
        Pixels of an image.
    n_latents : int
        Units.
    mean : array_like with n_visible numbers, optional
        Mean image of the data, in [0, 1]; clipped to [0.01, 0.99]. Left out: 0.5 everywhere.
    seed : int or Stream
        Noise of the start.

    Attributes
    ----------
    n_visible, n_latents : int
    mean : ndarray of float32, shape (n_visible,)
    parameters : mapping
        Read-only views: W (n_visible, n_latents), b (n_latents,), V (n_latents, n_visible), c (n_visible,),
        prior (n_latents,).

    Notes
    -----
    Score function: Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement
    learning", Machine Learning 8, 1992. On such networks: Mnih and Gregor, "Neural variational inference and learning
    in belief networks", ICML 2014. The set-up (inputs centred, decoder bias from the data, pixels binarised afresh):
    Dong, Mnih and Tucker, "DisARM: an antithetic gradient estimator for binary latent variables", NeurIPS 2020.

    Examples
    --------
    >>> import numpy as np, stochcore as sc
    >>> images = np.eye(4)[np.arange(40) % 4]
    >>> model = sc.BernoulliVAE(4, n_latents=2, mean=images.mean(axis=0))
    >>> fit = sc.minimize(model, data=images, batch_size=10, optimizer=sc.Adam(0.03), n_steps=300, n_samples=2)
    >>> bool(fit.model.bound(images)[0] > model.bound(images)[0] + 0.2)
    True
    """

    def __init__(
        self, n_visible: int, n_latents: int = 32, *, mean: ArrayLike | None = None, seed: int | Stream = 0
    ) -> None:
        D = _check.integer("n_visible", n_visible, 1, MOST)
        H = _check.integer("n_latents", n_latents, 1, MOST)
        centre = np.full(D, 0.5) if mean is None else _check.probabilities("mean", mean).reshape(-1)
        if centre.shape != (D,):
            raise ValueError(f"`mean` must hold n_visible = {D} numbers, got {centre.size}")
        centre = centre.clip(0.01, 0.99).astype(np.float32)
        noise = as_stream(seed)._replace(purpose=INITIALISING)
        W = noise.normal((D, H), dtype=np.float32) * np.float32(1 / math.sqrt(D))
        V = noise.at(D * H).normal((H, D), dtype=np.float32) * np.float32(1 / math.sqrt(H))
        c = Bernoulli(probs=centre).logits
        self._set(D, H, {"W": W, "b": np.zeros(H), "V": V, "c": c, "prior": np.zeros(H)}, centre)

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, ArrayLike], *, mean: ArrayLike) -> BernoulliVAE:
        """Return a model with these parameters, which must be finite and fit each other.

        Parameters
        ----------
        parameters : mapping
            W, b, V, c and prior, in the shapes of the attribute; rounded to float32.
        mean : array_like, shape (n_visible,)
            What the encoder subtracts; taken as it is, rounded to float32.

        Returns
        -------
        BernoulliVAE
        """
        arrays, centre = checked_parameters(parameters, mean)
        D, H = arrays["W"].shape
        model = cls.__new__(cls)
        model._set(D, H, arrays, centre)
        return model

    def _set(self, D: int, H: int, arrays: Mapping[str, Array], mean: Array) -> None:
        """Lay the parameters out as the kernels want them: rows padded to 16, biases of padding NEVER."""
        network = _networks.Network(D, H)
        network.mean[:D] = mean
        flat = network.parameters
        for name in ("b", "c", "prior"):
            view(flat, name, D, H, padding=True)[:] = NEVER
        for name in NAMES:
            view(flat, name, D, H)[...] = arrays[name]
        self._adopt(network, D, H)

    def _renew(self, network: _networks.Network) -> BernoulliVAE:
        """Return a model of the same shape with the network's parameters."""
        model = BernoulliVAE.__new__(BernoulliVAE)
        model._adopt(network, self.n_visible, self.n_latents)
        return model

    def _adopt(self, network: _networks.Network, D: int, H: int) -> None:
        network.parameters.flags.writeable = network.mean.flags.writeable = False
        self._network = network
        self.n_visible, self.n_latents, self.mean = D, H, network.mean[:D]

    @property
    def parameters(self) -> Mapping[str, Array]:
        """W, b, V, c and prior, as read-only views."""
        return self._named(self._network.parameters)

    def _named(self, flat: Array) -> Mapping[str, Array]:
        return MappingProxyType({name: view(flat, name, self.n_visible, self.n_latents) for name in NAMES})

    def __repr__(self) -> str:
        return f"BernoulliVAE({self.n_visible}, n_latents={self.n_latents})"

    def __reduce__(self) -> tuple[Any, ...]:
        make = functools.partial(type(self).from_parameters, mean=self.mean.copy())
        return make, ({name: array.copy() for name, array in self.parameters.items()},)

    def trainer(
        self,
        data: ArrayLike,
        *,
        batch_size: int = 50,
        n_samples: int = 2,
        estimator: str | Estimator = "leave_one_out",
        seed: int | Stream = 0,
        n_threads: int | None = None,
    ) -> Trainer:
        """Return what `stochcore.minimize` drives: a copy of the model that moves.

        Step t takes images t * batch_size .. (t + 1) * batch_size of an endless row of random orders of the
        data, so that no image is left out of an epoch, and binarises them afresh.

        Parameters
        ----------
        data : array_like, shape (n_images, n_visible) or (n_images, height, width)
            Probabilities that a pixel is on: floats in [0, 1], kept in float32; bool; or uint8, which stands
            for value / 255.
        batch_size : int
            At most n_images.
        n_samples : int
            Samples of the units for each image; at least 2 with ``leave_one_out``, even with ``disarm``.
        estimator : {"leave_one_out", "score_function", "disarm"} or Estimator
            A baseline of ``estimators.ScoreFunction`` must be a single number.
        seed : int or Stream
            Noise of orders, pixels and units.
        n_threads : int, optional
            At most so many threads; small steps (some 4 million sums) take one. The bits do not depend on it.

        Returns
        -------
        Trainer
        """
        images = self._images("data", data)
        batch = _check.integer("batch_size", batch_size, 1)
        if batch > len(images):
            raise ValueError(f"`batch_size` must be at most the number of images, {len(images)}, got {batch}")
        rule, noise = samples(n_samples, estimator), as_stream(seed)
        network = self._network.copy()
        return Trainer(network, self._renew, images, batch, rule, noise, _check.threads(n_threads))

    def gradient(
        self,
        x: ArrayLike,
        *,
        n_samples: int = 2,
        estimator: str | Estimator = "leave_one_out",
        seed: int | Stream = 0,
        n_threads: int | None = None,
    ) -> tuple[float, dict[str, Array]]:
        """Return one estimate of the mean cost of binary images and of its gradient, as a step uses it.

        Parameters
        ----------
        x : array_like, shape (n_images, n_visible) or (n_images, height, width)
            Pixels, each 0 or 1.
        n_samples, estimator, seed, n_threads
            As in `trainer`.

        Returns
        -------
        cost : float
            Minus the bound, the mean over images and samples.
        grad : dict of ndarray
            Its gradients, in the shapes of the parameters, float32.
        """
        images = self._images("x", x)
        bad = (images != 0) & (images != 1)
        if bad.any():
            raise ValueError(f"`x` must hold 0 and 1 only, got {_check._first(images, bad)}")
        trainer = self.trainer(
            images[:, : self.n_visible],
            batch_size=len(images),
            n_samples=n_samples,
            estimator=estimator,
            seed=seed,
            n_threads=n_threads,
        )
        grad = trainer.gradient()
        return float(trainer.records[0, 0]), {name: np.array(g) for name, g in self._named(grad).items()}

    def bound(
        self,
        data: ArrayLike,
        *,
        n_draws: int = 100,
        seed: int | Stream = 0,
        n_threads: int | None = None,
    ) -> tuple[float, float]:
        """Return the evidence lower bound, in nats: its mean over images, and the standard error of that.

        Each draw binarises an image afresh and takes one sample of its units. The standard error is that of the Monte
        Carlo average with the images fixed, sqrt(sum_i var_i / n_draws) / n_images: another seed moves the mean by so
        much, another set of images by more.

        Parameters
        ----------
        data : array_like
            Images, as in `trainer`.
        n_draws : int
            Draws for each image, at least 2.
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
        pixels, latents = evaluation_noise(seed)
        mean, squares = _networks.bound(self._network, images, n_draws, pixels, latents, _check.threads(n_threads))
        if not np.isfinite(mean).all():
            raise ValueError(f"the bound is not finite: {mean[~np.isfinite(mean)][0]}")
        n = len(images)
        return math.fsum(mean) / n, math.sqrt(math.fsum(squares) / (n_draws - 1) / n_draws) / n

    def evaluate(
        self, held_out: ArrayLike, *, n_draws: int = 100, seed: int | Stream = 0, n_threads: int | None = None
    ) -> tuple[float, float]:
        """Return the mean cost of images, minus their `bound`, and its standard error: what `minimize` looks at."""
        images = self._images("held_out", held_out)[:, : self.n_visible]
        mean, se = self.bound(images, n_draws=n_draws, seed=seed, n_threads=n_threads)
        return -mean, se

    def encode(self, x: ArrayLike) -> Array:
        """Return the probability of each unit, sigmoid(2 (x - mean) W + b).

        Parameters
        ----------
        x : array_like
            Images, as in `trainer`; grey ones are taken as they are.

        Returns
        -------
        ndarray of float32, shape (n_images, n_latents)
        """
        grey = np.ascontiguousarray(self._images("x", x)[:, : self.n_visible])
        return np.ascontiguousarray(_networks.encode(self._network, grey)[:, : self.n_latents])

    def decode(self, z: ArrayLike) -> Array:
        """Return the probability of each pixel, sigmoid(z V + c).

        Parameters
        ----------
        z : array_like, shape (n, n_latents)
            Units: numbers in [0, 1].

        Returns
        -------
        ndarray of float32, shape (n, n_visible)
        """
        z = np.asarray(z, dtype=np.float64) if np.asarray(z).dtype == np.bool_ else z
        units = _check.probabilities("z", z).astype(np.float32)
        if units.ndim != 2 or units.shape[1] != self.n_latents or not len(units):
            raise ValueError(f"`z` must have the shape (n, n_latents = {self.n_latents}), got {units.shape}")
        return np.ascontiguousarray(_networks.decode(self._network, units)[:, : self.n_visible])

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
        grey = np.ascontiguousarray(self._images("data", data)[:, : self.n_visible])
        z = _networks.bernoulli(latents, self.encode(_networks.bernoulli(pixels, grey)))
        return self.decode(z).reshape(np.shape(data))

    def sample(self, n: int, *, seed: int | Stream = 0) -> Array:
        """Return n images from the model: units from the prior, decoded.

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
        stream = as_stream(seed)._replace(purpose=LAYERS)
        prior = Bernoulli(logits=self.parameters["prior"].astype(np.float64)).probs.astype(np.float32)
        z = _networks.bernoulli(stream, np.ascontiguousarray(np.broadcast_to(prior, (n, self.n_latents))))
        return self.decode(z)

    def _images(self, name: str, data: ArrayLike) -> Array:
        return checked_images(name, np.asarray(data), self.n_visible, self._network.visible_stride)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to an .npz file (no pickles), which appears whole or not at all.

        Parameters
        ----------
        path : path
            Replaced if it exists.
        """
        arrays = {name: np.ascontiguousarray(array) for name, array in self.parameters.items()}
        _files.write_npz(Path(path), {"format": np.array(FORMAT), **arrays, "mean": self.mean})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> BernoulliVAE:
        """Return the model that `save` wrote, bit for bit.

        Parameters
        ----------
        path : path

        Returns
        -------
        BernoulliVAE

        Raises
        ------
        OSError, ValueError
            A file that cannot be read; one that is truncated, or something else.
        """
        arrays = _files.read_npz(Path(path))
        try:
            if str(arrays.pop("format", None)) != FORMAT:
                raise ValueError("it is of another kind")
            return cls.from_parameters(arrays, mean=arrays.pop("mean", np.empty(0)))
        except (TypeError, ValueError) as error:
            raise ValueError(f"`path` must be a {FORMAT!r} file, got {str(path)!r}: {error}") from None
