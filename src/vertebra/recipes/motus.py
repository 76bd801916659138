"""Motus: a vision-language model, a video model and an action expert in one attention.

Idea: All three share attention in every layer, and all see all. Flow times of video and action are
    independent, so one set of weights is policy, world model, inverse dynamics and video generator
    at once (UniDiffuser). MOTUS_VLA is the same weights as a policy alone: the future stays pure
    noise, which means "not known".
Source: arXiv:2512.13030; thu-ml/Motus.
Reads: everything: language model, frame, state and noisy future.
Schedule: video and action together, ten steps. MOTUS_VLA: the action alone.
Deviations: The language model takes part in every layer (in the original its last hidden states do,
    through an adapter), and words reach the video by it alone, not also by cross-attention. No
    registers, no latent actions from optical flow, no three-stage pre-training.
Expected: no published number is claimed at mini size.
Cost: 10 passes over everything a chunk.
Status: sketch.
"""

from dataclasses import replace

from vertebra.backbones.kinds import Both
from vertebra.coupling.table import Joint
from vertebra.policy.process import Process
from vertebra.policy.recipe import Recipe
from vertebra.schedules.kinds import ActionOnly, Together
from vertebra.spec.noise import ShiftedUniform
from vertebra.spec.streams import ALL, denoised, given

STREAMS = ("image", "text", "frame", "state", "future", "action")

MOTUS = Recipe(
    name="motus",
    source="arXiv:2512.13030",
    backbone=Both(),
    coupling=Joint(
        streams=(
            given("image"),
            given("text"),
            given("frame"),
            given("state"),
            denoised("future"),
            denoised("action"),
        ),
        sees=dict.fromkeys(STREAMS, dict.fromkeys(STREAMS, ALL)),
        experts={
            "image": "vlm",
            "text": "vlm",
            "frame": "video",
            "future": "video",
            "state": "action",
            "action": "action",
        },
    ),
    schedule=Together(steps=10),
    noise={
        "future": Process(times=ShiftedUniform(shift=1.0)),
        "action": Process(times=ShiftedUniform(shift=1.0)),
    },
)

MOTUS_VLA = replace(MOTUS, name="motus-vla", schedule=ActionOnly(steps=10, marginal=("future",)))
