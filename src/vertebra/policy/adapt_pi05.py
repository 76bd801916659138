"""pi0.5 on a PaliGemma: the state is said in the prompt, the noise level scales the action expert.

As in pi0, the noise level of openpi is one minus our flow time and its velocity points from data to
noise. The prompt is one text; where the state begins in it is only of interest to our table.

Source: openpi @ 15a9616 src/openpi/models/{pi0.py,tokenizer.py}, models_pytorch/pi0_pytorch.py;
    lerobot @ 7427f318 src/lerobot/policies/pi05/{modeling_pi05,processor_pi05}.py. Equality is
    tested against numbers that the latter gave.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.coupling.table import Embed
from vertebra.nn.embeddings import BINS, Condition, TimedTokens
from vertebra.policy.adapt_pi0 import (
    OWN,
    SHARED,
    PaliGemmaSenses,
    Pi0Sizes,
    even_rows,
    named,
    pi_body,
    require_fit,
    unfit,
    with_table,
)
from vertebra.policy.body import Body
from vertebra.policy.checkpoint import rename_tensors
from vertebra.policy.senses import Given
from vertebra.policy.shape import Shape

EMBED = {"state": Embed.WORDS, "action": Embed.ADAPTIVE}
Split = Callable[[str], list[int]]
"""From a text to token numbers, none added."""


@dataclass(frozen=True, kw_only=True)
class StatePrompts:
    """Writes prompts as pi0.5 was trained with.

    Attributes:
        split: Splits a text into tokens.
        begin: Number of the token that begins a prompt.
        says_state: Whether the state is said; openpi's policy for LIBERO is not told.
    """

    split: Split
    begin: int
    says_state: bool = True

    def __call__(
        self, instructions: Sequence[str], states: NDArray[np.floating]
    ) -> tuple[list[list[int]], list[list[int]]]:
        """Tokens of each prompt up to where the state begins, and from there on.

        Args:
            instructions: What is asked for.
            states: Normalised states [B, S].
        """
        heads: list[list[int]] = []
        tails: list[list[int]] = []
        for text, state in zip(instructions, states, strict=True):
            asked = text.strip().replace("_", " ").replace("\n", " ")
            if self.says_state:
                start = f"Task: {asked}, State:"
                whole = self.split(f"{start} {' '.join(map(str, binned(state)))};\nAction: ")
                first = _in_common(self.split(start), whole)
            else:
                words = self.split(asked)
                whole, first = [*words, *self.split("\n")], len(words)
            heads.append([self.begin, *whole[:first]])
            tails.append(whole[first:])
        return heads, tails


def binned(state: NDArray[np.floating]) -> list[int]:
    """The bin of each number between -1 and 1; those below have -1, those above the last one."""
    edges = np.linspace(-1.0, 1.0, BINS + 1)[:-1]
    return (np.digitize(state, edges) - 1).tolist()


def _in_common(one: Sequence[int], other: Sequence[int]) -> int:
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


class Pi05Senses(PaliGemmaSenses):
    """What pi0.5 is given: pictures, and a prompt that holds words and the state.

    Args:
        shape: Recipe and robot.
        sizes: Widths.
        tower: The picture encoder.
        prompts: Writes prompts.
    """

    def __init__(
        self, shape: Shape, sizes: Pi0Sizes, tower: nn.Module, prompts: StatePrompts
    ) -> None:
        super().__init__(shape, sizes, tower)
        self.prompts = prompts

    def streams(
        self, given: Given, names: Sequence[str], silent: bool
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Tokens [B, L, D] and padding masks [B, L] of some given streams."""
        spoken = ("",) * len(given.instructions) if silent else given.instructions
        heads, tails = self.prompts(spoken, given.state.detach().float().cpu().numpy())
        told = {"text": heads, "state": tails}
        tokens: dict[str, Tensor] = {}
        padding: dict[str, Tensor] = {}
        for name in names:
            if name == "image":
                tokens[name] = self.seen(given.images)
            elif name in told:
                rows, mask = even_rows(told[name])
                tokens[name] = self.worded(rows)
                if not bool(mask.all()):
                    padding[name] = mask.to(self.device)
            else:
                raise ValueError(f"pi0.5 has no given stream '{name}': image, text, state.")
        return tokens, padding


class LevelCondition(Condition):
    """Noise levels, which are one minus the flow time, as vectors."""

    def forward(self, time_BL: Tensor) -> Tensor:
        """Flow times [B, L] to [B, L, D]."""
        return F.silu(super().forward(1.0 - time_BL))


def pi05_body(shape: Shape, sizes: Pi0Sizes, tower: nn.Module, prompts: StatePrompts) -> Body:
    """A body with new weights, to be filled with released ones.

    Raises:
        ValueError: Naming everything in which recipe or robot is not what pi0.5 can stand under.
    """
    require_fit(shape, unfit(shape, sizes, EMBED), "pi0.5")
    senses = Pi05Senses(shape, sizes, tower, prompts)
    conditions = nn.ModuleDict({"action": LevelCondition(sizes.action.width)})
    return pi_body(shape, sizes, senses, TimedTokens, conditions)


NAMES: tuple[tuple[str, str], ...] = (
    *SHARED,
    (OWN + r"time_mlp_in\.", "conditions.action.mix."),
    (OWN + r"time_mlp_out\.", "conditions.action.out."),
)
"""Beginnings of the names of weights in openpi and LeRobot, and ours."""


def our_name(name: str) -> str | None:
    """Our name of a released weight; ``None`` for one that is not needed.

    Raises:
        ValueError: For a name that pi0.5 does not have.
    """
    return named(name, NAMES, "pi0.5")


def renamed(released: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Released weights under our names.

    Raises:
        SpecMismatch: Naming every tensor that pi0.5 does not have.
    """
    return with_table(rename_tensors(released, our_name, "pi0.5"), released)
