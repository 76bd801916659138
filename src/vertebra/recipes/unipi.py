"""UniPi: a video is the plan, and a separate inverse dynamics model turns it into actions.

Idea: A text-conditioned video model imagines what the task looks like when done; a small network,
    trained apart from it, reads the actions off the imagined frames.
Source: arXiv:2302.00111 (no official code).
Reads: the present frame and the imagined frames, as pictures.
Schedule: the video is denoised to the end, then one pass of the inverse dynamics model; the chunk
    is executed in open loop.
Deviations: A transformer on coarse frames instead of a cascade of pixel U-Nets with temporal
    super-resolution; rectified flow instead of log-SNR diffusion; the first frame is read as tokens
    instead of being tiled onto every frame. The inverse dynamics model reads pairs of frames at
    once (the paper's appendix: one frame at a time).
Expected: no published number is claimed at mini size.
Cost: 1 frame pass, 10 video passes and 1 inverse pass a chunk.
Status: sketch.
"""

from vertebra.backbones.kinds import Video
from vertebra.coupling.kinds import Inverse
from vertebra.coupling.table import Joint
from vertebra.policy.process import Process
from vertebra.policy.recipe import Recipe
from vertebra.schedules.kinds import Guidance, VideoFirst
from vertebra.spec.noise import DiscreteSteps, KarrasGrid, Predicts
from vertebra.spec.streams import ALL, denoised, given

UNIPI = Recipe(
    name="unipi",
    source="arXiv:2302.00111",
    backbone=Video(),
    coupling=Inverse(
        trunk=Joint(
            streams=(given("frame"), denoised("future")),
            sees={"frame": {"frame": ALL}, "future": {"frame": ALL, "future": ALL}},
            experts={"frame": "video", "future": "video"},
            context=("text",),
        ),
    ),
    schedule=VideoFirst(
        video_steps=10, steps=1, open_loop=True, guidance=(Guidance(stream="future", weight=1.5),)
    ),
    noise={
        "future": Process(
            times=DiscreteSteps(count=1000),
            predicts=Predicts.NOISE,
            grid=KarrasGrid(sigma_max=80.0, sigma_min=0.02),
        )
    },
    text_dropout=0.1,
)
