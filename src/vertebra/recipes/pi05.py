"""pi0.5: the state is said in words, and the flow time enters by adaptive normalisation.

Idea: As pi0, but the prefix also holds the state, cut into 256 bins and written as words; so the
    action expert serves nothing but the chunk, and the flow time scales and shifts its layers.
Source: arXiv:2504.16054; openpi src/openpi/models/{pi0.py,pi0_config.py,tokenizer.py} @ 15a9616
    (adaRMS, discrete_state_input).
Reads: images, text and state words (which all see each other), and the action chunk itself.
Schedule: prefix cached, ten Euler steps on the action.
Deviations: Those of pi0. The state's words are rows of a table; on the released PaliGemma
    (`policy/adapt_pi05.py`) they are tokens of the prompt. Co-training on subtask text and FAST
    tokens is left out (openpi leaves it out too).
Expected: no published number is claimed at mini size.
Cost: 1 prefix pass and 10 action passes a chunk.
Status: parity.
"""

from vertebra.backbones.kinds import VLM
from vertebra.coupling.table import Embed, Joint
from vertebra.policy.process import Process
from vertebra.policy.recipe import Recipe
from vertebra.schedules.kinds import ActionOnly
from vertebra.spec.noise import BetaTimes
from vertebra.spec.streams import ALL, denoised, given

PI05 = Recipe(
    name="pi05",
    source="arXiv:2504.16054",
    backbone=VLM(),
    coupling=Joint(
        streams=(given("image"), given("text"), given("state"), denoised("action")),
        sees={
            "image": {"image": ALL, "text": ALL, "state": ALL},
            "text": {"image": ALL, "text": ALL, "state": ALL},
            "state": {"image": ALL, "text": ALL, "state": ALL},
            "action": {"image": ALL, "text": ALL, "state": ALL, "action": ALL},
        },
        experts={"image": "vlm", "text": "vlm", "state": "vlm", "action": "action"},
        embed={"state": Embed.WORDS, "action": Embed.ADAPTIVE},
    ),
    schedule=ActionOnly(steps=10),
    noise={"action": Process(times=BetaTimes(a=1.5, b=1.0, scale=0.999))},
    status="parity",
)
