"""networks: an autoencoder of layers of stochastic units, sc.BernoulliVAE."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check, _layered, _networks
from ._autoencoder import Images, Shape, bounds, chances
from ._graph import Graph
from ._model import Model, not_read, read
from ._rules import Rule
from ._training import (
    KINDS,
    NAMES,
    Trainer,
    checked_images,
    checked_parameters,
    evaluation_noise,
    padded,
    padded_images,
    samples,
)
from .distributions import Bernoulli
from .estimators import Estimator, resolve
from .layers import LeakyReLU
from .noise import BINARISING, INITIALISING, LAYERS, Stream, as_stream

__all__ = ["BernoulliVAE"]

Array = NDArray[Any]

FORMER = "stochcore.BernoulliVAE 1"  # one layer of units between linear maps
MOST = 1 << 24  # pixels, units, samples: far beyond sense, and no size overflows
MOST_LAYERS = 32  # of units, and of hidden ones between two


class BernoulliVAE(Model):
    """BernoulliVAE(n_visible, n_latents=32, *, hidden=(), slope=0.3, mean=None, seed=0)

    A variational autoencoder with layers of Bernoulli units between linear maps or small nets, in float32.

    Units z_1 .. z_L, from the pixels z_0 = x up. Prior: z_L ~ Bernoulli(sigmoid(prior)). Decoders: z_l-1 ~
    Bernoulli(sigmoid(D_l(z_l))). Encoders: z_l ~ Bernoulli(sigmoid(E_l(z_l-1))). The cost is minus the evidence lower
    bound, in nats, in expectation over the units of the encoders:

        J(z) = -(log p(x, z) - log q(z | x)).

    Each E_l and D_l is linear, or a net with LeakyReLU layers of the widths `hidden` (in decoders from the last to the
    first). Pixels enter as 2 (x - mean), units as 2 z - 1; with one layer and linear maps E(x) = 2 (x - mean) W + b and
    D(z) = z V + c.

    Decoders and prior learn by ordinary gradients, averaged over K samples of z. Encoders learn through their discrete
    units by the score function, weighed by the terms of J that follow from the layer. With ``leave_one_out`` a sample's
    baseline is the mean cost of the image's other samples. ``disarm`` takes samples in pairs z, z' of opposite noise,
    (J - J')/2 (z - z') max(q, 1 - q), layer by layer. ``score_function`` and ``moving_average`` have baselines that are
    numbers, ``nvil`` nets that foretell the cost from a layer's input (`estimators.Nvil`). ``arm``,
    ``local_expectation`` (its samples are trunks, with a branch for each unit) and, with one layer, ``double_cv`` are
    those of `sc.Network`. All are unbiased. (J also depends on the encoders directly, through log q; that derivative
    has expectation zero and is left out.) ``vimco`` is unbiased for another cost, minus the bound with many samples,

        -log(1/K sum_k e^(-J(z_k))).

    The start: weights ~ N(0, 1/inputs), biases and prior 0, the decoder's bias of the pixels logit(mean). A model is a
    value: ``stochcore.minimize(model, data=...)`` makes a new one.

    One layer between linear maps with leave_one_out, score_function or disarm needs no BLAS; all else takes SciPy's:
    ``pip install 'stochcore[networks]'``.

    Parameters
    ----------
    n_visible : int
        Pixels of an image.
    n_latents : int or sequence of int
        Units of each layer, from the pixels up.
    hidden : sequence of int
        Widths of the LeakyReLU layers of each net; none: linear maps.
    slope : float
        Of LeakyReLU.
    mean : array_like with n_visible numbers, optional
        Mean image of the data, in [0, 1]; clipped to [0.01, 0.99]. Left out: 0.5 everywhere.
    seed : int or Stream
        Noise of the start.

    Attributes
    ----------
    n_visible : int
    n_latents : int, or tuple of int
        The latter with several layers.
    hidden : tuple of int
    mean : ndarray of float32, shape (n_visible,)
    parameters : mapping
        Read-only views. One layer between linear maps: W (n_visible, n_latents), b (n_latents,), V (n_latents,
        n_visible), c (n_visible,), prior (n_latents,). Else encoder0.linear0.weight (inputs, outputs),
        encoder0.linear0.bias, ..., encoder1.linear0.weight, ..., decoder0.linear0.weight, ..., prior; encoder0 and
        decoder0 are next to the pixels.

    Notes
    -----
    Score function: Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement
    learning", Machine Learning 8, 1992. On such networks: Mnih and Gregor, "Neural variational inference and learning
    in belief networks", ICML 2014. The set-up (inputs centred, decoder bias from the data, pixels binarised afresh):
    Dong, Mnih and Tucker, "DisARM: an antithetic gradient estimator for binary latent variables", NeurIPS 2020. Many
    samples: Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", ICLR 2016; Mnih and Rezende,
    "Variational inference for Monte Carlo objectives", ICML 2016.

    Examples
    --------
    >>> import numpy as np, stochcore as sc
    >>> images = np.eye(4)[np.arange(40) % 4]
    >>> model = sc.BernoulliVAE(4, n_latents=2, mean=images.mean(axis=0))
    >>> fit = sc.minimize(model, data=images, batch_size=10, optimizer=sc.Adam(0.03), n_steps=300, n_samples=2)
    >>> bool(fit.model.bound(images)[0] > model.bound(images)[0] + 0.2)
    True
    >>> sc.BernoulliVAE(784, n_latents=(200, 100), hidden=(200,))
    BernoulliVAE(784, n_latents=(200, 100), hidden=(200,))
    """

    FORMAT = "stochcore.BernoulliVAE 2"

    def __init__(
        self,
        n_visible: int,
        n_latents: int | Sequence[int] = 32,
        *,
        hidden: Sequence[int] = (),
        slope: float = 0.3,
        mean: ArrayLike | None = None,
        seed: int | Stream = 0,
    ) -> None:
        D = _check.integer("n_visible", n_visible, 1, MOST)
        latents = _widths("n_latents", n_latents)
        if not latents:
            raise ValueError("`n_latents` must hold the units of at least one layer, got none")
        slope = LeakyReLU(slope).slope
        shape = Shape(D, latents, _widths("hidden", hidden), slope)
        centre = np.full(D, 0.5) if mean is None else _check.probabilities("mean", mean).reshape(-1)
        if centre.shape != (D,):
            raise ValueError(f"`mean` must hold n_visible = {D} numbers, got {centre.size}")
        centre = centre.clip(0.01, 0.99).astype(np.float32)
        noise = as_stream(seed)._replace(purpose=INITIALISING)
        self._adopt(shape, shape.start(noise, Bernoulli(probs=centre).logits), centre)

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, ArrayLike], *, mean: ArrayLike) -> BernoulliVAE:
        """Return a model of one layer between linear maps with these parameters, which must fit each other.

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
        shape = Shape(D, (H,))
        flat = np.concatenate([arrays[name].reshape(-1) for name in NAMES]).astype(np.float32)
        return _again(cls, shape, flat, centre.astype(np.float32))

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

    def _renew(self, flat: Array) -> BernoulliVAE:
        """Return a model of the same shape with other parameters."""
        return _again(type(self), self._shape, flat, self.mean)

    def _named(self, flat: Array) -> dict[str, Array]:
        return self._shape.named(flat)

    def _about(self) -> tuple[dict[str, Any], dict[str, Array]]:
        words = {"n_latents": self._shape.latents, "hidden": self.hidden, "slope": self._shape.slope}
        return words, {"mean": self.mean}

    def __repr__(self) -> str:
        hidden = f", hidden={self.hidden}" if self.hidden else ""
        slope = f", slope={self._shape.slope}" if self._shape.slope != 0.3 else ""
        return f"BernoulliVAE({self.n_visible}, n_latents={self.n_latents}{hidden}{slope})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self._shape, self._flat.copy(), self.mean.copy())

    def trainer(
        self,
        data: ArrayLike,
        *,
        batch_size: int = 50,
        n_samples: int = 2,
        estimator: str | Estimator = "leave_one_out",
        seed: int | Stream = 0,
        n_threads: int | None = None,
    ) -> Trainer | _layered.Trainer:
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
            Samples of the units for each image; at least 2 with ``leave_one_out``, ``double_cv`` and ``vimco``, a
            multiple of the layers and one with ``disarm`` and ``arm``.
        estimator : str or Estimator
            leave_one_out, score_function, moving_average, nvil, disarm, arm, local_expectation, double_cv or vimco.
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
        noise, threads = as_stream(seed), _check.threads(n_threads)
        if self._shape.bits and resolve(estimator).name in KINDS:
            weighed, network = samples(n_samples, estimator), self._network.copy()
            rows = padded_images(images, network.visible_stride)
            return Trainer(network, self._renew, rows, batch, weighed, noise, threads)
        rule = Rule.of(n_samples, estimator, self._graph.layers, many=True)
        pixels = noise._replace(purpose=BINARISING)
        return _layered.Trainer(
            self._graph, self._flat, self._renew, Images(images), batch, rule, noise, threads, pixels
        )

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
            Minus the bound, the mean over images.
        grad : dict of ndarray
            Its gradients, in the shapes of the parameters, float32.
        """
        images = self._images("x", x)
        bad = (images != 0) & (images != 1)
        if bad.any():
            raise ValueError(f"`x` must hold 0 and 1 only, got {_check._first(images, bad)}")
        trainer = self.trainer(
            images, batch_size=len(images), n_samples=n_samples, estimator=estimator, seed=seed, n_threads=n_threads
        )
        record, grad = trainer.gradient()
        return float(record[0]), {name: g.copy() for name, g in self._named(grad).items()}

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
        self, held_out: ArrayLike, *, n_draws: int = 100, seed: int | Stream = 0, n_threads: int | None = None
    ) -> tuple[float, float]:
        """Return the mean cost of images, minus their `bound`, and its standard error: what `minimize` looks at."""
        images = self._images("held_out", held_out)[:, : self.n_visible]
        mean, se = self.bound(images, n_draws=n_draws, seed=seed, n_threads=n_threads)
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
        written, about, arrays = read(path, (cls.FORMAT, FORMER))
        try:
            mean = arrays.pop("mean", np.empty(0))
            if written == FORMER:
                return cls.from_parameters(arrays, mean=mean)
            shape = Shape(len(mean), tuple(about["n_latents"]), tuple(about["hidden"]), about["slope"])
            return _again(cls, shape, np.zeros(shape.size, np.float32), mean).with_parameters(arrays)
        except (KeyError, TypeError, ValueError) as error:
            raise not_read(path, cls.FORMAT, error) from None


def _again(cls: type[BernoulliVAE], shape: Shape, flat: Array, mean: Array) -> BernoulliVAE:
    made = cls.__new__(cls)
    made._adopt(shape, flat, mean)
    return made


def _widths(name: str, given: int | Sequence[int]) -> tuple[int, ...]:
    """Return numbers of units, checked."""
    single = isinstance(given, (int, np.integer)) or np.ndim(given) == 0
    widths = tuple(_check.integer(name, n, 1, MOST) for n in ([given] if single else given))  # type: ignore[union-attr]
    if len(widths) > MOST_LAYERS:
        raise ValueError(f"`{name}` must name at most {MOST_LAYERS} layers, got {len(widths)}")
    return widths
