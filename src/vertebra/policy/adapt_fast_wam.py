"""Fast-WAM on Wan: the body of a released policy, and the names of its weights.

The noise level is one minus our flow time, and the velocity points from data to noise; both are
turned round here, so that weights stay as they were released. What makes latents of pictures and
states of words is handed in: both are frozen and their results can be kept.

Source: FastWAM @ 45d8e14 src/fastwam/models/wan22/{fastwam,mot,action_dit,wan_video_dit}.py.
    Equality is tested against what that code gave.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vertebra.backbones.wan import WanSizes, wan_layers
from vertebra.backbones.wan_ends import WanClosing, wan_places
from vertebra.coupling.cache import Cache
from vertebra.coupling.joint import JointAttention
from vertebra.coupling.table import Joint
from vertebra.policy.body import Body, Laid
from vertebra.policy.checkpoint import rename_tensors
from vertebra.policy.latent_senses import LatentSenses
from vertebra.policy.pairs import refusal
from vertebra.policy.senses import Context, Given
from vertebra.policy.shape import Shape
from vertebra.policy.wan_parts import (
    ActionTokens,
    ActionVelocity,
    Encode,
    PatchTokens,
    PatchVelocity,
    Texts,
    Told,
    Unclosed,
    inside,
    patches,
    shared_out,
    wrong_experts,
)
from vertebra.spec.streams import Role

PROMPT = "A video recorded from a robot's point of view executing the following instruction: {}"
"""What the text encoder is told (src/fastwam/datasets/lerobot/robot_video_dataset.py 23)."""


@dataclass(frozen=True, kw_only=True)
class FastWamSizes:
    """Widths and counts of a Fast-WAM.

    Attributes:
        video: The video transformer.
        action: The action expert; as deep, with the same heads, turned along the chunk.
        actions: Numbers in an action vector.
        state: Numbers in a state vector.
    """

    video: WanSizes
    action: WanSizes
    actions: int
    state: int


class FastWamSenses(LatentSenses):
    """The first frame as latents, the words as states of an encoder, the robot's as one more.

    Args:
        shape: Recipe and robot.
        sizes: Widths.
        tokens: What makes tokens of patches; it belongs to the inputs of the network.
        encode: Pictures to latents.
        texts: Words to states.
    """

    def __init__(
        self,
        shape: Shape,
        sizes: FastWamSizes,
        tokens: PatchTokens,
        encode: Encode,
        texts: Texts,
    ) -> None:
        super().__init__(
            shape,
            sizes.video.patch,
            tokens=tokens,
            encode=encode,
            texts=texts,
            prompt=PROMPT.format,
        )
        self.has_state = "state" in shape.recipe.table.context
        self.proprio = nn.Linear(sizes.state, sizes.video.text_width)

    def contexts(self, given: Given, names: Sequence[str], silent: bool) -> Context:
        """States of the words, then one for the robot's state."""
        told = super().contexts(given, names, silent)
        if "state" not in names:
            return told
        own = self.proprio(given.state)[:, None]
        real = torch.ones(len(own), 1, dtype=torch.bool, device=self.device)
        return told.and_then(Context(tokens=own, mask=real))


def fast_wam_body(shape: Shape, sizes: FastWamSizes, encode: Encode, texts: Texts) -> Body:
    """A body with new weights, to be filled with released ones.

    Raises:
        ValueError: Naming everything in which recipe or robot is not what Fast-WAM can stand under.
    """
    table, latents = shape.recipe.table, shape.size.latents
    experts = {"frame": "video", "future": "video", "clean_future": "video", "action": "action"}
    wrong = wrong_experts(table, experts)
    if "text" not in table.context:
        wrong.append("nobody is told the words: context 'text' is missing")
    if shape.state_dims != sizes.state:
        wrong.append(f"the state has {shape.state_dims} numbers, expected {sizes.state}")
    if shape.action_dims != sizes.actions:
        wrong.append(f"an action has {shape.action_dims} numbers, expected {sizes.actions}")
    numbers = sizes.video.channels_in * math.prod(sizes.video.patch)
    if latents is None or latents.numbers != numbers:
        wrong.append(f"size '{shape.size.name}' has latents {latents}, expected {numbers} numbers")
    if shape.recipe.rolling:
        wrong.append("the recipe remembers chunks")
    if wrong:
        raise refusal(shape.recipe, "Fast-WAM's Wan", wrong)
    attention = JointAttention(
        table,
        layers={"action": wan_layers(sizes.action), "video": wan_layers(sizes.video)},
        closings={"action": Unclosed(), "video": WanClosing(sizes.video)},
        finishing=table.named(Role.DENOISED),
        adaptive=frozenset({"action", "video"}),
    )
    seen = PatchTokens(sizes.video)
    inputs: dict[str, nn.Module] = {"action": ActionTokens(sizes.actions, sizes.action.width)}
    outputs: dict[str, nn.Module] = {"action": ActionVelocity(sizes.action.width, sizes.actions)}
    inputs["future"], outputs["future"] = seen, PatchVelocity(sizes.video)
    for name in table.named(Role.TEACHER):
        inputs[name] = seen
    return Body(
        attention=attention,
        senses=FastWamSenses(shape, sizes, seen, encode, texts),
        inputs=nn.ModuleDict(inputs),
        positions=nn.ParameterDict(),
        outputs=nn.ModuleDict(outputs),
        widths={"video": sizes.video.width, "action": sizes.action.width},
        conditions=nn.ModuleDict({"action": Told(sizes.action), "video": Told(sizes.video)}),
        tells_each=True,
        sees=lambda pictures: patches(encode(pictures), sizes.video.patch),
        canvas=True,
        places=lambda laid, copies, cache: _places(shape, laid, copies, cache),
    )


def _places(shape: Shape, laid: Laid, copies: Mapping[str, int], cache: Cache) -> dict[str, Tensor]:
    """Frame, row and column of what is seen; of an action its place in the chunk."""
    latents = shape.size.latents
    if latents is None:
        raise AssertionError("checked when the body was made")
    found: dict[str, Tensor] = {}
    for name, tokens in laid.tokens.items():
        if name == "action":
            place = torch.arange(shape.horizon)[:, None]
        elif name == "frame":
            place = wan_places((1, latents.rows, latents.columns))
        else:
            place = wan_places((latents.frames, latents.rows, latents.columns), start=1)
        found[name] = place.repeat(copies.get(name, 1), 1).to(tokens.device)
    return found


_VIDEO, _ACTION = r"^mot\.mixtures\.video\.", r"^mot\.mixtures\.action\."
NAMES: tuple[tuple[str, str], ...] = (
    (_VIDEO + r"blocks\.", "attention.experts.video."),
    (_ACTION + r"blocks\.", "attention.experts.action."),
    (_VIDEO + r"head\.modulation$", "attention.norms.video.scale_shift_table"),
    (_VIDEO + r"head\.head\.", "outputs.future.proj_out."),
    (_VIDEO + r"patch_embedding\.", "inputs.future.patch_embedding."),
    (_ACTION + r"action_encoder\.", "inputs.action."),
    (_ACTION + r"head\.", "outputs.action."),
    (_VIDEO, "conditions.video."),
    (_ACTION, "conditions.action."),
    (r"^proprio_encoder\.", "senses.proprio."),
)
"""Beginnings of Fast-WAM's names of weights, and ours; the first that fits counts."""


def our_name(name: str) -> str:
    """Our name of a released weight.

    Raises:
        ValueError: For a name that Fast-WAM does not have.
    """
    for pattern, ours in NAMES:
        found = re.match(pattern, name)
        if found:
            return ours + inside(name[found.end() :])
    raise ValueError(f"'{name}' is no weight of Fast-WAM.")


def renamed(released: Mapping[str, Tensor], table: Joint) -> dict[str, Tensor]:
    """Released weights under our names, as often as a table has clean copies.

    Raises:
        SpecMismatch: Naming every tensor that Fast-WAM does not have.
    """
    return shared_out(rename_tensors(released, our_name, "Fast-WAM"), table)
