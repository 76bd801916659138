"""What a configuration of a library must say, for our layers to be those of its model."""

from collections.abc import Iterable


def require_features(what: str, features: Iterable[tuple[str, object, object]]) -> None:
    """Refuse a configuration of another kind of model, or with features that are not here.

    Args:
        what: What it then is not; the message begins with it.
        features: Name, what the configuration says, what is expected.

    Raises:
        ValueError: Naming every feature that differs.
    """
    wrong = [
        f"{name} is {found!r}, expected {expected!r}"
        for name, found, expected in features
        if found != expected
    ]
    if wrong:
        raise ValueError(f"{what}: " + "; ".join(wrong) + ".")
