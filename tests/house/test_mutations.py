"""The tests would catch a lie: each of these faults makes a check of the fast tests fail.

A fault is put into the loaded program and taken out again. The checks are the ones that ordinary
tests call; see also ``contracts/test_visibility.py``, which flips every edge of every recipe.
"""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from checks import flow
from checks.outcomes import check_outcomes
from checks.visibility import check_closure, check_edges, check_table
from checks.windows import check_windows
from fakes.networks import label
from vertebra.coupling.joint import JointAttention
from vertebra.data.statistics import Normaliser
from vertebra.data.windows import Windows
from vertebra.evaluate import run
from vertebra.flow import path, solver, times
from vertebra.policy import losses
from vertebra.policy.recipe import Recipe
from vertebra.recipes.fast_wam import FAST_WAM, FAST_WAM_IDM, FAST_WAM_JOINT
from vertebra.recipes.pi0 import PI0
from vertebra.schedules import generate
from vertebra.spec.streams import ALL
from vertebra.spec.task import Outcome

Patch = pytest.MonkeyPatch


def caught(check: Callable[[], None]) -> None:
    with pytest.raises(AssertionError):
        check()


def without(recipe: Recipe, query: str, key: str) -> Recipe:
    """The recipe with one edge dropped."""
    changed = copy.copy(recipe)
    row = {name: reach for name, reach in recipe.trunk.sees[query].items() if name != key}
    object.__setattr__(changed, "coupling", recipe.trunk.with_sight(query, **row))
    return changed


@pytest.mark.parametrize(
    ("recipe", "query", "key"),
    [
        (PI0, "action", "text"),
        (PI0, "image", "text"),
        (FAST_WAM, "action", "frame"),
        (FAST_WAM, "future", "frame"),
        (FAST_WAM_JOINT, "action", "future"),
        (FAST_WAM_IDM, "action", "clean_future"),
    ],
    ids=lambda value: label(value) if isinstance(value, Recipe) else value,
)
@pytest.mark.parametrize("check", [check_table, check_edges])
def test_a_dropped_edge(
    recipe: Recipe, query: str, key: str, check: Callable[[Recipe], None]
) -> None:
    check(recipe)
    caught(lambda: check(without(recipe, query, key)))


def test_a_table_that_attention_does_not_follow(monkeypatch: Patch) -> None:
    def leaking(self: Any, tokens: Any, **more: Any) -> Any:
        # The action looks at the future although its row does not say so.
        joint = self.joint
        self.joint = joint.with_sight("action", **{**joint.sees["action"], "future": ALL})
        try:
            return real(self, tokens, **more)
        finally:
            self.joint = joint

    real = JointAttention.forward
    check_edges(FAST_WAM)
    check_closure(FAST_WAM)
    monkeypatch.setattr(JointAttention, "forward", leaking)
    caught(lambda: check_edges(FAST_WAM))
    caught(lambda: check_closure(FAST_WAM))


def test_a_flipped_gripper(monkeypatch: Patch) -> None:
    pytest.importorskip("mujoco")
    from checks.gripper import check_gripper
    from vertebra.demonstrate import demonstrator
    from vertebra.envs.tabletop.episode import Episode

    flip = np.array([1, 1, 1, -1], np.float32)
    check_gripper()
    apply, made = Episode.apply, demonstrator.demonstrated_action
    back = Normaliser.denormalise
    faults: list[tuple[Any, str, Any]] = [
        (Episode, "apply", lambda self, action: apply(self, action * flip)),
        (demonstrator, "demonstrated_action", lambda *seen: made(*seen) * flip),
        (Normaliser, "denormalise", lambda self, values: back(self, values) * flip),
    ]
    for where, name, fault in faults:
        with monkeypatch.context() as patch:
            patch.setattr(where, name, fault)
            caught(check_gripper)


@pytest.mark.parametrize("shift", [-1, 1])
def test_a_window_shifted_by_one(shift: int, monkeypatch: Patch) -> None:
    actions, frames = Windows._actions, Windows._frames
    check_windows()
    with monkeypatch.context() as patch:
        patch.setattr(
            Windows, "_actions", lambda self, here, last: actions(self, here + shift, last)
        )
        caught(check_windows)
    with monkeypatch.context() as patch:
        patch.setattr(
            Windows,
            "_frames",
            lambda self, wanted, start, last: frames(self, wanted + shift, start, last),
        )
        caught(check_windows)


class Swapped:
    """Outcomes with success and timeout exchanged."""

    SUCCESS, TIMEOUT, ERROR = Outcome.TIMEOUT, Outcome.SUCCESS, Outcome.ERROR


def test_a_swapped_success_rule(monkeypatch: Patch) -> None:
    check_outcomes()
    monkeypatch.setattr(run, "Outcome", Swapped)
    caught(check_outcomes)


def test_a_judge_that_does_not_ask_what_was_asked(monkeypatch: Patch) -> None:
    step = run._Block._step

    def lenient(self: Any, lane: Any) -> None:
        step(self, lane)
        if lane.achieved:
            lane.outcome = Outcome.SUCCESS

    def asked_another(self: Any, lane: Any) -> None:
        tasks = lane.plan.initial_state.tasks
        other = tasks[(tasks.index(lane.plan.task) + 1) % len(tasks)]
        plan, lane.plan = lane.plan, replace(lane.plan, task=other)
        step(self, lane)
        lane.plan = plan

    check_outcomes()
    for fault in (lenient, asked_another):
        monkeypatch.setattr(run._Block, "_step", fault)
        caught(check_outcomes)


def backwards(noise: Tensor, data: Tensor, time: Tensor) -> Tensor:
    return time * noise + (1.0 - time) * data


def test_flow_time_that_runs_backwards(monkeypatch: Patch) -> None:
    draw, euler = times.draw_times, solver.euler

    def from_data(velocity: Any, noise: dict[str, Tensor], steps: int) -> dict[str, Tensor]:
        return euler(lambda values, at: velocity(values, 1.0 - at), noise, steps)

    def fall(*how: Any) -> tuple[float, ...]:
        return tuple(1.0 - time for time in steps_of(*how))

    steps_of = generate.steps_of
    flow.check_time_direction()
    faults: list[tuple[Any, str, Any, Callable[[], None]]] = [
        (path, "between", backwards, flow.check_path),
        (path, "velocity", lambda noise, data: noise - data, flow.check_path),
        (times, "draw_times", lambda *how: 1.0 - draw(*how), flow.check_draws),
        (solver, "euler", from_data, flow.check_solver),
        (generate, "steps_of", fall, flow.check_schedules),
        (losses, "between", backwards, flow.check_losses),
    ]
    for where, name, fault, check in faults:
        with monkeypatch.context() as patch:
            patch.setattr(where, name, fault)
            caught(check)
            caught(flow.check_time_direction)
