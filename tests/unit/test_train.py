"""Training resumes bit for bit, keeps to its directory, and refuses early what cannot run."""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from fakes.episodes import NEEDS, random_cache, training
from fakes.networks import label, network_of, policy_of, senses_of
from vertebra import recipes
from vertebra.backbones.sizes import TINY
from vertebra.data.cache import FrameCache
from vertebra.data.windows import Batch
from vertebra.policy.checkpoint import load_policy, save_policy, tensor_differences
from vertebra.policy.network import Network
from vertebra.policy.recipe import Recipe
from vertebra.recipes.fast_wam import FAST_WAM
from vertebra.recipes.pi0 import PI0
from vertebra.spec.errors import SpecMismatch
from vertebra.spec.observation import Camera
from vertebra.spec.storage import digest, read_json, to_plain, write_bytes, write_json
from vertebra.spec.streams import POINT
from vertebra.train import imagine, loop
from vertebra.train import prepare as prepare_module
from vertebra.train.calibrate import calibrate
from vertebra.train.loop import TrainResult, train
from vertebra.train.optim import Optimiser
from vertebra.train.prepare import prepare, vocabulary, wanted_points
from vertebra.train.run import Progress, Run, still_improving
from vertebra.train.spec import TrainSpec, train_spec_from_plain, train_spec_to_plain


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> FrameCache:
    return random_cache(tmp_path_factory.mktemp("data") / "cache")


@pytest.fixture(autouse=True)
def few_validation_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "VALIDATION_SIZE", 4)


class Killed(Exception):  # noqa: N818
    """Stands for the death of the process."""


def kill_at(step: int) -> Callable[[Progress], None]:
    def on_progress(progress: Progress) -> None:
        if progress.step == step:
            raise Killed

    return on_progress


def reached(directory: Path) -> tuple[bytes, str, dict[str, Any]]:
    """Weights, curve and result of a finished training, without its seconds."""
    result = read_json(directory / "trained.json")["result"]
    del result["seconds"]
    weights = (directory / "checkpoint" / "weights.safetensors").read_bytes()
    return weights, (directory / "training.jsonl").read_text(), result


@pytest.mark.parametrize("recipe", (*recipes.ALL, PI0.pointed()), ids=label)
def test_a_training_that_was_killed_ends_as_if_it_had_not_been(
    recipe: Recipe, cache: FrameCache, tmp_path: Path
) -> None:
    pointed = POINT in recipe.table.experts
    plain = next(one for one in recipes.ALL if one.name == recipe.name)
    changes = {"privileged": "points"} if pointed else {}
    spec = training(plain, cache, checkpoint_every=4, **changes)
    train(spec, tmp_path / "whole")
    with pytest.raises(Killed):
        train(spec, tmp_path / "killed", kill_at(10))
    assert read_json(tmp_path / "killed" / "resume" / "state.json")["step"] == 8
    steps: list[int] = []
    result = train(spec, tmp_path / "killed", lambda progress: steps.append(progress.step))
    assert steps == [10, 12] and result.samples == 96 and result.steps == 12
    assert reached(tmp_path / "killed") == reached(tmp_path / "whole")
    assert not (tmp_path / "killed" / "resume").exists()


def test_weights_that_lie_channels_last_still_do_after_a_restart(
    cache: FrameCache, tmp_path: Path
) -> None:
    spec = training(PI0, cache, checkpoint_every=4)
    with pytest.raises(Killed):
        train(spec, tmp_path, kill_at(10))
    run = loop.run_of(prepare(spec), tmp_path, digest(train_spec_to_plain(spec)))
    assert run.step == 8
    weight = run.network.get_parameter("senses.eyes.image.front.mix.weight")
    assert weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()
    moments = run.optimiser.parts[1].state[weight]
    assert moments["exp_avg"].stride() == weight.stride() and moments["exp_avg"].any()


def test_a_finished_training_is_not_touched_again(
    cache: FrameCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = training(FAST_WAM, cache)
    result = train(spec, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    def never(spec: TrainSpec) -> None:
        raise AssertionError("a finished training was prepared again")

    monkeypatch.setattr(loop, "prepare", never)
    assert train(spec, tmp_path) == result
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert load_policy(tmp_path / "checkpoint").network.shape.recipe == FAST_WAM
    with pytest.raises(ValueError, match=r"holds another training .*fresh directory"):
        train(replace(spec, learning_rate=1e-4), tmp_path)


def test_an_unfinished_training_of_another_spec_is_refused(
    cache: FrameCache, tmp_path: Path
) -> None:
    spec = training(PI0, cache)
    with pytest.raises(Killed):
        train(spec, tmp_path, kill_at(10))
    with pytest.raises(ValueError, match="holds another training"):
        train(training(PI0.blinded(), cache), tmp_path)
    assert not (tmp_path / "trained.json").exists()


def test_a_loss_that_is_not_finite_stops_the_training(
    cache: FrameCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = prepare_module.losses, []

    def broken(network: Network, *rest: Any) -> dict[str, torch.Tensor]:
        calls.append(1)
        terms = real(network, *rest)
        return {**terms, "action": terms["action"] * (math.nan if len(calls) == 3 else 1.0)}

    monkeypatch.setattr(prepare_module, "losses", broken)
    with pytest.raises(FloatingPointError, match=r"not finite at step 2: \{'action': nan\}.*check"):
        train(training(PI0, cache), tmp_path)
    assert not (tmp_path / "trained.json").exists()


def test_the_checkpoint_with_the_lowest_validation_loss_acts(
    cache: FrameCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = train(training(PI0, cache), tmp_path / "real")
    assert [step for step, _ in result.validation] == [5, 10, 12]
    assert result.best_step == min(result.validation, key=lambda pair: pair[1])[0]
    given = iter([3.0, 1.0, 2.0, 3.0, 1.0])
    real = prepare_module.losses
    value = [0.0]

    def scripted(network: Network, *rest: Any) -> dict[str, torch.Tensor]:
        if torch.is_grad_enabled():
            return real(network, *rest)
        return {"action": torch.full((4,), value[0])}

    validate = Run.validate

    def numbered(run: Any) -> None:
        value[0] = next(given)
        validate(run)

    monkeypatch.setattr(prepare_module, "losses", scripted)
    monkeypatch.setattr(Run, "validate", numbered)
    chosen = train(training(PI0, cache), tmp_path / "scripted")
    assert chosen.validation == ((5, 3.0), (10, 1.0), (12, 2.0)) and chosen.best_step == 10
    weights = load_file(tmp_path / "scripted" / "checkpoint" / "weights.safetensors")
    with pytest.raises(Killed):
        train(training(PI0, cache), tmp_path / "short", kill_at(10))
    state = load_file(tmp_path / "short" / "resume" / "state-10.safetensors")
    assert all((state[f"average:{name}"] == value).all() for name, value in weights.items())


@pytest.mark.parametrize(
    ("losses", "flag"),
    [
        ([(80, 1.0), (100, 0.96)], True),
        ([(80, 1.0), (100, 0.98)], False),
        ([(80, 1.0), (100, 1.2)], False),
        ([(40, 0.5), (80, 1.0), (100, 0.8)], False),
        ([(81, 1.0), (100, 0.5)], True),
        ([(50, 1.0)], True),
        ([], True),
    ],
)
def test_a_run_that_still_improves_is_flagged(losses: list[tuple[int, float]], flag: bool) -> None:
    assert still_improving(losses, 100) == flag


def test_the_ledger_counts_what_was_used(cache: FrameCache, tmp_path: Path) -> None:
    counts = {
        (recipe.name, privileged): train(
            training(recipe, cache, privileged=privileged, samples=8),
            tmp_path / f"{recipe.name}-{privileged}",
        )
        for recipe in (PI0, FAST_WAM.blinded())
        for privileged in ("none", "points")
    }

    def of(result: TrainResult) -> tuple[int, int, int]:
        return result.language_labels, result.privileged_targets, result.video_frames

    # Four training episodes of nine frames; two of them have a destination beside the object.
    assert of(counts["pi0", "none"]) == (4, 0, 0)
    assert of(counts["pi0", "points"]) == (4, 36 + 18, 0)
    assert of(counts["fast-wam+blind", "none"]) == (0, 0, 36)
    assert of(counts["fast-wam+blind", "points"]) == (0, 54, 36)
    for (name, privileged), result in counts.items():
        assert result.flops > 0 and result.samples == 8 and result.seconds > 0
        recipe = recipes.by_name(name)
        network = network_of(recipe.pointed() if privileged == "points" else recipe)
        known = len(vocabulary(cache, range(4))) - senses_of(network).words.table.num_embeddings + 2
        expected = sum(value.numel() for value in network.parameters()) + known * TINY.trunk
        assert result.parameters == expected
        assert train_result_round_trip(result) == result


def train_result_round_trip(result: TrainResult) -> TrainResult:
    return loop.train_result_from_plain(json.loads(json.dumps(to_plain(result))))


def test_calibration_measures_both_precisions(cache: FrameCache) -> None:
    found = calibrate(training(FAST_WAM, cache), seconds=0.0)
    assert set(found.seconds_by_precision) == {"bf16", "fp32"}
    assert found.seconds_per_sample == min(found.seconds_by_precision.values()) > 0
    assert found.seconds_by_precision[found.precision] == found.seconds_per_sample
    assert found.flops_per_sample > 1e6 and found.memory_bytes > 1e7
    assert found.checkpoint_bytes > 4 * 10_000


def test_everything_wrong_with_a_training_is_named_at_once(cache: FrameCache) -> None:
    with pytest.raises(ValueError, match="This training cannot run") as caught:
        training(
            PI0,
            cache,
            size="huge",
            privileged="boxes",
            precision="fp8",
            samples=4,
            validation_episodes=(0, 1),
            seeds={"noise": 1},
            checkpoint_every=0,
            warmup=-1,
            learning_rate=0.0,
            ema=1.0,
        )
    for words in (
        *("'huge'", "'boxes'", "'fp8'", "4 samples in batches of 8", "[0, 1] are in training"),
        *("['batch_order', 'initialisation'] are missing", "checkpoint_every is 0"),
        *("warmup is -1", "learning_rate is 0.0", "ema is 1.0"),
    ):
        assert words in str(caught.value), words
    with pytest.raises(ValueError, match=r"no training episode[\s\S]*no validation episode"):
        training(PI0, cache, episodes=(), validation_episodes=())


def test_a_training_spec_survives_json(cache: FrameCache) -> None:
    spec = training(FAST_WAM.blinded(), cache, privileged="points", precision="fp32")
    again = train_spec_from_plain(json.loads(json.dumps(train_spec_to_plain(spec))))
    assert again == spec
    assert digest(train_spec_to_plain(again)) == digest(train_spec_to_plain(spec))
    with pytest.raises(ValueError, match="version 9"):
        train_spec_from_plain({**train_spec_to_plain(spec), "version": 9})


def test_data_that_do_not_fit_are_refused_before_training(
    cache: FrameCache, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"has hash .*locked on 0123"):
        prepare(training(PI0, cache, data_hash="0123"))
    bare = random_cache(tmp_path / "bare", pointed=False)
    prepare(training(PI0, bare))
    with pytest.raises(ValueError, match=r"Pointing targets were asked for .*privileged = none"):
        prepare(training(PI0, bare, privileged="points"))
    other = replace(
        NEEDS,
        cameras=(replace(NEEDS.cameras[0], height=64), Camera(name="side", height=8, width=8)),
        state=NEEDS.state[:2],
    )
    with pytest.raises(ValueError, match="does not fit this training") as caught:
        prepare(training(PI0, cache, needs=other, validation_episodes=(77,)))
    for words in ("'front' is 32x32 pixels, expected 64x32", "['side'] are missing", "[77] do not",
                  "state has 3 numbers, expected 2"):  # fmt: skip
        assert words in str(caught.value), words


def test_batches_and_noise_follow_from_seed_and_step(cache: FrameCache) -> None:
    one = prepare(training(PI0, cache))
    two = prepare(training(FAST_WAM.blinded(), cache, privileged="points"))
    other = prepare(training(PI0, cache, seeds={"initialisation": 1, "batch_order": 9, "noise": 9}))
    for step in (0, 1):
        mine, theirs = one.batch(step), two.batch(step)
        assert (mine.frame == theirs.frame).all() and (mine.episode == theirs.episode).all()
        assert torch.rand(3, generator=one.noise(step)).equal(
            torch.rand(3, generator=two.noise(step))
        )
    assert (one.batch(0).state != one.batch(1).state).any()
    assert (one.batch(0).state != other.batch(0).state).any()
    assert one.noise(0).initial_seed() != one.noise(1).initial_seed()
    assert one.noise(0).initial_seed() != other.noise(0).initial_seed()
    again = prepare(training(PI0, cache, episodes=(0, 1)))
    assert set(again.windows.sample(np.random.default_rng(0), 99).episode) <= {0, 1}
    assert set(again.validation.sample(np.random.default_rng(0), 99).episode) <= {4, 5}


def test_words_and_targets_come_from_the_training_episodes(cache: FrameCache) -> None:
    assert vocabulary(cache, (0,)) == ("box", "lift", "red", "the")
    batch = prepare(training(PI0, cache)).windows.batch(np.array([0, 10]))
    points = wanted_points(batch)
    assert (points[0, 0] == batch.points[0, 0]).all() and np.isnan(points[0, 1]).all()
    assert (points[1] == batch.points[1, [0, 1]]).all()
    unknown = replace_targets(batch, -1)
    assert np.isnan(wanted_points(unknown)).all()


def replace_targets(batch: Batch, index: int) -> Batch:
    return replace(
        batch, target=np.full_like(batch.target, index), goal=np.full_like(batch.goal, index)
    )


def test_the_learning_rate_rises_then_falls_to_a_twentieth() -> None:
    optimiser = Optimiser(network_of(PI0), learning_rate=1.0, warmup=10, steps=100)
    rates = [optimiser.rate(step) for step in range(101)]
    assert rates[0] == pytest.approx(0.1) and rates[100] == pytest.approx(0.05)
    assert rates[:10] == sorted(rates[:10]) and rates[10:] == sorted(rates[10:], reverse=True)
    names = {type(part).__name__ for part in optimiser.parts}
    assert names == {"Muon", "AdamW"} and len(optimiser.names) == len(set(optimiser.names))
    assert sum(v.numel() for v in optimiser.parameters) == sum(
        v.numel() for v in network_of(PI0).parameters()
    )


def test_imagined_frames_are_measured_against_what_happened(
    cache: FrameCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(training(FAST_WAM, cache))
    policy = replace(prepared.policy, network=network_of_same(prepared.policy.network))
    figures, shown = imagine.imagined_evidence(prepared, policy, tmp_path)
    assert figures is not None and 0 < figures["moving_share"] <= 1
    errors = [figures[f"{name}_error_moving"] for name in ("model", "sample", "copy")]
    assert all(0 < error < 1 for error in errors)
    assert figures["future_steps"] == list(TINY.future_steps)
    for entry in shown:
        assert entry["kind"] == "imagined" and "real, imagined" in entry["caption"]
        with Image.open(tmp_path / entry["file"]) as picture:
            assert picture.height >= 3 * TINY.future_px and picture.width > 4 * picture.height
    json.dumps([figures, shown])

    def truth(policy: Any, examples: Any, *rest: Any, **more: Any) -> torch.Tensor:
        frames = examples.future.flatten(0, 1)
        small = imagine.shrink(frames, TINY.future_px).permute(0, 2, 3, 1)
        shape = (*examples.future.shape[:2], TINY.future_px, TINY.future_px, 3)
        return (255 * small).round().to(torch.uint8).view(shape)

    def copy(policy: Any, examples: Any, *rest: Any, **more: Any) -> torch.Tensor:
        now = next(iter(examples.given.images.values()))
        small = imagine.shrink(now, TINY.future_px).permute(0, 2, 3, 1)[:, None]
        return (255 * small).round().to(torch.uint8).expand(truth(policy, examples).shape)

    for guess, expected in ((truth, 0.0), (copy, figures["copy_error_moving"])):
        monkeypatch.setattr(imagine, "imagine", guess)
        again, _ = imagine.imagined_evidence(prepared, policy, tmp_path)
        assert again is not None
        assert again["model_error_moving"] == pytest.approx(expected, abs=0.004)
        assert again["sample_error_moving"] == pytest.approx(expected, abs=0.004)
        assert again["copy_error_moving"] == figures["copy_error_moving"]


def network_of_same(network: Network) -> Network:
    """The same shape with weights that are all alive (untrained ones predict exactly nothing)."""
    alive = Network(network.shape)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for value in alive.parameters():
            value.copy_(0.1 * torch.randn_like(value))
    return alive.eval()


def test_a_recipe_that_imagines_nothing_shows_nothing(cache: FrameCache, tmp_path: Path) -> None:
    prepared = prepare(training(PI0, cache))
    assert imagine.imagined_evidence(prepared, prepared.policy, tmp_path) == (None, [])
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_that_does_not_fit_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no checkpoint \(manifest\.json is missing\)"):
        load_policy(tmp_path)
    save_policy(tmp_path, policy_of(FAST_WAM), {})
    weights, manifest = tmp_path / "weights.safetensors", read_json(tmp_path / "manifest.json")

    def rewrite(change: Callable[[dict[str, torch.Tensor]], None]) -> None:
        """Other tensors under a manifest that vouches for them."""
        tensors = dict(policy_of(FAST_WAM).network.state_dict())
        change(tensors)
        save_file({n: v.detach().contiguous() for n, v in tensors.items()}, weights)
        fresh = hashlib.sha256(weights.read_bytes()).hexdigest()
        write_json(tmp_path / "manifest.json", {**manifest, "sha256": fresh})

    def spoil(tensors: dict[str, torch.Tensor]) -> None:
        del tensors["senses.words.position"]
        tensors["senses.state.0.bias"] = torch.zeros(3)
        tensors["extra"] = torch.zeros(1)

    rewrite(lambda tensors: None)
    load_policy(tmp_path)
    rewrite(spoil)
    with pytest.raises(SpecMismatch, match="does not fit its recipe") as caught:
        load_policy(tmp_path)
    for words in ("'senses.words.position' is missing", "'extra' is not part of the recipe",
                  f"'senses.state.0.bias' has shape [3], expected [{TINY.trunk}]"):  # fmt: skip
        assert words in str(caught.value)
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    write_bytes(weights, bytes(content))
    with pytest.raises(ValueError, match=r"its SHA-256 differs\): it was damaged"):
        load_policy(tmp_path)
    write_json(tmp_path / "manifest.json", {**manifest, "version": 5})
    with pytest.raises(ValueError, match="checkpoint version 5"):
        load_policy(tmp_path)


def test_equal_tensors_have_no_difference() -> None:
    state = network_of(PI0).state_dict()
    assert tensor_differences(state, state) == []
