"""What frozen encoders made of pictures, kept by content: each is encoded once, in any process."""

import hashlib
import itertools
import os
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save as save_tensors
from torch import Tensor

from vertebra.policy.checkpoint import read_tensors
from vertebra.spec.storage import write_bytes

SHARD = 256
"""New results after which a file is written."""
MOST_BYTES = 1_000_000_000
"""Held in memory; beyond that the oldest results are dropped, and made again when needed."""


class Kept:
    """Remembers a function of pictures, in memory and, where a directory is given, on disk.

    Files are whole or absent, and several processes may share a directory: each writes files of its
    own and reads those of the others when it starts. Pictures are given to the function one at a
    time, so that a result does not depend on what else was asked for.

    Args:
        make: From one clip [F, H, W, 3], uint8, to a tensor.
        directory: Where results are kept; nothing is written without one.
    """

    def __init__(self, make: Callable[[Tensor], Tensor], directory: Path | None = None) -> None:
        self._make, self._directory = make, directory
        self._known: dict[str, Tensor] = {}
        self._fresh: dict[str, Tensor] = {}
        self._numbers, self._bytes = itertools.count(), 0
        if directory is not None:
            for path in sorted(directory.glob("*.safetensors")):
                for key, value in read_tensors(path).items():
                    self._hold(key, value)

    def __deepcopy__(self, memo: object) -> "Kept":
        """What is known is shared by copies of what holds it."""
        return self

    def __call__(self, clips: Tensor) -> Tensor:
        """Clips [B, F, H, W, 3], uint8, to results [B, ...]."""
        return torch.stack([self._one(clip) for clip in clips])

    def _one(self, clip: Tensor) -> Tensor:
        shape = ",".join(map(str, clip.shape))
        content = clip.cpu().contiguous().numpy().tobytes()
        key = hashlib.blake2b(shape.encode() + content, digest_size=16).hexdigest()
        found = self._known.get(key)
        if found is None:
            with torch.no_grad(), torch.autocast(clip.device.type, enabled=False):
                found = self._make(clip).cpu().contiguous()
            self._hold(key, found)
            self._keep(key, found)
        return found.to(clip.device)

    def _hold(self, key: str, value: Tensor) -> None:
        self._known[key] = value
        self._bytes += value.nbytes
        while self._bytes > MOST_BYTES and len(self._known) > 1:
            self._bytes -= self._known.pop(next(iter(self._known))).nbytes

    def _keep(self, key: str, found: Tensor) -> None:
        if self._directory is None:
            return
        self._fresh[key] = found
        if len(self._fresh) >= SHARD:
            name = f"{os.getpid()}-{next(self._numbers):05d}-{key[:8]}.safetensors"
            write_bytes(self._directory / name, save_tensors(self._fresh))
            self._fresh = {}
