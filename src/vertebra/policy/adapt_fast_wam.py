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
from vertebra.policy.body import Body, Laid
from vertebra.policy.checkpoint import rename_tensors
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
    patches,
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


class FastWamSenses(nn.Module):
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
        super().__init__()
        self.sizes, self.encode, self.texts = sizes, encode, texts
        self.cameras = tuple(camera.name for camera in shape.needs.cameras)
        self.has_state = "state" in shape.recipe.table.context
        self.proprio = nn.Linear(sizes.state, sizes.video.text_width)
        self._tokens = (tokens,)  # in a tuple: its weights are those of an input
        latents = shape.size.latents
        if latents is None:
            raise ValueError(f"Size '{shape.size.name}' has no latents: say how large they are.")
        self.grid = (latents.rows, latents.columns)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.proprio.weight.device

    @property
    def camera_tokens(self) -> int:
        """Tokens of the picture in which all cameras lie side by side."""
        return math.prod(self.grid)

    def streams(
        self, given: Given, names: Sequence[str], silent: bool
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Tokens of the first frame, for which the cameras are put side by side."""
        if list(names) not in ([], ["frame"]):
            raise ValueError(f"Fast-WAM's only given stream is 'frame', found {list(names)}.")
        beside = torch.cat([given.images[camera] for camera in self.cameras], dim=2)
        seen = patches(self.encode(beside[:, None]), self.sizes.video.patch)
        return {name: self._tokens[0](seen) for name in names}, {}

    def contexts(self, given: Given, names: Sequence[str], silent: bool) -> Context | None:
        """States of the words, then one for the robot's state."""
        spoken = ("",) * len(given.instructions) if silent else given.instructions
        states, mask = self.texts([PROMPT.format(text) for text in spoken])
        told = Context(tokens=states.to(self.device), mask=mask.to(self.device))
        if "state" not in names:
            return told
        own = self.proprio(given.state)[:, None]
        return told.and_then(Context(tokens=own, mask=mask.new_ones(len(own), 1).to(self.device)))


def fast_wam_body(shape: Shape, sizes: FastWamSizes, encode: Encode, texts: Texts) -> Body:
    """A body with new weights, to be filled with released ones.

    Raises:
        ValueError: Naming everything in which recipe or robot is not what Fast-WAM can stand under.
    """
    table, latents = shape.recipe.table, shape.size.latents
    experts = {"frame": "video", "future": "video", "clean_future": "video", "action": "action"}
    wrong = [
        f"stream '{name}' is served by '{expert}', expected {experts.get(name, 'no such stream')}"
        for name, expert in table.experts.items()
        if experts.get(name) != expert
    ]
    wrong += [f"stream '{name}' is embedded as {e}" for name, e in table.embed.items()]
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
        raise ValueError(
            f"Recipe '{shape.recipe.name}' cannot stand on Fast-WAM's Wan:\n  - "
            + "\n  - ".join(wrong)
        )
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
INSIDE: tuple[tuple[str, str], ...] = (
    ("self_attn.o.", "attn1.to_out.0."),
    ("cross_attn.o.", "attn2.to_out.0."),
    ("self_attn.norm_", "attn1.norm_"),
    ("cross_attn.norm_", "attn2.norm_"),
    ("self_attn.", "attn1.to_"),
    ("cross_attn.", "attn2.to_"),
    ("norm3.", "norm2."),
    ("ffn.0.", "ffn.net.0.proj."),
    ("ffn.2.", "ffn.net.2."),
    ("modulation", "scale_shift_table"),
    ("text_embedding.0.", "text_embedder.linear_1."),
    ("text_embedding.2.", "text_embedder.linear_2."),
    ("time_embedding.0.", "time_embedder.linear_1."),
    ("time_embedding.2.", "time_embedder.linear_2."),
    ("time_projection.1.", "time_proj."),
)
"""Wan's own names of parts, which Fast-WAM keeps, and those of diffusers."""


def our_name(name: str) -> str:
    """Our name of a released weight.

    Raises:
        ValueError: For a name that Fast-WAM does not have.
    """
    for pattern, ours in NAMES:
        found = re.match(pattern, name)
        if found:
            rest = name[found.end() :]
            for old, new in INSIDE:
                before, part, after = rest.partition(old)
                if part and (not before or before.rstrip(".").isdigit()):
                    rest = before + new + after
                    break
            return ours + rest
    raise ValueError(f"'{name}' is no weight of Fast-WAM.")


def renamed(released: Mapping[str, Tensor], teachers: Sequence[str] = ()) -> dict[str, Tensor]:
    """Released weights under our names.

    Args:
        released: As Fast-WAM names them.
        teachers: Clean copies of the future, which share its tokens.

    Raises:
        SpecMismatch: Naming every tensor that Fast-WAM does not have.
    """
    found = rename_tensors(released, our_name, "Fast-WAM")
    shared = {n: v for n, v in found.items() if n.startswith("inputs.future.")}
    for teacher in teachers:
        found |= {n.replace("future", teacher, 1): value for n, value in shared.items()}
    return found
