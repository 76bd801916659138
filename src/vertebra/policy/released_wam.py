"""Released world-action models from a directory: read, checked against the recipe, and loaded."""

from dataclasses import replace
from pathlib import Path

from vertebra.backbones.cosmos import CosmosSizes
from vertebra.policy import adapt_cosmos_policy, adapt_dreamzero, adapt_lingbot_va
from vertebra.policy.adapt_cosmos_policy import COSMOS_POLICY, cosmos_policy_body
from vertebra.policy.adapt_dreamzero import dreamzero_body, dreamzero_sizes
from vertebra.policy.adapt_lingbot_va import lingbot_va_body, lingbot_va_sizes
from vertebra.policy.latent_senses import Look
from vertebra.policy.network import Network
from vertebra.policy.released import configuration, directory_of, fill_with, read_weights
from vertebra.policy.released_conventions import Robot, require_conventions
from vertebra.policy.settings_wam import (
    DreamZeroSetting,
    LingBotVaSetting,
    cosmos_policy_stated,
    dreamzero_stated,
)
from vertebra.policy.shape import Shape
from vertebra.policy.wan_parts import Encode, Texts


def load_lingbot_va(
    shape: Shape,
    directory: Path,
    setting: LingBotVaSetting,
    *,
    robot: Robot,
    encode: Encode,
    texts: Texts,
) -> Network:
    """A LingBot-VA with released weights.

    Args:
        shape: Recipe, size (with latents) and the robot, whose actions are spread over all channels
            (``LingBotVaSetting.spread``).
        directory: The pipeline's directory (with ``transformer``), or that of LeRobot's policy.
        setting: The robot that it was trained on.
        robot: The robot at hand, and which of its cameras is which.
        encode: All cameras side by side to latents (``adapt_lingbot_va.beside`` and ``over``).
        texts: The text encoder: words to states.

    Raises:
        ValueError: When there are no weights, they use other channels, or the recipe cannot stand
            on them.
        SpecMismatch: Naming every weight that is missing, left over or of another shape, or in what
            cameras and statistics are those of another robot.
    """
    inside = directory / "transformer"
    where = directory_of(inside if inside.is_dir() else directory)
    sizes = lingbot_va_sizes(configuration(where))
    if sizes.used not in ((), setting.used):
        raise ValueError(
            f"{where} uses the channels {list(sizes.used)}, {setting.name} has "
            f"{list(setting.used)}: they are of another robot."
        )
    require_conventions(setting.stated, robot)
    wanted = (robot.needs, setting.spread(robot.makes, sizes.actions))
    if (shape.needs, shape.makes) != wanted:
        raise ValueError("The robot has another observation or action than the shape.")
    sizes = replace(sizes, used=setting.used)
    network = Network(shape, lingbot_va_body(shape, sizes, encode, texts))
    weights = adapt_lingbot_va.renamed(read_weights(where), shape.recipe.table)
    fill_with(network, weights, str(where))
    return network


def load_dreamzero(
    shape: Shape,
    directory: Path,
    setting: DreamZeroSetting,
    *,
    robot: Robot,
    encode: Encode,
    look: Look,
    texts: Texts,
) -> Network:
    """A DreamZero with released weights.

    Args:
        shape: Recipe, size (with latents) and the robot, whose actions are filled up.
        directory: With ``config.json``, weights as safetensors and ``experiment_cfg``.
        setting: The robot that it was trained on.
        robot: The robot at hand, and which of its cameras is which.
        encode: All cameras side by side to latents (``dreamzero_parts.droid`` lays them out).
        look: All cameras side by side to states of the picture encoder.
        texts: The text encoder: words, as ``setting.words`` says them, to states.

    Raises:
        ValueError: When there are no weights or statistics, or the recipe cannot stand on them.
        SpecMismatch: Naming every weight that is missing, left over or of another shape, or in what
            cameras and statistics are those of another robot.
    """
    where = directory_of(directory)
    sizes = dreamzero_sizes(configuration(where))
    require_conventions(dreamzero_stated(where, setting), robot)
    own = shape.makes.dims[: len(robot.makes.dims)]
    if (shape.needs, own) != (robot.needs, robot.makes.dims):
        raise ValueError("The robot has another observation or action than the shape.")
    network = Network(shape, dreamzero_body(shape, sizes, encode=encode, look=look, texts=texts))
    weights = adapt_dreamzero.renamed(read_weights(where), shape.recipe.table)
    fill_with(network, weights, str(where))
    return network


def load_cosmos_policy(
    shape: Shape,
    directory: Path,
    cameras: tuple[str, ...],
    *,
    robot: Robot,
    encode: Encode,
    texts: Texts,
    sizes: CosmosSizes = COSMOS_POLICY,
) -> Network:
    """A Cosmos Policy with released weights.

    Args:
        shape: Recipe, size (with latents) and robot.
        directory: With weights as safetensors, under Cosmos Policy's own names, and its statistics.
        cameras: What it calls its cameras, in the order of the clip; no file says it.
        robot: The robot of the shape, and which of its cameras is which.
        encode: A clip to latents.
        texts: The text encoder: words to states.
        sizes: Widths; they are stated in no file beside the weights.

    Raises:
        ValueError: When there are no weights or statistics, or the recipe cannot stand on them.
        SpecMismatch: Naming every weight that is missing, left over or of another shape, or in what
            cameras and statistics are those of another robot.
    """
    if (robot.needs, robot.makes) != (shape.needs, shape.makes):
        raise ValueError("The robot has another observation or action than the shape.")
    require_conventions(cosmos_policy_stated(directory, cameras), robot)
    network = Network(shape, cosmos_policy_body(shape, sizes, encode, texts))
    fill_with(network, adapt_cosmos_policy.renamed(read_weights(directory)), str(directory))
    return network
