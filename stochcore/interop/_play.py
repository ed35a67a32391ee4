"""play: numbered episodes on the slots of an environment; those of whole blocks are handed on, in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._episodes import Episodes
from ..noise import ENVIRONMENTS, Stream
from ._slots import Slots

Array = NDArray[Any]
Deliver = Callable[[int, int, int], None]  # block, how many of them, where the last one ends

KEPT = 1 << 23  # numbers that notes on episodes may take when all are over


class Range(NamedTuple):
    """Samples first .. first + total of a stream, in blocks of `rows` but for the last; in pairs or not."""

    first: int
    total: int
    rows: int
    blocks: int
    mirrored: bool

    def border(self, block: int) -> int:
        """How many episodes the blocks before this one have."""
        return self.total if block == self.blocks else block * self.rows

    def ended(self, episodes: int) -> int:
        """How many blocks have ended when so many episodes have."""
        return self.blocks if episodes == self.total else min(episodes // self.rows, self.blocks - 1)


def seeds_of(stream: Stream, samples: Range) -> Array:
    """Return what environments are reset by: 31 bits of a number of each sample's own, the same for a pair."""
    own = stream._replace(purpose=ENVIRONMENTS, antithetic=False)
    if not samples.mirrored:
        return (own.at(samples.first).bits(samples.total) >> np.uint64(33)).astype(np.int64)
    return np.repeat((own.at(samples.first // 2).bits(samples.total // 2) >> np.uint64(33)).astype(np.int64), 2)


def play(
    slots: Slots,
    notes: Episodes,
    theta: Array,
    stream: Stream,
    samples: Range,
    deliver: Deliver,
    n_threads: int | None,
) -> None:
    """Play all episodes, each to its own end.

    A slot takes the next one when its last is over, so that none waits for the longest. Which are played does not
    depend on how they go, and no episode is left out: the mean over them is unbiased, as it would not be over what has
    ended after some number of steps, where short ones come more often.
    """
    at_once = max(1, slots.n // samples.rows)  # blocks that are handed on together, for several threads
    room = slots.n + 2 * at_once * samples.rows + 8
    notes.begin(theta, stream, samples.first, samples.mirrored, room)
    seeds = seeds_of(stream, samples)
    slots.begin(int(seeds[0]))
    actions, playing = np.zeros(slots.n, dtype=np.int64), notes.playing
    begun = delivered = 0
    while delivered < samples.blocks:
        limit = min(samples.total, samples.border(delivered) + room)
        if begun < limit:
            free = slots.fresh(playing)[: limit - begun]
            if len(free):
                slots.start(free, seeds[begun : begun + len(free)])
                notes.start(free)
                begun += len(free)
        if (playing < 0).all():  # all that go on were cut off, in an environment that resets itself
            slots.begin(int(seeds[begun]))
            continue
        notes.act(slots.features(), actions, n_threads)
        rewards, over = slots.step(actions, playing)
        if notes.pay(rewards, over.view(np.uint8)):
            ended = samples.ended(notes.complete())
            if ended - delivered >= at_once or ended == samples.blocks or (ended > delivered and begun == limit):
                deliver(delivered, ended - delivered, samples.border(ended))
                delivered = ended
    if notes.held() > KEPT:
        notes.release()
