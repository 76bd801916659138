"""Counting floating-point operations by running a step."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vertebra.policy.losses import losses, weighted_total
from vertebra.train.prepare import Prepared


def step_flops(network: nn.Module, total: Callable[[], Tensor]) -> float:
    """Operations of a loss and its gradients (matrix products, convolutions).

    Args:
        network: Whose gradients are dropped again.
        total: Computes the loss.
    """
    with FlopCounterMode(display=False) as counter:
        total().backward()
    network.zero_grad()
    return float(counter.get_total_flops())


def count_flops(prepared: Prepared) -> float:
    """Operations of a forward and backward pass over a batch."""
    network = prepared.policy.network
    examples = prepared.examples(prepared.batch(0))

    def total() -> Tensor:
        found = losses(network, examples, prepared.noise(0))
        return weighted_total(found, prepared.spec.recipe.weights)

    return step_flops(network, total)
