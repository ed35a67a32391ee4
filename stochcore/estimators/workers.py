"""workers: the shards of an estimate, made by an executor: in whatever order they come, to the same bits."""

from __future__ import annotations

import hashlib
import pickle
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _check

Array = NDArray[Any]
Shard = tuple[int, int, int]  # first block, blocks, the sample where it ends

MOST_AHEAD = 256  # shards on their way where nobody knows how many workers there are,
MOST_BYTES = 1 << 28  # if what they bring back is no more than that
MOST_LOSSES = 5  # of workers, without a shard between
KEPT = 4  # estimates that a worker remembers

made = threading.local()  # by a worker: what makes the shards of an estimate, by its message


def checked(executor: Any) -> Executor | Callable[[], Executor] | None:
    """Return an executor, or a function that makes one."""
    if executor is None or callable(getattr(executor, "submit", None)) or callable(executor):
        return executor  # type: ignore[no-any-return]
    raise TypeError(
        "`executor` must have the interface of concurrent.futures.Executor, or be a function that returns such a one, "
        f"got {_check._short(executor)}"
    )


class Message:
    """What a worker must know of an estimate: one string of bytes, which each shard brings along."""

    def __init__(self, parts: dict[str, Any]) -> None:
        self.data = pickle.dumps({name: packed(name, part) for name, part in parts.items()})
        self.token = hashlib.blake2b(self.data, digest_size=16).digest()


def packed(name: str, part: Any) -> bytes:
    """Return the bytes of an argument, or say why it cannot travel. cloudpickle sends functions of one's own along."""
    try:
        from cloudpickle import dumps
    except ImportError:
        dumps = pickle.dumps
    try:
        data: bytes = dumps(part)
        pickle.loads(data)
    except Exception as error:
        raise TypeError(
            f"`{name}` must be picklable to travel to the workers of an executor: {error}. Functions at the top of a "
            "module travel; with cloudpickle installed lambdas and functions within functions do too"
        ) from error
    return data


def work(data: bytes, token: bytes, shard: Shard) -> bytes:
    """Make the node of a shard: what a worker does. What all shards need is made ready once in each thread of it."""
    from .run import shard_maker

    known: OrderedDict[bytes, Any] = made.__dict__.setdefault("known", OrderedDict())
    if token not in known:
        parts = {name: pickle.loads(part) for name, part in pickle.loads(data).items()}
        known[token] = shard_maker(**parts)
        while len(known) > KEPT:
            known.popitem(last=False)
    node: Array = known[token](*shard)
    return node.tobytes()


class Crew:
    """An executor with shards on their way, a bounded number of them."""

    def __init__(self, executor: Executor | Callable[[], Executor], message: Message, node_size: int) -> None:
        self._make: Callable[[], Executor] | None = None
        if callable(getattr(executor, "submit", None)):
            self._executor: Any = executor
        else:
            assert callable(executor)
            self._make, self._executor = executor, executor()
        self._message, self._losses = message, 0
        known = getattr(self._executor, "_max_workers", None)
        ahead = max(16, 4 * known) if isinstance(known, int) else MOST_AHEAD
        self._ahead = max(4, min(ahead, MOST_BYTES // (8 * node_size)))
        self._going: dict[Future[bytes], tuple[int, Shard]] = {}

    def nodes(
        self, shards: Iterator[tuple[int, Shard]], arrived: Callable[[int, Array], None]
    ) -> Generator[Array, None, None]:
        """Yield the nodes of numbered shards in order; `arrived` is told of each as soon as it is there."""
        early: dict[int, Array] = {}
        order: list[int] = []
        try:
            for number, shard in shards:
                order.append(number)
                self._send(number, shard)
                while len(self._going) >= self._ahead or (order and order[0] in early):
                    if order[0] in early:
                        yield early.pop(order.pop(0))
                    else:
                        self._take(early, arrived)
            for number in order:
                while number not in early:
                    self._take(early, arrived)
                yield early.pop(number)
        finally:
            self.close()

    def _send(self, number: int, shard: Shard) -> None:
        for _ in range(MOST_LOSSES + 1):
            try:
                future = self._executor.submit(work, self._message.data, self._message.token, shard)
            except BrokenExecutor as error:
                self._renew(error)
                continue
            self._going[future] = number, shard
            return

    def _take(self, early: dict[int, Array], arrived: Callable[[int, Array], None]) -> None:
        """Wait for a shard at least; what was lost with its worker is sent again."""
        done, _ = wait(self._going, return_when=FIRST_COMPLETED)
        lost: list[tuple[int, Shard]] = []
        broken: BaseException | None = None
        for future in done:
            number, shard = self._going.pop(future)
            try:
                node = np.frombuffer(future.result()).copy()
            except (BrokenExecutor, CancelledError) as error:
                lost.append((number, shard))
                broken = error
                continue
            self._losses = 0
            early[number] = node
            arrived(number, node)
        if broken is not None:
            lost += self._going.values()
            self._going.clear()
            self._renew(broken)
            for number, shard in sorted(lost):
                self._send(number, shard)

    def _renew(self, error: BaseException) -> None:
        """Go on with another executor, where there is a function that makes one."""
        self._losses += 1
        if self._make is None:
            raise RuntimeError(
                "a worker of `executor` died, and its executor with it. Give a function that makes the executor "
                "(executor=lambda: ProcessPoolExecutor(8)), and what was lost is made again; or a `checkpoint`, and a "
                "second call goes on from there"
            ) from error
        if self._losses > MOST_LOSSES:
            raise RuntimeError(f"workers of `executor` died {MOST_LOSSES} times without a shard between") from error
        self._shut()
        self._executor = self._make()

    def _shut(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """Let nothing be on its way; an executor that was made here ends."""
        for future in self._going:
            future.cancel()
        self._going.clear()
        if self._make is not None:
            self._shut()
