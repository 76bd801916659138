"""Episodes in lock step under a frozen clock: the simulation waits for the policy.

Episodes are run in blocks of a fixed number of environments. A block is the unit of resuming: which
episodes share a batch follows from the plan alone, so an interrupted evaluation that is continued
gives the same numbers as one that was not.
"""

import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertebra.envs.protocol import Environment
from vertebra.evaluate.actor import Actor
from vertebra.evaluate.plan import ASKED, EpisodePlan
from vertebra.policy.protocol import Act
from vertebra.spec.observation import Observation
from vertebra.spec.record import EpisodeRecord, Timing
from vertebra.spec.seeds import policy_noise, seed_at
from vertebra.spec.storage import digest
from vertebra.spec.task import Judgement, Outcome, links_done

LANES = 50
"""Environments that are stepped together."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What all records of one evaluation share.

    Attributes:
        pilot: Hash of the locked plan.
        arm: Name of the arm.
        family: ``vla``, ``wam``, ``hybrid`` or ``control``.
        demonstrations: Action-labelled demonstrations in training.
        seed: Training seed (index).
        software: Commit, dirty flag and package versions.
    """

    pilot: str
    arm: str
    family: str
    demonstrations: int
    seed: int
    software: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Finished:
    """One episode that has ended.

    Attributes:
        record: What happened.
        frames: Views of the first camera, uint8 [height, width, 3], one whenever a chunk was asked
            for and one at the end; empty unless it was filmed.
        imagined: Frames of that camera that the policy imagined when it was first asked, or empty.
    """

    record: EpisodeRecord
    frames: tuple[NDArray[np.uint8], ...] = ()
    imagined: tuple[NDArray[np.uint8], ...] = ()


def run_episodes(
    actor: Actor,
    make_environment: Callable[[], Environment],
    plan: Sequence[EpisodePlan],
    identity: Identity,
    *,
    lanes: int = LANES,
) -> Iterator[EpisodeRecord]:
    """Run all episodes of a plan and yield their records in the order of the plan.

    An episode ends with ``success`` as soon as the task that was meant holds, else with ``timeout``
    at ``max_steps``. A chain of tasks goes on with a new session when a link of it is completed, as
    its publishers do it, and times out when a link is not completed in ``max_steps``. An exception
    of the environment or the actor ends its episode with ``error``; the record stays. Tasks
    achieved at any step are kept.

    Raises:
        SpecMismatch: Before anything runs, when actor and environment do not fit.
    """
    for block in run_blocks(actor, make_environment, plan, identity, lanes=lanes):
        yield from (finished.record for finished in block)


def run_blocks(
    actor: Actor,
    make_environment: Callable[[], Environment],
    plan: Sequence[EpisodePlan],
    identity: Identity,
    *,
    lanes: int = LANES,
    first: int = 0,
    filmed: int = 0,
) -> Iterator[list[Finished]]:
    """The same, block by block.

    Args:
        actor: What acts.
        make_environment: Makes one environment; at most ``lanes`` are alive.
        plan: Episodes, cut into blocks of ``lanes``.
        identity: What all records share.
        lanes: Environments that are stepped together.
        first: Index of the first block to run; earlier ones are left out.
        filmed: How many of the first episodes of the plan keep their frames.
    """
    environments: list[Environment] = []
    try:
        for start in range(first * lanes, len(plan), lanes):
            some = plan[start : start + lanes]
            while len(environments) < len(some):
                environments.append(make_environment())
            actor.require_fit(environments[0])
            block = _Block(actor, make_environment, environments, identity)
            yield block.run(some, filmed - start)
    finally:
        for environment in environments:
            environment.close()


@dataclass(kw_only=True, eq=False)
class _Lane:
    """One running episode."""

    number: int
    plan: EpisodePlan
    filmed: bool
    began: float
    session: Any = None
    first_look: Observation | None = None
    queue: deque[NDArray[np.float32]] = field(default_factory=deque)
    executed: list[NDArray[np.float32]] = field(default_factory=list)
    steps: int = 0
    links: int = 0
    link_began: int = 0
    achieved: set[str] = field(default_factory=set)
    judged: Judgement | None = None
    progress: float = 0.0
    evaluations: Counter[str] = field(default_factory=Counter)
    frames: list[NDArray[np.uint8]] = field(default_factory=list)
    imagined: tuple[NDArray[np.uint8], ...] | None = None
    initial_hash: str = ""
    target: str | None = None
    outcome: Outcome | None = None
    error: str = ""
    ended: float = 0.0


class _Block:
    """Episodes that share their batches."""

    def __init__(
        self,
        actor: Actor,
        make_environment: Callable[[], Environment],
        environments: list[Environment],
        identity: Identity,
    ) -> None:
        self.actor = actor
        self.make_environment = make_environment
        self.environments = environments
        self.identity = identity
        one = environments[0]
        self.name, self.max_steps = one.name, one.max_steps
        self.spec_hash = digest([one.offers, one.takes])
        self.camera = one.offers.cameras[0].name if one.offers.cameras else ""

    def run(self, plans: Sequence[EpisodePlan], filmed: int) -> list[Finished]:
        lanes = [
            _Lane(number=number, plan=plan, filmed=number < filmed, began=time.perf_counter())
            for number, plan in enumerate(plans)
        ]
        for lane in lanes:
            self._guarded(lane, self._begin)
        while True:
            running = [lane for lane in lanes if lane.outcome is None]
            if not running:
                return [self._finished(lane) for lane in lanes]
            self._feed([lane for lane in running if not lane.queue])
            for lane in running:
                if lane.outcome is None:
                    self._guarded(lane, self._step)

    def _guarded(self, lane: _Lane, do: Callable[[_Lane], None]) -> None:
        """Do something; an exception ends the episode, and its environment is replaced."""
        try:
            do(lane)
        except MemoryError:
            raise
        except Exception:
            self._fail(lane, replace_environment=True)

    def _fail(self, lane: _Lane, *, replace_environment: bool) -> None:
        lane.outcome, lane.error = Outcome.ERROR, traceback.format_exc()
        lane.ended = time.perf_counter()
        if replace_environment:
            try:
                self.environments[lane.number].close()
            finally:
                self.environments[lane.number] = self.make_environment()

    def _begin(self, lane: _Lane) -> None:
        environment, plan = self.environments[lane.number], lane.plan
        lane.first_look = environment.begin(plan.initial_state, plan.task, plan.scene_seed)
        lane.initial_hash = environment.state_hash()
        lane.target = environment.target_of(plan.task)
        lane.session = self.actor.start(environment, plan.task, policy_noise(plan.scene_seed))

    def _next_link(self, lane: _Lane, done: int) -> None:
        """Forget what was planned and seen for the links before."""
        environment, plan = self.environments[lane.number], lane.plan
        lane.links, lane.link_began = done, lane.steps
        lane.queue.clear()
        lane.executed.clear()
        noise = seed_at(policy_noise(plan.scene_seed), "link", done)
        lane.session = self.actor.start(environment, plan.task, noise)

    def _look(self, lane: _Lane) -> Observation | None:
        """What the actor is shown: the environment's view with the plan's sentence."""
        if not (self.actor.looks or lane.filmed):
            return None
        seen = lane.first_look or self.environments[lane.number].observe()
        lane.first_look = None
        if lane.filmed and self.camera:
            lane.frames.append(seen.images[self.camera])
        if not self.actor.looks:
            return None
        width = len(self.environments[lane.number].takes.dims)
        executed = np.array(lane.executed, np.float32).reshape(-1, width)
        lane.executed.clear()
        plan = lane.plan
        said = seen.instruction if plan.condition == ASKED else plan.instruction
        return replace(seen, instruction=said, executed=executed)

    def _feed(self, hungry: list[_Lane]) -> None:
        """Give each of these lanes its next chunk; one failing lane does not harm the others."""
        looks: dict[int, Observation | None] = {}

        def look(lane: _Lane) -> None:
            looks[lane.number] = self._look(lane)

        for lane in hungry:
            self._guarded(lane, look)
        asking = [lane for lane in hungry if lane.outcome is None]
        if not asking:
            return
        try:
            answers = self._ask(asking, looks)
        except MemoryError:
            raise
        except Exception:
            answers = None
        for number, lane in enumerate(asking):
            try:
                answer = answers[number] if answers else self._ask([lane], looks)[0]
                self._take(lane, *answer)
            except MemoryError:
                raise
            except Exception:
                self._fail(lane, replace_environment=False)

    def _ask(
        self, lanes: list[_Lane], looks: Mapping[int, Observation | None]
    ) -> list[tuple[Any, Act]]:
        answers = self.actor.act_batch(
            [lane.session for lane in lanes], [looks[lane.number] for lane in lanes]
        )
        if len(answers) != len(lanes):
            raise ValueError(f"act_batch gave {len(answers)} answers to {len(lanes)} sessions.")
        return answers

    def _take(self, lane: _Lane, session: Any, act: Act) -> None:
        width = len(self.environments[lane.number].takes.dims)
        chunk = np.asarray(act.chunk)
        if chunk.ndim != 2 or chunk.shape[1] != width or not len(chunk):
            raise ValueError(
                f"The chunk has shape {list(chunk.shape)}, expected [n >= 1, {width}]."
            )
        if not np.isfinite(chunk).all():
            raise ValueError("The chunk has numbers that are not finite.")
        lane.session = session
        lane.queue.extend(chunk[: self.actor.execute])
        lane.evaluations.update(act.evaluations)
        if lane.filmed and lane.imagined is None:
            lane.imagined = tuple(act.imagined.get(self.camera, ()))

    def _step(self, lane: _Lane) -> None:
        environment, task = self.environments[lane.number], lane.plan.task
        action = lane.queue.popleft()
        environment.apply(action)
        lane.executed.append(action)
        lane.steps += 1
        judged = lane.judged = environment.judge()
        lane.achieved.update(judged.achieved)
        lane.progress = max(lane.progress, judged.progress.get(task.id, 0.0))
        if task.id in lane.achieved:
            lane.outcome = Outcome.SUCCESS
        elif task.links > 1 and (done := links_done(task.links, lane.progress)) > lane.links:
            self._next_link(lane, done)
        elif lane.steps - lane.link_began >= self.max_steps:
            lane.outcome = Outcome.TIMEOUT
        if lane.outcome is not None:
            lane.ended = time.perf_counter()
            if lane.filmed and self.camera:
                lane.frames.append(environment.observe().images[self.camera])

    def _finished(self, lane: _Lane) -> Finished:
        plan, identity, judged = lane.plan, self.identity, lane.judged
        assert lane.outcome is not None, "a finished lane has an outcome"  # noqa: S101
        record = EpisodeRecord(
            pilot=identity.pilot,
            arm=identity.arm,
            family=identity.family,
            demonstrations=identity.demonstrations,
            seed=identity.seed,
            environment=self.name,
            split=plan.initial_state.split,
            condition=plan.condition,
            initial_state=plan.initial_state.id,
            initial_hash=lane.initial_hash,
            scene_seed=plan.scene_seed,
            task=plan.task.id,
            skill=plan.task.skill,
            instruction=plan.instruction,
            outcome=lane.outcome,
            achieved=tuple(sorted(lane.achieved)),
            first_touched=judged.first_touched if judged else None,
            first_grasped=judged.first_grasped if judged else None,
            target=lane.target,
            progress=float(lane.progress),
            links=plan.task.links,
            steps=lane.steps,
            model_evaluations=dict(sorted(lane.evaluations.items())),
            error=lane.error,
            spec_hash=self.spec_hash,
            software=identity.software,
            timing=Timing(wall_s=lane.ended - lane.began),
        )
        return Finished(
            record=record, frames=tuple(lane.frames), imagined=tuple(lane.imagined or ())
        )
