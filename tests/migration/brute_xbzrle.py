"""XBZRLE one byte at a time, after the description in QEMU's ``xbzrle.c``: slow, and of another make than ours."""

from __future__ import annotations


def uleb(length: int) -> bytes:
    out = bytearray()
    while length >= 0x80:
        out.append(length % 128 + 128)
        length //= 128
    return bytes([*out, length])


def brute_encode(old: bytes, new: bytes, limit: int) -> bytes | None:
    """Run by run from left to right; None where the output would not fit, by QEMU's tests, in their places."""
    at, out = 0, b""
    while at < len(new):
        if len(out) + 2 > limit:
            return None
        equal = 0
        while at + equal < len(new) and old[at + equal] == new[at + equal]:
            equal += 1
        at += equal
        if at == len(new):
            return b"" if equal == len(new) else out
        out += uleb(equal)
        if len(out) + 2 > limit:
            return None
        changed = 0
        while at + changed < len(new) and old[at + changed] != new[at + changed]:
            changed += 1
        out += uleb(changed)
        if len(out) + changed > limit:
            return None
        out += new[at : at + changed]
        at += changed
    return out


def brute_decode(delta: bytes, page: bytes) -> bytes | None:
    """The page that ``delta`` makes of ``page``; None if QEMU would refuse it."""
    out, read, at = bytearray(page), 0, 0
    first = True
    while read < len(delta):
        lengths = []
        for _ in ("equal", "changed"):
            if len(delta) - read < 2:
                return None
            if delta[read] < 0x80:
                lengths.append(delta[read])
                read += 1
            elif delta[read + 1] < 0x80:
                lengths.append(delta[read] - 128 + 128 * delta[read + 1])
                read += 2
            else:
                return None
            if len(lengths) == 1:
                if lengths[0] == 0 and not first:
                    return None
                at += lengths[0]
                if at > len(page):
                    return None
        if lengths[1] == 0 or at + lengths[1] > len(page) or read + lengths[1] > len(delta):
            return None
        out[at : at + lengths[1]] = delta[read : read + lengths[1]]
        at, read, first = at + lengths[1], read + lengths[1], False
    return bytes(out)
