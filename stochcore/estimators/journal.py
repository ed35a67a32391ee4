"""journal: the shards of an estimate on disk, each as soon as it is made, so that a killed run goes on."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import time
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..estimate import Tree

Array = NDArray[Any]

MAGIC = b"stochcore shards 1\n"
HEAD, RECORD = struct.Struct("<I"), struct.Struct("<QQ")  # length of what follows; first shard, shards
SYNC_SECONDS = 1.0  # the disk is waited for no more often
SLACK = 1 << 24  # bytes, and twice what the tree needs, before the file is written anew


class Journal:
    """A file of nodes, whole or cut anywhere: a header, then a record with a checksum for each run of shards.

    The header names the estimate by digests of what it is made of; records may come in any order. A record that is cut
    or altered ends what is read. When the file is much longer than the merged shards are, it is written anew beside
    itself and moved into place.
    """

    def __init__(self, path: Path, about: dict[str, bytes], node_size: int) -> None:
        self.path, self._node_size = path, node_size
        self._about = {name: hashlib.sha256(data).hexdigest() for name, data in about.items()}
        self._synced = 0.0
        self.nodes: dict[int, tuple[int, Array]] = {}  # that were there, by the first shard
        self._waiting: dict[int, Array] = {}  # written down, not yet merged
        file = path.open("r+b") if path.exists() else path.open("x+b")
        try:
            _lock(file, path)
            whole = self._read(file)
            file.seek(whole)
            file.truncate()
            if whole == 0:
                file.write(self._header())
                whole = file.tell()
        except BaseException:
            file.close()
            raise
        self._file: BinaryIO = file
        self._size = whole

    def _header(self) -> bytes:
        words = json.dumps(self._about | {"node_size": self._node_size}).encode()
        return MAGIC + HEAD.pack(len(words)) + words + HEAD.pack(zlib.crc32(words))

    def _read(self, file: BinaryIO) -> int:
        """Read what is whole; return where it ends. 0: not even the header."""
        data = file.read()
        if not data or (len(data) < len(MAGIC) and MAGIC.startswith(data)):
            return 0
        if not data.startswith(MAGIC):
            raise ValueError(f"`checkpoint` must be a file of shards, or none yet, got {str(self.path)!r}")
        header = self._header()
        if len(data) < len(header) and header.startswith(data):
            return 0
        try:
            at = len(MAGIC)
            (length,) = HEAD.unpack_from(data, at)
            words = data[at + HEAD.size : at + HEAD.size + length]
            at += HEAD.size + length
            if zlib.crc32(words) != HEAD.unpack_from(data, at)[0]:
                raise ValueError("its header is damaged")
            other = json.loads(words)
        except (struct.error, ValueError) as error:
            raise ValueError(f"`checkpoint` {str(self.path)!r} cannot be read: {error}") from None
        mine = self._about | {"node_size": self._node_size}
        for name in mine:
            if other.get(name) != mine[name]:
                raise ValueError(
                    f"`checkpoint` {str(self.path)!r} is of another estimate: its {name} differs. Give another path, "
                    "or remove the file"
                )
        return self._records(data, at + HEAD.size)

    def _records(self, data: bytes, at: int) -> int:
        size = RECORD.size + 8 * self._node_size
        while at + size + HEAD.size <= len(data):
            body = data[at : at + size]
            if zlib.crc32(body) != HEAD.unpack_from(data, at + size)[0]:
                break
            first, shards = RECORD.unpack_from(body)
            node = np.frombuffer(body, offset=RECORD.size).copy()
            if shards > self.nodes.get(first, (0, node))[0]:
                self.nodes[first] = shards, node
            at += size + HEAD.size
        return at

    def add(self, first: int, node: Array) -> None:
        """Write down a shard."""
        self._waiting[first] = node
        self._write(self._file, first, 1, node)
        self._file.flush()
        now = time.monotonic()
        if now - self._synced > SYNC_SECONDS:
            os.fsync(self._file.fileno())
            self._synced = now

    def _write(self, file: BinaryIO, first: int, shards: int, node: Array) -> None:
        body = RECORD.pack(first, shards) + node.tobytes()
        record = body + HEAD.pack(zlib.crc32(body))
        file.write(record)
        self._size += len(record)

    def tidy(self, tree: Tree) -> None:
        """Write the file anew where merged shards, and those that wait for others, need much less."""
        first, shards, _ = tree.nodes[-1]
        for number in [number for number in self._waiting if number < first + shards]:
            del self._waiting[number]
        each = RECORD.size + 8 * self._node_size + HEAD.size
        if self._size < SLACK + 2 * each * (len(tree.nodes) + len(self._waiting)):
            return
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        try:
            file = beside.open("x+b")
            _lock(file, self.path)
            file.write(self._header())
            self._size = file.tell()
            for first, shards, node in tree.nodes:
                self._write(file, first, shards, node)
            for number, node in self._waiting.items():
                self._write(file, number, 1, node)
            file.flush()
            os.fsync(file.fileno())
            beside.replace(self.path)
        finally:
            beside.unlink(missing_ok=True)
        self._file.close()
        self._file = file

    def close(self) -> None:
        """Let the disk have everything."""
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()


def _lock(file: io.IOBase | BinaryIO, path: Path) -> None:
    """Refuse a file that another run writes to."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError(f"`checkpoint` {str(path)!r} is in use by another run") from None
