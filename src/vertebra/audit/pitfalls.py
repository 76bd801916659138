"""Mistakes that cost others most when they ran a policy, and how to rule each one out.

Source: the pitfalls and reproduction notes of allenai/vla-evaluation-harness@e1ee9ad, whose
measured costs are quoted; openpi's README on normalisation; issues of the systems named.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from vertebra.audit.conventions import NEEDED, Conventions, Statistics
from vertebra.audit.identity import Identity
from vertebra.audit.layout import Family, Layout
from vertebra.audit.measures import layer_gaps, size_differences


@dataclass(frozen=True, kw_only=True)
class Pitfall:
    """One thing that may go wrong.

    Attributes:
        name: What.
        because: Why it is suspected here.
        cost: What it has cost others; "" when nobody measured it.
        check: What would settle it.
        found: Whether something in the files shows it, rather than its being merely possible.
    """

    name: str
    because: str
    check: str
    cost: str = ""
    found: bool = False


def pitfalls(
    identities: tuple[Identity, ...], layout: Layout | None, said: Conventions
) -> tuple[Pitfall, ...]:
    """What to look at before believing a result with this checkpoint.

    Args:
        identities: Every bundle of weights.
        layout: The layout that decided the family; None when none did.
        said: What the checkpoint says of itself.
    """
    shown = [pitfall for identity in identities for pitfall in _in_weights(identity)]
    if layout is None or layout.kind != "policy":
        return tuple(shown)
    possible = (
        *_normalisation(said),
        *_chunk(said),
        *_actions(layout, said),
        *_inputs(layout, said),
        *_of_layout(layout),
    )
    return tuple(sorted((*shown, *possible), key=lambda pitfall: not pitfall.found))


def _in_weights(identity: Identity) -> Iterator[Pitfall]:
    calls = sorted({call for file in identity.bundle.files for call in file.calls})
    if calls:
        yield Pitfall(
            name="Loading it runs code",
            because=f"unpickling {identity.bundle.label} would import {', '.join(calls[:5])}",
            check="Load it with weights_only=True, or ask the publisher for safetensors. This "
            "audit ran nothing of it.",
            found=True,
        )
    if identity.adapters:
        yield Pitfall(
            name="Adapters are not merged",
            because=f"{len(identity.adapters)} low-rank tensors stand beside the weights",
            check="Compare the actions with and without the adapter on one observation: they must "
            "differ. A loader that ignores unexpected names runs the base model.",
            found=True,
        )
    for words in size_differences(identity):
        yield Pitfall(
            name="Configuration and weights differ in size",
            because=words,
            check="Build the model from the configuration and load strictly; correct the one that "
            "is wrong.",
            found=True,
        )
    for words in (*identity.bundle.faults, *layer_gaps(identity)):
        yield Pitfall(
            name="The files are damaged or incomplete",
            because=words,
            check="Fetch the files again and compare their SHA-256 with the publisher's.",
            found=True,
        )


def _normalisation(said: Conventions) -> Iterator[Pitfall]:
    of_actions = [table for table in said.statistics if table.of_actions]
    if not of_actions:
        yield Pitfall(
            name="Normalisation keys are missing",
            because="no statistics of actions lie in the checkpoint",
            cost="0 % instead of normal success with the wrong statistics",
            check="Ask the publisher for the statistics of training. De-normalised actions of a "
            "recorded observation must have the range of the recorded actions.",
            found=True,
        )
    modes = {kind: mode for kind, mode in said.modes if kind in ("ACTION", "STATE")}
    for kind, mode in modes.items():
        yield from _lacking(kind, mode, said.statistics)
    sources = sorted({table.source for table in of_actions})
    if len(of_actions) > 1:
        yield Pitfall(
            name="Several sets of statistics",
            because=f"{len(of_actions)} tables of action statistics in {', '.join(sources[:3])}",
            check="Name the set of your robot; compare its ranges with your recordings.",
            found=True,
        )
    for table in (table for table in said.statistics if table.narrow):
        yield Pitfall(
            name="A dimension without range",
            because=f"{table.of}: dimensions {list(table.narrow)[:8]} hardly vary ({table.source})",
            check="Leave these dimensions as they are: dividing by their range makes huge inputs.",
            found=True,
        )
    yield Pitfall(
        name="Quantiles or minimum and maximum",
        because="the same network runs with either and answers with other magnitudes"
        + (f"; claimed here: {modes}" if modes else ""),
        cost="0 % instead of normal success",
        check="De-normalise the prediction on ten recorded observations: its root mean square "
        "error must be below that of the mean action.",
    )


def _lacking(kind: str, mode: str, tables: tuple[Statistics, ...]) -> Iterator[Pitfall]:
    wanted = NEEDED.get(mode, ())
    word = kind.lower()
    own = [table for table in tables if word in table.of.lower()]
    for table in own:
        missing = [name for name in wanted if name not in table.kinds]
        if missing:
            yield Pitfall(
                name="Normalisation keys are missing",
                because=f"{mode} is claimed for {kind}, but {table.of} in {table.source} has no "
                + " and no ".join(missing),
                check="Compute them from the training data, or correct the claimed kind.",
                found=True,
            )


def _chunk(said: Conventions) -> Iterator[Pitfall]:
    told = [
        fact.value for fact in said.facts if fact.label in ("chunk", "actions executed of a chunk")
    ]
    executed = any(fact.label == "actions executed of a chunk" for fact in said.facts)
    yield Pitfall(
        name="How much of a chunk is executed",
        because="; ".join(told) if told else "no chunk length is written down",
        cost="0 to 30 points",
        check="Run the same scenes with a fourth, a half and all of the chunk executed, and state "
        "which was published.",
        found=not executed,
    )


def _actions(layout: Layout, said: Conventions) -> Iterator[Pitfall]:
    known = dict(layout.conventions).get(
        "actions", dict(layout.conventions).get("joint actions", "")
    )
    because = f"published: {known}" if known else "the meaning of the actions is in no file"
    facts = {fact.label: fact.value for fact in said.facts}
    yield Pitfall(
        name="Gripper polarity",
        because=facts.get("actions: gripper", "whether 1 opens or closes is in no file"),
        cost="a flipped gripper never grasps",
        check="Replay one recorded episode's actions open loop, and one with the gripper flipped; "
        "compare with the recorded finger width.",
    )
    yield Pitfall(
        name="Relative or absolute actions",
        because=facts.get("relative actions", because),
        check="Feed a recorded observation: predictions near zero are relative, predictions near "
        "the state are absolute. Relative to the last step or to the start of the chunk shows in "
        "whether they grow along the chunk.",
    )
    yield Pitfall(
        name="Quaternion sign and order",
        because=because,
        cost="14 to 40 points for the antipodal sign",
        check="Feed the state with q and with -q, and as wxyz and xyzw: only one order reproduces "
        "recorded actions, and a policy that is not told the sign convention answers differently.",
    )
    yield Pitfall(
        name="Layout of a six-number rotation",
        because=because,
        cost="3.97 instead of 4.30 on CALVIN",
        check="Turn recorded rotations into six numbers as columns and as rows and back: the error "
        "against recorded actions tells which.",
        found="six numbers" in known,
    )


def _inputs(layout: Layout, said: Conventions) -> Iterator[Pitfall]:
    cameras = ", ".join(said.cameras)
    yield Pitfall(
        name="Cameras: order, names, absent ones",
        because=f"wants {cameras}" if cameras else "which cameras it wants is in no file",
        check="Swap two cameras on recorded observations: the error must rise. An absent camera "
        "must be masked as in training, not black.",
        found=not cameras,
    )
    yield Pitfall(
        name="Crop, size and rotation of images",
        because="resizing differs between training code and servers; LIBERO images are often "
        "turned by 180 degrees",
        cost="about 3 points for a missing centre crop",
        check="Show the tensor that enters the vision encoder beside one from the training code.",
    )
    has_state = any("state" in section.part for section in layout.sections)
    yield Pitfall(
        name="Which state it is given",
        because="it has an input for the state"
        if has_state
        else "it has no input of its own for the state",
        cost="97.8 against 42 with the wrong source of state",
        check="Blank the state on recorded observations: if nothing changes, it is not read.",
    )


def _of_layout(layout: Layout) -> Iterator[Pitfall]:
    flow = dict(layout.conventions).get("flow time")
    if flow:
        yield Pitfall(
            name="Direction of flow time",
            because=f"published: {flow}; other systems count the other way",
            check="One step from pure noise must lower the error against recorded actions.",
        )
    if layout.name.startswith("GR00T"):
        yield Pitfall(
            name="Number of the robot",
            because="action and state layers hold one set of weights a robot",
            check="Predict with every number on recorded observations; the right one has by far "
            "the smallest error.",
        )
    if layout.name.startswith("Fast-WAM"):
        yield Pitfall(
            name="Which variant it was trained as",
            because="the masks of Fast-WAM, Joint and IDM are not in the weights; LeRobot's port "
            "scored 0 of 20 in one published re-run",
            check="Perturb the future latents: with Fast-WAM the actions must stay bit-equal.",
            cost="0 instead of 94 % in one re-run of a port",
        )
    if layout.family is not Family.NEITHER:
        yield Pitfall(
            name="Wording of the instruction",
            because="fixed sentences around the task are part of the training of several systems",
            check="Swap the instruction for another one of the same scene: the actions must change "
            "more than between two noise seeds.",
        )
