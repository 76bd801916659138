"""A pilot's policies in a world that does not wait for them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vertebra.envs.protocol import Environment
from vertebra.evaluate.actor import PolicyActor
from vertebra.evaluate.latency import TOTAL
from vertebra.evaluate.plan import EpisodePlan
from vertebra.evaluate.profile import Profile
from vertebra.evaluate.realtime import RealTime, drawn_from, run_realtime
from vertebra.evaluate.run import Identity
from vertebra.pilot.again import Evaluate, Setting, asked_again
from vertebra.pilot.grid import Cell
from vertebra.pilot.plan import PilotPlan
from vertebra.spec.record import EpisodeRecord
from vertebra.spec.storage import digest, to_plain

HERE = "this machine"


def seconds_by_arm(
    measured: Mapping[str, Mapping[str, Sequence[float]]],
    profiles: Sequence[Profile],
    cells: Sequence[Cell],
) -> dict[str, tuple[tuple[float, ...], str]]:
    """Arm to the seconds of its inferences and where they were measured.

    Args:
        measured: ``latency.json``: what the pilot timed.
        profiles: What other machines timed; they come first. With any profile, every arm needs one.
        cells: Trainings that will be run.

    Raises:
        ValueError: When an arm was never timed, or arms would be timed on different machines.
    """
    found: dict[str, tuple[tuple[float, ...], str]] = {}
    if profiles:
        for one in profiles:
            name = str(one.machine.get("processor", "unknown processor"))
            slow = f", emulated {one.slowdown:g} x slower" if one.emulated else ""
            found[one.arm] = (tuple(one.seconds[TOTAL]), name + slow)
    else:
        found = {arm: (tuple(stages[TOTAL]), HERE) for arm, stages in measured.items()}
    arms = dict.fromkeys(cell.arm.name for cell in cells)
    missing = [arm for arm in arms if arm not in found]
    if missing:
        what = "--profile files" if profiles else "latency.json"
        raise ValueError(
            f"{missing} were never timed in the {what}, which hold {sorted(found)}. Give one "
            "profile an arm, all of one machine (`vertebra profile CHECKPOINT --out FILE`)."
        )
    machines = {found[arm][1] for arm in arms}
    if len(machines) > 1:
        raise ValueError(f"The profiles are of different machines: {sorted(machines)}.")
    return {arm: found[arm] for arm in arms}


def realtime_setting(
    plan: PilotPlan,
    how: RealTime,
    seconds: Mapping[str, tuple[Sequence[float], str]],
    *,
    slowdown: float,
    scenes: int | None,
) -> Setting:
    """What is different when the world does not wait."""
    machine = next(iter(seconds.values()))[1]
    emulated = slowdown != 1.0 or "emulated" in machine
    facts = {
        "rate_hz": how.rate_hz,
        "ahead": how.ahead,
        "slowdown": slowdown,
        "machine": machine,
        "emulated": emulated,
        "seconds": digest({arm: list(values) for arm, (values, _) in seconds.items()}),
    }
    words = f"at {how.rate_hz:g} Hz with the latency of {machine}"
    if slowdown != 1.0:
        words += f", emulated {slowdown:g} x slower"
    if how.ahead:
        words += f", beginning {how.ahead} actions early"
    return Setting(
        kind="realtime",
        label=f"{how.rate_hz:g}hz-x{slowdown:g}-ahead{how.ahead}-{digest(facts)[:6]}",
        words=words,
        facts=facts,
        environment=plan.question.environment or {},
        draws=(asked_again(plan, scenes),),
    )


def in_real_time(
    how: RealTime,
    seconds: Sequence[float],
    make_environment: Callable[[Mapping[str, Any]], Environment],
    *,
    slowdown: float,
) -> Evaluate:
    """What runs the episodes of one training."""

    def evaluate(
        actor: PolicyActor,
        settings: Mapping[str, Any],
        episodes: Sequence[EpisodePlan],
        identity: Identity,
    ) -> tuple[list[EpisodeRecord], Mapping[str, Any]]:
        environment = make_environment(settings)
        charged = drawn_from(seconds, slowdown=slowdown)
        try:
            done = list(
                run_realtime(actor, environment, episodes, identity, how=how, seconds=charged)
            )
        finally:
            environment.close()
        facts = {
            "executed": sum(one.executed for one in done),
            "stale": sum(one.stale for one in done),
            "held": sum(one.record.held_ticks for one in done),
            "ticks": sum(one.record.steps for one in done),
        }
        return [one.record for one in done], to_plain(facts)

    return evaluate
