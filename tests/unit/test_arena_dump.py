"""A dump in RoboArena's format: its votes and episodes, and what in it cannot be read."""

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from vertebra.cli.entry import run
from vertebra.data.video import Encoding, VideoWriter
from vertebra.serve.arena.dump import read_dump, read_steps
from vertebra.serve.arena.results import read_votes
from vertebra.spec.record import record_from_plain
from vertebra.spec.storage import read_json, read_jsonl
from vertebra.spec.task import Outcome


def steps(count: int) -> list[dict[str, Any]]:
    """What the evaluator's program stores."""
    rng = np.random.default_rng(count)
    return [
        {
            "cartesian_position": rng.normal(size=6).tolist(),
            "joint_position": rng.normal(size=7).tolist(),
            "gripper_position": rng.random(1).tolist(),
            "action": rng.normal(size=8).tolist(),
        }
        for _ in range(count)
    ]


def write_session(
    dump: Path, name: str, policies: dict[str, tuple[str, float] | None], preference: Any
) -> Path:
    folder = dump / "evaluation_sessions" / name
    folder.mkdir(parents=True)
    told: dict[str, Any] = {}
    for label, given in policies.items():
        if given is None:
            told[label] = None
            continue
        policy, progress = given
        told[label] = {
            "policy_name": policy,
            "partial_success": progress,
            "binary_success": int(progress == 1.0),
            "duration": 11,
        }
        own = folder / f"{label}_{policy}"
        own.mkdir()
        np.savez_compressed(own / "proprio_and_actions.npz", data=np.array(steps(12)))
        for camera in ("left_shoulder", "wrist"):
            film = VideoWriter(
                own / f"{camera}.mp4", fps=10, height=16, width=16, encoding=Encoding()
            )
            film.write(np.zeros((3, 16, 16, 3), np.uint8))
            film.close()
    metadata = {
        "evaluation_location": "Berkeley",
        "evaluator_name": "someone",
        "language_instruction": "put the cup on the plate",
        "longform_feedback": "Policy A was faster",
        "policies": told,
        "preference": preference,
        "session_completion_timestamp": "2025-08-05T10:00:00",
        "session_creation_timestamp": "2025-08-05T09:50:00",
    }
    (folder / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    return folder


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    top = tmp_path / "dump"
    write_session(top, "s1", {"A": ("pi0", 1.0), "B": ("fast", 0.4)}, "A")
    write_session(top, "s2", {"A": ("fast", 0.2), "B": ("pi0", 0.2), "C": ("pi05", 0.9)}, "TIE")
    write_session(top, "s3", {"A": ("fast", 0.7), "B": ("pi0", 0.5)}, "A")
    write_session(top, "s4", {"A": ("pi0", 0.1), "B": None}, None)
    return top


def test_a_dump_is_imported_and_ranked(dump: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "out"
    assert run(["arena", "import", str(dump), "--out", str(out)]) == 1
    told = capsys.readouterr().out
    assert "s4: no vote: the preference is None" in told
    assert "3 votes, 8 episodes" in told
    votes = read_votes(out)
    assert [(v.a, v.b, v.preference) for v in votes] == [
        ("pi0", "fast", "A"),
        ("fast", "pi0", "tie"),
        ("fast", "pi0", "A"),
    ]
    rows = [record_from_plain(row) for row in read_jsonl(out / "records.jsonl")]
    assert [row.arm for row in rows] == ["pi0", "fast", "fast", "pi0", "pi05", "fast", "pi0", "pi0"]
    assert [row.progress for row in rows] == [1.0, 0.4, 0.2, 0.2, 0.9, 0.7, 0.5, 0.1]
    assert [row.outcome for row in rows].count(Outcome.SUCCESS) == 1
    assert {row.steps for row in rows} == {12}
    assert rows[0].achieved == ("put the cup on the plate",)
    assert rows[0].environment == "roboarena/Berkeley"
    media = read_json(out / "media.json")
    film = Path(media["dump"]) / media["films"]["s1/A"]["left_shoulder"]
    assert film.is_file()
    assert run(["arena", "rank", str(out)]) == 0
    assert "pi0" in capsys.readouterr().out
    assert run(["arena", "import", str(dump), "--out", str(out)]) == 2
    assert "choose another directory" in capsys.readouterr().err


def test_what_cannot_be_read_is_named_and_the_rest_is_kept(dump: Path) -> None:
    sessions = dump / "evaluation_sessions"
    (sessions / "s1" / "metadata.yaml").write_text("policies: [")
    broken = next((sessions / "s2").glob("A_*/*.npz"))
    broken.write_bytes(b"nothing")
    (sessions / "s3" / "metadata.yaml").write_text("language_instruction: lift\n")
    found = read_dump(dump)
    assert len(found.problems) == 4
    assert any("s1: its metadata cannot be read" in words for words in found.problems)
    assert any("s3: its metadata cannot be read" in words for words in found.problems)
    assert any("steps are as stated" in words for words in found.problems)
    assert [row.steps for row in found.records if row.initial_state == "s2"] == [11, 12, 12]
    assert len(found.votes) == 1
    with pytest.raises(ValueError, match="give a RoboArena dump"):
        read_dump(dump / "evaluation_sessions" / "s1")


def test_steps_come_back_as_they_were_stored(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    stored = steps(5)
    np.savez_compressed(path, data=np.array(stored))
    found = read_steps(path)
    assert {name: value.shape for name, value in found.items()} == {
        "cartesian_position": (5, 6),
        "joint_position": (5, 7),
        "gripper_position": (5, 1),
        "action": (5, 8),
    }
    for name, value in found.items():
        assert (value == np.array([row[name] for row in stored])).all()


class Trap:
    """Would run a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.path}",)


def test_nothing_in_a_dump_is_executed(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    trapped = np.empty(1, object)
    trapped[0] = Trap(sprung)
    path = tmp_path / "trap.npz"
    np.savez(path, data=trapped)
    with pytest.raises(ValueError, match=r"it names posix\.system"):
        read_steps(path)
    assert not sprung.exists()
    pickle.loads(pickle.dumps(trapped))  # noqa: S301 - that the trap is one
    assert sprung.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"data": np.zeros(3)}, "expected one map a step"),
        ({"other": np.zeros(3)}, r"expected \['data.npy'\]"),
        ({"data": np.array([{"action": [1.0]}])}, "does not hold"),
        ({"data": np.array([3, "x"], object)}, "does not hold"),
    ],
)
def test_other_arrays_are_refused(content: dict[str, Any], words: str, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, **content)
    with pytest.raises(ValueError, match=words):
        read_steps(path)


def test_a_cut_off_array_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, data=np.array(steps(5)))
    with zipfile.ZipFile(path) as archive:
        whole = archive.read("data.npy")
    for length in (3, 50, 200, len(whole) - 5):
        cut = io.BytesIO()
        with zipfile.ZipFile(cut, "w") as archive:
            archive.writestr("data.npy", whole[:length])
        path.write_bytes(cut.getvalue())
        with pytest.raises(ValueError, match=r"x\.npz|magic|header|EOF"):
            read_steps(path)
