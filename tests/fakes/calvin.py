"""CALVIN without CALVIN: a hand that goes where it is told, blocks, and a button.

Positions, units, thresholds and the order of numbers are CALVIN's; tests compare it with recorded
states. Its oracle knows lifting, the two lights, the drawer and the slider.
"""

from copy import deepcopy
from typing import Any

import numpy as np

from vertebra.envs.calvin.chains import COLOURS, RULES, Chain, initial_conditions
from vertebra.envs.calvin.world import CalvinWorld

BUTTON_M = np.array([-0.12, -0.12, 0.472])
LAG, FINGERS_M, STEP_M, TURN_RAD, WIDTH_M = 0.6, 0.03, 0.02, 0.05, 0.08
PRESSED_M = 0.0235
"""How high above the middle of the button the tool presses it."""


class FakeTable:
    """What ``envs.calvin.table.Table`` does, by a few rules of thumb."""

    def __init__(self) -> None:
        self.closed = self.drawn = 0

    def reset(self, robot: Any, scene: Any) -> None:
        self.at, self.target = robot.copy(), robot[:6].copy()
        self.world, self.held, self.pressed = scene.copy(), None, False
        self.contacts: set[str] = set()

    def step(self, action: Any) -> None:
        assert action.dtype == np.float64 and action[6] in (-1, 1), "as CALVIN asserts"
        self.target[:3] += STEP_M * action[:3]
        self.target[3:] += TURN_RAD * action[3:6]
        self.at[:6] += LAG * (self.target - self.at[:6])
        self.at[14] = action[6]
        wide = WIDTH_M if action[6] > 0 else (0.04 if self.held is not None else 0.0)
        self.at[6] += np.clip(wide - self.at[6], -0.04, 0.04)
        self.contacts = set()
        self._blocks(action[6])
        self._button()

    def _blocks(self, gripper: float) -> None:
        for place, colour in enumerate(COLOURS):
            block = self.world[6 + 6 * place : 9 + 6 * place]
            near = np.abs(self.at[:3] - block).max() < FINGERS_M
            if self.held == place and gripper > 0:
                self.held, block[2] = None, 0.46
            elif self.held is None and near and gripper < 0 and self.at[6] < 0.06:
                self.held = place
            if self.held == place:
                block[:] = self.at[:3]
                self.contacts.add(f"block_{colour}")

    def _button(self) -> None:
        over = np.abs(self.at[:2] - BUTTON_M[:2]).max() < 0.03
        pressed = bool(over and self.at[2] < BUTTON_M[2] + PRESSED_M)
        if pressed:
            self.contacts.add("button")
        if pressed and not self.pressed:
            self.world[5] = 1 - self.world[5]
        self.pressed = pressed

    def picture(self, camera: str) -> Any:
        self.drawn += 1
        side = {"rgb_static": 200, "rgb_gripper": 84}[camera]
        image = np.full((side, side, 3), 200, np.uint8)
        x, y = (np.clip(self.at[:2] + 0.5, 0, 0.99) * side).astype(int)
        image[y // 4 * 4 : y // 4 * 4 + 8, x // 4 * 4 : x // 4 * 4 + 8] = (20, 60, 90)
        return image

    def robot(self) -> Any:
        return self.at.copy()

    def scene(self) -> Any:
        return self.world.copy()

    def info(self) -> Any:
        return deepcopy({"scene": self.world, "held": self.held, "contacts": self.contacts})

    def achieved(self, before: Any, now: Any) -> list[str]:
        moved = now["scene"] - before["scene"]
        found = {
            "turn_on_led": moved[5] > 0.5,
            "turn_off_led": moved[5] < -0.5,
            "open_drawer": moved[1] > 0.12,
            "close_drawer": moved[1] < -0.12,
            "move_slider_left": moved[0] > 0.15,
            "move_slider_right": moved[0] < -0.15,
        }
        for place, colour in enumerate(COLOURS):
            found[f"lift_{colour}_block_table"] = (
                now["held"] == place and moved[8 + 6 * place] > 0.05
            )
        return sorted(name for name, yes in found.items() if yes)

    def touching(self, now: Any) -> list[str]:
        return sorted(now["contacts"])

    def button_m(self) -> Any:
        return BUTTON_M

    def close(self) -> None:
        self.closed += 1


def said(task: str) -> str:
    return f"please {task.replace('_', ' ')}"


class FakeCalvin(CalvinWorld):
    """The world over the fake table, with chains that the script can begin."""

    def _fingerprint(self) -> str:
        return "fake"

    def _sentences(self) -> Any:
        return {rule.name: said(rule.name) for rule in RULES}

    def _chains(self) -> Any:
        state = initial_conditions()[42]
        tail = ("close_drawer", "move_slider_right", "turn_on_lightbulb")
        return tuple(
            Chain(state=state, tasks=(*two, *tail))
            for two in (
                ("turn_on_led", "lift_blue_block_table"),
                ("lift_pink_block_table", "turn_on_led"),
                ("open_drawer", "turn_on_led"),
            )
        )

    def _open(self, scene: str) -> Any:
        self.scene = scene
        return FakeTable()
