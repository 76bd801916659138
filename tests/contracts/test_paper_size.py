"""At published size, on a device without memory: our modules have the published counts.

Every exact fact on a size is computed here, or stands in ``NOT_COMPUTED`` with the reason.
"""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from checks import paper
from fakes.episodes import NEEDS
from vertebra.backbones.decoder import DecoderSizes
from vertebra.backbones.published import FAST_WAM_ACTION, PUBLISHED, Published, published
from vertebra.backbones.sizes import TINY
from vertebra.backbones.wan import WanSizes
from vertebra.backbones.wan_ends import WanEnds
from vertebra.policy.adapt_pi0 import PI0_SIZES, pi0_body
from vertebra.policy.network import Network
from vertebra.policy.shape import Shape
from vertebra.recipes.pi0 import PI0
from vertebra.spec.action import ActionSpec, Frame, Gripper, Rotation
from vertebra.spec.observation import Dim

HERE = Path(__file__).parent
FACTS: dict[str, list[dict[str, Any]]] = json.loads((HERE / "published_facts.json").read_text())[
    "systems"
]
LIBRARY: dict[str, Any] = json.loads((HERE / "recorded/library_sizes.json").read_text())

WAN_5B_SYSTEMS = (
    *("fast-wam", "fast-wam-joint", "fast-wam-idm", "action-only", "features-only", "motus"),
    *("lingbot-va", "lingbot-va-shared", "lingbot-va-async"),
)
STANDS_ON: dict[tuple[str, str], str] = {
    **{(name, "vlm"): "gemma-2b" for name in ("pi0", "pi05")},
    **{(name, "action"): "gemma-300m" for name in ("pi0", "pi05")},
    **{(name, "video"): "wan2.2-ti2v-5b" for name in WAN_5B_SYSTEMS},
    **{(name, "action"): "fast-wam-action" for name in (*WAN_5B_SYSTEMS[:3], "action-only")},
    **{(name, "trunk"): "wan2.1-i2v-14b" for name in ("dreamzero", "dreamzero-flash")},
}
"""System and part to the released transformer that is built for it."""
BY_LIBRARY: dict[tuple[str, str], str] = {
    **{(n, "video"): "cosmos-predict2-2b" for n in ("cosmos-policy", "cosmos-policy-plan")},
    ("mimic-video", "video"): "cosmos-predict2-2b",
    ("gr00t", "vlm"): "qwen3-1.7b-16-layers",
}
"""The same, built by a library's own class and recorded."""
NOT_BUILT = "no module of this kind is built at published size"
NOT_COMPUTED: dict[tuple[str, str, str], str] = {
    ("gr00t", "transformer", "head"): NOT_BUILT,
    ("vpp", "transformer", "head"): NOT_BUILT,
    ("vpp", "latents", "features"): NOT_BUILT,
    ("vpp", "frames", "future"): "a U-Net without tokens",
    ("unipi", "frames", "future"): "a U-Net without tokens; pixels are stated, nothing follows",
    ("mimic-video", "transformer", "head"): NOT_BUILT,
    ("features-only", "transformer", "head"): NOT_BUILT,
    ("features-only", "latents", "head"): "a chosen number of learned tokens",
    ("motus", "transformer", "action"): "whether its layers read words is not stated",
    ("motus", "transformer", "understanding"): "whether its layers read words is not stated",
    ("lingbot-va", "transformer", "action"): "only width and layers are stated",
    **{
        (name, "latent_frames", of): "a chosen number of latent frames"
        for name, of in (
            ("cosmos-policy", "all"),
            ("cosmos-policy-plan", "all"),
            ("lingbot-va", "video"),
            ("lingbot-va-shared", "video"),
        )
    },
}
SIZES = ("transformer", "frames", "latent_frames", "latents")
"""Facts on sizes, beside those on a ``frame``; the length of a text or a chunk is a setting."""
COUNTED_BY_VIDEO = 4
"""Pictures a latent frame after the first, in Wan's and Cosmos' video autoencoders."""


def facts(kind: str, *, exact: bool = True) -> list[tuple[str, dict[str, Any]]]:
    return [
        (name, fact)
        for name, own in FACTS.items()
        for fact in own
        if fact["fact"] == kind and fact["exact"] is exact
    ]


def parameters(module: nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())


def stated(sizes: DecoderSizes | WanSizes) -> dict[str, Any]:
    """Our sizes in the words of the published facts."""
    shared = {
        "width": sizes.width,
        "layers": sizes.layers,
        "heads": sizes.heads,
        "head_width": sizes.head_width,
        "ffn": sizes.hidden,
    }
    if isinstance(sizes, DecoderSizes):
        return {**shared, "kv_heads": sizes.kv_heads}
    return {
        **shared,
        "channels_in": sizes.channels_in,
        "channels_out": sizes.channels_out,
        "patch": list(sizes.patch),
        "text_width": sizes.text_width,
    }


def test_every_exact_fact_on_a_size_is_computed_or_listed_with_its_reason() -> None:
    computed = {(name, "transformer", part) for name, part in {**STANDS_ON, **BY_LIBRARY}}
    listed = {
        (name, fact["fact"], fact["of"])
        for kind in SIZES
        for name, fact in facts(kind)
        if "raw" not in fact["value"]  # those are computed below, from the pictures
    }
    assert listed == computed | set(NOT_COMPUTED)
    assert not computed & set(NOT_COMPUTED)


@pytest.mark.parametrize(("system", "part"), STANDS_ON)
def test_what_is_built_has_the_published_widths(system: str, part: str) -> None:
    ours = stated(published(STANDS_ON[system, part]).sizes)
    for name, fact in facts("transformer"):
        if (name, fact["of"]) == (system, part):
            assert fact["value"] == {key: ours[key] for key in fact["value"]}


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("gemma-2b", 1_981_884_416),
        ("gemma-300m", 311_464_960),
        ("wan2.1-t2v-1.3b", 1_418_996_800),
        ("wan2.1-t2v-14b", 14_288_491_584),
        ("wan2.1-i2v-14b", 16_394_878_784),
        ("wan2.2-ti2v-5b", 4_999_787_712),
    ],
)
def test_parameters_are_those_of_the_libraries_own_classes(name: str, count: int) -> None:
    assert published(name).parameters() == count


def test_every_released_transformer_has_a_source_and_a_name_of_its_own() -> None:
    assert len({one.name for one in PUBLISHED}) == len(PUBLISHED)
    assert all(one.source for one in PUBLISHED)
    with pytest.raises(ValueError, match="gemma-2b, gemma-300m"):
        published("ear")


def pi0_on_meta() -> Network:
    """A whole pi0; its picture encoder stands for itself."""
    makes = ActionSpec(
        dims=tuple(Dim(name=f"a{i}", unit="1", low=-1.0, high=1.0) for i in range(32)),
        frame=Frame.DELTA,
        rotation=Rotation.NONE,
        gripper=Gripper.NONE,
        rate_hz=10.0,
    )
    shape = Shape(recipe=PI0, size=TINY, needs=NEEDS, makes=makes, vocabulary=(), pointing=False)
    with torch.device("meta"):
        body = pi0_body(shape, PI0_SIZES, nn.Identity(), lambda texts: (texts, texts))  # type: ignore[return-value]
        return Network(shape, body)


def built(system: str) -> int:
    """Parameters of a whole system, as far as it is built."""
    match system:
        case "pi0":
            return parameters(pi0_on_meta()) + LIBRARY["siglip-so400m-14-224"]["parameters"]
        case _:
            return sum(published(n).parameters() for n in ("wan2.2-ti2v-5b", "fast-wam-action"))


@pytest.mark.parametrize(
    ("system", "of", "count"),
    [
        ("pi0", "all", built("pi0")),
        ("pi0", "action", published("gemma-300m").parameters()),
        ("fast-wam", "all", built("fast-wam")),
        ("fast-wam", "video", published("wan2.2-ti2v-5b").parameters()),
        ("fast-wam", "action", published("fast-wam-action").parameters()),
        ("cosmos-policy", "video", LIBRARY["cosmos-predict2-2b"]["parameters"]),
    ],
)
def test_published_totals_are_met(system: str, of: str, count: int) -> None:
    (fact,) = [f for f in FACTS[system] if (f["fact"], f["of"]) == ("parameters", of)]
    assert count == pytest.approx(fact["value"], rel=0.03)


def test_the_name_of_the_14b_model_leaves_out_what_reads_pictures() -> None:
    """Wan2.1-I2V-14B is 14 billion without keys and values for the picture encoder."""
    whole, plain = published("wan2.1-i2v-14b"), published("wan2.1-t2v-14b")
    added = whole.parameters() - plain.parameters()
    assert plain.parameters() == pytest.approx(14e9, rel=0.03)
    of_pictures = 40 * (2 * (5120 * 5120 + 5120) + 5120)
    assert added == pytest.approx(of_pictures, rel=0.01)


def wan_tokens(one: Published, height: int, width: int, stride: int) -> int:
    """Tokens of one picture, by the module that makes them."""
    assert isinstance(one.sizes, WanSizes)
    with torch.device("meta"):
        latents = torch.zeros(1, one.sizes.channels_in, 1, height // stride, width // stride)
        return WanEnds(one.sizes).tokens(latents).shape[1]


@pytest.mark.parametrize(("system", "fact"), facts("frame"))
def test_tokens_of_a_picture(system: str, fact: dict[str, Any]) -> None:
    frame = fact["value"]
    shape = (frame["height"], frame["width"], frame["stride"])
    one = STANDS_ON.get((system, "video")) or STANDS_ON.get((system, "trunk"))
    if system in ("pi0", "pi05"):
        assert (PI0_SIZES.px, PI0_SIZES.patch_px) == (shape[0], frame["stride"])
        assert math.prod(PI0_SIZES.grid) == frame["tokens"]
    elif one is not None:
        assert wan_tokens(published(one), *shape) == frame["tokens"]
    else:
        patch = LIBRARY[BY_LIBRARY[system, "video"]]["config"]["patch_size"][1]
        assert math.prod(side // shape[2] // patch for side in shape[:2]) == frame["tokens"]


@pytest.mark.parametrize(
    ("system", "fact"), [(n, fact) for n, fact in facts("latent_frames") if "raw" in fact["value"]]
)
def test_latent_frames_follow_from_pictures(system: str, fact: dict[str, Any]) -> None:
    value = fact["value"]
    assert value["latent"] == 1 + (value["raw"] - 1) // COUNTED_BY_VIDEO, system
    if "chunks" in value:
        assert value["latent"] == value["observed"] + value["chunks"] * value["a_chunk"]


def test_the_action_expert_shares_the_heads_of_its_video() -> None:
    with torch.device("meta"):
        (video, action) = (
            one.build()["layers"][0].head_shape  # type: ignore[index]
            for one in (published("wan2.2-ti2v-5b"), published("fast-wam-action"))
        )
    assert video == action
    assert FAST_WAM_ACTION.shared_out == (128,)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", paper.CONFIGS)
def test_recorded_counts_are_those_of_the_installed_libraries(name: str) -> None:
    pytest.importorskip(paper.CONFIGS[name]["library"])
    assert {**paper.CONFIGS[name], "parameters": paper.counted(name)} == LIBRARY[name]
