"""What ties a job's episodes to its plan and training, so that an audit can see a change.

The plan's hash covers the list of planned episodes. A result covers its own content, its episodes
and its checkpoint by hashes. None of this withstands somebody who writes everything anew; it finds
what was edited, dropped, exchanged or left over.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vertebra.evaluate.plan import EpisodePlan
from vertebra.pilot.layout import JobDirectory
from vertebra.spec.record import EpisodeRecord, record_from_plain
from vertebra.spec.storage import digest, read_jsonl, to_plain

SEAL = "seal"
EPISODES_VERSION = 1


def episode_key(record: EpisodeRecord) -> tuple[str, str, str, str]:
    """What names an episode inside one evaluation: split, initial state, condition, task."""
    return (record.split, record.initial_state, record.condition, record.task)


def planned_episodes(plan: Sequence[EpisodePlan]) -> list[dict[str, Any]]:
    """Planned episodes as JSON values, in order; the fields are named as in the record."""
    return [
        {
            "split": one.initial_state.split,
            "initial_state": one.initial_state.id,
            "condition": one.condition,
            "task": one.task.id,
            "skill": one.task.skill,
            "instruction": one.instruction,
            "scene_seed": one.scene_seed,
        }
        for one in plan
    ]


def records_evidence(records: Sequence[EpisodeRecord]) -> dict[str, Any]:
    """Number, outcomes and a hash of episodes; the hash covers everything but the timing."""
    return {
        "count": len(records),
        "outcomes": dict(sorted(Counter(str(record.outcome) for record in records).items())),
        "digest": digest([record.content_hash() for record in records]),
    }


def checkpoint_evidence(directory: Path) -> dict[str, str]:
    """File name to SHA-256 of everything in a checkpoint."""
    return {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def evidence_of(directory: JobDirectory) -> dict[str, Any]:
    """Evidence of what a job left on disk; empty parts are left out."""
    found: dict[str, Any] = {}
    if directory.records.exists():
        rows = [record_from_plain(row) for row in read_jsonl(directory.records)]
        found["records"] = records_evidence(rows)
    if directory.checkpoint.is_dir():
        found["checkpoint"] = checkpoint_evidence(directory.checkpoint)
    return found


def sealed(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result with a hash of the rest of it."""
    rest = {name: to_plain(value) for name, value in result.items() if name != SEAL}
    # A training that diverged has losses that are not numbers; they are sealed like all others.
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return {**rest, SEAL: hashlib.sha256(text.encode()).hexdigest()[:16]}
