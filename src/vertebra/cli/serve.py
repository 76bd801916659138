"""The command ``serve``."""

import asyncio
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vertebra.cli.arguments_robot import ServeCommand
from vertebra.cli.reading import write_out, write_out_json
from vertebra.serve.dialect import keys_from_plain, openpi_dialect, roboarena_dialect
from vertebra.serve.server import PolicyServer, ServerConfig
from vertebra.spec.errors import MissingExtra
from vertebra.spec.storage import read_json

KEY_VARIABLE = "VERTEBRA_API_KEY"
TRAINED = ("plan", "arm", "demonstrations", "seed")
"""Facts of a job that a server tells its clients."""
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def serve(command: ServeCommand) -> int:
    """Load, warm up and serve until told to end."""
    config = ServerConfig(
        host=command.host,
        port=command.port,
        api_key=read_key(command.api_key_file),
        seed=command.seed,
        most=command.batch,
        wait_s=command.batch_wait_ms / 1000 if command.batch > 1 else 0.0,
        connections=command.connections,
        drain_s=command.drain_s,
    )
    keys = None if command.keys is None else keys_from_plain(read_json(command.keys))
    try:
        from vertebra.policy.checkpoint import load_policy
    except ImportError as error:
        raise MissingExtra("Serving a checkpoint", "train") from error
    policy = load_policy(command.checkpoint)
    shape = policy.network.shape
    about = {
        "recipe": shape.recipe.name,
        "family": shape.recipe.family,
        "size": shape.size.name,
        **_trained(command.checkpoint),
    }
    if command.protocol == "roboarena":
        dialect = roboarena_dialect(policy, keys)
    else:
        dialect = openpi_dialect(policy, keys, about)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("websockets").setLevel(logging.WARNING)
    if config.host not in LOOPBACK and not config.api_key:
        logging.warning("anyone who reaches %s may use this policy: give a key", config.host)
    _run(PolicyServer(policy, dialect, config), command, about)
    return 0


def read_key(path: Path | None) -> str:
    """The key of a server, from a file or the environment; never from the command line.

    Raises:
        ValueError: When the file is empty.
    """
    if path is None:
        return os.environ.get(KEY_VARIABLE, "")
    key = path.read_text().strip()
    if not key:
        raise ValueError(f"{path} is empty; write the key into it.")
    return key


def _run(server: PolicyServer, command: ServeCommand, about: Mapping[str, Any]) -> None:
    def ready(address: str, warm_up_s: float) -> None:
        if command.json:
            write_out_json({"address": address, "protocol": command.protocol, **about})
        else:
            write_out(
                f"{about['recipe']} ({about['size']}) at {address}, protocol {command.protocol}; "
                f"warm after {warm_up_s:.1f} s"
            )

    try:
        asyncio.run(server.run(ready))
    except OSError as error:
        raise ValueError(f"{command.host}:{command.port} cannot be had: {error}") from error


def _trained(checkpoint: Path) -> dict[str, Any]:
    """Arm, demonstrations and seed, when the checkpoint lies in the directory of its job."""
    job = checkpoint.parent / "job.json"
    if not job.is_file():
        return {}
    plain = read_json(job)
    return {name: plain[name] for name in TRAINED if name in plain}
