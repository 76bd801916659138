"""What contradicts itself is refused before anything is built, with everything named at once."""

from dataclasses import replace
from typing import Any

import pytest

from fakes.episodes import MAKES, NEEDS
from fakes.networks import shape_of
from vertebra.backbones.kinds import Video
from vertebra.coupling.kinds import Head
from vertebra.coupling.table import Joint
from vertebra.policy.process import Process
from vertebra.policy.recipe import Mode, Recipe
from vertebra.recipes.cortex2 import CORTEX2
from vertebra.recipes.cosmos_policy import COSMOS_POLICY as COSMOS
from vertebra.recipes.dreamzero import DREAMZERO
from vertebra.recipes.fast_wam import FAST_WAM, FAST_WAM_IDM, FAST_WAM_JOINT
from vertebra.recipes.gr00t import GR00T
from vertebra.recipes.lingbot_va import LINGBOT_VA
from vertebra.recipes.motus import MOTUS
from vertebra.recipes.pi0 import PI0
from vertebra.recipes.rhoda_dva import RHODA_DVA
from vertebra.recipes.unipi import UNIPI
from vertebra.recipes.vpp import VPP
from vertebra.schedules.kinds import (
    ActionOnly,
    Guidance,
    Plan,
    Rolling,
    ScoreTerm,
    Together,
    VideoFirst,
)
from vertebra.spec.errors import IllegalRecipe
from vertebra.spec.noise import BetaTimes, SameAs
from vertebra.spec.streams import ALL, PAST, Stream, denoised, given, teacher


def joint(
    streams: tuple[Stream, ...], sees: dict[str, dict[str, Any]] | None = None, **changes: Any
) -> Joint:
    names = [stream.name for stream in streams]
    values: dict[str, Any] = {
        "streams": streams,
        "sees": {name: {name: ALL} for name in names} | (sees or {}),
        "experts": dict.fromkeys(names, "video"),
    }
    return Joint(**{**values, **changes})


def recipe(coupling: Joint, **changes: Any) -> Recipe:
    values: dict[str, Any] = {
        "name": "tried",
        "source": "a test",
        "backbone": Video(),
        "coupling": coupling,
        "schedule": ActionOnly(),
        "noise": {
            s.name: Process(times=BetaTimes()) for s in coupling.streams if s.role == "denoised"
        },
    }
    return Recipe(**{**values, **changes})


def reading(recipe: Recipe, **changes: Any) -> Head:
    """The coupling of a head that reads otherwise."""
    assert isinstance(recipe.coupling, Head)
    return replace(recipe.coupling, reads=replace(recipe.coupling.reads, **changes))


def deaf(recipe: Recipe) -> Head:
    assert isinstance(recipe.coupling, Head)
    return replace(recipe.coupling, head=replace(recipe.coupling.head, context=()))


def unseeing(recipe: Recipe) -> Head:
    assert isinstance(recipe.coupling, Head)
    return replace(recipe.coupling, head=recipe.coupling.head.with_sight("state"))


def scored(name: str) -> Plan:
    return Plan(inner=Together(), candidates=2, score=(ScoreTerm(of=name),))


NOISE = Process(times=BetaTimes())
SAME = Process(times=SameAs(stream="action"))
FRAME, FUTURE, ACTION = given("frame"), denoised("future"), denoised("action")
CLEAN = teacher("clean", of="future")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: replace(FAST_WAM_JOINT, schedule=ActionOnly()),
            r"ActionOnly never generates \['future'\], but the action reads it .*use Together or",
        ),
        (
            lambda: replace(FAST_WAM_IDM, schedule=Together()),
            r"Together never finishes \['future'\] before the action.*use VideoFirst",
        ),
        (
            lambda: replace(FAST_WAM_IDM, schedule=ActionOnly()),
            r"ActionOnly never generates \['future'\]",
        ),
        (lambda: replace(PI0, schedule=VideoFirst()), "needs a denoised stream besides"),
        (
            lambda: recipe(
                joint(
                    (FRAME, FUTURE, ACTION),
                    {"future": {"future": ALL, "action": ALL}},
                ),
                schedule=VideoFirst(),
            ),
            "generates 'future' before the action, but it reads the action",
        ),
        (lambda: replace(PI0, schedule=ActionOnly(steps=0)), "one step or more"),
        (
            lambda: replace(FAST_WAM_IDM, schedule=VideoFirst(video_steps=0)),
            "one step or more",
        ),
        (lambda: recipe(joint((FRAME, FUTURE))), "no denoised stream is named 'action'"),
        (lambda: replace(FAST_WAM, noise={"action": NOISE}), "'future' has no noise process"),
        (
            lambda: replace(PI0, noise={**PI0.noise, "x": NOISE}),
            "noise process is given for 'x', which is not made from noise",
        ),
        (
            lambda: replace(FAST_WAM, noise={"action": NOISE, "future": SAME}),
            "'future' takes the flow time of 'action', but several noise draws .* one pass",
        ),
        (
            lambda: replace(FAST_WAM, noise={"action": SAME, "future": SAME}),
            "'action' takes the flow time of 'action', which draws none of its own",
        ),
        (lambda: replace(PI0, modes=(Mode(share=1.0, clean=("image",)),)), "shows 'image' clean"),
        (lambda: replace(PI0, modes=(Mode(share=0.0),)), "share of zero or less"),
        (lambda: replace(PI0, text_dropout=1.0), "text_dropout is 1.0"),
        (lambda: replace(PI0, values=("return",)), "names the numbers of the stream 'value'"),
        (lambda: replace(PI0, schedule=Rolling(inner=ActionOnly())), "reaches in chunk time"),
        (lambda: replace(DREAMZERO, schedule=Together()), "which only Rolling has"),
        (
            lambda: replace(RHODA_DVA, schedule=replace(RHODA_DVA.schedule, window=1)),
            "a rolling window of 1 chunks is too short",
        ),
        (
            lambda: replace(LINGBOT_VA, schedule=replace(LINGBOT_VA.schedule, leapfrog=True)),
            "leapfrog makes 'future' before 'frame' of its chunk is known",
        ),
        (
            lambda: replace(COSMOS, schedule=Plan(inner=Together(), candidates=1, score=())),
            "over 1 candidate chooses nothing",
        ),
        (lambda: replace(COSMOS, schedule=scored("luck")), "scores 'luck', which is not among"),
        (
            lambda: replace(CORTEX2, schedule=replace(CORTEX2.schedule, futures=2)),
            "imagines futures anew only around Together",
        ),
        (
            lambda: replace(MOTUS, schedule=ActionOnly(marginal=("state", "future"))),
            "'state' cannot stay noise",
        ),
        (lambda: replace(MOTUS, schedule=ActionOnly()), r"never generates \['future'\]"),
        (lambda: replace(UNIPI, schedule=Together()), "reads finished frames: use VideoFirst"),
        (lambda: replace(UNIPI, text_dropout=0.0), "trained without words too: set text_dropout"),
        (
            lambda: replace(UNIPI, schedule=VideoFirst(guidance=(Guidance(stream="x", weight=2),))),
            "guidance is given for 'x'",
        ),
        (lambda: replace(UNIPI, schedule=VideoFirst(until=1.5)), "stops at flow time 1.5"),
        (
            lambda: replace(UNIPI, coupling=replace(UNIPI.coupling, reads=("frame",))),
            r"is shown \['frame'\]: expected 'future'",
        ),
        (lambda: replace(GR00T, schedule=Together()), "a head acts after its trunk"),
        (
            lambda: replace(GR00T, coupling=reading(GR00T, at_time=0.5)),
            "have no flow time: leave at_time out",
        ),
        (
            lambda: replace(VPP, coupling=reading(VPP, at_time=0.5)),
            "at flow time 0.5, which ActionOnly never reaches",
        ),
        (
            lambda: replace(VPP, schedule=VideoFirst(), coupling=reading(VPP, at_time=0.0)),
            "VideoFirst goes on to 1.0: leave at_time out",
        ),
        (
            lambda: replace(VPP, coupling=reading(VPP, of=("dream",))),
            "'dream' is read and is not a stream of the trunk",
        ),
        (lambda: replace(VPP, coupling=reading(VPP, depths=(0.0,))), "fractions in"),
        (lambda: replace(GR00T, coupling=deaf(GR00T)), r"context \[\] does not hold 'features'"),
        (lambda: replace(GR00T, coupling=unseeing(GR00T)), "'state' may see nothing"),
        (lambda: replace(PI0, weights={"pointing": 2.0}), "loss weight given for 'pointing'"),
        (
            lambda: recipe(joint((FRAME, FUTURE, CLEAN, ACTION), {"future": {"clean": ALL}})),
            r"'future' reads its own clean copy 'clean' .*leak",
        ),
        (
            lambda: recipe(
                joint(
                    (FRAME, FUTURE, CLEAN, ACTION),
                    {
                        "future": {"future": ALL, "action": ALL},
                        "action": {"action": ALL, "clean": ALL},
                    },
                )
            ),
            r"'future' reads its own clean copy 'clean' \(directly or through another stream\)",
        ),
        (
            lambda: recipe(joint((FRAME, teacher("clean", of="frame"), ACTION))),
            "teacher 'clean' copies 'frame', which is not denoised",
        ),
        (lambda: recipe(joint((FRAME, FRAME, ACTION))), "'frame' is declared twice"),
        (
            lambda: recipe(joint((FRAME, ACTION), {"action": {"action": ALL, "depth": ALL}})),
            "'action' sees 'depth', and 'depth' is not a stream",
        ),
        (
            lambda: recipe(joint((FRAME, ACTION), sees={"action": {"action": PAST}})),
            "'action' may see nothing at its first chunk time",
        ),
        (
            lambda: recipe(joint((FRAME, ACTION), experts={"frame": "video", "lidar": "x"})),
            r"'action' has no expert.*[\s\S]*unknown stream 'lidar'",
        ),
        (
            lambda: recipe(Joint(streams=(FRAME, ACTION), sees={"action": {"action": ALL}},
                                 experts={"frame": "video", "action": "video"})),
            "'frame' has no row in `sees`",
        ),
    ],
)  # fmt: skip
def test_a_contradiction_is_refused_with_its_reason(make: Any, message: str) -> None:
    with pytest.raises(IllegalRecipe, match=message):
        make()


def test_all_contradictions_are_named_at_once() -> None:
    with pytest.raises(IllegalRecipe) as caught:
        recipe(
            joint((FRAME, FUTURE, ACTION), {"action": {"action": ALL, "future": ALL, "x": ALL}}),
            noise={},
            weights={"frame": 1.0},
            schedule=ActionOnly(steps=0),
        )
    for words in (
        "'x' is not a stream",
        "'action' has no noise process",
        "'frame', which is not",
        "step or",
        "never generates ['future']",
        "Recipe 'tried' is illegal",
    ):
        assert words in str(caught.value)


def test_what_may_be_skipped_follows_from_the_table() -> None:
    assert FAST_WAM.skips == {"future"} and FAST_WAM.generates == ("action",)
    assert FAST_WAM_JOINT.skips == frozenset() and FAST_WAM_JOINT.generates == ("future", "action")
    assert FAST_WAM_IDM.skips == frozenset() and FAST_WAM_IDM.generates == ("future", "action")
    assert PI0.skips == frozenset() and PI0.generates == ("action",)
    assert (PI0.family, FAST_WAM.family) == ("vla", "wam")


def test_a_network_refuses_what_it_has_no_tensors_for() -> None:
    strange = recipe(
        joint(
            (
                given("depth"),
                FRAME,
                denoised("sound"),
                ACTION,
                teacher("clean_sound", of="sound"),
            ),
            {"action": {"frame": ALL, "action": ALL}},
            context=("smell",),
        )
    )
    with pytest.raises(ValueError, match="No network can be built for recipe 'tried'") as caught:
        shape_of(strange)
    for words in ("'depth' is unknown", "'sound' is unknown", "'smell' is unknown",
                  "'clean_sound' copies 'sound', only"):  # fmt: skip
        assert words in str(caught.value)
    with pytest.raises(ValueError, match=r"pointing head[\s\S]*no camera"):
        replace(
            shape_of(PI0), recipe=PI0.pointed(), pointing=False, needs=replace(NEEDS, cameras=())
        )
    assert shape_of(PI0).action_dims == len(MAKES.dims)
