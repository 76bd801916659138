"""Find the faults of a LeRobot data set before a training does not find them."""

from pathlib import Path

from vertebra.data.check_meta import info_faults, meta_faults, stats_faults
from vertebra.data.check_rows import RowChecker, stacked
from vertebra.data.check_video import video_faults
from vertebra.data.fault import Fault, fault
from vertebra.data.lerobot_open import open_dataset
from vertebra.spec.errors import BrokenDataset

SHOWN = 10
"""Of one code at most so many faults are listed; a last one counts the rest."""


def check_dataset(root: Path, *, decode_all: bool = False) -> list[Fault]:
    """All faults of a data set; none when it is sound.

    Args:
        root: Directory of a LeRobot data set, v3.0 or v2.1.
        decode_all: Decode every video frame (slow for large pictures); by default files are read
            through without decoding, but for their first and last frames.

    Returns:
        Faults in the order meta data, rows, video, statistics. When the meta data cannot be read,
        only their faults.
    """
    root = Path(root)
    found, info = info_faults(root)
    if found:
        return found
    try:
        dataset = open_dataset(root)
    except (BrokenDataset, ValueError, KeyError, TypeError) as error:
        return [fault("meta-broken", "meta", f"it cannot be understood ({error!r})")]
    found += meta_faults(dataset, info)
    rows = RowChecker(dataset)
    rows.run()
    found += rows.faults
    rate_known = any(each.code == "fps-wrong" for each in rows.faults)
    found += [
        each
        for each in video_faults(dataset, decode_all=decode_all)
        if not (rate_known and each.code == "fps-wrong")
    ]
    vectors = {name: stacked(parts) for name, parts in rows.vectors.items()}
    found += stats_faults(
        dataset, {name: array for name, array in vectors.items() if array is not None}
    )
    return _shortened(found)


def _shortened(faults: list[Fault]) -> list[Fault]:
    kept: list[Fault] = []
    counts: dict[str, int] = {}
    for each in faults:
        counts[each.code] = counts.get(each.code, 0) + 1
        if counts[each.code] <= SHOWN:
            kept.append(each)
    kept += [
        fault(code, "further places", f"{number - SHOWN} more of the same kind")
        for code, number in counts.items()
        if number > SHOWN
    ]
    return kept
