"""mimic-video: an action decoder reads one layer of a partially denoised video.

Idea: The hidden states of a video model at some flow time hold the plan; an action decoder reads
    those of one layer. In training every flow time is shown; when acting, that of pure noise is
    nearly best, so that one pass is enough.
Source: arXiv:2512.15692; model/cosmos_predict2/configs/defaults/world2action_pipe.py in its code.
Reads: hidden states of frame and future in one layer at flow time tau_v, state, and the chunk.
Schedule: one pass over frame and noise, ten steps on the action.
Deviations: One clean frame instead of five, read once and blind to the noisy future (in the
    original it sees it). Video and action are trained together with the decoder's gradient kept out
    of the video model; the paper freezes the video model in a second stage. The density of action
    times, sqrt(tau_a - 0.001), is Beta(1.5, 1) on the noise level.
Expected: no published number is claimed at mini size.
Cost: 1 frame pass, 1 video pass, 10 action passes a chunk.
Status: sketch.
"""

from vertebra.backbones.kinds import Video
from vertebra.coupling.kinds import Features, Head
from vertebra.coupling.table import Joint
from vertebra.policy.process import Process
from vertebra.policy.recipe import Recipe
from vertebra.recipes.gr00t import DECODER
from vertebra.schedules.kinds import ActionOnly
from vertebra.spec.noise import BetaTimes, LogitNormal
from vertebra.spec.streams import ALL, denoised, given

MIMIC_VIDEO = Recipe(
    name="mimic-video",
    source="arXiv:2512.15692",
    backbone=Video(),
    coupling=Head(
        trunk=Joint(
            streams=(given("frame"), denoised("future")),
            sees={"frame": {"frame": ALL}, "future": {"frame": ALL, "future": ALL}},
            experts={"frame": "video", "future": "video"},
            context=("text",),
        ),
        reads=Features(of=("frame", "future"), depths=(0.68,)),
        head=DECODER,
        trained=False,
    ),
    schedule=ActionOnly(steps=10),
    noise={
        "future": Process(times=LogitNormal()),
        "action": Process(times=BetaTimes(a=1.5, b=1.0, scale=0.999)),
    },
)
