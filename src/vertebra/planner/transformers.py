"""Transformers at published size as counts: what a token, a word and a pair of tokens cost.

Nothing is built here. Tests build the same transformers on a device without memory, and by the
libraries' own classes, and hold these counts against them.
"""

from dataclasses import dataclass, replace

from vertebra.spec.named import one_named

BYTES = 2
"""Of a number in bf16."""


@dataclass(frozen=True, kw_only=True)
class Transformer:
    """Widths and counts of one transformer.

    Attributes:
        width: Token width.
        layers: Layers.
        heads: Heads of the queries.
        kv_heads: Heads of keys and values.
        head_width: Width of a head.
        hidden: Hidden width of the MLP.
        gated: Whether the MLP has a gate.
        told: Width of the context that every layer reads by cross-attention, 0 for none.
        pictured: Whether every layer also has keys and values for states of a picture encoder.
        besides: Parameters outside of the matrices of the layers (tokens in and out, norms,
            modulations); they are few, and their operations are not counted.
    """

    width: int
    layers: int
    heads: int
    kv_heads: int
    head_width: int
    hidden: int
    gated: bool = False
    told: int = 0
    pictured: bool = False
    besides: int = 0

    @property
    def turned(self) -> int:
        """Numbers in the queries of a token."""
        return self.heads * self.head_width

    @property
    def kept(self) -> int:
        """Numbers in keys and values of a token, one layer."""
        return 2 * self.kv_heads * self.head_width

    @property
    def a_token(self) -> int:
        """Weights of a layer that touch every token."""
        attention = self.width * (2 * self.turned + self.kept)
        crossing = 2 * self.width * self.turned if self.told else 0
        return attention + crossing + (2 + self.gated) * self.width * self.hidden

    @property
    def a_word(self) -> int:
        """Weights of a layer that touch every token of the context."""
        return 2 * self.told * self.turned if self.told else 0

    @property
    def parameters(self) -> int:
        """All parameters."""
        pictured = self.a_word if self.pictured else 0
        return self.layers * (self.a_token + self.a_word + pictured) + self.besides

    @property
    def flops_a_pair(self) -> int:
        """Operations of all layers for one query and one key: score and weighted sum."""
        return 4 * self.layers * self.turned

    @property
    def active(self) -> int:
        """Numbers a token that a layer must remember for its gradients."""
        crossing = self.width + 2 * self.turned if self.told else 0
        return 4 * self.width + 2 * self.turned + self.kept + crossing + self.inner

    @property
    def inner(self) -> int:
        """Numbers a token inside the MLP."""
        return (2 + self.gated) * self.hidden

    def flops(self, tokens: float, pairs: float, words: float) -> float:
        """Operations of a forward pass.

        Args:
            tokens: Tokens.
            pairs: Pairs of query and key in its self-attention.
            words: Tokens of the context.
        """
        dense = 2 * self.layers * (self.a_token * tokens + self.a_word * words)
        return dense + self.flops_a_pair * (pairs + (tokens * words if self.told else 0))


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A backbone at published size.

    Attributes:
        name: As on the command line.
        family: ``vlm`` or ``video``.
        body: Its transformer.
        source: Where its sizes are stated.
        tower: Picture encoder of a vision-language model.
        picture_tokens: Tokens a picture in a vision-language model.
        vocabulary: Parameters of its table of words.
        stride: Pixels a latent of a video model, in rows and columns.
        patch: Latents a token, in rows and columns.
        channels: Channels of a latent.
        encode: Operations a pixel of its autoencoder's encoder.
    """

    name: str
    family: str
    body: Transformer
    source: str
    tower: Transformer | None = None
    picture_tokens: int = 0
    vocabulary: int = 0
    stride: int = 0
    patch: int = 2
    channels: int = 0
    encode: float = 0.0

    @property
    def parameters(self) -> int:
        """All parameters that a policy holds of it; autoencoder and text encoder not counted."""
        tower = self.tower.parameters if self.tower else 0
        return self.body.parameters + tower + self.vocabulary

    def tokens(self, height: int, width: int) -> int:
        """Tokens of one picture, or of one latent frame.

        Raises:
            ValueError: When its sides are no multiples of a token.
        """
        if self.picture_tokens:
            return self.picture_tokens
        side = self.stride * self.patch
        if height % side or width % side:
            raise ValueError(
                f"A picture of {height} x {width} pixels cannot be cut for '{self.name}': give "
                f"multiples of {side}."
            )
        return (height // side) * (width // side)


GEMMA_2B = Transformer(
    width=2048,
    layers=18,
    heads=8,
    kv_heads=1,
    head_width=256,
    hidden=16384,
    gated=True,
    besides=75_776,
)
GEMMA_300M = replace(GEMMA_2B, width=1024, hidden=4096, besides=37_888)
SIGLIP = Transformer(
    width=1152, layers=27, heads=16, kv_heads=16, head_width=72, hidden=4304, besides=1_371_888
)
WAN_5B = Transformer(
    width=3072,
    layers=30,
    heads=24,
    kv_heads=24,
    head_width=128,
    hidden=14336,
    told=3072,
    besides=92_452_032,
)
FAST_WAM_ACTION = replace(WAN_5B, width=1024, hidden=4096, told=1024, besides=14_237_696)
LINGBOT_ACTION = replace(FAST_WAM_ACTION, width=768, hidden=3072, told=768)
WAN_14B = Transformer(
    width=5120,
    layers=40,
    heads=40,
    kv_heads=40,
    head_width=128,
    hidden=13824,
    told=5120,
    besides=237_573_184,
)
WAN_14B_PICTURE = replace(WAN_14B, pictured=True, besides=246_808_384)
WAN_1_3B = replace(
    WAN_14B,
    width=1536,
    layers=30,
    heads=12,
    kv_heads=12,
    hidden=8960,
    told=1536,
    besides=27_012_160,
)
COSMOS_2B = Transformer(
    width=2048,
    layers=28,
    heads=16,
    kv_heads=16,
    head_width=128,
    hidden=8192,
    told=1024,
    besides=194_805_760,
)
MIMIC_HEAD = Transformer(
    width=1024, layers=24, heads=8, kv_heads=8, head_width=128, hidden=4096, told=2048
)

WAN_2_1 = {"stride": 8, "channels": 16, "encode": 5.06e6}
WAN_2_2 = {"stride": 16, "channels": 48, "encode": 3.53e6}
"""Latents and operations a pixel of the two autoencoders (33 frames of 224 x 224, counted)."""

BACKBONES: tuple[Backbone, ...] = (
    Backbone(
        name="paligemma-3b",
        family="vlm",
        body=GEMMA_2B,
        tower=SIGLIP,
        picture_tokens=256,
        vocabulary=257_152 * 2048,
        source="Physical-Intelligence/openpi@15a9616 src/openpi/models/{gemma,siglip}.py",
    ),
    Backbone(
        name="wan2.1-1.3b",
        family="video",
        body=WAN_1_3B,
        source="Wan-AI/Wan2.1-T2V-1.3B-Diffusers transformer/config.json",
        **WAN_2_1,
    ),
    Backbone(
        name="wan2.1-14b",
        family="video",
        body=WAN_14B_PICTURE,
        source="Wan-AI/Wan2.1-I2V-14B-480P-Diffusers transformer/config.json",
        **WAN_2_1,
    ),
    Backbone(
        name="wan2.2-5b",
        family="video",
        body=WAN_5B,
        source="Wan-AI/Wan2.2-TI2V-5B-Diffusers transformer/config.json",
        **WAN_2_2,
    ),
    Backbone(
        name="cosmos-predict2-2b",
        family="video",
        body=COSMOS_2B,
        source="huggingface/diffusers@v0.42.1 scripts/convert_cosmos_to_diffusers.py",
        **WAN_2_1,
    ),
)


def backbone_at_size(name: str) -> Backbone:
    """The backbone of that name.

    Raises:
        ValueError: Listing the known names.
    """
    return one_named(BACKBONES, name, f"No backbone of published size is named '{name}'")
