"""Length extension: the hash of more than was hashed, from the hash and the length alone.

SHA-1 and SHA-2 pad what they hash, and cut it into blocks (FIPS 180-4 section 5). Their digest is
the whole state behind the last block, so anybody can go on from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from math import isqrt
from typing import NamedTuple


class Extended(NamedTuple):
    """What stands behind the content that was hashed, and the hash of all of it."""

    suffix: bytes
    digest: bytes


def extended(digest: str, code: bytes, length: int, more: bytes) -> Extended:
    """Return the padding of a message with more bytes behind it, and the hash of all of them.

    Args:
        digest: The hash function: sha1, sha256 or sha512.
        code: The hash of the message.
        length: The length of the message, in bytes.
        more: What is to stand behind the padding.
    """
    size, word = (128, 8) if digest == "sha512" else (64, 4)
    glue = _padding(length, size)
    data = more + _padding(length + len(glue) + len(more), size)
    state = [int.from_bytes(code[at : at + word], "big") for at in range(0, len(code), word)]
    for at in range(0, len(data), size):
        block = data[at : at + size]
        words = [int.from_bytes(block[each : each + word], "big") for each in range(0, size, word)]
        state = _sha1(state, words) if digest == "sha1" else _sha2(state, words, 8 * word)
    return Extended(glue + more, b"".join(each.to_bytes(word, "big") for each in state))


def _padding(length: int, size: int) -> bytes:
    """Return one bit, zeros, and the length in bits, up to the end of a block."""
    counter = size // 8
    zeros = -(length + 1 + counter) % size
    return b"\x80" + bytes(zeros) + (8 * length).to_bytes(counter, "big")


def _sha1(state: Sequence[int], words: list[int]) -> list[int]:
    """Return the state after one more block (FIPS 180-4 section 6.1.2)."""
    words = [*words]
    for at in range(16, 80):
        words.append(_left(words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16], 1))
    a, b, c, d, e = state
    for at, each in enumerate(words):
        mixed, constant = (
            ((b & c) | (~b & d), 0x5A827999),
            (b ^ c ^ d, 0x6ED9EBA1),
            ((b & c) | (b & d) | (c & d), 0x8F1BBCDC),
            (b ^ c ^ d, 0xCA62C1D6),
        )[at // 20]
        total = (_left(a, 5) + mixed + e + constant + each) % 2**32
        a, b, c, d, e = total, a, _left(b, 30), c, d
    return [(old + new) % 2**32 for old, new in zip(state, (a, b, c, d, e), strict=True)]


def _left(value: int, places: int) -> int:
    return (value << places | value >> (32 - places)) % 2**32


# How far each function of SHA-256 and SHA-512 rotates; the last of a sigma shifts.
_TURNS = {
    32: ((7, 18, 3), (17, 19, 10), (2, 13, 22), (6, 11, 25)),
    64: ((1, 8, 7), (19, 61, 6), (28, 34, 39), (14, 18, 41)),
}


def _sha2(state: Sequence[int], words: list[int], bits: int) -> list[int]:
    """Return the state after one more block (FIPS 180-4 sections 6.2.2 and 6.4.2)."""
    small_0, small_1, big_0, big_1 = _TURNS[bits]
    rounds = 64 if bits == 32 else 80

    def turned(value: int, places: int) -> int:
        return (value >> places | value << (bits - places)) % (1 << bits)

    def small(value: int, turns: tuple[int, int, int]) -> int:
        return turned(value, turns[0]) ^ turned(value, turns[1]) ^ value >> turns[2]

    def big(value: int, turns: tuple[int, int, int]) -> int:
        return turned(value, turns[0]) ^ turned(value, turns[1]) ^ turned(value, turns[2])

    words = [*words]
    for at in range(16, rounds):
        mixed = small(words[at - 15], small_0) + small(words[at - 2], small_1)
        words.append((mixed + words[at - 16] + words[at - 7]) % (1 << bits))
    a, b, c, d, e, f, g, h = state
    for each, constant in zip(words, _constants(rounds, bits), strict=True):
        first = h + big(e, big_1) + (e & f ^ ~e & g) + constant + each
        second = big(a, big_0) + (a & b ^ a & c ^ b & c)
        a, b, c, d, e, f, g, h = (
            (first + second) % (1 << bits),
            a,
            b,
            c,
            (d + first) % 2**bits,
            e,
            f,
            g,
        )
    new = (a, b, c, d, e, f, g, h)
    return [(old + each) % (1 << bits) for old, each in zip(state, new, strict=True)]


def _constants(number: int, bits: int) -> Iterator[int]:
    """Yield the first bits behind the point of the cube roots of the first primes."""
    for prime in islice(_primes(), number):
        yield _cube_root(prime << 3 * bits) % (1 << bits)


def _primes() -> Iterator[int]:
    number = 2
    while True:
        if all(number % each for each in range(2, isqrt(number) + 1)):
            yield number
        number += 1


def _cube_root(number: int) -> int:
    """Return the largest integer whose cube is not larger than a number."""
    low, high = 0, 1 << (number.bit_length() // 3 + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**3 <= number else (low, middle - 1)
    return low
