"""VLM-WAM: Fast-WAM whose words come from a language model that looks at the scene.

Idea: A hybrid. A vision-language model grounds the instruction in the picture; a video model learns
    how scenes change; the action expert reads both, and acting needs no imagined frame.
Source: ours, after arXiv:2603.16666 (fast-wam) and arXiv:2410.24164 (pi0).
Reads: language model, first frame, state, and the chunk itself.
Schedule: one pass over what is given, ten Euler steps on the action.
Deviations: F1-VLA (arXiv:2509.06951) is the nearest relative with published code: there the action
    reads the foreseen tokens, here it never does.
Expected: no published number is claimed at mini size.
Cost: 1 prefix pass and 10 action passes a chunk.
Status: sketch.
"""

from dataclasses import replace

from vertebra.policy.process import Process
from vertebra.recipes.motus import MOTUS
from vertebra.schedules.kinds import ActionOnly
from vertebra.spec.noise import BetaTimes, ShiftedUniform
from vertebra.spec.streams import ALL

WORDS = {"image": ALL, "text": ALL}
SCENE = {**WORDS, "frame": ALL}

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
