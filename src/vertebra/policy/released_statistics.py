"""Statistics beside released weights, in the formats in which they are written.

Source: openpi @ 15a9616 src/openpi/shared/normalize.py; lerobot 0.4.4 src/lerobot/processor/
    {pipeline,normalize_processor}.py; FastWAM @ 45d8e14 src/fastwam/datasets/lerobot/utils/
    normalizer.py and configs/data/libero_2cam.yaml.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from vertebra.policy.released_conventions import Stated, VectorStatistics, vector_statistics

OPENPI = "norm_stats.json"
OPENPI_IMAGES = ("base_0_rgb", "left_wrist_0_rgb", "right_wrist_0_rgb")
"""Images of every openpi policy; all but the first are masked where they are missing
(src/openpi/models/model.py, IMAGE_KEYS)."""
LEROBOT = "policy_preprocessor.json"
FAST_WAM = "dataset_stats.json"
FAST_WAM_IMAGES = ("image", "wrist_image")
"""In the order in which they lie side by side, for LIBERO."""


def openpi_stated(weights: Path) -> Stated:
    """What stands beside weights of openpi, or of the same weights in transformers' format.

    Raises:
        ValueError: When there is no such file, several, or one without states or actions.
    """
    path = one_file(weights, OPENPI, "openpi, at its top or under assets", "assets/**/")
    plain = json.loads(path.read_text())
    plain = plain.get("norm_stats", plain)
    return Stated(
        source=f"openpi, {path.name}",
        cameras=OPENPI_IMAGES,
        spare=frozenset(OPENPI_IMAGES[1:]),
        state=vector_statistics("state", part_of(plain, "state", path)),
        action=vector_statistics("actions", part_of(plain, "actions", path)),
    )


def lerobot_stated(weights: Path, config: Mapping[str, Any]) -> Stated:
    """What LeRobot's ``config.json`` and the pipeline beside it say.

    Raises:
        ValueError: When the pipeline, its normaliser or a part of it is not there.
    """
    path = one_file(weights, LEROBOT, "LeRobot")
    steps: list[Mapping[str, Any]] = json.loads(path.read_text())["steps"]
    files = [
        str(step["state_file"])
        for step in steps
        if step.get("registry_name") == "normalizer_processor" and "state_file" in step
    ]
    if len(files) != 1:
        raise ValueError(f"{path} must have one normaliser with a file of its own, found {files}.")
    tables: dict[str, dict[str, Any]] = {}
    for name, value in load_file(weights / files[0]).items():
        of, _, kind = name.rpartition(".")
        tables.setdefault(of, {})[kind] = value.double().tolist()
    images = [
        str(name)
        for name, feature in config["input_features"].items()
        if feature["type"] == "VISUAL"
    ]
    return Stated(
        source=f"LeRobot, config.json and {files[0]}",
        cameras=tuple(images),
        spare=frozenset(name for name in images if ".empty_camera_" in name),
        state=vector_statistics(
            "observation.state", part_of(tables, "observation.state", weights / files[0])
        ),
        action=vector_statistics(
            "action",
            part_of(tables, "action", weights / files[0]),
            config.get("action_feature_names") or (),
        ),
        relative=config.get("use_relative_actions"),
    )


def fast_wam_stated(weights: Path) -> Stated:
    """What stands beside weights of a Fast-WAM.

    Raises:
        ValueError: When there is no such file, or it holds several states or actions.
    """
    path = one_file(weights, FAST_WAM, "Fast-WAM")
    plain = json.loads(path.read_text())
    return Stated(
        source=f"Fast-WAM, {path.name}",
        cameras=FAST_WAM_IMAGES,
        state=_fast_wam(plain, "state", path),
        action=_fast_wam(plain, "action", path),
    )


def _fast_wam(plain: Mapping[str, Any], of: str, path: Path) -> VectorStatistics:
    parts = part_of(plain, of, path)
    if len(parts) != 1:
        raise ValueError(f"{path} holds {len(parts)} kinds of {of}: {sorted(parts)}; one is read.")
    (own,) = parts.values()
    whole = {
        kind.removeprefix("global_"): table
        for kind, table in own.items()
        if kind.startswith("global_")
    }
    return vector_statistics(of, whole)


def one_file(weights: Path, name: str, whose: str, *below: str) -> Path:
    """The one file of that name.

    Args:
        weights: The directory.
        name: Of the file.
        whose: In which format it is, for the message.
        below: Beginnings of patterns of other places where it may lie.

    Raises:
        ValueError: When there is none, or there are several.
    """
    found = sorted({path for start in ("", *below) for path in weights.glob(start + name)})
    if len(found) != 1:
        what = ", ".join(map(str, found)) or "none"
        raise ValueError(
            f"{weights} must hold one {name} (of {whose}), found {what}. Without it states and "
            "actions would have other units."
        )
    return found[0]


def part_of(plain: Mapping[str, Any], key: str, path: Path) -> Mapping[str, Any]:
    """One entry of a file.

    Raises:
        ValueError: When it is not there.
    """
    own = plain.get(key)
    if not isinstance(own, Mapping):
        raise ValueError(f"The statistics in {path.name} hold no '{key}', only {sorted(plain)}.")
    return own
