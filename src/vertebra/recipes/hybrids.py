"""Hybrids: a vision-language model and a video model in one attention.

Idea: MOTUS: language model, video model and action expert share attention in every layer, and all
    see all; flow times of video and action are independent, so one set of weights is policy, world
    model, inverse dynamics and video generator at once (UniDiffuser). MOTUS_VLA: the same weights as a policy
    alone: the future stays pure noise, which means "not known". VLM_WAM: Fast-WAM whose words come
    from a language model that looks at the scene.
Source: MOTUS: arXiv:2512.13030; thu-ml/Motus. VLM_WAM: ours, after arXiv:2603.16666 and pi0.
Reads: MOTUS: everything: language model, frame, state, noisy future. VLM_WAM: language model, first
    frame and state.
Schedule: MOTUS: video and action together, ten steps. MOTUS_VLA and VLM_WAM: the action alone.
Deviations: MOTUS: the language model takes part in every layer (in the original its last hidden
    states do, through an adapter), and words reach the video by it alone, not also by
    cross-attention; no registers, no latent actions from optical flow, no three-stage pre-training.
    VLM_WAM: F1-VLA (arXiv:2509.06951) is its nearest relative with published code: there the action
    reads the foreseen tokens, here it never does.
Expected: no published number is claimed at mini size.
Cost: MOTUS and MOTUS_VLA 10 passes over everything, VLM_WAM 1 prefix and 10 action passes a chunk.
Status: sketch.
"""

from dataclasses import replace

from vertebra.backbones.kinds import Both
from vertebra.coupling.table import Joint
from vertebra.policy.process import Process
from vertebra.policy.recipe import Recipe
from vertebra.schedules.kinds import ActionOnly, Together
from vertebra.spec.noise import BetaTimes, ShiftedUniform
from vertebra.spec.streams import ALL, denoised, given

WORDS = {"image": ALL, "text": ALL}
SCENE = {**WORDS, "frame": ALL}
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

VLM_WAM = replace(
    MOTUS,
    name="vlm-wam",
    source="hybrid of arXiv:2603.16666 and arXiv:2410.24164",
    coupling=replace(
        MOTUS.trunk,
        sees={
            "image": WORDS,
            "text": WORDS,
            "frame": SCENE,
            "state": {**SCENE, "state": ALL},
            "future": {**SCENE, "future": ALL},
            "action": {**SCENE, "state": ALL, "action": ALL},
        },
    ),
    schedule=ActionOnly(steps=10),
    noise={
        "future": Process(times=ShiftedUniform(shift=5.0)),
        "action": Process(times=BetaTimes(a=1.5, b=1.0, scale=0.999)),
    },
)
