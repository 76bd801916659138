"""What stands beside the weights of a GR00T N1.7: its robots, their statistics, its pictures.

Source: lerobot @ 7427f318 src/lerobot/policies/groot/{processor_groot,utils}.py.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vertebra.data.statistics import Scaling
from vertebra.policy.adapt_groot import Framing
from vertebra.policy.released_conventions import Stated, VectorStatistics, vector_statistics
from vertebra.policy.released_statistics import one_file, part_of

PROCESSOR, STATISTICS, ROBOTS = "processor_config.json", "statistics.json", "embodiment_id.json"


@dataclass(frozen=True, kw_only=True)
class GrootBeside:
    """What the files beside the weights say of one robot.

    Attributes:
        stated: Its cameras and statistics.
        robot: The number of its weights.
        framing: How pictures are brought to size.
        scaling: How its vectors are normalised; states beyond the range are cut off.
    """

    stated: Stated
    robot: int
    framing: Framing
    scaling: Scaling


def groot_beside(weights: Path, tag: str) -> GrootBeside:
    """What stands beside the weights.

    Args:
        weights: The directory.
        tag: What the release calls the robot, such as ``libero_sim``.

    Raises:
        ValueError: When a file is missing, does not know the robot, or asks for what is not here.
    """
    found: dict[str, Any] = {}
    for name in (PROCESSOR, STATISTICS, ROBOTS):
        path = one_file(weights, name, "GR00T N1.7")
        found[name] = json.loads(path.read_text())
    asked: Mapping[str, Any] = found[PROCESSOR]["processor_kwargs"]
    known = {
        PROCESSOR: asked["modality_configs"],
        STATISTICS: found[STATISTICS],
        ROBOTS: found[ROBOTS],
    }
    strange = [f"{name} knows {sorted(of)}" for name, of in known.items() if tag not in of]
    if strange:
        raise ValueError(f"{weights} has no robot '{tag}': " + "; ".join(strange) + ".")
    parts = asked["modality_configs"][tag]
    reps = [one["rep"] for one in parts["action"].get("action_configs") or []]
    relative = bool(asked.get("use_relative_action")) and "RELATIVE" in map(str.upper, reps)
    if relative:
        raise ValueError(
            f"Actions of '{tag}' are relative to the state, with statistics for every step of a "
            "chunk: that is not read here."
        )
    if not asked.get("clip_outliers", True):
        raise ValueError(f"States of '{tag}' beyond their range are not cut off: here they are.")
    return GrootBeside(
        stated=Stated(
            source=f"GR00T N1.7, {STATISTICS} and {PROCESSOR}, robot {tag}",
            cameras=tuple(parts["video"]["modality_keys"]),
            state=_joined(found[STATISTICS][tag], "state", parts, weights),
            action=_joined(found[STATISTICS][tag], "action", parts, weights),
            relative=relative,
        ),
        robot=int(found[ROBOTS][tag]),
        framing=_framing(asked),
        scaling=Scaling.QUANTILES if asked.get("use_percentiles") else Scaling.MIN_MAX,
    )


def _joined(
    statistics: Mapping[str, Any], of: str, parts: Mapping[str, Any], weights: Path
) -> VectorStatistics:
    """Statistics of all parts of a vector, in the order in which they stand in it."""
    path = weights / STATISTICS
    tables: dict[str, list[float]] = {}
    names: list[str] = []
    for key in parts[of]["modality_keys"]:
        one = vector_statistics(f"{of}.{key}", part_of(part_of(statistics, of, path), key, path))
        count = one.width
        names += [key] if count == 1 else [f"{key}_{i}" for i in range(count)]
        for kind, numbers in one.tables.items():
            tables.setdefault(kind, []).extend(numbers)
    return vector_statistics(of, tables, names)


def _framing(asked: Mapping[str, Any]) -> Framing:
    target, crop = asked.get("image_target_size"), asked.get("image_crop_size")
    if not target or target[0] != target[1] or asked.get("letter_box_transform"):
        raise ValueError(
            f"Pictures are made {target}, letter box {bool(asked.get('letter_box_transform'))}: "
            "only squares without one are read here."
        )
    share = asked.get("crop_fraction")
    if share is None:
        share = crop[0] / target[0] if crop else 1.0
    return Framing(edge=int(target[0]), kept=float(share))
