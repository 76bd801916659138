"""DreamZero: one trunk denoises video and action together, chunk after chunk.

Idea: A video model's own transformer also carries action and state tokens. Each chunk is denoised
    at one flow time for video and action; what was really seen replaces what was imagined.
Source: arXiv:2602.15922; dreamzero0/dreamzero
    groot/vla/model/dreamzero/modules/wan_video_dit_action_casual_chunk.py @ ab790c1.
Reads: real frames up to now, real frames of past chunks, this chunk's noisy video, state, chunk.
Schedule: rolling; video and action together (paper: 4 steps; Flash: 1); guidance on the video only.
Deviations: The state token looks at itself only, as in training in the code (when acting the code
    lets it see the chunk). One real frame a chunk and camera enters at full resolution, the frames
    inside a chunk as coarse video tokens. Solver: Euler instead of UniPC. Guidance: the paper
    trains without dropping words; here a share is dropped.
Expected: no published number is claimed at mini size.
Cost: 1 pass over new real frames, 4 joint passes (twice with guidance) a chunk.
Status: maps.
"""

from dataclasses import replace

from vertebra.backbones.kinds import Video
from vertebra.coupling.table import Joint
from vertebra.policy.process import Process
from vertebra.policy.recipe import Recipe
from vertebra.schedules.kinds import Guidance, Rolling, Together
from vertebra.spec.noise import Bell, BetaTimes, SameAs, ShiftedGrid, ShiftedUniform
from vertebra.spec.streams import PAST, SAME, UPTO, denoised, given, teacher

CHUNK = {"frame": UPTO, "clean_future": PAST, "future": SAME, "state": SAME, "action": SAME}

DREAMZERO = Recipe(
    name="dreamzero",
    source="arXiv:2602.15922",
    backbone=Video(),
    coupling=Joint(
        streams=(
            given("frame"),
            given("state"),
            denoised("future"),
            teacher("clean_future", of="future"),
            denoised("action"),
        ),
        sees={
            "frame": {"frame": UPTO, "clean_future": PAST},
            "state": {"state": SAME},
            "future": CHUNK,
            "clean_future": {"frame": UPTO, "clean_future": UPTO},
            "action": CHUNK,
        },
        experts=dict.fromkeys(("frame", "state", "future", "clean_future", "action"), "video"),
        context=("text",),
    ),
    schedule=Rolling(
        inner=Together(steps=4, guidance=(Guidance(stream="future", weight=5.0),)), window=4
    ),
    noise={
        "future": Process(
            times=ShiftedUniform(shift=5.0), weighting=Bell(), grid=ShiftedGrid(shift=5.0)
        ),
        "action": Process(
            times=SameAs(stream="future"), weighting=Bell(), grid=ShiftedGrid(shift=5.0)
        ),
    },
    text_dropout=0.1,
    status="maps",
)

DREAMZERO_FLASH = replace(
    DREAMZERO,
    name="dreamzero-flash",
    schedule=Rolling(inner=Together(steps=1), window=4),
    noise={
        "future": Process(times=BetaTimes(a=7.0, b=1.0, scale=1.0), weighting=Bell()),
        "action": Process(times=ShiftedUniform(shift=1.0), weighting=Bell()),
    },
    text_dropout=0.0,
)
