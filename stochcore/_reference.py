"""The engines once more, in NumPy and for any number of rounds: what `stochcore verify` holds the kernels against.

Philox4x32 and ARS4x32 of Salmon, Moraes, Dror and Shaw (SC 2011); AES rounds of FIPS 197, in the byte order of x86.
`bits64` addresses them as stochcore.h lays down.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

LOW = np.uint64(0xFFFFFFFF)
# What an engine's name stands for.
ENGINES = {"philox": ("philox4x32", 10), "ars": ("ars4x32", 7), "ars10": ("ars4x32", 10)}


def philox4x32(counter: Array, key: Array, rounds: int) -> Array:
    """Return the words of Philox: counter (n, 4) and key (at least 2) hold 32-bit words as uint64."""
    c0, c1, c2, c3 = counter.T
    weyl = (0x9E3779B9, 0xBB67AE85)
    for i in range(rounds):
        k0, k1 = (np.uint64((int(k) + i * step) % 2**32) for k, step in zip(key[:2], weyl, strict=True))
        p0, p1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (p1 >> np.uint64(32)) ^ c1 ^ k0, p1 & LOW, (p0 >> np.uint64(32)) ^ c3 ^ k1, p0 & LOW
    return np.stack([c0, c1, c2, c3], axis=1)


def double(a: Array) -> Array:
    """Multiply bytes by x in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1."""
    return (a << 1) ^ ((a >> 7) * np.uint8(0x1B))


def make_s_box() -> Array:
    """Return SubBytes: the inverse in GF(2^8), then the affine map of FIPS 197, 5.1.1."""
    powers = np.ones(256, dtype=np.uint8)  # of x + 1, which generates the field
    for i in range(1, 256):
        powers[i] = powers[i - 1] ^ double(powers[i - 1 : i])[0]
    inverse = np.zeros(256, dtype=np.uint8)
    inverse[powers[:255]] = powers[255:0:-1]
    rotated = [inverse << i | inverse >> (8 - i) for i in range(1, 5)]
    box: Array = np.bitwise_xor.reduce([inverse, *rotated]) ^ np.uint8(0x63)
    return box


S_BOX = make_s_box()
SHIFT_ROWS = np.array([5 * i % 16 for i in range(16)])  # byte i is row i % 4 of column i // 4


def ars4x32(counter: Array, key: Array, rounds: int) -> Array:
    """Return the words of ARS: counter (n, 4) and key (4) hold 32-bit words as uint64."""
    weyl = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
    halves = [int(key[0]) | int(key[1]) << 32, int(key[2]) | int(key[3]) << 32]

    def key_bytes(i: int) -> Array:
        words = [(half + i * step) % 2**64 for half, step in zip(halves, weyl, strict=True)]
        return np.array(words, dtype="<u8").view(np.uint8)

    v = np.ascontiguousarray(counter.astype("<u4")).view(np.uint8) ^ key_bytes(0)
    for i in range(1, rounds + 1):
        v = S_BOX[v[:, SHIFT_ROWS]]
        if i < rounds:  # MixColumns, but in the last round
            a, b, c, d = (np.roll(v.reshape(-1, 4, 4), -j, axis=2) for j in range(4))
            v = (double(a ^ b) ^ b ^ c ^ d).reshape(-1, 16)
        v = v ^ key_bytes(i)
    return np.ascontiguousarray(v).view("<u4").astype(np.uint64)


FUNCTIONS = {"philox4x32": philox4x32, "ars4x32": ars4x32}


def bits64(
    engine: str, elements: Array, *, seed: int = 0, stream: int = 0, purpose: int = 0, rounds: int | None = None
) -> Array:
    """Return the 64-bit words of these elements (uint64), with the engine's own number of rounds or another."""
    function, own = ENGINES[engine]
    key = np.array([seed % 2**32, seed >> 32, 0, 0], dtype=np.uint64)
    blocks, place = np.unique(elements >> np.uint64(2), return_inverse=True)
    counter = np.empty((blocks.size, 4), dtype=np.uint64)
    counter[:, 0], counter[:, 1], counter[:, 2] = blocks & LOW, blocks >> np.uint64(32), stream
    words: list[Array] = []
    for plane in (0, 1):
        counter[:, 3] = purpose << 24 | plane << 16
        block = FUNCTIONS[function](counter, key, own if rounds is None else rounds)
        words.append(block[place, (elements & np.uint64(3)).astype(np.intp)])
    high, low = words
    joined: Array = high << np.uint64(32) | low
    return joined
