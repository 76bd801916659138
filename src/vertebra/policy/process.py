"""How one stream is made from noise, as data."""

from dataclasses import dataclass

from vertebra.spec.noise import Flat, Grid, Predicts, Times, UniformGrid, Weighting

FLAT = Flat()
EQUAL_STEPS = UniformGrid()


@dataclass(frozen=True, kw_only=True)
class Process:
    """A noise process.

    Whatever a paper calls it, inside it is a straight path from noise at flow time 0 to data at
    time 1; diffusion in sigma or in steps differs in what stands here.

    Attributes:
        times: How flow times are drawn in training.
        weighting: Weight of the loss at a flow time.
        predicts: What the network's output means.
        grid: How the steps of the sampler lie in flow time.
    """

    times: Times
    weighting: Weighting = FLAT
    predicts: Predicts = Predicts.VELOCITY
    grid: Grid = EQUAL_STEPS

    def __post_init__(self) -> None:
        object.__setattr__(self, "predicts", Predicts(self.predicts))
