"""What released models knew before they met anyone's robot, as published.

Pre-training is not the backbone: whoever compares two arms on released weights compares this too.
Nothing is estimated here; what was not published, or not found, is left empty.
"""

from dataclasses import dataclass

from vertebra.backbones.trunk import Trunk


@dataclass(frozen=True, kw_only=True)
class Known:
    """One released model.

    Attributes:
        model: What it is called on the hub.
        family: Its family here, or its own where it cannot be stood on.
        width: Token width, by which a local copy is recognised; 0 where there is no one width.
        parameters: Of its trunk as published, in numbers.
        video: Video or pictures that it was trained on.
        robots: Robot data among them.
        training: What training took.
        source: Where all of this is stated.
    """

    model: str
    family: str
    width: int
    parameters: int = 0
    video: str = ""
    robots: str = ""
    training: str = ""
    source: str


LEDGER: tuple[Known, ...] = (
    Known(
        model="google/paligemma-3b-pt-224",
        family="paligemma",
        width=2048,
        parameters=3_000_000_000,
        video="1 billion pictures with text in its first stage",
        robots="none stated",
        training="350 billion tokens in its first stage",
        source="arXiv:2407.07726, sections 3.1 and 3.2",
    ),
    Known(
        model="google/paligemma2-3b-pt-224",
        family="paligemma",
        width=2304,
        parameters=3_000_000_000,
        video="1 billion pictures with text in its first stage",
        source="arXiv:2412.03555",
    ),
    Known(
        model="pi0 (base)",
        family="paligemma",
        width=2048,
        parameters=3_300_000_000,
        video="what its PaliGemma saw",
        robots="10,000 hours (7 own robot configurations, 68 tasks, and OXE)",
        source="arXiv:2410.24164",
    ),
    Known(
        model="HuggingFaceTB/SmolVLM2-500M-Video-Instruct",
        family="smolvlm2",
        width=960,
        parameters=500_000_000,
        source="arXiv:2504.05299",
    ),
    Known(
        model="HuggingFaceTB/SmolVLM2-2.2B-Instruct",
        family="smolvlm2",
        width=2048,
        parameters=2_200_000_000,
        source="arXiv:2504.05299",
    ),
    Known(
        model="Qwen/Qwen2.5-VL-3B-Instruct",
        family="qwen2.5-vl",
        width=2048,
        parameters=3_000_000_000,
        training="about 4 trillion tokens",
        source="arXiv:2502.13923",
    ),
    Known(
        model="Qwen/Qwen2.5-VL-7B-Instruct",
        family="qwen2.5-vl",
        width=3584,
        parameters=7_000_000_000,
        training="about 4 trillion tokens",
        source="arXiv:2502.13923",
    ),
    Known(
        model="nvidia/Cosmos-Reason1-7B",
        family="qwen2.5-vl",
        width=3584,
        parameters=7_000_000_000,
        video="about 4 million videos with text, driving among them, beyond Qwen2.5-VL",
        robots="questions about RoboVQA, BridgeData V2 and AgiBot, in words",
        source="arXiv:2503.15558",
    ),
    Known(
        model="Qwen/Qwen3-VL-2B-Instruct",
        family="qwen3-vl",
        width=2048,
        parameters=2_000_000_000,
        source="arXiv:2511.21631",
    ),
    Known(
        model="Qwen/Qwen3-VL-4B-Instruct",
        family="qwen3-vl",
        width=2560,
        parameters=4_000_000_000,
        source="arXiv:2511.21631",
    ),
    Known(
        model="Qwen/Qwen3-VL-8B-Instruct",
        family="qwen3-vl",
        width=4096,
        parameters=8_000_000_000,
        source="arXiv:2511.21631",
    ),
    Known(
        model="nvidia/Cosmos-Reason2-2B",
        family="qwen3-vl",
        width=2048,
        parameters=2_000_000_000,
        source="model card of nvidia/Cosmos-Reason2-2B",
    ),
    Known(
        model="nvidia/Cosmos-Reason2-8B",
        family="qwen3-vl",
        width=4096,
        parameters=8_000_000_000,
        source="model card of nvidia/Cosmos-Reason2-8B",
    ),
    Known(
        model="GR00T N1 (its Eagle-2)",
        family="eagle-2",
        width=896,
        parameters=1_340_000_000,
        video="videos of people, beyond Eagle-2",
        robots="real robots, and 780,000 simulated trajectories",
        source="arXiv:2503.14734",
    ),
    Known(
        model="GR00T N1.7 (its Cosmos-Reason2)",
        family="qwen3-vl",
        width=2048,
        parameters=2_000_000_000,
        video="20,854 hours seen by people at work, beyond Cosmos-Reason2",
        source="NVIDIA/Isaac-GR00T README.md",
    ),
    Known(
        model="google/gemma-3-4b-pt",
        family="gemma3",
        width=2560,
        parameters=4_000_000_000,
        training="4 trillion tokens",
        source="arXiv:2503.19786",
    ),
    Known(
        model="Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        family="wan",
        width=1536,
        parameters=1_300_000_000,
        source="arXiv:2503.20314",
    ),
    Known(
        model="Wan-AI/Wan2.1-T2V-14B-Diffusers",
        family="wan",
        width=5120,
        parameters=14_000_000_000,
        video="billions of pictures and videos",
        source="arXiv:2503.20314, abstract",
    ),
    Known(
        model="Wan-AI/Wan2.2-TI2V-5B-Diffusers",
        family="wan",
        width=3072,
        parameters=5_000_000_000,
        source="model card of Wan-AI/Wan2.2-TI2V-5B",
    ),
    Known(
        model="LingBot-VA (base)",
        family="wan",
        width=3072,
        parameters=5_300_000_000,
        robots="16,000 hours (AgiBot, RoboMind, InternData-A1, OXE subset, UMI, RoboCOIN, own)",
        training="1.4 trillion tokens",
        source="arXiv:2601.21998",
    ),
    Known(
        model="nvidia/Cosmos-Predict2-2B-Video2World",
        family="cosmos",
        width=2048,
        parameters=2_000_000_000,
        source="model card of nvidia/Cosmos-Predict2-2B-Video2World",
    ),
    Known(
        model="nvidia/Cosmos-Predict2-14B-Video2World",
        family="cosmos",
        width=5120,
        parameters=14_000_000_000,
        source="model card of nvidia/Cosmos-Predict2-14B-Video2World",
    ),
    Known(
        model="nvidia/Cosmos-Predict2.5-2B",
        family="cosmos",
        width=2048,
        parameters=2_000_000_000,
        video="200 million curated clips",
        robots="among the domains of its clips",
        source="arXiv:2511.00062",
    ),
    Known(
        model="nvidia/Cosmos-Predict2.5-14B",
        family="cosmos",
        width=5120,
        parameters=14_000_000_000,
        video="200 million curated clips",
        robots="among the domains of its clips",
        source="arXiv:2511.00062",
    ),
    Known(
        model="Lightricks/LTX-Video",
        family="ltx-video",
        width=2048,
        parameters=1_900_000_000,
        source="arXiv:2501.00103",
    ),
    Known(
        model="stabilityai/stable-video-diffusion-img2vid",
        family="stable-video-diffusion",
        width=0,
        parameters=1_500_000_000,
        source="arXiv:2412.14803 (parameters); arXiv:2311.15127",
    ),
    Known(
        model="facebook/vjepa2-vitg-fpc64-256",
        family="v-jepa-2",
        width=1408,
        parameters=1_000_000_000,
        video="more than 1 million hours, and 1 million pictures",
        robots="none; V-JEPA 2-AC then saw less than 62 hours of DROID",
        training="252,000 steps",
        source="arXiv:2506.09985",
    ),
)


def known_of(trunk: Trunk) -> tuple[Known, ...]:
    """Published models of a trunk's family and width; a local copy may be any of them, or none."""
    return tuple(one for one in LEDGER if (one.family, one.width) == (trunk.family, trunk.width))


def words_of(trunk: Trunk) -> str:
    """What a trunk may have known before, in one sentence."""
    told = [
        f"{one.model}: robot data {one.robots or 'not published'}"
        + (f", {one.training}" if one.training else "")
        + f" ({one.source})"
        for one in known_of(trunk)
    ]
    if not told:
        return "unknown: no published model of its family has its width"
    return "if it is one of these: " + "; ".join(told)
