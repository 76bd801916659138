"""What is kept between passes and between chunks changes nothing but the cost."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from fakes.episodes import MAKES, SENTENCES
from fakes.networks import SIGHTED, given_of, label, network_of
from fakes.passes import drawn, passes_of, source, teachers_of
from vertebra.backbones.sizes import TINY
from vertebra.coupling.kinds import Head
from vertebra.policy.frames import changes
from vertebra.policy.network import Network, Noisy
from vertebra.policy.passes import Passes
from vertebra.policy.recipe import Recipe
from vertebra.policy.rolling import History, RollingPasses
from vertebra.schedules.generate import generate
from vertebra.schedules.kinds import ActionOnly, Together

STILL = tuple(recipe for recipe in SIGHTED if not recipe.rolling)
ROLLING = tuple(recipe for recipe in SIGHTED if recipe.rolling)
ROWS = len(SENTENCES)
CHUNKS, WINDOW = 4, 3


def at_once(network: Network, noisy: Noisy) -> dict[str, Tensor]:
    """Velocities from one pass over everything (and one of the head)."""
    scene = network.scene(given_of())
    read = network.look([scene], noisy)
    found = network.velocities(read, noisy)
    if isinstance(network.shape.recipe.coupling, Head):
        point = network.pointed_at(read, scene) if network.points else None
        found |= network.decode(scene, network.features(read), point, noisy)
    return found


@pytest.mark.parametrize("recipe", STILL, ids=label)
@torch.no_grad()
def test_a_cached_pass_equals_one_pass_over_everything(recipe: Recipe) -> None:
    network, values = network_of(recipe), drawn(network_of(recipe))
    reads_noise = isinstance(recipe.plain_schedule, ActionOnly) and recipe.read_noisy
    at = {name: 0.0 if reads_noise and name in recipe.read_noisy else 0.4 for name in recipe.noisy}
    noisy = {name: (values[name], torch.full((ROWS, 1), at[name])) for name in recipe.noisy}
    clean = {t: (values[of], torch.ones(ROWS, 1)) for t, of in teachers_of(network).items()}
    whole = at_once(network, {**noisy, **clean})
    passes = Passes(network, given_of())
    kept = passes.begin(values)
    for name in recipe.noisy:
        if name not in recipe.read_noisy:
            kept = passes.finish(name, values[name], 1.0, kept)
    parts: list[tuple[str, ...]] = [recipe.noisy]
    if isinstance(recipe.coupling, Head):  # what a head read is in the cache already
        others = tuple(n for n in recipe.noisy if n not in ("action", *recipe.read_noisy))
        parts = [("action",), others] if others else [("action",)]
    for names in parts:
        cached = passes._velocity({name: noisy[name] for name in names}, kept)
        assert set(cached) == set(names)
        for name, value in cached.items():
            assert (whole[name] - value).abs().max() < 1e-5, name
    with torch.enable_grad():  # takes the explicit form of attention
        explicit = at_once(network, {**noisy, **clean})
    for name, value in whole.items():
        assert (explicit[name] - value).abs().max() < 1e-4


@pytest.mark.parametrize("recipe", ROLLING, ids=label)
@pytest.mark.parametrize("silent", [False, True], ids=["heard", "unheard"])
@torch.no_grad()
def test_a_chunk_from_a_session_equals_one_pass_over_its_whole_history(
    recipe: Recipe, silent: bool
) -> None:
    network = network_of(recipe, size=replace(TINY, window=WINDOW))
    shape, leaps = network.shape, recipe.leapfrogs
    views = [given_of(seed=10 * chunk) for chunk in range(CHUNKS)]
    actions = [
        torch.randn(ROWS, shape.horizon, len(MAKES.dims), generator=source(chunk))
        for chunk in range(CHUNKS)
    ]
    values = drawn(network)
    history, kept, passes = History(), None, None
    for chunk, view in enumerate(views):
        done = actions[chunk - 1] if chunk else None
        history = replace(history, pending=actions[chunk] if leaps else None)
        passes = RollingPasses(network, view, history, done)
        kept = passes.begin(values)
        history = passes.history
    assert kept is not None
    assert passes is not None
    if silent:
        if kept.silent is None:
            assert not passes.guided
            return
        kept = kept.silent
    for name in recipe.noisy:
        kept = passes.finish(name, values[name], 1.0, kept)
    time = torch.full((ROWS, 1), 0.4)
    cached = passes._velocity({name: (values[name], time) for name in recipe.noisy}, kept)
    whole = over_history(network, views, actions, values, silent)
    assert set(cached) == set(recipe.noisy)
    for name, value in cached.items():
        error = (whole[name].chunk(CHUNKS + leaps, dim=1)[-1] - value).abs().max()
        assert error < 1e-5, (name, float(error))


def over_history(
    network: Network,
    views: list,
    actions: list[Tensor],
    values: dict[str, Tensor],
    silent: bool,
) -> dict[str, Tensor]:
    """Velocities from one pass with the banded mask over all chunks, past ones as they were."""
    shape, recipe, size = network.shape, network.shape.recipe, network.shape.size
    chunks = CHUNKS + recipe.leapfrogs
    now = [next(iter(view.images.values())) for view in views]
    truth: dict[str, list[Tensor]] = {"action": list(actions[: chunks - 1]), "future": []}
    for here, later in pairwise(now):
        seen = torch.stack([later], dim=1)
        truth["future"].append(changes(here, seen, size.future_px, size.future_patch))
    noisy: dict[str, tuple[Tensor, Tensor]] = {}
    for place, name in enumerate(recipe.noisy):
        others = torch.randn(
            ROWS, (chunks - 1) * shape.vectors(name)[0], shape.vectors(name)[1],
            generator=source(900 + place),
        )  # fmt: skip
        noisy[name] = (torch.cat([others, values[name]], dim=1), torch.full((ROWS, chunks), 0.4))
    for teacher, of in teachers_of(network).items():
        past = truth[of] if teacher in recipe.kept_teachers else [values[of]] * (chunks - 1)
        value = torch.cat([*past, values[of]], dim=1)
        noisy[teacher] = (value, torch.ones(ROWS, chunks))
    scenes = [network.scene(view, silent=silent) for view in views]
    scenes += scenes[-1:] * recipe.leapfrogs  # the next frame, which nobody may look at yet
    return network.velocities(network.look(scenes, noisy), noisy)


IMAGINING = tuple(recipe for recipe in SIGHTED if len(recipe.noisy) > 1)


@pytest.mark.parametrize("recipe", IMAGINING, ids=label)
@torch.no_grad()
def test_noise_of_a_skippable_stream_never_changes_the_action(recipe: Recipe) -> None:
    network = network_of(recipe)
    schedule = recipe.plain_schedule
    if isinstance(schedule, ActionOnly) and not recipe.read_noisy and not schedule.marginal:
        schedule = Together(steps=2)  # all are generated, whether they are needed or not
    passes = passes_of(network)
    first = drawn(network)
    before = generate(schedule, passes, first).values["action"]
    for name in recipe.noisy:
        if name == "action":
            continue
        other = {**first, name: drawn(network, 1)[name]}
        after = generate(schedule, passes_of(network), other).values["action"]
        is_read = name not in recipe.skips or name in recipe.read_noisy
        assert bool((before == after).all()) == (not is_read), name
    if isinstance(recipe.plain_schedule, ActionOnly) and isinstance(schedule, Together):
        alone = generate(ActionOnly(steps=2), passes, {"action": first["action"]})
        assert bool((alone.values["action"] == before).all())
