"""The shipped bodies: small, with new weights, and free to have any width."""

import torch
from torch import nn

from vertebra.coupling.kinds import Head
from vertebra.coupling.shipped import ExpertSize, shipped_attention
from vertebra.coupling.table import Embed
from vertebra.nn.embeddings import NoisyTokens, TimedTokens
from vertebra.policy.body import Body
from vertebra.policy.senses import ShippedSenses
from vertebra.policy.shape import Shape
from vertebra.spec.streams import Role


def expert_sizes(shape: Shape) -> dict[str, ExpertSize]:
    """Widths of all experts of a recipe at its size."""
    experts = {e for e in shape.recipe.table.experts.values() if e != "inverse"}
    return {name: _expert_size(shape, name) for name in sorted(experts)}


def _expert_size(shape: Shape, name: str) -> ExpertSize:
    size, recipe = shape.size, shape.recipe
    match name:
        case "vlm":
            return ExpertSize(width=size.trunk, hidden=size.vlm_hidden)
        case "video":
            return ExpertSize(width=size.trunk, hidden=size.video_hidden)
        case "action":
            crossing = bool(recipe.trunk.context) or isinstance(recipe.coupling, Head)
            hidden = size.action_hidden_context if crossing else size.action_hidden
            return ExpertSize(width=size.action, hidden=hidden)
        case _:
            raise ValueError(f"No weights are known for expert '{name}': vlm, video or action.")


def shipped_body(shape: Shape) -> Body:
    """A body with new weights."""
    recipe, size, coupling = shape.recipe, shape.size, shape.recipe.coupling
    sizes = expert_sizes(shape)
    widths = {name: expert.width for name, expert in sizes.items()}
    denoised, trunk = recipe.table.named(Role.DENOISED), recipe.trunk
    reads = coupling.reads.of if isinstance(coupling, Head) else ()
    attention = shipped_attention(
        trunk,
        sizes=sizes,
        depth=size.depth,
        heads=size.heads,
        head_width=size.head_width,
        finishing=tuple(s.name for s in trunk.streams if s.name in denoised or s.name in reads),
        context_width=size.trunk,
    )
    senses = ShippedSenses(shape, widths)
    inputs, outputs, positions = nn.ModuleDict(), nn.ModuleDict(), nn.ParameterDict()
    for name in (*recipe.noisy, *recipe.table.named(Role.TEACHER)):
        length, channels = shape.vectors(name)
        width = widths[recipe.table.experts[name]]
        adaptive = recipe.table.embed.get(name) is Embed.ADAPTIVE
        inputs[name] = (TimedTokens if adaptive else NoisyTokens)(channels, width)
        positions[name] = nn.Parameter(0.02 * torch.randn(length, width))
        if name in denoised:
            output = nn.Linear(width, channels)
            nn.init.zeros_(output.weight)
            nn.init.zeros_(output.bias)
            outputs[name] = output
    return Body(
        attention=attention,
        senses=senses,
        inputs=inputs,
        positions=positions,
        outputs=outputs,
        widths=widths,
    )
