"""The commands about environments."""

import sys
from collections.abc import Callable
from typing import Any

from vertebra.cli.arguments_env import EnvCheckCommand, EnvListCommand, EnvSetupCommand
from vertebra.cli.client import function_of_file
from vertebra.cli.reading import write_out, write_out_json
from vertebra.envs import simulators
from vertebra.envs.fitness import check_environment
from vertebra.envs.places import set_up, states


def show(command: EnvListCommand) -> int:
    """List the simulators."""
    found = states(simulators.SIMULATORS, command.place)
    if command.json:
        write_out_json(found)
        return 0
    write_out("tabletop     built in")
    for one in found:
        state = one["directory"] if one["ready"] else one["how"]
        write_out(f"{one['name']:12} {one['summary']}")
        write_out(f"{'':12} {'ready' if one['ready'] else 'not set up'}: {state}")
        write_out(f"{'':12} worlds: {', '.join(one['worlds'])}")
        write_out(f"{'':12} protocols: {', '.join(one['protocols'])}")
    return 0


def setup(command: EnvSetupCommand) -> int:
    """Set up a simulator."""
    simulator = simulators.simulator_by_name(command.name)
    directory = set_up(
        simulator,
        command.place,
        clone=command.root,
        again=command.again,
        tell=lambda words: print(words, file=sys.stderr),
    )
    write_out(str(directory))
    return 0


def check(command: EnvCheckCommand) -> int:
    """Say whether an environment is fit for a pilot."""
    environment, demonstrate = _environment(command.env)
    try:
        found = check_environment(environment, demonstrate)
    finally:
        environment.close()
    fit = all(one.fit for one in found)
    if command.json:
        write_out_json({"environment": environment.name, "fit": fit, "findings": found})
        return 0 if fit else 1
    write_out(f"{environment.name}")
    for one in found:
        write_out(f"  {'ok ' if one.fit else 'NO '} {one.question}: {one.answer}")
    write_out("fit for a pilot" if fit else "NOT fit for a pilot")
    return 0 if fit else 1


def _environment(words: str) -> tuple[Any, Callable[[Any], Any] | None]:
    """An environment by name or file, and its demonstrator if it has one."""
    if ".py:" in words:
        environment = function_of_file(words, "ENV")()
        return environment, _demonstrator(environment)
    from vertebra.pilot.worlds import demonstrator_of, make_environment, settings_from_words

    settings = settings_from_words(words).to_plain()
    environment = make_environment(settings)
    return environment, demonstrator_of(settings)(environment)


def _demonstrator(environment: Any) -> Callable[[Any], Any] | None:
    """What an environment of a file offers; the base class of adapters offers none."""
    from vertebra.envs.adapter import Adapter

    own = getattr(type(environment), "demonstrate", None)
    return None if own in (None, Adapter.demonstrate) else environment.demonstrate
