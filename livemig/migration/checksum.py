"""The checksum that guards every frame: XXH3, 64 bits.

It finds what memory, a driver or a middlebox damaged. Whoever means harm computes it anew: against them there is TLS.
"""

from __future__ import annotations

from typing import Final

import xxhash

SIZE: Final = 8
"""Bytes on the wire, big-endian."""


class Checksum:
    """Of all that it is given, as if it were one."""

    def __init__(self, *parts: bytes | memoryview) -> None:
        self._state = xxhash.xxh3_64()
        self.update(*parts)

    def update(self, *parts: bytes | memoryview) -> None:
        """`parts` come next."""
        for part in parts:
            self._state.update(part)

    def digest(self) -> bytes:
        """Of what there was so far."""
        return self._state.digest()


def checksum(*parts: bytes | memoryview) -> bytes:
    """Of `parts`, as if they were one."""
    return xxhash.xxh3_64_digest(b"".join(parts) if len(parts) > 1 else parts[0])
