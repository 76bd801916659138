"""What to cite for a recipe: the entries of ``citations.bib``, found by the recipe's name.

An entry belongs to the recipe of its key, to those that its ``keywords`` name, and to all whose
names go on with a hyphen: ``fast-wam-joint`` shares the entry of ``fast-wam``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from vertebra.policy.recipe import BLIND_SUFFIX
from vertebra.recipes import by_name

FILE = "citations.bib"
_ENTRY = re.compile(r"^@(\w+)\{([\w-]+),\n(.*?)^\}$", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^  (\w+) = \{(.*)\},?$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Citation:
    """One BibTeX entry.

    Attributes:
        key: What a text cites it by.
        kind: For example ``article``.
        fields: Name of a field to its value, without the outer braces.
        bibtex: The entry as it stands in the file.
    """

    key: str
    kind: str
    fields: Mapping[str, str]
    bibtex: str

    @property
    def names(self) -> frozenset[str]:
        """Names that the entry was written for."""
        others = self.fields.get("keywords", "").split(",")
        return frozenset({self.key, *(name.strip() for name in others if name.strip())})


@cache
def citations() -> tuple[Citation, ...]:
    """All entries, in the order of the file."""
    text = (files("vertebra.recipes") / FILE).read_text(encoding="utf-8")
    return tuple(
        Citation(
            kind=found[1], key=found[2], fields=dict(_FIELD.findall(found[3])), bibtex=found[0]
        )
        for found in _ENTRY.finditer(text)
    )


def citation_of(name: str) -> Citation:
    """What to cite for a recipe, or for a key of the file.

    Args:
        name: Name of a recipe, of its trained-blind twin, or a key or keyword of the file.

    Raises:
        ValueError: When there is no recipe of that name, or a recipe has no entry.
    """
    sighted = name.removesuffix(BLIND_SUFFIX)
    exact = next((entry for entry in citations() if sighted in entry.names), None)
    if exact is not None:
        return exact
    parent = by_name(name).name.removesuffix(BLIND_SUFFIX)
    while "-" in parent:
        parent = parent.rpartition("-")[0]
        for entry in citations():
            if parent in entry.names:
                return entry
    raise ValueError(f"Recipe '{name}' has no entry: add one with that key to {FILE}.")
