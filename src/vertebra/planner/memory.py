"""What one GPU must hold while it trains, when everything is sharded over all of them."""

from dataclasses import dataclass

from vertebra.planner.systems import System
from vertebra.planner.transformers import BYTES, Transformer
from vertebra.planner.work import expert_of

LORA_SHARE = 0.01
"""Parameters of adapters, as a share of what they adapt."""
TRAINED_BYTES = {"weights": 4, "gradients": 4, "optimizer": 8}
"""Of one trained parameter: float32 master copy, gradient, two moments of Adam."""
FREE = 0.1
"""Share of the memory that is left free, for buffers of the libraries and fragments."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes on one GPU.

    Attributes:
        weights: This GPU's share of the weights.
        gradients: Its share of the gradients.
        optimizer: Its share of the moments of the optimizer.
        gathered: Two layers of bf16 weights and gradients, gathered from all GPUs.
        activations: What is remembered for the gradients.
    """

    weights: float
    gradients: float
    optimizer: float
    gathered: float
    activations: float

    @property
    def total(self) -> float:
        """All of it."""
        fixed = self.weights + self.gradients + self.optimizer
        return fixed + self.gathered + self.activations


def trained_parameters(system: System, tune: str) -> tuple[float, float]:
    """Trained and frozen parameters (``lora``: the adapters are trained)."""
    action = system.action.parameters if system.action else 0
    whole = system.backbone.parameters
    match tune:
        case "full":
            return whole + action, 0
        case "lora":
            return LORA_SHARE * whole + action, whole
        case _:
            return action, whole


def memory(system: System, *, gpus: int, samples: int, tune: str, recomputed: bool) -> Memory:
    """Bytes on one GPU, under full sharding (FSDP2, ZeRO-3).

    Args:
        system: What is trained.
        gpus: Over how many GPUs everything is shared out.
        samples: Samples on one GPU at a time.
        tune: What is trained.
        recomputed: Whether only the inputs of layers are remembered.
    """
    trained, frozen = trained_parameters(system, tune)
    largest = max(_a_layer(kind) for kind in _experts(system))
    return Memory(
        weights=(TRAINED_BYTES["weights"] * trained + BYTES * frozen) / gpus,
        gradients=TRAINED_BYTES["gradients"] * trained / gpus,
        optimizer=TRAINED_BYTES["optimizer"] * trained / gpus,
        gathered=2 * 2 * BYTES * largest if gpus > 1 else BYTES * (trained + 2 * largest),
        activations=samples * activations(system, tune=tune, recomputed=recomputed),
    )


def activations(system: System, *, tune: str, recomputed: bool) -> float:
    """Bytes that one sample leaves behind for its gradients."""
    table, tokens = system.recipe.table, system.tokens()
    found = 0.0
    widest = 0.0
    for stream in table.streams:
        expert = table.experts[stream.name]
        if tune == "action" and expert != "action":
            continue
        kind = expert_of(system, expert)
        each = tokens[stream.name] * kind.active
        widest += each
        found += tokens[stream.name] * kind.layers * (kind.width if recomputed else kind.active)
    tower = system.backbone.tower
    if tower is not None and tune != "action":
        pictures = len(system.pictures) * system.backbone.picture_tokens
        found += pictures * tower.layers * (tower.width if recomputed else tower.active)
    return BYTES * (found + (widest if recomputed else 0.0))


def _experts(system: System) -> tuple[Transformer, ...]:
    body = system.backbone.body
    return (body,) if system.action is None else (body, system.action)


def _a_layer(kind: Transformer) -> int:
    return kind.a_token + kind.a_word
