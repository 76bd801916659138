"""A run directory as a pilot writes it, made from known probabilities instead of policies."""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from vertebra.spec.record import EpisodeRecord, Timing
from vertebra.spec.storage import digest, write_json, write_jsonl
from vertebra.spec.task import Outcome

SKILLS = ("lift", "push", "put")
COLOURS = {
    "red": (205, 70, 62),
    "blue": (66, 110, 190),
    "green": (72, 150, 92),
    "yellow": (224, 186, 72),
}
SPLITS = ("layout", "pair", "composition")
SCENES = (26, 12, 12)


@dataclass(frozen=True, kw_only=True)
class FakeArm:
    """An arm with the probabilities that its rollouts are drawn from.

    Attributes:
        name: Name of the arm.
        recipe: Recipe.
        family: Family.
        blind: Blind twin.
        act: Probability to finish whatever task it takes on, at the largest count.
        hear: Probability that the task it takes on is the asked one (1/3 = by chance).
        imagines: Error of imagined frames over the error of copying, ``None`` when it imagines not.
        latency_s: (prefix, action) medians.
    """

    name: str
    recipe: str
    family: str
    blind: bool = False
    act: float = 0.8
    hear: float = 0.9
    imagines: float | None = None
    latency_s: tuple[float, float] = (0.006, 0.021)


ARMS = (
    FakeArm(name="pi0", recipe="pi0", family="vla"),
    FakeArm(
        name="fast-wam",
        recipe="fast-wam",
        family="wam",
        act=0.62,
        hear=0.8,
        imagines=0.74,
        latency_s=(0.011, 0.026),
    ),
    FakeArm(name="pi0+blind", recipe="pi0", family="vla", blind=True, hear=1 / 3),
    FakeArm(
        name="fast-wam+blind",
        recipe="fast-wam",
        family="wam",
        blind=True,
        act=0.62,
        hear=1 / 3,
        imagines=0.81,
    ),
)


def fake_record(**changes: Any) -> EpisodeRecord:
    """A failed rollout with every field filled; give what matters."""
    plain: dict[str, Any] = {
        "pilot": "fake",
        "arm": "pi0",
        "family": "vla",
        "demonstrations": 800,
        "seed": 0,
        "environment": "tabletop-v1",
        "split": "layout",
        "condition": "asked",
        "initial_state": "state",
        "initial_hash": "hash",
        "scene_seed": 0,
        "task": "lift/red",
        "skill": "lift",
        "instruction": "lift the red box",
        "outcome": Outcome.TIMEOUT,
        "achieved": (),
        "first_touched": None,
        "first_grasped": None,
        "target": "red",
        "progress": 0.0,
        "steps": 40,
        "model_evaluations": {},
        "spec_hash": "fake",
    }
    return EpisodeRecord(**{**plain, **changes})


def write_run(
    out: Path,
    *,
    arms: tuple[FakeArm, ...] = ARMS,
    counts: tuple[int, ...] = (200, 800),
    seeds: tuple[int, ...] = (0, 1, 2),
    finished: int | None = None,
    simulator: bool = True,
    seed_sd: float = 0.25,
    pictures: bool = True,
    latency: bool = True,
    scenes: tuple[int, ...] = SCENES,
    rng_seed: int = 0,
) -> Path:
    """Write a run directory.

    Args:
        out: Where.
        arms: What is compared.
        counts: Numbers of demonstrations; twins get the largest only.
        seeds: Training seeds.
        finished: How many jobs have finished (all by default), largest count first.
        simulator: Without one, offline figures replace episodes.
        seed_sd: Spread of training seeds, in logits.
        pictures: Whether to draw strips.
        latency: Whether latency was measured.
        scenes: Initial states of each of ``SPLITS``.
        rng_seed: Seed of everything drawn.

    Returns:
        ``out``.
    """
    plan = {**_plan(arms, counts, seeds, simulator), "scenes": list(scenes)}
    write_json(out / "plan.json", plan)
    slots = [
        (arm, count, seed)
        for count in sorted(counts, reverse=True)
        for seed in seeds
        for arm in arms
        if not arm.blind or count == max(counts)
    ]
    for arm, count, seed in slots[:finished]:
        rng = np.random.default_rng([rng_seed, seed, count, *arm.name.encode()])
        _write_job(out, plan, arm, count, seed, max(counts), seed_sd, simulator, pictures, rng)
    if simulator:
        _write_references(out, plan)
    if latency and slots[:finished]:
        rng = np.random.default_rng(rng_seed)
        done = dict.fromkeys(arm for arm, _, _ in slots[:finished])
        write_json(out / "latency.json", {arm.name: _latency(arm, rng) for arm in done})
    return out


def _plan(arms: Any, counts: Any, seeds: Any, simulator: bool) -> dict[str, Any]:
    plan: dict[str, Any] = {
        "version": 1,
        "arms": [
            {"name": a.name, "recipe": a.recipe, "family": a.family, "blind": a.blind} for a in arms
        ],
        "counts": list(counts),
        "seeds": list(seeds),
        "samples": 96_000,
        "privileged": "points" if simulator else "none",
        "environment": "tabletop-v1" if simulator else None,
        "evaluation": {"scenes": 50, "instructions": 3},
        "data": {"path": "demonstrations", "episodes": 1000},
        "calibration": {"samples_per_second": 410.0},
        "question": {"target_success": 0.6},
    }
    return {**plan, "hash": digest(plan)}


def _write_job(
    out: Path,
    plan: dict[str, Any],
    arm: FakeArm,
    count: int,
    seed: int,
    most: int,
    seed_sd: float,
    simulator: bool,
    pictures: bool,
    rng: np.random.Generator,
) -> None:
    job = f"{arm.name}-{count}-s{seed}"
    folder = out / "jobs" / job
    learnt = 0.55 * math.log(count / most)
    shift = rng.normal(0, seed_sd) + learnt
    if simulator:
        _write_records(folder / "records.jsonl", _records(plan, arm, count, seed, shift, rng))
    steps = 1500
    losses = [
        (step, 0.9 * math.exp(-step / 500) + 0.16 + 0.01 * rng.normal() - 0.03 * learnt)
        for step in range(100, steps + 1, 100)
    ]
    write_jsonl(folder / "training.jsonl", [{"step": s, "loss": v} for s, v in losses])
    if pictures:
        _write_pictures(folder / "show", arm, rng)
    spec = {"id": job, "arm": arm.name, "recipe": arm.recipe, "family": arm.family}
    write_json(
        folder / "job.json",
        {**spec, "blind": arm.blind, "demonstrations": count, "seed": seed},
    )
    write_json(folder / "result.json", _result(arm, count, losses, simulator, rng))


def _result(
    arm: FakeArm, count: int, losses: Any, simulator: bool, rng: np.random.Generator
) -> dict[str, Any]:
    best = min(losses, key=lambda pair: pair[1])
    imagined = None
    if arm.imagines is not None:
        copy = 0.08 + 0.004 * rng.normal()
        ratio = arm.imagines * math.exp(0.05 * rng.normal())
        imagined = {
            "model_error_moving": ratio * copy,
            "sample_error_moving": 1.2 * ratio * copy,
            "copy_error_moving": copy,
            "moving_share": 0.08,
            "frames": 240,
            "pixels": 16,
            "future_steps": [6, 14],
        }
    offline = None
    if not simulator:
        offline = {
            "version": 1,
            "action_error": 0.71 + 0.02 * rng.normal(),
            "error_of_mean_action": 1.02,
            "error_of_repeated_action": 0.88,
            "sensitivity": 1.0 if arm.blind else 1.6 + 0.05 * rng.normal(),
            "sensitivity_to_silence": 1.0 if arm.blind else 2.1 + 0.05 * rng.normal(),
            "shift_of_noise": 0.2,
            "directional": "not measurable: targets are not annotated",
            "directional_swaps": 0,
            "windows": 200,
            "episodes": 8,
            "details": {"mean_absolute_error": {"x": {"value": 0.01, "unit": "m"}}},
        }
    seconds = 205 + 20 * rng.random()
    return {
        "version": 1,
        "training": {
            "samples": 96_000,
            "steps": 1500,
            "flops": 2.1e14 if arm.family == "vla" else 2.3e14,
            "seconds": seconds,
            "parameters": 1_120_000 if arm.family == "vla" else 1_190_000,
            "still_improving": best[0] == losses[-1][0],
            "best_step": best[0],
            "validation": losses,
        },
        "ledger": {
            "demonstrations": count,
            "language_labels": 0 if arm.blind else count,
            "privileged_targets": 15 * count if simulator and not arm.blind else 0,
            "video_frames": 0 if arm.imagines is None else 15 * count,
            "samples": 96_000,
            "flops": 2.1e14 if arm.family == "vla" else 2.3e14,
            "train_seconds": seconds,
            "evaluation_seconds": 38.0,
            **dict.fromkeys(("unlabelled", "video_only", "extra_labels", "extra_frames"), 0),
        },
        "imagined": imagined,
        "offline": offline,
    }


def _scenes(counts: tuple[int, ...], seed: int = 5) -> list[dict[str, Any]]:
    """States with three tasks each, the same for every arm; ``counts`` in the order of SPLITS."""
    rng = np.random.default_rng(seed)
    scenes: list[dict[str, Any]] = []
    for split, count in zip(SPLITS, counts, strict=True):
        for i in range(count):
            colours = list(rng.permutation(list(COLOURS)))[:3]
            tasks = [
                (f"{skill}/{colour}-box" + ("/zone" if skill != "lift" else ""), skill, colour)
                for skill, colour in zip(rng.permutation(SKILLS), colours, strict=True)
            ]
            scenes.append(
                {"id": f"{split}-{i:03d}", "split": split, "tasks": tasks, "seed": int(i)}
            )
    return scenes


def _records(
    plan: dict[str, Any],
    arm: FakeArm,
    count: int,
    seed: int,
    shift: float,
    rng: np.random.Generator,
) -> list[EpisodeRecord]:
    act = _shifted(arm.act, shift)
    chance = 1 / 3
    hear = chance + (arm.hear - chance) * min(1.0, max(0.0, 1 + 0.4 * shift))
    rows: list[EpisodeRecord] = []
    for scene in _scenes(tuple(plan["scenes"])):
        hard = 0.5 * np.random.default_rng(scene["seed"]).normal()
        for k, task in enumerate(scene["tasks"]):
            asked = {"asked": hear}
            if k == 0:
                asked |= {"paraphrase": 0.9 * hear, "blank": chance, "nonsense": chance}
            for condition, hearing in asked.items():
                rows.append(
                    _rollout(
                        plan,
                        arm,
                        count,
                        seed,
                        scene,
                        task,
                        condition,
                        hearing,
                        _shifted(act, hard),
                        rng,
                    )
                )
    return rows


def _rollout(
    plan: dict[str, Any],
    arm: FakeArm,
    count: int,
    seed: int,
    scene: dict[str, Any],
    task: tuple[str, str, str],
    condition: str,
    hearing: float,
    act: float,
    rng: np.random.Generator,
) -> EpisodeRecord:
    others = [t for t in scene["tasks"] if t != task]
    taken = task if rng.random() < hearing else others[rng.integers(len(others))]
    touched = rng.random() < (1.0 if hearing == 1.0 else 0.95)
    done = touched and rng.random() < act
    outcome = Outcome.SUCCESS if done and taken == task else Outcome.TIMEOUT
    achieved = (taken[0],) if done else ()
    if done and rng.random() < 0.03:
        achieved = tuple(sorted({taken[0], others[0][0]}))
    error = ""
    if hearing < 1 and rng.random() < 0.004:
        outcome, achieved, error = Outcome.ERROR, (), "Traceback: the simulator diverged"
    words = {
        "asked": f"{task[1]} the {task[2]} box",
        "paraphrase": f"could you {task[1]} the box that is {task[2]}?",
        "blank": "",
        "nonsense": "seven quiet umbrellas",
    }
    return EpisodeRecord(
        pilot=plan["hash"],
        arm=arm.name,
        family=arm.family,
        demonstrations=count,
        seed=seed,
        environment="tabletop-v1",
        split=scene["split"],
        condition=condition,
        initial_state=scene["id"],
        initial_hash=digest(scene["id"]),
        scene_seed=scene["seed"],
        task=task[0],
        skill=task[1],
        instruction=words[condition],
        outcome=outcome,
        achieved=achieved,
        first_touched=f"{taken[2]}-box" if touched else None,
        first_grasped=f"{taken[2]}-box" if done else None,
        target=f"{task[2]}-box",
        progress=1.0 if outcome == Outcome.SUCCESS else 0.4 * float(rng.random()),
        steps=int(rng.integers(14, 40)),
        model_evaluations={"prefix": 5, "action": 50},
        error=error,
        spec_hash="fake",
        software={"commit": "0" * 7, "dirty": False},
        timing=Timing(latency_s=(0.02,), wall_s=0.4),
    )


def _write_references(out: Path, plan: dict[str, Any]) -> None:
    rows: list[EpisodeRecord] = []
    rng = np.random.default_rng(77)
    for name, act, hear in (("demonstrator", 0.9999, 1.0), ("random", 0.02, 1 / 3)):
        arm = FakeArm(name=name, recipe=name, family="control")
        rows += [
            replace(
                _rollout(plan, arm, 0, 0, scene, task, "asked", hear, act, rng),
                model_evaluations={},
            )
            for scene in _scenes(tuple(plan["scenes"]))
            for task in scene["tasks"]
        ]
    _write_records(out / "reference" / "records.jsonl", rows)


def _write_records(path: Path, records: list[EpisodeRecord]) -> None:
    """The same lines as ``write_jsonl``, which spends most of a test on conversions."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{**vars(record), "timing": vars(record.timing)} for record in records]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _latency(arm: FakeArm, rng: np.random.Generator) -> dict[str, list[float]]:
    prefix = arm.latency_s[0] * np.exp(0.08 * rng.normal(size=200))
    action = arm.latency_s[1] * np.exp(0.12 * rng.normal(size=200))
    return {
        "prefix": prefix.tolist(),
        "action": action.tolist(),
        "chunk": (prefix + action + 0.001).tolist(),
    }


def _shifted(rate: float, logits: float) -> float:
    return 1 / (1 + math.exp(-(math.log(rate / (1 - rate)) + logits)))


def _write_pictures(folder: Path, arm: FakeArm, rng: np.random.Generator) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    entries = [
        {
            "file": "rollout_0.png",
            "kind": "rollout",
            "caption": "“put the red box on the blue plate”: success after 18 steps",
        },
        {
            "file": "rollout_1.png",
            "kind": "rollout",
            "caption": "“lift the green box”, same scene: timeout, touched the red box first",
        },
    ]
    for i in range(2):
        _strip(8, rng).save(folder / f"rollout_{i}.png")
    if arm.imagines is not None:
        rows = [_strip(6, rng), _strip(6, rng)]
        both = Image.new("RGB", (rows[0].width, 2 * rows[0].height + 2), (255, 255, 255))
        both.paste(rows[0], (0, 0))
        both.paste(
            rows[1].resize((rows[1].width // 4, 16)).resize(rows[1].size), (0, rows[0].height + 2)
        )
        both.save(folder / "imagined_0.png")
        entries.append(
            {
                "file": "imagined_0.png",
                "kind": "imagined",
                "caption": "Top: recorded future. Bottom: imagined at the first frame.",
            }
        )
    write_json(folder / "show.json", entries)


def _strip(frames: int, rng: np.random.Generator, size: int = 96) -> Image.Image:
    strip = Image.new("RGB", (frames * size, size), (203, 193, 180))
    draw = ImageDraw.Draw(strip)
    places = {name: rng.integers(20, size - 24, size=2) for name in COLOURS}
    moved = list(COLOURS)[int(rng.integers(len(COLOURS)))]
    for f in range(frames):
        draw.rectangle((f * size, 0, (f + 1) * size - 1, size), fill=(203, 193, 180))
        for name, place in places.items():
            x, y = place + (np.array([f * 3, -f * 2]) if name == moved else 0)
            draw.rectangle((f * size + x, y, f * size + x + 12, y + 12), fill=COLOURS[name])
        draw.line((f * size, 0, f * size, size), fill=(255, 255, 255))
    return strip
