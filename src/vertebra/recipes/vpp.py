"""Video Prediction Policy: one look into a video model at its noisiest step is enough.

Idea: A video model is asked once, at pure noise, what comes next; hidden states of that single pass
    hold the prediction, and a diffusion policy reads them by cross-attention.
Source: arXiv:2412.14803; roboterax/video-prediction-policy
    policy_models/{VPP_policy.py,module/diffusion_extract.py,module/Video_Former.py} @ 75cf37a.
Reads: hidden states of the future tokens in two layers, state, text, and earlier actions.
Schedule: one pass over frame and noise, ten steps on the action.
Deviations: A transformer instead of the Stable Video Diffusion U-Net, and no Video Former between
    them. EDM's preconditioned output is a velocity here. Video and action are trained together with
    the policy's gradient kept out of the video model; the paper trains them one after the other.
    The state token is ours (the paper's CALVIN policy has none). Features and words are read whole
    by each action (in the code the i-th action reads the first i of them).
Expected: no published number is claimed at mini size.
Cost: 1 frame pass, 1 video pass, 10 action passes a chunk.
Status: sketch.
"""

from vertebra.backbones.kinds import Video
from vertebra.coupling.kinds import Features, Head
from vertebra.coupling.table import Embed, Joint
from vertebra.policy.process import Process
from vertebra.policy.recipe import Recipe
from vertebra.schedules.kinds import ActionOnly
from vertebra.spec.noise import EdmWeight, KarrasGrid, LogNormalSigma
from vertebra.spec.streams import ALL, UPTO, denoised, given

VPP = Recipe(
    name="vpp",
    source="arXiv:2412.14803",
    backbone=Video(),
    coupling=Head(
        trunk=Joint(
            streams=(given("frame"), denoised("future")),
            sees={"frame": {"frame": ALL}, "future": {"frame": ALL, "future": ALL}},
            experts={"frame": "video", "future": "video"},
            context=("text",),
        ),
        reads=Features(of=("future",), depths=(0.5, 0.75), at_time=0.0),
        head=Joint(
            streams=(given("state"), denoised("action")),
            sees={"state": {"state": ALL}, "action": {"state": ALL, "action": UPTO}},
            experts={"state": "action", "action": "action"},
            context=("features", "text"),
            embed={"action": Embed.ADAPTIVE},
        ),
        trained=False,
    ),
    schedule=ActionOnly(steps=10),
    noise={
        "future": Process(
            times=LogNormalSigma(mean=0.7, std=1.6),
            weighting=EdmWeight(sigma_data=1.0),
        ),
        "action": Process(
            times=LogNormalSigma(mean=-1.2, std=1.2),
            weighting=EdmWeight(sigma_data=0.5),
            grid=KarrasGrid(sigma_max=80.0, sigma_min=0.001),
        ),
    },
)
