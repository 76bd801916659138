"""GR00T N1.7 on Cosmos-Reason2 (a Qwen3-VL): the body of a released policy, and its weights' names.

The prompt is that of a chat: pictures stand among words, so the stream of pictures holds the words
before and between them as well. The head is told which tokens are pictures.

Source: lerobot @ 7427f318 src/lerobot/policies/groot/{groot_n1_7,processor_groot}.py, which follows
    NVIDIA/Isaac-GR00T gr00t/model/gr00t_n1d7.
Deviations: Pictures are made squares of 8 x 8 tokens, as the released processor does for square
    ones. In a batch of prompts that differ in length, padding is not read (there it is).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.backbones.decoder import DecoderSizes, decoder_layers
from vertebra.backbones.groot import (
    GrootHead,
    GrootMixing,
    GrootSizes,
    GrootTime,
    RobotActions,
    RobotMap,
)
from vertebra.backbones.qwen import qwen3_sizes
from vertebra.coupling.joint import JointAttention
from vertebra.coupling.kinds import Head
from vertebra.coupling.table import Embed
from vertebra.policy.adapt_pi0 import even_rows
from vertebra.policy.body import Body, running_places
from vertebra.policy.checkpoint import rename_tensors
from vertebra.policy.pairs import refusal
from vertebra.policy.senses import Context, Given
from vertebra.policy.shape import Shape
from vertebra.policy.stand_eyes import Eyes
from vertebra.policy.wan_parts import Unclosed

Split = Callable[[str], list[int]]
"""From a text to token numbers, none added; it knows the words below."""
OPENING, BEFORE, BEHIND, ENDING = (
    *("<|im_start|>user\n", "<|vision_start|>", "<|vision_end|>", "<|im_end|>\n"),
)
"""What stands before all, before and behind each picture, and behind the words."""
COSMOS_REASON2: Mapping[str, Any] = {
    "text_config": {
        "model_type": "qwen3_vl_text",
        "hidden_act": "silu",
        "attention_bias": False,
        "hidden_size": 2048,
        "intermediate_size": 6144,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 5000000,
            "mrope_section": [24, 20, 20],
            "mrope_interleaved": True,
        },
        "vocab_size": 151936,
    },
    "vision_config": {
        "model_type": "qwen3_vl",
        "depth": 24,
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_heads": 16,
        "num_position_embeddings": 2304,
        "out_hidden_size": 2048,
        "patch_size": 16,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "deepstack_visual_indexes": [5, 11, 17],
    },
}
"""nvidia/Cosmos-Reason2-2B, as LeRobot's code states it; GR00T's own file only names it."""


@dataclass(frozen=True, kw_only=True)
class Groot:
    """A released GR00T.

    Attributes:
        vlm: The language model, cut to the layers that are kept.
        vocabulary: Rows of its table of words.
        layered: Of how many layers of the picture encoder states enter the language model.
        head: The action head.
        horizon: Actions in a chunk.
        vision: Configuration of the picture encoder.
    """

    vlm: DecoderSizes
    vocabulary: int
    layered: int
    head: GrootSizes
    horizon: int
    vision: Mapping[str, Any]


NEEDED = {
    "model_type": "Gr00tN1d7",
    "use_alternate_vl_dit": True,
    "add_pos_embed": True,
    "use_vlln": True,
    "state_history_length": 1,
}


def groot_release(config: Mapping[str, Any], base: Mapping[str, Any] = COSMOS_REASON2) -> Groot:
    """What the ``config.json`` of a GR00T N1.7 describes.

    Args:
        config: The file.
        base: Configuration of the vision-language model that it names.

    Raises:
        ValueError: For another model, or for features that are not here, all of them named.
    """
    wrong = [
        f"{name} is {config.get(name)!r}, expected {value!r}"
        for name, value in NEEDED.items()
        if config.get(name) != value
    ]
    dit: Mapping[str, Any] = config.get("diffusion_model_cfg") or {}
    mixing: Mapping[str, Any] = config.get("vl_self_attention_cfg") or {}
    if dit.get("norm_type") != "ada_norm" or not dit.get("interleave_self_attention"):
        wrong.append("diffusion_model_cfg has no ada_norm, or its layers do not take turns")
    if dit.get("positional_embeddings") or mixing.get("positional_embeddings"):
        wrong.append("its layers have positions of their own")
    if wrong:
        raise ValueError("This is no GR00T N1.7 that can be read:\n  - " + "\n  - ".join(wrong))
    text, seen = base["text_config"], base["vision_config"]
    head = GrootSizes(
        width=dit["num_attention_heads"] * dit["attention_head_dim"],
        layers=dit["num_layers"],
        heads=dit["num_attention_heads"],
        reads=config["backbone_embedding_dim"],
        made=dit["output_dim"],
        hidden=config["hidden_size"],
        state=config["max_state_dim"],
        actions=config["max_action_dim"],
        robots=config["max_num_embodiments"],
        longest=config["max_seq_len"],
        mixing=mixing.get("num_layers", 0),
        mixing_heads=mixing.get("num_attention_heads", 1),
        every=config["attend_text_every_n_blocks"],
        steps=config["num_timestep_buckets"],
    )
    return Groot(
        vlm=replace(qwen3_sizes(text), layers=config["select_layer"]),
        vocabulary=text["vocab_size"],
        layered=len(seen["deepstack_visual_indexes"]),
        head=head,
        horizon=config["action_horizon"],
        vision=seen,
    )


@dataclass(frozen=True, kw_only=True)
class Framing:
    """How a picture is brought to the size that the encoder takes.

    Attributes:
        edge: Pixels along each side.
        kept: Share of each side that is kept, around the middle; then it is made large again.
    """

    edge: int
    kept: float

    def __call__(self, image_BHWC: Tensor) -> Tensor:
        """uint8 [B, H, W, 3] to uint8 [B, edge, edge, 3]."""
        pixels = _resized(image_BHWC.permute(0, 3, 1, 2).float(), self.edge)
        side = max(1, round(self.edge * self.kept))
        start = (self.edge - side) // 2
        cut = pixels[..., start : start + side, start : start + side]
        return _resized(cut, self.edge).permute(0, 2, 3, 1).to(torch.uint8)


def _resized(pixels: Tensor, edge: int) -> Tensor:
    if pixels.shape[-2:] == (edge, edge):
        return pixels
    found = F.interpolate(pixels, (edge, edge), mode="bicubic", antialias=True)
    return found.clamp(0.0, 255.0).round()


class GrootSenses(nn.Module):
    """Pictures among the words of a chat, and the state by weights of this robot.

    Args:
        shape: Recipe and robot.
        groot: The release.
        eyes: What makes tokens of pictures, states of earlier layers behind them.
        framing: How pictures are brought to size.
        split: Splits texts into tokens.
        robot: Which of the robots it is.
    """

    def __init__(
        self,
        shape: Shape,
        groot: Groot,
        eyes: nn.Module,
        framing: Framing,
        split: Split,
        robot: int,
    ) -> None:
        super().__init__()
        self.cameras = tuple(camera.name for camera in shape.needs.cameras)
        self.has_state, self.layered = True, groot.layered
        self.framing, self.split, self.eyes = framing, split, eyes
        self.table = nn.Embedding(groot.vocabulary, groot.vlm.width)
        head = groot.head
        self.state = RobotMap(head.robots, head.state, head.hidden, head.width, robot)
        opening, behind = split(OPENING), split(BEHIND)
        self.before = [opening + split(BEFORE), *[behind + split(BEFORE)] * (len(self.cameras) - 1)]
        self.behind = behind

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.table.weight.device

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tokens of one camera."""
        eyes: Eyes = self.eyes  # type: ignore[assignment]
        rows, columns = eyes.grid
        return int(rows), int(columns)

    @property
    def camera_tokens(self) -> int:
        """Tokens of all cameras, with the words between them."""
        return len(self.pictures)

    @property
    def pictures(self) -> Tensor:
        """Which tokens of the stream of pictures are pictures [L]."""
        rows, columns = self.grid
        found: list[bool] = []
        for words in self.before:
            found += [*[False] * len(words), *[True] * (rows * columns)]
        return torch.tensor([*found, *[False] * len(self.behind)])

    @property
    def places(self) -> Tensor:
        """Time, row and column of these tokens [L, 3]."""
        rows, columns = self.grid
        grid = torch.cartesian_prod(torch.zeros(1).long(), *map(torch.arange, (rows, columns)))
        found: list[Tensor] = []
        start = 0
        for words in self.before:
            found.append((start + torch.arange(len(words)))[:, None].expand(-1, 3))
            found.append(start + len(words) + grid)
            start += len(words) + max(rows, columns)
        found.append((start + torch.arange(len(self.behind)))[:, None].expand(-1, 3))
        return torch.cat(found)

    def streams(
        self, given: Given, names: Sequence[str], silent: bool
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Tokens [B, L, D] and padding masks [B, L] of some given streams."""
        tokens: dict[str, Tensor] = {}
        padding: dict[str, Tensor] = {}
        for name in names:
            match name:
                case "image":
                    tokens[name] = self._shown(given)
                case "text":
                    spoken = ("",) * len(given.instructions) if silent else given.instructions
                    rows, mask = even_rows([self.split(plain(t) + ENDING) for t in spoken])
                    tokens[name] = self.table(rows.to(self.device))
                    if not bool(mask.all()):
                        padding[name] = mask.to(self.device)
                case "state":
                    tokens[name] = self.state(given.state.clamp(-1.0, 1.0))[:, None]
                case _:
                    raise ValueError(f"GR00T has no given stream '{name}': image, text, state.")
        return tokens, padding

    def contexts(self, given: Given, names: Sequence[str], silent: bool) -> Context | None:
        """Nothing but features is read by cross-attention."""
        return None

    def _shown(self, given: Given) -> Tensor:
        parts: list[Tensor] = []
        for name, words in zip(self.cameras, self.before, strict=True):
            seen = self.eyes(self.framing(given.images[name]))
            parts += [self._between(words, seen), seen]
        return torch.cat([*parts, self._between(self.behind, parts[-1])], dim=1)

    def _between(self, words: Sequence[int], seen: Tensor) -> Tensor:
        """Words as tokens beside those of pictures, to which nothing is added later."""
        told = self.table(torch.tensor(words, device=self.device))
        wide = F.pad(told, (0, seen.shape[-1] - told.shape[-1]))
        return wide.to(seen.dtype).expand(len(seen), -1, -1)


def plain(text: str) -> str:
    """An instruction as GR00T is told it: lower case, no punctuation."""
    return re.sub(r"[^\w\s]", "", text.lower())


def groot_body(
    shape: Shape, groot: Groot, eyes: nn.Module, framing: Framing, split: Split, robot: int
) -> Body:
    """A body with new weights, to be filled with released ones.

    Raises:
        ValueError: Naming everything in which recipe or robot is not what GR00T can stand under.
    """
    trunk, coupling, sizes = shape.recipe.trunk, shape.recipe.coupling, groot.head
    wrong = [] if isinstance(coupling, Head) else ["the action is made by no head of its own"]
    given = {"image": "vlm", "text": "vlm"}
    if dict(trunk.experts) != given:
        wrong.append(f"the trunk has the streams {dict(trunk.experts)}, expected {given}")
    if isinstance(coupling, Head) and set(coupling.head.experts) != {"state", "action"}:
        wrong.append(f"the head has the streams {sorted(coupling.head.experts)}")
    if shape.recipe.table.embed.get("action") is not Embed.ADAPTIVE:
        wrong.append("the flow time enters the head in another way")
    if shape.state_dims > sizes.state:
        wrong.append(f"the state has {shape.state_dims} numbers, GR00T takes {sizes.state}")
    if shape.action_dims != sizes.actions:
        wrong.append(f"an action has {shape.action_dims} numbers, GR00T makes {sizes.actions}")
    if not 0 <= robot < sizes.robots:
        wrong.append(f"robot {robot} is none of its {sizes.robots}")
    if wrong:
        raise refusal(shape.recipe, "GR00T", wrong)
    senses = GrootSenses(shape, groot, eyes, framing, split, robot)
    order, own = tuple(stream.name for stream in trunk.streams), {"image": senses.places}
    out = RobotMap(sizes.robots, sizes.made, sizes.hidden, sizes.actions, robot)
    return Body(
        attention=JointAttention(
            trunk,
            layers={"vlm": decoder_layers(groot.vlm)},
            closings={"vlm": Unclosed()},
            finishing=("image", "text"),
            causal=frozenset({"vlm"}),
            layered={"image": groot.layered},
        ),
        senses=senses,
        inputs=nn.ModuleDict({"action": RobotActions(sizes, robot, shape.horizon)}),
        positions=nn.ParameterDict(),
        outputs=nn.ModuleDict({"action": out}),
        widths={"vlm": groot.vlm.width, "action": sizes.width},
        conditions=nn.ModuleDict({"action": GrootTime(sizes)}),
        places=lambda laid, copies, cache: running_places(order, laid, copies, cache, own),
        mixing=GrootMixing(sizes),
        head=GrootHead(sizes, senses.pictures),
    )


_VLM, _HEAD = r"^backbone\.model\.(?:model\.)?", r"^action_head\."
NAMES: tuple[tuple[str, str | None], ...] = (
    (_VLM + r"visual\.", "senses.eyes.tower."),
    (_VLM + r"language_model\.layers\.", "attention.experts.vlm."),
    (_VLM + r"language_model\.embed_tokens\.", "senses.table."),
    (_VLM + r"language_model\.norm\.", None),
    (_VLM + r"lm_head\.", None),
    (_HEAD + r"state_encoder\.", "senses.state."),
    (_HEAD + r"action_encoder\.", "inputs.action."),
    (_HEAD + r"position_embedding\.", "inputs.action.place."),
    (_HEAD + r"action_decoder\.", "outputs.action."),
    (_HEAD + r"model\.timestep_encoder\.timestep_embedder\.", "conditions.action."),
    (_HEAD + r"model\.", "head."),
    (_HEAD + r"vlln\.", "mixing.vlln."),
    (_HEAD + r"vl_self_attention\.", "mixing."),
)
"""Beginnings of the names of weights, and ours; ``None`` where nobody needs them: the last output
of the language model is read before it is normalised, and no words are written."""


def our_name(name: str) -> str | None:
    """Our name of a released weight; ``None`` for one that is not needed.

    Raises:
        ValueError: For a name that GR00T N1.7 does not have.
    """
    for pattern, ours in NAMES:
        found = re.match(pattern, name)
        if found:
            return None if ours is None else ours + name[found.end() :]
    raise ValueError(f"'{name}' is no weight of GR00T N1.7.")


def renamed(released: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Released weights under our names.

    Raises:
        SpecMismatch: Naming every tensor that GR00T N1.7 does not have.
    """
    return rename_tensors(released, our_name, "GR00T N1.7")
