"""Sizes that can be read off shapes, and whether a configuration states the same."""

from collections.abc import Iterator

from vertebra.audit.identity import Identity
from vertebra.audit.layout import Match, size_of


def size_differences(identity: Identity) -> tuple[str, ...]:
    """Sizes that configuration and weights state differently."""
    found: list[str] = []
    for match in identity.matches:
        for label, size, keys in sizes(identity, match):
            for key in keys:
                said = _lookup(identity.bundle.configuration, key)
                if isinstance(said, int) and said != size:
                    found.append(
                        f"{label}: the configuration says {key} = {said}, the weights {size}"
                    )
                if said is not None:
                    break
    return tuple(found)


def sizes(identity: Identity, match: Match) -> Iterator[tuple[str, int, tuple[str, ...]]]:
    """Sizes that the weights of a layout show: label, size, keys of configurations."""
    for measure in match.layout.measures:
        size = size_of(identity.names, match.root, measure.name, measure.axis)
        if size is not None:
            yield measure.label, size, measure.keys


def layer_gaps(identity: Identity) -> tuple[str, ...]:
    """Numbers of layers that are skipped."""
    found: list[str] = []
    for match in identity.matches:
        present = layers(identity, match)
        gone = sorted(set(range(max(present, default=-1) + 1)) - present)
        if gone:
            found.append(f"{match.layout.name}: layers {gone[:8]} are missing")
    return tuple(found)


def layers(identity: Identity, match: Match) -> set[int]:
    """Numbers of the layers that a layout has."""
    if not match.layout.layers:
        return set()
    return {
        next(int(word) for word in reversed(tensor.name.split(".")) if word.isdecimal())
        for tensor in identity.names.below(match.root, match.layout.layers)
    }


def _lookup(configuration: object, key: str) -> object:
    for word in key.split("."):
        configuration = configuration.get(word) if isinstance(configuration, dict) else None
    return configuration
