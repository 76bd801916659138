"""Recordings for a pilot: made on the table-top, or read from the user's own data set."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vertebra.data.cache import FrameCache, build_cache
from vertebra.evaluate.plan import Draw
from vertebra.pilot.material import Material, divide
from vertebra.pilot.worlds import TabletopSettings
from vertebra.spec.errors import MissingExtra
from vertebra.spec.seeds import SeedTree, seed_at
from vertebra.spec.storage import digest

Tell = Callable[[str, int, int, float | None], None]
"""Told what is being done, how many of how many are done, and the seconds that are left."""


def tabletop_material(
    store: Path,
    settings: TabletopSettings,
    *,
    count: int,
    tree: SeedTree,
    workers: int,
    tell: Tell,
) -> tuple[Material, FrameCache]:
    """Demonstrations on the table-top, made or reused.

    Args:
        store: Directory that holds data sets and frame caches of several pilots.
        settings: The table-top.
        count: Demonstrations that may train.
        tree: Seeds.
        workers: Processes.
        tell: Told how far it is.

    Raises:
        MissingExtra: When MuJoCo or the readers of data are not installed.
    """
    try:
        from vertebra.data.lerobot_open import open_dataset
        from vertebra.data.lerobot_read import EpisodeReader
        from vertebra.demonstrate.record import make_demonstrations
        from vertebra.envs.tabletop import Tabletop
    except ImportError as error:
        raise MissingExtra("The table-top pilot", "pilot") from error
    validation = min(200, max(8, count // 10))
    asked = {**settings.to_plain(), "count": count, "validation": validation, "root": tree.root}
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
        on_progress=lambda p: tell("demonstrations", p.done, p.total, p.remaining_s),
    )
    dataset = open_dataset(root)
    reader = EpisodeReader(dataset)
    table = Tabletop(
        size=settings.size,
        skills=settings.skills,
        shadows=settings.shadows,
        texture=settings.texture,
    )
    cache = cached(reader, store, root.name, tell)
    reader.close()
    material = divide(
        cache, source=str(root), needs=table.offers, makes=table.takes, tree=tree, simulator=True
    )
    return material, cache


def cached(reader: Any, store: Path, name: str, tell: Tell) -> FrameCache:
    """All episodes of a reader as a frame cache in the store, built once."""
    dataset = reader.dataset
    total = len(dataset.episodes)

    def episodes() -> Any:
        for done, span in enumerate(dataset.episodes):
            tell("frames", done, total, None)
            yield reader.read(span.index)

    return build_cache(episodes(), store / "frames" / name, source=dataset.fingerprint())


def tabletop_draws(scenes: int, tree: SeedTree) -> tuple[tuple[Draw, ...], tuple[Draw, ...]]:
    """Which held-out scenes are evaluated, at the largest number of demonstrations and at smaller.

    At the largest number: new layouts under three instructions each; a third as many scenes for
    instructions that training never showed in them, and for new pairs of colour and shape; and
    other words in some of the same layouts. At smaller numbers: the new layouts only.

    Args:
        scenes: New layouts.
        tree: Seeds.
    """
    few = max(2, round(scenes * 0.32))
    layouts = Draw(split="layout", scenes=scenes)
    return (
        layouts,
        Draw(split="layout", scenes=few, conditions=("paraphrase",)),
        Draw(split="layout", scenes=few, conditions=("blank", "nonsense"), instructions=1),
        Draw(split="pair", scenes=few, seed=shown_scenes(tree)),
        Draw(split="composition", scenes=few),
    ), (layouts,)


def shown_scenes(tree: SeedTree) -> int:
    """Seed of the scenes of the first demonstrations, so that ``pair`` asks new things in them."""
    return seed_at(tree.demonstrations(), "demonstrations", "train", 0)


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
