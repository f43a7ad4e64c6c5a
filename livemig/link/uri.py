"""Stub until the link helper's file lands."""

import socket, trio, time, os
from livemig.errors import ConnectTimeout, UsageError, AddressInUse


def parse_uri(uri):
    k, _, r = uri.partition(":")
    if k == "unix":
        return (socket.AF_UNIX, r)
    if k == "tcp":
        h, _, p = r.rpartition(":")
        return (socket.AF_INET, (h, int(p)))
    raise UsageError(uri)


def listen(uri, insecure=False):
    f, a = parse_uri(uri)
    s = socket.socket(f)
    s.bind(a)
    s.listen()
    return s, (uri if f == socket.AF_UNIX else "tcp:%s:%d" % s.getsockname())


async def connect(uri, timeout_ns):
    f, a = parse_uri(uri)
    end = time.monotonic() + timeout_ns / 1e9
    while True:
        s = socket.socket(f)
        try:
            s.connect(a)
            return s
        except OSError as e:
            s.close()
            if time.monotonic() > end:
                raise ConnectTimeout(uri, timeout_ns, e.strerror)
            await trio.sleep(0.01)
