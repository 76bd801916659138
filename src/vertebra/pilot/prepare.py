"""Recordings for a pilot: made on the table-top, or read from the user's own data set."""

# Longer than 300 lines: everything between a question and its locked plan, in one place.

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vertebra.data.cache import FrameCache, build_cache
from vertebra.data.episode import EpisodeData
from vertebra.envs.outside import OutsideSettings
from vertebra.envs.simulators import simulator_by_name
from vertebra.evaluate.plan import Draw
from vertebra.pilot.material import Material, divide
from vertebra.pilot.worlds import (
    TABLETOP,
    Settings,
    TabletopSettings,
    make_environment,
    settings_from_plain,
    settings_from_words,
)
from vertebra.spec.action import ActionSpec
from vertebra.spec.errors import BrokenDataset, MissingExtra
from vertebra.spec.mismatch import require_match
from vertebra.spec.observation import ObservationSpec
from vertebra.spec.seeds import SeedTree, seed_at
from vertebra.spec.storage import digest, read_json

if TYPE_CHECKING:
    from vertebra.demonstrate.record import Progress

HARMLESS = frozenset(
    {
        "stats-wrong",
        "totals-wrong",
        "tasks-unindexed",
        "column-unknown",
        "index-gap",
        "instruction-empty",
    }
)
"""Faults that trouble other readers but not this pilot: statistics are computed anew, episodes are
found by their own number, and an episode without words counts as one."""
TABLETOP_SCENES, TABLETOP_DEMONSTRATIONS = 50, (300, 2000)
"""New layouts, and numbers of demonstrations, on the table-top by default."""
Tell = Callable[[str, int, int, float | None], None]
"""Told what is being done, how many of how many are done, and the seconds that are left."""


@dataclass(frozen=True, kw_only=True)
class Ready:
    """Recordings that a pilot can start from.

    Attributes:
        material: The recordings and their use.
        cache: Their frames.
        settings: The environment in which policies are evaluated, ``None`` without a simulator.
        shown_seed: Seed of the scenes of the first demonstrations, ``None`` when unknown.
        notes: What was guessed or found wrong, for the user to read.
        mapping: What the columns mean.
        guessed: Whether the mapping was proposed from foreign data and nobody has confirmed it.
    """

    material: Material
    cache: FrameCache
    settings: Settings | None
    shown_seed: int | None = None
    notes: tuple[str, ...] = ()
    mapping: Mapping[str, Any] | None = None
    guessed: bool = False


def make_material(
    store: Path,
    settings: Settings,
    *,
    count: int,
    tree: SeedTree,
    workers: int,
    tell: Tell,
) -> Ready:
    """Demonstrations by the scripted demonstrator of an environment, made or reused.

    Args:
        store: Directory that holds data sets and frame caches of several pilots.
        settings: The environment.
        count: Demonstrations that may train.
        tree: Seeds.
        workers: Processes.
        tell: Told how far it is.

    Raises:
        MissingExtra: When MuJoCo or the readers of data are not installed.
    """
    try:
        from vertebra.demonstrate.record import make_demonstrations, record
        from vertebra.demonstrate.request import outside_request
    except ImportError as error:
        raise MissingExtra("Making demonstrations", "pilot") from error
    validation = min(200, max(8, count // 10))
    asked = {**settings.to_plain(), "count": count, "validation": validation, "root": tree.root}

    def on_progress(made: "Progress") -> None:
        tell("demonstrations", made.done, made.total, made.remaining_s)

    if isinstance(settings, OutsideSettings):
        request = outside_request(
            settings, count=count, validation=validation, seed=tree.demonstrations()
        )
        asked["environment"] = request.environment
        root = store / "demonstrations" / f"{settings.world}-{count}-{digest(asked)}"
        record(root, request, workers=workers, on_progress=on_progress)
        return read_material(store, root, mapping=None, env="auto", tree=tree, tell=tell)
    root = store / "demonstrations" / f"tabletop-{count}-{digest(asked)}"
    make_demonstrations(
        root,
        count=count,
        validation=validation,
        seed=tree.demonstrations(),
        workers=workers,
        size=settings.size,
        skills=settings.skills,
        shadows=settings.shadows,
        texture=settings.texture,
        on_progress=on_progress,
    )
    return read_material(store, root, mapping=None, env="tabletop", tree=tree, tell=tell)


def read_material(
    store: Path,
    root: Path,
    *,
    mapping: Path | None,
    env: str,
    tree: SeedTree,
    tell: Tell,
) -> Ready:
    """A LeRobot data set, through a mapping that says what its columns mean.

    Args:
        store: Directory that holds frame caches of several pilots.
        root: The data set.
        mapping: JSON file of an input mapping; proposed from the data when left out.
        env: An environment as `settings_from_words` reads it, ``none``, or ``auto``: the one in
            which the data were made, if they were made by this program.
        tree: Seeds.
        tell: Told how far it is.

    Raises:
        BrokenDataset: When the data have faults that would wreck a training.
        ValueError: When data, mapping and environment do not fit together.
        MissingExtra: When the readers of data are not installed.
    """
    try:
        from vertebra.data.check import check_dataset
        from vertebra.data.lerobot_open import open_dataset
        from vertebra.data.mapped import read_mapped
        from vertebra.data.mapping import mapping_from_json
        from vertebra.data.propose import propose_mapping, specs_of
    except ImportError as error:
        raise MissingExtra("Reading data", "data") from error
    dataset = open_dataset(root)
    made = _made_here(dataset)
    settings = made[0] if made and env == "auto" else None
    if env not in ("auto", "none"):
        settings = settings_from_words(env)
        if made and isinstance(settings, TabletopSettings):
            settings = made[0] if isinstance(made[0], TabletopSettings) else settings
    notes = [] if made else _sound(root, check_dataset(root))
    specs = specs_of(dataset)
    if mapping is not None:
        meaning = mapping_from_json(read_json(mapping))
        specs = None
    else:
        proposal = propose_mapping(dataset)
        meaning = proposal.mapping
        if specs is not None:
            one = specs[0].cameras[0]
            meaning = propose_mapping(dataset, height=one.height, width=one.width).mapping
        notes += [
            f"{guess.field}: {guess.chosen}, because {guess.because}"
            + ("" if guess.sure else " (NOT SURE)")
            for guess in proposal.guesses
            if specs is None
        ]
    needs, makes = specs or (meaning.observation_spec(), meaning.action_spec())
    if settings is not None:
        _require_fit(settings, needs, makes)
    facts = [dataset.fingerprint(), meaning.to_json()]
    total = len(dataset.episodes)

    def episodes() -> Iterator[EpisodeData]:
        for done, episode in enumerate(read_mapped(dataset, meaning)):
            tell("frames", done, total, None)
            yield episode

    cache = build_cache(
        episodes(), store / "frames" / f"{root.name}-{digest(facts)}", source=digest(facts)
    )
    material = divide(
        cache,
        source=str(root),
        needs=needs,
        makes=makes,
        tree=tree,
        simulator=settings is not None,
    )
    return Ready(
        material=material,
        cache=cache,
        settings=settings,
        shown_seed=made[1] if made else None,
        notes=tuple(notes),
        mapping=meaning.to_json(),
        guessed=mapping is None and specs is None,
    )


def _sound(root: Path, faults: Sequence[Any]) -> list[str]:
    """Refuse faults that would wreck a training; the others in words.

    Raises:
        BrokenDataset: Naming all faults that matter here.
    """
    grave = [str(fault) for fault in faults if fault.code not in HARMLESS]
    if grave:
        raise BrokenDataset(str(root), grave)
    return [f"fault without consequence here: {fault}" for fault in faults]


def _made_here(dataset: Any) -> tuple[Settings, int] | None:
    """Settings and scene seed of the first demonstrations, when this program made the data."""
    provenance = dataset.sidecar.get("provenance", {})
    request = provenance.get("request")
    if not request:
        return None
    seed = seed_at(request["seed"], "demonstrations", "train", 0)
    if "settings" in request:
        return settings_from_plain(request["settings"]), seed
    if not str(provenance.get("made_by", "")).startswith(TABLETOP):
        return None
    settings = TabletopSettings(
        size=request["size"],
        skills=tuple(request["skills"]),
        shadows=request["shadows"],
        texture=request["texture"],
    )
    return settings, seed


def _require_fit(settings: Settings, needs: ObservationSpec, makes: ActionSpec) -> None:
    environment = make_environment(settings.to_plain())
    try:
        require_match(needs, environment.offers, makes, environment.takes)
    finally:
        environment.close()


def tabletop_draws(
    scenes: int, shown_seed: int | None
) -> tuple[tuple[Draw, ...], tuple[Draw, ...]]:
    """Which held-out scenes are evaluated, at the largest number of demonstrations and at smaller.

    At the largest number: new layouts under three instructions each; a third as many scenes for
    instructions that training never showed in them, and for new pairs of colour and shape; and
    other words in some of the same layouts. At smaller numbers: the new layouts only.

    Args:
        scenes: New layouts.
        shown_seed: Seed of the scenes of the demonstrations, in which ``pair`` asks new things.
    """
    few = max(2, round(scenes * 0.32))
    layouts = Draw(split="layout", scenes=scenes)
    return (
        layouts,
        Draw(split="layout", scenes=few, conditions=("paraphrase",)),
        Draw(split="layout", scenes=few, conditions=("blank", "nonsense"), instructions=1),
        Draw(split="pair", scenes=few, seed=shown_seed),
        Draw(split="composition", scenes=few),
    ), (layouts,)


def outside_draws(scenes: int, *, paraphrased: bool) -> tuple[tuple[Draw, ...], tuple[Draw, ...]]:
    """The same for a world outside: few scenes, because an episode takes many seconds.

    Args:
        scenes: New layouts.
        paraphrased: Whether its tasks have other wordings.
    """
    few = max(1, round(scenes * 0.32))
    layouts = Draw(split="layout", scenes=scenes)
    other = Draw(split="layout", scenes=few, conditions=("paraphrase",), instructions=2)
    return (
        layouts,
        *((other,) if paraphrased else ()),
        Draw(split="layout", scenes=few, conditions=("blank", "nonsense"), instructions=1),
    ), (layouts,)


def draws_of(
    settings: Settings, scenes: int | None, shown_seed: int | None
) -> tuple[tuple[Draw, ...], tuple[Draw, ...]]:
    """Which held-out scenes are evaluated in an environment.

    Args:
        settings: The environment.
        scenes: New layouts; as many as suit the environment when left out.
        shown_seed: Seed of the scenes of the demonstrations.
    """
    if isinstance(settings, TabletopSettings):
        return tabletop_draws(scenes or TABLETOP_SCENES, shown_seed)
    environment = make_environment(settings.to_plain())
    try:
        (state,) = environment.initial_states("layout", 1, 0)
    finally:
        environment.close()
    return outside_draws(
        scenes or simulator_by_name(settings.simulator).scenes,
        paraphrased=all(task.paraphrases for task in state.tasks),
    )


def default_demonstrations(settings: Settings) -> tuple[int, ...]:
    """Numbers of demonstrations that a pilot compares by default."""
    if isinstance(settings, TabletopSettings):
        return TABLETOP_DEMONSTRATIONS
    return simulator_by_name(settings.simulator).demonstrations


def facts_of(material: Material) -> Mapping[str, Any]:
    """What a plan says about its recordings."""
    return {
        "source": material.source,
        "cache": material.cache,
        "hash": material.data_hash,
        "frames": material.frames,
        "may_train": len(material.pool),
        "pick_checkpoints": len(material.validation),
        "held_out": len(material.held_out),
        "targets_annotated": material.pointed,
    }
