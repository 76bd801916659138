"""Controls: what is left of a video model when it does not imagine.

Idea: FEATURES_ONLY: a head reads a video model's hidden states of the present frame; nothing is
    ever imagined, in training or when acting. ACTION_ONLY: Fast-WAM without its video loss.
    Together with the trained-blind twins they say what imagination, and what words, are worth.
Source: FEATURES_ONLY: starVLA's WM4A recipe (starVLA/starVLA @ 0ed0aad). ACTION_ONLY: the ablation
    "without video co-training" of arXiv:2603.16666.
Reads: FEATURES_ONLY: hidden states of the frame, and the state. ACTION_ONLY: the frame.
Schedule: one pass over the frame; FEATURES_ONLY four steps on the action, ACTION_ONLY ten.
Deviations: FEATURES_ONLY trains its video model by the action loss alone (starVLA starts from
    pretrained weights), and its head has no learned tokens beside state and action.
Expected: no published number is claimed at mini size.
Cost: 1 frame pass and 4 (ACTION_ONLY 10) action passes a chunk.
Status: sketch.
"""

from dataclasses import replace

from vertebra.backbones.kinds import Video
from vertebra.coupling.kinds import Features, Head
from vertebra.coupling.table import Joint
from vertebra.policy.process import Process
from vertebra.policy.recipe import Recipe
from vertebra.recipes.fast_wam import FAST_WAM
from vertebra.recipes.groot import DECODER
from vertebra.schedules.kinds import ActionOnly
from vertebra.spec.noise import BetaTimes
from vertebra.spec.streams import ALL, denoised, given

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

ACTION_ONLY = replace(
    FAST_WAM,
    name="action-only",
    coupling=Joint(
        streams=(given("frame"), denoised("action")),
        sees={"frame": {"frame": ALL}, "action": {"frame": ALL, "action": ALL}},
        experts={"frame": "video", "action": "action"},
        context=("text", "state"),
    ),
    noise={"action": FAST_WAM.noise["action"]},
)
