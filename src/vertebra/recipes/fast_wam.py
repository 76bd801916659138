"""Fast-WAM: a video model that imagines while it is trained and does not while it acts.

Idea: Future frames are predicted beside the actions in training, so the video weights keep learning
    how scenes change; the action reads the first frame only, so acting needs no imagined frame.
Source: arXiv:2603.16666; FastWAM @ 45d8e14,
    src/fastwam/models/wan22/{fastwam,fastwam_joint,fastwam_idm}.py.
Reads: FAST_WAM: the first frame. FAST_WAM_JOINT: also the noisy future. FAST_WAM_IDM: the first
    frame and a clean copy of the future (the truth in training, the imagined one when acting).
Schedule: one pass over the frame, then ten Euler steps on the action (Joint: both together; IDM:
    video first).
Deviations: Time runs from noise (0) to data (1). Joint follows the code (the future is blind to the
    action), not the paper's word "mutual". The clean copy is never noised in training (the code
    noises it with probability 0.5). Action times follow pi0's Beta so that both families draw them
    alike (the code shifts uniform times by 5). Our mini backbone and prior instead of Wan2.2-5B, a
    tiny causal autoencoder instead of Wan's; under released weights (`policy/adapt_fast_wam.py`)
    the network gives what the original gives, and times, loss weights and steps stay those named
    here. State enters as a context token beside the text, as in the code.
Expected: no published number is claimed at mini size.
Cost: FAST_WAM 1 frame pass + 10 action passes a chunk; Joint 1 + 10 joint; IDM 1 + 10 video + 1
    over the clean copy + 10.
Status: maps.
"""

from dataclasses import replace

from vertebra.backbones.kinds import Video
from vertebra.coupling.table import Joint
from vertebra.policy.process import Process
from vertebra.policy.recipe import Recipe
from vertebra.schedules.kinds import ActionOnly, Together, VideoFirst
from vertebra.spec.noise import BetaTimes, ShiftedUniform
from vertebra.spec.streams import ALL, denoised, given, teacher

FAST_WAM = Recipe(
    name="fast-wam",
    source="arXiv:2603.16666",
    backbone=Video(),
    coupling=Joint(
        streams=(given("frame"), denoised("future"), denoised("action")),
        sees={
            "frame": {"frame": ALL},
            "future": {"frame": ALL, "future": ALL},
            "action": {"frame": ALL, "action": ALL},  # the paper is this line
        },
        experts={"frame": "video", "future": "video", "action": "action"},
        context=("text", "state"),
    ),
    schedule=ActionOnly(steps=10),
    noise={
        "future": Process(times=ShiftedUniform(shift=5.0)),
        "action": Process(times=BetaTimes(a=1.5, b=1.0, scale=0.999)),
    },
    status="maps",
)

FAST_WAM_JOINT = replace(
    FAST_WAM,
    name="fast-wam-joint",
    coupling=FAST_WAM.trunk.with_sight("action", frame=ALL, future=ALL, action=ALL),
    schedule=Together(steps=10),
)

FAST_WAM_IDM = replace(
    FAST_WAM,
    name="fast-wam-idm",
    coupling=Joint(
        streams=(
            given("frame"),
            denoised("future"),
            teacher("clean_future", of="future"),
            denoised("action"),
        ),
        sees={
            "frame": {"frame": ALL},
            "future": {"frame": ALL, "future": ALL},
            "clean_future": {"frame": ALL, "clean_future": ALL},
            "action": {"frame": ALL, "clean_future": ALL, "action": ALL},
        },
        experts={"frame": "video", "future": "video", "clean_future": "video", "action": "action"},
        context=("text", "state"),
    ),
    schedule=VideoFirst(video_steps=10, steps=10),
)
