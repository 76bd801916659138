"""action-only: Fast-WAM that never learns to imagine.

Idea: A control. The same video backbone and action expert, trained by the action loss alone: what
    the loss on future frames adds is what this recipe lacks.
Source: arXiv:2603.16666, ablation without video co-training.
Reads: the first frame and the chunk itself.
Schedule: one pass over the frame, ten Euler steps on the action.
Deviations: Those of fast-wam.
Expected: no published number is claimed at mini size.
Cost: 1 frame pass and 10 action passes a chunk.
Status: sketch.
"""

from dataclasses import replace

from vertebra.coupling.table import Joint
from vertebra.recipes.fast_wam import FAST_WAM
from vertebra.spec.streams import ALL, denoised, given

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
    status="sketch",
)
