"""Cosmos Policy on Cosmos-Predict2: the body of a released policy, and the names of its weights.

Nothing of the video model is changed. One clip holds, a latent frame each: nothing, the state, the
cameras, the actions, the state to come, the cameras to come, the value. Numbers fill the whole
frame, channel after channel, and are read back as the mean of their repeats. What is given is told
as clean. The noise level is one minus our flow time, and the velocity points from data to noise;
both are turned round here, so that weights stay as they were released.

Source: cosmos-policy @ 18a2acc cosmos_policy/models/policy_text2world_model.py, cosmos_policy/
    experiments/robot/cosmos_utils.py (order of the clip), cosmos_policy/config/experiment/
    cosmos_policy_experiment_configs.py, cosmos_policy/_src/predict2/networks/
    {minimal_v4_dit,minimal_v1_lvg_dit}.py. The layers are compared with diffusers' elsewhere.
Deviations: It acts only: the pictures to come are not made targets here.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from vertebra.backbones.cosmos import CosmosSizes, cosmos_layers
from vertebra.backbones.cosmos_ends import CosmosClosing, CosmosEmbedder
from vertebra.backbones.sizes import Latents
from vertebra.backbones.wan_ends import wan_places
from vertebra.coupling.joint import JointAttention
from vertebra.coupling.table import Embed
from vertebra.nn.embeddings import tiled
from vertebra.policy.body import Body, Laid
from vertebra.policy.checkpoint import rename_tensors
from vertebra.policy.cosmos_parts import CosmosTokens
from vertebra.policy.latent_senses import LatentSenses
from vertebra.policy.pairs import refusal
from vertebra.policy.senses import Given
from vertebra.policy.shape import Shape
from vertebra.policy.wan_parts import Encode, PatchVelocity, Texts, patches, unpatched
from vertebra.spec.streams import Role

COSMOS_POLICY = CosmosSizes(
    width=2048, layers=28, heads=16, head_width=128, hidden=8192, axes=(44, 42, 42)
)
"""Sizes of all that were released; they are stated in no file beside the weights
(cosmos_policy/_src/predict2/configs/video2world/defaults/net.py, COSMOS_V1_2B_NET_MININET)."""
STREAMS = ("frame", "state", "future_state", "future", "value", "action")
NUMBERS = ("action", "future_state", "value")


class ToldExactly(CosmosEmbedder):
    """Flow times as conditions of the trunk; what is given is told that it has no noise."""

    def forward(self, time_BL: Tensor) -> Tensor:
        """Flow times [B, L] to conditions [B, L, 4 D]."""
        return self.conditions(1.0 - time_BL)


class Volume(nn.Module):
    """Numbers that fill one frame of latents, channel after channel, as tokens.

    Args:
        tokens: What makes tokens of patches; it belongs to another stream.
        grid: Rows and columns of tokens.
        patch: Frames, rows and columns of latents a token.
    """

    def __init__(
        self, tokens: CosmosTokens, grid: tuple[int, int], patch: tuple[int, int, int]
    ) -> None:
        super().__init__()
        self._tokens, self.grid, self.patch = (tokens,), grid, patch

    def forward(self, vectors_BLC: Tensor, time_BL: Tensor | None = None) -> Tensor:
        """[B, L, C * patch] to tokens [B, L, D]."""
        sides = (side * cut for side, cut in zip(self.grid, self.patch[1:], strict=True))
        frame = vectors_BLC.flatten(1).view(len(vectors_BLC), -1, 1, *sides)
        return self._tokens[0](patches(frame, self.patch), time_BL)


class VolumeVelocity(nn.Module):
    """Tokens as velocities of numbers that fill one frame of latents, channel after channel."""

    def __init__(
        self, velocity: PatchVelocity, grid: tuple[int, int], patch: tuple[int, int, int]
    ) -> None:
        super().__init__()
        self._velocity, self.grid, self.patch = (velocity,), grid, patch

    def forward(self, closed: Tensor) -> Tensor:
        """[B, L, D] to [B, L, C * patch]."""
        rates = self._velocity[0](closed)
        return unpatched(rates, (1, *self.grid), self.patch).flatten(1).view_as(rates)


class ClipSenses(LatentSenses):
    """Nothing and the cameras as frames of one clip; the state as a frame of numbers.

    Args:
        shape: Recipe and robot.
        patch: Frames, rows and columns of latents a token.
        tokens: What makes tokens of patches; it belongs to the inputs of the network.
        volume: What makes tokens of numbers.
        encode: A clip to latents.
        texts: Words to states.
    """

    def __init__(
        self,
        shape: Shape,
        patch: tuple[int, int, int],
        *,
        tokens: CosmosTokens,
        volume: Volume,
        encode: Encode,
        texts: Texts,
    ) -> None:
        super().__init__(shape, patch, tokens=tokens, encode=encode, texts=texts)
        self._volume, self.has_state = (volume,), True
        latents = shape.size.latents
        self.each = 1 if latents is None else latents.pictures
        self.room = (shape.frame_tokens, shape.patch_numbers)

    @property
    def camera_tokens(self) -> int:
        """Tokens of the empty frame and of all cameras."""
        return (1 + len(self.cameras)) * super().camera_tokens

    def one(self, name: str, given: Given) -> Tensor:
        """What is seen, or the state, as frames of the clip.

        Raises:
            ValueError: For another stream.
        """
        match name:
            case "frame":
                seen = self.encode(clip([given.images[name] for name in self.cameras], self.each))
                kept = [0, *range(2, 2 + len(self.cameras))]
                return self._tokens[0](patches(seen[:, :, kept], self.patch))
            case "state":
                return self._volume[0](tiled(given.state[:, None], *self.room))
            case _:
                return super().one(name, given)

    def streams(
        self, given: Given, names: Sequence[str], silent: bool
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Tokens of some given streams; nothing is padding."""
        return {name: self.one(name, given) for name in names}, {}


def clip(views: Sequence[Tensor], each: int) -> Tensor:
    """A black picture, black ones where the state will stand, and every camera held.

    Args:
        views: Pictures [B, H, W, 3] of one size.
        each: Pictures in a latent frame after the first.
    """
    black = torch.zeros_like(views[0])
    return torch.stack([black] + [view for one in (black, *views) for view in [one] * each], dim=1)


def cosmos_policy_body(shape: Shape, sizes: CosmosSizes, encode: Encode, texts: Texts) -> Body:
    """A body with new weights, to be filled with released ones.

    Args:
        shape: Recipe and robot; its latents have as many frames as there are cameras.
        sizes: Widths.
        encode: A clip to latents.
        texts: Words to states.

    Raises:
        ValueError: Naming everything in which recipe or robot is not what Cosmos Policy can stand
            under.
    """
    latents, table = shape.size.latents, shape.recipe.table
    wrong = _unfit(shape, sizes)
    if wrong or latents is None:
        raise refusal(shape.recipe, "Cosmos Policy's weights", wrong)
    grid = (latents.rows, latents.columns)
    tokens, velocity = CosmosTokens(sizes), PatchVelocity(sizes, bias=False)
    inputs: dict[str, nn.Module] = {"future": tokens}
    outputs: dict[str, nn.Module] = {"future": velocity}
    for name in NUMBERS:
        inputs[name] = Volume(tokens, grid, sizes.patch)
        outputs[name] = VolumeVelocity(velocity, grid, sizes.patch)
    return Body(
        attention=JointAttention(
            table,
            layers={"video": cosmos_layers(sizes)},
            closings={"video": CosmosClosing(sizes)},
            finishing=table.named(Role.DENOISED),
            adaptive=frozenset({"video"}),
        ),
        senses=ClipSenses(
            shape,
            sizes.patch,
            tokens=tokens,
            volume=Volume(tokens, grid, sizes.patch),
            encode=encode,
            texts=texts,
        ),
        inputs=nn.ModuleDict(inputs),
        positions=nn.ParameterDict(),
        outputs=nn.ModuleDict(outputs),
        widths={"video": sizes.width},
        conditions=nn.ModuleDict({"video": ToldExactly(sizes)}),
        tells_each=True,
        sees=_untrained,
        canvas=True,
        speaks=frozenset(outputs),
        places=partial(_places, latents, len(shape.needs.cameras)),
    )


def _unfit(shape: Shape, sizes: CosmosSizes) -> list[str]:
    table, latents, cameras = shape.recipe.table, shape.size.latents, shape.needs.cameras
    wrong = [
        f"stream '{name}' is served by '{expert}', expected "
        + ("video" if name in STREAMS else "no such stream")
        for name, expert in table.experts.items()
        if name not in STREAMS or expert != "video"
    ]
    wrong += [f"there is no stream '{name}'" for name in STREAMS if name not in table.experts]
    wrong += [
        f"stream '{name}' is embedded as {table.embed.get(name, Embed.TOKENS)}"
        for name in ("state", *NUMBERS)
        if name in table.experts and table.embed.get(name) is not Embed.LATENT_FRAME
    ]
    if set(table.context) != {"text"}:
        wrong.append(f"what is told is {table.context}, expected the words alone")
    numbers = sizes.channels * sizes.patch[0] * sizes.patch[1] * sizes.patch[2]
    if latents is None or (latents.frames, latents.numbers) != (len(cameras), numbers):
        wrong.append(
            f"size '{shape.size.name}' has latents {latents}, expected {len(cameras)} frames of "
            f"{numbers} numbers a token"
        )
    if len({(camera.height, camera.width) for camera in cameras}) > 1:
        wrong.append("the cameras differ in size, and lie in one clip")
    return wrong


def _untrained(pictures: Tensor) -> Tensor:
    raise ValueError(
        f"Pictures {list(pictures.shape)} should become targets: Cosmos Policy's released weights "
        "act here and are not trained. Train the recipe on a Cosmos-Predict2 (--video)."
    )


def _places(
    latents: Latents, cameras: int, laid: Laid, copies: Mapping[str, int], cache: object
) -> dict[str, Tensor]:
    """Frame of the clip, row and column of every token."""
    orders: dict[str, Sequence[int]] = {
        "frame": (0, *range(2, 2 + cameras)),
        "state": (1,),
        "action": (2 + cameras,),
        "future_state": (3 + cameras,),
        "future": range(4 + cameras, 4 + 2 * cameras),
        "value": (4 + 2 * cameras,),
    }
    one: Callable[[int], Tensor] = lambda at: wan_places(  # noqa: E731
        (1, latents.rows, latents.columns), start=at
    )
    return {
        name: torch.cat([one(at) for at in orders[name]])
        .repeat(copies.get(name, 1), 1)
        .to(tokens.device)
        for name, tokens in laid.tokens.items()
    }


_BLOCK = r"^net\.blocks\.(\d+)\."
_HERE = r"attention.experts.video.\1."
NAMES: tuple[tuple[str, str], ...] = (
    (_BLOCK + r"self_attn\.([qkv])_proj\.", _HERE + r"attn1.to_\2."),
    (_BLOCK + r"cross_attn\.([qkv])_proj\.", _HERE + r"attn2.to_\2."),
    (_BLOCK + r"self_attn\.output_proj\.", _HERE + "attn1.to_out.0."),
    (_BLOCK + r"cross_attn\.output_proj\.", _HERE + "attn2.to_out.0."),
    (_BLOCK + r"self_attn\.([qk])_norm\.", _HERE + r"attn1.norm_\2."),
    (_BLOCK + r"cross_attn\.([qk])_norm\.", _HERE + r"attn2.norm_\2."),
    (_BLOCK + r"adaln_modulation_self_attn\.", _HERE + "norm1.linear_"),
    (_BLOCK + r"adaln_modulation_cross_attn\.", _HERE + "norm2.linear_"),
    (_BLOCK + r"adaln_modulation_mlp\.", _HERE + "norm3.linear_"),
    (_BLOCK + r"mlp\.layer1\.", _HERE + "ff.net.0.proj."),
    (_BLOCK + r"mlp\.layer2\.", _HERE + "ff.net.2."),
    (r"^net\.x_embedder\.proj\.1\.", "inputs.future.proj."),
    (r"^net\.t_embedder\.1\.", "conditions.video.t_embedder."),
    (r"^net\.t_embedding_norm\.", "conditions.video.norm."),
    (r"^net\.final_layer\.linear\.", "outputs.future.proj_out."),
    (r"^net\.final_layer\.adaln_modulation\.", "attention.norms.video.linear_"),
)
"""Beginnings of the names of weights, and ours."""
UNUSED = re.compile(r"^net\.(accum_\w+$|pos_embedder\.|.*\._extra_state$)")
"""What else stands in such files: counters of training, and tables of places that are computed."""


def our_name(name: str) -> str | None:
    """Our name of a released weight; ``None`` for what is not needed.

    Raises:
        ValueError: For a name that Cosmos Policy does not have.
    """
    for pattern, ours in NAMES:
        if re.match(pattern, name):
            return re.sub(pattern, ours, name)
    if UNUSED.match(name):
        return None
    raise ValueError(f"'{name}' is no weight of Cosmos Policy.")


def renamed(released: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Released weights under our names.

    Raises:
        SpecMismatch: Naming every tensor that Cosmos Policy does not have.
    """
    return rename_tensors(released, our_name, "Cosmos Policy")
