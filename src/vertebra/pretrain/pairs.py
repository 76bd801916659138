"""Image-text pairs: what may be asked about one frame of the corpus, and the right answer.

Places are said as in PaliGemma, by location words, one for each patch of the picture.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vertebra.data.cache import CachedEpisode, FrameCache
from vertebra.envs.tabletop.scene import COLOURS, HELD_OUT_COMPOSITIONS, SHAPES
from vertebra.nn.embeddings import split_words
from vertebra.pretrain import captions as say
from vertebra.pretrain.stage import MORE_COLOURS, MORE_SHAPES

GRID = 8
"""Rows and columns of location words."""
KINDS = ("point", "ground", "name", "there", "count", "side", "what")
SHARES = {
    "points": (0.30, 0.20, 0.10, 0.12, 0.08, 0.10, 0.10),
    "none": (0.0, 0.0, 0.25, 0.30, 0.20, 0.25, 0.0),
}
"""How often each kind is asked, with and without places as targets."""
NAMED = 4
"""Most things that one answer names."""
NOWHERE: NDArray[np.float32] = np.full((2, 2), np.nan, np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pair:
    """One question about one picture.

    Attributes:
        kind: One of ``KINDS``.
        prompt: The question.
        answer: The right answer, a sentence.
        points: float32 [2, 2], where object and destination are, as fractions of the picture; NaN
            where places are not asked for.
    """

    kind: str
    prompt: str
    answer: str
    points: NDArray[np.float32]


def vocabulary() -> tuple[str, ...]:
    """All words that a corpus may hold, sorted."""
    texts = [*COLOURS, *SHAPES, *MORE_COLOURS, *MORE_SHAPES, "plate", "zone", "line"]
    texts += [text for group in say.CAPTIONS.values() for text in group]
    texts += [text for group in say.SYNONYMS.values() for text in group]
    texts += [*say.POINT_AT, *say.POINT_AT_BOTH, *say.IS_THERE, *say.COUNT, *say.SIDES]
    texts += [say.NAME, say.WHAT_IS_AT, say.IS_SIDE, *say.NUMBERS]
    texts += [say.START, say.END, say.YES, say.NO]
    texts += [_location(place) for place in range(GRID**2)]
    plain = [text.format(a="", b="", side="", place="") for text in texts]
    plural = [_plural(name) for name in _kinds()]
    return tuple(sorted({word for text in (*plain, *plural) for word in split_words(text)}))


def pair_at(
    cache: FrameCache, frame: int, clip: int, targets: str, rng: np.random.Generator
) -> Pair:
    """One question about a frame.

    Args:
        cache: The corpus.
        frame: Frame, counted through the cache.
        clip: Its clip.
        targets: ``points`` or ``none``.
        rng: Draws the question.
    """
    row = cache.episodes[clip]
    places = np.asarray(cache.points[frame, : len(row.entities)])
    seen = [number for number in range(len(row.entities)) if np.isfinite(places[number]).all()]
    kind = str(rng.choice(KINDS, p=SHARES[targets]))
    if len(seen) < 2:
        kind = "there"
    if kind == "ground" and row.target_entity not in seen:
        kind = "point"
    match kind:
        case "point" | "ground":
            return _pointed(kind, row, places, seen, rng)
        case "name":
            order = sorted(seen, key=lambda number: float(places[number, 0]))[:NAMED]
            answer = " ".join(_said(row.entities[number], rng) for number in order)
            return Pair(kind=kind, prompt=say.NAME, answer=answer, points=NOWHERE)
        case "count":
            return _counted(row.entities, seen, rng)
        case "side":
            return _beside(row.entities, places, seen, rng)
        case "what":
            at = int(rng.choice(seen))
            prompt = say.WHAT_IS_AT.format(place=location(places[at]))
            answer = _said(row.entities[at], rng)
            return Pair(kind=kind, prompt=prompt, answer=answer, points=NOWHERE)
        case _:
            return _asked_whether(row.entities, seen, rng)


def location(place: NDArray[np.float32]) -> str:
    """The location word of a place (x, y), fractions of the picture."""
    column, line = np.clip((place * GRID).astype(int), 0, GRID - 1)
    return _location(int(line) * GRID + int(column))


def _location(number: int) -> str:
    return f"loc{number:02d}"


def _pointed(
    kind: str,
    row: CachedEpisode,
    places: NDArray[np.float32],
    seen: list[int],
    rng: np.random.Generator,
) -> Pair:
    names, goal = row.entities, -1
    if kind == "ground":
        target, goal = row.target_entity, row.goal_entity
        prompt = row.instruction
    else:
        target = int(rng.choice(seen))
        prompt = _one_of(say.POINT_AT, rng).format(a=_said(names[target], rng))
        if rng.random() < 0.5:
            goal = int(rng.choice([number for number in seen if number != target]))
            a, b = _said(names[target], rng), _said(names[goal], rng)
            prompt = _one_of(say.POINT_AT_BOTH, rng).format(a=a, b=b)
    points = NOWHERE.copy()
    points[0] = places[target]
    if goal in seen:
        points[1] = places[goal]
    answer = " ".join(location(place) for place in points if np.isfinite(place).all())
    return Pair(kind=kind, prompt=prompt, answer=answer, points=points)


def _counted(names: tuple[str, ...], seen: list[int], rng: np.random.Generator) -> Pair:
    kinds = Counter(names[number].split()[-1] for number in seen)
    asked = _one_of(sorted(kinds), rng) if rng.random() < 0.8 else _one_of(_kinds(), rng)
    prompt = _one_of(say.COUNT, rng).format(a=_plural(asked))
    return Pair(kind="count", prompt=prompt, answer=say.NUMBERS[kinds[asked]], points=NOWHERE)


def _asked_whether(names: tuple[str, ...], seen: list[int], rng: np.random.Generator) -> Pair:
    """Whether a thing is there; absent ones mostly share a word with something that is."""
    if seen and rng.random() < 0.5:
        asked, answer = names[int(rng.choice(seen))], say.YES
    else:
        known = [name for name in names if " " in name] or ["red plate"]
        colours, kinds = (*COLOURS, *MORE_COLOURS), (*SHAPES, *MORE_SHAPES, "plate", "zone")
        asked, answer = _one_of(known, rng), say.NO
        while asked in names or asked in HELD_OUT_COMPOSITIONS:
            colour, kind = asked.split()
            if rng.random() < 0.5:
                colour = _one_of(colours, rng)
            else:
                kind = _one_of(kinds, rng)
            asked = f"{colour} {kind}"
    prompt = _one_of(say.IS_THERE, rng).format(a=_said(asked, rng))
    return Pair(kind="there", prompt=prompt, answer=answer, points=NOWHERE)


def _beside(
    names: tuple[str, ...],
    places: NDArray[np.float32],
    seen: list[int],
    rng: np.random.Generator,
) -> Pair:
    one, other = (int(number) for number in rng.permutation(seen)[:2])
    side = _one_of(say.SIDES, rng)
    apart = places[one] - places[other]
    holds = {
        "left of": apart[0] < 0,
        "right of": apart[0] > 0,
        "above": apart[1] < 0,
        "below": apart[1] > 0,
    }[side]
    prompt = say.IS_SIDE.format(a=_said(names[one], rng), b=_said(names[other], rng), side=side)
    return Pair(kind="side", prompt=prompt, answer=say.YES if holds else say.NO, points=NOWHERE)


def _said(name: str, rng: np.random.Generator) -> str:
    """A thing's name, now and then with a synonym."""
    colour, _, kind = name.rpartition(" ")
    if kind in say.SYNONYMS and rng.random() < say.SAID_OTHERWISE:
        kind = _one_of(say.SYNONYMS[kind], rng)
    return f"{colour} {kind}".strip()


def _kinds() -> tuple[str, ...]:
    return (*SHAPES, *MORE_SHAPES, "plate", "zone", "line")


def _plural(kind: str) -> str:
    return f"{kind}es" if kind.endswith("s") else f"{kind}s"


def _one_of(choices: "tuple[str, ...] | list[str]", rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]
