"""A new skill added to trained policies: how many demonstrations, and what is forgotten.

Every finished sighted training of a pilot at its largest number of demonstrations goes on from its
own weights, on k demonstrations of a skill that it was never shown, with the same budget and seeds
for all arms. Replay mixes old demonstrations of the same training in, as many for each new one as
is asked. Then both are evaluated: the new skill in scenes of its own, the old ones in scenes of the
plan, so that every episode pairs with one from before. Written under ``OUT/again/adapt``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vertebra.data.cache import FrameCache, build_cache, open_cache
from vertebra.evaluate.actor import PolicyActor
from vertebra.evaluate.plan import Draw, EpisodePlan, plan_draws
from vertebra.evaluate.run import Identity
from vertebra.pilot.again import Evaluate, Setting, asked_again
from vertebra.pilot.grid import Cell
from vertebra.pilot.jobs import job_from_plain
from vertebra.pilot.layout import JobDirectory, RunDirectory
from vertebra.pilot.material import Material
from vertebra.pilot.parts import Parts
from vertebra.pilot.plan import PilotPlan
from vertebra.pilot.robustness import in_lock_step
from vertebra.pilot.worlds import TABLETOP
from vertebra.spec.record import EpisodeRecord
from vertebra.spec.seeds import SeedTree, seed_at
from vertebra.spec.storage import digest, read_json, to_plain
from vertebra.train.spec import TrainSpec

ADAPT = "adapt"


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """How a new skill is taught; the same for all arms and numbers of demonstrations.

    Attributes:
        skill: The new skill.
        counts: Numbers of its demonstrations, ascending; 0 is evaluated always and not listed.
        replay: Old demonstrations for each new one.
        samples: Training windows.
        learning_rate: Peak learning rate.
        scenes: Scenes of the new skill, and scenes of the plan, that are evaluated.

    Raises:
        ValueError: Naming everything that is not possible.
    """

    skill: str
    counts: tuple[int, ...]
    replay: float = 0.0
    samples: int = 6_400
    learning_rate: float = 1e-3
    scenes: int = 20

    def __post_init__(self) -> None:
        found: list[str] = []
        if not self.counts or min(self.counts) < 1 or len(set(self.counts)) < len(self.counts):
            found.append(f"demonstrations are {list(self.counts)}; give each once, at least 1")
        if self.replay < 0:
            found.append(f"replay is {self.replay}; 0 or more old demonstrations for each new one")
        if self.scenes < 1:
            found.append(f"{self.scenes} scenes; at least 1 is needed")
        if found:
            raise ValueError("Nothing can be taught like this:\n  - " + "\n  - ".join(found))


def require_new(run: RunDirectory, plan: PilotPlan, cells: Sequence[Cell], skill: str) -> None:
    """Refuse a skill that was in the training data, and environments that cannot ask another.

    Raises:
        ValueError: Saying which.
    """
    settings = plan.question.environment or {}
    if settings.get("kind") != TABLETOP:
        raise ValueError(
            f"A new skill is taught on the table-top only; this pilot ran in {plan.environment!r}."
        )
    known = set(settings["skills"])
    for cell in cells:
        training = read_json(run.job(cell.id).spec)["training"]
        if (Path(training["data"]) / "cache.json").is_file():
            rows = open_cache(Path(training["data"])).episodes
            known |= {rows[number].skill for number in training["episodes"]}
    if skill in known:
        raise ValueError(
            f"{skill!r} is no new skill: the policies in {run.root} were trained on "
            f"{sorted(known - {''})}. Choose another one, or train a pilot without it "
            "(`vertebra data make DIR --skills ...`, then `vertebra pilot --data DIR`)."
        )


def lesson_settings(plan: PilotPlan, lesson: Lesson, data_hash: str) -> tuple[Setting, ...]:
    """One setting for each number of demonstrations, none of the new skill first."""
    world = {**(plan.question.environment or {}), "skills": (lesson.skill,)}
    old = asked_again(plan, lesson.scenes)
    found: list[Setting] = []
    for count in (0, *sorted(lesson.counts)):
        replay = lesson.replay if count else 0.0
        with_replay = f", {replay:g} old ones for each" if replay else ", no replay"
        found.append(
            Setting(
                kind=ADAPT,
                label=f"{lesson.skill}-n{count}" + (f"-replay{replay:g}" if count else ""),
                words=f"{count} demonstrations of {lesson.skill}" + (with_replay if count else ""),
                facts={
                    "skill": lesson.skill,
                    "demonstrations": count,
                    "replay": replay,
                    "samples": lesson.samples if count else 0,
                    "learning_rate": lesson.learning_rate if count else 0.0,
                    "data_hash": data_hash if count else "",
                    "new_scenes": to_plain(Draw(split="layout", scenes=lesson.scenes)),
                },
                environment=world,
                draws=(old,) if count else (),
            )
        )
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """What teaching needs besides a setting.

    Attributes:
        run: Directory of the pilot.
        plan: Its plan.
        lesson: What is taught.
        new: Demonstrations of the new skill.
        new_cache: Their frames.
        parts: What trains, loads and makes environments.
    """

    run: RunDirectory
    plan: PilotPlan
    lesson: Lesson
    new: Material
    new_cache: FrameCache
    parts: Parts

    def evaluate(self, setting: Setting) -> Callable[[Cell], Evaluate]:
        """What teaches and evaluates one training under a setting."""

        def of(cell: Cell) -> Evaluate:
            def evaluate(
                actor: PolicyActor,
                world: Mapping[str, Any],
                episodes: Sequence[EpisodePlan],
                identity: Identity,
            ) -> tuple[list[EpisodeRecord], Mapping[str, Any]]:
                facts: Mapping[str, Any] = {}
                count = setting.facts["demonstrations"]
                if count:
                    root = self.run.root / "again" / setting.kind / setting.label / cell.id
                    facts = self._teach(cell, count, root)
                    policy = self.parts.load_policy(JobDirectory(root=root).checkpoint)
                    actor = PolicyActor(policy)
                run_all = in_lock_step(self.parts.make_environment)
                old = self.plan.question.environment or {}
                records, _ = run_all(actor, world, self._new_episodes(world), identity)
                kept, _ = run_all(actor, old, episodes, identity)
                return [*records, *kept], facts

            return evaluate

        return of

    def _new_episodes(self, world: Mapping[str, Any]) -> tuple[EpisodePlan, ...]:
        environment = self.parts.make_environment(world)
        draw = Draw(split="layout", scenes=self.lesson.scenes)
        try:
            return plan_draws(environment, (draw,), SeedTree(root=self.plan.question.seed).scenes())
        finally:
            environment.close()

    def _teach(self, cell: Cell, count: int, root: Path) -> Mapping[str, Any]:
        start = self.run.job(cell.id).checkpoint
        spec = self.spec(cell, count)
        trained = self.parts.train(spec, root, lambda progress: None, start=start)
        return {
            "training": to_plain(trained),
            "new_demonstrations": count,
            "replayed": len(spec.episodes) - count,
        }

    def spec(self, cell: Cell, count: int) -> TrainSpec:
        """The training that goes on: new and replayed demonstrations in one cache."""
        job = job_from_plain(read_json(self.run.job(cell.id).spec))
        before: TrainSpec = job.training  # pyright: ignore[reportAttributeAccessIssue]
        tree = SeedTree(root=self.plan.question.seed)
        shown = self.new.subset(tree, count, cell.seed)
        old = self._replayed(before, count, cell.seed)
        data = self.new_cache
        if old:
            data = self._joined(before, old, shown)
        return replace(
            before,
            samples=self.lesson.samples,
            learning_rate=self.lesson.learning_rate,
            data=str(data.directory),
            data_hash=data.content_hash,
            episodes=tuple(range(len(shown) + len(old))) if old else shown,
            validation_episodes=(
                tuple(range(len(shown) + len(old), len(data.episodes)))
                if old
                else self.new.validation
            ),
            seeds={name: seed_at(seed, ADAPT) for name, seed in before.seeds.items()},
            checkpoint_every=max(10, self.lesson.samples // before.batch_size // 8),
        )

    def _replayed(self, before: TrainSpec, count: int, seed: int) -> tuple[int, ...]:
        """Old demonstrations, drawn by the seed and nested across numbers."""
        many = round(self.lesson.replay * count)
        if many > len(before.episodes):
            raise ValueError(
                f"Replay asks for {many} old demonstrations, the training had "
                f"{len(before.episodes)}. Ask for less replay or fewer demonstrations."
            )
        tree = SeedTree(root=self.plan.question.seed)
        order = np.random.default_rng(seed_at(tree.subset(seed), "replay")).permutation(
            len(before.episodes)
        )
        return tuple(before.episodes[place] for place in order[:many].tolist())

    def _joined(self, before: TrainSpec, old: Sequence[int], shown: Sequence[int]) -> FrameCache:
        """New, then replayed, then validation demonstrations of the new skill in one cache."""
        past = open_cache(Path(before.data))
        new = self.new_cache
        source = digest([new.content_hash, list(shown), past.content_hash, list(old)])
        chosen = [
            *((new, number) for number in shown),
            *((past, number) for number in old),
            *((new, number) for number in self.new.validation),
        ]
        return build_cache(
            (cache.episode(number) for cache, number in chosen),
            self.new_cache.directory.parent / f"{ADAPT}-{source}",
            source=source,
        )
