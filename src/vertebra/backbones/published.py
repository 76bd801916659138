"""Released transformers at their published size, as data: what to build, and where it is stated."""

from dataclasses import dataclass, replace

import torch
from torch import nn

from vertebra.backbones.decoder import DecoderSizes, decoder_closing, decoder_layers
from vertebra.backbones.wan import WanSizes, wan_layers
from vertebra.backbones.wan_ends import WanClosing, WanEmbedder, WanEnds
from vertebra.spec.named import one_named

GEMMA_2B = DecoderSizes(width=2048, layers=18, heads=8, kv_heads=1, head_width=256, hidden=16384)
GEMMA_300M = replace(GEMMA_2B, width=1024, hidden=4096)
WAN_1_3B = WanSizes(width=1536, layers=30, heads=12, head_width=128, hidden=8960)
WAN_14B = WanSizes(width=5120, layers=40, heads=40, head_width=128, hidden=13824)
WAN_14B_PICTURE = replace(WAN_14B, channels_in=36, picture_width=1280)
WAN_5B = WanSizes(
    width=3072,
    layers=30,
    heads=24,
    head_width=128,
    hidden=14336,
    channels_in=48,
    channels_out=48,
)
FAST_WAM_ACTION = replace(WAN_5B, width=1024, hidden=4096, axes=(128,))


@dataclass(frozen=True, kw_only=True)
class Published:
    """One released transformer.

    Attributes:
        name: What it is called.
        sizes: What it is built from.
        source: Where that is stated.
        ends: Whether a Wan turns latents into tokens and back; an expert beside one has, before its
            layers, only what tells flow times and words.
    """

    name: str
    sizes: DecoderSizes | WanSizes
    source: str
    ends: bool = True

    def build(self) -> nn.ModuleDict:
        """All its weights but a table of words; call it on the device ``meta`` to count only."""
        match self.sizes:
            case DecoderSizes() as sizes:
                closing = decoder_closing(sizes)
                return nn.ModuleDict({"layers": decoder_layers(sizes), "closing": closing})
            case WanSizes() as sizes:
                parts: dict[str, nn.Module] = {"layers": wan_layers(sizes)}
                if self.ends:
                    parts |= {"closing": WanClosing(sizes), "ends": WanEnds(sizes)}
                else:
                    parts["condition_embedder"] = WanEmbedder(sizes)
                return nn.ModuleDict(parts)

    def parameters(self) -> int:
        """How many parameters ``build`` makes; nothing is allocated."""
        with torch.device("meta"):
            return sum(value.numel() for value in self.build().parameters())


PUBLISHED: tuple[Published, ...] = (
    Published(
        name="gemma-2b",
        sizes=GEMMA_2B,
        source="Physical-Intelligence/openpi@15a9616 src/openpi/models/gemma.py 73-82",
    ),
    Published(
        name="gemma-300m",
        sizes=GEMMA_300M,
        source="Physical-Intelligence/openpi@15a9616 src/openpi/models/gemma.py 63-72",
    ),
    Published(
        name="wan2.1-t2v-1.3b",
        sizes=WAN_1_3B,
        source="Wan-AI/Wan2.1-T2V-1.3B-Diffusers transformer/config.json",
    ),
    Published(
        name="wan2.1-t2v-14b",
        sizes=WAN_14B,
        source="Wan-AI/Wan2.1-T2V-14B-Diffusers transformer/config.json",
    ),
    Published(
        name="wan2.1-i2v-14b",
        sizes=WAN_14B_PICTURE,
        source="Wan-AI/Wan2.1-I2V-14B-480P-Diffusers transformer/config.json",
    ),
    Published(
        name="wan2.2-ti2v-5b",
        sizes=WAN_5B,
        source="Wan-AI/Wan2.2-TI2V-5B-Diffusers transformer/config.json; "
        "yuantianyuan01/FastWAM@45d8e14 configs/model/fastwam.yaml",
    ),
    Published(
        name="fast-wam-action",
        sizes=FAST_WAM_ACTION,
        source="yuantianyuan01/FastWAM@45d8e14 configs/model/fastwam.yaml, "
        "src/fastwam/models/wan22/action_dit.py",
        ends=False,
    ),
)


def published(name: str) -> Published:
    """The released transformer of that name.

    Raises:
        ValueError: Listing the known names.
    """
    return one_named(PUBLISHED, name, f"No published sizes are known for '{name}'")
