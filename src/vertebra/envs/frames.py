"""Messages between a simulator's process and ours: a length, then the bytes of ``spec.wire``."""

import os
import select
import struct
import time
from typing import Any

from vertebra.spec.wire import pack, unpack

_LENGTH = struct.Struct(">Q")


class PipeClosed(ConnectionError):  # noqa: N818 - named for what happened
    """The other side has gone."""


class Frames:
    """Whole messages over two file descriptors.

    Args:
        source: Descriptor that is read.
        sink: Descriptor that is written.
    """

    def __init__(self, source: int, sink: int) -> None:
        self._source, self._sink = source, sink

    def send(self, message: Any) -> None:
        """Send one message.

        Raises:
            PipeClosed: When nobody reads any more.
        """
        content = pack(message)
        left = memoryview(_LENGTH.pack(len(content)) + content)
        try:
            while left:
                left = left[os.write(self._sink, left) :]
        except BrokenPipeError as error:
            raise PipeClosed("nobody reads the pipe any more") from error

    def receive(self, wait_s: float | None = None) -> Any:
        """The next message.

        Args:
            wait_s: Longest wait for all of it; for ever by default.

        Raises:
            PipeClosed: When the other side has gone.
            TimeoutError: When it does not come in time.
        """
        end = None if wait_s is None else time.monotonic() + wait_s
        (length,) = _LENGTH.unpack(self._exactly(_LENGTH.size, end))
        return unpack(self._exactly(length, end))

    def _exactly(self, count: int, end: float | None) -> bytes:
        parts: list[bytes] = []
        while count:
            left = None if end is None else max(0.0, end - time.monotonic())
            if left is not None and not select.select([self._source], [], [], left)[0]:
                raise TimeoutError("nothing came in time")
            part = os.read(self._source, min(count, 1 << 20))
            if not part:
                raise PipeClosed("the other side closed the pipe")
            parts.append(part)
            count -= len(part)
        return b"".join(parts)
