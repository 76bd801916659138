"""pi0 on a PaliGemma: the body of a released policy, and the names of its weights.

The noise level of openpi is one minus our flow time, and its velocity points from data to noise;
both are turned round here, so that weights stay as they were released.

Source: openpi @ 15a9616 src/openpi/models/pi0.py, models_pytorch/pi0_pytorch.py; transformers @
    v5.23.0 src/transformers/models/pi0/modeling_pi0.py. Equality is tested against the latter.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.backbones.decoder import DecoderSizes, decoder_closing, decoder_layers
from vertebra.backbones.gemma import gemma_sizes
from vertebra.backbones.published import GEMMA_2B, GEMMA_300M
from vertebra.coupling.joint import JointAttention
from vertebra.coupling.table import Embed
from vertebra.nn.embeddings import NoisyTokens
from vertebra.policy.body import Body, Senses, running_places
from vertebra.policy.checkpoint import rename_tensors
from vertebra.policy.pairs import refusal
from vertebra.policy.senses import Context, Given
from vertebra.policy.shape import Shape
from vertebra.spec.streams import Role

Prompts = Callable[[Sequence[str]], tuple[Tensor, Tensor]]
"""From instructions to token numbers [B, L] and a mask [B, L] that is True at real tokens."""


@dataclass(frozen=True, kw_only=True)
class Pi0Sizes:
    """Widths and counts of a pi0.

    Attributes:
        vlm: The language model.
        action: The action expert; as deep as the language model, with the same heads.
        vocabulary: Rows of the table of words.
        tower_width: Width of the picture encoder's tokens.
        px: Side of the pictures it takes.
        patch_px: Side of a patch.
        state: Numbers in a state vector; shorter ones are filled up with zeros.
        actions: Numbers in an action vector.
    """

    vlm: DecoderSizes
    action: DecoderSizes
    vocabulary: int
    tower_width: int
    px: int
    patch_px: int
    state: int = 32
    actions: int = 32

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tokens of one picture."""
        side = self.px // self.patch_px
        return side, side


def pi0_sizes(config: Mapping[str, Any]) -> Pi0Sizes:
    """Sizes from the ``config.json`` of transformers' pi0.

    Raises:
        ValueError: For another kind of model.
    """
    if config.get("model_type") != "pi0":
        raise ValueError(
            f"This is the configuration of {config.get('model_type')!r}, expected 'pi0' (the "
            "format of transformers)."
        )
    vlm = config["vlm_config"]
    return Pi0Sizes(
        vlm=gemma_sizes(vlm["text_config"]),
        action=gemma_sizes(config["dit_config"]),
        vocabulary=vlm["text_config"]["vocab_size"],
        tower_width=vlm["vision_config"]["hidden_size"],
        px=vlm["vision_config"]["image_size"],
        patch_px=vlm["vision_config"]["patch_size"],
        state=config["max_state_dim"],
        actions=config["max_action_dim"],
    )


PI0_SIZES = Pi0Sizes(
    vlm=GEMMA_2B,
    action=GEMMA_300M,
    vocabulary=257152,
    tower_width=1152,
    px=224,
    patch_px=14,
)
"""The released pi0 (openpi @ 15a9616 src/openpi/models/{pi0_config,gemma,siglip}.py)."""


class LevelTokens(NoisyTokens):
    """Noisy vectors and their noise level, which is one minus the flow time, as tokens."""

    def forward(self, noisy_BLC: Tensor, time_BL: Tensor) -> Tensor:
        """[B, L, C] and flow times [B, L] to tokens [B, L, D]."""
        return super().forward(noisy_BLC, 1.0 - time_BL)


class FromDataToNoise(nn.Linear):
    """A read-out trained on the velocity from data to noise, turned round."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Velocities from noise to data."""
        return -super().forward(input)


def even_rows(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Rows of token numbers as one table [B, L], and a mask that is True at real tokens."""
    numbers = torch.zeros(len(rows), max(1, *map(len, rows)), dtype=torch.long)
    mask = torch.zeros(numbers.shape, dtype=torch.bool)
    for i, row in enumerate(rows):
        numbers[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = True
    return numbers, mask


class PaliGemmaSenses(nn.Module):
    """Pictures through a picture encoder, words through a table.

    Args:
        shape: Recipe and robot.
        sizes: Widths.
        tower: The picture encoder: normalised pictures [B, 3, px, px] in, something with a
            ``last_hidden_state`` [B, tokens, tower_width] out.
    """

    def __init__(self, shape: Shape, sizes: Pi0Sizes, tower: nn.Module) -> None:
        super().__init__()
        self.sizes = sizes
        self.cameras = tuple(camera.name for camera in shape.needs.cameras)
        self.has_state = "state" in shape.recipe.table.experts
        self.tower = tower
        self.projector = nn.Linear(sizes.tower_width, sizes.vlm.width)
        self.table = nn.Embedding(sizes.vocabulary, sizes.vlm.width)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.table.weight.device

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tokens of one camera."""
        return self.sizes.grid

    @property
    def camera_tokens(self) -> int:
        """Tokens of all cameras."""
        rows, columns = self.grid
        return len(self.cameras) * rows * columns

    def contexts(self, given: Given, names: Sequence[str], silent: bool) -> Context | None:
        """Nothing is read by cross-attention."""
        return None

    def worded(self, rows: Tensor) -> Tensor:
        """Token numbers [B, L] as tokens [B, L, D]."""
        words = self.table(rows.to(self.device))
        return words * torch.tensor(self.sizes.vlm.width**0.5).to(words.dtype)

    def seen(self, images: Mapping[str, Tensor]) -> Tensor:
        """Pictures of all cameras as tokens [B, L, D]."""
        px, dtype = self.sizes.px, self.projector.weight.dtype
        views = torch.stack([framed(images[name], px, dtype) for name in self.cameras], dim=1)
        found = self.projector(self.tower(views.flatten(0, 1)).last_hidden_state)
        return found.unflatten(0, views.shape[:2]).flatten(1, 2)


class Pi0Senses(PaliGemmaSenses):
    """What pi0 is given: pictures, words, and the state as one token.

    Args:
        shape: Recipe and robot.
        sizes: Widths.
        tower: The picture encoder.
        prompts: Splits instructions into tokens.
    """

    def __init__(self, shape: Shape, sizes: Pi0Sizes, tower: nn.Module, prompts: Prompts) -> None:
        super().__init__(shape, sizes, tower)
        self.prompts = prompts
        self.state = nn.Linear(sizes.state, sizes.action.width)

    def streams(
        self, given: Given, names: Sequence[str], silent: bool
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Tokens [B, L, D] and padding masks [B, L] of some given streams."""
        tokens: dict[str, Tensor] = {}
        padding: dict[str, Tensor] = {}
        for name in names:
            match name:
                case "image":
                    tokens[name] = self.seen(given.images)
                case "text":
                    spoken = ("",) * len(given.instructions) if silent else given.instructions
                    rows, mask = self.prompts(spoken)
                    tokens[name] = self.worded(rows)
                    if not bool(mask.all()):
                        padding[name] = mask.to(self.device)
                case "state":
                    room = self.sizes.state - given.state.shape[-1]
                    tokens[name] = self.state(F.pad(given.state, (0, room)))[:, None]
                case _:
                    raise ValueError(f"pi0 has no given stream '{name}': image, text, state.")
        return tokens, padding


def framed(image_BHWC: Tensor, side: int, dtype: torch.dtype) -> Tensor:
    """A picture in [-1, 1] in the middle of a black square [B, 3, side, side]."""
    pixels = image_BHWC.permute(0, 3, 1, 2).to(dtype) / 127.5 - 1.0
    height, width = pixels.shape[2:]
    if (height, width) == (side, side):
        return pixels
    ratio = max(height, width) / side
    rows, columns = int(height / ratio), int(width / ratio)
    pixels = F.interpolate(pixels, (rows, columns), mode="bilinear", align_corners=False)
    top, left = (side - rows) // 2, (side - columns) // 2
    edges = (left, side - columns - left, top, side - rows - top)
    return F.pad(pixels.clamp(-1.0, 1.0), edges, value=-1.0)


def pi0_body(shape: Shape, sizes: Pi0Sizes, tower: nn.Module, prompts: Prompts) -> Body:
    """A body with new weights, to be filled with released ones.

    Raises:
        ValueError: Naming everything in which recipe or robot is not what pi0 can stand under.
    """
    wrong = unfit(shape, sizes, {})
    if shape.state_dims > sizes.state:
        wrong.append(f"the state has {shape.state_dims} numbers, pi0 takes {sizes.state}")
    require_fit(shape, wrong, "pi0")
    return pi_body(shape, sizes, Pi0Senses(shape, sizes, tower, prompts), LevelTokens)


def unfit(shape: Shape, sizes: Pi0Sizes, embed: Mapping[str, Embed]) -> list[str]:
    """Why a recipe cannot stand on a PaliGemma beside an action expert, in words.

    Args:
        shape: Recipe and robot.
        sizes: Widths.
        embed: How streams must be embedded; those left out as tokens.
    """
    table = shape.recipe.table
    wrong = [
        f"stream '{name}' is served by '{expert}', expected one of vlm, action"
        for name, expert in table.experts.items()
        if expert not in ("vlm", "action")
    ]
    for name in table.experts:
        found, wanted = table.embed.get(name, Embed.TOKENS), embed.get(name, Embed.TOKENS)
        if found != wanted:
            wrong.append(f"stream '{name}' is embedded as {found}, expected {wanted}")
    wrong += [f"context '{name}' is read by cross-attention" for name in table.context]
    if shape.action_dims != sizes.actions:
        wrong.append(f"an action has {shape.action_dims} numbers, the weights make {sizes.actions}")
    if shape.recipe.rolling:
        wrong.append("the recipe remembers chunks")
    return wrong


def require_fit(shape: Shape, wrong: Sequence[str], name: str) -> None:
    """Refuse a recipe for which there are reasons not to stand on a released policy.

    Raises:
        ValueError: Naming all of them.
    """
    if wrong:
        raise refusal(shape.recipe, f"{name}'s PaliGemma", wrong)


def pi_body(
    shape: Shape,
    sizes: Pi0Sizes,
    senses: Senses,
    noisy: Callable[[int, int], nn.Module],
    conditions: nn.ModuleDict | None = None,
) -> Body:
    """A PaliGemma and an action expert that share their attention.

    Args:
        shape: Recipe and robot.
        sizes: Widths.
        senses: What embeds the given streams.
        noisy: From numbers of a vector and token width to what makes tokens of noisy vectors.
        conditions: What makes conditions of flow times, where the action expert is adaptive.
    """
    table = shape.recipe.table
    order = tuple(stream.name for stream in table.streams)
    denoised = table.named(Role.DENOISED)
    attention = JointAttention(
        table,
        layers={"action": decoder_layers(sizes.action), "vlm": decoder_layers(sizes.vlm)},
        closings={"action": decoder_closing(sizes.action)},
        finishing=denoised,
        adaptive=frozenset(conditions or {}),
    )
    width = sizes.action.width
    return Body(
        attention=attention,
        senses=senses,
        inputs=nn.ModuleDict({name: noisy(sizes.actions, width) for name in denoised}),
        positions=nn.ParameterDict(),
        outputs=nn.ModuleDict({name: FromDataToNoise(width, sizes.actions) for name in denoised}),
        widths={"vlm": sizes.vlm.width, "action": width},
        conditions=conditions,
        places=lambda laid, copies, cache: running_places(order, laid, copies, cache),
    )


_VLM = r"^(?:model\.)?(?:vlm|paligemma_with_expert\.paligemma\.model)\."
_EXPERT = r"^(?:model\.)?(?:dit|paligemma_with_expert\.gemma_expert\.model)\."
OWN = r"^(?:model\.)?(?:embed_action_time\.)?"
SHARED: tuple[tuple[str, str], ...] = (
    (_VLM + r"language_model\.(?:model\.)?layers\.", "attention.experts.vlm."),
    (_VLM + r"language_model\.(?:model\.)?embed_tokens\.", "senses.table."),
    (_VLM + r"vision_tower\.(?:vision_model\.)?", "senses.tower."),
    (_VLM + r"multi_modal_projector\.linear\.", "senses.projector."),
    (_EXPERT + r"layers\.", "attention.experts.action."),
    (_EXPERT + r"norm\.", "attention.norms.action."),
    (OWN + r"action_in_proj\.", "inputs.action.value."),
    (OWN + r"action_out_proj\.", "outputs.action."),
)
"""Beginnings of the names of weights in transformers, openpi and LeRobot, and ours."""
NAMES: tuple[tuple[str, str], ...] = (
    *SHARED,
    (OWN + r"state_proj\.", "senses.state."),
    (OWN + r"action_time_mlp_in\.", "inputs.action.mix."),
    (OWN + r"action_time_mlp_out\.", "inputs.action.out."),
)
"""The same for all of pi0."""
UNUSED: Mapping[str, str] = {
    _VLM + r"language_model\.(?:model\.)?norm\.": "nobody reads the last output of the prefix",
    _EXPERT + r"embed_tokens\.": "the action expert reads no words",
    r"lm_head\.": "no words are written",
}
"""What else stands in such files, and why it is not needed."""
TIED = re.compile(r"paligemma_with_expert\.paligemma\.lm_head\.weight$")
"""Where a file leaves out the table of words, this is the same tensor."""


def our_name(name: str) -> str | None:
    """Our name of a released weight; ``None`` for one that is not needed.

    Raises:
        ValueError: For a name that pi0 does not have.
    """
    return named(name, NAMES, "pi0")


def named(name: str, names: Sequence[tuple[str, str]], whose: str) -> str | None:
    """Our name of a weight, by beginnings of names; ``None`` for one that is not needed.

    Raises:
        ValueError: For any other name.
    """
    for pattern, ours in names:
        found = re.match(pattern, name)
        if found:
            return ours + name[found.end() :]
    if any(re.search(pattern, name) for pattern in UNUSED):
        return None
    raise ValueError(f"'{name}' is no weight of {whose}.")


def renamed(released: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Released weights under our names.

    Raises:
        SpecMismatch: Naming every tensor that pi0 does not have.
    """
    return with_table(rename_tensors(released, our_name, "pi0"), released)


def with_table(found: dict[str, Tensor], released: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights under our names with the table of words, also where only its tied twin was kept."""
    tied = next((value for name, value in released.items() if TIED.search(name)), None)
    if tied is not None:
        found.setdefault("senses.table.weight", tied)
    return found
