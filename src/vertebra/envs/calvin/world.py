"""CALVIN's play table as a world. Runs where CALVIN is set up; imports it when it is made."""

import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertebra.envs.adapter import Adapter
from vertebra.envs.calvin.chains import (
    CHAINS,
    DRAWER,
    LINKS,
    RULE_BY_NAME,
    SLIDER,
    Chain,
    feasible,
    initial_conditions,
    stored_chains,
)
from vertebra.envs.calvin.demonstrator import actions, demonstrable, poses
from vertebra.envs.calvin.protocols import EVALUATED_IN, TRAINED_IN, protocol_by_name
from vertebra.envs.calvin.specs import ACTION, offers
from vertebra.envs.calvin.start import drawn_start, starting_point
from vertebra.envs.calvin.table import Table, fingerprint, sentences
from vertebra.spec.seeds import seed_at
from vertebra.spec.storage import to_plain
from vertebra.spec.task import InitialState, Task

SPLITS = ("official", "layout", "train", "validation")
THEN = ", then "


class CalvinWorld(Adapter):
    """CALVIN's table under a protocol.

    Args:
        world: Which scenes demonstrations come from, and which one is evaluated in.
        protocol: Name of the protocol.
        clone: The user's clone of CALVIN.
    """

    takes = ACTION

    def __init__(self, world: str, protocol: str, clone: str) -> None:
        how = protocol_by_name(protocol)
        self.how, self.clone, self._scenes = how, Path(clone), TRAINED_IN[world]
        self.name = f"calvin:{world}:{protocol}"
        self.facts = {
            "world": world,
            "scenes": {"trained": list(self._scenes), "evaluated": EVALUATED_IN},
            "protocol": to_plain(how),
            "clone": self._fingerprint(),
        }
        self.offers = offers(how)
        self.max_steps = how.link_steps
        self._said = self._sentences()
        self._table: Table | None = None
        self._scene = ""

    def _fingerprint(self) -> str:
        return fingerprint(self.clone)

    def _sentences(self) -> Mapping[str, str]:
        return sentences(self.clone)

    def _chains(self) -> Sequence[Chain]:
        return stored_chains(Path(sys.prefix) / "calvin_chains.json")

    def _open(self, scene: str) -> Table:
        return Table(self.clone, scene, self.how.robot, self.how.renderer)

    def initial_states(self, split: str, count: int, seed: int) -> tuple[InitialState, ...]:
        """The first initial states of a split.

        ``official``: the published chains in their order, each in its own state. ``layout``: the
        published initial conditions, shuffled by the seed, each with all that can be asked in it
        (single tasks or chains, as the protocol says). Else: in the scenes of the demonstrations,
        blocks placed anew, asked for what the demonstrator can do.

        Raises:
            ValueError: On an unknown split, or more states than there are.
        """
        if split not in SPLITS:
            raise ValueError(f"Found split {split!r}; CALVIN has {SPLITS}.")
        conditions = initial_conditions()
        most = {"official": CHAINS, "layout": len(conditions)}.get(split, count)
        if count > most:
            raise ValueError(f"{count} initial states are asked for; {split!r} has {most}.")
        if split == "official":
            return tuple(
                self._initial(f"chain-{number:04d}", split, chain.state, [self._chain(chain)])
                for number, chain in enumerate(self._chains()[:count])
            )
        if split == "layout":
            order = np.random.default_rng(seed_at(seed, "calvin", split)).permutation(
                len(conditions)
            )
            return tuple(
                self._initial(f"start-{place:03d}", split, conditions[place], self._asked(place))
                for place in order[:count].tolist()
            )
        return tuple(self._anew(split, seed_at(seed, split, number)) for number in range(count))

    def _asked(self, place: int) -> list[Task]:
        """All that is asked in one of the published conditions."""
        state = initial_conditions()[place]
        if self.how.layout_links == 1:
            return [self._single(rule.name) for rule in feasible(state)]
        mine = [chain for chain in self._chains() if chain.state == state]
        return [self._chain(chain) for chain in {chain.tasks: chain for chain in mine}.values()]

    def _anew(self, split: str, seed: int) -> InitialState:
        rng = np.random.default_rng(seed)
        closed = [
            state
            for state in initial_conditions()
            if state[SLIDER] == "right" and state[DRAWER] == "closed"  # else where they are differs
        ]
        state = closed[int(rng.integers(len(closed)))]
        scene = self._scenes[int(rng.integers(len(self._scenes)))]
        drawn = seed % 2**31
        names = [rule.name for rule in feasible(state) if demonstrable(rule.name)]
        tasks = [self._single(name) for name in names]
        return self._initial(f"{scene}-{split}-{drawn}", split, state, tasks, scene, drawn)

    def _initial(
        self,
        name: str,
        split: str,
        state: Mapping[str, Any],
        tasks: Sequence[Task],
        scene: str = EVALUATED_IN,
        seed: int | None = None,
    ) -> InitialState:
        data = {"scene": scene, "state": dict(state), "seed": seed}
        return InitialState(id=name, split=split, tasks=tuple(tasks), data=data)

    def _single(self, name: str) -> Task:
        return Task(id=name, skill=RULE_BY_NAME[name].kind, instruction=self._said[name])

    def _chain(self, chain: Chain) -> Task:
        said = THEN.join(self._said[name] for name in chain.tasks)
        return Task(id=">".join(chain.tasks), skill="chain", instruction=said, links=LINKS)

    def restore(self, initial_state: InitialState, task: Task, seed: int) -> None:
        """Make the scene anew, if the protocol says so, and put everything into its place."""
        del seed  # the physics has no noise of its own
        data = initial_state.data
        if self.how.fresh or self._scene != data["scene"]:
            self.close()
            self._table, self._scene = self._open(data["scene"]), data["scene"]
        table = self._running_table()
        state, drawn = data["state"], data["seed"]
        table.reset(
            *(starting_point(state) if drawn is None else drawn_start(state, data["scene"], drawn))
        )
        self._links = tuple(task.id.split(">"))
        self._done = 0
        self._before = self._now = table.info()
        self._achieved: list[str] = []
        self._script: Iterator[NDArray[np.float32]] | None = None
        self._touched: str | None = None

    def images(self) -> Mapping[str, NDArray[np.uint8]]:
        """What the cameras see now."""
        table = self._running_table()
        return {
            name: _smaller(table.picture(name), side) for name, side in self.how.cameras.items()
        }

    def state(self) -> NDArray[np.float32]:
        """CALVIN's fifteen numbers of the robot."""
        return self._running_table().robot().astype(np.float32)

    def said(self) -> str:
        """The sentence of the present link."""
        return self._said[self._asked_now()]

    def _asked_now(self) -> str:
        return self._links[min(self._done, len(self._links) - 1)]

    def step(self, action: NDArray[np.float32]) -> None:
        """Let a thirtieth of a second pass, and see what was achieved since the link began."""
        table = self._running_table()
        exact = action.astype(np.float64)
        exact[6] = 1.0 if action[6] > 0 else -1.0
        table.step(exact)
        self._now = table.info()
        if self._touched is None:
            self._touched = next(iter(table.touching(self._now)), None)
        achieved = table.achieved(self._before, self._now)
        if len(self._links) == 1:
            self._achieved = achieved
            return
        self._achieved = [f"{self._done + 1}:{name}" for name in achieved]
        if self._done < LINKS and self._links[self._done] in achieved:
            self._done += 1
            self._before, self._script = self._now, None
            if self._done == LINKS:
                self._achieved.append(">".join(self._links))

    def holding(self) -> Iterable[str]:
        """All tasks that the oracle sees achieved since the start, or since a chain's link began.

        In a chain each carries the number of the link that was asked for (``2:open_drawer``); the
        chain itself is achieved with its last link.
        """
        return tuple(self._achieved)

    def progress(self) -> Mapping[str, float]:
        """A chain's share of completed links."""
        return {} if len(self._links) == 1 else {">".join(self._links): self._done / LINKS}

    def touched(self) -> tuple[str | None, str | None]:
        """What the robot touched first, blocks and movable parts; grasping is not told apart."""
        return self._touched, None

    def target_of(self, task: Task) -> str | None:
        """Block or part that a task is about; for a chain that of its first link."""
        return RULE_BY_NAME[task.id.split(">")[0]].target

    def demonstrate(self, task: Task) -> NDArray[np.float32]:
        """The script's next action for what is asked now.

        Raises:
            ValueError: When there is no script for it.
        """
        del task
        if self._script is None:
            table = self._running_table()
            robot, scene = table.robot(), table.scene()
            self._script = actions(robot, poses(self._asked_now(), robot, scene, table.button_m()))
        return next(self._script)

    def hold(self, last_action: NDArray[np.float32]) -> NDArray[np.float32]:
        """No movement, and the gripper as it was commanded last."""
        return np.array([*[0.0] * 6, last_action[6]], np.float32)

    def state_hash(self) -> str:
        """Hash of what CALVIN tells of robot and scene."""
        table = self._running_table()
        return hashlib.sha256(table.robot().tobytes() + table.scene().tobytes()).hexdigest()[:16]

    def close(self) -> None:
        """Free the simulator."""
        if self._table is not None:
            self._table.close()
            self._table, self._scene = None, ""

    def _running_table(self) -> Table:
        if self._table is None:
            raise ValueError("No episode is running: call begin(initial_state, task, seed) first.")
        return self._table


def _smaller(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A square picture with sides of so many pixels, resized as recordings are."""
    from PIL import Image

    if picture.shape[0] == side:
        return picture
    size = (side, side)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))
