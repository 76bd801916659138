"""Episodes in which the world does not wait: it moves on while the policy computes.

Time passes in control ticks. An inference begins at a tick, with what is seen there, and its chunk
is there after as many ticks as its seconds fill. Until then the actions left over from the chunk
before are executed; when there are none, the robot holds (``Environment.hold``). The chunk is then
entered after as many of its actions as were executed meanwhile, so an action is *stale* when the
robot had to hold for its chunk: it comes later than it was meant for.

Nothing here reads a clock. Seconds come from a function, so that the same profile gives the same
episode on every machine.
"""

import math
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertebra.envs.protocol import Environment
from vertebra.evaluate.actor import Actor
from vertebra.evaluate.plan import EpisodePlan
from vertebra.evaluate.run import Identity
from vertebra.policy.protocol import Act
from vertebra.spec.action import ActionSpec, Gripper
from vertebra.spec.observation import Observation
from vertebra.spec.record import EpisodeRecord, Timing
from vertebra.spec.seeds import policy_noise, seed_at
from vertebra.spec.storage import digest
from vertebra.spec.task import Judgement, Outcome

Seconds = Callable[[EpisodePlan, int], float]
"""From an episode and the number of an inference in it to the seconds that it takes."""


def drawn_from(measured: Sequence[float], *, slowdown: float = 1.0) -> Seconds:
    """Seconds drawn from a measured profile, the same ones for the same episode.

    Args:
        measured: Seconds of timed inferences.
        slowdown: Factor on all of them; other than 1 it emulates a device that nobody measured.

    Raises:
        ValueError: When nothing was measured or a number is not possible.
    """
    if not measured or min(measured) < 0 or not math.isfinite(sum(measured)) or slowdown <= 0:
        raise ValueError(
            f"A latency profile needs seconds >= 0 and a slowdown > 0, found {len(measured)} "
            f"values and a slowdown of {slowdown}."
        )

    def seconds(plan: EpisodePlan, number: int) -> float:
        place = seed_at(plan.scene_seed, "latency", number) % len(measured)
        return slowdown * measured[place]

    return seconds


@dataclass(frozen=True, kw_only=True)
class RealTime:
    """How a policy is run under a control rate.

    Attributes:
        rate_hz: Control ticks a second; the rate that the actions are meant for.
        ahead: The next inference begins when so many actions are left; 0: when none is left.

    Raises:
        ValueError: When a number is not possible.
    """

    rate_hz: float
    ahead: int = 0

    def __post_init__(self) -> None:
        if not self.rate_hz > 0 or self.ahead < 0:
            raise ValueError(
                f"The control rate is {self.rate_hz} Hz and {self.ahead} actions ahead; the first "
                "must be above 0, the second at least 0."
            )

    def ticks(self, seconds: float) -> int:
        """Ticks that pass while so many seconds do, at least 0; a part of a tick costs all of it.

        A chunk that is there before the next tick costs nothing.
        """
        return max(0, math.ceil(seconds * self.rate_hz - 1e-9) - 1)


@dataclass(frozen=True, kw_only=True)
class Timed:
    """One episode under a control rate.

    Attributes:
        record: What happened; ``held_ticks`` counts holding, ``timing.latency_s`` what was charged.
        executed: Actions of the policy that were executed.
        stale: Those that came later than they were meant for.
    """

    record: EpisodeRecord
    executed: int
    stale: int


def run_realtime(
    actor: Actor,
    environment: Environment,
    plan: Sequence[EpisodePlan],
    identity: Identity,
    *,
    how: RealTime,
    seconds: Seconds,
) -> Iterator[Timed]:
    """Run episodes one by one and yield them in the order of the plan.

    Args:
        actor: What acts.
        environment: Where; its own rate must be that of ``how``.
        plan: Which episodes.
        identity: What all records share.
        how: The control rate.
        seconds: How long each inference takes.

    Raises:
        SpecMismatch: Before anything runs, when actor and environment do not fit.
        ValueError: When a task is a chain, the rate is not the environment's, or more actions are
            kept ahead than a chunk has.
    """
    actor.require_fit(environment)
    chains = [one.task.id for one in plan if one.task.links > 1]
    if chains:
        raise ValueError(
            f"Chains of tasks are run under a frozen clock only, and {chains[0]!r} is one: leave "
            "them out."
        )
    if how.rate_hz != environment.takes.rate_hz:
        raise ValueError(
            f"The control rate is {how.rate_hz:g} Hz, but actions of {environment.name} are meant "
            f"for {environment.takes.rate_hz:g} Hz: another rate is another environment."
        )
    if how.ahead >= actor.execute:
        raise ValueError(
            f"{how.ahead} actions ahead, but only {actor.execute} of a chunk are executed: begin "
            f"the next inference with at most {actor.execute - 1} left."
        )
    for one in plan:
        yield _Episode(actor, environment, one, identity, how, seconds).run()


def _at_rest(takes: ActionSpec) -> NDArray[np.float32]:
    """What stands for the last action before there is one: no movement, the gripper open."""
    action = np.zeros(len(takes.dims), np.float32)
    if takes.gripper is not Gripper.NONE:
        dim = takes.dims[-1]
        opened = dim.high if takes.gripper is Gripper.OPEN_POSITIVE else dim.low
        action[-1] = 0.0 if opened is None else opened
    return action


@dataclass(kw_only=True, eq=False)
class _Pending:
    """An inference on its way."""

    session: Any
    act: Act
    left: int
    moved: int = 0
    held: int = 0


@dataclass(eq=False)
class _Episode:
    """One running episode."""

    actor: Actor
    environment: Environment
    plan: EpisodePlan
    identity: Identity
    how: RealTime
    seconds: Seconds
    session: Any = None
    queue: deque[tuple[NDArray[np.float32], bool]] = field(default_factory=deque)
    pending: _Pending | None = None
    since: list[NDArray[np.float32]] = field(default_factory=list)
    last: NDArray[np.float32] | None = None
    achieved: set[str] = field(default_factory=set)
    judged: Judgement | None = None
    progress: float = 0.0
    evaluations: Counter[str] = field(default_factory=Counter)
    charged: list[float] = field(default_factory=list)
    ticks: int = 0
    held: int = 0
    executed: int = 0
    stale: int = 0
    initial_hash: str = ""
    target: str | None = None

    def run(self) -> Timed:
        outcome, error = Outcome.ERROR, ""
        try:
            outcome = self._until_it_ends()
        except MemoryError:
            raise
        except Exception:
            error = traceback.format_exc()
        return self._finished(outcome, error)

    def _until_it_ends(self) -> Outcome:
        environment, plan = self.environment, self.plan
        look = environment.begin(plan.initial_state, plan.task, plan.scene_seed)
        self.initial_hash = environment.state_hash()
        self.target = environment.target_of(plan.task)
        self.session = self.actor.start(environment, plan.task, policy_noise(plan.scene_seed))
        while self.ticks < environment.max_steps:
            if self.pending is None and len(self.queue) <= self.how.ahead:
                self._begin_inference(look if self.ticks == 0 else environment.observe())
            self._take_what_is_there()
            if self._tick():
                return Outcome.SUCCESS
        return Outcome.TIMEOUT

    def _begin_inference(self, seen: Observation) -> None:
        width = len(self.environment.takes.dims)
        executed = np.array(self.since, np.float32).reshape(-1, width)
        self.since.clear()
        seen = replace(seen, instruction=self.plan.instruction, executed=executed)
        ((session, act),) = self.actor.act_batch([self.session], [seen])
        chunk = np.asarray(act.chunk)
        if chunk.ndim != 2 or chunk.shape[1] != width or not np.isfinite(chunk).all():
            raise ValueError(
                f"The chunk has shape {list(chunk.shape)}, expected [n >= 1, {width}], finite."
            )
        took = self.seconds(self.plan, len(self.charged))
        self.charged.append(took)
        self.evaluations.update(act.evaluations)
        self.pending = _Pending(session=session, act=act, left=self.how.ticks(took))

    def _take_what_is_there(self) -> None:
        """Put the chunk that has arrived in place of what is left of the one before."""
        pending = self.pending
        if pending is None or pending.left > 0:
            return
        self.session, self.pending = pending.session, None
        rest = pending.act.chunk[pending.moved : pending.moved + self.actor.execute]
        self.queue = deque((np.asarray(action), pending.held > 0) for action in rest)

    def _tick(self) -> bool:
        """Let one control tick pass; whether the task that was meant holds."""
        environment, task = self.environment, self.plan.task
        if self.queue:
            action, stale = self.queue.popleft()
            self.executed += 1
            self.stale += stale
            self._waited(moved=1)
        else:
            before = _at_rest(environment.takes) if self.last is None else self.last
            action = environment.hold(before)
            self.held += 1
            self._waited(held=1)
        environment.apply(action)
        self.last = action
        self.since.append(action)
        self.ticks += 1
        judged = self.judged = environment.judge()
        self.achieved.update(judged.achieved)
        self.progress = max(self.progress, judged.progress.get(task.id, 0.0))
        return task.id in self.achieved

    def _waited(self, *, moved: int = 0, held: int = 0) -> None:
        if self.pending is not None:
            self.pending.left -= 1
            self.pending.moved += moved
            self.pending.held += held

    def _finished(self, outcome: Outcome, error: str) -> Timed:
        plan, judged, environment = self.plan, self.judged, self.environment
        record = EpisodeRecord(
            **vars(self.identity),
            environment=environment.name,
            split=plan.initial_state.split,
            condition=plan.condition,
            initial_state=plan.initial_state.id,
            initial_hash=self.initial_hash,
            scene_seed=plan.scene_seed,
            task=plan.task.id,
            skill=plan.task.skill,
            instruction=plan.instruction,
            outcome=outcome,
            achieved=tuple(sorted(self.achieved)),
            first_touched=judged.first_touched if judged else None,
            first_grasped=judged.first_grasped if judged else None,
            target=self.target,
            progress=float(self.progress),
            links=plan.task.links,
            steps=self.ticks,
            model_evaluations=dict(sorted(self.evaluations.items())),
            held_ticks=self.held,
            error=error,
            spec_hash=digest([environment.offers, environment.takes]),
            timing=Timing(latency_s=tuple(self.charged)),
        )
        return Timed(record=record, executed=self.executed, stale=self.stale)
