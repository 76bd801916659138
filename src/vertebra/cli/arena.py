"""The commands ``arena run``, ``rank``, ``records`` and ``import``."""

import asyncio
import logging
import secrets
from pathlib import Path

from vertebra.cli.arguments_robot import (
    ArenaImportCommand,
    ArenaRankCommand,
    ArenaRecordsCommand,
    ArenaRunCommand,
)
from vertebra.cli.reading import write_out, write_out_json
from vertebra.cli.serve import LOOPBACK, read_key
from vertebra.serve.arena.dump import import_dump
from vertebra.serve.arena.referee import JOURNAL, Referee
from vertebra.serve.arena.results import (
    RECORDS,
    comparison_records,
    listening,
    read_comparisons,
    read_votes,
)
from vertebra.spec.storage import write_bytes, write_jsonl
from vertebra.stats.bradley_terry import Ranking, rank

SHOWN = 20


def run(command: ArenaRunCommand) -> int:
    """Serve the page and the relay until told to end."""
    from vertebra.serve.arena.app import ArenaConfig, ArenaServer

    policies = _policies(command.policies)
    config = ArenaConfig(
        host=command.host,
        page_port=command.page_port,
        robot_port=command.robot_port,
        key="" if command.host in LOOPBACK else _key(command.out),
        policy_key=read_key(command.api_key_file),
    )
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("websockets").setLevel(logging.WARNING)
    referee = Referee(command.out, policies, command.seed)

    def ready(page: str, robot: str) -> None:
        write_out(f"page   {page}\nrobot  {robot}")
        if config.key:
            write_out(f"key    {config.key} (the robot sends it as its API key)")

    try:
        asyncio.run(ArenaServer(referee, config).run(ready))
    except OSError as error:
        raise ValueError(f"{config.host} cannot be listened on: {error}") from error
    finally:
        referee.close()
    return 0


def show_ranking(command: ArenaRankCommand) -> int:
    """Print ranks, gaps, the pairs still needed, and who did what it was told."""
    ranking = rank(read_votes(command.arena))
    heard = listening(read_comparisons(command.arena))
    if command.json:
        write_out_json({**vars(ranking), "listening": heard})
        return 0
    _say(ranking)
    for one in heard:
        write_out(
            f"{one.policy}, told one of two things: did it in {one.done} of {one.episodes} "
            f"episodes, did the other in {one.other_done}"
        )
    return 0


def records(command: ArenaRecordsCommand) -> int:
    """Write ``records.jsonl`` beside the journal."""
    if not (command.arena / JOURNAL).is_file():
        raise ValueError(f"{command.arena} holds no {JOURNAL}; give an arena's directory.")
    found = comparison_records(read_comparisons(command.arena), command.robot)
    write_jsonl(command.arena / RECORDS, found)
    write_out(f"{command.arena / RECORDS}: {len(found)} episodes")
    return 0


def import_roboarena(command: ArenaImportCommand) -> int:
    """Import a dump; exit code 1 when something in it could not be read."""
    found = import_dump(command.dump, command.out)
    counts = {"votes": len(found.votes), "episodes": len(found.records)}
    if command.json:
        write_out_json({"out": command.out, **counts, "problems": found.problems})
        return 1 if found.problems else 0
    for problem in found.problems[:SHOWN]:
        write_out(problem)
    if len(found.problems) > SHOWN:
        write_out(f"... and {len(found.problems) - SHOWN} more (all of them with --json)")
    write_out(f"{command.out}: {counts['votes']} votes, {counts['episodes']} episodes")
    return 1 if found.problems else 0


def _key(directory: Path) -> str:
    """The key of an arena that others can reach; made once, so that it holds when it goes on."""
    path = directory / "key.txt"
    if not path.is_file():
        write_bytes(path, (secrets.token_urlsafe(12) + "\n").encode())
        path.chmod(0o600)
    return path.read_text().strip()


def _policies(words: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    problems: list[str] = []
    for word in words:
        name, _, address = word.partition("=")
        if not name or not address.startswith(("ws://", "wss://")):
            problems.append(f"{word!r} is not NAME=ws://HOST:PORT")
        if name in found:
            problems.append(f"{name!r} is named twice")
        found[name] = address
    if problems:
        raise ValueError("These policies cannot be compared:\n  - " + "\n  - ".join(problems))
    return found


def _say(ranking: Ranking) -> None:
    if ranking.problem:
        write_out(f"{ranking.votes} votes. {ranking.problem}")
        return
    level = f"{100 * ranking.level:.0f} %"
    write_out(f"{ranking.votes} votes, intervals {level}, tie parameter {ranking.tie:.2f}")
    width = max(len(place.policy) for place in ranking.ranks)
    for place in ranking.ranks:
        write_out(
            f"{place.policy.ljust(width)}  {place.points:6.0f}  [{place.low:.0f}, {place.high:.0f}]"
            f"  {place.won} won, {place.lost} lost, {place.tied} tied"
        )
    for gap in ranking.gaps:
        if gap.low > 0:
            told = "told apart"
        elif gap.needed is None:
            told = "no difference seen"
        else:
            told = f"about {gap.needed} more direct comparisons to tell"
        write_out(
            f"{gap.better} - {gap.worse}: {gap.points:.0f} [{gap.low:.0f}, {gap.high:.0f}], "
            f"{gap.pairs} direct; {told}"
        )
