"""features-only: what a video model's eyes are worth when it never imagines.

Idea: A control. A head reads a video model's hidden states of the present frame; no future is
    predicted, in training or when acting.
Source: starVLA/starVLA @ 0ed0aad (recipe WM4A).
Reads: hidden states of the frame, the state, and the chunk itself.
Schedule: one pass over the frame, four steps on the action.
Deviations: In training the video model gets the action loss alone; what it knows of futures it has
    from its prior, if it starts from one. The head has no learned tokens beside state and action.
Expected: no published number is claimed at mini size.
Cost: 1 frame pass and 4 action passes a chunk.
Status: sketch.
"""

from vertebra.backbones.kinds import Video
from vertebra.coupling.kinds import Features, Head
from vertebra.coupling.table import Joint
from vertebra.policy.process import Process
from vertebra.policy.recipe import Recipe
from vertebra.recipes.gr00t import DECODER
from vertebra.schedules.kinds import ActionOnly
from vertebra.spec.noise import BetaTimes
from vertebra.spec.streams import ALL, given

FEATURES_ONLY = Recipe(
    name="features-only",
    source="starVLA/starVLA (WM4A)",
    backbone=Video(),
    coupling=Head(
        trunk=Joint(
            streams=(given("frame"),),
            sees={"frame": {"frame": ALL}},
            experts={"frame": "video"},
            context=("text",),
        ),
        reads=Features(of=("frame",)),
        head=DECODER,
    ),
    schedule=ActionOnly(steps=4),
    noise={"action": Process(times=BetaTimes(a=1.5, b=1.0, scale=0.999))},
)
