"""Joint attention between experts of the shipped kind, whose widths are free."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from vertebra.coupling.joint import JointAttention
from vertebra.coupling.table import Embed, Joint
from vertebra.nn.blocks import ExpertLayer, Norm


@dataclass(frozen=True, kw_only=True)
class ExpertSize:
    """Widths of one expert.

    Attributes:
        width: Token width.
        hidden: Hidden width of the MLP.
    """

    width: int
    hidden: int


def shipped_attention(
    joint: Joint,
    *,
    sizes: Mapping[str, ExpertSize],
    depth: int,
    heads: int,
    head_width: int,
    finishing: tuple[str, ...],
    context_width: int = 0,
) -> JointAttention:
    """Experts with new weights.

    Args:
        joint: The table.
        sizes: Widths of each expert.
        depth: Layers.
        heads: Heads, the same in all experts.
        head_width: Width of a head, the same in all experts.
        finishing: Streams whose output after the last layer is needed; of an expert that serves
            none of them the last layer is built for keys and values only.
        context_width: Width of the context's tokens, where the table has a context.
    """
    needed = {joint.experts[name] for name in finishing}
    adaptive = frozenset(
        joint.experts[name] for name, embed in joint.embed.items() if embed is Embed.ADAPTIVE
    )
    layers: dict[str, nn.ModuleList] = {}
    closings: dict[str, nn.Module] = {}
    for name in sorted(set(joint.experts.values())):
        layers[name] = nn.ModuleList(
            ExpertLayer(
                width=sizes[name].width,
                heads=heads,
                head_width=head_width,
                hidden=sizes[name].hidden,
                context_width=context_width if joint.context else 0,
                final=layer == depth - 1 and name not in needed,
                adaptive=name in adaptive,
            )
            for layer in range(depth)
        )
        if name in needed:
            closings[name] = Norm(sizes[name].width)
    return JointAttention(
        joint, layers=layers, closings=closings, finishing=finishing, adaptive=adaptive
    )
