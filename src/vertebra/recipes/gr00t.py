"""GR00T: a diffusion transformer that reads a vision-language model by cross-attention.

Idea: The language model is read once; state and noisy actions are tokens of a decoder of their own
    whose layers cross-attend to the model's hidden states.
Source: NVIDIA/Isaac-GR00T gr00t/model/gr00t_n1d6/ (N1.6) and gr00t/model/action_head (N1.5);
    arXiv:2503.14734.
Reads: hidden states of image and text, the state token, the action chunk (N1.5 also registers).
Schedule: one pass of the language model, four Euler steps on the action.
Deviations: Every layer of the decoder has self- and cross-attention (N1.6 and N1.7 alternate them,
    and text with vision; so does N1.7 with released weights, `policy/adapt_groot.py`). Image and
    text tokens see each other both ways (N1.6: causally). Categories of embodiments are left out:
    one robot, one encoder. N1.5: without the FLARE loss. Times: t = (1 - Beta(1.5, 1)) * 0.999
    with time 1 at the data, as inside here.
Expected: no published number is claimed at mini size.
Cost: 1 pass of the language model and 4 of the decoder a chunk.
Status: maps; GR00T_N15: sketch.
"""

from dataclasses import replace

from vertebra.backbones.kinds import VLM
from vertebra.coupling.kinds import Features, Head
from vertebra.coupling.table import Embed, Joint
from vertebra.policy.process import Process
from vertebra.policy.recipe import Recipe
from vertebra.schedules.kinds import ActionOnly
from vertebra.spec.noise import BetaTimes
from vertebra.spec.streams import ALL, denoised, given

DECODER = Joint(
    streams=(given("state"), denoised("action")),
    sees={"state": {"state": ALL, "action": ALL}, "action": {"state": ALL, "action": ALL}},
    experts={"state": "action", "action": "action"},
    context=("features",),
    embed={"action": Embed.ADAPTIVE},
)

GR00T = Recipe(
    name="gr00t",
    source="NVIDIA/Isaac-GR00T (N1.6)",
    backbone=VLM(),
    coupling=Head(
        trunk=Joint(
            streams=(given("image"), given("text")),
            sees={"image": {"image": ALL, "text": ALL}, "text": {"image": ALL, "text": ALL}},
            experts={"image": "vlm", "text": "vlm"},
        ),
        reads=Features(of=("image", "text")),
        head=DECODER,
    ),
    schedule=ActionOnly(steps=4),
    noise={"action": Process(times=BetaTimes(a=1.5, b=1.0, scale=0.999))},
    status="maps",
)

GR00T_N15 = replace(
    GR00T,
    name="gr00t-n15",
    source="arXiv:2503.14734",
    status="sketch",
    coupling=replace(
        GR00T.coupling,
        head=DECODER.with_stream(
            given("registers"),
            expert="action",
            sees={"state": ALL, "registers": ALL, "action": ALL},
            seen_by={"state": ALL, "action": ALL},
        ),
    ),
)
