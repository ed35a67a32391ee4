"""joint: one y made of several families."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check
from .._distributions import Tables
from ..noise import Stream
from .compiled import Compiled
from .family import Family, _kept, _length, _stream

Array = NDArray[Any]


class Joint(Family):
    """Joint(**families)

    One y made of independent families: a dict with an outcome for each name, and one cost.

    Parameters
    ----------
    **families : Family
        Families of this package without problems of their own (``batch_ndims=0``), or other Joints.

    Notes
    -----
    Samples, noise, scores, parameters and gradients are dicts with the same names; a cost is called with such a dict of
    arrays of shape (n, *sites). log p(y) is the sum over the families. A sample takes the elements of noise of all
    families, one after the other.

    Examples
    --------
    >>> import stochcore as sc
    >>> q = sc.Joint(open=sc.Bernoulli(logits=[0.0, 0.0]), guests=sc.Poisson(rate=3.0))
    >>> e = sc.estimate(q, lambda y: y["open"].sum(axis=1) * y["guests"], n_samples=100_000)
    >>> bool(abs(e.grad["guests"] - 1.0) < 4 * e.grad_se["guests"])
    True
    """

    noise_kind = "several"

    def __init__(self, /, **families: Family) -> None:
        if not families:
            raise ValueError("`families` must hold at least one, got none")
        for name, family in families.items():
            if not isinstance(family, (Compiled, Joint)):
                raise TypeError(f"`{name}` must be a family of this package, got {_check._short(family)}")
            if family.batch_shape:
                raise ValueError(f"`{name}` must have no problems of its own, got batch_ndims={family.batch_ndims}")  # type: ignore[union-attr]
        self.families: dict[str, Any] = dict(families)
        self.parameters = {name: family.parameters for name, family in self.families.items()}

    def with_parameters(self, parameters: Any) -> Joint:
        """Return the same families with other parameters."""
        built = self._structure.build(self._structure.flatten(parameters))
        return Joint(**{name: family.with_parameters(built[name]) for name, family in self.families.items()})

    def noise_shape(self, n: int) -> dict[str, Any]:
        """Return the shape of the noise of n samples, by name."""
        return {name: family.noise_shape(n) for name, family in self.families.items()}

    @property
    def n_elements(self) -> int:
        """Elements of noise that one sample takes."""
        return sum(family.n_elements for family in self.families.values())

    def noise(self, n: int, stream: Stream, *, out: Any = None) -> dict[str, Any]:
        """Return the noise of n samples, by name: ``step(noise(n, stream))`` has the bits of ``sample(n, stream)``."""
        n, stream = _check.integer("n", n, 0), _stream(stream)
        made = self._noise_into(n, out)
        self._fill_noise(stream, self.n_elements, made)
        return made if out is None else out

    def _noise_into(self, n: int, out: Any) -> dict[str, Any]:
        kept = self._into(out)
        return {
            name: family._noise_into(n, kept[name])
            if isinstance(family, Joint)
            else _check.output(kept[name], family.noise_shape(n), np.float64)
            for name, family in self.families.items()
        }

    def _fill_noise(self, stream: Stream, stride: int, out: dict[str, Any]) -> None:
        at = 0
        for name, family in self.families.items():
            own = stream.at(at)
            at += family.n_elements
            if isinstance(family, Joint):
                family._fill_noise(own, stride, out[name])
                continue
            for i in range(len(out[name])):
                getattr(own.at(i * stride), family.noise_kind)(family.noise_shape(1), out=out[name][i : i + 1])

    def step(self, z: Any, *, out: Any = None) -> dict[str, Any]:
        """Return the outcomes of given noise, by name."""
        noise, kept = self._named("z", z), self._into(out)
        y = {name: family.step(noise[name], out=kept[name]) for name, family in self.families.items()}
        self._agreed("z", {name: self.families[name]._lead(part) for name, part in y.items()})
        return y if out is None else out

    def _lead(self, y: dict[str, Any]) -> tuple[int, ...]:
        name, family = next(iter(self.families.items()))
        return tuple(family._lead(y[name]))

    def sample(
        self, n: int, stream: Stream, *, out: dict[str, Any] | None = None, n_threads: int | None = None
    ) -> dict[str, Any]:
        """Draw n samples, by name: the bits of ``step(noise(n, stream))``."""
        _check.threads(n_threads)
        n, stream = _check.integer("n", n, 0), _stream(stream)
        _check.addresses(stream.offset, n * self.n_elements)
        drawn = self._sample_into(n, out)
        self._sample_apart(n, stream, self.n_elements, drawn)
        return drawn if out is None else out

    def _sample_into(self, n: int, out: Any) -> dict[str, Any]:
        kept = self._into(out)
        return {name: family._sample_into(n, kept[name]) for name, family in self.families.items()}

    def _sample_apart(self, n: int, stream: Stream, stride: int, out: dict[str, Any]) -> None:
        at = 0
        for name, family in self.families.items():
            family._sample_apart(n, stream.at(at), stride, out[name])
            at += family.n_elements

    def log_prob(self, y: Any, *, out: Array | None = None, n_threads: int | None = None) -> Array:
        """Return log p(y; w) of each sample, summed over the families."""
        outcomes = self._named("y", y)
        each = {name: family.log_prob(outcomes[name], n_threads=n_threads) for name, family in self.families.items()}
        self._agreed("y", {name: part.shape for name, part in each.items()})
        parts = list(each.values())
        return _kept(np.asarray(sum(parts[1:], parts[0])), out)

    def outcome_probs(self, y: Any, *, out: Array | None = None) -> Array:
        """Return p(y; w) of each sample."""
        outcomes = self._named("y", y)
        each = {name: family.outcome_probs(outcomes[name]) for name, family in self.families.items()}
        self._agreed("y", {name: part.shape for name, part in each.items()})
        parts = list(each.values())
        return _kept(np.asarray(math.prod(parts[1:], start=parts[0])), out)

    def _probs_of(self, y: Any) -> Array:
        parts = [family._probs_of(y[name]) for name, family in self.families.items()]
        return np.asarray(math.prod(parts[1:], start=parts[0]))

    def score(self, y: Any, *, out: Any = None) -> dict[str, Any]:
        """Return grad log p(y; w) by the parameters, by name."""
        outcomes = self._named("y", y)
        self._agreed("y", {name: family.log_prob(outcomes[name]).shape for name, family in self.families.items()})
        scores = {name: family.score(outcomes[name]) for name, family in self.families.items()}
        return self._structure.write(scores, out)  # type: ignore[no-any-return]

    @property
    def mean(self) -> dict[str, Any]:
        """E[y], by name."""
        return {name: family.mean for name, family in self.families.items()}

    @property
    def variance(self) -> dict[str, Any]:
        """Variance, by name."""
        return {name: family.variance for name, family in self.families.items()}

    @property
    def entropy(self) -> Any:
        """H = -E[log p(y)], in nats: the sum over the families."""
        parts = [family.entropy for family in self.families.values()]
        return sum(parts[1:], parts[0])

    @property
    def entropy_grad(self) -> dict[str, Any]:
        """The gradient of `entropy` by the parameters, by name."""
        return {name: family.entropy_grad for name, family in self.families.items()}

    @property
    def support(self) -> dict[str, Any]:
        """Values of one site, by name."""
        return {name: family.support for name, family in self.families.items()}

    def enumerate(self) -> dict[str, Any]:
        """Return every outcome, by name: the last family runs fastest."""
        each = {name: family.enumerate() for name, family in self.families.items()}
        sizes = [_length(part) for part in each.values()]
        total = math.prod(sizes)
        if total > 1 << 20:
            raise ValueError(f"enumeration must have at most 2^20 outcomes, got some 2^{math.log2(total):.0f}")
        rows = np.unravel_index(np.arange(total), sizes)
        return {name: _rows(part, index) for (name, part), index in zip(each.items(), rows, strict=True)}

    @property
    def has_certain_outcomes(self) -> bool:
        """Was a probability of exactly 0 or 1 given to one of the families?"""
        return any(family.has_certain_outcomes for family in self.families.values())

    def _parts(self) -> list[tuple[Tables, int]]:
        return [part for family in self.families.values() for part in family._parts()]

    def _flat(self, y: Any) -> list[Array]:
        outcomes = self._named("y", y)
        return [flat for name, family in self.families.items() for flat in family._flat(outcomes[name])]

    def _samples(self, y: Any) -> Any:
        outcomes = self._named("y", y)
        return {name: family._samples(outcomes[name]) for name, family in self.families.items()}

    def _count(self, y: Any) -> int:
        counts = {name: family._count(y[name]) for name, family in self.families.items()}
        return int(self._agreed("y", counts))

    def _agreed(self, what: str, shapes: dict[str, Any]) -> Any:
        """Return what all families say of the samples' number or shape."""
        if len(set(shapes.values())) > 1:
            raise ValueError(f"`{what}` must hold as many samples for each name, got {shapes}")
        return next(iter(shapes.values()))

    def _unconstrained(self) -> Joint:
        return Joint(**{name: family._unconstrained() for name, family in self.families.items()})

    def _given_as(self, free: Any) -> Joint:
        return Joint(**{name: family._given_as(free.families[name]) for name, family in self.families.items()})

    def _named(self, what: str, tree: Any) -> Mapping[str, ArrayLike]:
        names = ", ".join(map(repr, self.families))
        if not isinstance(tree, Mapping):
            raise TypeError(f"`{what}` must be a dict of {names}, got {_check._short(tree)}")
        if set(tree) != set(self.families):
            raise ValueError(f"`{what}` must have the names {names}, got {', '.join(map(repr, tree))}")
        return tree

    def _into(self, out: Any) -> dict[str, Any]:
        return dict.fromkeys(self.families) if out is None else dict(self._named("out", out))

    def __reduce__(self) -> tuple[Any, ...]:
        return _remake, (self.families,)

    def __repr__(self) -> str:
        return f"Joint({', '.join(f'{name}={family!r}' for name, family in self.families.items())})"


def _remake(families: dict[str, Family]) -> Joint:
    return Joint(**families)


def _rows(y: Any, index: Array) -> Any:
    return {name: _rows(part, index) for name, part in y.items()} if isinstance(y, dict) else y[index]
