"""Released models from directories: found, compared with what they should be, and stood on."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vertebra.backbones.families import family_of
from vertebra.backbones.trunk import WHAT, Standing, Trunk
from vertebra.backbones.weight_files import WeightFiles, hash_of, licence_of, weight_files
from vertebra.policy import open_video
from vertebra.policy.checkpoint import our_names
from vertebra.policy.network import Network
from vertebra.policy.open_vlm import vlm_parts
from vertebra.policy.released import directory_of, library_of, read_weights
from vertebra.policy.resize import resized
from vertebra.policy.shape import Shape
from vertebra.policy.stand import standing_body, standing_size
from vertebra.policy.stand_video import VideoParts
from vertebra.policy.stand_vlm import Reader, VlmParts, own_layers
from vertebra.spec.errors import SpecMismatch

What = Literal["vlm", "video"]
ALONE = {
    "layers.": "attention.experts.vlm.",
    "closing.": "attention.norms.vlm.",
    "table.": "senses.reader.table.",
    "eyes.": "senses.reader.eyes.",
}
BESIDE = {
    **ALONE,
    "layers.": "senses.understanding.trunk.experts.vlm.",
    "closing.": "senses.understanding.trunk.norms.vlm.",
}
VIDEO = {
    "layers.": "attention.experts.video.",
    "closing.": "attention.norms.video.",
    "tokens.": "inputs.future.",
    "velocity.": "outputs.future.",
    "told.": "conditions.video.",
}
"""Where the parts of a model stand in a network."""
LORA = r"(?:[qkvo]_proj|(?:gate|up|down)_proj|to_[qkv]|to_out\.0|net\.0\.proj|net\.2)"
"""Linear maps inside the layers of a trunk that small matrices stand beside."""


def find_trunk(
    where: str, what: What, *, layers: int | None = None, download: bool = False
) -> Trunk:
    """A released model as it lies in a directory; its weights are compared, not loaded.

    Args:
        where: A directory in the library's own format, or the name of a model on the hub.
        what: ``vlm`` or ``video``.
        layers: How many of its layers are used; all of them when left out.
        download: Whether to fetch what is not on this machine.

    Raises:
        MissingExtra: Without the libraries.
        ValueError: When there is none, it is of another kind or family, or its parts do not fit.
        SpecMismatch: Naming every weight that is missing, left over or of another shape.
    """
    directory = directory_of(where, download=download, index=INDEX[what]).resolve()
    config = json.loads((directory / INDEX[what]).read_text())
    family = family_of(config, what, str(directory))
    parts = _parts(directory, what, family.name, None)
    if layers is not None and not 0 < layers <= parts.sizes.layers:
        raise ValueError(f"{where} has {parts.sizes.layers} layers; {layers} cannot be used.")
    found = weight_files(_own(directory, what))
    _require_fit(_shapes(parts), found, parts.rename, what)
    files = [path for part in _all(directory, what) for path in weight_files(part).files]
    return Trunk(
        what=what,
        family=family.name,
        where=str(directory),
        sha256=hash_of(files),
        parameters=sum(weight_files(part).parameters for part in _all(directory, what)),
        width=parts.sizes.width,
        layers=layers or parts.sizes.layers,
        licence=licence_of(directory),
    )


INDEX: Mapping[str, str] = {"vlm": "config.json", "video": "transformer/config.json"}
"""The file that says what a model is."""


def _own(directory: Path, what: str) -> Path:
    return directory / "transformer" if what == "video" else directory


def _all(directory: Path, what: str) -> list[Path]:
    """Directories of weights that decide what a policy does."""
    if what == "vlm":
        return [directory]
    return [directory / part for part in open_video.PARTS if part != "tokenizer"]


def _parts(directory: Path, what: str, family: str, kept: Path | None) -> Any:
    if what == "vlm":
        return vlm_parts(directory, family)
    missing = [part for part in open_video.PARTS if not (directory / part).is_dir()]
    if missing:
        raise ValueError(
            f"{directory} is no whole video model: {', '.join(missing)} missing. Give the "
            "directory of a pipeline, as diffusers saves it."
        )
    return open_video.OPEN[family](directory, kept)


def _shapes(parts: VlmParts | VideoParts) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights that a model should have; nothing is allocated."""
    with torch.device("meta"):
        match parts:
            case VlmParts():
                layers, closing = own_layers(parts)
                whole = nn.ModuleDict({"layers": layers, "closing": closing})
                reader = {f"{n}": v for n, v in Reader(parts, ()).state_dict().items()}
            case VideoParts(sizes=sizes, modules=make):
                whole = nn.ModuleDict(
                    {
                        "layers": make.layers(sizes),
                        "closing": make.closing(sizes),
                        "tokens": make.tokens(sizes),
                        "velocity": make.velocity(sizes),
                        "told": make.told(sizes),
                    }
                )
                reader = {}
    return {name: tuple(value.shape) for name, value in {**whole.state_dict(), **reader}.items()}


def _require_fit(
    wanted: Mapping[str, tuple[int, ...]],
    found: WeightFiles,
    rename: Callable[[str], str | None],
    what: str,
) -> None:
    """Refuse weights that are not those of the configuration, from their headers.

    Raises:
        SpecMismatch: Naming every difference.
    """
    ours, differences = our_names(found.shapes, rename)
    differences += [f"no tensor for '{name}'" for name in wanted if name not in ours]
    differences += [
        f"tensor '{theirs}' is not part of its configuration"
        for own, theirs in ours.items()
        if own not in wanted
    ]
    differences += [
        f"tensor '{theirs}' has shape {list(found.shapes[theirs])}, its configuration says "
        f"{list(wanted[own])}"
        for own, theirs in ours.items()
        if own in wanted and wanted[own] != found.shapes[theirs]
    ]
    if differences:
        shown = differences[:20]
        more = len(differences) - len(shown)
        raise SpecMismatch(
            f"The weights in {found.directory} are not those of the {WHAT[what]} that its "
            "configuration describes:\n  - "
            + "\n  - ".join(shown)
            + (f"\n  and {more} more" if more else "")
        )


def require_unchanged(standing: Standing) -> None:
    """Refuse models that are not those that were locked.

    Raises:
        ValueError: Naming each that is missing or has other weights.
    """
    found: list[str] = []
    for one in standing.trunks:
        directory = Path(one.where)
        if not (directory / INDEX[one.what]).is_file():
            found.append(f"{one.family} was in {directory}, and is not there")
            continue
        files = [path for part in _all(directory, one.what) for path in weight_files(part).files]
        if (seen := hash_of(files)) != one.sha256:
            found.append(f"{one.family} in {directory} has SHA-256 {seen}, locked was {one.sha256}")
    if found:
        raise ValueError(
            "Released models are not those that this was locked on; restore them:\n  - "
            + "\n  - ".join(found)
        )


def stand(
    shape: Shape, standing: Standing, *, kept: Path | None = None, fill: bool = True
) -> Network:
    """A network on released models.

    Args:
        shape: Recipe, named size and robot; widths follow from the models.
        standing: The models, and how their weights are trained.
        kept: Where latents of pictures are kept.
        fill: Whether to read the released weights; not when others will be put in their place.

    Raises:
        ValueError: When the recipe cannot stand on them, or they are not those that were locked.
    """
    own = standing.under(shape.recipe.backbone)
    require_unchanged(own)
    vlm: VlmParts | None = None
    video: VideoParts | None = None
    if own.vlm is not None:
        vlm = vlm_parts(Path(own.vlm.where), own.vlm.family, own.vlm.layers)
    if own.video is not None:
        video = _parts(Path(own.video.where), "video", own.video.family, kept)
    shape = replace(shape, size=standing_size(shape.size, shape, vlm, video))
    network = Network(shape, standing_body(shape, own, vlm, video))
    if fill:
        _fill(network, own, vlm, video)
    _tune(network, own)
    return network


@torch.no_grad()
def _fill(
    network: Network, standing: Standing, vlm: VlmParts | None, video: VideoParts | None
) -> None:
    weights: dict[str, Tensor] = {}
    if vlm is not None and standing.vlm is not None:
        places = ALONE if video is None else BESIDE
        weights |= _placed(Path(standing.vlm.where), vlm.rename, places, vlm.sizes.layers)
    if video is not None and standing.video is not None:
        directory = Path(standing.video.where) / "transformer"
        weights |= _placed(directory, video.rename, VIDEO, video.sizes.layers)
    own = network.state_dict()
    wanted = {name for name in own if name.startswith(network.loaded)}
    if wanted != set(weights):
        raise AssertionError(f"weights and body differ: {sorted(wanted ^ set(weights))[:5]}")
    if video is not None:
        for name in set(network.attention.experts) - {"video"}:
            weights |= _begun(own, weights, name)
    network.load_state_dict(weights, strict=False)


def _placed(
    directory: Path, rename: Callable[[str], str | None], places: Mapping[str, str], layers: int
) -> dict[str, Tensor]:
    """Released weights under the names of a network; layers that are cut off are left out."""
    found: dict[str, Tensor] = {}
    for name, value in read_weights(directory).items():
        ours = rename(name)
        if ours is None:
            continue
        part, _, rest = ours.partition(".")
        if part == "layers" and int(rest.partition(".")[0]) >= layers:
            continue
        found[places[f"{part}."] + rest] = value
    return found


def _begun(
    own: Mapping[str, Tensor], weights: Mapping[str, Tensor], expert: str
) -> dict[str, Tensor]:
    """What an expert beside the video starts from: the video's layers, made narrower."""
    found: dict[str, Tensor] = {}
    for part in ("attention.experts.", "attention.norms.", "conditions."):
        for name, value in own.items():
            if name.startswith(f"{part}{expert}."):
                source = weights[name.replace(f"{part}{expert}.", f"{part}video.", 1)]
                found[name] = resized(source, value.shape)
    return found


def _tune(network: Network, standing: Standing) -> None:
    """Freeze what is not trained, and put small matrices beside it where that is asked for."""
    tuning = standing.tuning
    network.attention.recompute = tuning.recompute
    if tuning.tune == "full":
        return
    if tuning.tune == "lora":
        trunks = "|".join(
            name.replace(".", r"\.")
            for name in network.loaded
            if "experts" in name or "trunk" in name
        )
        library = library_of("peft", "Small matrices beside frozen weights (LoRA)")
        config = library.LoraConfig(
            r=tuning.rank, lora_alpha=tuning.rank, target_modules=rf"(?:{trunks}).*\.{LORA}"
        )
        library.inject_adapter_in_model(config, network)
    for name, value in network.named_parameters():
        value.requires_grad_(not network.is_released(name))
