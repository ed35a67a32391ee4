"""networks: an autoencoder of layers of stochastic units, sc.BernoulliVAE."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check, _layered
from ._autoencoder import Images, Shape
from ._generative import Generative
from ._model import not_read, read
from ._rules import Rule
from ._training import (
    KINDS,
    NAMES,
    Trainer,
    checked_parameters,
    padded_images,
    samples,
)
from .distributions import Bernoulli
from .estimators import Estimator, resolve
from .layers import LeakyReLU
from .noise import BINARISING, INITIALISING, Stream, as_stream

__all__ = ["BernoulliVAE"]

Array = NDArray[Any]

FORMER = "stochcore.BernoulliVAE 1"  # one layer of units between linear maps
MOST = 1 << 24  # pixels, units, samples: far beyond sense, and no size overflows
MOST_LAYERS = 32  # of units, and of hidden ones between two


class BernoulliVAE(Generative):
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
    ``local_expectation`` (its samples are trunks, with a branch for each unit) and, with one layer, ``double_cv`` and
    ``rodeo`` are those of `sc.Network`. All these are unbiased. (J also depends on the encoders directly, through log
    q; that derivative has expectation zero and is left out.) ``vimco`` is unbiased for another cost, minus the bound
    with many samples,

        -log(1/K sum_k e^(-J(z_k))).

    For comparison there are, with one layer of units, ``straight_through`` and ``gumbel_softmax``, which are biased.

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

    def _renew(self, flat: Array) -> BernoulliVAE:
        """Return a model of the same shape with other parameters."""
        return _again(type(self), self._shape, flat, self.mean)

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
            Samples of the units for each image; at least 2 with ``leave_one_out``, ``double_cv``, ``rodeo`` and
            ``vimco``, a multiple of the layers and one with ``disarm`` and ``arm``.
        estimator : str or Estimator
            leave_one_out, score_function, moving_average, nvil, disarm, arm, local_expectation, double_cv, rodeo,
            vimco, straight_through or gumbel_softmax.
            A baseline of ``estimators.ScoreFunction`` must be a single number.
        seed : int or Stream
            Noise of orders, pixels and units.
        n_threads : int, optional
            At most so many threads; small steps take one: those of less than some 4 million sums with one layer between
            linear maps, else of 17 million, and of 67 million where the batch has at most 64 images. The bits do not
            depend on it.

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
    listed = [given] if isinstance(given, (int, np.integer)) else given
    if isinstance(listed, (str, bytes, Mapping)) or not isinstance(listed, Iterable):
        raise TypeError(f"`{name}` must be an integer or a sequence of them, such as (200, 100), got {given!r}")
    widths = tuple(_check.integer(name, n, 1, MOST) for n in listed)
    if len(widths) > MOST_LAYERS:
        raise ValueError(f"`{name}` must name at most {MOST_LAYERS} layers, got {len(widths)}")
    return widths
