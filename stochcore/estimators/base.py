"""base: what an estimator is, and by which name it is asked for."""

from __future__ import annotations

import inspect
from dataclasses import fields, is_dataclass
from typing import Any, ClassVar

from numpy.typing import ArrayLike, NDArray

from .. import _check
from ..costs import BuiltIn, Cost
from ..distributions import Family
from ..distributions.family import Simulated
from ..distributions.parameters import Structure

Array = NDArray[Any]


class Estimator:
    """A way to estimate the gradient of an expected cost: a value with its options.

    Attributes
    ----------
    name : str
        By which `estimate` knows it.
    unbiased : bool
        Is the expectation of its gradient the gradient?
    samples : bool
        Does it draw samples, so that its error falls as they get more?
    least : int
        How many samples it needs.
    samples : bool
        Does it draw samples, so that its error falls as they get more?
    samples_per_unit : int
        So many samples together are independent of the others: `n_samples` is a multiple.
    dependent_samples : int
        So many of them have costs that depend on each other.
    """

    name: ClassVar[str]
    unbiased: ClassVar[bool] = True
    samples: ClassVar[bool] = True
    simulates: ClassVar[bool] = False  # is it for simulators too?
    blame: str = (
        "whole"  # of a simulator's decision: the whole cost, what comes "later", or that less the "stage"'s mean
    )
    least: int = 1
    samples_per_unit: int = 1
    dependent_samples: int = 1
    stays: bool = True  # as it is: nothing that it is made of can change, so a model may keep what it needs

    def lacks(self, model: Family, cost: BuiltIn | Cost) -> str | None:
        """Say what of model or cost this estimator cannot do without, or None where it can be used."""
        return None

    def unfit(self, model: Family, cost: BuiltIn | Cost) -> str | None:
        """Say why it cannot be used, or None."""
        if isinstance(model, Simulated) and not self.simulates:
            return "is not for simulators"
        return self.lacks(model, cost)

    def weighing(self, model: Family, cost: BuiltIn | Cost, n_samples: int) -> Any:
        """Return what the kernels are told, a `Weighing`; None where the terms are made in Python."""
        return None

    def evals_per_sample(self, model: Family, cost: BuiltIn | Cost) -> int:
        """Return how often J is called for a sample, or a program run."""
        return 2 if isinstance(model, Simulated) and self.blame == "stage" and not model.kept else 1

    def negated(self) -> Estimator:
        """Return the same estimator for minus the cost."""
        return self

    def numbers_per_sample(self, model: Family) -> int:
        """Return how many numbers a block holds for a sample."""
        return model.numbers_per_sample

    def draw(self, model: Family, stream: Any, number: int) -> Any:
        """Return sample `number` again, from its address: y with one row."""
        return model.sample(1, stream.at(number * model.n_elements))

    def check(self, model: Family, cost: BuiltIn | Cost, n_samples: int) -> None:
        """Refuse what the estimator cannot do."""
        reason = self.unfit(model, cost)
        if reason:
            others = ", ".join(repr(name) for name in available(model, cost))
            raise ValueError(f"estimator {self.name!r} {reason}; {type(model).__name__} has here {others}")
        if n_samples < self.least:
            raise ValueError(f"`n_samples` must be at least {self.least} for {self.name}, got {n_samples}")
        unit = self.samples_per_unit
        if n_samples % unit:
            near = f"{n_samples // unit * unit} or {(n_samples // unit + 1) * unit}"
            raise ValueError(
                f"`n_samples` must be a multiple of {unit} for {self.name}, such as {near}, got {n_samples}"
            )


ESTIMATORS: dict[str, type[Estimator]] = {}
_PLAIN: dict[str, Estimator] = {}  # those without options that were asked for by name


def named(kind: type[Estimator]) -> type[Estimator]:
    """Let `estimate` know an estimator by its name."""
    ESTIMATORS[kind.name] = kind
    return kind


def available(model: Family, cost: BuiltIn | Cost) -> list[str]:
    """Return the names of the estimators that can be used as they are on this model and cost."""
    return [name for name, kind in ESTIMATORS.items() if _needs_nothing(kind) and not kind().unfit(model, cost)]


def _needs_nothing(kind: type[Estimator]) -> bool:
    options = inspect.signature(kind).parameters.values()
    return all(option.default is not inspect.Parameter.empty for option in options)


def resolve(estimator: str | Estimator, baseline: ArrayLike | None = None) -> Estimator:
    """Return an estimator from its name or itself; `baseline` is short for ``ScoreFunction(baseline)``."""
    if baseline is None and type(estimator) is str and estimator in _PLAIN:
        return _PLAIN[estimator]
    if isinstance(estimator, str):
        kind = _check.choice("estimator", estimator, ESTIMATORS)
        if not _needs_nothing(kind):
            raise ValueError(f"`estimator` {estimator!r} has options that must be given: {_signature(kind)}")
        made = _PLAIN.setdefault(estimator, kind())
    elif isinstance(estimator, Estimator):
        made = estimator
    else:
        names = ", ".join(map(repr, ESTIMATORS))
        raise TypeError(f"`estimator` must be one of {names} or an Estimator, got {_check._short(estimator)}")
    if baseline is None:
        return made
    if made.name != "score_function" or getattr(made, "baseline", None) is not None:
        raise ValueError(f"`baseline` goes with estimator 'score_function' without one of its own, got {made!r}")
    return type(made)(baseline)  # type: ignore[call-arg]


def as_plain(estimator: Estimator) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return an estimator in plain words, and its arrays by option; None where a file cannot hold it."""
    kind = type(estimator)
    words: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    if ESTIMATORS.get(getattr(kind, "name", "")) is not kind or not is_dataclass(estimator):
        return None
    for option in fields(estimator):
        value = getattr(estimator, option.name)
        if value is None or isinstance(value, (bool, int, float, str)):
            words[option.name] = value
            continue
        try:
            arrays[option.name] = Structure.of(value).map(
                lambda part, name=option.name: _check.reals(name, part), value
            )
        except (TypeError, ValueError):
            return None
    return {"name": kind.name, "options": words}, arrays


def from_plain(plain: dict[str, Any], arrays: dict[str, Any]) -> Estimator:
    """Undo `as_plain`."""
    return ESTIMATORS[plain["name"]](**plain["options"], **arrays)


def _signature(kind: type[Estimator]) -> str:
    return f"estimators.{kind.__name__}{inspect.signature(kind)}"
