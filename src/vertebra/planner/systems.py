"""Recipes at published size: their experts, and how much of what is in a training sample."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from vertebra.coupling.table import Embed
from vertebra.planner.transformers import (
    FAST_WAM_ACTION,
    GEMMA_300M,
    LINGBOT_ACTION,
    MIMIC_HEAD,
    Backbone,
    Transformer,
    backbone_at_size,
)
from vertebra.policy.recipe import Recipe
from vertebra.recipes import by_name
from vertebra.spec.named import one_named
from vertebra.spec.streams import Role


@dataclass(frozen=True, kw_only=True)
class System:
    """One recipe at the size of its paper, on some backbone.

    Attributes:
        name: The recipe.
        backbone: What it stands on.
        action: The expert beside the backbone, or the head on it; ``None`` for one trunk.
        pictures: Height and width of the pictures of one moment; video models see one canvas of
            all cameras.
        observed: Latent frames that are given when a sample begins.
        imagined: Imagined latent frames of a chunk.
        chunks: Chunks in a sample.
        actions: Actions of a chunk.
        words: Tokens of the instruction.
        rate_hz: Actions a second.
        samples: Training samples of the published run, 0 where they are not stated.
        batch: Its batch.
        source: Where this is stated.
    """

    name: str
    backbone: Backbone
    action: Transformer | None
    pictures: tuple[tuple[int, int], ...]
    actions: int
    words: int
    rate_hz: float
    source: str
    observed: int = 1
    imagined: int = 0
    chunks: int = 1
    samples: int = 0
    batch: int = 128

    @property
    def recipe(self) -> Recipe:
        """The recipe."""
        return by_name(self.name)

    @property
    def picture_tokens(self) -> int:
        """Tokens of one moment."""
        return sum(self.backbone.tokens(*picture) for picture in self.pictures)

    @property
    def pixels(self) -> int:
        """Pixels of one moment."""
        return sum(height * width for height, width in self.pictures)

    @property
    def video_frames(self) -> int:
        """Pictures that make the latent frames of a sample: four each after the first."""
        return 1 + 4 * (self.latent_frames - 1)

    @property
    def latent_frames(self) -> int:
        """Latent frames of a sample, the clean copies not counted."""
        filled = sum(embed is Embed.LATENT_FRAME for embed in self.recipe.table.embed.values())
        return self.observed + self.imagined * self.chunks + filled

    def tokens(self) -> Mapping[str, int]:
        """Tokens of each stream in a whole training sample."""
        return {stream.name: self._tokens(stream.name) for stream in self.recipe.table.streams}

    def _tokens(self, name: str) -> int:
        table, frame = self.recipe.table, self.picture_tokens
        stream = table.stream(name)
        of = stream.of if stream.role is Role.TEACHER else name
        if table.embed.get(of) is Embed.LATENT_FRAME:
            return frame
        counts = {
            "image": frame,
            "frame": self.observed * frame,
            "future": self.chunks * self.imagined * frame,
            "text": self.words,
            "state": self.chunks,
            "action": self.chunks * self.actions,
        }
        return counts[of]


def standing_on(system: System, backbone: Backbone) -> System:
    """The same system on another backbone: its expert takes over layers and heads.

    Raises:
        ValueError: For a backbone of the other family, or one whose tokens do not fit the pictures.
    """
    if backbone.family != system.backbone.family:
        raise ValueError(
            f"'{system.name}' stands on a {system.backbone.family} backbone; '{backbone.name}' is "
            f"a {backbone.family} backbone. Choose another one, or another recipe."
        )
    body, action = backbone.body, system.action
    if action is not None and action.told != system.backbone.body.width:
        action = replace(
            action,
            layers=body.layers,
            heads=body.heads,
            kv_heads=body.kv_heads,
            head_width=body.head_width,
        )
    moved = replace(system, backbone=backbone, action=action)
    moved.tokens()
    return moved


WAN_5B, WAN_14B = backbone_at_size("wan2.2-5b"), backbone_at_size("wan2.1-14b")
COSMOS = backbone_at_size("cosmos-predict2-2b")

PI0 = System(
    name="pi0",
    backbone=backbone_at_size("paligemma-3b"),
    action=GEMMA_300M,
    pictures=((224, 224),) * 3,
    actions=50,
    words=48,
    rate_hz=50.0,
    batch=32,
    samples=32 * 30_000,
    source="Physical-Intelligence/openpi@15a9616 src/openpi/models/pi0_config.py, "
    "src/openpi/training/config.py (defaults)",
)
FAST_WAM = System(
    name="fast-wam",
    backbone=WAN_5B,
    action=FAST_WAM_ACTION,
    pictures=((224, 448),),
    imagined=2,
    actions=32,
    words=128,
    rate_hz=20.0,
    samples=128 * 20_000,
    source="yuantianyuan01/FastWAM@45d8e14 configs/data/libero_2cam.yaml; arXiv:2603.16666 "
    "(20k steps, 8 GPUs x 16)",
)
DREAMZERO = System(
    name="dreamzero",
    backbone=WAN_14B,
    action=None,
    pictures=((352, 640),),
    imagined=2,
    chunks=4,
    actions=24,
    words=512,
    rate_hz=15.0,
    samples=128 * 100_000,
    source="dreamzero0/dreamzero@ab790c1 groot/vla/configs/model/dreamzero; arXiv:2602.15922",
)
LINGBOT_VA = System(
    name="lingbot-va",
    backbone=WAN_5B,
    action=LINGBOT_ACTION,
    pictures=((384, 320),),
    imagined=4,
    chunks=4,
    actions=64,
    words=512,
    rate_hz=50.0,
    source="Robbyant/lingbot-va@6f092cb wan_va/configs/va_robotwin_cfg.py; arXiv:2601.21998; "
    "chunks a sample vary there with the budget of tokens",
)
COSMOS_POLICY = System(
    name="cosmos-policy",
    backbone=COSMOS,
    action=None,
    pictures=((224, 224),),
    observed=3,
    imagined=2,
    actions=16,
    words=512,
    rate_hz=20.0,
    batch=1920,
    samples=1920 * 40_000,
    source="arXiv:2601.16163 (LIBERO); NVlabs/cosmos-policy@18a2acc "
    "cosmos_policy/config/experiment",
)

SYSTEMS: tuple[System, ...] = (
    PI0,
    replace(PI0, name="pi0-rtc"),
    replace(PI0, name="pi05", words=200),
    FAST_WAM,
    replace(FAST_WAM, name="fast-wam-joint"),
    replace(FAST_WAM, name="fast-wam-idm"),
    replace(FAST_WAM, name="action-only"),
    DREAMZERO,
    replace(DREAMZERO, name="dreamzero-flash"),
    LINGBOT_VA,
    replace(LINGBOT_VA, name="lingbot-va-shared", action=None),
    COSMOS_POLICY,
    replace(COSMOS_POLICY, name="cosmos-policy-plan"),
    System(
        name="mimic-video",
        backbone=COSMOS,
        action=MIMIC_HEAD,
        pictures=((480, 640),),
        observed=2,
        imagined=4,
        actions=61,
        words=512,
        rate_hz=20.0,
        batch=256,
        source="arXiv:2512.15692; EugeneSeo/mimic-video@f102ad8 model/cosmos_predict2/configs",
    ),
)


def system_at_size(name: str) -> System:
    """The system of that recipe.

    Raises:
        ValueError: Listing those for which sizes are published.
    """
    return one_named(SYSTEMS, name, f"No published size is known here for recipe '{name}'")
