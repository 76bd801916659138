"""Hands that are not the robot's, as MuJoCo geoms around the point where they hold."""

import numpy as np

from vertebra.envs.tabletop.render import Colour

HANDS = ("none", "claw", "cup", "mitten", "stick")
_SKIN: tuple[Colour, ...] = (
    *((0.95, 0.78, 0.66), (0.78, 0.57, 0.44), (0.45, 0.30, 0.22), (0.29, 0.19, 0.14)),
    *((0.10, 0.10, 0.11), (0.93, 0.92, 0.90), (0.52, 0.36, 0.18), (0.40, 0.44, 0.36)),
)
"""Skin, gloves and wood; none is the colour of the robot's gripper."""


def hand_xml(kind: str, rng: np.random.Generator) -> str:
    """Geoms named ``hand#number`` of a hand that holds what lies at the origin of its body.

    Args:
        kind: One of ``HANDS``.
        rng: Draws its colours, proportions and where the arm comes from.
    """
    skin, sleeve = (_SKIN[int(place)] for place in rng.integers(len(_SKIN), size=2))
    arm = rng.uniform(-np.pi, 0.0)  # from the sides or from below, seldom across the table
    reach = rng.uniform(0.06, 0.16)
    far = np.array([reach * np.cos(arm), reach * np.sin(arm), rng.uniform(0.10, 0.18)])
    thick = rng.uniform(0.8, 1.3)

    def capsule(radius: float, start: tuple[float, ...], end: tuple[float, ...]) -> str:
        ends = " ".join(f"{value:.4f}" for value in (*start, *end))
        return f'type="capsule" size="{radius * thick:.4f}" fromto="{ends}"'

    wrist = (0.3 * float(far[0]), 0.3 * float(far[1]), 0.075)
    limb = capsule(0.014, wrist, tuple(float(value) for value in far))
    match kind:
        case "none":
            return ""
        case "claw":
            angles = rng.uniform(0, 2 * np.pi) + np.arange(3) * 2 * np.pi / 3
            prongs = [
                capsule(
                    0.005,
                    (0.034 * np.cos(angle), 0.034 * np.sin(angle), 0.0),
                    (0.012 * np.cos(angle), 0.012 * np.sin(angle), 0.070),
                )
                for angle in angles
            ]
            parts = [*prongs, f'type="sphere" size="{0.016 * thick:.4f}" pos="0 0 0.075"', limb]
        case "cup":
            parts = [
                f'type="cylinder" size="{0.016 * thick:.4f} 0.006" pos="0 0 0.036"',
                capsule(0.006, (0.0, 0.0, 0.036), (0.0, 0.0, 0.16)),
            ]
        case "mitten":
            turn = f'euler="0 0 {np.degrees(arm):.1f}"'
            parts = [
                f'type="ellipsoid" size="0.034 {0.022 * thick:.4f} 0.016" pos="0 0 0.046" {turn}',
                capsule(0.008, (0.0, 0.0, 0.046), (0.026, 0.020, 0.010)),
                capsule(0.008, (0.0, 0.0, 0.046), (-0.024, 0.022, 0.010)),
                limb,
            ]
        case "stick":
            parts = [capsule(0.007, (0.0, 0.0, 0.030), tuple(float(value) for value in 1.3 * far))]
        case _:
            raise ValueError(f"No hand is named '{kind}'; known are {HANDS}.")
    colours = [skin] * (len(parts) - 1) + [sleeve if len(parts) > 1 else skin]
    return "".join(
        f'<geom name="hand#{number}" {part} rgba="{r:.3f} {g:.3f} {b:.3f} 1"/>'
        for number, (part, (r, g, b)) in enumerate(zip(parts, colours, strict=True))
    )
