"""LingBot-VA on Wan: the body of a released policy, and the names of its weights.

One trunk serves pictures and actions; only what goes in, what comes out and how the flow time is
told differ. The noise level is one minus our flow time, and the velocity points from data to noise;
both are turned round here, so that weights stay as they were released.

Source: lingbot-va @ 6f092cb wan_va/{modules/model.py,wan_va_server.py,utils/utils.py}; lerobot @
    7427f31 src/lerobot/policies/lingbot_va. What the layers give is compared with that code.
Deviations: A chunk is one latent frame (the code was trained with one to four, and acts with two or
    four). The present frame is a stream of its own beside the true frames of past chunks. Of a
    chunk only its ends are known, so its latent frame is made of its last picture, held.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vertebra.backbones.sizes import Latents
from vertebra.backbones.wan import WanSizes, wan_layers, wan_sizes
from vertebra.backbones.wan_ends import WanClosing, wan_places
from vertebra.coupling.joint import JointAttention
from vertebra.coupling.table import Joint
from vertebra.policy.body import Body, Laid
from vertebra.policy.checkpoint import rename_tensors
from vertebra.policy.latent_senses import LatentSenses, held, resized
from vertebra.policy.pairs import refusal
from vertebra.policy.shape import Shape
from vertebra.policy.wan_parts import (
    ActionTokens,
    ActionVelocity,
    Encode,
    PatchVelocity,
    Texts,
    Told,
    patches,
    shared_out,
    wrong_experts,
)
from vertebra.spec.streams import Role


@dataclass(frozen=True, kw_only=True)
class LingBotVaSizes:
    """Widths and counts of a LingBot-VA.

    Attributes:
        video: The transformer.
        actions: Channels of an action vector, most of which a robot leaves empty.
        used: Channels that the robot has; the others are told to be zero. None given means all.
    """

    video: WanSizes
    actions: int
    used: tuple[int, ...] = ()


def lingbot_va_sizes(config: Mapping[str, Any]) -> LingBotVaSizes:
    """Sizes from the ``config.json`` of the transformer, or of LeRobot's policy.

    Raises:
        ValueError: For another kind of model.
    """
    ported = config.get("type") == "lingbot_va"
    if not ported and (config.get("_class_name"), "action_dim" in config) != (
        "WanTransformer3DModel",
        True,
    ):
        raise ValueError(
            f"This is the configuration of {config.get('type') or config.get('_class_name')!r}, "
            "expected LeRobot's 'lingbot_va', or a 'WanTransformer3DModel' with an 'action_dim'."
        )
    named = {**config, "_class_name": "WanTransformer3DModel", "pos_embed_seq_len": None}
    return LingBotVaSizes(
        video=wan_sizes(named),
        actions=config["action_dim"],
        used=tuple(config.get("used_action_channel_ids") or ()),
    )


class ChannelTokens(ActionTokens):
    """Noisy actions as tokens; channels that the robot does not have are zero.

    Args:
        sizes: Widths.
    """

    def __init__(self, sizes: LingBotVaSizes) -> None:
        super().__init__(sizes.actions, sizes.video.width)
        kept = torch.zeros(sizes.actions)
        kept[list(sizes.used or range(sizes.actions))] = 1.0
        self.register_buffer("kept", kept, persistent=False)
        self.kept: Tensor

    def forward(self, input: Tensor, time_BL: Tensor | None = None) -> Tensor:  # noqa: A002
        """[B, L, A] to tokens [B, L, D]."""
        return super().forward(input * self.kept.to(input.dtype))


def lingbot_va_body(shape: Shape, sizes: LingBotVaSizes, encode: Encode, texts: Texts) -> Body:
    """A body with new weights, to be filled with released ones.

    Args:
        shape: Recipe and robot.
        sizes: Widths.
        encode: All cameras side by side to latents.
        texts: Words to states.

    Raises:
        ValueError: Naming everything in which recipe or robot is not what LingBot-VA can stand
            under.
    """
    video, latents, table = sizes.video, shape.size.latents, shape.recipe.table
    wrong = _unfit(shape, sizes)
    if wrong or latents is None:
        raise refusal(shape.recipe, "LingBot-VA's Wan", wrong)
    attention = JointAttention(
        table,
        layers={"video": wan_layers(video)},
        closings={"video": WanClosing(video)},
        finishing=table.named(Role.DENOISED),
        adaptive=frozenset({"video"}),
    )
    frames = ActionTokens(latents.numbers, video.width)
    inputs: dict[str, nn.Module] = {"future": frames, "action": ChannelTokens(sizes)}
    inputs |= {name: inputs[table.stream(name).of] for name in table.named(Role.TEACHER)}
    outputs: dict[str, nn.Module] = {
        "future": PatchVelocity(video),
        "action": ActionVelocity(video.width, sizes.actions),
    }
    each = latents.pictures
    return Body(
        attention=attention,
        senses=LatentSenses(shape, video.patch, tokens=frames, encode=encode, texts=texts),
        inputs=nn.ModuleDict(inputs),
        positions=nn.ParameterDict(),
        outputs=nn.ModuleDict(outputs),
        widths={"video": video.width},
        conditions=nn.ModuleDict({"video": Told(video), "action": Told(video)}),
        tells_each=True,
        sees=lambda pictures: patches(encode(held(pictures, each)), video.patch),
        canvas=True,
        speaks=frozenset(outputs),
        places=lambda laid, copies, cache: _places(latents, table, laid),
    )


def _unfit(shape: Shape, sizes: LingBotVaSizes) -> list[str]:
    table, video, latents = shape.recipe.table, sizes.video, shape.size.latents
    wrong = wrong_experts(
        table,
        dict.fromkeys(("frame", "future", "clean_future", "action", "clean_action"), "video"),
    )
    if set(table.context) != {"text"}:
        wrong.append(f"what is told is {table.context}, expected the words alone")
    if shape.action_dims != sizes.actions:
        wrong.append(f"an action has {shape.action_dims} numbers, expected {sizes.actions}")
    numbers = video.channels_in * video.patch[0] * video.patch[1] * video.patch[2]
    if latents is None or latents.numbers != numbers:
        wrong.append(f"size '{shape.size.name}' has latents {latents}, expected {numbers} numbers")
    if not shape.recipe.rolling or shape.recipe.leapfrogs:
        wrong.append("the recipe does not go from chunk to chunk")
    return wrong


def _places(latents: Latents, table: Joint, laid: Laid) -> dict[str, Tensor]:
    """Frame, row and column of what is seen; actions lie between frames, outside of the picture."""
    found: dict[str, Tensor] = {}
    for name, tokens in laid.tokens.items():
        times = laid.times[name]
        chunks = int(times.unique().numel())
        length = tokens.shape[1] // chunks
        if "action" in (name, table.stream(name).of):
            frame = 1.0 + torch.arange(1, length + 1) / (length + 1)
            outside = -torch.ones(length)
            place = torch.stack([frame, outside, outside], -1)
        else:
            start = 0 if name == "frame" else 1
            place = wan_places((1, latents.rows, latents.columns), start=start).float()
        place = place.repeat(chunks, 1).to(tokens.device)
        place[:, 0] += times
        found[name] = place
    return found


def beside(encode: Encode, cameras: int, height: int, width: int) -> Encode:
    """Every camera as latents of its own, which lie side by side (LIBERO, Franka).

    Args:
        encode: Pictures of one camera to latents.
        cameras: How many lie side by side in the picture that is given.
        height: Pixels from top to bottom.
        width: Pixels from left to right, of each camera.
    """

    def whole(pictures: Tensor) -> Tensor:
        parts = pictures.chunk(cameras, dim=3)
        return torch.cat([encode(resized(part, height, width)) for part in parts], dim=-1)

    return whole


def over(encode: Encode, height: int, width: int) -> Encode:
    """The second and the third camera at half the size side by side, above the first (RoboTwin).

    Args:
        encode: Pictures of one camera to latents.
        height: Pixels from top to bottom of the first camera.
        width: Its pixels from left to right.
    """

    def whole(pictures: Tensor) -> Tensor:
        first, *others = pictures.chunk(3, dim=3)
        small = [encode(resized(part, height // 2, width // 2)) for part in others]
        return torch.cat([torch.cat(small, dim=-1), encode(resized(first, height, width))], dim=-2)

    return whole


NAMES: tuple[tuple[str, str], ...] = (
    (r"blocks\.", "attention.experts.video."),
    (r"scale_shift_table$", "attention.norms.video.scale_shift_table"),
    (r"patch_embedding_mlp\.", "inputs.future."),
    (r"action_embedder\.", "inputs.action."),
    (r"condition_embedder\.", "conditions.video."),
    (r"condition_embedder_action\.", "conditions.action."),
    (r"proj_out\.", "outputs.future.proj_out."),
    (r"action_proj_out\.", "outputs.action."),
)
"""Beginnings of LingBot-VA's names of weights, and ours."""


def our_name(name: str) -> str:
    """Our name of a released weight.

    Raises:
        ValueError: For a name that LingBot-VA does not have.
    """
    plain = name.removeprefix("transformer.")
    for pattern, ours in NAMES:
        found = re.match(pattern, plain)
        if found:
            return ours + plain[found.end() :]
    raise ValueError(f"'{name}' is no weight of LingBot-VA.")


def renamed(released: Mapping[str, Tensor], table: Joint) -> dict[str, Tensor]:
    """Released weights under our names, as often as a table has clean copies.

    Raises:
        SpecMismatch: Naming every tensor that LingBot-VA does not have.
    """
    return shared_out(rename_tensors(released, our_name, "LingBot-VA"), table)
