"""What every recipe must do at tiny size, with and without pointing, sighted and blind."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fakes.episodes import SENTENCES, random_cache, training
from fakes.networks import EVERY, SIGHTED, given_of, label, network_of, observation, policy_of
from vertebra import recipes
from vertebra.coupling.table import closure
from vertebra.policy.acting import Passes, TrainedPolicy
from vertebra.policy.checkpoint import load_policy, save_policy
from vertebra.policy.losses import Examples, losses, weighted_total
from vertebra.policy.network import Network
from vertebra.policy.recipe import POINT, Recipe, recipe_from_plain, recipe_to_plain
from vertebra.schedules.generate import generate
from vertebra.schedules.kinds import ActionOnly, Together
from vertebra.spec.streams import Role
from vertebra.train.optim import Optimiser
from vertebra.train.prepare import prepare

every = pytest.mark.parametrize("recipe", EVERY, ids=label)
sighted = pytest.mark.parametrize("recipe", SIGHTED, ids=label)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    """Windows of random data with pointing targets; the last one reaches beyond its episode."""
    cache = random_cache(tmp_path_factory.mktemp("data") / "cache")
    prepared = prepare(training(recipes.ALL[0], cache))
    return prepared.examples(prepared.windows.batch(np.array([0, 10, 20, 35])))


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def chunk(policy: TrainedPolicy, seed: int = 7, view: int = 0, text: str = SENTENCES[0]):
    return policy.act(policy.start(seed), observation(view, text))[1].chunk


@every
def test_losses_are_finite_named_and_one_a_sample(recipe: Recipe, examples: Examples) -> None:
    terms = losses(network_of(recipe), examples, noise())
    wanted = set(recipe.coupling.named(Role.DENOISED))
    assert set(terms) == wanted | ({"pointing"} if POINT in recipe.coupling.experts else set())
    for term in terms.values():
        assert term.shape == (examples.count,)
        assert term.isfinite().all() and (term >= 0).all() and (term[:-1] > 0).all()
    again = losses(network_of(recipe), examples, noise())
    assert all(bool((again[name] == term).all()) for name, term in terms.items())
    other = losses(network_of(recipe), examples, noise(1))
    assert not any(bool((other[name] == terms[name])[:-1].any()) for name in wanted)


def parts_of(network: Network) -> dict[str, list[Tensor]]:
    """Weights by the part of the recipe to which they belong."""
    found: dict[str, list[Tensor]] = {}
    for name, value in network.named_parameters():
        words = name.split(".")
        depth = {"attention": 3, "inputs": 2, "positions": 2, "outputs": 2}.get(words[0], 1)
        found.setdefault(".".join(words[:depth]), []).append(value)
    return found


def declared(recipe: Recipe, term: str) -> set[str]:
    """The parts of the weights on which a loss term depends by the recipe's table."""
    joint = recipe.coupling
    reads = closure(joint, recipe.pixels if term == "pointing" else term)
    names = reads | set(joint.context)
    found = {f"attention.experts.{joint.experts[name]}" for name in reads}
    found |= {f"{kind}.{n}" for n in reads & set(recipe.times) for kind in ("inputs", "positions")}
    teachers = reads & set(joint.named(Role.TEACHER))
    found |= {f"{kind}.{name}" for name in teachers for kind in ("inputs", "positions")}
    found |= {"cameras"} if recipe.pixels in names else set()
    found |= {"words"} if "text" in names else set()
    found |= {"state"} if "state" in names else set()
    found |= {"point", "pointing"} if POINT in names else set()
    if term == "pointing":
        return found | {"pointing"}
    return found | {f"outputs.{term}", f"attention.norms.{joint.experts[term]}"}


@every
def test_gradients_reach_exactly_the_declared_weights(recipe: Recipe, examples: Examples) -> None:
    network = network_of(recipe)
    terms = losses(network, examples, noise())
    parts, alive = parts_of(network), set[str]()
    for name, term in terms.items():
        network.zero_grad()
        term.sum().backward(retain_graph=True)
        reached = {
            part
            for part, values in parts.items()
            if any(value.grad is not None and bool((value.grad != 0).any()) for value in values)
        }
        assert reached == declared(recipe, name), f"the term '{name}'"
        alive |= {n for n, v in network.named_parameters() if v.grad is not None and v.grad.any()}
    dead = {name for name, _ in network.named_parameters()} - alive
    assert not dead, "weights that nothing trains"


@pytest.mark.parametrize(
    "recipe", [r for r in SIGHTED if len(r.coupling.named(Role.DENOISED)) > 1], ids=label
)
@torch.no_grad()
def test_noise_of_a_skippable_stream_never_changes_the_action(recipe: Recipe) -> None:
    network = network_of(recipe)
    passes = Passes(network, given_of())
    schedule = recipe.schedule
    if isinstance(schedule, ActionOnly):
        schedule = Together(steps=3)
    first = draw(network, network.denoised, 0)
    before = generate(schedule, passes, first).values["action"]
    for name in network.denoised:
        if name == "action":
            continue
        other = {**first, name: draw(network, (name,), 1)[name]}
        after = generate(schedule, passes, other).values["action"]
        assert bool((before == after).all()) == (name in recipe.skips)
    if "future" in recipe.skips:
        alone = generate(ActionOnly(steps=3), passes, {"action": first["action"]})
        assert bool((alone.values["action"] == before).all())


def draw(network: Network, names: tuple[str, ...], seed: int) -> dict[str, Tensor]:
    rows = len(SENTENCES)
    return {
        name: torch.randn(rows, network.length(name), network.channels(name), generator=noise(seed))
        for name in names
    }


@sighted
@torch.no_grad()
def test_a_cached_pass_equals_one_pass_over_everything(recipe: Recipe) -> None:
    network, given = network_of(recipe), given_of()
    time = torch.full((len(SENTENCES), 1), 0.4)
    values = draw(network, network.denoised, 0)
    noisy = {name: (value, time) for name, value in values.items()}
    clean = {
        name: (values[network.joint.stream(name).of], torch.ones_like(time))
        for name in network.joint.named(Role.TEACHER)
    }
    whole = network.velocities(network.read(given, {**noisy, **clean})[0], noisy)
    passes = Passes(network, given)
    kept = passes.begin()
    for name in network.denoised:
        kept = passes.finish(name, values[name], kept)
    cached = passes.velocity(values, 0.4, kept)
    assert set(cached) == set(whole) == set(network.denoised)
    for name, value in whole.items():
        assert (cached[name] - value).abs().max() < 1e-5
    with torch.enable_grad():  # takes the explicit form of attention
        explicit = network.velocities(network.read(given, {**noisy, **clean})[0], noisy)
    for name, value in whole.items():
        assert (explicit[name] - value).abs().max() < 1e-4


@sighted
def test_interleaved_sessions_never_mix(recipe: Recipe) -> None:
    policy = policy_of(recipe)
    views = {
        seed: [observation(10 * seed + i, SENTENCES[seed]) for i in range(3)] for seed in (1, 2)
    }

    def run(order: tuple[int, ...]) -> dict[int, list[np.ndarray]]:
        sessions = {seed: policy.start(seed) for seed in (1, 2)}
        made: dict[int, list[np.ndarray]] = {1: [], 2: []}
        for seed in order:
            sessions[seed], act = policy.act(sessions[seed], views[seed][len(made[seed])])
            made[seed].append(act.chunk)
        return made

    apart, mixed = run((1, 1, 1, 2, 2, 2)), run((1, 2, 2, 1, 2, 1))
    sessions = [policy.start(seed) for seed in (1, 2)]
    for index in range(3):
        both = policy.act_batch(sessions, [views[seed][index] for seed in (1, 2)])
        sessions = [session for session, _ in both]
        for seed, (_, act) in zip((1, 2), both, strict=True):
            assert (mixed[seed][index] == apart[seed][index]).all()
            assert np.abs(act.chunk - apart[seed][index]).max() < 1e-5


@sighted
def test_a_chunk_follows_from_seed_view_and_words(recipe: Recipe) -> None:
    policy = policy_of(recipe)
    size = policy.network.shape.size
    session = policy.start(7)
    after, act = policy.act(session, observation(0))
    assert act.chunk.shape == (size.horizon, len(policy.makes.dims))
    assert act.chunk.dtype == np.float32 and np.isfinite(act.chunk).all()
    assert (chunk(policy, 7) == act.chunk).all() and session == policy.start(7) != after
    assert (policy.act(after, observation(0))[1].chunk != act.chunk).any(), "fresh noise each time"
    assert (chunk(policy, 8) != act.chunk).any()
    assert (chunk(policy, view=1) != act.chunk).any()
    assert sum(act.evaluations.values()) >= 1 + act.evaluations["action"]
    assert set(act.stage_s) == set(act.evaluations)
    if "future" in recipe.generates:
        (frames,) = act.imagined.values()
        assert frames.shape == (len(size.future_steps), size.future_px, size.future_px, 3)
        assert len(act.imagined_at_s) == len(frames) and frames.dtype == np.uint8
    else:
        assert not act.imagined and not act.imagined_at_s
    with pytest.raises(ValueError, match="deadline"):
        policy.act(session, observation(0), deadline_s=0.1)


@sighted
def test_a_saved_policy_acts_as_before(recipe: Recipe, tmp_path: Path) -> None:
    policy = policy_of(recipe)
    save_policy(tmp_path, policy, {"note": "tried"})
    loaded = load_policy(tmp_path)
    assert loaded.network.shape == policy.network.shape
    assert (chunk(loaded) == chunk(policy)).all()


@every
def test_a_recipe_survives_json_and_pickle(recipe: Recipe) -> None:
    plain = json.loads(json.dumps(recipe_to_plain(recipe), sort_keys=True))
    for again in (recipe_from_plain(plain), pickle.loads(pickle.dumps(recipe))):  # noqa: S301
        assert again == recipe and hash(again) == hash(recipe)
        assert recipe_to_plain(again) == recipe_to_plain(recipe)
        assert list(again.coupling.sees) == list(recipe.coupling.sees)
        for query, keys in recipe.coupling.sees.items():
            assert list(again.coupling.sees[query]) == list(keys)
    with pytest.raises(ValueError, match="version 99"):
        recipe_from_plain({**plain, "version": 99})
    with pytest.raises(ValueError, match="'Later'"):
        recipe_from_plain({**plain, "schedule": {"kind": "Later"}})


@sighted
def test_one_batch_can_be_learned_by_heart(recipe: Recipe, examples: Examples) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Network(network_of(recipe).shape)
    optimiser = Optimiser(network, learning_rate=1e-2, warmup=5, steps=30)
    seen: list[dict[str, float]] = []
    for step in range(30):
        terms = losses(network, examples, noise())
        weighted_total(terms, recipe.weights).backward()
        optimiser.step(step)
        seen.append({name: float(term.detach().mean()) for name, term in terms.items()})
    for name, value in seen[0].items():
        assert seen[-1][name] < 0.75 * value, f"'{name}' fell from {value} to {seen[-1][name]}"


@sighted
def test_the_blind_twin_hears_nothing_and_the_sighted_one_every_word(recipe: Recipe) -> None:
    blind, seeing = policy_of(recipe.blinded()), policy_of(recipe)
    silence = chunk(seeing, text="")
    for text in ("", "lift the red box", "put it down", "words it has never met"):
        assert (chunk(blind, text=text) == silence).all(), "trained as if nothing was ever said"
    spoken = [chunk(seeing, text=text) for text in ("", "lift the red box", "lift the blue box")]
    assert (spoken[0] != spoken[1]).any() and (spoken[1] != spoken[2]).any()
    assert recipe.blinded().blinded() == recipe.blinded() != recipe


@sighted
def test_longer_neighbours_in_a_batch_change_nothing(recipe: Recipe) -> None:
    policy = policy_of(recipe)
    texts = ("lift it", "push the blue ball past the line and then put it down", "")
    sessions = [policy.start(3) for _ in texts]
    together = policy.act_batch(sessions, [observation(5, text) for text in texts])
    for text, (_, act) in zip(texts, together, strict=True):
        assert np.abs(act.chunk - chunk(policy, 3, 5, text)).max() < 1e-5


@every
def test_pointing_and_blinding_commute_and_names_find_recipes(recipe: Recipe) -> None:
    assert recipe.pointed().blinded() == recipe.blinded().pointed()
    assert recipe.pointed().pointed() == recipe.pointed()
    plain = recipes.by_name(recipe.name)
    assert plain.pointed() == recipe.pointed() and plain.blind == recipe.blind


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="pi0, fast-wam"):
        recipes.by_name("pi1")
