"""What a network predicts, turned into the velocity and back, at a point of the straight path.

The point at time t is ``t * data + (1 - t) * noise``, so ``data = point + (1 - t) * velocity`` and
``noise = point - t * velocity``. Data says little about the velocity near time 1 and noise little
near time 0: there the divisor is kept from falling below ``shortest``.

Times broadcast against the values.
"""

from jaxtyping import Float
from torch import Tensor

from vertebra.flow.path import velocity
from vertebra.spec.noise import Predicts

SHORTEST = 0.05
"""Smallest flow time by which a prediction of data or noise is divided in training."""


def remaining(time: Float[Tensor, "*t"], shortest: float = SHORTEST) -> Float[Tensor, "*t"]:
    """Flow time left until the data, kept away from zero."""
    return (1.0 - time).clamp(min=shortest)


def elapsed(time: Float[Tensor, "*t"], shortest: float = SHORTEST) -> Float[Tensor, "*t"]:
    """Flow time since the noise, kept away from zero."""
    return time.clamp(min=shortest)


def to_velocity(
    predicts: Predicts,
    output: Float[Tensor, "*b"],
    point: Float[Tensor, "*b"],
    time: Float[Tensor, "*t"],
    shortest: float = SHORTEST,
) -> Float[Tensor, "*b"]:
    """The velocity that an output means at a point of the path.

    Args:
        predicts: What the output is.
        output: Velocity, data or noise.
        point: Where the network was asked.
        time: At which time.
        shortest: Smallest divisor. A sampler, which never asks at time 1, may choose it below its
            last step, so that this step ends on predicted data.
    """
    match predicts:
        case Predicts.VELOCITY:
            return output
        case Predicts.DATA:
            return (output - point) / remaining(time, shortest)
        case Predicts.NOISE:
            return (point - output) / elapsed(time, shortest)


def from_velocity(
    predicts: Predicts,
    rate: Float[Tensor, "*b"],
    point: Float[Tensor, "*b"],
    time: Float[Tensor, "*t"],
    shortest: float = SHORTEST,
) -> Float[Tensor, "*b"]:
    """The output that means this velocity: the inverse of ``to_velocity``."""
    match predicts:
        case Predicts.VELOCITY:
            return rate
        case Predicts.DATA:
            return point + remaining(time, shortest) * rate
        case Predicts.NOISE:
            return point - elapsed(time, shortest) * rate


def target_of(
    predicts: Predicts, noise: Float[Tensor, "*b"], data: Float[Tensor, "*b"]
) -> Float[Tensor, "*b"]:
    """What the output is regressed on."""
    match predicts:
        case Predicts.VELOCITY:
            return velocity(noise, data)
        case Predicts.DATA:
            return data
        case Predicts.NOISE:
            return noise


def natural_scale(
    predicts: Predicts, time: Float[Tensor, "*t"], shortest: float = SHORTEST
) -> Float[Tensor, "*t"]:
    """Squared error of the output for each unit of squared error of the velocity it means."""
    match predicts:
        case Predicts.VELOCITY:
            return time.new_ones(time.shape)
        case Predicts.DATA:
            return remaining(time, shortest).square()
        case Predicts.NOISE:
            return elapsed(time, shortest).square()
