"""What a pilot learns from: recordings cached once, and who may see which of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vertebra.data.cache import CachedEpisode, FrameCache, open_cache
from vertebra.evaluate.plan import Draw
from vertebra.pilot.grid import Mix
from vertebra.spec.action import ActionSpec
from vertebra.spec.observation import ObservationSpec
from vertebra.spec.seeds import SeedTree
from vertebra.spec.storage import digest, read_json

SPLIT_VERSION = 1
VALIDATION_SHARE, HELD_OUT_SHARE = 0.1, 0.15
MOST_VALIDATION = 200
HELD_OUT_SPLITS = ("layout", "pair", "composition", "paraphrase", "held_out", "test")


@dataclass(frozen=True, kw_only=True)
class Material:
    """Recordings and their use.

    Attributes:
        source: Where they came from.
        cache: Directory of the frame cache.
        data_hash: Its content hash.
        needs: Cameras and state.
        makes: Actions.
        pool: Episodes that may train.
        films: Episodes without a single action; only their frames and words can teach.
        validation: Episodes that pick checkpoints.
        held_out: Episodes for offline figures; empty with a simulator.
        frames: Frames of the whole cache.
        pointed: Whether targets are annotated in the pool.
    """

    source: str
    cache: str
    data_hash: str
    needs: ObservationSpec
    makes: ActionSpec
    pool: tuple[int, ...]
    validation: tuple[int, ...]
    held_out: tuple[int, ...]
    frames: int
    pointed: bool
    films: tuple[int, ...] = ()

    def require(self, count: int, mixes: Sequence[Mix]) -> None:
        """Refuse numbers that the recordings do not have.

        Raises:
            ValueError: When there are too few, with what each of them is for.
        """
        for mix in mixes:
            videos = max(0, mix.video_only - len(self.films))
            wanted = count + mix.unlabelled + videos
            if wanted <= len(self.pool):
                continue
            parts = [f"{count} demonstrations"]
            parts += [f"{mix.unlabelled} unlabelled ones"] if mix.unlabelled else []
            parts += [f"{mix.video_only} videos"] if mix.video_only else []
            raise ValueError(
                f"{' and '.join(parts)} are asked for, {self.source} has {len(self.pool)} that "
                f"may train and {len(self.films)} without actions ({len(self.validation)} pick "
                f"checkpoints, {len(self.held_out)} are held out). Ask for fewer."
            )

    def extras(
        self, tree: SeedTree, mix: Mix, seed: int
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Unlabelled and video-only episodes of one training: the same at every number.

        They are drawn from the end of the order from whose start demonstrations are drawn. Episodes
        without actions serve as video before others do.
        """
        order = [self.pool[place] for place in self._order(tree, seed)][::-1]
        unlabelled, rest = order[: mix.unlabelled], order[mix.unlabelled :]
        shuffled = np.random.default_rng(tree.subset(seed)).permutation(len(self.films)).tolist()
        videos = [*(self.films[place] for place in shuffled), *rest][: mix.video_only]
        return tuple(sorted(unlabelled)), tuple(sorted(videos))

    def _order(self, tree: SeedTree, seed: int) -> list[int]:
        return np.random.default_rng(tree.subset(seed)).permutation(len(self.pool)).tolist()

    def subset(self, tree: SeedTree, count: int, seed: int) -> tuple[int, ...]:
        """The demonstrations of one training: drawn anew for each seed, nested across counts.

        Raises:
            ValueError: When there are too few.
        """
        self.require(count, (Mix(),))
        return tuple(sorted(self.pool[place] for place in self._order(tree, seed)[:count]))


def trained_on(checkpoint: Path) -> frozenset[str] | None:
    """Content hashes of the demonstrations that the policy of a pilot was trained on.

    Returns:
        ``None`` when that cannot be told: no job lies beside the checkpoint, or its frame cache is
        gone or is another one.
    """
    path = checkpoint.parent / "job.json"
    training = read_json(path).get("training") if path.is_file() else None
    if training is None or not (Path(training["data"]) / "cache.json").is_file():
        return None
    cache = open_cache(Path(training["data"]))
    if cache.content_hash != training["data_hash"]:
        return None
    return frozenset(cache.episodes[number].content_hash for number in _shown(training))


def _shown(training: Mapping[str, Any]) -> list[int]:
    names = ("episodes", "unlabelled", "video_only")
    return [number for name in names for number in training.get(name, ())]


def divide(
    cache: FrameCache,
    *,
    source: str,
    needs: ObservationSpec,
    makes: ActionSpec,
    tree: SeedTree,
    simulator: bool,
) -> Material:
    """Decide which episodes train, which pick checkpoints and which are held out.

    Splits named in the data are kept. Otherwise a tenth picks checkpoints (at most 200) and,
    without a simulator, 15 % are held out, drawn by the seed tree. Episodes without a labelled
    action never train.

    Raises:
        ValueError: When nothing is left to train on.
    """
    rows = cache.episodes
    named = {row.split for row in rows} & {"validation", *HELD_OUT_SPLITS}
    labelled = [number for number, row in enumerate(rows) if _labelled(cache, row)]
    known = set(labelled)
    order = np.random.default_rng(tree.split()).permutation(len(labelled))
    shuffled = [labelled[place] for place in order.tolist()]
    validation = [number for number in labelled if rows[number].split == "validation"]
    held_out = [number for number in labelled if rows[number].split in HELD_OUT_SPLITS]
    free = [number for number in shuffled if rows[number].split not in named]
    if not simulator and not held_out:
        held_out = _take(free, HELD_OUT_SHARE, len(labelled))
    if not validation:
        validation = _take(free, VALIDATION_SHARE, len(labelled))[:MOST_VALIDATION]
    used = {*validation, *held_out}
    pool = tuple(number for number in labelled if number not in used)
    if not pool or not validation:
        raise ValueError(
            f"{source} has {len(rows)} episodes, {len(labelled)} of them with actions; after "
            f"{len(validation)} for picking checkpoints and {len(held_out)} held out, {len(pool)} "
            "are left to train on. Record more."
        )
    return Material(
        source=source,
        cache=str(cache.directory.resolve()),
        data_hash=cache.content_hash,
        needs=needs,
        makes=makes,
        pool=pool,
        validation=tuple(sorted(validation)),
        held_out=() if simulator else tuple(sorted(held_out)),
        frames=len(cache.state),
        pointed=any(rows[number].target_entity >= 0 for number in pool),
        films=tuple(
            number
            for number, row in enumerate(rows)
            if number not in known and row.split not in ("validation", *HELD_OUT_SPLITS)
        ),
    )


def _labelled(cache: FrameCache, row: CachedEpisode) -> bool:
    return bool(cache.labelled[row.start : row.start + row.length].any())


def _take(free: list[int], share: float, of: int) -> list[int]:
    """Take the first ones out of ``free``: a share of all, at least 2 where that leaves some."""
    count = min(max(2, round(share * of)), max(1, (len(free) - 1) // 2))
    taken = free[:count]
    del free[:count]
    return taken


def split_manifest(
    material: Material,
    cache: FrameCache,
    tree: SeedTree,
    counts: Sequence[int],
    seeds: int,
    scenes: Mapping[str, Sequence[str]],
    mixes: Sequence[Mix] = (Mix(),),
) -> dict[str, Any]:
    """Who sees what, with a hash of the content of each part."""

    def part(episodes: Sequence[int]) -> dict[str, Any]:
        content = digest([cache.episodes[number].content_hash for number in episodes])
        return {"episodes": list(episodes), "hash": content}

    extras = [
        {"seed": seed, "mix": mix.suffix, "unlabelled": part(silent), "video_only": part(videos)}
        for mix in mixes
        if mix.total
        for seed in range(seeds)
        for silent, videos in (material.extras(tree, mix, seed),)
    ]
    return {
        **({"extras": extras} if extras else {}),
        "version": SPLIT_VERSION,
        "data_hash": material.data_hash,
        "validation": part(material.validation),
        "held_out": part(material.held_out),
        "subsets": [
            {"seed": seed, "demonstrations": count, **part(material.subset(tree, count, seed))}
            for seed in range(seeds)
            for count in sorted(counts)
        ],
        "scenes": {
            split: {"initial_states": list(names), "hash": digest(list(names))}
            for split, names in scenes.items()
        },
    }


def scenes_of(
    draws: Sequence[Draw], initial_states: Callable[[str, int, int], Any], seed: int
) -> dict[str, tuple[str, ...]]:
    """Split to the ids of all scenes that are evaluated."""
    found: dict[str, tuple[str, ...]] = {}
    for draw in draws:
        states = initial_states(draw.split, draw.scenes, seed if draw.seed is None else draw.seed)
        names = tuple(state.id for state in states)
        found[draw.split] = tuple(dict.fromkeys((*found.get(draw.split, ()), *names)))
    return found
