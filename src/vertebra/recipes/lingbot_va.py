"""LingBot-VA: imagine the next frames first, then the actions that lead there, causally.

Idea: Video chunk and action chunk follow one another in one causal sequence. The action reads this
    chunk's imagination, denoised only part of the way; afterwards the cache is rewritten with real
    frames and the actions that were executed.
Source: arXiv:2601.21998; Robbyant/lingbot-va wan_va/{train.py,wan_va_server.py,modules/model.py} @
    6f092cb.
Reads: real frames up to now, past executed actions, this chunk's imagined frames, the chunk.
Schedule: rolling; video first (paper: 3 steps, stopped at flow time 0.6), then ten action steps.
    SHARED: one trunk for both, as released (the two experts were not). ASYNC: a chunk is made while
    the one before it is executed, from past frames and the executing actions; its first imagined
    frame is where those actions lead (forward dynamics).
Deviations: Time 1 is data, as the paper's s. Steps of the paper; the code takes 20 to 25 and 50.
    One real frame a chunk and camera enters at full resolution, frames inside a chunk as coarse
    video tokens. The state is not shown (as in the original). ASYNC: the released code lacks it;
    forward dynamics is one frame of the same video stream instead of a loss of its own.
Expected: no published number is claimed at mini size.
Cost: 1 pass over new real frames, 3 video passes (twice with guidance), 1 to read them, 10 action
    passes a chunk.
Status: sketch; LINGBOT_VA_SHARED: maps.
"""

from dataclasses import replace

from vertebra.backbones.kinds import Video
from vertebra.coupling.table import Joint
from vertebra.policy.process import Process
from vertebra.policy.recipe import Recipe
from vertebra.schedules.kinds import Guidance, Rolling, VideoFirst
from vertebra.spec.noise import Bell, Between, PartlyClean, ShiftedUniform
from vertebra.spec.streams import PAST, SAME, UPTO, denoised, given, teacher

HISTORY = {"frame": UPTO, "clean_future": PAST, "clean_action": PAST}
BEFORE = {"frame": PAST, "clean_action": PAST}

LINGBOT_VA = Recipe(
    name="lingbot-va",
    source="arXiv:2601.21998",
    backbone=Video(),
    coupling=Joint(
        streams=(
            given("frame"),
            denoised("future"),
            teacher("clean_future", of="future"),
            teacher("clean_action", of="action"),
            denoised("action"),
        ),
        sees={
            "frame": HISTORY,
            "future": {**HISTORY, "future": SAME},
            "clean_future": {**HISTORY, "clean_future": UPTO},
            "clean_action": {**HISTORY, "clean_future": UPTO, "clean_action": UPTO},
            "action": {**HISTORY, "clean_future": UPTO, "action": SAME},
        },
        experts={
            "frame": "video",
            "future": "video",
            "clean_future": "video",
            "clean_action": "action",
            "action": "action",
        },
        context=("text",),
    ),
    schedule=Rolling(
        inner=VideoFirst(
            video_steps=3,
            steps=10,
            until=0.6,
            guidance=(Guidance(stream="future", weight=5.0),),
        ),
        window=4,
    ),
    noise={
        "future": Process(times=ShiftedUniform(shift=5.0), weighting=Bell()),
        "clean_future": Process(times=PartlyClean(clean=0.5, otherwise=Between(low=0.5, high=1.0))),
        "action": Process(times=ShiftedUniform(shift=1.0), weighting=Bell()),
    },
    text_dropout=0.1,
)

LINGBOT_VA_SHARED = replace(
    LINGBOT_VA,
    name="lingbot-va-shared",
    coupling=replace(LINGBOT_VA.coupling, experts=dict.fromkeys(LINGBOT_VA.trunk.sees, "video")),
    status="maps",
)

LINGBOT_VA_ASYNC = replace(
    LINGBOT_VA,
    name="lingbot-va-async",
    coupling=replace(
        LINGBOT_VA.coupling,
        sees={
            "frame": {"frame": UPTO, "clean_action": PAST},
            "future": {**BEFORE, "future": SAME},
            "clean_future": {**BEFORE, "clean_future": SAME},
            "clean_action": {"frame": UPTO, "clean_action": UPTO},
            "action": {**BEFORE, "clean_future": SAME, "action": SAME},
        },
    ),
    schedule=replace(LINGBOT_VA.schedule, leapfrog=True),
)
