"""Cortex 2.0: several futures are imagined, scored, and the best one conditions the policy.

Idea: A vision-language model reads scene and instruction; a world model imagines k futures; a
    reward model scores progress, risk and success; the action head reads the context and the best
    future.
Source: arXiv:2604.20246 (closed).
Reads: hidden states of image, text, state and the best-scored future, and the chunk.
Schedule: plan over two futures (the paper's experiments), then ten steps on the action.
Deviations: The world model predicts coarse frames instead of features of the language model; the
    scores are a stream of the same model, not a frozen reward model trained on deployments. Risk
    can be learned only from data that holds failures: demonstrations hold none, and its label is
    then missing. The advantage token and knowledge insulation are left out.
Expected: no published number is claimed at mini size.
Cost: 1 prefix pass, 2 x 10 world-model passes, 2 x 10 for the scores, 10 action passes a chunk.
Status: sketch.
"""

from vertebra.backbones.kinds import Both
from vertebra.coupling.kinds import Features, Head
from vertebra.coupling.table import Embed, Joint
from vertebra.policy.process import Process
from vertebra.policy.recipe import Recipe
from vertebra.schedules.kinds import Plan, ScoreTerm, VideoFirst
from vertebra.spec.noise import BetaTimes, ShiftedUniform
from vertebra.spec.streams import ALL, denoised, given, teacher

CONTEXT = {"image": ALL, "text": ALL, "state": ALL}

CORTEX2 = Recipe(
    name="cortex2",
    source="arXiv:2604.20246",
    backbone=Both(),
    coupling=Head(
        trunk=Joint(
            streams=(
                given("image"),
                given("text"),
                given("state"),
                denoised("future"),
                teacher("clean_future", of="future"),
                denoised("value"),
            ),
            sees={
                "image": CONTEXT,
                "text": CONTEXT,
                "state": CONTEXT,
                "future": {**CONTEXT, "future": ALL},
                "clean_future": {**CONTEXT, "clean_future": ALL},
                "value": {**CONTEXT, "clean_future": ALL, "value": ALL},
            },
            experts={
                "image": "vlm",
                "text": "vlm",
                "state": "vlm",
                "future": "video",
                "clean_future": "video",
                "value": "video",
            },
        ),
        reads=Features(of=("image", "text", "state", "clean_future")),
        head=Joint(
            streams=(denoised("action"),),
            sees={"action": {"action": ALL}},
            experts={"action": "action"},
            context=("features",),
            embed={"action": Embed.ADAPTIVE},
        ),
    ),
    schedule=Plan(
        inner=VideoFirst(video_steps=10, steps=10),
        candidates=2,
        score=(
            ScoreTerm(of="progress"),
            ScoreTerm(of="risk", weight=-1.0),
            ScoreTerm(of="success"),
        ),
    ),
    noise={
        "future": Process(times=BetaTimes(a=3.0, b=1.0, scale=1.0)),
        "value": Process(times=ShiftedUniform(shift=1.0)),
        "action": Process(times=BetaTimes(a=1.5, b=1.0, scale=0.999)),
    },
    values=("progress", "risk", "success"),
)
