"""Rhoda's Direct Video Action: a causal video model acts; a small network reads off the motion.

Idea: A long context of real frames is amortised into one causal video model that predicts the next
    frames; a small inverse dynamics model turns them into motion. While one prediction is executed
    the next is made, conditioned on the actions under way (leapfrog).
Source: rhoda.ai/research/direct-video-action, March 2026 (closed; partial description).
Reads: predicted frames, as pictures.
Schedule: rolling and leapfrogging; video to the end, then one pass of the inverse dynamics model.
Deviations: Size, losses, steps and the path of language are undisclosed: rectified flow, ten steps
    and cross-attention to the words stand in for them. The cache holds four chunks, not hundreds of
    frames.
Expected: no published number is claimed at mini size.
Cost: 1 pass over new real frames, 10 video passes, 1 inverse pass a chunk.
Status: sketch.
"""

from vertebra.backbones.kinds import Video
from vertebra.coupling.kinds import Inverse
from vertebra.coupling.table import Joint
from vertebra.policy.process import Process
from vertebra.policy.recipe import Recipe
from vertebra.schedules.kinds import Rolling, VideoFirst
from vertebra.spec.noise import ShiftedUniform
from vertebra.spec.streams import PAST, SAME, UPTO, denoised, given, teacher

RHODA_DVA = Recipe(
    name="rhoda-dva",
    source="rhoda.ai/research/direct-video-action",
    backbone=Video(),
    coupling=Inverse(
        trunk=Joint(
            streams=(
                given("frame"),
                teacher("clean_action", of="action"),
                denoised("future"),
            ),
            sees={
                "frame": {"frame": UPTO},
                "clean_action": {"clean_action": UPTO},
                "future": {"frame": PAST, "clean_action": PAST, "future": SAME},
            },
            experts=dict.fromkeys(("frame", "clean_action", "future"), "video"),
            context=("text",),
        ),
        reads=("future",),
    ),
    schedule=Rolling(inner=VideoFirst(video_steps=10, steps=1), window=4, leapfrog=True),
    noise={"future": Process(times=ShiftedUniform(shift=5.0))},
)
