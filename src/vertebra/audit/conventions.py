"""What a checkpoint itself says about its inputs, actions and normalisation."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vertebra.audit.checkpoint_files import CheckpointFiles
from vertebra.audit.tensors import WeightFile

SAID = {
    "chunk": ("chunk_size", "action_horizon", "horizon", "max_horizon", "n_future_actions"),
    "actions executed of a chunk": ("n_action_steps", "num_action_steps", "execution_horizon"),
    "past observations": ("n_obs_steps", "obs_horizon"),
    "action width": ("action_dim", "max_action_dim"),
    "state width": ("max_state_dim", "state_dim", "proprio_dim"),
    "denoising steps": ("num_inference_steps", "num_inference_timesteps", "num_steps"),
    "relative actions": ("use_relative_action", "use_relative_actions", "use_delta_joint_actions"),
    "state as text": ("discrete_state_input",),
    "image size": ("resize_imgs_with_padding", "image_resolution", "image_size", "crop_shape"),
    "layer that is read": ("select_layer",),
    "number type": ("dtype", "torch_dtype", "model_dtype"),
    "base model": ("_name_or_path", "vlm_model_name", "base_model_name_or_path", "pretrained_path"),
}
"""What to tell, and the keys under which configurations state it."""
STATISTICS = frozenset({"mean", "std", "min", "max", "q01", "q99", "q10", "q90", "count"})
NEEDED = {
    "MEAN_STD": ("mean", "std"),
    "MIN_MAX": ("min", "max"),
    "QUANTILES": ("q01", "q99"),
    "QUANTILE10": ("q10", "q90"),
}
NARROW = 1e-6
"""A range below this makes a division by it blow up."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Something that a file of the checkpoint says.

    Attributes:
        label: What it is about.
        value: What it says.
        source: Which file.
    """

    label: str
    value: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Statistics for normalising one vector.

    Attributes:
        of: What they are of, as the file calls it.
        kinds: Which there are, such as mean and std.
        width: Length of the vector; 0 when unknown.
        narrow: Dimensions that hardly vary: dividing by their range explodes.
        source: Which file.
    """

    of: str
    kinds: tuple[str, ...]
    width: int
    narrow: tuple[int, ...]
    source: str

    @property
    def of_actions(self) -> bool:
        """Whether they are of actions."""
        return "action" in self.of.lower()


@dataclass(frozen=True, kw_only=True)
class Conventions:
    """All that a checkpoint says of itself.

    Attributes:
        facts: Single statements.
        cameras: Names of images that it wants.
        statistics: What is there to normalise with.
        modes: (kind of vector, claimed normalisation).
    """

    facts: tuple[Fact, ...]
    cameras: tuple[str, ...]
    statistics: tuple[Statistics, ...]
    modes: tuple[tuple[str, str], ...]


def read_conventions(files: CheckpointFiles) -> Conventions:
    """Collect what the documents of a checkpoint say."""
    facts: list[Fact] = []
    cameras: list[str] = []
    modes: dict[str, str] = {}
    for name, document in files.documents.items():
        if not isinstance(document, dict) or name.rpartition("/")[2] not in (
            *("config.json", "train_config.json", "manifest.json", "adapter_config.json"),
        ):
            continue
        facts += _said(document, name)
        cameras += _cameras(document)
        mapping = document.get("normalization_mapping")
        modes.update(_texts(mapping) if isinstance(mapping, dict) else {})
    facts += _licences(files)
    return Conventions(
        facts=tuple(facts),
        cameras=tuple(dict.fromkeys(cameras)),
        statistics=tuple(_statistics(files)),
        modes=tuple(modes.items()),
    )


def _texts(mapping: Mapping[str, Any]) -> dict[str, str]:
    return {str(key): str(value).rpartition(".")[2] for key, value in mapping.items()}


def _said(document: Mapping[str, Any], source: str) -> Iterator[Fact]:
    for label, keys in SAID.items():
        for key in keys:
            if key in document and document[key] not in (None, ""):
                yield Fact(label=label, value=f"{key} = {document[key]}"[:200], source=source)
    outputs = document.get("output_features")
    for name, feature in (outputs if isinstance(outputs, dict) else {}).items():
        shape = feature.get("shape") if isinstance(feature, dict) else None
        yield Fact(label="output", value=f"{name} {shape}", source=source)
    makes = document.get("makes")
    if isinstance(makes, dict):
        for key in ("frame", "gripper", "rotation", "rate_hz"):
            yield Fact(label=f"actions: {key}", value=str(makes.get(key)), source=source)


def _cameras(document: Mapping[str, Any]) -> Iterator[str]:
    inputs = document.get("input_features")
    for name, feature in (inputs if isinstance(inputs, dict) else {}).items():
        if isinstance(feature, dict) and feature.get("type") == "VISUAL":
            yield str(name)
    needs = document.get("needs")
    listed = needs.get("cameras") if isinstance(needs, dict) else None
    for camera in listed if isinstance(listed, list) else ():
        if isinstance(camera, dict) and "name" in camera:
            yield str(camera["name"])


def _licences(files: CheckpointFiles) -> Iterator[Fact]:
    for name, text in files.texts.items():
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if name.rpartition("/")[2].upper().startswith("LICENSE") and lines:
            yield Fact(label="licence", value=lines[0][:120], source=name)
        for line in lines:
            if line.lower().startswith(("license:", "license_name:")):
                yield Fact(label="licence", value=line.partition(":")[2].strip(), source=name)


def _statistics(files: CheckpointFiles) -> Iterator[Statistics]:
    for name, document in files.documents.items():
        base = name.rpartition("/")[2].lower()
        if "stat" in base or "norm" in base or base in ("metadata.json", "config.json"):
            yield from _in_document("", document, name, 8)
        if base == "manifest.json" and isinstance(document, dict):
            yield from _own(document, name)
    for file in (*files.normalisers, *(file for b in files.bundles for file in b.files)):
        yield from _in_tensors(file, file.path.relative_to(files.root).as_posix())


def _in_document(of: str, value: Any, source: str, depth: int) -> Iterator[Statistics]:
    """Tables of mean, std and so on, at any depth, or keys such as `actions_min`."""
    if not isinstance(value, dict) or depth == 0:
        return
    here = {str(key): item for key, item in value.items() if isinstance(item, (list, int, float))}
    direct = {key: here[key] for key in here if key in STATISTICS}
    if len(direct) >= 2:
        yield _table(of or "the file", direct, source)
    flat: dict[str, dict[str, Any]] = {}
    for key, item in here.items():
        stem, _, kind = key.rpartition("_")
        if stem and kind in STATISTICS:
            flat.setdefault(stem, {})[kind] = item
    for stem, table in flat.items():
        yield _table(f"{of}.{stem}".strip("."), table, source)
    for key, item in value.items():
        yield from _in_document(f"{of}.{key}".strip("."), item, source, depth - 1)


def _table(of: str, table: Mapping[str, Any], source: str) -> Statistics:
    widths = [len(item) for item in table.values() if isinstance(item, list)]
    return Statistics(
        of=of,
        kinds=tuple(sorted(table)),
        width=max(widths, default=0),
        narrow=tuple(_narrow(table)),
        source=source,
    )


def _narrow(table: Mapping[str, Any]) -> Iterable[int]:
    """Dimensions whose deviation, range or quantile range is next to nothing."""
    found: set[int] = set()
    for low, high in (("min", "max"), ("q01", "q99")):
        ends = zip(_numbers(table.get(low)), _numbers(table.get(high)), strict=False)
        found |= {i for i, (a, b) in enumerate(ends) if b - a < NARROW}
    found |= {i for i, d in enumerate(_numbers(table.get("std"))) if d < NARROW}
    return sorted(found)


def _numbers(value: Any) -> list[float]:
    """A flat list of numbers; empty for anything else."""
    found = value if isinstance(value, list) else []
    return found if all(isinstance(item, (int, float)) for item in found) else []


def _own(document: Mapping[str, Any], source: str) -> Iterator[Statistics]:
    for key in ("action_normaliser", "state_normaliser"):
        found = document.get(key)
        if isinstance(found, dict):
            scale = found.get("scale")
            yield Statistics(
                of=key,
                kinds=(str(found.get("scaling")),),
                width=len(scale) if isinstance(scale, list) else 0,
                narrow=(),
                source=source,
            )


def _in_tensors(file: WeightFile, source: str) -> Iterator[Statistics]:
    """Statistics kept as tensors: `action.mean`, or `unnormalize_outputs.buffer_action.std`."""
    found: dict[str, dict[str, int]] = {}
    for tensor in file.tensors:
        of, _, kind = tensor.name.rpartition(".")
        inside = file.path.name.count("normalizer") or "normalize_" in of
        if inside and kind in STATISTICS:
            found.setdefault(of, {})[kind] = tensor.shape[-1] if tensor.shape else 1
    for of, kinds in found.items():
        yield Statistics(
            of=of, kinds=tuple(sorted(kinds)), width=max(kinds.values()), narrow=(), source=source
        )
