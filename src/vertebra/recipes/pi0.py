"""pi0: a vision-language model with an action expert that shares its attention.

Idea: The image and the instruction are read once as a prefix; a small expert turns noise into an
    action chunk while looking at the keys and values of the prefix in every layer.
Source: arXiv:2410.24164; openpi src/openpi/models/pi0.py @ 15a9616 (blockwise mask, Beta(1.5, 1)
    times). PI0_RTC: arXiv:2506.07339.
Reads: images and text (which see each other), the state, and the action chunk itself.
Schedule: prefix cached, ten Euler steps on the action. PI0_RTC: the new chunk is in-painted from
    what is being executed.
Deviations: Time runs from noise (0) to data (1), openpi's runs the other way. The mini
    backbone and its prior are ours; on the released PaliGemma it stands in `policy/adapt_pi0.py`.
    Several noise draws of the chunk share one prefix pass.
Expected: no published number is claimed at mini size.
Cost: 1 prefix pass and 10 action passes a chunk.
Status: parity; PI0_RTC: maps.
"""

from dataclasses import replace

from vertebra.backbones.kinds import VLM
from vertebra.coupling.table import Joint
from vertebra.policy.process import Process
from vertebra.policy.recipe import Recipe
from vertebra.schedules.kinds import ActionOnly, RealTimeChunking
from vertebra.spec.noise import BetaTimes
from vertebra.spec.streams import ALL, denoised, given

PI0 = Recipe(
    name="pi0",
    source="arXiv:2410.24164",
    backbone=VLM(),
    coupling=Joint(
        streams=(given("image"), given("text"), given("state"), denoised("action")),
        sees={
            "image": {"image": ALL, "text": ALL},
            "text": {"image": ALL, "text": ALL},
            "state": {"image": ALL, "text": ALL, "state": ALL},
            "action": {"image": ALL, "text": ALL, "state": ALL, "action": ALL},
        },
        experts={"image": "vlm", "text": "vlm", "state": "action", "action": "action"},
    ),
    schedule=ActionOnly(steps=10),
    noise={"action": Process(times=BetaTimes(a=1.5, b=1.0, scale=0.999))},
    status="parity",
)

PI0_RTC = replace(
    PI0,
    name="pi0-rtc",
    source="arXiv:2506.07339",
    status="maps",
    schedule=ActionOnly(steps=10, chunking=RealTimeChunking(frozen=1, soft=3)),
)
