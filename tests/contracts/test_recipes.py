"""What every recipe must do at tiny size, with and without pointing, sighted and blind."""

import functools
import hashlib
import json
import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fakes.episodes import SENTENCES, random_cache, training
from fakes.networks import EVERY, SIGHTED, brief, label, network_of, observation, policy_of
from fakes.passes import source
from vertebra import recipes
from vertebra.coupling.kinds import Head, Inverse
from vertebra.coupling.table import Embed, Joint, closure
from vertebra.data.cache import FrameCache
from vertebra.policy.acting import TrainedPolicy
from vertebra.policy.checkpoint import (
    MANIFEST,
    WEIGHTS,
    load_policy,
    read_tensors,
    save_policy,
    tensor_bytes,
)
from vertebra.policy.losses import losses, weighted_total
from vertebra.policy.network import Network
from vertebra.policy.recipe import Recipe
from vertebra.policy.saved import recipe_from_plain, recipe_to_plain
from vertebra.policy.targets import Examples
from vertebra.spec.streams import PIXEL_STREAMS, POINT, Role
from vertebra.train.optim import Optimiser
from vertebra.train.prepare import prepare

POINTED = tuple(recipes.by_name(name).pointed() for name in ("pi0", "motus", "gr00t", "rhoda-dva"))
every = pytest.mark.parametrize("recipe", EVERY, ids=label)
sighted = pytest.mark.parametrize("recipe", SIGHTED, ids=label)
short = pytest.mark.parametrize("recipe", [brief(r) for r in (*recipes.ALL, *POINTED)], ids=label)
plain = pytest.mark.parametrize("recipe", recipes.ALL, ids=label)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> FrameCache:
    return random_cache(tmp_path_factory.mktemp("data") / "cache")


@functools.cache
def _examples(recipe: Recipe, cache: FrameCache) -> tuple[Examples, ...]:
    prepared = prepare(training(recipe, cache))
    places = [0, 13, 22, 35] if recipe.rolling else [0, 10, 20, 35]
    return prepared.examples(prepared.windows.batch(np.array(places)))


def examples_of(recipe: Recipe, cache: FrameCache) -> tuple[Examples, ...]:
    """Windows of random data; the first is preceded by nothing, the last reaches beyond its end."""
    return _examples(recipes.by_name(recipe.name.removesuffix("+blind")), cache)


def chunk(policy: TrainedPolicy, seed: int = 7, view: int = 0, text: str = SENTENCES[0]):
    return policy.act(policy.start(seed), observation(view, text))[1].chunk


@sighted
def test_losses_are_finite_named_and_one_a_sample(recipe: Recipe, cache: FrameCache) -> None:
    examples, network = examples_of(recipe, cache), network_of(recipe)
    terms = losses(network, examples, source())
    wanted = set(recipe.table.named(Role.DENOISED))
    assert set(terms) == wanted | ({"pointing"} if POINT in recipe.table.experts else set())
    shown_clean = {name for mode in recipe.modes for name in mode.clean}
    for name, term in terms.items():
        assert term.shape == (examples[0].count,)
        assert term.isfinite().all()
        assert (term >= 0).all()
        assert (term[:-1] > 0).any() if name in shown_clean else (term[:-1] > 0).all()
    again = losses(network, examples, source())
    assert all(bool((again[name] == term).all()) for name, term in terms.items())
    other = losses(network, examples, source(1))
    assert not any(
        bool((other[name] == terms[name])[:-1].any()) for name in {*recipe.noisy} - shown_clean
    )


def parts_of(network: Network) -> dict[str, list[Tensor]]:
    """Weights by the part of the recipe to which they belong."""
    found: dict[str, list[Tensor]] = {}
    for name, value in network.named_parameters():
        words = name.split(".")
        key = ".".join(words[:2])
        depth = {"attention": 3, "head": 3, "senses.eyes": 3, "senses": 2}
        depth |= {"inputs": 2, "positions": 2, "outputs": 2, "conditions": 2}
        found.setdefault(".".join(words[: depth.get(key, depth.get(words[0], 1))]), []).append(
            value
        )
    return found


def declared(recipe: Recipe, term: str) -> set[str]:
    """The parts of the weights on which a loss term depends, by the recipe's tables."""
    coupling = recipe.coupling
    if term == "action" and isinstance(coupling, Inverse):
        return {"inverse"}
    if term == "action" and isinstance(coupling, Head):
        found = part_names(recipe, coupling.head, ("action",), "head")
        found |= {"feature_map", "feature_norm", "head.norms.action", "outputs.action"}
        if not coupling.trained:
            return found
        found |= part_names(recipe, recipe.trunk, coupling.reads.of, "attention")
        if 1.0 in coupling.reads.depths:
            read = {recipe.trunk.experts[name] for name in coupling.reads.of}
            found |= {f"attention.norms.{expert}" for expert in read}
        return found
    if term == "pointing":
        return {"pointing"} | part_names(recipe, _glanced(recipe), (recipe.pixels,), "attention")
    found = part_names(recipe, recipe.trunk, (term,), "attention")
    return found | {f"outputs.{term}", f"attention.norms.{recipe.trunk.experts[term]}"}


def _glanced(recipe: Recipe) -> Joint:
    """The table by which pointing sees: of the given streams alone where pixels look at noise."""
    trunk = recipe.trunk
    if not closure(trunk, recipe.pixels) & {*recipe.noisy}:
        return trunk
    left = {*trunk.named(Role.GIVEN)} - {POINT}
    rows = {q: {k: r for k, r in trunk.sees[q].items() if k in left} for q in left}
    streams = tuple(stream for stream in trunk.streams if stream.name in left)
    experts = {name: trunk.experts[name] for name in left}
    embed = {name: how for name, how in trunk.embed.items() if name in left}
    return replace(trunk, streams=streams, sees=rows, experts=experts, embed=embed)


def part_names(recipe: Recipe, table: Joint, of: Sequence[str], attention: str) -> set[str]:
    """Parts that the outputs of some streams need, in one attention."""
    reads = {name for one in of for name in closure(table, one)}
    names = reads | set(table.context)
    adaptive = {table.experts[n] for n, embed in table.embed.items() if embed is Embed.ADAPTIVE}
    experts = {table.experts[name] for name in reads}
    found = {f"{attention}.experts.{expert}" for expert in experts}
    found |= {f"conditions.{expert}" for expert in experts & adaptive}
    made = {*recipe.noisy, *recipe.table.named(Role.TEACHER)}
    found |= {f"{kind}.{name}" for name in reads & made for kind in ("inputs", "positions")}
    found |= {f"senses.eyes.{name}" for name in reads & set(PIXEL_STREAMS)}
    found |= {"senses.words"} if "text" in names else set()
    found |= {"senses.registers"} if "registers" in names else set()
    if "state" in names:
        framed = table.embed.get("state") is Embed.LATENT_FRAME
        found |= {"senses.state", "senses.state_place"} if framed else {"senses.state"}
    return found | ({"point", "pointing"} if POINT in reads else set())


@sighted
def test_gradients_reach_exactly_the_declared_weights(recipe: Recipe, cache: FrameCache) -> None:
    network = network_of(recipe)
    terms = losses(network, examples_of(recipe, cache), source())
    parts, alive = parts_of(network), set[str]()
    for name, term in terms.items():
        network.zero_grad()
        term.sum().backward(retain_graph=True)
        reached = {
            part
            for part, values in parts.items()
            if any(value.grad is not None and bool((value.grad != 0).any()) for value in values)
        }
        assert reached == declared(recipe, name), f"{recipe.name}: the term '{name}'"
        alive |= {n for n, v in network.named_parameters() if v.grad is not None and v.grad.any()}
    dead = {name for name, _ in network.named_parameters()} - alive
    assert not dead, "weights that nothing trains"


@short
def test_a_chunk_follows_from_seed_view_and_words(recipe: Recipe) -> None:
    policy = policy_of(recipe)
    shape, size = policy.network.shape, policy.network.shape.size
    session = policy.start(7)
    after, act = policy.act(session, observation(0))
    assert act.chunk.shape == (shape.horizon, len(policy.makes.dims))
    assert act.chunk.dtype == np.float32
    assert np.isfinite(act.chunk).all()
    assert (chunk(policy, 7) == act.chunk).all()
    assert session == policy.start(7) != after
    if not recipe.rolling:
        once_more = policy.act(after, observation(0))[1].chunk
        assert (once_more != act.chunk).any(), "fresh noise each time"
    assert (chunk(policy, 8) != act.chunk).any()
    assert (chunk(policy, view=1) != act.chunk).any()
    assert sum(act.evaluations.values()) >= 1 + act.evaluations["action"] * bool(recipe.prefix)
    assert set(act.stage_s) == set(act.evaluations)
    if "future" in recipe.generates:
        (frames,) = act.imagined.values()
        assert frames.shape == (len(shape.future_steps), size.future_px, size.future_px, 3)
        assert len(act.imagined_at_s) == len(frames)
        assert frames.dtype == np.uint8
    else:
        assert not act.imagined
        assert not act.imagined_at_s
    with pytest.raises(ValueError, match="deadline"):
        policy.act(session, observation(0), deadline_s=0.1)


@short
def test_a_saved_policy_acts_as_before(recipe: Recipe, tmp_path: Path) -> None:
    policy = policy_of(recipe)
    save_policy(tmp_path, policy, {"note": "tried"})
    loaded = load_policy(tmp_path)
    assert loaded.network.shape == policy.network.shape
    assert (chunk(loaded) == chunk(policy)).all()


@pytest.mark.parametrize("name", ["pi0", "fast-wam"])
def test_weights_of_version_1_are_read(name: str, tmp_path: Path) -> None:
    policy = policy_of(recipes.by_name(name))
    save_policy(tmp_path, policy, {})
    pixels = policy.network.shape.recipe.pixels
    was = {
        f"senses.eyes.{pixels}.": "cameras.",
        "senses.words.": "words.",
        "senses.state.": "state.",
    }
    tensors = read_tensors(tmp_path / WEIGHTS)
    for new, old in was.items():
        assert any(key.startswith(new) for key in tensors)
        tensors = {key.replace(new, old): value for key, value in tensors.items()}
    content = tensor_bytes(tensors)
    (tmp_path / WEIGHTS).write_bytes(content)
    plain = json.loads((tmp_path / MANIFEST).read_text())
    plain |= {"version": 1, "sha256": hashlib.sha256(content).hexdigest()}
    (tmp_path / MANIFEST).write_text(json.dumps(plain))
    assert (chunk(load_policy(tmp_path)) == chunk(policy)).all()


@every
def test_a_recipe_survives_json_and_pickle(recipe: Recipe) -> None:
    values = json.loads(json.dumps(recipe_to_plain(recipe), sort_keys=True))
    for again in (recipe_from_plain(values), pickle.loads(pickle.dumps(recipe))):  # noqa: S301
        assert again == recipe
        assert hash(again) == hash(recipe)
        assert recipe_to_plain(again) == recipe_to_plain(recipe)
        assert list(again.table.sees) == list(recipe.table.sees)
        for query, keys in recipe.table.sees.items():
            assert list(again.table.sees[query]) == list(keys)
    with pytest.raises(ValueError, match="version 99"):
        recipe_from_plain({**values, "version": 99})
    with pytest.raises(ValueError, match="'Later'"):
        recipe_from_plain({**values, "schedule": {"kind": "Later"}})


def learn_by_heart(recipe: Recipe, cache: FrameCache) -> None:
    """Every loss term falls on one batch with one noise."""
    examples = examples_of(recipe, cache)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Network(network_of(recipe).shape)
    optimiser = Optimiser(network, learning_rate=1e-2, warmup=5, steps=30)
    seen: list[dict[str, float]] = []
    for step in range(30):
        terms = losses(network, examples, source())
        weighted_total(terms, recipe.weights).backward()
        optimiser.step(step)
        seen.append({name: float(term.detach().mean()) for name, term in terms.items()})
    for name, value in seen[0].items():
        assert seen[-1][name] < 0.8 * value, f"'{name}' fell from {value} to {seen[-1][name]}"


@plain
def test_one_batch_can_be_learned_by_heart(recipe: Recipe, cache: FrameCache) -> None:
    learn_by_heart(recipe, cache)


@pytest.mark.slow
@plain
def test_one_batch_can_be_learned_by_heart_with_pointing(recipe: Recipe, cache: FrameCache) -> None:
    learn_by_heart(recipe.pointed(), cache)


@short
def test_the_blind_twin_hears_nothing_and_the_sighted_one_every_word(recipe: Recipe) -> None:
    blind, seeing = policy_of(recipe.blinded()), policy_of(recipe)
    silence = chunk(seeing, text="")
    for text in ("lift the red box", "words it has never met"):
        assert (chunk(blind, text=text) == silence).all(), "trained as if nothing was ever said"
    spoken = [silence, *(chunk(seeing, text=f"lift the {word} box") for word in ("red", "blue"))]
    assert (spoken[0] != spoken[1]).any()
    assert (spoken[1] != spoken[2]).any()
    assert recipe.blinded().blinded() == recipe.blinded() != recipe


@short
def test_longer_neighbours_in_a_batch_change_nothing(recipe: Recipe) -> None:
    policy = policy_of(recipe)
    texts = ("lift it", "push the blue ball past the line and then put it down", "")
    sessions = [policy.start(3) for _ in texts]
    together = policy.act_batch(sessions, [observation(5, text) for text in texts])
    for text, (_, act) in zip(texts, together, strict=True):
        assert np.abs(act.chunk - chunk(policy, 3, 5, text)).max() < 1e-5


@plain
def test_pointing_and_blinding_commute_and_names_find_recipes(recipe: Recipe) -> None:
    assert recipe.pointed().blinded() == recipe.blinded().pointed()
    assert recipe.pointed().pointed() == recipe.pointed()
    assert recipes.by_name(recipe.name) == recipe
    assert recipes.by_name(recipe.blinded().name) == recipe.blinded()


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="pi0, pi0-rtc, pi05"):
        recipes.by_name("pi1")
