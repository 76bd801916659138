"""Cosmos Policy: actions, states and values are frames of a video model.

Idea: Nothing of the video model is changed. A chunk of actions, a state or a value fills a latent
    frame of its own, and one diffusion over the whole sequence, with full attention, makes them
    all.
Source: arXiv:2601.16163; NVlabs/cosmos-policy
    cosmos_policy/{models/policy_text2world_model.py,modules/hybrid_edm_sde.py} @ 18a2acc.
Reads: everything in the sequence: frame, state, and the noisy action, future state, future, value.
Schedule: all together in five passes, sigma from 80 to 4, the last one ending at the data. PLAN:
    the best of eight candidate actions by the value imagined anew for each.
Deviations: Euler instead of the two-step multistep solver. Sigmas as in the paper; the code
    multiplies them by the square root of the number of latent frames. In the code's scaling the
    weighted error of the data is a flat error of the velocity, which is what stands here. PLAN:
    three futures with one value each (paper: five values each), from the same weights (paper: a
    second checkpoint tuned on 648 rollouts). Returns are discounted steps to the end of a
    demonstration, which is taken to end in success.
Expected: no published number is claimed at mini size.
Cost: 5 passes over the whole sequence a chunk; PLAN 8 candidates x (5 + 3 x 5).
Status: maps.
"""

from dataclasses import replace

from vertebra.backbones.kinds import Video
from vertebra.coupling.table import Embed, Joint
from vertebra.policy.process import Process
from vertebra.policy.recipe import Mode, Recipe
from vertebra.schedules.kinds import Plan, ScoreTerm, Together
from vertebra.spec.noise import KarrasGrid, LogNormalSigma, SameAs
from vertebra.spec.streams import ALL, denoised, given

STREAMS = ("frame", "state", "future_state", "future", "value", "action")
EDM = Process(
    times=LogNormalSigma(mean=1.386, std=1.2, uniform_share=0.3, low=1.0, high=85.0),
    grid=KarrasGrid(sigma_max=80.0, sigma_min=4.0),
)
SAME_SIGMA = replace(EDM, times=SameAs(stream="action"))

COSMOS_POLICY = Recipe(
    name="cosmos-policy",
    source="arXiv:2601.16163",
    backbone=Video(),
    coupling=Joint(
        streams=(
            given("frame"),
            given("state"),
            denoised("future_state"),
            denoised("future"),
            denoised("value"),
            denoised("action"),
        ),
        sees=dict.fromkeys(STREAMS, dict.fromkeys(STREAMS, ALL)),
        experts=dict.fromkeys(STREAMS, "video"),
        context=("text",),
        embed=dict.fromkeys(("state", "future_state", "value", "action"), Embed.LATENT_FRAME),
    ),
    schedule=Together(steps=5),
    noise={"action": EDM, **dict.fromkeys(("future_state", "future", "value"), SAME_SIGMA)},
    modes=(
        Mode(share=0.5),
        Mode(share=0.25, clean=("action",)),
        Mode(share=0.25, clean=("action", "future_state", "future")),
    ),
    values=("return",),
    status="maps",
)

COSMOS_POLICY_PLAN = replace(
    COSMOS_POLICY,
    name="cosmos-policy-plan",
    schedule=Plan(
        inner=Together(steps=5), candidates=8, score=(ScoreTerm(of="return"),), futures=3
    ),
)
