"""Parses the command line, carries out one command, and turns errors of users into messages."""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import tyro

from vertebra import __version__
from vertebra.cli import (
    again,
    arena,
    arguments,
    arguments_again,
    arguments_doctor,
    arguments_env,
    arguments_plan,
    arguments_pretrain,
    arguments_reproduce,
    arguments_robot,
    audit,
    client,
    data,
    env,
    plan,
    pretrain,
    reading,
    serve,
)
from vertebra.cli.adapt import adapt
from vertebra.cli.cite import cite
from vertebra.cli.doctor import doctor
from vertebra.cli.extend import extend
from vertebra.cli.grounding import grounding
from vertebra.cli.pilot import carry_out_job, run_pilot_command
from vertebra.cli.recipes import recipes
from vertebra.cli.reproduce import reproduce_command
from vertebra.spec.errors import MissingExtra

STARTED = time.monotonic()
DESCRIPTION = """\
Which backbone should a robot policy stand on: a vision-language model, a video model, or both?

vertebra --version prints the version. VERTEBRA_TRACEBACK=1 shows where an error came from."""
USER_ERRORS = (ValueError, MissingExtra, FileNotFoundError, NotADirectoryError, PermissionError)

_COMMANDS: dict[type[Any], Callable[[Any], int]] = {
    arguments.PilotCommand: run_pilot_command,
    arguments.ExtendCommand: extend,
    arguments_plan.PlanPilotCommand: plan.pilot,
    arguments_plan.PlanTrainCommand: plan.train,
    arguments_plan.PlanChangeCommand: plan.change,
    arguments.JobCommand: lambda command: carry_out_job(command, STARTED),
    arguments_pretrain.PretrainCommand: pretrain.pretrain_command,
    arguments.DataMakeCommand: data.make,
    arguments.DataCalvinCommand: data.calvin,
    arguments.DataInfoCommand: data.info,
    arguments.DataCheckCommand: data.check,
    arguments.DataShowCommand: data.show,
    arguments.DataFitCommand: data.fit,
    arguments.Recipes: recipes,
    arguments.CiteCommand: cite,
    arguments.ReportCommand: reading.report,
    arguments.CompareCommand: reading.compare,
    arguments.VerdictCommand: reading.verdict,
    arguments_again.ProfileCommand: again.profile,
    arguments_again.RealtimeCommand: again.realtime,
    arguments_again.RobustnessCommand: again.robustness,
    arguments_again.AdaptCommand: adapt,
    arguments.AuditReportCommand: audit.report,
    arguments.AuditCheckpointCommand: audit.checkpoint,
    arguments.AuditPolicyCommand: audit.policy,
    arguments.AuditGroundingCommand: grounding,
    arguments_doctor.DoctorCommand: doctor,
    arguments_reproduce.ReproduceCommand: reproduce_command,
    arguments_env.EnvListCommand: env.show,
    arguments_env.EnvSetupCommand: env.setup,
    arguments_env.EnvCheckCommand: env.check,
    arguments_robot.ServeCommand: serve.serve,
    arguments_robot.ClientRecordCommand: client.record,
    arguments_robot.ArenaRunCommand: arena.run,
    arguments_robot.ArenaRankCommand: arena.show_ranking,
    arguments_robot.ArenaRecordsCommand: arena.records,
    arguments_robot.ArenaImportCommand: arena.import_roboarena,
}


_GROUPS = (
    *(arguments.Data, arguments.Audit, arguments_plan.Plan),
    *(arguments_env.Env, arguments_robot.Client, arguments_robot.Arena),
)


def main(words: list[str] | None = None) -> None:
    """Entry point; ends the process.

    Exit codes: 0 done, 1 done with failures or faults, 2 refused, 130 interrupted.

    Args:
        words: The command line without the program; that of the process by default.
    """
    sys.exit(run(sys.argv[1:] if words is None else words))


def run(words: list[str]) -> int:
    """Carry out one command and return the exit code."""
    if words == ["--version"]:
        sys.stdout.write(f"vertebra {__version__}\n")
        return 0
    command = tyro.cli(
        arguments.Command,
        prog="vertebra",
        description=DESCRIPTION,
        args=words,
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes),
    )
    if isinstance(command, _GROUPS):
        command = command.command
    try:
        return _COMMANDS[type(command)](command)
    except BrokenPipeError:
        # The reader (`| head`) has gone; what is still buffered must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except USER_ERRORS as error:
        if os.environ.get("VERTEBRA_TRACEBACK"):
            raise
        sys.stderr.write(f"error: {error}\n")
        return 2
