"""Can these recordings show whether a policy follows language, and if not, what to record.

A policy that never reads can succeed wherever the picture gives the instruction away. Only the same
initial scene under two different instructions (a counterfactual pair) tells it from one that reads.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertebra.data.pairs import plain_words, scene_numbers
from vertebra.data.views import FirstViews
from vertebra.stats.classify import cross_validated
from vertebra.stats.proportion import clopper_pearson
from vertebra.stats.trials import trials_needed

FOLLOWS, GUESSES, ALPHA, POWER = 0.8, 0.5, 0.05, 0.8
"""What the number of scenes is derived from: it must tell a policy that does what it is asked in
80 % of them from one that guesses between two instructions, at a level of 5 %, in 80 % of cases."""
REPEATED = 3
"""An instruction must be given this often to be guessed from pictures."""
MOST_GUESSED = 1500
"""Episodes that the classifiers see at most; more are drawn at random."""
LEANING = 0.8
"""Share of guessed instructions from which on a set is said to lean on the picture."""


@dataclass(frozen=True, kw_only=True)
class Skill:
    """One kind of task in the data.

    Attributes:
        name: Its name.
        episodes: Episodes.
        scenes: Different initial scenes.
        effective_scenes: Scenes of equal weight that are worth as much: (sum m)^2 / sum m^2 over
            the m episodes of each scene.
    """

    name: str
    episodes: int
    scenes: int
    effective_scenes: float


@dataclass(frozen=True, kw_only=True)
class Guess:
    """How well the first view alone gives the instruction away, cross-validated.

    Attributes:
        episodes: Episodes guessed: those whose instruction is given at least ``REPEATED`` times.
        rate: Share guessed right by the better of two small classifiers.
        low: Lower end of its exact 95 % interval.
        high: Upper end.
        chance: Share guessed right by always naming the most common instruction.
    """

    episodes: int
    rate: float
    low: float
    high: float
    chance: float


@dataclass(frozen=True, kw_only=True)
class Missing:
    """One recording that would make a pair.

    Attributes:
        episode: Rebuild the scene from which this episode starts.
        shown: What was asked in it.
        record: What to ask in it instead.
    """

    episode: int
    shown: str
    record: str


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What a data set allows.

    Attributes:
        can: Whether it can show grounding.
        because: Why, or why not; all reasons.
        caveats: What is weak in it though it can.
        episodes: Episodes.
        with_words: Episodes with an instruction.
        instructions: Different instructions.
        scenes: Different initial scenes.
        scenes_known: Whether the data name the scenes; otherwise they are told by their views.
        instructions_per_scene: Number of instructions -> scenes that were shown under so many.
        pairs: Counterfactual pairs of episodes: one scene, different instructions.
        paired_scenes: Scenes that have one.
        paired_needed: Scenes that are needed.
        guess: ``None`` when too few instructions are repeated.
        skills: By kind of task.
        skills_named: Whether the data name them; otherwise they are the first words.
        labelled_share: Share of frames with an action.
        action_ranges: Action dimension to its 1 % and 99 % quantiles.
        constant_actions: Dimensions that never change.
        record: Recordings that would make up for the missing pairs.
    """

    can: bool
    because: tuple[str, ...]
    caveats: tuple[str, ...]
    episodes: int
    with_words: int
    instructions: int
    scenes: int
    scenes_known: bool
    instructions_per_scene: dict[int, int]
    pairs: int
    paired_scenes: int
    paired_needed: int
    guess: Guess | None
    skills: tuple[Skill, ...]
    skills_named: bool
    labelled_share: float
    action_ranges: dict[str, tuple[float, float]]
    constant_actions: tuple[str, ...]
    record: tuple[Missing, ...]


def data_fit(views: FirstViews, *, seed: int = 0) -> Fit:
    """Judge a data set by its first views and instructions.

    Args:
        views: What every episode starts from.
        seed: Seed of the cross-validation.
    """
    words = [plain_words(text) for text in views.instructions]
    scenes, known = scene_numbers(views.initial_states, views.pixels)
    said: dict[int, dict[str, int]] = defaultdict(dict)
    for scene, text in zip(scenes, words, strict=True):
        if text:
            said[scene][text] = said[scene].get(text, 0) + 1
    paired = {scene for scene, texts in said.items() if len(texts) > 1}
    needed = trials_needed(FOLLOWS, GUESSES, alpha=ALPHA, power=POWER)
    guess = _guess(views.pixels, words, seed)
    labelled: NDArray[np.bool_] = np.all(np.isfinite(views.actions), axis=1)
    facts: dict[str, Any] = {
        "episodes": len(words),
        "with_words": sum(bool(text) for text in words),
        "instructions": len(set(words) - {""}),
        "scenes": len(set(scenes)),
        "paired_scenes": len(paired),
        "paired_needed": needed,
        "guess": guess,
        "labelled_share": float(labelled.mean()),
    }
    because = _reasons(facts)
    missing = max(0, needed - len(paired))
    return Fit(
        can=not because,
        because=tuple(because) or (_strength(facts),),
        caveats=tuple(_caveats(facts)),
        **facts,
        scenes_known=known,
        instructions_per_scene=dict(sorted(Counter(len(t) for t in said.values()).items())),
        pairs=sum(_pairs(list(texts.values())) for texts in said.values()),
        skills=_skills(views.skills, scenes),
        skills_named=views.named_skills,
        action_ranges=_ranges(views, labelled),
        constant_actions=_constant(views, labelled),
        record=tuple(_missing(views, words, scenes, paired, missing)),
    )


def _pairs(counts: Sequence[int]) -> int:
    """Pairs of episodes with different instructions."""
    total = sum(counts)
    return (total * total - sum(count * count for count in counts)) // 2


def _guess(pixels: NDArray[np.float32], words: Sequence[str], seed: int) -> Guess | None:
    counts = Counter(text for text in words if text)
    usable = [place for place, text in enumerate(words) if counts[text] >= REPEATED]
    if len(usable) > MOST_GUESSED:
        drawn = np.random.default_rng(seed).choice(len(usable), MOST_GUESSED, replace=False)
        usable = [usable[place] for place in sorted(drawn.tolist())]
    labels = [words[place] for place in usable]
    found = cross_validated(pixels[usable].astype(np.float64), labels, seed=seed)
    interval = None if found is None else clopper_pearson(found.best, found.n)
    if found is None or interval is None or interval.low is None or interval.high is None:
        return None
    return Guess(
        episodes=found.n,
        rate=interval.value,
        low=interval.low,
        high=interval.high,
        chance=found.most_common / found.n,
    )


def _reasons(facts: dict[str, Any]) -> list[str]:
    """Why it cannot show grounding; empty when it can."""
    found: list[str] = []
    if not facts["with_words"]:
        return ["no episode has an instruction"]
    if facts["instructions"] < 2:
        found.append("there is one instruction only, so nothing depends on the words")
    if facts["paired_scenes"] < facts["paired_needed"]:
        found.append(
            f"{facts['paired_scenes']} of {facts['scenes']} initial scenes were shown under two or "
            f"more instructions, and it takes {facts['paired_needed']} to tell a policy that "
            "follows language from one that remembers what belongs to which scene"
        )
        guess = facts["guess"]
        if guess is not None and guess.low > guess.chance:
            found.append(
                f"the first picture alone gives the instruction away in {100 * guess.rate:.0f} % "
                f"of the episodes (always naming the most common one: {100 * guess.chance:.0f} %)"
            )
    if facts["labelled_share"] == 0:
        found.append("no frame has an action")
    return found


def _strength(facts: dict[str, Any]) -> str:
    return (
        f"{facts['paired_scenes']} initial scenes were shown under two or more instructions "
        f"(needed are {facts['paired_needed']}), so the picture does not decide what was asked"
    )


def _caveats(facts: dict[str, Any]) -> list[str]:
    found: list[str] = []
    guess, silent = facts["guess"], facts["episodes"] - facts["with_words"]
    if guess is None:
        found.append(
            "how well the first picture gives the instruction away was not measured: too few "
            f"instructions are given {REPEATED} times or more"
        )
    elif guess.rate >= LEANING:
        found.append(
            f"the first picture gives the instruction away in {100 * guess.rate:.0f} %: training "
            "rewards a policy for not reading"
        )
    if silent:
        found.append(f"{silent} of {facts['episodes']} episodes have no instruction")
    if 0 < facts["labelled_share"] < 1:
        found.append(f"{100 * (1 - facts['labelled_share']):.0f} % of the frames have no action")
    return found


def _skills(names: Sequence[str], scenes: Sequence[int]) -> tuple[Skill, ...]:
    by_skill: dict[str, Counter[int]] = defaultdict(Counter)
    for name, scene in zip(names, scenes, strict=True):
        by_skill[name or "(no words)"][scene] += 1
    return tuple(
        Skill(
            name=name,
            episodes=sum(counts.values()),
            scenes=len(counts),
            effective_scenes=sum(counts.values()) ** 2 / sum(m * m for m in counts.values()),
        )
        for name, counts in sorted(by_skill.items())
    )


def _ranges(views: FirstViews, labelled: NDArray[np.bool_]) -> dict[str, tuple[float, float]]:
    if not labelled.any():
        return {}
    low, high = np.quantile(views.actions[labelled], [0.01, 0.99], axis=0)
    pairs = zip(low.tolist(), high.tolist(), strict=True)
    return dict(zip(views.action_names, pairs, strict=True))


def _constant(views: FirstViews, labelled: NDArray[np.bool_]) -> tuple[str, ...]:
    if not labelled.any():
        return ()
    still = np.ptp(views.actions[labelled], axis=0) == 0
    return tuple(name for name, fixed in zip(views.action_names, still, strict=True) if fixed)


def _missing(
    views: FirstViews,
    words: Sequence[str],
    scenes: Sequence[int],
    paired: set[int],
    count: int,
) -> list[Missing]:
    """Scenes to show again, skills in turn; asked is what the most similar other scene was."""
    if len(set(words) - {""}) < 2:
        return []
    waiting: dict[str, list[int]] = defaultdict(list)
    seen = set(paired)
    for place, scene in enumerate(scenes):
        if words[place] and scene not in seen:
            seen.add(scene)
            waiting[views.skills[place]].append(place)
    chosen: list[int] = []
    while len(chosen) < count and any(waiting.values()):
        for name in sorted(waiting):
            if waiting[name] and len(chosen) < count:
                chosen.append(waiting[name].pop(0))
    pixels = views.pixels.astype(np.float64)
    found: list[Missing] = []
    for place in chosen:
        far = ((pixels - pixels[place]) ** 2).mean(axis=1)
        far[[not text or text == words[place] for text in words]] = np.inf
        other = int(far.argmin())
        found.append(
            Missing(
                episode=views.episodes[place],
                shown=views.instructions[place],
                record=views.instructions[other],
            )
        )
    return found
