"""Blind comparisons: what evaluator and robot get to know, what is kept, and how it goes on."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from fakes.arena import Desk, arena, drive
from fakes.policies import Seeker
from fakes.serving import Robot, droid_policy, openpi_message, roboarena_message, serving, until
from fakes.worlds import Plane, make_state
from vertebra.cli.entry import run
from vertebra.recipes.pi0 import PI0
from vertebra.serve.arena.comparison import Phase, state_after
from vertebra.serve.arena.journal import Journal, read_journal
from vertebra.serve.arena.referee import JOURNAL, Referee
from vertebra.serve.arena.results import (
    comparison_records,
    listening,
    read_comparisons,
    read_votes,
)
from vertebra.serve.client import ServedPolicy, ServerError
from vertebra.serve.dialect import openpi_dialect, roboarena_dialect
from vertebra.spec.record import record_from_plain
from vertebra.spec.storage import read_jsonl
from vertebra.spec.task import Outcome

NOWHERE = {"pear": "ws://127.0.0.1:9", "quince": "ws://127.0.0.1:9"}
THREE = {**NOWHERE, "medlar": "ws://127.0.0.1:9"}


def carry_out(referee: Referee, preference: str, *, valid: bool = True, other: str = "") -> None:
    referee.ask("lift the box", other)
    while referee.state.phase == Phase.READY:
        referee.begin()
        referee.end()
        referee.score(50)
    referee.vote(preference, "because", valid)


def served(name: str, policy: Seeker) -> Any:
    about = {"recipe": name, "family": "wam", "demonstrations": 7, "seed": 1, "plan": "abc"}
    return serving(policy, openpi_dialect(policy, about=about))


@contextmanager
def two_served() -> Iterator[dict[str, str]]:
    with served("a", Seeker()) as one, served("b", Seeker()) as two:
        yield {"a": one.url, "b": two.url}


def test_a_comparison_is_asked_before_it_is_drawn_and_scored_before_it_is_voted(
    tmp_path: Path,
) -> None:
    referee = Referee(tmp_path, NOWHERE, seed=0)
    with pytest.raises(ValueError, match="idle, expected ready"):
        referee.begin()
    referee.ask(" lift the box ", "push it", "Ada")
    assert [episode.said for episode in referee.state.open.episodes] == [
        *("lift the box", "lift the box"),
        *("push it", "push it"),
    ]
    for number in range(4):
        view = referee.view()
        assert (view["phase"], view["episode"], view["episodes"]) == ("ready", number + 1, 4)
        assert view["label"] == "AB"[number % 2]
        assert view["not_said"] == ("push it", "lift the box")[number // 2]
        referee.begin()
        with pytest.raises(ValueError, match="expected scoring"):
            referee.score(10)
        referee.end()
        for wrong in (-1, 101, float("nan")):
            with pytest.raises(ValueError, match="0 to 100"):
                referee.score(wrong)
        referee.score(100 if number == 1 else 20, other_done=number == 2)
    with pytest.raises(ValueError, match="preference is 'C'"):
        referee.vote("C", "")
    with pytest.raises(ValueError, match="longer than"):
        referee.vote("B", "x" * 5000)
    referee.vote("B", "B listens")
    kinds = [event["kind"] for event in read_journal(tmp_path / JOURNAL)]
    assert kinds[:3] == ["started", "asked", "drawn"]
    assert kinds[3:] == ["begun", "ended", "scored"] * 4 + ["voted"]
    (vote,) = read_votes(tmp_path)
    (comparison,) = read_comparisons(tmp_path)
    assert (vote.a, vote.b, vote.preference) == (*comparison.pair, "B")
    told = {one.policy: (one.episodes, one.done, one.other_done) for one in listening([comparison])}
    assert told == {comparison.pair[0]: (2, 0, 1), comparison.pair[1]: (2, 1, 0)}
    records = comparison_records([comparison], "bench")
    assert [row.arm for row in records] == [*comparison.pair, *comparison.pair]
    assert [row.outcome for row in records] == [
        *(Outcome.FAILURE, Outcome.SUCCESS),
        *(Outcome.FAILURE, Outcome.FAILURE),
    ]
    assert [row.achieved for row in records] == [(), ("lift the box",), ("lift the box",), ()]
    assert {row.initial_state for row in records} == {"comparison-0"}
    referee.close()


def test_nothing_is_asked_for_that_makes_no_sense(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two or more"):
        Referee(tmp_path, {"pear": "ws://x:1"})
    referee = Referee(tmp_path, NOWHERE, seed=0)
    for words in (("", ""), ("lift", "lift")):
        with pytest.raises(ValueError, match="Type an instruction"):
            referee.ask(*words)
    referee.ask("lift")
    with pytest.raises(ValueError, match="expected idle"):
        referee.ask("push")
    referee.begin()
    referee.end()
    with pytest.raises(ValueError, match="no other instruction"):
        referee.score(3, other_done=True)
    referee.close()


def test_pairs_are_compared_equally_often_and_nobody_is_always_a(tmp_path: Path) -> None:
    referee = Referee(tmp_path, THREE, seed=3)
    for number in range(12):
        carry_out(referee, ("A", "B", "tie")[number % 3])
    pairs = [comparison.pair for comparison in referee.state.comparisons]
    assert set(Counter(frozenset(pair) for pair in pairs).values()) == {4}
    first = Counter(pair[0] for pair in pairs)
    assert all(2 <= first[name] <= 6 for name in THREE)
    again = Referee(tmp_path / "again", THREE, seed=3)
    for number in range(12):
        carry_out(again, ("A", "B", "tie")[number % 3])
    assert [comparison.pair for comparison in again.state.comparisons] == pairs
    for one in (referee, again):
        one.close()


def test_what_is_invalid_or_dropped_stays_in_the_journal_and_counts_for_nothing(
    tmp_path: Path,
) -> None:
    referee = Referee(tmp_path, NOWHERE, seed=0)
    carry_out(referee, "A", valid=False)
    referee.ask("lift")
    referee.begin()
    referee.repeat("bumped")
    assert referee.state.phase == Phase.READY
    referee.drop("the robot broke")
    carry_out(referee, "tie")
    assert len(read_votes(tmp_path)) == 1
    comparisons = read_comparisons(tmp_path)
    assert [one.valid for one in comparisons] == [False, False, True]
    assert len(comparison_records(comparisons, "bench")) == 2
    kinds = [event["kind"] for event in read_journal(tmp_path / JOURNAL)]
    assert "repeated" in kinds
    assert "dropped" in kinds
    referee.close()


@pytest.mark.parametrize("cut", range(1, 12))
def test_an_arena_goes_on_after_every_event(cut: int, tmp_path: Path) -> None:
    whole = Referee(tmp_path / "whole", NOWHERE, seed=0)
    carry_out(whole, "A")
    carry_out(whole, "B")
    lines = (tmp_path / "whole" / JOURNAL).read_text().splitlines(keepends=True)
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / JOURNAL).write_text("".join(lines[:cut]) + lines[cut][:30])
    before = state_after(read_journal(tmp_path / "cut" / JOURNAL))
    referee = Referee(tmp_path / "cut", NOWHERE, seed=99)
    assert referee.state.seed == 0
    expected = {Phase.ASKED: Phase.READY, Phase.RUNNING: Phase.READY}
    assert referee.state.phase == expected.get(before.phase, before.phase)
    while referee.state.phase != Phase.IDLE:
        match referee.state.phase:
            case Phase.READY:
                referee.begin()
            case Phase.RUNNING:
                referee.end()
            case Phase.SCORING:
                referee.score(50)
            case _:
                referee.vote("A", "")
    pairs = [comparison.pair for comparison in referee.state.comparisons]
    assert pairs == [comparison.pair for comparison in whole.state.comparisons][: len(pairs)]
    for one in (whole, referee):
        one.close()


def test_a_journal_that_was_edited_is_refused(tmp_path: Path) -> None:
    referee = Referee(tmp_path, NOWHERE, seed=0)
    carry_out(referee, "A")
    with pytest.raises(ValueError, match="in use by another arena"):
        Referee(tmp_path, NOWHERE)
    referee.close()
    path = tmp_path / JOURNAL
    whole = path.read_text()
    lines = whole.splitlines(keepends=True)
    edits = {
        "preference": whole.replace('"preference":"A"', '"preference":"B"') + lines[-1],
        "dropped": "".join(lines[:3] + lines[4:]),
        "swapped": "".join([*lines[:3], lines[4], lines[3], *lines[5:]]),
        "progress": whole.replace('"progress":50.0', '"progress":90.0', 1),
    }
    for name, text in edits.items():
        path.write_text(text)
        with pytest.raises(ValueError, match="was edited"):
            read_votes(tmp_path)
        with pytest.raises(ValueError, match="was edited"):
            Journal(path)
        assert name
    path.write_text("no json\n")
    with pytest.raises(ValueError, match="line 1 is not JSON"):
        read_journal(path)
    path.write_text(whole)
    assert len(read_votes(tmp_path)) == 1


def test_an_event_that_the_disk_does_not_take_has_not_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    referee = Referee(tmp_path, NOWHERE, seed=0)
    write = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda file, content: write(file, content[:20]))
        with pytest.raises(OSError, match="disk is full"):
            referee.ask("lift")
    assert referee.state.phase == Phase.IDLE
    referee.ask("push")
    kinds = [event["kind"] for event in read_journal(tmp_path / JOURNAL)]
    assert kinds == ["started", "asked", "drawn"]
    referee.close()


def test_a_policy_may_join_later_but_none_may_vanish(tmp_path: Path) -> None:
    referee = Referee(tmp_path, NOWHERE, seed=0)
    carry_out(referee, "A")
    referee.close()
    joined = Referee(tmp_path, THREE)
    joined.ask("lift")
    assert "medlar" in joined.state.open.pair
    joined.close()
    with pytest.raises(ValueError, match=r"has compared \['medlar'\] too"):
        Referee(tmp_path, NOWHERE)


def test_no_name_leaves_the_arena_and_the_robot_is_told_what_was_typed(tmp_path: Path) -> None:
    fast, slow = Seeker(), Seeker(gain=0.3)
    with served("sassafras", fast) as one, served("tamarind", slow) as two:
        policies = {"sassafras": one.url, "tamarind": two.url}
        with arena(tmp_path, policies) as desk:
            heard: list[Any] = []
            page = desk.get("")
            assert "<title>Arena</title>" in page
            for _ in range(3):
                desk.do("ask", instruction="go to blue", other="go to red", evaluator="Ada")
                for _ in range(4):
                    with pytest.raises(InvalidStatus) as early:
                        Robot(desk.robot)
                    assert early.value.response.status_code == 503
                    view = desk.do("begin")
                    assert view["phase"] == "running"
                    heard += drive(desk.robot, chunks=2)[1]
                    assert desk.get("api/state")["acting"]
                    desk.do("end")
                    desk.do("score", progress=40)
                desk.do("vote", preference="A", text="smoother")
            desk.get("api/ranking")
            desk.get("openapi.json")
            desk.get("docs")
    told = "\n".join(desk.heard) + repr(heard)
    for secret in (*policies, one.url, two.url, "wam", "abc", "demonstrations"):
        assert secret not in told
    assert all(set(answer) == {"actions"} for answer in heard[1::3])
    assert {frozenset(answer) for answer in heard[0::3]} == {
        frozenset({"protocol", "needs", "makes", "execute", "keys"})
    }
    records = comparison_records(read_comparisons(tmp_path), "bench")
    assert len(records) == 12
    assert {row.family for row in records} == {"wam"}
    assert {row.demonstrations for row in records} == {7}
    assert all(row.steps == 16 and len(row.timing.latency_s) == 2 for row in records)


def test_the_relay_says_the_typed_instruction(tmp_path: Path) -> None:
    with two_served() as policies, arena(tmp_path, policies) as desk:
        desk.do("ask", instruction="go to red")
        desk.do("begin")
        best, _ = drive(desk.robot, chunks=12)
        desk.do("end")
    assert best > 0.95


def test_a_robot_with_our_client_acts_until_it_is_stopped(tmp_path: Path) -> None:
    plane, state = Plane(), make_state("arena", 0)
    with two_served() as policies, arena(tmp_path, policies) as desk:
        desk.do("ask", instruction="go to red")
        for label in "AB":
            assert desk.do("begin")["label"] == label
            policy = ServedPolicy(desk.robot)
            assert policy.about == {}
            session = policy.start(0)
            seen = plane.begin(state, state.tasks[1], 0)
            for _ in range(8):
                session, act = policy.act(session, seen)
                for action in act.chunk[: policy.execute]:
                    plane.apply(action)
                seen = plane.observe()
            assert plane.judge().progress["reach/red"] > 0.9
            desk.do("end")
            with pytest.raises(ServerError, match="the episode has ended"):
                policy.act(session, seen)
            with pytest.raises(ServerError, match="503"):
                policy.start(0)
            desk.do("score", progress=100)
        assert desk.get("api/state")["phase"] == "voting"


def test_a_failing_policy_is_not_named_and_its_episode_can_be_repeated(tmp_path: Path) -> None:
    failing = Seeker(fails=("red",))
    with served("sassafras", failing) as one, served("tamarind", failing) as two:
        policies = {"sassafras": one.url, "tamarind": two.url}
        with arena(tmp_path, policies) as desk:
            desk.do("ask", instruction="go to red")
            desk.do("begin")
            _, heard = drive(desk.robot)
            assert heard[1] == "error: the policy failed"
            view = desk.get("api/state")
            assert view["failed"]
            assert desk.do("repeat", reason="it failed")["phase"] == "ready"
    with arena(tmp_path, {"sassafras": "ws://127.0.0.1:9", "tamarind": "ws://127.0.0.1:9"}) as desk:
        desk.do("begin")
        robot = desk.robot
        with pytest.raises(ConnectionClosed, match="the policy failed"):
            Robot(robot)
        assert desk.get("api/state")["failed"]
        desk.do("end")
        desk.do("score", progress=0)
    kinds = [event["kind"] for event in read_journal(tmp_path / JOURNAL)]
    assert kinds.count("begun") == 2


def test_stopping_a_episode_stops_the_robot(tmp_path: Path) -> None:
    with two_served() as policies, arena(tmp_path, policies) as desk:
        desk.do("ask", instruction="go to red")
        desk.do("begin")
        robot = Robot(desk.robot)
        with pytest.raises(InvalidStatus) as second:
            Robot(desk.robot)
        assert second.value.response.status_code == 409
        plane, state = Plane(), make_state("arena", 0)
        message = openpi_message(plane.begin(state, state.tasks[0], 0))
        assert "actions" in robot.send(message)
        assert robot.send({"endpoint": "reset"}) == "reset successful"
        assert robot.send({"endpoint": "infer"}) == "error: the policy failed"
        robot.socket.send(b"\xc1")
        assert "holds a map" in str(robot.socket.recv(timeout=30))
        desk.do("end")
        with pytest.raises(ConnectionClosed, match="episode has ended"):
            robot.send(message)
        until(lambda: not desk.get("api/state")["robot"])


def test_a_late_or_second_tap_changes_nothing(tmp_path: Path) -> None:
    with arena(tmp_path, NOWHERE) as desk:
        seen = desk.get("api/state")["step"]
        desk.do("ask", instruction="lift", step=seen)
        assert desk.do("ask", instruction="lift", step=seen)["detail"].startswith("Something")
        assert desk.status == 409
        assert "expected scoring" in desk.do("score", progress=10)["detail"]
        assert desk.status == 400
        desk.do("score", progress="far")
        assert desk.status == 422
    assert [e["kind"] for e in read_journal(tmp_path / JOURNAL)] == ["started", "asked", "drawn"]


def test_strangers_see_an_empty_page(tmp_path: Path) -> None:
    with arena(tmp_path, NOWHERE, key="k") as desk:
        stranger = Desk(desk.page, desk.robot)
        assert "key" in stranger.get("api/state")["detail"]
        assert stranger.status == 401
        assert "key" in stranger.do("ask", instruction="lift")["detail"]
        assert desk.get("api/state")["phase"] == "idle"
        with pytest.raises(InvalidStatus) as refused:
            Robot(desk.robot)
        assert refused.value.response.status_code == 401


def test_robots_that_speak_roboarenas_wire_are_relayed(tmp_path: Path) -> None:
    policy = droid_policy(PI0)
    dialect = roboarena_dialect(policy)
    with (
        serving(policy, dialect) as one,
        serving(policy, dialect) as two,
        arena(tmp_path, {"a": one.url, "b": two.url}) as desk,
    ):
        desk.do("ask", instruction="lift the red box")
        desk.do("begin")
        robot = Robot(desk.robot)
        assert robot.greeting == {**dialect.greeting, "image_resolution": [32, 32]}
        assert robot.send(roboarena_message(1))["actions"].shape == (policy.execute, 8)
        assert robot.send({"endpoint": "reset", "session_id": "s"}) == "reset successful"
        robot.close()
        desk.do("end")
    sent = read_comparisons(tmp_path)[0].episodes[0]
    assert (sent.chunks, sent.actions) == (1, policy.execute)


def test_the_command_serves_page_and_relay_and_ends_on_a_signal(tmp_path: Path) -> None:
    words = ["arena", "run", str(tmp_path), "--page-port", "0", "--robot-port", "0"]
    words += ["--policies", *(f"{name}={address}" for name, address in NOWHERE.items())]
    process = subprocess.Popen(
        [sys.executable, "-m", "vertebra.cli", *words, "--host", "0.0.0.0"],  # noqa: S104
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(3)]
    assert "".join(said), process.communicate()[1]
    page = said[0].split()[1].replace("0.0.0.0", "127.0.0.1")  # noqa: S104
    key = said[2].split()[1]
    assert page.endswith(f"#key={key}")
    desk = Desk(page, said[1].split()[1], key)
    assert desk.do("ask", instruction="lift")["phase"] == "ready"
    process.send_signal(signal.SIGTERM)
    _, complaints = process.communicate(timeout=30)
    assert process.returncode == 0, complaints
    assert "Traceback" not in complaints
    assert state_after(read_journal(tmp_path / JOURNAL)).phase == Phase.READY
    assert (tmp_path / "key.txt").read_text().strip() == key


def test_rank_and_records_on_the_command_line(tmp_path: Path, capsys: Any) -> None:
    referee = Referee(tmp_path, NOWHERE, seed=1)
    for _ in range(3):
        carry_out(referee, "A")
    referee.ask("lift")
    winner = "pear"
    referee.drop("")
    carry_out(referee, "A", other="push it")
    for number in range(12):
        referee.ask("lift the box")
        while referee.state.phase == Phase.READY:
            referee.begin()
            referee.end()
            referee.score(100)
        better = "AB"[referee.state.open.pair.index(winner)]
        worse = "BA"[referee.state.open.pair.index(winner)]
        referee.vote(worse if number % 4 == 0 else better, "")
    referee.close()
    assert run(["arena", "rank", str(tmp_path), "--json"]) == 0
    ranking = json.loads(capsys.readouterr().out)
    assert ranking["votes"] == 16
    assert [row["episodes"] for row in ranking["listening"]] == [2, 2]
    assert sum(place["points"] for place in ranking["ranks"]) == pytest.approx(3000)
    assert run(["arena", "rank", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "16 votes, intervals 95 %" in told
    assert "quince, told one of two things: did it in 0 of 2 episodes, did the other in 0" in told
    assert "pear - quince" in told or "quince - pear" in told
    assert run(["arena", "records", str(tmp_path), "--robot", "bench"]) == 0
    rows = [record_from_plain(row) for row in read_jsonl(tmp_path / "records.jsonl")]
    assert len(rows) == 34
    assert {row.environment for row in rows} == {"bench"}
    for verb in ("rank", "records"):
        assert run(["arena", verb, str(tmp_path / "nothing")]) == 2
        assert "give an arena's directory" in capsys.readouterr().err
    words = ["arena", "run", str(tmp_path), "--policies", "a=http://x", "b=ws://y:1", "b=ws://z:1"]
    assert run(words) == 2
    told = capsys.readouterr().err
    assert "'a=http://x' is not NAME=ws://HOST:PORT" in told
    assert "'b' is named twice" in told
