from typing import Any, NoReturn

import numpy as np
from numpy.typing import DTypeLike, NDArray
from typing_extensions import Self

ENGINES: dict[str, int]
UNIFORM: int
NORMAL: int
LOGISTIC: int
EXPONENTIAL: int
GUMBEL: int
BITS: int
K53: int
INTEGERS: int
MASK: int
FLOATS: tuple[np.dtype[Any], ...]
DTYPES: dict[int, tuple[np.dtype[Any], ...]]

class Address:
    def __new__(
        cls, seed: int, stream: int, engine: str, offset: int, purpose: int, antithetic: bool = False
    ) -> Self: ...
    @property
    def seed(self) -> int: ...
    @property
    def stream(self) -> int: ...
    @property
    def engine(self) -> str: ...
    @property
    def offset(self) -> int: ...
    @property
    def is_antithetic(self) -> bool: ...
    @property
    def _purpose(self) -> int: ...
    def _key(self) -> tuple[int, int, str, int, int] | tuple[int, int, str, int, int, bool]: ...
    def __setattr__(self, name: str, value: Any, /) -> NoReturn: ...
    def __delattr__(self, name: str, /) -> NoReturn: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def _replace(
        self,
        *,
        seed: int | None = None,
        stream: int | None = None,
        offset: int | None = None,
        purpose: int | None = None,
        antithetic: bool | None = None,
    ) -> Self: ...
    def _fill(
        self,
        kind: int,
        shape: int | tuple[int, ...] | None,
        dtype: DTypeLike | None,
        out: NDArray[Any] | None,
        n_threads: int | None,
        low: int = 0,
        count: int = 0,
    ) -> NDArray[Any]: ...
