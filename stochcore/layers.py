"""layers: what an ``sc.Network`` is a stack of. Values that say their sizes; linear layers are ``sc.Linear``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from . import _check, _network
from .distributions import Linear

__all__ = ["BernoulliUnits", "CategoricalUnits", "Dropout", "Layer", "LeakyReLU", "NormalUnits", "Tanh"]

MOST = 1 << 24  # units: far beyond sense, and no size overflows
MOST_LAYERS = 240  # each has a purpose of its own among 256 (noise.py)


@dataclass(frozen=True)
class Layer:
    """One layer of a network besides linear ones: it takes a row of numbers and gives one."""

    kind: ClassVar[int]
    noise: ClassVar[bool] = False  # does it draw?
    units: ClassVar[bool] = False  # are its outputs discrete, so that no gradient passes?

    @property
    def number(self) -> float:
        """What kernels are told: a slope, a rate, a scale."""
        return 0.0

    @property
    def classes(self) -> int:
        """Classes of a site; 1 where there are no sites."""
        return 1

    @property
    def wants(self) -> int | None:
        """How many inputs it takes; None: any number."""
        return None

    def outputs(self, inputs: int) -> int:
        """How many numbers it gives for so many inputs."""
        return inputs


@dataclass(frozen=True)
class LeakyReLU(Layer):
    """LeakyReLU(slope=0.01)

    y = x where x >= 0, slope x below (Maas, Hannun and Ng 2013). A slope of 0 is the plain ReLU.

    Parameters
    ----------
    slope : float
        At least 0.

    Examples
    --------
    >>> import stochcore as sc
    >>> sc.LeakyReLU(0.3)
    LeakyReLU(slope=0.3)
    """

    slope: float = 0.01
    kind = _network.LEAKY

    def __post_init__(self) -> None:
        slope = _check.real("slope", self.slope)
        if slope < 0:
            raise ValueError(f"`slope` must be at least 0, got {slope}")
        object.__setattr__(self, "slope", slope)

    @property
    def number(self) -> float:
        """The slope."""
        return self.slope


@dataclass(frozen=True)
class Tanh(Layer):
    """Tanh()

    y = tanh x.
    """

    kind = _network.TANH


@dataclass(frozen=True)
class Dropout(Layer):
    """Dropout(rate)

    y = x m / (1 - rate), each m 0 with probability `rate`, else 1: noise as an input of the network.

    Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, JMLR 15, 2014. The mask of a sample is fixed within a
    step. In front of all layers it corrupts the input: with the clean input as target, a denoising autoencoder
    (Vincent, Larochelle, Bengio and Manzagol, ICML 2008). `predict` and `loss` draw masks too: the network is the same.

    Parameters
    ----------
    rate : float
        In [0, 1).
    """

    rate: float
    kind = _network.DROPOUT
    noise = True

    def __post_init__(self) -> None:
        rate = _check.probability("rate", self.rate)
        if rate >= 1:
            raise ValueError(f"`rate` must lie in [0, 1), got {self.rate}")
        object.__setattr__(self, "rate", float(rate))

    @property
    def number(self) -> float:
        """The rate."""
        return self.rate


@dataclass(frozen=True)
class BernoulliUnits(Layer):
    """BernoulliUnits(n=None)

    y_h = 1 with probability sigmoid(x_h), else 0: hard decisions, whose gradient is an estimator's.

    y has the bits of ``sc.Bernoulli(probs=q).step(u)`` for the float32 sigmoid q of x and the uniforms u of the layer.

    Parameters
    ----------
    n : int, optional
        Units, each with a logit of the layer before. Left out: as many as that has outputs.
    """

    n: int | None = None
    kind = _network.BERNOULLI
    noise = units = True

    def __post_init__(self) -> None:
        if self.n is not None:
            object.__setattr__(self, "n", _check.integer("n", self.n, 1, MOST))

    @property
    def wants(self) -> int | None:
        """A logit for each unit."""
        return self.n


@dataclass(frozen=True)
class CategoricalUnits(Layer):
    """CategoricalUnits(n, n_classes)

    n sites with a class each, drawn from the softmax of its logits: n * n_classes outputs, 1 for the class, else 0.

    Parameters
    ----------
    n : int
        Sites.
    n_classes : int
        At least 2. The layer before gives n * n_classes logits, site by site.
    """

    n: int
    n_classes: int
    kind = _network.CATEGORICAL
    noise = units = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", _check.integer("n", self.n, 1, MOST))
        object.__setattr__(self, "n_classes", _check.integer("n_classes", self.n_classes, 2, MOST // self.n))

    @property
    def classes(self) -> int:
        """Classes of a site."""
        return self.n_classes

    @property
    def wants(self) -> int | None:
        """A logit for each class of each site."""
        return self.n * self.n_classes


@dataclass(frozen=True)
class NormalUnits(Layer):
    """NormalUnits(n, scale=None)

    y_h = mean_h + scale_h e_h, e_h ~ N(0, 1): the gradient passes through (Kingma and Welling, ICLR 2014).

    If there are discrete units further on, the score of these passes through as well, so that it stays unbiased.

    Parameters
    ----------
    n : int
        Units.
    scale : float, optional
        Of all units, above 0; the layer before gives n means. Left out: that gives 2n numbers, n means and then the n
        logarithms of the scales.
    """

    n: int
    scale: float | None = None
    kind = _network.NORMAL
    noise = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", _check.integer("n", self.n, 1, MOST))
        if self.scale is not None:
            object.__setattr__(self, "scale", _check.real("scale", self.scale, positive=True))

    @property
    def number(self) -> float:
        """The scale, 0 where the layer before gives it."""
        return self.scale or 0.0

    @property
    def wants(self) -> int | None:
        """A mean for each unit, and the logarithm of its scale."""
        return self.n if self.scale else 2 * self.n

    def outputs(self, inputs: int) -> int:
        """A number for each unit."""
        return self.n


@dataclass(frozen=True, repr=False)
class Affine(Layer):
    """The map x W + b, without its numbers: what a network keeps of an ``sc.Linear``."""

    n_inputs: int
    n_outputs: int
    bias: bool = True
    kind = _network.LINEAR

    @property
    def wants(self) -> int | None:
        """Rows of W."""
        return self.n_inputs

    def outputs(self, inputs: int) -> int:
        """Columns of W."""
        return self.n_outputs

    def __repr__(self) -> str:
        return f"Linear({self.n_inputs}, {self.n_outputs}{'' if self.bias else ', no bias'})"


KINDS: dict[str, type[Layer]] = {
    kind.__name__: kind for kind in (LeakyReLU, Tanh, Dropout, BernoulliUnits, CategoricalUnits, NormalUnits)
}


def checked(i: int, layer: Any) -> Layer:
    """Return layer number i, an ``sc.Linear`` as its `Affine`."""
    if isinstance(layer, Layer):
        return layer
    if not isinstance(layer, Linear):
        raise TypeError(f"`layers` must be Linear, {', '.join(KINDS)}, got {_check._short(layer)} as number {i}")
    if layer.weight.ndim != 2:
        raise ValueError(f"`weight` of layer {i} must have shape (inputs, outputs), got {layer.weight.shape}")
    n, m = layer.weight.shape
    return Affine(n, m, layer.bias is not None)


def sizes(layers: tuple[Layer, ...]) -> list[int]:
    """Return the width of the input and of each layer's output, or refuse layers that do not fit each other."""
    if not layers:
        raise ValueError("`layers` must hold at least one layer, got none")
    if len(layers) > MOST_LAYERS:
        raise ValueError(f"`layers` must be at most {MOST_LAYERS}, got {len(layers)}")
    first = next((layer.wants for layer in layers if layer.wants is not None), None)
    if first is None:
        raise ValueError("`layers` must hold one that says its size, such as Linear(784, 200)")
    widths, chain = [first], f"{first}"
    for i, layer in enumerate(layers):
        if layer.wants not in (None, widths[-1]):
            raise ValueError(
                f"`layers` must fit each other: layer {i}, {layer!r}, takes {layer.wants} numbers and gets "
                f"{widths[-1]} in the chain {chain} -> {layer!r}"
            )
        widths.append(layer.outputs(widths[-1]))
        chain += f" -> {layer!r} -> {widths[-1]}"
    return widths


def plain(layer: Layer) -> list[Any]:
    """Return a layer in plain words."""
    return [type(layer).__name__, asdict(layer)]


def from_plain(words: list[Any]) -> Layer:
    """Undo `plain`."""
    name, options = words
    return (KINDS | {"Affine": Affine})[name](**options)
