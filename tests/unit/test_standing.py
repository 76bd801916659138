"""What policies can stand on, without the libraries: refusals, data, parts around trunks."""

import copy
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from checks.library import made_weights, numbers, relative_error
from fakes.pilots import make_setting
from vertebra.backbones.decoder import DecoderSizes, decoder_closing, decoder_layers
from vertebra.backbones.families import FAMILIES, family_of
from vertebra.backbones.kinds import VLM, Both, Video
from vertebra.backbones.ledger import known_of, words_of
from vertebra.backbones.trunk import Standing, Trunk, Tuning, standing_from_plain
from vertebra.backbones.weight_files import hash_of, licence_of, weight_files
from vertebra.cli.arguments import PilotCommand
from vertebra.cli.entry import run
from vertebra.cli.released import standing_of, stood, words_of_trunk
from vertebra.coupling.joint import JointAttention, Seen
from vertebra.coupling.table import Joint
from vertebra.pilot.plan import PilotPlan, differences, jobs_of, plan_from_plain
from vertebra.policy import released
from vertebra.policy.body import Laid, running_places
from vertebra.policy.kept import Kept
from vertebra.policy.pairs import families_for, pair_problems
from vertebra.policy.released import offer_of
from vertebra.policy.resize import resized
from vertebra.recipes import ALL, by_name
from vertebra.recipes.pairs_page import page
from vertebra.spec.storage import to_plain
from vertebra.spec.streams import ALL as EVERYTHING
from vertebra.spec.streams import Reach, given
from vertebra.train.optim import Optimiser

SIZES = DecoderSizes(width=12, layers=2, heads=2, kv_heads=1, head_width=4, hidden=16)
SEEN = Trunk(
    what="vlm",
    family="paligemma",
    where="/there",
    sha256="a" * 64,
    parameters=7,
    width=2048,
    layers=18,
    licence="gemma",
)
MADE = Trunk(
    what="video",
    family="wan",
    where="/here",
    sha256="b" * 64,
    parameters=9,
    width=3072,
    layers=30,
)


def test_what_is_stood_on_is_the_same_from_json_and_wherever_it_lies() -> None:
    standing = Standing(vlm=SEEN, video=MADE, tuning=Tuning(tune="lora", rank=4))
    assert standing_from_plain(json.loads(json.dumps(to_plain(standing)))) == standing
    assert standing_from_plain(None) is None
    assert replace(SEEN, where="/elsewhere") == SEEN
    assert replace(SEEN, sha256="c" * 64) != SEEN
    assert standing.under(VLM()).trunks == (SEEN,)
    assert standing.under(Both()).trunks == (SEEN, MADE)
    assert standing.named(Both()).name == "paligemma + wan"
    with pytest.raises(ValueError, match=r"needs a video model \(--video\)"):
        Standing(vlm=SEEN).named(Video())
    with pytest.raises(ValueError, match="has other parts"):
        standing_from_plain({"vlm": {"what": "vlm"}, "video": None, "tuning": {}})
    with pytest.raises(ValueError, match=r"(?s)tune is 'some'.*rank is 0"):
        Tuning(tune="some", rank=0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("config", "what", "message"),
    [
        ({"model_type": "bert"}, "vlm", "holds a 'bert', which is no vision-language model"),
        ({"_class_name": "WanTransformer3DModel"}, "vlm", "give it with --video"),
        (
            {"model_type": "vjepa2"},
            "video",
            r"v-jepa-2, which is not supported yet \(it makes no frames",
        ),
        ({}, "video", "holds a 'None'"),
    ],
)
def test_families_that_cannot_be_stood_on_are_refused(
    config: Mapping[str, Any], what: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        family_of(config, what, "there")


def test_supported_families_are_known_by_their_configuration() -> None:
    for one in FAMILIES:
        if not one.missing:
            key = "model_type" if one.what == "vlm" else "_class_name"
            assert family_of({key: one.mark}, one.what, "there") is one


def test_headers_are_read_and_incomplete_directories_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no \*.safetensors"):
        weight_files(tmp_path)
    save_file({"a": torch.zeros(2, 3), "b": torch.zeros(4)}, tmp_path / "one.safetensors")
    found = weight_files(tmp_path)
    assert found.shapes == {"a": (2, 3), "b": (4,)}
    assert found.parameters == 10
    before = hash_of(found.files)
    save_file({"a": torch.ones(2, 3), "b": torch.zeros(4)}, tmp_path / "one.safetensors")
    assert hash_of(found.files) != before
    index = {"weight_map": {"a": "one.safetensors", "c": "two.safetensors"}}
    (tmp_path / "x.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"two\.safetensors missing"):
        weight_files(tmp_path)
    (tmp_path / "x.safetensors.index.json").unlink()
    (tmp_path / "two.safetensors").write_bytes(b"no")
    with pytest.raises(ValueError, match="cannot be read as safetensors"):
        weight_files(tmp_path)
    assert licence_of(tmp_path) == ""
    (tmp_path / "README.md").write_text("---\nlicense: apache-2.0\ntags: []\n---\n")
    assert licence_of(tmp_path) == "apache-2.0"


def test_a_model_is_told_with_its_size_licence_and_memory() -> None:
    told = words_of_trunk(replace(SEEN, parameters=3_000_000_000), "full")
    assert "3,000,000,000 parameters" in told and "licence gemma" in told and "72.00 GB" in told
    assert "12.00 GB" in words_of_trunk(replace(SEEN, parameters=3_000_000_000), "frozen")
    assert "not stated" in words_of_trunk(MADE, "full")
    assert {one.model for one in known_of(MADE)} == {
        "Wan-AI/Wan2.2-TI2V-5B-Diffusers",
        "LingBot-VA (base)",
    }
    assert "16,000 hours" in words_of(MADE)
    assert words_of(replace(MADE, width=8)).startswith("unknown")


class Hub:
    """A hub that knows one model."""

    class errors:  # noqa: N801 - as the library calls it
        class HfHubHTTPError(Exception):
            pass

    class HfApi:
        def model_info(self, where: str, files_metadata: bool) -> Any:
            if where != "made/up":
                raise ValueError("404")
            sizes = [type("File", (), {"size": size})() for size in (5, None, 7)]
            card = {"license": "mit"}
            return type("Info", (), {"card_data": card, "gated": "auto", "siblings": sizes})()


def test_a_download_is_described_before_it_begins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(released, "library_of", lambda name, what: Hub)
    offer = offer_of("made/up")
    assert offer is not None
    assert (offer.licence, offer.gated, offer.bytes) == ("mit", True, 12)
    assert offer_of(str(tmp_path)) is None
    with pytest.raises(ValueError, match="tells nothing of 'no/body'"):
        offer_of("no/body")
    told: list[str] = []
    with pytest.raises(ValueError, match=r"holds no config\.json|neither a directory"):
        standing_of(PilotCommand(vlm=str(tmp_path), download=True), told.append)
    assert told == []


def test_recipes_that_cannot_stand_are_refused_with_every_reason() -> None:
    standing = Standing(vlm=SEEN)
    (pi0,) = stood([by_name("pi0")], standing)
    assert pi0.backbone == VLM(name="paligemma")
    assert stood([by_name("pi0")], None) == (by_name("pi0"),)
    with pytest.raises(ValueError, match=r"(?s)fast-wam: it needs a video.*rhoda-dva: it imagines"):
        stood([by_name("fast-wam"), by_name("rhoda-dva")], standing)
    with pytest.raises(ValueError, match="--video is given, and no recipe stands on it"):
        stood([by_name("pi0")], Standing(vlm=SEEN, video=MADE))


def test_flags_about_released_models_need_one(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["pilot", "--tune", "lora", "--recompute", "--download", "--vlm-layers", "3"]
    assert run(words) == 2
    told = capsys.readouterr().err
    for flag in ("--tune", "--recompute", "--download", "--vlm-layers"):
        assert flag in told
    assert run(["pilot", "--vlm", "nowhere", "--backbone", "scratch"]) == 2
    assert "leave it out" in capsys.readouterr().err


def test_the_plan_locks_the_models_and_not_where_they_lie(tmp_path: Path) -> None:
    setting = make_setting(tmp_path)
    standing = Standing(vlm=SEEN, video=MADE)
    recipes = stood(setting.question.recipes, standing)
    question = replace(setting.question, recipes=recipes, standing=standing)
    plan = PilotPlan(
        question=question,
        environment="plane",
        data_hash=setting.material.data_hash,
        samples=40,
        precision="fp32",
        checkpoint_every=10,
    )
    plain = json.loads(json.dumps(plan.to_plain()))
    assert plain["backbone"]["start"] == "released"
    assert plain["backbone"]["standing"]["vlm"]["sha256"] == SEEN.sha256
    assert plan_from_plain(plain).question.standing == standing
    moved = replace(question, standing=Standing(vlm=replace(SEEN, where="/x"), video=MADE))
    assert replace(plan, question=moved).hash == plan.hash
    assert differences(question, moved) == []
    other = replace(question, standing=Standing(vlm=replace(SEEN, sha256="d"), video=MADE))
    assert replace(plan, question=other).hash != plan.hash
    assert any(line.startswith("standing: ") for line in differences(question, other))
    trained = {job.arm: job.training.standing for job in jobs_of(plan, setting.material)}
    assert trained["pi0"] == Standing(vlm=SEEN)
    assert trained["fast-wam+blind"] == Standing(video=MADE)


def test_the_page_of_pairs_is_current_and_says_why_not() -> None:
    root = Path(__file__).parents[2]
    assert (root / "docs" / "pairs.md").read_text() == page(), "run `make fix`"
    asked = ("pi0", "gr00t", "fast-wam", "fast-wam-joint", "fast-wam-idm", "lingbot-va")
    asked += ("dreamzero", "cosmos-policy", "mimic-video", "vpp", "unipi", "vlm-wam", "motus")
    for name in asked:
        assert pair_problems(by_name(name)) == []
    for recipe in ALL:
        legal = families_for(recipe, "vlm") or families_for(recipe, "video")
        assert bool(legal) != bool(pair_problems(recipe))


def lone(
    sizes: DecoderSizes, *, causal: bool, **more: Any
) -> tuple[JointAttention, dict[str, Tensor]]:
    both: dict[str, Reach] = {"image": EVERYTHING, "text": EVERYTHING}
    table = Joint(
        streams=(given("image"), given("text")),
        sees={"image": both, "text": both},
        experts=dict.fromkeys(both, "vlm"),
    )
    attention = JointAttention(
        table,
        layers={"vlm": decoder_layers(sizes)},
        closings={"vlm": decoder_closing(sizes)},
        finishing=("image", "text"),
        causal=frozenset({"vlm"} if causal else ()),
        **more,
    )
    weights = {name: tuple(value.shape) for name, value in attention.state_dict().items()}
    attention.load_state_dict(made_weights(weights))
    return attention, {"image": numbers("image", (1, 3, 12)), "text": numbers("text", (1, 4, 12))}


def read(attention: JointAttention, tokens: Mapping[str, Tensor]) -> Tensor:
    places = {"image": torch.arange(3), "text": torch.arange(3, 7)}
    found = attention(tokens, seen=Seen(places=places)).last
    return torch.cat([found["image"], found["text"]], dim=1)


@pytest.mark.parametrize("causal", [True, False])
def test_a_causal_trunk_does_not_look_ahead_across_streams(causal: bool) -> None:
    attention, tokens = lone(SIZES, causal=causal)
    before = read(attention, tokens)
    for place in range(7):
        name, row = ("image", place) if place < 3 else ("text", place - 3)
        changed = {n: value.clone() for n, value in tokens.items()}
        changed[name][0, row] += 1.0
        moved = (read(attention, changed) - before).abs().amax(-1)[0] > 0
        wanted = torch.arange(7) >= place if causal else torch.ones(7, dtype=torch.bool)
        assert torch.equal(moved, wanted), place


def test_tokens_of_pictures_that_look_ahead_are_seen_by_those_before_them() -> None:
    attention, tokens = lone(SIZES, causal=True, ahead=frozenset({"image"}))
    before = read(attention, tokens)
    for name, moves in (("image", range(7)), ("text", (6,))):
        changed = {n: value.clone() for n, value in tokens.items()}
        changed[name][0, -1] += 1.0
        moved = (read(attention, changed) - before).abs().amax(-1)[0] > 0
        assert moved.nonzero().flatten().tolist() == list(moves)


def test_tokens_carry_what_is_added_to_them_after_the_first_layers() -> None:
    plain, tokens = lone(SIZES, causal=True)
    deep, _ = lone(SIZES, causal=True, layered={"image": 1})
    more = numbers("more", (1, 3, 12))
    wide = {**tokens, "image": torch.cat([tokens["image"], more], dim=-1)}
    seen = Seen(places={"image": torch.arange(3), "text": torch.arange(3, 7)})
    before, after = plain(tokens, seen=seen).hidden, deep(wide, seen=seen).hidden
    torch.testing.assert_close(after["image"][0], before["image"][0])
    torch.testing.assert_close(after["image"][1], before["image"][1] + more)
    torch.testing.assert_close(after["text"][1], before["text"][1])
    assert relative_error(after["text"][2].detach(), before["text"][2].detach()) > 0.01


def test_places_with_axes_begin_behind_the_largest_before_them() -> None:
    picture = torch.tensor([[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1]])
    laid = Laid(
        tokens={"image": torch.zeros(2, 4, 1), "text": torch.zeros(2, 3, 1)},
        padding={"text": torch.tensor([[True, True, True], [True, False, False]])},
    )
    own = {"image": picture}
    found = running_places(("image", "text"), laid, {"text": 1}, {}, own)
    assert torch.equal(found["image"], picture.expand(2, -1, -1))
    assert found["text"][..., 0].tolist() == [[2, 3, 4], [2, 2, 2]]
    assert torch.equal(found["text"], found["text"][..., :1].expand(-1, -1, 3))
    flat = running_places(("image", "text"), laid, {}, {})
    assert flat["text"].tolist() == [[4, 5, 6], [4, 4, 4]]
    axes = replace(SIZES, axes=(0, 2))
    ((plain, _), (turned, _)) = (decoder_layers(sizes) for sizes in (SIZES, axes))
    turned.load_state_dict(plain.state_dict())
    tokens, place = numbers("tokens", (1, 5, 12)), torch.arange(5)
    torch.testing.assert_close(
        turned.queries(tokens, place[:, None].expand(-1, 3)),  # type: ignore[operator]
        plain.queries(tokens, place),  # type: ignore[operator]
    )


def test_recomputed_layers_give_the_same_gradients() -> None:
    found: list[Tensor] = []
    for recompute in (False, True):
        attention, tokens = lone(SIZES, causal=True)
        attention.recompute = recompute
        read(attention, tokens).square().sum().backward()
        found.append(attention.get_parameter("experts.vlm.0.mlp.up_proj.weight").grad)  # type: ignore[arg-type]
    torch.testing.assert_close(found[0], found[1])


def test_a_condition_moves_an_adaptive_layer_and_a_zero_one_does_not() -> None:
    sizes = replace(SIZES, adaptive=True)
    (layer, _) = decoder_layers(sizes)
    tokens = numbers("tokens", (1, 5, 12))

    def out(condition: Tensor) -> Tensor:
        modulation = layer.modulation(condition)  # type: ignore[operator]
        normed = layer.normed(tokens, modulation)  # type: ignore[operator]
        attended = numbers("attended", (1, 2, 5, 4))
        return normed + layer.absorb(tokens, attended, None, None, modulation)  # type: ignore[operator]

    plain = tokens * torch.rsqrt(tokens.square().mean(-1, keepdim=True) + 1e-6) + tokens
    # An adaptive layer starts closed: its gates are zero.
    torch.testing.assert_close(out(torch.ones(1, 1, 12)), plain)
    with torch.no_grad():
        for norm in (layer.input_layernorm, layer.post_attention_layernorm):
            norm.dense.weight.copy_(numbers("dense", (36, 12)))  # type: ignore[union-attr]
    told = out(torch.ones(1, 1, 12)).detach()
    assert relative_error(told, out(torch.zeros(1, 1, 12)).detach()) > 0.1


def test_narrow_experts_start_as_the_wide_one_made_smaller() -> None:
    ramp = torch.arange(9.0).expand(5, 9)
    narrow = resized(ramp, torch.Size((3, 5)))
    torch.testing.assert_close(narrow, torch.linspace(0, 8, 5).expand(3, 5) * (9 / 5) ** 0.5)
    torch.testing.assert_close(resized(ramp[0], torch.Size((3,))), torch.tensor([0.0, 4.0, 8.0]))
    torch.testing.assert_close(resized(ramp, ramp.shape), ramp)


def test_what_was_made_of_a_picture_is_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def mean(clip: Tensor) -> Tensor:
        calls.append(len(clip))
        return clip.float().mean((1, 2))

    from vertebra.policy import kept as place

    monkeypatch.setattr(place, "SHARD", 2)
    clips = torch.arange(3 * 2 * 4 * 4 * 3, dtype=torch.uint8).reshape(3, 2, 4, 4, 3)
    kept = Kept(mean, tmp_path)
    first = kept(clips)
    assert len(calls) == 3
    torch.testing.assert_close(kept(clips[[2, 0]]), first[[2, 0]])
    assert copy.deepcopy(kept) is kept
    assert len(calls) == 3 and len(list(tmp_path.glob("*.safetensors"))) == 1
    again = Kept(mean, tmp_path)
    torch.testing.assert_close(again(clips), first)
    assert len(calls) == 4  # the third was not written yet
    kept(clips.reshape(3, 2, 3, 4, 4).permute(0, 1, 3, 4, 2))
    assert len(calls) == 7, "another shape is another picture"
    monkeypatch.setattr(place, "MOST_BYTES", 2 * first[0].nbytes)
    small = Kept(mean)
    small(clips)
    small(clips[:1])
    assert len(calls) == 11  # the oldest was dropped


def test_released_weights_move_slower_and_frozen_ones_not_at_all() -> None:
    network = nn.ModuleDict({"new": nn.Linear(2, 2), "old": nn.Linear(2, 2)})
    for value in network.parameters():
        nn.init.ones_(value)
    slower = {"old.weight": 0.1, "old.bias": 0.1}
    optimiser = Optimiser(network, learning_rate=0.1, warmup=0, steps=10, slower=slower)
    for value in network.parameters():
        value.grad = torch.full_like(value, 0.01)
    optimiser.step(0)
    moved = {n: float((1 - v.detach()).abs().max()) for n, v in network.named_parameters()}
    assert moved["old.bias"] == pytest.approx(0.1 * moved["new.bias"], rel=1e-3)
