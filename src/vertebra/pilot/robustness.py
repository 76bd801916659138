"""One factor at a time: what a pilot's policies lose when the table-top is not as it was shown."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vertebra.envs.protocol import Environment
from vertebra.evaluate.actor import PolicyActor
from vertebra.evaluate.plan import EpisodePlan
from vertebra.evaluate.run import Identity, run_episodes
from vertebra.pilot.again import Evaluate, Setting, asked_again
from vertebra.pilot.plan import PilotPlan
from vertebra.pilot.worlds import TABLETOP, lanes_of
from vertebra.spec.record import EpisodeRecord


@dataclass(frozen=True, kw_only=True)
class Factor:
    """One thing that is changed, and by how much.

    Attributes:
        name: Its name.
        words: How much, for people.
        shift: Fields of the table-top's ``Shift``.
        condition: What is said.
    """

    name: str
    words: str
    shift: Mapping[str, Any] = field(default_factory=dict[str, Any])
    condition: str = "asked"


FACTORS = (
    Factor(
        name="camera",
        words="the front camera stands 5 cm further right and 3 cm higher",
        shift={"camera_m": (0.05, 0.0, 0.03)},
    ),
    Factor(
        name="light",
        words="light at 60 %, with cast shadows",
        shift={"brightness": 0.6, "shadows": True},
    ),
    Factor(name="texture", words="a table with wood grain", shift={"texture": True}),
    Factor(name="layout", words="left and right exchanged", shift={"mirrored": True}),
    Factor(name="distractors", words="up to 2 further objects", shift={"distractors": 2}),
    Factor(
        name="initial-pose",
        words="the tool starts 9 cm further right and 7 cm further away",
        shift={"tool_m": (0.09, 0.07, 0.0)},
    ),
    Factor(name="language", words="held-out wordings", condition="paraphrase"),
)


def factors_by_name(names: Sequence[str]) -> tuple[Factor, ...]:
    """The factors of these names, all when none is given.

    Raises:
        ValueError: Naming those that do not exist.
    """
    known = {factor.name: factor for factor in FACTORS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"No such factors: {unknown}; choose from {list(known)}.")
    return tuple(known[name] for name in dict.fromkeys(names)) or FACTORS


def factor_setting(plan: PilotPlan, factor: Factor, scenes: int | None) -> Setting:
    """A factor as an evaluation of the plan's scenes.

    Raises:
        ValueError: When the pilot's environment is not the table-top.
    """
    settings = dict(plan.question.environment or {})
    if settings.get("kind") != TABLETOP:
        raise ValueError(
            f"Robustness is measured on the table-top only; this pilot ran in {plan.environment!r}."
        )
    if factor.shift:
        settings["shift"] = dict(factor.shift)
    return Setting(
        kind="robustness",
        label=factor.name,
        words=factor.words,
        facts={"shift": dict(factor.shift), "condition": factor.condition},
        environment=settings,
        draws=(asked_again(plan, scenes, condition=factor.condition),),
    )


def in_lock_step(make_environment: Callable[[Mapping[str, Any]], Environment]) -> Evaluate:
    """What runs the episodes of one training."""

    def evaluate(
        actor: PolicyActor,
        settings: Mapping[str, Any],
        episodes: Sequence[EpisodePlan],
        identity: Identity,
    ) -> tuple[list[EpisodeRecord], Mapping[str, Any]]:
        records = list(
            run_episodes(
                actor,
                lambda: make_environment(settings),
                episodes,
                identity,
                lanes=lanes_of(settings),
            )
        )
        return records, {}

    return evaluate
