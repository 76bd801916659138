"""One dial: how large everything is."""

from dataclasses import dataclass, replace

from vertebra.spec.named import one_named

GROUP = 2
"""Frames in a group of the autoencoder; one group ends at each of ``Size.future_steps``."""
CODE_GRID, CODE_CHANNELS = 4, 32
"""Rows and columns of codes of a group, and numbers in a code."""


@dataclass(frozen=True, kw_only=True)
class Latents:
    """Imagined frames as latents of a video autoencoder.

    Attributes:
        frames: Imagined latent frames, the present one not counted.
        rows: Tokens from top to bottom.
        columns: Tokens from left to right.
        numbers: Numbers in a token.
        pictures: Pictures in a latent frame after the first.
    """

    frames: int
    rows: int
    columns: int
    numbers: int
    pictures: int = 1


@dataclass(frozen=True, kw_only=True)
class Size:
    """Widths and counts of a policy.

    Attributes:
        name: ``tiny`` (tests), ``mini`` (the shipped default) or ``mini-x4`` (about four times its
            backbone's parameters).
        depth: Layers, the same for all experts.
        heads: Attention heads.
        head_width: Width of a head.
        trunk: Token width of the backbone.
        vlm_hidden: MLP width of the vision-language backbone.
        video_hidden: MLP width of the video backbone; smaller, because its layers also hold
            cross-attention: both backbones have equal parameters and FLOPs.
        action: Token width of the action expert.
        action_hidden: MLP width of the action expert in a policy whose text is in the prefix.
        action_hidden_context: The same where the expert has cross-attention.
        channels: Channels after the first convolution of a pixel stem.
        fine_stride: Pixels a token in the first camera.
        coarse_stride: Pixels a token in the other cameras.
        future_px: Side of an imagined frame in pixels.
        future_patch: Side of a patch of it.
        future_steps: How many control steps ahead the imagined frames lie.
        code_width: Channels of the first layer of the autoencoder.
        horizon: Actions in a chunk.
        execute: Fewest actions executed before the next chunk.
        look_s: Seconds of actions executed before the next chunk, where the control rate makes
            them more; a robot that is driven twice as often is not looked at twice as often.
        action_steps: Euler steps of the action that replace the recipe's at this size, or ``None``.
            After minutes of training one step, the mean chunk, acts better than a sampled one
            (docs/experiments/first_light.md); large models keep the published number.
        draws: Independent noise draws of a chunk that share one prefix pass in training.
        chunk: Actions in a chunk of a recipe that rolls; all of them are executed.
        window: Most chunks of a rolling recipe's history, the present one included; also the
            number of chunks in one training sample of it.
        registers: Learned tokens of a recipe that has them.
        candidates: Most candidates of a plan, or ``None`` for as many as the recipe says.
        latents: Imagined frames as latents; ``None`` for patches of pixels.
    """

    name: str
    depth: int
    heads: int
    head_width: int
    trunk: int
    vlm_hidden: int
    video_hidden: int
    action: int
    action_hidden: int
    action_hidden_context: int
    channels: int
    fine_stride: int = 8
    coarse_stride: int = 16
    future_px: int = 32
    future_patch: int = 8
    future_steps: tuple[int, ...] = (4, 8)
    code_width: int = 36
    horizon: int = 8
    execute: int = 2
    look_s: float = 0.2
    action_steps: int | None = None
    draws: int = 4
    chunk: int = 4
    window: int = 2
    registers: int = 4
    candidates: int | None = None
    latents: Latents | None = None

    @property
    def future_frames(self) -> tuple[int, ...]:
        """How many control steps ahead the frames of the autoencoder's groups lie."""
        last = self.future_steps[-1]
        apart = last // (GROUP * len(self.future_steps))
        return tuple(range(apart, last + 1, apart))


TINY = Size(
    name="tiny",
    depth=2,
    heads=2,
    head_width=16,
    trunk=32,
    vlm_hidden=64,
    video_hidden=48,
    action=32,
    action_hidden=64,
    action_hidden_context=48,
    channels=8,
    code_width=8,
    action_steps=1,
    draws=2,
)

MINI = Size(
    name="mini",
    depth=4,
    heads=4,
    head_width=32,
    trunk=128,
    vlm_hidden=512,
    video_hidden=192,
    action=64,
    action_hidden=448,
    action_hidden_context=128,
    channels=64,
    action_steps=1,
)

MINI_X4 = replace(
    MINI,
    name="mini-x4",
    heads=2 * MINI.heads,
    trunk=2 * MINI.trunk,
    vlm_hidden=2 * MINI.vlm_hidden,
    video_hidden=2 * MINI.video_hidden,
    action=2 * MINI.action,
    action_hidden=2 * MINI.action_hidden,
    action_hidden_context=2 * MINI.action_hidden_context,
    channels=2 * MINI.channels,
    code_width=2 * MINI.code_width,
)

SIZES: tuple[Size, ...] = (TINY, MINI, MINI_X4)


def size_by_name(name: str) -> Size:
    """The size of that name.

    Raises:
        ValueError: Listing the known names.
    """
    return one_named(SIZES, name, f"No size is named '{name}'")
