"""The locked plan: what is compared, on what, with which budget and seeds.

A plan is locked before the first training starts and is never changed. Its hash stands in every
record.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vertebra.backbones.shipped import AUTOENCODER, prior_names, priors_of
from vertebra.backbones.sizes import size_by_name
from vertebra.backbones.trunk import Standing, standing_from_plain
from vertebra.evaluate.plan import Draw, draw_from_plain
from vertebra.pilot.extension import Extension
from vertebra.pilot.grid import Arm, Cell, Mix, arms_of, cells_of
from vertebra.pilot.jobs import ArmJob, Evaluation
from vertebra.pilot.material import Material
from vertebra.pilot.worlds import lanes_of
from vertebra.policy.recipe import Recipe
from vertebra.policy.saved import recipe_from_plain, recipe_to_plain
from vertebra.policy.shape import codable
from vertebra.spec.criteria import Criteria, criteria_changes, criteria_from_plain
from vertebra.spec.seeds import SeedTree
from vertebra.spec.storage import digest, to_plain
from vertebra.train.spec import PRECISIONS, TrainSpec

PLAN_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Question:
    """What the user asks.

    Attributes:
        recipes: What is compared; twins are added.
        counts: Numbers of demonstrations.
        seeds: How many training seeds.
        twins: Where blind twins are trained: ``largest``, ``all`` or ``none``.
        size: Name of a size.
        privileged: ``points`` or ``none``.
        budget_s: Wall-clock seconds for the whole grid.
        samples: Training windows of every arm when they are given instead of a budget.
        batch_size: Windows a step.
        precision: ``bf16``, ``fp32``, or ``auto``: the faster one here.
        environment: Settings of the environment, ``None`` without a simulator.
        draws: Scenes for the largest number of demonstrations.
        fewer_draws: Scenes for smaller numbers.
        seed: Root of the seed tree.
        criteria: What the verdict is judged by.
        full_from: Number of demonstrations from which on all scenes are evaluated and twins are
            trained; the largest when absent. Extended pilots keep the one that was locked.
        backbone: What backbones start from: ``prior``, ``scratch`` or ``shuffled``.
        priors: Name to SHA-256 of the shipped weights that any arm starts from.
        mixes: Recordings besides demonstrations; a recipe has an arm for each that teaches it.
        standing: Released models that the arms stand on, ``None`` for shipped backbones.
    """

    recipes: tuple[Recipe, ...]
    counts: tuple[int, ...]
    seeds: int = 3
    twins: str = "largest"
    size: str = "mini"
    privileged: str = "points"
    budget_s: float | None = None
    samples: int | None = None
    batch_size: int = 32
    precision: str = "auto"
    environment: Mapping[str, Any] | None = None
    draws: tuple[Draw, ...] = ()
    fewer_draws: tuple[Draw, ...] = ()
    seed: int = 0
    criteria: Criteria = field(default_factory=Criteria)
    full_from: int | None = None
    backbone: str = "scratch"
    priors: Mapping[str, str] = field(default_factory=dict[str, str])
    mixes: tuple[Mix, ...] = (Mix(),)
    standing: Standing | None = None

    def __post_init__(self) -> None:
        found: list[str] = []
        if (self.budget_s is None) == (self.samples is None):
            found.append("give either a budget or a number of samples, not both and not neither")
        if self.precision not in ("auto", *PRECISIONS):
            found.append(
                f"precision is {self.precision!r}, expected one of {('auto', *PRECISIONS)}"
            )
        if self.samples is not None and self.samples < self.batch_size:
            found.append(f"{self.samples} samples are less than one batch of {self.batch_size}")
        if self.environment is not None and not self.draws:
            found.append("an environment is given but no scenes to evaluate")
        for require in (lambda: size_by_name(self.size), lambda: self.cells):
            try:
                require()
            except ValueError as error:
                found.append(str(error))
        if found:
            raise ValueError("This pilot cannot be planned:\n  - " + "\n  - ".join(found))

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Recipes and twins."""
        return arms_of(self.recipes, twins=self.twins, mixes=self.mixes)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All trainings, in the order in which they are run."""
        return cells_of(
            self.arms, self.counts, self.seeds, twins=self.twins, full_from=self.full_from
        )

    def full_at(self, count: int) -> bool:
        """Whether a number of demonstrations is evaluated on all scenes."""
        return count >= (max(self.counts) if self.full_from is None else self.full_from)

    def draws_at(self, count: int) -> tuple[Draw, ...]:
        """The scenes for a number of demonstrations."""
        return self.draws if self.full_at(count) else self.fewer_draws or self.draws

    def extended(self, more: Extension) -> "Question":
        """The same question with more recipes, numbers of demonstrations and seeds."""
        return replace(
            self,
            recipes=(*self.recipes, *more.recipes),
            counts=(*self.counts, *more.counts),
            seeds=self.seeds + more.seeds,
            full_from=max(self.counts) if self.full_from is None else self.full_from,
        )

    def to_plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            **{name: to_plain(value) for name, value in vars(self).items() if name != "recipes"},
            "recipes": [recipe_to_plain(recipe) for recipe in self.recipes],
        }


def question_from_plain(plain: Mapping[str, Any]) -> Question:
    """Read a question; earlier versions knew of the criteria a target only."""
    values = dict(plain)
    target = values.pop("target_success", Criteria().target_success)
    criteria = values.get("criteria", {"target_success": target})
    return Question(
        **{
            **values,
            "recipes": tuple(recipe_from_plain(recipe) for recipe in plain["recipes"]),
            "counts": tuple(plain["counts"]),
            "draws": tuple(draw_from_plain(draw) for draw in plain["draws"]),
            "fewer_draws": tuple(draw_from_plain(draw) for draw in plain["fewer_draws"]),
            "criteria": criteria_from_plain(criteria),
            "mixes": tuple(Mix(**mix) for mix in plain.get("mixes", ({},))),
            "standing": standing_from_plain(plain.get("standing")),
        }
    )


@dataclass(frozen=True, kw_only=True)
class PilotPlan:
    """A locked plan.

    Attributes:
        question: What was asked and locked.
        environment: Name and version of the environment, ``None`` without a simulator.
        data_hash: Content hash of the recordings.
        samples: Training windows of every arm.
        precision: ``bf16`` or ``fp32``, the same for every arm.
        checkpoint_every: Steps between checkpoints.
        episodes: Hashes of the lists of planned episodes (``largest``, ``fewer``, ``reference``);
            empty without a simulator.
        criteria_locked: Whether the criteria are part of what is locked (not in older plans).
        data: Facts about the recordings; not hashed.
        calibration: What was measured before locking; not hashed.
        extensions: What was added later, each with a hash of its own.
    """

    question: Question
    environment: str | None
    data_hash: str
    samples: int
    precision: str
    checkpoint_every: int
    episodes: Mapping[str, str] = field(default_factory=dict[str, str])
    criteria_locked: bool = True
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    calibration: Mapping[str, Any] = field(default_factory=dict[str, Any])
    extensions: tuple[Extension, ...] = ()

    @property
    def grid(self) -> Question:
        """The question with all extensions: what is carried out."""
        question = self.question
        for more in self.extensions:
            question = question.extended(more)
        return question

    @property
    def costs(self) -> dict[str, Any]:
        """What was measured of every recipe, added ones too."""
        found = dict(self.calibration)
        for more in self.extensions:
            found |= more.calibration
        return found

    @property
    def hash(self) -> str:
        """Hash of everything that was locked and decides results; extensions do not change it."""
        return digest({name: value for name, value in self._plain().items() if name in _HASHED})

    def _plain(self) -> dict[str, Any]:
        question = self.question
        # Plans of earlier versions have no hashes of episodes and no criteria, and keep their hash.
        episodes = {"episodes": dict(self.episodes)} if self.episodes else {}
        criteria = {"criteria": to_plain(question.criteria)} if self.criteria_locked else {}
        backbone: dict[str, Any] = {
            "start": question.backbone,
            "priors": dict(question.priors),
        }
        if question.standing is not None:
            backbone |= {"start": "released", "standing": _unplaced(question.standing)}
        return {
            **episodes,
            **criteria,
            **({"backbone": backbone} if question.priors or question.standing else {}),
            "version": PLAN_VERSION,
            "arms": arms_to_plain(question.arms),
            "counts": sorted(question.counts),
            "seeds": list(range(question.seeds)),
            "jobs": cells_to_plain(question.cells),
            "samples": self.samples,
            "batch_size": question.batch_size,
            "size": question.size,
            "precision": self.precision,
            "checkpoint_every": self.checkpoint_every,
            "privileged": question.privileged,
            "environment": self.environment,
            "evaluation": {
                "settings": to_plain(question.environment),
                "draws": to_plain(question.draws),
                "fewer_draws": to_plain(question.fewer_draws),
            },
            "root_seed": question.seed,
            "data_hash": self.data_hash,
            "question": question.to_plain(),
            "data": to_plain(self.data),
            "calibration": to_plain(self.calibration),
        }

    def to_plain(self) -> dict[str, Any]:
        """As ``plan.json``."""
        return {"hash": self.hash, **self._plain()}


def arms_to_plain(arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """Arms as they stand in a plan."""
    return [
        {
            "name": arm.name,
            "recipe": arm.recipe,
            "family": arm.family,
            "blind": arm.blind,
            "definition": recipe_to_plain(arm.definition),
            **({"mix": to_plain(arm.mix)} if arm.mix.total else {}),
        }
        for arm in arms
    ]


def _unplaced(standing: Standing) -> dict[str, Any]:
    """Released models as they decide results: wherever they lie."""
    plain: dict[str, Any] = to_plain(standing)
    for one in standing.trunks:
        del plain[one.what]["where"]
    return plain


def cells_to_plain(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Trainings as they stand in a plan."""
    return [
        {
            "id": cell.id,
            "arm": cell.arm.name,
            "demonstrations": cell.demonstrations,
            "seed": cell.seed,
        }
        for cell in cells
    ]


_HASHED = frozenset(
    {
        "version",
        "arms",
        "counts",
        "seeds",
        "jobs",
        "samples",
        "batch_size",
        "size",
        "precision",
        "checkpoint_every",
        "privileged",
        "environment",
        "evaluation",
        "episodes",
        "criteria",
        "backbone",
        "root_seed",
        "data_hash",
    }
)


def plan_from_plain(plain: Mapping[str, Any]) -> PilotPlan:
    """Read ``plan.json``.

    Raises:
        ValueError: On another version, or when it was changed by hand (its hash differs).
    """
    if plain.get("version") != PLAN_VERSION:
        raise ValueError(
            f"plan.json has version {plain.get('version')!r}, this program reads version "
            f"{PLAN_VERSION}. Use the version of vertebra that wrote it."
        )
    plan = PilotPlan(
        question=question_from_plain(plain["question"]),
        environment=plain["environment"],
        data_hash=plain["data_hash"],
        samples=plain["samples"],
        precision=plain["precision"],
        checkpoint_every=plain["checkpoint_every"],
        episodes=plain.get("episodes", {}),
        criteria_locked="criteria" in plain,
        data=plain["data"],
        calibration=plain["calibration"],
    )
    if plan.hash != plain["hash"]:
        raise ValueError(
            f"plan.json says its hash is {plain['hash']}, but its content has {plan.hash}: it was "
            "changed after locking, or written by another version of vertebra. Restore it, or "
            "start a new pilot in another directory."
        )
    return plan


def differences(locked: Question, asked: Question) -> list[str]:
    """Everything in which a question differs from the one that was locked, in words."""
    one, other = locked.to_plain(), asked.to_plain()
    found: list[str] = []
    for name in one:
        if one[name] == other[name]:
            continue
        if name == "criteria":
            found += criteria_changes(locked.criteria, asked.criteria)
            continue
        if name == "standing" and locked.standing == asked.standing:
            continue  # the same models in another place
        shown = (_shown(name, one[name]), _shown(name, other[name]))
        if shown[0] == shown[1]:
            shown = (f"{shown[0]} as they were", "changed definitions")
        found.append(f"{name}: locked is {shown[0]}, asked is {shown[1]}")
    return found


def _shown(name: str, value: Any) -> str:
    """A part of a question in few words."""
    if name == "recipes":
        return str([recipe["name"] for recipe in value])
    if name in ("draws", "fewer_draws"):
        words = [
            f"{draw['scenes']} x {draw['instructions']} {draw['split']} "
            f"({'/'.join(draw['conditions'])})"
            for draw in value
        ]
        return ", ".join(words) or "none"
    return str(value)


def require_same(locked: PilotPlan, asked: Question, data_hash: str, where: str) -> None:
    """Refuse to continue a directory that was locked for something else.

    Raises:
        ValueError: Naming every difference.
    """
    found = differences(locked.question, asked)
    if locked.data_hash != data_hash:
        found.append(f"data: locked is content {locked.data_hash}, found is {data_hash}")
    if found:
        raise ValueError(
            f"{where} holds another pilot, which was locked and cannot be changed:\n  - "
            + "\n  - ".join(found)
            + "\nAsk for the same, or give another directory with --out. Recipes, numbers of "
            f"demonstrations and seeds can be added with `vertebra extend {where}`."
        )


def training_of(
    question: Question,
    material: Material,
    cell: Cell,
    *,
    samples: int,
    precision: str,
    checkpoint_every: int,
) -> TrainSpec:
    """The training of one cell of the grid."""
    tree = SeedTree(root=question.seed)
    unlabelled, video_only = material.extras(tree, cell.arm.mix, cell.seed)
    return TrainSpec(
        recipe=cell.arm.definition,
        size=question.size,
        needs=material.needs,
        makes=material.makes,
        priors=_priors(question, cell.arm),
        standing=question.standing and question.standing.under(cell.arm.definition.backbone),
        privileged=question.privileged,
        samples=samples,
        batch_size=question.batch_size,
        data=material.cache,
        data_hash=material.data_hash,
        episodes=material.subset(tree, cell.demonstrations, cell.seed),
        unlabelled=unlabelled,
        video_only=video_only,
        validation_episodes=material.validation,
        seeds=tree.training(cell.seed),
        checkpoint_every=checkpoint_every,
        precision=precision,
    )


def priors_of_arms(recipes: Sequence[Recipe], size: str, start: str) -> dict[str, str]:
    """Name to SHA-256 of the shipped weights that any of these recipes starts from.

    Raises:
        ValueError: When one is not shipped.
    """
    found: dict[str, str] = {}
    for recipe in recipes:
        found |= priors_of(recipe.backbone, size, start, imagines=codable(recipe))
    return found


def _priors(question: Question, arm: Arm) -> dict[str, str]:
    recipe = arm.definition
    names = prior_names(recipe.backbone, question.size, question.backbone)
    if codable(recipe):
        names = (*names, f"{AUTOENCODER}-{question.size}")
    return {name: question.priors[name] for name in names if name in question.priors}


def evaluation_of(question: Question, material: Material, draws: Sequence[Draw]) -> Evaluation:
    """The evaluation of one cell of the grid."""
    return Evaluation(
        environment=question.environment,
        draws=tuple(draws) if question.environment is not None else (),
        seed=SeedTree(root=question.seed).scenes(),
        lanes=lanes_of(question.environment),
        held_out=material.held_out,
    )


def jobs_of(plan: PilotPlan, material: Material) -> tuple[ArmJob, ...]:
    """All trainings of a plan, in the order in which they are run."""
    question = plan.grid
    return tuple(
        ArmJob(
            id=cell.id,
            plan=plan.hash,
            arm=cell.arm.name,
            recipe=cell.arm.recipe,
            family=cell.arm.family,
            blind=cell.arm.blind,
            demonstrations=cell.demonstrations,
            seed=cell.seed,
            training=training_of(
                question,
                material,
                cell,
                samples=plan.samples,
                precision=plan.precision,
                checkpoint_every=plan.checkpoint_every,
            ),
            evaluation=replace(
                evaluation_of(question, material, question.draws_at(cell.demonstrations)),
                films=12 if cell.seed == 0 else 0,
            ),
        )
        for cell in question.cells
    )
