"""Released policies from a directory: read, checked against the recipe, and loaded."""

import importlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor, nn

from vertebra.backbones.weight_files import weight_files
from vertebra.policy import adapt_fast_wam, adapt_groot, adapt_pi05
from vertebra.policy.adapt_fast_wam import FastWamSizes, fast_wam_body
from vertebra.policy.adapt_groot import COSMOS_REASON2, groot_body, groot_release
from vertebra.policy.adapt_pi0 import Prompts, even_rows, pi0_body, renamed
from vertebra.policy.adapt_pi05 import StatePrompts, pi05_body
from vertebra.policy.checkpoint import tensor_differences
from vertebra.policy.network import Network
from vertebra.policy.released_conventions import Robot, require_conventions
from vertebra.policy.released_groot import groot_beside
from vertebra.policy.released_pi import PALIGEMMA, PaliGemma, pi_release
from vertebra.policy.released_statistics import fast_wam_stated
from vertebra.policy.shape import Shape
from vertebra.policy.stand_eyes import MergedEyes
from vertebra.policy.wan_parts import Encode, Texts
from vertebra.spec.errors import MissingExtra, SpecMismatch

NEW = ("pointing.", "point.")
"""Parts that no released policy has; they start with new weights."""


def load_pi0(
    shape: Shape, where: str | Path, *, base: PaliGemma = PALIGEMMA, download: bool = False
) -> Network:
    """A pi0 with released weights.

    Args:
        shape: Recipe, size and robot.
        where: A directory in the format of transformers, openpi or LeRobot (``config.json``,
            ``*.safetensors``), with PaliGemma's tokenizer in it, or the name of one on the hub.
        base: What openpi and LeRobot do not say of the PaliGemma.
        download: Whether to fetch what is not on this machine; else only its cache is looked at.

    Raises:
        MissingExtra: Without transformers.
        ValueError: When there is no such policy, or the recipe cannot stand on it.
        SpecMismatch: Naming every weight that is missing, left over or of another shape.
    """
    directory = directory_of(where, download=download)
    release = pi_release(configuration(directory), "pi0", base)
    tower, prompts = picture_tower(release.vision), library_prompts(directory)
    network = Network(shape, pi0_body(shape, release.sizes, tower, prompts))
    fill_with(network, renamed(read_weights(directory, release.files)), str(directory))
    return network


def load_pi05(
    shape: Shape,
    where: str | Path,
    *,
    says_state: bool,
    base: PaliGemma = PALIGEMMA,
    download: bool = False,
) -> Network:
    """A pi0.5 with released weights.

    Args:
        shape: Recipe, size and robot.
        where: A directory in the format of openpi or LeRobot, as for ``load_pi0``.
        says_state: Whether the prompt says the state.
        base: What the format does not say of the PaliGemma.
        download: Whether to fetch what is not on this machine; else only its cache is looked at.

    Raises:
        MissingExtra: Without transformers.
        ValueError: When there is no such policy, or the recipe cannot stand on it.
        SpecMismatch: Naming every weight that is missing, left over or of another shape.
    """
    directory = directory_of(where, download=download)
    release = pi_release(configuration(directory), "pi05", base)
    tokenizer = tokenizer_of(directory)
    prompts = StatePrompts(
        split=lambda text: tokenizer(text, add_special_tokens=False)["input_ids"],
        begin=tokenizer.bos_token_id,
        says_state=says_state,
    )
    body = pi05_body(shape, release.sizes, picture_tower(release.vision), prompts)
    network = Network(shape, body)
    weights = adapt_pi05.renamed(read_weights(directory, release.files))
    fill_with(network, weights, str(directory))
    return network


def directory_of(where: str | Path, *, download: bool = False, index: str = "config.json") -> Path:
    """A directory of a released model, on this machine.

    Args:
        where: The directory, or a name on the hub.
        download: Whether to fetch what is not here.
        index: The file that says what it is.

    Raises:
        MissingExtra: For a name on the hub, without the client of the hub.
        ValueError: When there is none.
    """
    if Path(where).is_dir():
        if not (Path(where) / index).exists():
            raise ValueError(f"{where} holds no {index}: it is not a released model.")
        return Path(where)
    hub = library_of("huggingface_hub", "Finding a model on the hub")
    try:
        return Path(hub.snapshot_download(str(where), local_files_only=not download))
    except (hub.errors.HfHubHTTPError, hub.errors.LocalEntryNotFoundError, ValueError) as error:
        raise ValueError(
            f"'{where}' is neither a directory nor a model in the cache of the hub. Nothing was "
            "downloaded; ask for it, or give a directory."
        ) from error


def configuration(directory: Path) -> dict[str, Any]:
    """The ``config.json`` of a released model.

    Raises:
        ValueError: When there is none.
    """
    path = directory / "config.json"
    if not path.is_file():
        raise ValueError(f"{directory} holds no config.json: it is not a released model.")
    return json.loads(path.read_text())


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A model on the hub.

    Attributes:
        licence: As its card states it.
        gated: Whether its terms must be accepted first.
        bytes: Of all its files.
    """

    licence: str
    gated: bool
    bytes: int


def offer_of(where: str) -> Offer | None:
    """What the hub says of a model before it is downloaded; ``None`` for a directory.

    Raises:
        MissingExtra: Without the client of the hub.
        ValueError: When the hub has none of that name, or cannot be reached.
    """
    if Path(where).is_dir():
        return None
    hub = library_of("huggingface_hub", "Finding a model on the hub")
    try:
        known = hub.HfApi().model_info(where, files_metadata=True)
    except (hub.errors.HfHubHTTPError, OSError, ValueError) as error:
        raise ValueError(f"The hub tells nothing of '{where}' ({error}).") from error
    card = known.card_data or {}
    return Offer(
        licence=str(card.get("license") or ""),
        gated=bool(known.gated),
        bytes=sum(one.size or 0 for one in known.siblings or ()),
    )


def read_weights(directory: Path, files: str = "*.safetensors") -> dict[str, Tensor]:
    """All tensors of all safetensors files of a directory whose name fits a pattern.

    Raises:
        ValueError: When there are none, or an index names a file that is not there.
    """
    found: dict[str, Tensor] = {}
    for path in weight_files(directory, files).files:
        found |= load_file(path)
    return found


def load_fast_wam(
    shape: Shape,
    sizes: FastWamSizes,
    directory: Path,
    *,
    robot: Robot,
    encode: Encode,
    texts: Texts,
) -> Network:
    """A Fast-WAM with released weights.

    Args:
        shape: Recipe, size (with latents) and robot.
        sizes: Widths; they are stated in no file beside the weights.
        directory: A directory with the weights as safetensors, under Fast-WAM's own names, and its
            statistics.
        robot: The robot of the shape, and which of its cameras is which.
        encode: The video autoencoder: pictures to latents.
        texts: The text encoder: words to states.

    Raises:
        ValueError: When there are no weights or statistics, or the recipe cannot stand on them.
        SpecMismatch: Naming every weight that is missing, left over or of another shape, or in what
            cameras and statistics are those of another robot.
    """
    if (robot.needs, robot.makes) != (shape.needs, shape.makes):
        raise ValueError("The robot has another observation or action than the shape.")
    require_conventions(fast_wam_stated(directory), robot)
    network = Network(shape, fast_wam_body(shape, sizes, encode, texts))
    weights = adapt_fast_wam.renamed(read_weights(directory), shape.recipe.table)
    fill_with(network, weights, str(directory))
    return network


def load_groot(
    shape: Shape,
    directory: Path,
    tag: str,
    *,
    robot: Robot,
    base: Mapping[str, Any] = COSMOS_REASON2,
) -> Network:
    """A GR00T N1.7 with released weights.

    Args:
        shape: Recipe, size and robot; an action vector is as long as GR00T's.
        directory: ``config.json``, the weights as safetensors, what stands beside them, and the
            tokenizer of its language model.
        tag: What the release calls the robot.
        robot: The robot at hand.
        base: Configuration of the vision-language model that GR00T's own only names.

    Raises:
        MissingExtra: Without transformers.
        ValueError: When a file is missing, or the recipe cannot stand on it.
        SpecMismatch: Naming every weight that is missing, left over or of another shape, or in what
            cameras and statistics are those of another robot.
    """
    if robot.needs != shape.needs:
        raise ValueError("The robot has another observation than the shape.")
    groot = groot_release(configuration(directory_of(directory)), base)
    beside = groot_beside(directory, tag)
    require_conventions(beside.stated, robot)
    half = (0.5, 0.5, 0.5)
    eyes = MergedEyes(picture_tower(groot.vision), groot.vision, mean=half, deviation=half)
    if eyes.px != beside.framing.edge:
        raise ValueError(
            f"Pictures of {beside.framing.edge} pixels are asked for, {eyes.px} are read here."
        )
    tokenizer = tokenizer_of(directory)

    def split(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    body = groot_body(shape, groot, eyes, beside.framing, split, beside.robot)
    network = Network(shape, body)
    fill_with(network, adapt_groot.renamed(read_weights(directory)), str(directory))
    return network


def fill_with(network: Network, weights: Mapping[str, Tensor], source: str) -> None:
    """Put released weights into a network.

    Raises:
        SpecMismatch: Naming every weight that is missing, left over or of another shape.
    """
    own = network.state_dict()
    wanted = {name: value for name, value in own.items() if not name.startswith(NEW)}
    differences = tensor_differences(wanted, weights)
    if differences:
        raise SpecMismatch(
            f"The weights in {source} do not fit the recipe "
            f"'{network.shape.recipe.name}':\n  - " + "\n  - ".join(differences)
        )
    network.load_state_dict(dict(weights), strict=False)


def library_prompts(directory: Path) -> Prompts:
    """Prompts as pi0 was trained with: the instruction on one line, by the released tokenizer.

    A tokenizer without a token for beginnings begins with the first word.

    Source: openpi @ 15a9616 src/openpi/models/tokenizer.py (PaligemmaTokenizer).
    """
    tokenizer = tokenizer_of(directory)
    opening = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]

    def prompts(instructions: Sequence[str]) -> tuple[Tensor, Tensor]:
        return even_rows(
            [
                [
                    *opening,
                    *tokenizer(
                        text.strip().replace("_", " ").replace("\n", " ") + "\n",
                        add_special_tokens=False,
                    )["input_ids"],
                ]
                for text in instructions
            ]
        )

    return prompts


def tokenizer_of(directory: Path) -> Any:
    """The tokenizer in a directory.

    Raises:
        MissingExtra: Without transformers.
        ValueError: When there is none.
    """
    library = library_of("transformers", "Reading instructions as a released model does")
    try:
        return library.AutoTokenizer.from_pretrained(directory, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{directory} holds no tokenizer ({error}). Put that of its language model there "
            "(tokenizer.json and tokenizer_config.json); openpi and LeRobot keep it elsewhere."
        ) from error


def library_config(directory: Path) -> dict[str, Any]:
    """A model's configuration as transformers reads it: defaults filled in, old names made new.

    Raises:
        MissingExtra: Without transformers.
        ValueError: When the library does not accept it.
    """
    library = library_of("transformers", "Reading the configuration of a released model")
    hub = library_of("huggingface_hub", "Reading the configuration of a released model")
    try:
        return library.AutoConfig.from_pretrained(directory, local_files_only=True).to_dict()
    except (hub.errors.StrictDataclassError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{directory}/config.json cannot be read: {error}") from error


def picture_tower(config: Mapping[str, Any]) -> nn.Module:
    """The picture encoder of a released model, with new weights.

    Raises:
        MissingExtra: Without transformers.
    """
    library = library_of("transformers", "The picture encoder of a released model")
    plain = {name: value for name, value in config.items() if name != "model_type"}
    kind = library.AutoConfig.for_model(config["model_type"], **plain)
    return library.AutoModel.from_config(kind)


def library_of(name: str, what: str) -> Any:
    """An optional library.

    Raises:
        MissingExtra: When it is not installed; ``what`` says what for.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own affairs, at import
            library = importlib.import_module(name)
            if name in ("transformers", "diffusers"):
                library.utils.logging.disable_progress_bar()
            return library
    except ImportError as error:
        raise MissingExtra(what, "backbones") from error
