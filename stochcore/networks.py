"""networks: layers of stochastic units that learn. sc.BernoulliVAE, and the loop that trains it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check, _files, _networks
from .distributions import Bernoulli
from .estimators import Estimator, LeaveOneOut, ScoreFunction, resolve
from .noise import BATCHING, BINARISING, EVALUATION, INITIALISING, LAYERS, Stream, as_stream

__all__ = ["BernoulliVAE"]

Array = NDArray[Any]

FORMAT = "stochcore.BernoulliVAE 1"
NAMES = ("W", "b", "V", "c", "prior")
NEVER = np.float32(-200)  # bias of padding (csrc/vae.h): a unit that is never on
HALF = 1 << 63  # the units' noise lies half a stream away from the pixels'
MOST = 1 << 24  # pixels, units, samples: far beyond sense, and no size overflows


class BernoulliVAE:
    """BernoulliVAE(n_visible, n_latents=32, *, mean=None, seed=0)

    A variational autoencoder with one layer of Bernoulli units between two linear maps, in float32.

    Prior: z_h ~ Bernoulli(sigmoid(prior_h)). Decoder: pixel x_d ~ Bernoulli(sigmoid(z V + c)_d). Encoder: q(z_h = 1 | x)
    = sigmoid((x - mean) W + b)_h. The cost is minus the evidence lower bound,

        J(z) = -(log p(x | z) + log p(z) - log q(z | x)),  in nats.

    Decoder and prior learn by ordinary gradients, averaged over samples of z. The encoder learns through its discrete
    units by the score function: the mean over K samples of (J_k - baseline_k) (z_k - q), times (x - mean) for W.
    With ``leave_one_out`` the baseline of a sample is the mean cost of the image's other samples. Both are unbiased. (The
    cost also depends on the encoder directly, through log q; that derivative has expectation zero and is left out.)

    It starts from W ~ N(0, 1/n_visible), V ~ N(0, 1/n_latents), b = prior = 0 and c = logit(mean). A model is a value:
    ``stochcore.minimize(model, data=...)`` returns a new one.

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
    learning", Machine Learning 8, 1992. On such networks: Mnih and Gregor, "Neural variational inference and learning in
    belief networks", ICML 2014. The set-up (inputs centred, decoder bias from the data, pixels binarised afresh): Dong,
    Mnih and Tucker, "DisARM: an antithetic gradient estimator for binary latent variables", NeurIPS 2020.

    Examples
    --------
    >>> import numpy as np, stochcore as sc
    >>> images = np.eye(4)[np.arange(40) % 4]
    >>> model = sc.BernoulliVAE(4, n_latents=2, mean=images.mean(axis=0))
    >>> fit = sc.minimize(
    ...     model, data=images, batch_size=10, optimizer=sc.Adam(0.03), n_steps=300, n_samples=2
    ... )
    >>> bool(fit.model.bound(images)[0] > model.bound(images)[0] + 0.5)
    True
    """

    def __init__(
        self,
        n_visible: int,
        n_latents: int = 32,
        *,
        mean: ArrayLike | None = None,
        seed: int | Stream = 0,
    ) -> None:
        D = _check.integer("n_visible", n_visible, 1, MOST)
        H = _check.integer("n_latents", n_latents, 1, MOST)
        centre = np.full(D, 0.5) if mean is None else _check.probabilities("mean", mean).reshape(-1)
        if centre.shape != (D,):
            raise ValueError(f"`mean` must hold n_visible = {D} numbers, got shape {np.shape(mean)}")
        centre = centre.clip(0.01, 0.99).astype(np.float32)
        noise = as_stream(seed)._replace(purpose=INITIALISING)
        W = noise.normal((D, H), dtype=np.float32) * np.float32(1 / math.sqrt(D))
        V = noise.at(D * H).normal((H, D), dtype=np.float32) * np.float32(1 / math.sqrt(H))
        c = Bernoulli(probs=centre).logits
        self._set(D, H, {"W": W, "b": np.zeros(H), "V": V, "c": c, "prior": np.zeros(H)}, centre)

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, ArrayLike], *, mean: ArrayLike) -> BernoulliVAE:
        """Return a model with these parameters.

        Parameters
        ----------
        parameters : mapping
            W, b, V, c and prior, in the shapes of the attribute; rounded to float32.
        mean : array_like, shape (n_visible,)
            What the encoder subtracts; taken as it is, rounded to float32.

        Returns
        -------
        BernoulliVAE

        Raises
        ------
        TypeError, ValueError
            An array that is missing, not needed, not finite, or of a wrong type or shape.
        """
        if set(parameters) != set(NAMES):
            raise ValueError(f"`parameters` must have the names {', '.join(NAMES)}, got {', '.join(parameters)}")
        arrays = {name: _check.reals(name, parameters[name]) for name in NAMES}
        W = arrays["W"]
        if W.ndim != 2 or 0 in W.shape:
            raise ValueError(f"`W` must have the shape (n_visible, n_latents), got {W.shape}")
        D, H = W.shape
        centre = _check.probabilities("mean", mean)
        for name, array, shape in zip(
            (*NAMES, "mean"), (*arrays.values(), centre), ((D, H), (H,), (H, D), (D,), (H,), (D,)), strict=True
        ):
            if array.shape != shape:
                raise ValueError(f"`{name}` must have shape {shape} beside W's {W.shape}, got {array.shape}")
            if not np.isfinite(array.astype(np.float32)).all():
                raise ValueError(f"`{name}` must be finite in float32, got {np.abs(array).max()}")
        model = cls.__new__(cls)
        model._set(D, H, arrays, centre)
        return model

    def _set(self, D: int, H: int, arrays: Mapping[str, Array], mean: Array) -> None:
        """Lay the parameters out as the kernels want them: rows padded to 16, biases of padding NEVER."""
        network = _networks.Network(D, H)
        network.mean[:D] = mean
        flat = network.parameters
        for name in ("b", "c", "prior"):
            _view(flat, name, D, H, padding=True)[:] = NEVER
        for name in NAMES:
            _view(flat, name, D, H)[...] = arrays[name]
        self._adopt(network, D, H)

    def _adopt(self, network: _networks.Network, D: int, H: int) -> None:
        network.parameters.flags.writeable = network.mean.flags.writeable = False
        self._network = network
        self.n_visible, self.n_latents, self.mean = D, H, network.mean[:D]

    @property
    def parameters(self) -> Mapping[str, Array]:
        """W, b, V, c and prior, as read-only views."""
        return self._named(self._network.parameters)

    def _named(self, flat: Array) -> Mapping[str, Array]:
        return MappingProxyType({name: _view(flat, name, self.n_visible, self.n_latents) for name in NAMES})

    def __repr__(self) -> str:
        return f"BernoulliVAE(n_visible={self.n_visible}, n_latents={self.n_latents})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, ({name: np.array(array) for name, array in self.parameters.items()}, np.array(self.mean))

    # ---- learning ----------------------------------------------------------------------------------------------------

    def trainer(
        self,
        data: ArrayLike,
        *,
        batch_size: int = 50,
        n_samples: int = 2,
        estimator: str | Estimator = "leave_one_out",
        seed: int | Stream = 0,
        n_threads: int | None = None,
    ) -> _Trainer:
        """Return what `stochcore.minimize` drives: a copy of the model that moves.

        Step t takes images t * batch_size .. (t + 1) * batch_size of an endless row of random orders of the data, so that
        no image is left out of an epoch, and binarises them afresh.

        Parameters
        ----------
        data : array_like, shape (n_images, n_visible) or (n_images, height, width)
            Probabilities that a pixel is on: floats in [0, 1], kept in float32; bool; or uint8, which stands for
            value / 255.
        batch_size : int
            At most n_images.
        n_samples : int
            Samples of the units for each image; at least 2 with ``leave_one_out``.
        estimator : {"leave_one_out", "score_function"} or Estimator
            A baseline of ``estimators.ScoreFunction`` must be a single number.
        seed : int or Stream
            Noise of orders, pixels and units.
        n_threads : int, optional
            At most so many threads; small steps (some 4 million sums) take one. The bits do not depend on it.

        Returns
        -------
        trainer
        """
        images = self._images("data", data)
        batch = _check.integer("batch_size", batch_size, 1)
        if batch > len(images):
            raise ValueError(f"`batch_size` must be at most the number of images, {len(images)}, got {batch}")
        K, loo, baseline = _samples(n_samples, estimator)
        return _Trainer(self, images, batch, K, loo, baseline, as_stream(seed), _check.threads(n_threads))

    def gradient(
        self,
        x: ArrayLike,
        *,
        n_samples: int = 2,
        estimator: str | Estimator = "leave_one_out",
        seed: int | Stream = 0,
        n_threads: int | None = None,
    ) -> tuple[float, dict[str, Array]]:
        """Return one estimate of the mean cost of binary images, and of its gradient: what a training step uses.

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
        grad : dict
            Gradients of the cost, in the shapes of the parameters, float32.
        """
        images = self._images("x", x)
        bad = (images != 0) & (images != 1)
        if bad.any():
            raise ValueError(f"`x` must hold 0 and 1 only, got {_check._first(images, bad)}")
        K, loo, baseline = _samples(n_samples, estimator)
        stream = as_stream(seed)
        trainer = _Trainer(self, images, len(images), K, loo, baseline, stream, _check.threads(n_threads))
        grad = trainer.gradient()
        return float(trainer.records[0, 0]), {name: np.array(g) for name, g in self._named(grad).items()}

    # ---- looking -----------------------------------------------------------------------------------------------------

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
        pixels, latents = _evaluation(seed)
        mean, squares = _networks.bound(
            self._network, images, n_draws, pixels, latents, _check.threads(n_threads)
        )
        if not np.isfinite(mean).all():
            raise ValueError(f"the bound is not finite: {mean[~np.isfinite(mean)][0]}")
        n = len(images)
        return math.fsum(mean) / n, math.sqrt(math.fsum(squares) / (n_draws - 1) / n_draws) / n

    def encode(self, x: ArrayLike) -> Array:
        """Return the probability of each unit, sigmoid((x - mean) W + b).

        Parameters
        ----------
        x : array_like
            Images, as in `trainer`; grey ones are taken as they are.

        Returns
        -------
        ndarray of float32, shape (n_images, n_latents)
        """
        x = np.ascontiguousarray(self._images("x", x)[:, : self.n_visible])
        return np.ascontiguousarray(_networks.encode(self._network, x)[:, : self.n_latents])

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
        pixels, latents = _evaluation(seed)
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
        """Return images as float32, a padded row each."""
        array = np.asarray(data)
        if array.ndim not in (2, 3) or array.size == 0 or math.prod(array.shape[1:]) != self.n_visible:
            shapes = f"(n, {self.n_visible}) or (n, height, width) with height x width = {self.n_visible}"
            raise ValueError(f"`{name}` must have the shape {shapes}, n at least 1, got {array.shape}")
        return _grey(name, array, self._network.visible_stride)

    # ---- files -------------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to an .npz file (no pickles), which appears whole or not at all.

        Parameters
        ----------
        path : path
            Taken as it is; replaced if it exists.
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
        OSError
            If the file cannot be read.
        ValueError
            If it is truncated, or something else.
        """
        arrays = _files.read_npz(Path(path))
        found = str(arrays.pop("format", "no format"))
        if found != FORMAT:
            raise ValueError(f"`path` must be a file of format {FORMAT!r}, got {str(path)!r}: {found}")
        try:
            return cls.from_parameters(arrays, mean=arrays.pop("mean"))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"`path` must be a whole {FORMAT!r}, got {str(path)!r}: {error}") from None


class _Trainer:
    """A model in training. `parameters` are live, in the kernels' layout; see `stochcore.minimize` for the rest."""

    def __init__(
        self,
        model: BernoulliVAE,
        images: Array,
        batch: int,
        n_samples: int,
        leave_one_out: bool,
        baseline: float,
        stream: Stream,
        n_threads: int | None,
    ) -> None:
        self._model, self._network = model, model._network.copy()
        self._n, self._batch, self._n_threads = len(images), batch, n_threads
        self._descent = _networks.Descent(
            self._network,
            images,
            batch,
            n_samples,
            leave_one_out,
            baseline,
            stream._replace(purpose=BINARISING),
            stream._replace(purpose=LAYERS),
        )
        self._orders = stream._replace(purpose=BATCHING)
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)
        self.parameters: Array = self._network.parameters
        self.records: Array = np.empty((0, 3))

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
            rows = self._rows(step, len(scalars[part]))
            status = self._descent.run(
                kind, scalars[part], step, rows, moments, self.records[part], self._n_threads
            )
            if status:
                at, why = first_step + self.completed, self.records[self.completed, 0]
                raise ValueError(
                    f"the descent diverged at step {at}, try a smaller `learning_rate`: its cost is {why}"
                )
        return self.records

    def gradient(self) -> Array:
        """Return the gradient at step 0 for all images in their order, in the layout of the parameters."""
        self.completed, self.records = 0, np.empty((1, 3))
        rows = np.arange(self._n).reshape(1, -1)
        moments = np.zeros((2, self.parameters.size), dtype=np.float32)
        status = self._descent.run(
            _networks.NO_UPDATE, np.zeros((1, 6)), 0, rows, moments, self.records, self._n_threads
        )
        if status:
            raise ValueError(f"the cost is not finite: {self.records[0, 0]}")
        return self._descent.gradient()

    def model(self) -> BernoulliVAE:
        """Return the model as it is now."""
        model = BernoulliVAE.__new__(BernoulliVAE)
        model._adopt(self._network.copy(), self._model.n_visible, self._model.n_latents)
        return model

    def _rows(self, step: int, count: int) -> Array:
        """Which images the steps step .. step + count take, a row each."""
        at, stop = step * self._batch, (step + count) * self._batch
        parts = []
        while at < stop:
            epoch, start = divmod(at, self._n)
            end = min(self._n, start + stop - at)
            parts.append(self._epoch_order(epoch)[start:end])
            at += end - start
        return np.concatenate(parts).reshape(count, self._batch)

    def _epoch_order(self, epoch: int) -> Array:
        """Return all images in the random order of an epoch: by the high word of their k, then by number."""
        if epoch != self._epoch:
            words = self._orders.at(epoch * self._n)._k53(self._n) >> np.uint64(21)
            keys = words << np.uint64(32) | np.arange(self._n, dtype=np.uint64)
            keys.sort()  # a sort of distinct numbers has one result, by whatever algorithm
            self._order = (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
            self._epoch = epoch
        return self._order


def _restore(parameters: Mapping[str, Array], mean: Array) -> BernoulliVAE:
    return BernoulliVAE.from_parameters(parameters, mean=mean)


def _view(flat: Array, name: str, D: int, H: int, *, padding: bool = False) -> Array:
    """Return one parameter's part of the flat vector: W, b, V, c, prior one after the other, rows padded to 16."""
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


def _grey(name: str, array: Array, stride: int) -> Array:
    """Return pixels as float32 in [0, 1], a row of `stride` for each image."""
    if array.dtype == np.uint8 and array.max() == 1:
        raise ValueError(f"`{name}` must be bool or float if it is binary: a uint8 array stands for value / 255")
    if array.dtype.kind not in "bf" and array.dtype != np.uint8:
        raise TypeError(f"`{name}` must be floats in [0, 1], bool, or uint8 in 0 .. 255, got dtype {array.dtype}")
    if array.dtype.kind == "f":
        bad = ~((array >= 0) & (array <= 1))
        if bad.any():
            raise ValueError(f"`{name}` must lie in [0, 1], got {_check._first(array, bad)}")
    out: Array = _networks.aligned(len(array) * stride, np.float32).reshape(len(array), stride)
    pixels = out[:, : array[0].size]
    pixels[:] = array.reshape(len(array), -1)
    if array.dtype == np.uint8:
        pixels /= np.float32(255)
    return out


def _samples(n_samples: int, estimator: str | Estimator) -> tuple[int, bool, float]:
    """Return how many samples, whether they are each other's baseline, and the baseline if not."""
    K, chosen = _check.integer("n_samples", n_samples, 1, MOST), resolve(estimator)
    if not isinstance(chosen, (LeaveOneOut, ScoreFunction)):
        raise ValueError(f"`estimator` must be 'leave_one_out' or 'score_function' here, got {chosen.name!r}")
    if chosen.least > K:
        raise ValueError(f"`n_samples` must be at least {chosen.least} for {chosen.name}, got {K}")
    given = getattr(chosen, "baseline", None)
    return K, isinstance(chosen, LeaveOneOut), 0.0 if given is None else _check.real("baseline", given)


def _evaluation(seed: int | Stream) -> tuple[Stream, Stream]:
    """Return the noise of pixels and of units for looking at a model."""
    pixels = as_stream(seed)._replace(purpose=EVALUATION)
    return pixels, pixels._replace(offset=(pixels.offset + HALF) % (1 << 64))
