"""The planner: its counts are those of built modules, its sums those of the tables."""

import dataclasses
import json

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from house import repository
from vertebra.backbones.published import published
from vertebra.cli.entry import run
from vertebra.planner import transformers
from vertebra.planner.gpus import GPUS, counted_gpus
from vertebra.planner.memory import memory
from vertebra.planner.page import page
from vertebra.planner.plan import Wish, plan_training
from vertebra.planner.published import checks
from vertebra.planner.systems import SYSTEMS, standing_on, system_at_size
from vertebra.planner.transformers import BACKBONES, backbone_at_size
from vertebra.planner.work import forward, stages

LIBRARY = json.loads(
    (repository.ROOT / "tests" / "contracts" / "recorded" / "library_sizes.json").read_text()
)
FACTS = json.loads((repository.ROOT / "tests" / "contracts" / "published_facts.json").read_text())
BUILT = {
    "gemma-2b": transformers.GEMMA_2B,
    "gemma-300m": transformers.GEMMA_300M,
    "wan2.1-t2v-1.3b": transformers.WAN_1_3B,
    "wan2.1-t2v-14b": transformers.WAN_14B,
    "wan2.1-i2v-14b": transformers.WAN_14B_PICTURE,
    "wan2.2-ti2v-5b": transformers.WAN_5B,
    "fast-wam-action": transformers.FAST_WAM_ACTION,
}


@pytest.mark.parametrize("name", BUILT)
def test_counts_are_those_of_the_built_transformer(name):
    assert BUILT[name].parameters == published(name).parameters()


def test_counts_are_those_of_the_libraries_classes():
    assert transformers.SIGLIP.parameters == LIBRARY["siglip-so400m-14-224"]["parameters"]
    assert transformers.COSMOS_2B.parameters == LIBRARY["cosmos-predict2-2b"]["parameters"]


@pytest.mark.parametrize("name", ["wan2.2-ti2v-5b", "gemma-2b"])
def test_operations_of_a_layer_are_those_that_torch_counts(name):
    tokens, words, kind = 48, 10, BUILT[name]
    with torch.device("meta"):
        layer = published(name).build()["layers"][0]  # type: ignore[index]
        x, told = torch.zeros(1, tokens, kind.width), torch.zeros(1, words, kind.width)
        places = torch.zeros(tokens, 3) if kind.told else torch.arange(tokens)
        condition = torch.zeros(1, tokens, 7 * kind.width) if kind.told else None
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        parts = layer.modulation(condition)
        normed = layer.normed(x, parts)
        key, value = layer.keys_values(normed, places)
        query = layer.queries(normed, places)
        groups = query.shape[1] // key.shape[1]
        key, value = (part.repeat_interleave(groups, 1) for part in (key, value))
        attended = torch.matmul(torch.matmul(query, key.transpose(-1, -2)).softmax(-1), value)
        layer.absorb(x, attended, told if kind.told else None, None, parts)
    ours = kind.flops(tokens, tokens**2, words) / kind.layers
    assert counter.get_total_flops() == pytest.approx(ours, rel=1e-3)


def test_tokens_are_those_that_were_published():
    for system in SYSTEMS:
        for fact in FACTS["systems"].get(system.name, ()):
            value = fact["value"]
            if fact["fact"] == "frame" and fact["of"] == "frame":
                sizes = [one["value"] for one in FACTS["systems"][system.name]]
                sizes = [one for one in sizes if isinstance(one, dict) and "tokens" in one]
                assert system.picture_tokens in [one["tokens"] for one in sizes], system.name
            if fact["fact"] == "latent_frames" and "raw" in value and "latent" in value:
                assert (system.video_frames, system.latent_frames) == (
                    value["raw"],
                    value["latent"],
                )


def test_a_sample_of_fast_wam_by_hand():
    system = system_at_size("fast-wam")
    frame, actions, words = 98, 32, 128
    video, action = transformers.WAN_5B, transformers.FAST_WAM_ACTION
    # The frame sees itself, the future both, the action the frame and itself.
    pairs = frame**2 + 2 * frame * 3 * frame
    done = forward(system)
    assert done.tokens == 3 * frame + actions
    assert done.backbone == video.flops(3 * frame, pairs, words)
    assert done.action == action.flops(actions, actions * (frame + actions), words)


def test_a_chunk_of_fast_wam_by_hand():
    read = stages(system_at_size("fast-wam"))
    assert [stage.passes for stage in read] == [1, 1, 10]
    video, action = transformers.WAN_5B, transformers.FAST_WAM_ACTION
    assert read[1].flops == video.flops(98, 98**2, 0) + video.flops_a_pair * 98 * 128
    assert read[2].layers == 10 * 30
    a_step = 2 * action.layers * (action.a_token + action.kept * 98 + 2 * action.turned * 128)
    assert read[2].read == 10 * a_step


def test_past_chunks_cost_less_than_all_of_them():
    rolling = forward(system_at_size("dreamzero"))
    tokens = system_at_size("dreamzero").tokens()
    everything = sum(tokens.values())
    body = transformers.WAN_14B_PICTURE
    assert body.flops(everything, 0, 512) < rolling.backbone
    assert rolling.backbone < body.flops(everything, everything**2, 512)
    assert rolling.own_tokens == everything - tokens["clean_future"]


def test_every_published_figure_is_near_or_explained():
    found = checks()
    for one in found:
        assert one.near != bool(one.why), f"{one.what}: {one.ratio:.2f}, {one.why!r}"
    assert sum(one.near for one in found) >= len(found) - 2


def test_the_page_is_what_the_planner_says():
    assert (repository.ROOT / "docs" / "planner.md").read_text() == page(), "run `make fix`"


@pytest.mark.parametrize("tune", ["full", "lora", "action"])
def test_more_gpus_hold_less_each_and_take_less_time(tune):
    few = plan_training(Wish(recipe="fast-wam", gpus="8xH100", demos=100, tune=tune))
    many = plan_training(Wish(recipe="fast-wam", gpus="16xH100", demos=100, tune=tune))
    assert many.memory.weights < few.memory.weights
    assert many.hours == pytest.approx(few.hours / 2)


def test_less_is_trained_with_less_work_and_memory():
    plans = [
        plan_training(Wish(recipe="pi0", gpus="8xH100", demos=100, tune=tune))
        for tune in ("full", "lora", "action")
    ]
    assert plans[0].flops > plans[1].flops > plans[2].flops
    assert plans[0].memory.optimizer > plans[1].memory.optimizer > 0


def test_activations_are_computed_again_where_they_do_not_fit():
    small = plan_training(Wish(recipe="dreamzero", gpus="8xH100", demos=100))
    assert small.recomputed
    assert small.fits
    system = system_at_size("dreamzero")
    one = memory(system, gpus=8, samples=1, tune="full", recomputed=False)
    again = memory(system, gpus=8, samples=1, tune="full", recomputed=True)
    assert again.activations < one.activations / 5


def test_cost_is_hours_times_price_and_absent_without_one():
    wish = Wish(recipe="pi0", gpus="8xH100", demos=100, price=2.5)
    plan = plan_training(wish)
    assert plan.cost == pytest.approx(plan.hours * 8 * 2.5)
    assert plan_training(dataclasses.replace(wish, price=0.0)).cost is None


def test_epochs_and_samples_are_two_ways_to_say_one_thing():
    windows = 100 * 10.0 * 50.0
    wish = Wish(recipe="pi0", gpus="H100", demos=100, demo_s=10.0, epochs=2.0)
    plan = plan_training(wish)
    assert (plan.samples, plan.epochs) == (2 * windows, 2.0)


def test_another_backbone_moves_layers_tokens_and_parameters():
    own = system_at_size("fast-wam")
    moved = standing_on(own, backbone_at_size("wan2.1-1.3b"))
    assert moved.picture_tokens == 4 * own.picture_tokens  # half the stride
    assert moved.action is not None
    assert (moved.action.layers, moved.action.heads) == (30, 12)
    assert moved.backbone.parameters < own.backbone.parameters


def test_everything_wrong_is_said_at_once():
    with pytest.raises(ValueError, match="cannot be planned") as caught:
        plan_training(Wish(recipe="dreamzero", gpus="8xEAR", demos=0, tune="action", epochs=-1))
    words = str(caught.value)
    for part in ("EAR", "demos is 0", "one trunk", "below 0"):
        assert part in words


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (Wish(recipe="unipi", gpus="H100", demos=1), "No published size"),
        (Wish(recipe="pi0", gpus="H100", demos=1, backbone="wan2.2-5b"), "stands on a vlm"),
        (Wish(recipe="mimic-video", gpus="H100", demos=1), "give --samples"),
        (Wish(recipe="pi0", gpus="0xH100", demos=1), "at least one"),
    ],
)
def test_refused(wish, words):
    with pytest.raises(ValueError, match=words):
        plan_training(wish)


def test_gpus_and_backbones_state_their_sources():
    assert all(gpu.source for gpu in GPUS)
    assert all(one.source for one in BACKBONES)
    assert counted_gpus("8xh100")[1].name == "H100"


def test_the_command_prints_and_says_when_it_does_not_fit(capsys):
    words = ["plan", "train", "--recipe", "dreamzero", "--backbone", "wan2.1-14b"]
    assert run([*words, "--gpus", "8xH100", "--demos", "10000", "--price", "2"]) == 0
    printed = capsys.readouterr().out
    for part in ("memory a GPU", "cost", "tokens/s", "bound by", "latents"):
        assert part in printed
    assert run([*words, "--gpus", "1xL40S", "--demos", "10000"]) == 1
    assert "DOES NOT FIT: at least" in capsys.readouterr().out
    assert run([*words, "--gpus", "8xH100", "--demos", "10", "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["plan"]["gpus"] == 8
    assert plain["plan"]["flops"] > plain["plan"]["lower_bound"]
