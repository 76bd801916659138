"""When a recipe contradicts itself, and how to say so."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vertebra.coupling.kinds import Head, Inverse, coupling_problems
from vertebra.coupling.table import Joint, closure, present
from vertebra.schedules.kinds import (
    ActionOnly,
    Guidance,
    Plan,
    Rolling,
    Schedule,
    Simple,
    Together,
    VideoFirst,
)
from vertebra.spec.noise import SameAs
from vertebra.spec.streams import PIXEL_STREAMS, POINT, Role

if TYPE_CHECKING:
    from vertebra.policy.recipe import Recipe


def recipe_problems(recipe: "Recipe") -> list[str]:
    """Everything in which the parts of a recipe contradict each other, in words."""
    table = recipe.table
    found = coupling_problems(recipe.coupling)
    if "action" not in table.named(Role.DENOISED):
        denoised = list(table.named(Role.DENOISED))
        return [*found, f"no denoised stream is named 'action' (denoised: {denoised})"]
    if not set(PIXEL_STREAMS) & set(recipe.trunk.named(Role.GIVEN)):
        return [*found, f"no given stream holds camera tokens (one of {list(PIXEL_STREAMS)})"]
    return found + _noise_problems(recipe, table) + _schedule_problems(recipe, table)


def _noise_problems(recipe: "Recipe", table: Joint) -> list[str]:
    denoised, noisy = table.named(Role.DENOISED), recipe.noisy
    known = (*noisy, *table.named(Role.TEACHER))
    found = [f"denoised stream '{n}' has no noise process" for n in noisy if n not in recipe.noise]
    found += [
        f"a noise process is given for '{name}', which is not made from noise"
        for name in recipe.noise
        if name not in known
    ]
    found += [
        f"'{name}' takes the flow time of '{process.times.stream}', which draws none of its own"
        for name, process in recipe.noise.items()
        if isinstance(process.times, SameAs)
        and (
            process.times.stream not in recipe.noise
            or isinstance(recipe.noise[process.times.stream].times, SameAs)
        )
    ]
    found += [
        f"'{name}' takes the flow time of '{process.times.stream}', but several noise draws of the "
        "action share one pass, because no other stream reads it: give both times of their own"
        for name, process in recipe.noise.items()
        if isinstance(process.times, SameAs)
        and recipe.lone_action
        and "action" in (name, process.times.stream)
    ]
    found += [
        f"loss weight given for '{name}', which is not denoised"
        for name in recipe.weights
        if name not in denoised
    ]
    found += [
        f"a training mode shows '{name}' clean, which is not made from noise"
        for mode in recipe.modes
        for name in mode.clean
        if name not in noisy
    ]
    if recipe.modes and not all(mode.share > 0 for mode in recipe.modes):
        found.append("a training mode has a share of zero or less")
    if not 0.0 <= recipe.text_dropout < 1.0:
        found.append(f"text_dropout is {recipe.text_dropout}: expected a share in [0, 1)")
    if ("value" in denoised) != bool(recipe.values):
        found.append("`values` names the numbers of the stream 'value': give both or neither")
    return found


def _schedule_problems(recipe: "Recipe", table: Joint) -> list[str]:
    schedule = recipe.schedule
    found: list[str] = []
    if isinstance(schedule, Rolling):
        if schedule.window < 1 + schedule.leapfrog:
            found.append(
                f"a rolling window of {schedule.window} chunks is too short: the present chunk "
                "counts, and leapfrog needs the one before it"
            )
        if not recipe.trunk.chunked:
            found.append("schedule Rolling needs reaches in chunk time; all rows say ALL")
        if schedule.leapfrog:
            found += _leapfrog_problems(table)
    elif recipe.trunk.chunked:
        found.append("some stream looks at single chunk times, which only Rolling has: use ALL")
    if isinstance(schedule, Plan):
        if schedule.candidates < 2:
            found.append(f"a plan over {schedule.candidates} candidate chooses nothing: 2 or more")
        found += [
            f"a plan scores '{term.of}', which is not among the values {list(recipe.values)}"
            for term in schedule.score
            if term.of not in recipe.values
        ]
        if schedule.futures and not isinstance(schedule.inner, Together):
            found.append("a plan imagines futures anew only around Together")
    plain = recipe.plain_schedule
    return found + _simple_problems(recipe, table, plain) + _head_problems(recipe, plain)


def _leapfrog_problems(table: Joint) -> list[str]:
    fresh = (*PIXEL_STREAMS, "state", POINT)
    return [
        f"leapfrog makes '{name}' before '{key}' of its chunk is known: it may look at PAST only"
        for name in table.named(Role.DENOISED)
        for key in sorted(present(table, name) & set(fresh))
    ]


def _simple_problems(recipe: "Recipe", table: Joint, plain: Simple) -> list[str]:
    denoised = table.named(Role.DENOISED)
    found: list[str] = []
    steps = [getattr(plain, name, 1) for name in ("steps", "video_steps")]
    if min(steps) < 1:
        found.append(f"a schedule needs one step or more, found {plain}")
    match plain:
        case ActionOnly(marginal=marginal):
            return found + _action_only_problems(recipe, table, marginal)
        case Together(guidance=guidance):
            found += _guidance_problems(recipe, guidance)
            if isinstance(recipe.coupling, Inverse):
                found.append("an inverse dynamics model reads finished frames: use VideoFirst")
            unfinished = sorted(_clean_copies(table, rolling=recipe.rolling))
            if unfinished:
                found.append(
                    f"schedule Together never finishes {unfinished} before the action, but the "
                    "action reads its clean copy: use VideoFirst"
                )
            return found
        case VideoFirst(until=until, guidance=guidance):
            found += _guidance_problems(recipe, guidance)
            if not 0.0 < until <= 1.0:
                found.append(f"imagining stops at flow time {until}: expected above 0, up to 1")
            if not [name for name in denoised if name != "action"]:
                found.append("schedule VideoFirst needs a denoised stream besides the action")
            return found + [
                f"schedule VideoFirst generates '{name}' before the action, but it reads the action"
                for name in denoised
                if name != "action" and "action" in present(table, name)
            ]


def _action_only_problems(recipe: "Recipe", table: Joint, marginal: tuple[str, ...]) -> list[str]:
    unskippable = set(table.named(Role.DENOISED)) - {"action"} - recipe.skips
    found = [
        f"'{name}' cannot stay noise: it is not a denoised stream that the action reads"
        for name in marginal
        if name not in unskippable
    ]
    left = sorted(unskippable - set(marginal))
    if left:
        found.append(
            f"schedule ActionOnly never generates {left}, but the action reads it (it depends on "
            f"{sorted(closure(table, 'action'))}): use Together or VideoFirst, or take it out of "
            "what the action sees"
        )
    return found


def _guidance_problems(recipe: "Recipe", guidance: Sequence[Guidance]) -> list[str]:
    found = [
        f"guidance is given for '{one.stream}', which is not made from noise"
        for one in guidance
        if one.stream not in recipe.noisy
    ]
    if guidance and recipe.text_dropout == 0.0:
        found.append("guidance needs a model that was trained without words too: set text_dropout")
    return found


def _head_problems(recipe: "Recipe", plain: Schedule) -> list[str]:
    if not isinstance(recipe.coupling, Head):
        return []
    reads, trunk = recipe.coupling.reads, recipe.trunk
    noisy = [name for name in reads.of if name in trunk.named(Role.DENOISED)]
    found: list[str] = []
    if isinstance(plain, Together):
        found.append("a head acts after its trunk: use ActionOnly or VideoFirst")
    if noisy and isinstance(plain, VideoFirst) and reads.at_time is not None:
        found.append(
            f"the head reads {noisy} at flow time {reads.at_time}, and VideoFirst goes on to "
            f"{plain.until}: leave at_time out, or use ActionOnly"
        )
    if noisy and isinstance(plain, ActionOnly) and (reads.at_time or 0.0) > 0.0:
        found.append(
            f"the head reads {noisy} at flow time {reads.at_time}, which ActionOnly never reaches: "
            "use VideoFirst with `until`"
        )
    if not noisy and reads.at_time is not None:
        found.append(f"features of {list(reads.of)} have no flow time: leave at_time out")
    return found


def _clean_copies(table: Joint, *, rolling: bool) -> set[str]:
    """Streams whose clean copy the action reads while its chunk is made."""
    reached = present(table, "action") if rolling else closure(table, "action")
    return {table.stream(name).of for name in table.named(Role.TEACHER) if name in reached}
