"""folding: the shards of a long estimate one after the other, whoever makes them: here, workers, or a run before."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._progress import BAR_SECONDS, CALL_SECONDS, bar_of
from ..estimate import BLOCKS_PER_SHARD, Estimate, Layout, Tree
from ..noise import Stream
from .journal import Journal
from .stopping import Stopping
from .workers import Message, Node, Shard, Workers, packed

if TYPE_CHECKING:
    from .run import Run

Array = NDArray[Any]
Show = bool | Callable[[Estimate], object]

KERNEL_SECONDS = 5e-10  # an outcome takes where costs are ours, about
BAR = "{percentage:3.0f}%|{bar}| shard {n_fmt}/{total_fmt}{postfix}, {remaining} left"


@dataclass
class Way:
    """How an estimate goes: when it stops, who makes its shards, where they are kept, who is told."""

    stopping: Stopping | None = None
    started: float = 0.0
    workers: Workers | None = None
    checkpoint: Path | None = None
    progress: Show = False

    def __enter__(self) -> Way:
        return self

    def __exit__(self, *_: object) -> None:
        if self.workers is not None:
            self.workers.close()

    @property
    def plain(self) -> bool:
        """Is there nothing to do but to fold all shards here?"""
        return not (self.stopping or self.workers or self.checkpoint or self.progress)


class Watch:
    """A bar on stderr, or a function that is told now and then: of the estimate as far as it is."""

    def __init__(
        self, progress: bool | Callable[[Estimate], object], shards: int, read: Callable[[Tree], Estimate]
    ) -> None:
        self._read, self._due = read, 0.0
        self._call = progress if callable(progress) else None
        self._bar = bar_of(shards, " shards", BAR) if progress and self._call is None else None

    def show(self, tree: Tree, done: int, last: bool) -> None:
        """Say how far the tree is, `done` shards, unless that was said a moment ago."""
        now = time.perf_counter()
        if (self._bar is None and self._call is None) or (now < self._due and not last):
            return
        found = self._read(tree)
        if self._bar is None:
            assert self._call is not None
            self._due = now + CALL_SECONDS
            self._call(found)
            return
        self._due = now + BAR_SECONDS
        worst = np.max(found._flat_grad_se(), initial=0.0)
        told = f"cost {found.cost:.6g} +- {found.cost_se:.2g}, " if np.ndim(found.cost) == 0 else ""
        self._bar.set_postfix_str(f"{told}gradient's error <= {worst:.2g}", refresh=False)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()


@dataclass
class Shards:
    """The shards of samples first_sample .. end, by number, and the nodes of some that are known."""

    layout: Layout
    first_sample: int
    end: int
    blocks: int
    known: dict[int, tuple[int, Array]]

    @property
    def first(self) -> int:
        """The first one."""
        return self.first_sample // self.layout.shard_rows

    @property
    def count(self) -> int:
        """How many there are."""
        return -(-self.blocks // BLOCKS_PER_SHARD)

    def of(self, number: int) -> Shard:
        """Return first block, blocks, and the sample where a shard ends."""
        start, last = number * BLOCKS_PER_SHARD, self.first * BLOCKS_PER_SHARD + self.blocks
        blocks = min(BLOCKS_PER_SHARD, last - start)
        return start, blocks, self.end if start + blocks == last else (start + blocks) * self.layout.block_rows

    def unknown(self) -> Iterator[tuple[int, Shard]]:
        """Yield those that must be made."""
        at = self.first
        while at < self.first + self.count:
            size, _ = self.known.get(at, (0, None))
            if not size:
                yield at, self.of(at)
            at += size or 1

    def filled(self, made: Iterator[Node]) -> Iterator[Node]:
        """Yield the nodes of all in order, those that are known and those that are made."""
        at = self.first
        while at < self.first + self.count:
            first, size, node = (at, *self.known[at]) if at in self.known else next(made)
            yield first, size, node
            at = first + size


def folded(
    run: Run, model: Any, stream: Stream, n_threads: int | None, way: Way, read: Callable[[Tree], Estimate]
) -> Tree:
    """Fold the shards of samples of a model, all of them or until it is time to stop."""
    layout, end = run.layout, run.first_sample + run.n_samples
    parts = {
        "model": model, "cost": run.cost, "estimator": run.estimator, "stream": stream, "n_samples": run.n_samples,
        "first_sample": run.first_sample,
    }  # fmt: skip
    journal = None
    if way.checkpoint is not None:
        about = {name: packed(name, part) for name, part in parts.items()}
        journal = Journal(way.checkpoint, about, layout.node_size)
    shards = Shards(layout, run.first_sample, end, run.blocks, journal.nodes if journal else {})
    watch = Watch(way.progress, shards.count, read)

    def arrived(first: int, size: int, node: Array) -> None:
        if journal is not None:
            journal.add(first, size, node)

    def here() -> Generator[Node, None, None]:
        make = run.maker(model, stream, n_threads, way.stopping is not None)
        for number, shard in shards.unknown():
            node = make(*shard)
            arrived(number, 1, node)
            yield number, 1, node

    if way.workers is None:
        nodes = here()
    else:
        left = shards.count - sum(size for size, _ in shards.known.values())
        message = Message(parts | {"n_threads": n_threads or 1, "baseline": run.moving_baseline})
        pace = layout.shard_rows * model.n_elements * KERNEL_SECONDS if run.inside else math.inf
        stops = way.stopping is not None
        nodes = way.workers.nodes(message, layout.node_size, shards.unknown(), left, arrived, stops, pace)
    tree = Tree(layout)
    try:
        with closing(nodes):
            for first, size, node in shards.filled(nodes):
                tree.push(first, size, node)
                samples = min(end, (first + size) * layout.shard_rows) - run.first_sample
                if journal is not None:
                    journal.tidy(tree)
                over = samples < run.n_samples and way.stopping and way.stopping.ends(tree, samples, way.started)
                watch.show(tree, first + size - shards.first, bool(over) or samples == run.n_samples)
                if over:
                    break
    finally:
        watch.close()
        if journal is not None:
            journal.close()
    return tree
