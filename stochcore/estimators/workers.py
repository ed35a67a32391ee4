"""workers: the shards of an estimate, made by an executor: in whatever order they come, to the same bits."""

from __future__ import annotations

import contextlib
import hashlib
import math
import pickle
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _check
from ..estimate import Tree

Array = NDArray[Any]
Shard = tuple[int, int, int]  # first block, blocks, the sample where it ends
Bundle = list[tuple[int, Shard]]  # with their numbers
Node = tuple[int, int, Array]  # first shard, shards, numbers
Came = tuple[int, Array] | Exception

MOST_AHEAD = 1 << 14  # shards on their way where nobody knows how many workers there are,
LEAST_AHEAD = 16
MOST_BYTES = 1 << 31  # if what they take along and bring back is no more than that
EACH_AHEAD = 4  # messages on their way for each worker, where their number is known
FIRST, MOST_FIRST = 4, 1 << 10  # shards that go one by one, to see how long they take;
PATIENCE = 0.5  # seconds without an answer after which these may be twice as many
MOST_TOLD = 64  # messages that bring along what an estimate is; later ones do where it is asked for
BUNDLE_SECONDS = 0.05  # of work in a message, at least, where shards are short;
SUBMITS = 200  # times as much as it takes to hand over a message, which is some 1 ms with Dask,
MOST_SECONDS = 1.0
MOST_BUNDLED = 1 << 12  # shards in a message
MOST_LOSSES = 5  # of workers, without a shard between
KEPT = 4  # estimates that a worker remembers

made = threading.local()  # by a worker: what makes the shards of an estimate, by its message


def checked(executor: Any) -> Workers | None:
    """Return the workers of an executor, or of a function that makes one."""
    if executor is None:
        return None
    if not isinstance(executor, type) and (callable(getattr(executor, "submit", None)) or callable(executor)):
        return Workers(executor)
    raise TypeError(
        "`executor` must have the interface of concurrent.futures.Executor, or be a function that returns such a one, "
        f"got {_check._short(executor)}"
    )


class Message:
    """What a worker must know of an estimate: one string of bytes, and a token that stands for it later on."""

    def __init__(self, parts: dict[str, Any]) -> None:
        self.data = pickle.dumps({name: packed(name, part) for name, part in parts.items()})
        self.token = hashlib.blake2b(self.data, digest_size=16).digest()


def packed(name: str, part: Any) -> bytes:
    """Return the bytes of an argument, or say why it cannot travel. cloudpickle sends functions of one's own along."""
    try:
        from cloudpickle import dumps
    except ImportError:
        dumps = pickle.dumps
    try:  # the bytes are not read back here: cloudpickle would put the copy of a class in the place of the class
        data: bytes = dumps(part)
    except Exception as error:
        raise TypeError(
            f"`{name}` must be picklable to travel to the workers of an executor: {error}. Functions at the top of a "
            "module travel; with cloudpickle installed lambdas and functions within functions do too"
        ) from error
    return data


def work(
    data: bytes | None, token: bytes, bundle: Bundle, merged: bool
) -> tuple[float, list[tuple[int, int, bytes]]] | None:
    """Make the nodes of shards: what a worker does. What all shards need is made ready once in each thread of it.

    Returns seconds, and first shard, shards and bytes of each node: `merged` as the tree would merge them. None: this
    thread was never told what the token stands for.
    """
    from .run import shard_maker

    known: OrderedDict[bytes, Any] = made.__dict__.setdefault("known", OrderedDict())
    if token not in known:
        if data is None:
            return None
        parts = {name: pickle.loads(part) for name, part in pickle.loads(data).items()}
        known[token] = shard_maker(**parts)
        while len(known) > KEPT:
            known.popitem(last=False)
    began = time.perf_counter()
    make, layout = known[token]
    tree = Tree(layout)
    for number, shard in bundle:
        tree.push(number, 1, make(*shard), merge=merged)
    return time.perf_counter() - began, [(first, shards, node.tobytes()) for first, shards, node in tree.nodes]


class Workers:
    """An executor, or a function that makes one whenever there is none that works, with shards on their way.

    Shards that are over in no time go several in a bundle, 50 ms of work or more: an aligned run of them, which the
    worker merges as the tree would, so that it comes back as one node and the bits know nothing of it.
    """

    def __init__(self, executor: Executor | Callable[[], Executor]) -> None:
        ready = callable(getattr(executor, "submit", None))
        self._make: Any = None if ready else executor
        self._executor: Any = executor if ready else None
        self._losses = 0
        self._going: dict[Future[Any], Bundle] = {}
        self._asked = 0  # shards in these
        self._pace, self._merged = math.inf, True  # seconds a shard, as last seen; do workers merge?
        self._told = 0  # messages that brought along what the estimate is
        self._first, self._submit = FIRST, 0.0  # seconds that it takes to hand over a message
        self._done: SimpleQueue[Future[Any]] = SimpleQueue()
        self._count_workers()

    def nodes(
        self,
        message: Message,
        node_size: int,
        shards: Iterator[tuple[int, Shard]],
        count: int,
        arrived: Callable[[int, int, Array], None],
        may_stop: bool,
        pace: float = math.inf,
    ) -> Generator[Node, None, None]:
        """Yield first shard, shards and node in the order of shards, of which there are `count` or more.

        `arrived` is told of each as soon as it is there. A run that may stop looks at each shard, and goes ahead by at
        most a quarter of what it has done. `pace` is how many seconds a shard should take, if anybody knows.
        """
        early: dict[int, Came] = {}  # an error waits for its turn: the first sample's is told
        most, given = max(LEAST_AHEAD, min(MOST_AHEAD, MOST_BYTES // (8 * node_size + len(message.data)))), 0
        self._pace, self._merged, self._first, self._told = pace, not may_stop, FIRST, 0
        order: deque[int] = deque()
        todo, ahead = Runs(shards), LEAST_AHEAD if may_stop else most
        try:
            while bundle := todo.take(min(self._size(count), max(1, ahead - self._asked))):
                order.extend(number for number, _ in bundle)
                count -= len(bundle)
                self._send(message, bundle)
                ahead = min(most, max(LEAST_AHEAD, given // 4)) if may_stop else most
                while order and (order[0] in early or self._enough(ahead)):
                    if order[0] in early:
                        given += 1
                        yield _next(order, early)
                    else:
                        self._take(message, early, arrived)
            while order:
                while order[0] not in early:
                    self._take(message, early, arrived)
                yield _next(order, early)
        finally:
            self._drop()

    def _drop(self) -> None:
        """Have no more shards on their way."""
        for future in self._going:
            future.cancel()
        self._going.clear()
        self._asked = 0

    def _count_workers(self) -> None:
        """Some executors say how many they have; 0: nobody knows."""
        known = getattr(self._executor, "_max_workers", 0)
        self._known = known if isinstance(known, int) else 0

    def _enough(self, ahead: int) -> bool:
        """Are as many shards on their way as may be?"""
        if self._pace == math.inf:
            return self._asked >= min(ahead, max(self._first, self._known))
        return self._asked >= ahead or 0 < EACH_AHEAD * self._known <= len(self._going)

    def _size(self, left: int) -> int:
        """How many shards go in a bundle: by the last one's pace, towards the end by what is left for each worker."""
        pace, seconds = max(self._pace, 1e-9), min(MOST_SECONDS, max(BUNDLE_SECONDS, SUBMITS * self._submit))
        share = max(left // (EACH_AHEAD * self._known or 2), int(seconds / 4 / pace))
        return max(1, min(MOST_BUNDLED, int(seconds / pace), share))

    def _send(self, message: Message, bundle: Bundle, asked: bool = False) -> None:
        while True:
            if self._executor is None:
                self._executor, self._told = self._make(), 0
                self._count_workers()
            tells = asked or self._told < MOST_TOLD
            self._told += tells
            began = time.perf_counter()
            try:
                data = message.data if tells else None
                future = self._executor.submit(work, data, message.token, bundle, self._merged)
            except BrokenExecutor as error:
                self._lose(error)
                continue
            took = time.perf_counter() - began
            self._submit = min(self._submit or took, took)
            self._going[future] = bundle
            self._asked += len(bundle)
            future.add_done_callback(self._done.put)
            return

    def _take(self, message: Message, early: dict[int, Came], arrived: Callable[[int, int, Array], None]) -> None:
        """Wait for a bundle at least; what was lost with its worker is sent again."""
        try:
            done = [self._done.get(timeout=PATIENCE if self._pace == math.inf else None)]
        except Empty:  # shards take long, or workers are slow to begin
            self._first = min(MOST_FIRST, 2 * self._first)
            return
        with contextlib.suppress(Empty):
            while True:
                done.append(self._done.get_nowait())
        lost: list[Bundle] = []
        broken: BaseException | None = None
        for future in done:
            if future not in self._going:  # of a run that has ended
                continue
            bundle = self._going.pop(future)
            self._asked -= len(bundle)
            try:
                came = future.result()
            except (BrokenExecutor, CancelledError) as error:
                lost.append(bundle)
                broken = error
                continue
            except Exception as error:
                if len(bundle) == 1:
                    early[bundle[0][0]] = error
                else:  # whose is it?
                    for one in bundle:
                        self._send(message, [one])
                continue
            if came is None:
                self._send(message, bundle, asked=True)
                continue
            spent, nodes = came
            self._losses, self._pace = 0, spent / len(bundle)
            for first, size, data in nodes:
                node = np.frombuffer(data).copy()
                early[first] = size, node
                arrived(first, size, node)
        if broken is not None:
            lost += self._going.values()
            self._drop()
            self._lose(broken)
            for bundle in sorted(lost):
                self._send(message, bundle)

    def _lose(self, error: BaseException) -> None:
        """Give up an executor that does not work any more, if there is a function that makes another."""
        self._losses += 1
        if self._make is None:
            raise RuntimeError(
                "a worker of `executor` died, or the connection to it did, and the executor with it. Give a function "
                "that makes the executor, such as lambda: ProcessPoolExecutor(8), and what was lost is made again; or "
                "a `checkpoint`, and a second call goes on from there"
            ) from error
        if self._losses > MOST_LOSSES:
            raise RuntimeError(f"workers of `executor` died {MOST_LOSSES} times without a shard between") from error
        # a process pool that breaks while it starts a process forgets that one, and Python's end would wait for it
        forgotten = getattr(self._executor, "_processes", None)
        forgotten = list(forgotten.values()) if isinstance(forgotten, dict) else []
        self.close()
        for process in forgotten:
            process.kill()

    def close(self) -> None:
        """End an executor that was made here."""
        if self._make is not None and self._executor is not None:
            executor, self._executor = self._executor, None
            executor.shutdown(wait=False)


def _next(order: deque[int], early: dict[int, Came]) -> Node:
    """Return the next node, or raise what came instead."""
    first = order.popleft()
    came = early.pop(first)
    if isinstance(came, Exception):
        raise came
    size, node = came
    for _ in range(size - 1):
        order.popleft()
    return first, size, node


class Runs:
    """Numbered shards by bundles: runs whose first number is a multiple of a power of two, and no longer than that."""

    def __init__(self, shards: Iterator[tuple[int, Shard]]) -> None:
        self._shards = shards
        self._next = next(shards, None)

    def take(self, most: int) -> Bundle:
        """Return a bundle of at most so many shards; none are left where it is empty."""
        bundle: Bundle = []
        if self._next is None:
            return bundle
        first = self._next[0]
        size = 1 << (most.bit_length() - 1)
        size = min(size, first & -first) if first else size
        while self._next is not None and len(bundle) < size and self._next[0] == first + len(bundle):
            bundle.append(self._next)
            self._next = next(self._shards, None)
        return bundle
