"""Confusion matrices as shaded tables."""

from dataclasses import dataclass

from vertebra.verdict.summary import Grounding


@dataclass(frozen=True, kw_only=True)
class HeatCell:
    """One cell of a confusion matrix: its share of the row decides the shade, ``tone`` the hue."""

    count: int
    share: float
    tone: str


@dataclass(frozen=True, kw_only=True)
class HeatMap:
    """A confusion matrix ready to draw."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, int, tuple[HeatCell, ...]], ...]


def heat_maps(grounding: Grounding) -> tuple[HeatMap, ...]:
    """The confusion matrices of one arm."""
    maps: list[HeatMap] = []
    for title, matrix in (
        ("by instruction of the scene", grounding.by_instruction),
        ("by skill", grounding.by_skill),
    ):
        rows = [
            (
                name,
                sum(counts),
                tuple(
                    HeatCell(
                        count=count,
                        share=count / sum(counts) if sum(counts) else 0.0,
                        tone=_tone(name, column, matrix.rows),
                    )
                    for column, count in zip(matrix.columns, counts, strict=True)
                ),
            )
            for name, counts in zip(matrix.rows, matrix.counts, strict=True)
        ]
        maps.append(HeatMap(title=title, columns=matrix.columns, rows=tuple(rows)))
    return tuple(maps)


def _tone(row: str, column: str, rows: tuple[str, ...]) -> str:
    """Right, wrong or neither."""
    if column in (row, "asked+"):
        return "right"
    return "wrong" if column in (*rows, "several", "other") else "neither"
