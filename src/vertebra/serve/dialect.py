"""What a robot says and hears: openpi's dialect, and RoboArena's, both as data.

On connecting, a client gets one binary frame that says what is needed. Then each of its binary
frames is a map: an observation, with ``endpoint`` ``infer`` (or none) or ``reset``. ``infer`` is
answered by a binary frame that holds ``actions``; ``reset`` and every error by a text frame.

Source: Physical-Intelligence/openpi src/openpi/serving/websocket_policy_server.py @ 15a9616;
robo-arena/roboarena roboarena/policy_server.py @ 6fa329f; pranavatreya/roboarena_evaluator
evaluation_client/main.py @ 5992b26.

Deviations: an error text holds no traceback; ``reset`` may carry a ``seed``; ``infer`` may ask for
``imagined`` frames.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from vertebra import __version__
from vertebra.policy.protocol import Policy
from vertebra.spec.action import ActionSpec, Frame, Gripper, Rotation
from vertebra.spec.errors import SpecMismatch
from vertebra.spec.observation import Camera, ObservationSpec
from vertebra.spec.wire import (
    IMAGE_KEY,
    PROMPT_KEY,
    STATE_KEY,
    action_spec_to_plain,
    observation_spec_to_plain,
)

ROBOARENA_RATE_HZ = 15.0
ROBOARENA_STATE = (
    ("observation/joint_position", "joint", 7),
    ("observation/cartesian_position", "", 6),
    ("observation/gripper_position", "gripper", 1),
)
"""Key, what the names of its dimensions hold, and how many there are; in this order."""
OUTSIDE = "observation/exterior_image_{}_left"
"""Key of an outside camera; RoboArena's evaluator numbers them from 1."""
WRIST = "observation/wrist_image_left"


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Under which keys of a message a robot sends what a policy needs.

    Attributes:
        images: Camera name to key.
        state: Keys whose vectors, one after the other, are the state.
        prompt: Key of the instruction.
    """

    images: Mapping[str, str]
    state: tuple[str, ...] = (STATE_KEY,)
    prompt: str = PROMPT_KEY


def keys_from_plain(plain: Mapping[str, Any]) -> Keys:
    """Read keys that were written as JSON; ``state`` and ``prompt`` may be left out.

    Raises:
        ValueError: On missing or unknown fields, or values of the wrong type.
    """
    known = {field.name for field in fields(Keys)}
    images = plain.get("images")
    found: list[str] = []
    if set(plain) - known:
        found.append(f"unknown fields {sorted(set(plain) - known)}; there are {sorted(known)}")
    if not isinstance(images, Mapping) or not all(isinstance(v, str) for v in images.values()):
        found.append('\'images\' must say the key of each camera: {"front": "observation/image"}')
    state, prompt = plain.get("state", [STATE_KEY]), plain.get("prompt", PROMPT_KEY)
    if not isinstance(state, list) or not all(isinstance(key, str) for key in state):
        found.append("'state' must be a list of keys")
    if not isinstance(prompt, str):
        found.append("'prompt' must be a key")
    if found:
        raise ValueError("These are no keys:\n  - " + "\n  - ".join(found))
    return Keys(images=dict(plain["images"]), state=tuple(state), prompt=prompt)


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How a server speaks.

    Attributes:
        name: ``openpi`` or ``roboarena``.
        greeting: The first message to every client.
        keys: Where an observation's parts are.
        needs: What an observation must hold.
        dims: Numbers of an action.
        execute: Actions of a chunk that a client is taken to have executed when it does not say.
        whole: Whether whole chunks are sent, with timings, or only the actions to execute.
    """

    name: str
    greeting: Mapping[str, Any]
    keys: Keys
    needs: ObservationSpec
    dims: int
    execute: int
    whole: bool


@dataclass(frozen=True, kw_only=True)
class RoboArenaConfig:
    """RoboArena's ``PolicyServerConfig``, field by field: the whole first message."""

    image_resolution: tuple[int, int] | None
    needs_wrist_camera: bool
    n_external_cameras: int
    action_space: str
    needs_stereo_camera: bool = False
    needs_session_id: bool = True


def openpi_dialect(
    policy: Policy, keys: Keys | None = None, about: Mapping[str, Any] | None = None
) -> Dialect:
    """Whole chunks and free keys, as openpi's clients and ours speak.

    Args:
        policy: What is served.
        keys: Where an observation's parts are; ``observation/image/<camera>``,
            ``observation/state`` and ``prompt`` by default.
        about: Facts for the first message (recipe, size).

    Raises:
        SpecMismatch: When the keys do not cover the policy's cameras.
    """
    needs = policy.needs
    keys = keys or Keys(images={c.name: IMAGE_KEY + c.name for c in needs.cameras})
    _require_cameras(keys, needs)
    greeting = {
        "protocol": "openpi",
        "vertebra": __version__,
        "needs": observation_spec_to_plain(needs),
        "makes": action_spec_to_plain(policy.makes),
        "execute": policy.execute,
        "keys": {"images": dict(keys.images), "state": list(keys.state), "prompt": keys.prompt},
        "about": dict(about or {}),
    }
    return Dialect(
        name="openpi",
        greeting=greeting,
        keys=keys,
        needs=needs,
        dims=len(policy.makes.dims),
        execute=policy.execute,
        whole=True,
    )


def roboarena_dialect(policy: Policy, keys: Keys | None = None) -> Dialect:
    """The dialect of RoboArena's evaluators, who execute every action that they are sent.

    Cameras with ``wrist`` in their names see from the wrist, all others from outside, in order.

    Args:
        policy: What is served.
        keys: Where an observation's parts are; RoboArena's own keys by default.

    Raises:
        SpecMismatch: Naming everything in the policy that RoboArena's robots cannot give or do.
    """
    needs, makes = policy.needs, policy.makes
    wrist = [camera for camera in needs.cameras if "wrist" in camera.name]
    outside = [camera for camera in needs.cameras if "wrist" not in camera.name]
    problems = _camera_problems(needs, wrist, outside)
    state, state_problems = _roboarena_state(needs)
    space, action_problems = _action_space(makes)
    problems += state_problems + action_problems
    if problems:
        raise SpecMismatch(
            "This policy cannot be served to RoboArena:\n  - " + "\n  - ".join(problems)
        )
    one = needs.cameras[0]
    config = RoboArenaConfig(
        image_resolution=(one.height, one.width),
        needs_wrist_camera=bool(wrist),
        n_external_cameras=len(outside),
        action_space=space,
    )
    numbered = {camera.name: OUTSIDE.format(i) for i, camera in enumerate(outside, start=1)}
    keys = keys or Keys(images={**numbered, **{c.name: WRIST for c in wrist}}, state=state)
    _require_cameras(keys, needs)
    return Dialect(
        name="roboarena",
        greeting=asdict(config),
        keys=keys,
        needs=needs,
        dims=len(makes.dims),
        execute=policy.execute,
        whole=False,
    )


def _require_cameras(keys: Keys, needs: ObservationSpec) -> None:
    wanted = {camera.name for camera in needs.cameras}
    if set(keys.images) != wanted:
        raise SpecMismatch(
            f"Keys are given for the cameras {sorted(keys.images)}, the policy needs exactly "
            f"{sorted(wanted)}: give one key for each."
        )


def _camera_problems(
    needs: ObservationSpec, wrist: list[Camera], outside: list[Camera]
) -> list[str]:
    found: list[str] = []
    if len(wrist) > 1 or len(outside) > 2:
        found.append(
            f"it needs {len(wrist)} wrist and {len(outside)} outside cameras; there are at most "
            "1 and 2"
        )
    sizes = {(camera.height, camera.width) for camera in needs.cameras}
    if len(sizes) != 1:
        found.append(f"its cameras have the sizes {sorted(sizes)}; all are sent in one size")
    return found


def _roboarena_state(needs: ObservationSpec) -> tuple[tuple[str, ...], list[str]]:
    """Keys that make up the state, by the names of its dimensions."""
    kinds = [
        next((kind for kind in ("joint", "gripper") if kind in dim.name), "") for dim in needs.state
    ]
    keys: list[str] = []
    wanted: list[str] = []
    for key, kind, count in ROBOARENA_STATE:
        if kind in kinds:
            keys.append(key)
            wanted += [kind] * count
    if kinds == wanted:
        return tuple(keys), []
    return (), [
        f"its state is {[dim.name for dim in needs.state]}; there are 7 numbers named joint*, then "
        "6 of the tool's pose, then 1 named gripper*, each part whole or absent"
    ]


def _action_space(makes: ActionSpec) -> tuple[str, list[str]]:
    """RoboArena's word for an action, and what in it does not fit."""
    found: list[str] = []
    per_second = {dim.unit.endswith("/s") for dim in makes.dims[:-1]}
    kind = "velocity" if per_second == {True} else "position"
    joints = makes.frame == Frame.JOINT
    count = 8 if joints else 7
    if per_second == {True, False}:
        found.append("its action mixes positions and velocities")
    if not joints and (makes.frame == Frame.DELTA) != (kind == "velocity"):
        found.append(
            f"its action is {makes.frame} with units {[d.unit for d in makes.dims]}: send absolute "
            "poses, or velocities in m/s and rad/s"
        )
    if not joints and makes.rotation != Rotation.RPY_XYZ:
        found.append(f"its rotation layout is {makes.rotation}, expected {Rotation.RPY_XYZ}")
    if len(makes.dims) != count:
        found.append(f"its action has {len(makes.dims)} numbers, expected {count}")
    last = makes.dims[-1]
    if makes.gripper != Gripper.CLOSE_POSITIVE or (last.low, last.high) != (0.0, 1.0):
        found.append(
            f"its gripper is {makes.gripper} from {last.low} to {last.high}; expected is "
            f"{Gripper.CLOSE_POSITIVE} from 0 (open) to 1: convert the demonstrations"
        )
    if makes.rate_hz != ROBOARENA_RATE_HZ:
        found.append(f"its rate is {makes.rate_hz} Hz, expected {ROBOARENA_RATE_HZ} Hz")
    return f"{'joint' if joints else 'cartesian'}_{kind}", found
