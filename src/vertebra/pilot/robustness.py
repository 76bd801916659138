"""One factor at a time: what a pilot's policies lose when the world is not as it was shown."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vertebra.envs.outside import OUTSIDE
from vertebra.envs.protocol import Environment
from vertebra.envs.simulator import Factor
from vertebra.envs.simulators import simulator_by_name
from vertebra.evaluate.actor import PolicyActor
from vertebra.evaluate.plan import EpisodePlan
from vertebra.evaluate.run import Identity, run_episodes
from vertebra.pilot.again import Evaluate, Setting, asked_again
from vertebra.pilot.plan import PilotPlan
from vertebra.pilot.worlds import TABLETOP, lanes_of
from vertebra.spec.record import EpisodeRecord

TABLETOP_FACTORS = (
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


def factors_of(plan: PilotPlan) -> tuple[Factor, ...]:
    """What can be changed in the environment of a pilot.

    Raises:
        ValueError: When nothing can.
    """
    settings = plan.question.environment or {}
    if settings.get("kind") == TABLETOP:
        return TABLETOP_FACTORS
    known = settings.get("kind") == OUTSIDE
    found = simulator_by_name(settings["simulator"]).factors if known else ()
    if not found:
        raise ValueError(
            f"Nothing that could be changed is known of {plan.environment!r}, where this pilot ran."
        )
    said = {condition for draw in plan.question.draws for condition in draw.conditions}
    return tuple(one for one in found if one.condition in said)


def factors_by_name(plan: PilotPlan, names: Sequence[str]) -> tuple[Factor, ...]:
    """The factors of these names, all when none is given.

    Raises:
        ValueError: Naming those that do not exist.
    """
    known = {factor.name: factor for factor in factors_of(plan)}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(
            f"No such factors: {unknown}; for {plan.environment!r} choose from {list(known)}."
        )
    return tuple(known[name] for name in dict.fromkeys(names or known))


def factor_setting(plan: PilotPlan, factor: Factor, scenes: int | None) -> Setting:
    """A factor as an evaluation of the plan's scenes."""
    settings = dict(plan.question.environment or {})
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
