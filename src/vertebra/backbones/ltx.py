"""Layers of LTX-Video's transformer: those of Wan with other normalisations and places.

A place is a point in seconds and pixels, and turns all heads of a query or a key as one vector.

Source: huggingface/diffusers @ v0.42.1 src/diffusers/models/transformers/transformer_ltx.py,
    src/diffusers/pipelines/ltx/pipeline_ltx_image2video.py (rope_interpolation_scale); Lightricks,
    arXiv:2501.00103. Equality is tested against that library.

Shape letters: B batch, L tokens, A axes, H heads, K head width, D width.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from vertebra.backbones.features import require_features
from vertebra.backbones.wan import THETA, ExactNorm, WanLayer, WanSizes
from vertebra.backbones.wan_ends import WanClosing
from vertebra.nn.attention import rotated_pairs

HEAD_EPS = 1e-5
"""Added to the variance of queries and keys."""
CLOSING_EPS = 1e-6
RATE = 25.0
"""Pictures a second that places are counted at."""
LARGEST = (20.0, 2048.0, 2048.0)
"""Seconds, rows and columns of pixels that places are a share of."""


@dataclass(frozen=True, kw_only=True)
class LtxSizes:
    """Widths and counts of one LTX-Video transformer, or of an expert built like one.

    Attributes:
        width: Token width.
        layers: Layers.
        heads: Heads.
        head_width: Width of a head.
        hidden: Hidden width of the MLP.
        text_width: Width of the text encoder's states.
        channels_in: Channels of the (noisy) latents.
        channels_out: Channels that are predicted.
        pitch: For each axis of a place how far apart two tokens lie, in seconds and pixels.
        eps: Added to the mean square of a token.
    """

    width: int
    layers: int
    heads: int
    head_width: int
    hidden: int
    text_width: int = 4096
    channels_in: int = 128
    channels_out: int = 128
    pitch: tuple[float, ...] = (8 / RATE, 32.0, 32.0)
    eps: float = 1e-6

    @property
    def patch(self) -> tuple[int, int, int]:
        """Frames, rows and columns of latents a token."""
        return (1, 1, 1)

    @property
    def as_wan(self) -> WanSizes:
        """The same for what is built like a part of Wan."""
        return WanSizes(
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            head_width=self.head_width,
            hidden=self.hidden,
            text_width=self.text_width,
            cross_norm=False,
            eps=HEAD_EPS,
        )

    def beside(self, width: int) -> "LtxSizes":
        """Sizes of an expert beside this model, whose tokens lie on one axis."""
        return replace(self, width=width, hidden=4 * width, pitch=self.pitch[:1])


def ltx_sizes(config: Mapping[str, Any], *, pictures: int, side: int) -> LtxSizes:
    """Sizes from the ``config.json`` of an ``LTXVideoTransformer3DModel``.

    Args:
        config: The configuration.
        pictures: Pictures in a latent frame after the first.
        side: Pixels along one side of a latent.

    Raises:
        ValueError: For another class, and for features that no released LTX-Video has.
    """
    heads, head_width = config["num_attention_heads"], config["attention_head_dim"]
    require_features(
        "This is no LTX-Video transformer",
        (
            ("_class_name", config.get("_class_name"), "LTXVideoTransformer3DModel"),
            ("patch_size", config.get("patch_size", 1), 1),
            ("patch_size_t", config.get("patch_size_t", 1), 1),
            ("qk_norm", config.get("qk_norm", "rms_norm_across_heads"), "rms_norm_across_heads"),
            ("activation_fn", config.get("activation_fn"), "gelu-approximate"),
            ("norm_elementwise_affine", config.get("norm_elementwise_affine", False), False),
            ("attention_bias", config.get("attention_bias", True), True),
            ("attention_out_bias", config.get("attention_out_bias", True), True),
            ("cross_attention_dim", config["cross_attention_dim"], heads * head_width),
        ),
    )
    return LtxSizes(
        width=heads * head_width,
        layers=config["num_layers"],
        heads=heads,
        head_width=head_width,
        hidden=4 * heads * head_width,
        text_width=config["caption_channels"],
        channels_in=config["in_channels"],
        channels_out=config["out_channels"] or config["in_channels"],
        pitch=(pictures / RATE, float(side), float(side)),
        eps=config["norm_eps"],
    )


class LtxLayer(WanLayer):
    """One layer of LTX-Video; places are whole numbers [L, A] or [B, L, A], one for each axis."""

    def __init__(self, sizes: LtxSizes) -> None:
        super().__init__(sizes.as_wan)
        self.pitch = sizes.pitch
        self.norm1 = nn.RMSNorm(sizes.width, sizes.eps, elementwise_affine=False)
        self.norm3 = nn.RMSNorm(sizes.width, sizes.eps, elementwise_affine=False)
        self.scale_shift_table = nn.Parameter(torch.randn(6, sizes.width) / sizes.width**0.5)

    def _placed(self, x_BHLK: Tensor, places: Tensor | None) -> Tensor:
        if places is None:
            raise AssertionError("a layer of LTX-Video needs the place of every token")
        _, heads, _, width = x_BHLK.shape
        axes, device = len(self.pitch), x_BHLK.device
        pairs = heads * width // 2
        waves = pairs // axes
        rate = THETA ** torch.linspace(0.0, 1.0, waves, device=device) * math.pi / 2.0
        shares = [
            places[..., axis].float() * pitch / largest
            for axis, (pitch, largest) in enumerate(zip(self.pitch, LARGEST, strict=False))
        ]
        angle = rate[:, None] * (torch.stack(shares, dim=-1)[..., None, :] * 2.0 - 1.0)
        still = angle.new_zeros((*places.shape[:-1], pairs - axes * waves))
        angle = torch.cat([still, angle.flatten(-2)], dim=-1)
        each = angle.view(-1, places.shape[-2], heads, width // 2).transpose(1, 2)
        return rotated_pairs(x_BHLK, each)


def ltx_layers(sizes: LtxSizes) -> nn.ModuleList:
    """All layers, with new weights."""
    return nn.ModuleList(LtxLayer(sizes) for _ in range(sizes.layers))


class LtxClosing(WanClosing):
    """What follows the last layer: a normalisation under the flow time."""

    def __init__(self, sizes: LtxSizes) -> None:
        super().__init__(sizes.as_wan)
        self.norm_out = ExactNorm(sizes.width, CLOSING_EPS, elementwise_affine=False)
        self.scale_shift_table = nn.Parameter(torch.randn(2, sizes.width) / sizes.width**0.5)
