"""From an audit of a checkpoint to one HTML file that asks nothing of the network."""

from importlib import resources

from vertebra.audit.checkpoint import CheckpointAudit
from vertebra.spec.errors import MissingExtra


def checkpoint_page(audit: CheckpointAudit, style: str) -> str:
    """The page as HTML text.

    Args:
        audit: What to show.
        style: Style sheet; that of the report makes both look alike.

    Raises:
        MissingExtra: Without the extra `report`.
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        raise MissingExtra("The page of an audit", "report") from error
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = resources.files("vertebra.audit") / "checkpoint.html.j2"
    return environment.from_string(source.read_text(encoding="utf-8")).render(
        audit=audit, style=style, scaled=scaled
    )


def scaled(count: int) -> str:
    """A number of parameters in three digits or so: 2.9 B, 417 M, 15,706."""
    for size, letter in ((1e9, "B"), (1e6, "M")):
        if count >= size:
            return f"{count / size:.3g} {letter}"
    return f"{count:,}"
