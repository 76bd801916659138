"""The action head of GR00T: layers that read a language model and themselves in turn.

Layers with an even number read, by turns, words and pictures of the language model; the others
read the head's own tokens. Each robot has weights of its own for its states and actions.

Source: NVIDIA/Isaac-GR00T (fork arnavinator/Isaac-GR00T @ 0078914) gr00t/model/modules/{dit,
    embodiment_conditioned_mlp}.py, gr00t/model/gr00t_n1d6/gr00t_n1d6.py; lerobot @ 7427f318
    src/lerobot/policies/groot/{groot_n1_7.py,action_head/cross_attention_dit.py}. Equality is
    tested against numbers that the latter gave.

Shape letters: B batch, L tokens, S tokens of the language model, D width, C numbers.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.nn.attention import join_heads, split_heads

WAVES = 256
"""Waves in which a flow time is told (``TimestepEncoder``)."""


@dataclass(frozen=True, kw_only=True)
class GrootSizes:
    """Widths and counts of an action head.

    Attributes:
        width: Token width.
        layers: Layers, of both kinds.
        heads: Heads of each.
        reads: Width of the language model's tokens.
        made: Width of what comes out.
        hidden: Hidden width of what each robot has of its own.
        state: Numbers in a state vector.
        actions: Numbers in an action vector.
        robots: Robots that it has weights for.
        longest: Most actions in a chunk.
        mixing: Layers in which the language model's tokens read one another before; 0 in N1.6.
        mixing_heads: Heads of each.
        every: After how many layers that read, words and pictures change places.
        steps: Into how many steps flow time is cut.
    """

    width: int
    layers: int
    heads: int
    reads: int
    made: int
    hidden: int
    state: int
    actions: int
    robots: int
    longest: int
    mixing: int
    mixing_heads: int
    every: int = 2
    steps: int = 1000


class OfRobot(nn.Module):
    """A linear map that each robot has of its own."""

    def __init__(self, robots: int, inside: int, outside: int) -> None:
        super().__init__()
        self.W = nn.Parameter(0.02 * torch.randn(robots, inside, outside))
        self.b = nn.Parameter(torch.zeros(robots, outside))

    def forward(self, x: Tensor, robot: int) -> Tensor:
        """[..., inside] to [..., outside]."""
        return x @ self.W[robot] + self.b[robot]


class RobotMap(nn.Module):
    """Two such maps with a bend between them, for one robot.

    Args:
        robots: Robots that there are weights for.
        inside: Numbers that go in; fewer are filled up with zeros.
        hidden: Between the two.
        outside: Numbers that come out.
        robot: Which robot it is.
    """

    def __init__(self, robots: int, inside: int, hidden: int, outside: int, robot: int) -> None:
        super().__init__()
        self.inside, self.robot = inside, robot
        self.layer1 = OfRobot(robots, inside, hidden)
        self.layer2 = OfRobot(robots, hidden, outside)

    def forward(self, x: Tensor) -> Tensor:
        """[..., at most inside] to [..., outside]."""
        whole = F.pad(x, (0, self.inside - x.shape[-1]))
        return self.layer2(F.relu(self.layer1(whole, self.robot)), self.robot)


class RobotActions(nn.Module):
    """Noisy actions of one robot, their flow times and places in the chunk, as tokens.

    Args:
        sizes: Of the head.
        robot: Which robot it is.
        horizon: Actions in a chunk.
    """

    def __init__(self, sizes: GrootSizes, robot: int, horizon: int) -> None:
        super().__init__()
        width = sizes.width
        self.steps, self.robot, self.horizon = sizes.steps, robot, horizon
        self.W1 = OfRobot(sizes.robots, sizes.actions, width)
        self.W2 = OfRobot(sizes.robots, 2 * width, width)
        self.W3 = OfRobot(sizes.robots, width, width)
        self.place = nn.Embedding(sizes.longest, width)

    def forward(self, noisy_BLC: Tensor, time_BL: Tensor) -> Tensor:
        """[B, n * horizon, C] and flow times [B, n * horizon] to tokens [B, n * horizon, D]."""
        half = self.W3.b.shape[-1] // 2
        rate = torch.exp(-math.log(10000.0) / half * torch.arange(half, device=time_BL.device))
        angle = stepped(time_BL, self.steps)[..., None] * rate
        waves = torch.cat([angle.sin(), angle.cos()], dim=-1).to(noisy_BLC.dtype)
        value = self.W1(noisy_BLC, self.robot)
        mixed = F.silu(self.W2(torch.cat([value, waves], dim=-1), self.robot))
        place = torch.arange(noisy_BLC.shape[1], device=noisy_BLC.device) % self.horizon
        return self.W3(mixed, self.robot) + self.place(place)


def stepped(time: Tensor, steps: int) -> Tensor:
    """Flow times as whole numbers of steps."""
    return (time * steps).long().float()


class GrootTime(nn.Module):
    """Flow times [B, L] as conditions [B, L, D]."""

    def __init__(self, sizes: GrootSizes) -> None:
        super().__init__()
        self.steps = sizes.steps
        self.linear_1 = nn.Linear(WAVES, sizes.width)
        self.linear_2 = nn.Linear(sizes.width, sizes.width)

    def forward(self, time_BL: Tensor) -> Tensor:
        """Cosines and sines of the step, through two maps."""
        half = WAVES // 2
        fraction = torch.arange(half, device=time_BL.device) / (half - 1)
        angle = stepped(time_BL, self.steps)[..., None] * torch.exp(-math.log(10000.0) * fraction)
        waves = torch.cat([angle.cos(), angle.sin()], dim=-1).to(self.linear_1.weight.dtype)
        return self.linear_2(F.silu(self.linear_1(waves)))


class ScaledNorm(nn.Module):
    """Normalised tokens, scaled and shifted by a condition."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 2 * width)

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """[B, L, D] under [B, D]."""
        if condition is None:
            raise AssertionError("a layer of the head needs a condition")
        scale, shift = self.linear(F.silu(condition))[:, None].chunk(2, dim=-1)
        return F.layer_norm(x, x.shape[-1:], eps=1e-5) * (1.0 + scale) + shift


class PlainNorm(nn.LayerNorm):
    """Normalised tokens; a condition changes nothing."""

    def forward(self, input: Tensor, condition: Tensor | None = None) -> Tensor:  # noqa: A002
        """[B, L, D]."""
        return super().forward(input)


class GrootLayer(nn.Module):
    """Attention to something and an MLP, under the names of diffusers.

    Args:
        width: Token width.
        heads: Heads.
        reads: Width of what is read.
        scaled: Whether a condition scales the first normalisation; else both have weights.
    """

    def __init__(self, width: int, heads: int, reads: int, *, scaled: bool) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = ScaledNorm(width) if scaled else PlainNorm(width, eps=1e-5)
        self.attn1 = nn.ModuleDict(
            {
                "to_q": nn.Linear(width, width),
                "to_k": nn.Linear(reads, width),
                "to_v": nn.Linear(reads, width),
                "to_out": nn.ModuleList([nn.Linear(width, width)]),
            }
        )
        self.norm3 = nn.LayerNorm(width, eps=1e-5, elementwise_affine=not scaled)
        first = nn.ModuleDict({"proj": nn.Linear(width, 4 * width)})
        self.ff = nn.ModuleDict(
            {"net": nn.ModuleList([first, nn.Identity(), nn.Linear(4 * width, width)])}
        )

    def forward(
        self,
        x: Tensor,
        condition: Tensor | None = None,
        read: Tensor | None = None,
        seen: Tensor | None = None,
    ) -> Tensor:
        """Tokens [B, L, D] after reading.

        Args:
            x: Tokens.
            condition: [B, D].
            read: Tokens that are read [B, S, D]; its own when left out.
            seen: Which of them are [B, 1, 1, S].
        """
        normed = self.norm1(x, condition)
        source = normed if read is None else read
        query, key, value = (
            split_heads(self.attn1[name](of), self.heads)
            for name, of in (("to_q", normed), ("to_k", source), ("to_v", source))
        )
        attended = join_heads(F.scaled_dot_product_attention(query, key, value, attn_mask=seen))
        x = x + cast("nn.ModuleList", self.attn1["to_out"])[0](attended)
        first, _, last = cast("nn.ModuleList", self.ff["net"])
        inner = cast("nn.ModuleDict", first)["proj"](self.norm3(x))
        return x + last(F.gelu(inner, approximate="tanh"))


class GrootMixing(nn.Module):
    """What happens to the language model's tokens before they are read."""

    def __init__(self, sizes: GrootSizes) -> None:
        super().__init__()
        width, heads = sizes.reads, sizes.mixing_heads
        self.vlln = nn.LayerNorm(width)
        self.transformer_blocks = nn.ModuleList(
            GrootLayer(width, heads, width, scaled=False) for _ in range(sizes.mixing)
        )

    def forward(self, features: Tensor, real: Tensor) -> Tensor:
        """Tokens [B, S, D]; padding (``real`` [B, S] is False) is not read."""
        x = self.vlln(features)
        seen = None if bool(real.all()) else real[:, None, None]
        for layer in self.transformer_blocks:
            x = layer(x, seen=seen)
        return x


class GrootHead(nn.Module):
    """State and noisy actions under what a language model understood.

    Args:
        sizes: Of the head.
        pictures: Which of the first tokens that are read are pictures [n]; those behind are words.
    """

    def __init__(self, sizes: GrootSizes, pictures: Tensor) -> None:
        super().__init__()
        self.sizes = sizes
        self.register_buffer("pictures", pictures, persistent=False)
        self.transformer_blocks = nn.ModuleList(
            GrootLayer(
                sizes.width,
                sizes.heads,
                sizes.reads if number % 2 == 0 else sizes.width,
                scaled=True,
            )
            for number in range(sizes.layers)
        )
        self.proj_out_1 = nn.Linear(sizes.width, 2 * sizes.width)
        self.proj_out_2 = nn.Linear(sizes.width, sizes.made)

    def forward(
        self,
        tokens: Mapping[str, Tensor],
        conditions: Tensor,
        copies: int,
        context: Tensor,
        real: Tensor,
    ) -> Tensor:
        """What comes of noisy actions [B, copies * L, made].

        Args:
            tokens: ``state`` [B, 1, D] and ``action`` [B, copies * L, D].
            conditions: Of the flow time of each token of the action [B, copies * L, D].
            copies: Independent chunks that lie behind one another; each is read by itself.
            context: Tokens of the language model [B, S, D].
            real: True where one is real [B, S].
        """
        action = tokens["action"]
        batch, length = len(action), action.shape[1] // copies
        own = action.reshape(batch * copies, length, -1)
        state = tokens["state"].repeat_interleave(copies, dim=0)
        told = conditions.reshape(batch * copies, length, -1)[:, 0]
        read, shown = (x.repeat_interleave(copies, dim=0) for x in (context, real))
        known = cast("Tensor", self.pictures)
        seen = F.pad(known, (0, read.shape[1] - len(known)))
        masks = [(shown & ~seen)[:, None, None], (shown & seen)[:, None, None]]
        x = torch.cat([state, own], dim=1)
        for number, layer in enumerate(self.transformer_blocks):
            if number % 2:
                x = layer(x, told)
            else:
                which = 0 if number % (2 * self.sizes.every) == 0 else 1
                x = layer(x, told, read, masks[which])
        shift, scale = self.proj_out_1(F.silu(told))[:, None].chunk(2, dim=-1)
        made = F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1.0 + scale) + shift
        return self.proj_out_2(made)[:, -length:].reshape(batch, copies * length, -1)
