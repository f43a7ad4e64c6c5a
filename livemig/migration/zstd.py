"""Pages compressed with Zstandard, each by itself. The library comes with the extra ``zstd``."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from livemig.errors import UsageError
from livemig.machine.ram import PAGE

MISSING: Final = "needs zstandard: pip install 'livemig[zstd]'"

_MAX_WINDOW: Final = 1 << 20
"""Of what a decoder may be asked to keep; an encoder of single pages needs a window of one page."""

def installed() -> bool:
    """Whether pages can be compressed, or decompressed, here."""
    return find_spec("zstandard") is not None


class Compressor:
    """Args: ``level``: 1, fast, to 20.

    Raises:
        UsageError: the library is missing.
    """

    def __init__(self, level: int) -> None:
        if not installed():
            raise UsageError(f'migration.compression = "zstd" {MISSING}')
        import zstandard

        self._compress = zstandard.ZstdCompressor(level=level).compress

    def page(self, content: bytes) -> bytes | None:
        """``content`` compressed; None: it does not get smaller."""
        packed: bytes = self._compress(content)
        return packed if len(packed) < PAGE else None


class Decompressor:
    """For one thread at a time.

    Raises:
        ValueError: the library is missing.
    """

    def __init__(self) -> None:
        if not installed():
            raise ValueError(f"decompression {MISSING}")
        import zstandard

        self._library, self._decompress = zstandard, zstandard.ZstdDecompressor().decompress

    def page(self, data: memoryview) -> bytes:
        """Exactly one page.

        Raises:
            ValueError: not a page, or more than one; nothing larger than a page was allocated.
        """
        try:
            parameters = self._library.get_frame_parameters(data)
            if parameters.content_size != PAGE or parameters.window_size > _MAX_WINDOW:
                raise ValueError(f"is said to hold {parameters.content_size} bytes, a page has {PAGE}")
            content: bytes = self._decompress(data, max_output_size=PAGE, allow_extra_data=False)
        except self._library.ZstdError as error:
            raise ValueError(str(error)) from None
        if len(content) != PAGE:
            raise ValueError(f"holds {len(content)} bytes, a page has {PAGE}")
        return content
