"""The physical model of a scene, as MuJoCo XML."""

import numpy as np
from numpy.typing import NDArray

from vertebra.envs.tabletop.scene import COLOURS, SHAPES, Item, Scene

FINGER_TRAVEL_M = 0.040
"""Each finger moves this far from the middle."""
CROSS_ARM_M = 0.011
"""Half-width of the arms of a cross."""

_HEAD = """
<mujoco model="tabletop-v1">
  <option timestep="0.01" integrator="implicitfast" cone="elliptic" impratio="5"/>
  <default>
    <geom condim="4" friction="0.6 0.01 0.0005" density="0"/>
    <default class="paint"><geom contype="0" conaffinity="0" mass="0"/></default>
    <default class="slide"><joint type="slide" damping="20" armature="0.3"/></default>
  </default>
  <worldbody>
    <camera name="front" pos="0 -0.25 0.70" xyaxes="1 0 0 0 0.9377 0.3474" fovy="34"/>
    <geom name="table" type="plane" size="1 1 0.1"/>
"""
_GRIPPER = """
    <body name="carriage" gravcomp="1">
      <joint name="x" class="slide" axis="1 0 0"/>
      <joint name="y" class="slide" axis="0 1 0"/>
      <joint name="z" class="slide" axis="0 0 1"/>
      <inertial pos="0 0 0.1" mass="0.3" diaginertia="1e-3 1e-3 1e-3"/>
      <camera name="wrist" pos="0 -0.066 0.120" xyaxes="1 0 0 0 0.9272 0.3746" fovy="80"/>
      <geom name="palm" class="paint" type="box" size="0.050 0.008 0.007" pos="0 0 0.092"
            rgba="0.20 0.20 0.22 1"/>
      <geom name="stem" class="paint" type="cylinder" size="0.007 0.04" pos="0 0 0.139"
            rgba="0.20 0.20 0.22 1"/>
      <body name="left" gravcomp="1">
        <joint name="left" type="slide" axis="-1 0 0" range="0 {travel}" damping="6"
               armature="0.05"/>
        <geom name="left" type="box" size="0.005 0.011 0.048" pos="-0.005 0 0.034" mass="0.05"
              friction="2 0.05 0.001" rgba="0.88 0.88 0.90 1"/>
      </body>
      <body name="right" gravcomp="1">
        <joint name="right" type="slide" axis="1 0 0" range="0 {travel}" damping="6"
               armature="0.05"/>
        <geom name="right" type="box" size="0.005 0.011 0.048" pos="0.005 0 0.034" mass="0.05"
              friction="2 0.05 0.001" rgba="0.88 0.88 0.90 1"/>
      </body>
    </body>
"""
_TAIL = """
  </worldbody>
  <equality><joint joint1="left" joint2="right"/></equality>
  <actuator>
    <position joint="x" kp="500" timeconst="0.03"/>
    <position joint="y" kp="500" timeconst="0.03"/>
    <position joint="z" kp="700" timeconst="0.03"/>
    <position joint="left" kp="150" timeconst="0.02"/>
    <position joint="right" kp="150" timeconst="0.02"/>
  </actuator>
</mujoco>
"""


def scene_xml(scene: Scene) -> str:
    """MuJoCo XML of a scene, in metres, kilograms and seconds; the table surface is z = 0.

    Geoms of an object are named ``<object name>#<number>``. Plates, zones and the line are paint:
    they have no geoms.
    """
    parts = [_HEAD]
    parts += [_object(item) for item in scene.objects]
    parts += [_GRIPPER.format(travel=FINGER_TRAVEL_M), _TAIL]
    return "\n".join(parts)


def _rgba(colour: str) -> str:
    return " ".join(f"{value}" for value in (*COLOURS[colour], 1.0))


def _object(item: Item) -> str:
    radius, half = SHAPES[item.kind]
    colour = f'rgba="{_rgba(item.colour)}"'
    geoms = {
        "cube": [f'type="box" size="{radius} {radius} {half}" mass="0.05"'],
        "ball": [f'type="sphere" size="{radius}" mass="0.05" condim="6" friction="0.6 0.01 0.008"'],
        "cylinder": [
            f'type="cylinder" size="{radius} {half}" mass="0.05" condim="6" '
            'friction="0.6 0.01 0.003"'
        ],
        "cross": [
            f'type="box" size="{radius} {CROSS_ARM_M} {half}" mass="0.025"',
            f'type="box" size="{CROSS_ARM_M} {radius} {half}" mass="0.025"',
        ],
    }[item.kind]
    body = "".join(
        f'<geom name="{item.name}#{number}" {geom} {colour}/>' for number, geom in enumerate(geoms)
    )
    return (
        f'<body name="{item.name}" pos="{item.x} {item.y} {half}" euler="0 0 '
        f'{item.yaw * 57.29577951308232}"><freejoint/>{body}</body>'
    )


def half_height(shape: str, up: NDArray[np.float64]) -> float:
    """Vertical half-size of a turned object in metres.

    Args:
        shape: One of ``SHAPES``.
        up: float64 [3], the world's vertical in the frame of the object.
    """
    radius, half = SHAPES[shape]
    x, y, z = np.abs(up)
    if shape == "ball":
        return radius
    if shape == "cylinder":
        return float(half * z + radius * np.sqrt(max(0.0, 1.0 - z * z)))
    if shape == "cross":
        wide, narrow = max(x, y), min(x, y)
        return float(half * z + radius * wide + CROSS_ARM_M * narrow)
    return float(half * z + radius * (x + y))
