"""Which task was achieved while which was asked for, from episode records of CALVIN."""

from collections import Counter
from collections.abc import Iterable, Mapping

from vertebra.spec.record import EpisodeRecord
from vertebra.spec.task import Outcome

NOTHING = "nothing"


def asked_and_achieved(record: EpisodeRecord) -> list[tuple[str, frozenset[str]]]:
    """Every task that was asked for, in order, with all that the oracle saw achieved meanwhile."""
    if record.outcome == Outcome.ERROR:
        return []
    if record.links == 1:
        return [(record.task, frozenset(record.achieved))]
    asked = record.task.split(">")[: record.completed + 1]
    return [
        (task, frozenset(name.removeprefix(f"{link}:") for name in record.achieved
                         if name.startswith(f"{link}:")))
        for link, task in enumerate(asked, 1)
    ]  # fmt: skip


def confusion(records: Iterable[EpisodeRecord]) -> Mapping[str, Mapping[str, int]]:
    """Asked task to achieved task to how often; ``nothing`` where the oracle saw none."""
    found: dict[str, Counter[str]] = {}
    for record in records:
        for asked, achieved in asked_and_achieved(record):
            found.setdefault(asked, Counter()).update(achieved or {NOTHING})
    return {asked: dict(sorted(row.items())) for asked, row in sorted(found.items())}


def in_a_row(records: Iterable[EpisodeRecord], links: int) -> tuple[float, ...]:
    """Share of chains that completed at least 1, 2, ... links; their sum is the mean length.

    Raises:
        ValueError: When there is no record.
    """
    done = [record.completed for record in records]
    if not done:
        raise ValueError("There is no record of a chain.")
    return tuple(sum(one >= least for one in done) / len(done) for least in range(1, links + 1))
