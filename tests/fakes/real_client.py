"""A robot's program with the real client of openpi or RoboArena; runs in an environment of its own.

Run: ``python real_client.py openpi|roboarena ADDRESS REQUESTS.npz``. The file holds ``count``, the
``prompt`` and, for every other key of an observation, all its values. Prints what came back.
"""

# Both clients are installed where this runs, and not here.
# pyright: reportMissingImports=false

import hashlib
import json
import sys

import numpy as np


def observations(path):
    """The observations of a file, one after the other."""
    with np.load(path) as found:
        held = {key: found[key] for key in found.files if key not in ("count", "prompt")}
        count, prompt = int(found["count"]), str(found["prompt"])
    for number in range(count):
        yield {"prompt": prompt, **{key: values[number] for key, values in held.items()}}


def of_openpi(address):
    """openpi's client, from PyPI."""
    from openpi_client.websocket_client_policy import WebsocketClientPolicy

    return WebsocketClientPolicy(address)


def of_roboarena(address):
    """RoboArena's client, from a clone on the path."""
    from roboarena.policy_client import WebsocketClientPolicy

    host, port = address.removeprefix("ws://").split(":")
    return WebsocketClientPolicy(host, int(port))


def main(kind, address, path):
    """Ask for every observation of a file and say what came."""
    robot = {"openpi": of_openpi, "roboarena": of_roboarena}[kind](address)
    chunks = []
    for number, observation in enumerate(observations(path)):
        if kind == "roboarena":
            observation["session_id"] = f"s{number // 20}-A"
        actions = robot.infer(observation)["actions"]
        assert np.isfinite(actions).all()
        chunks.append(
            {"shape": actions.shape, "sha": hashlib.sha256(actions.tobytes()).hexdigest()}
        )
    ended = robot.reset({"session_id": "s0-A"}) if kind == "roboarena" else robot.reset()
    said = {"greeting": robot.get_server_metadata(), "chunks": chunks, "reset": ended}
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main(*sys.argv[1:])
