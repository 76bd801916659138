"""Two specs either agree, or everything that differs is named at once."""

from vertebra.spec.action import ActionSpec
from vertebra.spec.errors import SpecMismatch
from vertebra.spec.observation import Dim, ObservationSpec


def observation_differences(needs: ObservationSpec, offers: ObservationSpec) -> list[str]:
    """Everything a policy needs and the other side does not offer, in words.

    Extra cameras on the offering side are fine; everything else must be equal.
    """
    found: list[str] = []
    offered = {camera.name: camera for camera in offers.cameras}
    for camera in needs.cameras:
        other = offered.get(camera.name)
        if other is None:
            found.append(
                f"camera '{camera.name}' is needed, offered are {sorted(offered) or 'none'}: "
                "map a camera to this name"
            )
        elif (other.height, other.width) != (camera.height, camera.width):
            found.append(
                f"camera '{camera.name}' must be {camera.height}x{camera.width} pixels, "
                f"offered is {other.height}x{other.width}: set the image size"
            )
    found += _dim_differences("state", needs.state, offers.state)
    if needs.rate_hz != offers.rate_hz:
        found.append(
            f"observations must come at {needs.rate_hz} Hz, offered are {offers.rate_hz} Hz"
        )
    if needs.language and not offers.language:
        found.append("an instruction is needed and none is offered")
    return found


def action_differences(makes: ActionSpec, takes: ActionSpec) -> list[str]:
    """Everything in which the actions made differ from the actions taken, in words."""
    found = _dim_differences("action", makes.dims, takes.dims)
    for what, made, taken in (
        ("frame", makes.frame, takes.frame),
        ("rotation layout", makes.rotation, takes.rotation),
        ("gripper sign", makes.gripper, takes.gripper),
        ("rate_hz", makes.rate_hz, takes.rate_hz),
    ):
        if made != taken:
            found.append(f"action {what}: made is {made}, taken is {taken}: convert before running")
    return found


def require_match(
    needs: ObservationSpec, offers: ObservationSpec, makes: ActionSpec, takes: ActionSpec
) -> None:
    """Refuse a policy and an environment that disagree.

    Raises:
        SpecMismatch: Naming every difference.
    """
    found = observation_differences(needs, offers) + action_differences(makes, takes)
    if found:
        raise SpecMismatch("Policy and environment do not fit:\n  - " + "\n  - ".join(found))


def _dim_differences(what: str, one: tuple[Dim, ...], other: tuple[Dim, ...]) -> list[str]:
    names = [dim.name for dim in one], [dim.name for dim in other]
    if names[0] != names[1]:
        return [f"{what} has dimensions {names[0]}, the other side has {names[1]}"]
    return [
        f"{what} '{a.name}' is in {a.unit}, the other side in {b.unit}"
        for a, b in zip(one, other, strict=True)
        if a.unit != b.unit
    ]
