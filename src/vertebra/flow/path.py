"""The straight path from noise to data, and its velocity.

Source: Lipman et al., arXiv:2210.02747; Liu et al., arXiv:2209.03003.
"""

from jaxtyping import Float
from torch import Tensor


def between(
    noise: Float[Tensor, "*b"], data: Float[Tensor, "*b"], time: Float[Tensor, "*t"]
) -> Float[Tensor, "*b"]:
    """The point at ``time`` on the line from noise (0) to data (1); ``time`` broadcasts."""
    return (1.0 - time) * noise + time * data


def velocity(noise: Float[Tensor, "*b"], data: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """The derivative of ``between`` with respect to time: the regression target."""
    return data - noise
