"""A seed tree: every random draw has a named place, so that arms can share all but one of them."""

import hashlib


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
