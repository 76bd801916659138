"""What contradicts itself is refused before anything is built, with everything named at once."""

from dataclasses import replace
from typing import Any

import pytest

from fakes.episodes import MAKES, NEEDS
from fakes.networks import shape_of
from vertebra.backbones.kinds import Video
from vertebra.coupling.table import Joint
from vertebra.policy.recipe import Recipe
from vertebra.recipes.fast_wam import FAST_WAM, FAST_WAM_IDM, FAST_WAM_JOINT
from vertebra.recipes.pi0 import PI0
from vertebra.schedules.kinds import ActionOnly, Together, VideoFirst
from vertebra.spec.errors import IllegalRecipe
from vertebra.spec.noise import BetaTimes
from vertebra.spec.streams import ALL, PAST, UPTO, Stream, denoised, given, teacher


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
        "times": {s.name: BetaTimes() for s in coupling.streams if s.role == "denoised"},
    }
    return Recipe(**{**values, **changes})


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
        (lambda: replace(FAST_WAM, times={"action": BetaTimes()}), "'future' has no time"),
        (lambda: replace(PI0, times={**PI0.times, "x": BetaTimes()}), "times given for 'x'"),
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
            times={},
            weights={"frame": 1.0},
            schedule=ActionOnly(steps=0),
        )
    for words in ("'x' is not a stream", "'action' has no time", "'frame', which is not", "step or",
                  "never generates ['future']", "Recipe 'tried' is illegal"):  # fmt: skip
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
                teacher("clean_action", of="action"),
            ),
            {"action": {"frame": UPTO, "action": ALL}},
            context=("smell",),
        )
    )
    with pytest.raises(ValueError, match="No network can be built for recipe 'tried'") as caught:
        shape_of(strange)
    for words in ("'depth' is unknown", "'sound' is unknown", "'smell' is unknown", "reach upto",
                  "'clean_action' copies 'action', only 'future'"):  # fmt: skip
        assert words in str(caught.value)
    with pytest.raises(ValueError, match=r"pointing head[\s\S]*no camera"):
        replace(
            shape_of(PI0), recipe=PI0.pointed(), pointing=False, needs=replace(NEEDS, cameras=())
        )
    assert shape_of(PI0).action_dims == len(MAKES.dims)
