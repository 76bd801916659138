"""The attention mask, computed from the table."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray

from vertebra.coupling.table import Joint
from vertebra.spec.streams import Reach


def pair_mask(
    reach: Reach, query_time: Int[ndarray, " q"], key_time: Int[ndarray, " k"]
) -> Bool[ndarray, "q k"]:
    """Which keys of one stream the queries of another may see, by chunk time."""
    query, key = query_time[:, None], key_time[None, :]
    match reach:
        case Reach.ALL:
            return np.ones((len(query_time), len(key_time)), dtype=bool)
        case Reach.UPTO:
            return key <= query
        case Reach.PAST:
            return key < query
        case Reach.SAME:
            return key == query


def attention_mask(joint: Joint, times: Mapping[str, Int[ndarray, " n"]]) -> Bool[ndarray, "L L"]:
    """The full mask over all tokens, in the order of ``joint.streams``.

    Args:
        joint: The table.
        times: For each stream the chunk time of each of its tokens.

    Returns:
        True where the row (query) may see the column (key).
    """
    order = [stream.name for stream in joint.streams if stream.name in times]
    rows: list[ndarray] = []
    for query in order:
        row: list[ndarray] = []
        for key in order:
            reach = joint.sees[query].get(key)
            if reach is None:
                row.append(np.zeros((len(times[query]), len(times[key])), dtype=bool))
            else:
                row.append(pair_mask(reach, times[query], times[key]))
        rows.append(np.concatenate(row, axis=1))
    return np.concatenate(rows, axis=0)
