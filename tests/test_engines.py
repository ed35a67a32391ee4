"""Engines: AES in lanes and in the header against FIPS 197, ARS against AES, and Random123's known answers.

The twin here is AES as FIPS 197 writes it, in plain Python: the S-box is made from inverses in the field, not copied.
"""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Callable

import numpy as np
import pytest
from c_programs import ISA, STRICT, TESTS, build

Run = Callable[[str, str, bytes], bytes]

# Of Random123's kat_vectors: engine, rounds, counter, key, expected words.
KNOWN_ANSWERS = """
ars4x32 10 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000   8d73ee19 506401ef 13c2dbe4 0cbe9c0d
ars4x32 10 243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0 082efa98 ec4e6c89   a516e7d6 8357ad74 5b59b3ec 8763fff3
ars4x32 10 ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff 00000000 00000000   bb3743b1 9f635551 ecbc87fc a19478a9
philox4x32 10 00000000 00000000 00000000 00000000 00000000 00000000   6627e8d5 e169c58d bc57ac4c 9b00dbd8
philox4x32 10 ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff   408f276d 41c83b0e a20bc7c6 6d5451fd
philox4x32 10 243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0   d16cfe09 94fdcceb 5001e420 24126ea1
""".strip().splitlines()
PUBLISHED = TESTS.parent.parent / "shared" / "data" / "rng" / "random123_kat_vectors.txt"

# FIPS 197, appendices B and C.1: the key, the state at the start of rounds 1 to 10, the ciphertext.
EXAMPLES = {
    "B": """2b7e151628aed2a6abf7158809cf4f3c
        193de3bea0f4e22b9ac68d2ae9f84808 a49c7ff2689f352b6b5bea43026a5049 aa8f5f0361dde3ef82d24ad26832469a
        486c4eee671d9d0d4de3b138d65f58e7 e0927fe8c86363c0d9b1355085b8be01 f1006f55c1924cef7cc88b325db5d50c
        260e2e173d41b77de86472a9fdd28b25 5a4142b11949dc1fa3e019657a8c040c ea835cf00445332d655d98ad8596b0c5
        eb40f21e592e38848ba113e71bc342d2 3925841d02dc09fbdc118597196a0b32""",
    "C.1": """000102030405060708090a0b0c0d0e0f
        00102030405060708090a0b0c0d0e0f0 89d810e8855ace682d1843d8cb128fe4 4915598f55e5d7a0daca94fa1f0a63f7
        fa636a2825b339c940668a3157244d17 247240236966b3fa6ed2753288425b6c c81677bc9b7ac93b25027992b0261996
        c62fe109f75eedc3cc79395d84f9cf5d d1876c0f79c4300ab45594add66ff41f fde3bad205e5d0d73547964ef1fe37f1
        bd6e7c3df2b5779e0b61216e8b10b689 69c4e0d86a7b0430d8cdb78070b4c55a""",
}


# ---- AES as FIPS 197 writes it ---------------------------------------------------------------------------------------


def times(a: int, b: int) -> int:
    """The product in the field of x^8 + x^4 + x^3 + x + 1 (4.2)."""
    product = 0
    for i in range(8):
        if b >> i & 1:
            product ^= a << i
    for i in range(14, 7, -1):
        if product >> i & 1:
            product ^= 0x11B << (i - 8)
    return product


@functools.cache
def sub_byte(byte: int) -> int:
    """The inverse, then an affine map (5.1.1)."""
    b = next((c for c in range(256) if times(byte, c) == 1), 0)
    bits = [b >> i & 1 for i in range(8)]
    c = 0x63
    return sum((sum(bits[(i + j) % 8] for j in (0, 4, 5, 6, 7)) + (c >> i & 1)) % 2 << i for i in range(8))


def aes_round(state: bytes, key: bytes, last: bool = False) -> bytes:
    """SubBytes, ShiftRows, MixColumns, AddRoundKey; byte r + 4c is row r of column c."""
    shifted = [sub_byte(state[r + 4 * ((c + r) % 4)]) for c in range(4) for r in range(4)]
    if not last:
        mixed = []
        for c in range(4):
            column = shifted[4 * c : 4 * c + 4]
            for r in range(4):
                a, b, d, e = (column[(r + i) % 4] for i in range(4))
                mixed.append(times(2, a) ^ times(3, b) ^ d ^ e)
        shifted = mixed
    return bytes(x ^ k for x, k in zip(shifted, key, strict=True))


def round_keys(key: bytes) -> list[bytes]:
    """KeyExpansion for 128 bits (5.2)."""
    words, constant = [key[i : i + 4] for i in range(0, 16, 4)], 1
    for i in range(4, 44):
        word = words[-1]
        if i % 4 == 0:
            word = bytes(sub_byte(b) for b in word[1:] + word[:1])
            word = bytes([word[0] ^ constant]) + word[1:]
            constant = times(constant, 2)
        words.append(bytes(a ^ b for a, b in zip(words[-4], word, strict=True)))
    return [b"".join(words[i : i + 4]) for i in range(0, 44, 4)]


def ars(rounds: int, counter: bytes, key: bytes) -> bytes:
    """ARS4x32: AES rounds on the counter; the halves of the key grow by Weyl constants (Salmon and others, 2011)."""
    k0, k1 = (int.from_bytes(key[i : i + 8], "little") for i in (0, 8))
    state = bytes(c ^ k for c, k in zip(counter, key, strict=True))
    for i in range(1, rounds + 1):
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) % 2**64, (k1 + 0xBB67AE8584CAA73B) % 2**64
        state = aes_round(state, k0.to_bytes(8, "little") + k1.to_bytes(8, "little"), last=i == rounds)
    return state


# ---- tests -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """run(isa, what, blocks): what engines_probe.c writes."""
    directory = tmp_path_factory.mktemp("engines")

    @functools.cache
    def program(isa: str) -> list[str]:
        return build(TESTS / "engines_probe.c", directory / isa, isa, "-O2", *STRICT)

    def call(isa: str, what: str, blocks: bytes) -> bytes:
        return subprocess.run([*program(isa), what], input=blocks, stdout=subprocess.PIPE, check=True).stdout

    return call


def example(name: str) -> tuple[list[bytes], list[bytes]]:
    """The states before each round, with the ciphertext; and the round keys."""
    key, *states = (bytes.fromhex(word) for word in EXAMPLES[name].split())
    return states, round_keys(key)


def blocks(words: list[str]) -> bytes:
    return b"".join(int(word, 16).to_bytes(4, "little") for word in words)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_twin_is_aes(name: str) -> None:
    states, keys = example(name)
    assert [aes_round(states[i], keys[i + 1]) for i in range(9)] == states[1:10]
    assert aes_round(states[9], keys[10], last=True) == states[10]


@pytest.mark.parametrize("isa", ISA)
@pytest.mark.parametrize("name", EXAMPLES)
def test_rounds_of_aes_in_lanes(run: Run, name: str, isa: str) -> None:
    """Each round of the example in each of the four places, the other places holding other rounds."""
    states, keys = example(name)
    for what, rounds in (("aes", range(9)), ("aes-last", range(9, 10))):
        for i in rounds:
            order = [i, *(j % len(rounds) + rounds[0] for j in range(i, i + 3))]
            for place in range(4):
                turned = order[-place:] + order[:-place] if place else order
                given = b"".join(states[j] for j in turned) + b"".join(keys[j + 1] for j in turned)
                assert run(isa, what, given)[16 * place : 16 * place + 16] == states[i + 1]


@pytest.mark.parametrize("isa", ISA)
def test_random_rounds_of_aes_in_lanes(run: Run, isa: str) -> None:
    given = np.random.default_rng(197).bytes(128 * 200)
    for what in ("aes", "aes-last"):
        out, expected = run(isa, what, given), b""
        for i in range(0, len(given), 128):
            for j in range(i, i + 64, 16):
                expected += aes_round(given[j : j + 16], given[j + 64 : j + 80], last=what == "aes-last")
        assert out == expected


@pytest.mark.parametrize("rounds", [1, 7, 10])
@pytest.mark.parametrize("isa", ["scalar", "avx2", "neon"])
def test_ars_is_rounds_of_aes(run: Run, isa: str, rounds: int) -> None:
    given = np.random.default_rng(rounds).bytes(32 * 100)
    expected = b"".join(ars(rounds, given[i : i + 16], given[i + 16 : i + 32]) for i in range(0, len(given), 32))
    assert run(isa, str(rounds), given) == expected


@pytest.mark.parametrize("isa", ["scalar", "avx2", "neon"])
@pytest.mark.parametrize("line", KNOWN_ANSWERS)
def test_known_answers(run: Run, line: str, isa: str) -> None:
    engine, rounds, *words = line.split()
    given = blocks(words[:-4]).ljust(32, b"\0")
    assert run(isa, rounds if engine == "ars4x32" else "0", given) == blocks(words[-4:])


def test_known_answers_of_the_twin() -> None:
    for line in KNOWN_ANSWERS[:3]:
        words = line.split()[2:]
        assert ars(10, blocks(words[:4]), blocks(words[4:8])) == blocks(words[8:])


@pytest.mark.skipif(not PUBLISHED.exists(), reason=f"no {PUBLISHED}")
def test_the_known_answers_are_the_published_ones() -> None:
    published = [line.split() for line in PUBLISHED.read_text().splitlines()]
    assert [line for line in KNOWN_ANSWERS if line.split() not in published] == []
