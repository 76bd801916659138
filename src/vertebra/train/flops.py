"""Counting floating-point operations by running a step."""

from torch.utils.flop_counter import FlopCounterMode

from vertebra.policy.losses import losses, weighted_total
from vertebra.train.prepare import Prepared


def count_flops(prepared: Prepared) -> float:
    """Operations of a forward and backward pass over a batch (matrix products, convolutions)."""
    network = prepared.policy.network
    examples = prepared.examples(prepared.batch(0))
    with FlopCounterMode(display=False) as counter:
        total = weighted_total(
            losses(network, examples, prepared.noise(0)), prepared.spec.recipe.weights
        )
        total.backward()
    network.zero_grad()
    return float(counter.get_total_flops())
