"""A seed tree: every random draw has a named place, so that arms can share all but one of them."""

import hashlib
from dataclasses import dataclass


def seed_at(root: int, *path: str | int) -> int:
    """The seed at a named place below a root.

    Args:
        root: Seed of a pilot.
        path: Names from general to special, for example ``("batch-order", 2)``.

    Returns:
        A non-negative 63-bit integer, the same on every machine and version.

    Example:
        >>> seed_at(0, "subset", 1) == seed_at(0, "subset", 1)
        True
        >>> seed_at(0, "subset", 1) == seed_at(0, "subset", 2)
        False
    """
    text = "/".join(f"{type(part).__name__}:{part}" for part in (root, *path))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@dataclass(frozen=True, kw_only=True)
class SeedTree:
    """The seeds of a pilot. No place names an arm, so all arms share every draw.

    Attributes:
        root: Seed of the pilot.
    """

    root: int

    def subset(self, seed: int) -> int:
        """Which demonstrations a training seed sees, in which order of preference."""
        return seed_at(self.root, "subset", seed)

    def split(self) -> int:
        """Which demonstrations are held out from training."""
        return seed_at(self.root, "split")

    def demonstrations(self) -> int:
        """Scenes and disturbances of demonstrations."""
        return seed_at(self.root, "demonstrations")

    def training(self, seed: int) -> dict[str, int]:
        """Seeds of one training: ``initialisation``, ``batch_order`` and ``noise``."""
        return {
            "initialisation": seed_at(self.root, "initialisation", seed),
            "batch_order": seed_at(self.root, "batch-order", seed),
            "noise": seed_at(self.root, "noise", seed),
        }

    def scenes(self) -> int:
        """Which held-out scenes are drawn; also below it the seed of each scene."""
        return seed_at(self.root, "scene")


def policy_noise(scene_seed: int) -> int:
    """Seed of a policy's own noise in an episode, below the seed of its scene."""
    return seed_at(scene_seed, "policy-noise")
