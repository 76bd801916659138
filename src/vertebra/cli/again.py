"""Commands that run finished policies again: under a control rate, and with one thing changed."""

from typing import Any

from vertebra.cli.arguments_again import ProfileCommand, RealtimeCommand, RobustnessCommand
from vertebra.cli.reading import write_out, write_out_json
from vertebra.cli.watch import Steps
from vertebra.pilot.facts import machine, software
from vertebra.pilot.layout import RunDirectory
from vertebra.spec.errors import MissingExtra
from vertebra.spec.storage import read_json, write_json
from vertebra.verdict.numbers import percent
from vertebra.verdict.run import read_run
from vertebra.verdict.summarise import summarise


def profile(command: ProfileCommand) -> int:
    """Time a policy on this machine, and write what was found."""
    import resource

    from vertebra.evaluate.profile import Profile, copy_bandwidth, timed
    from vertebra.pilot.parts import real_parts

    policy = real_parts().load_policy(command.checkpoint)
    manifest = read_json(command.checkpoint / "manifest.json")
    facts = machine()
    found = Profile(
        arm=manifest["recipe"]["name"],
        checkpoint=manifest["sha256"],
        machine=facts,
        slowdown=command.slowdown,
        seconds=timed(policy, repeats=command.repeats, slowdown=command.slowdown),
        weight_bytes=(command.checkpoint / "weights.safetensors").stat().st_size,
        peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        memory_bytes=int(facts["memory_bytes"]),
        copy_bytes_s=copy_bandwidth(),
        software=software(),
    )
    if command.out is not None:
        write_json(command.out, found.to_plain())
    if command.json:
        write_out_json(found.to_plain())
        return 0
    seconds = sorted(found.seconds["chunk"])
    middle, late = seconds[len(seconds) // 2], seconds[int(0.95 * (len(seconds) - 1))]
    emulated = f" EMULATED: {found.slowdown:g} x what this machine takes" if found.emulated else ""
    write_out(f"{found.arm} on {facts['processor']}{emulated}")
    write_out(f"seconds of a chunk  median {middle:.4f}, 95 % below {late:.4f}, n {len(seconds)}")
    write_out(
        f"memory              {found.peak_bytes / 1e9:.2f} of {found.memory_bytes / 1e9:.2f} GB: "
        f"{'fits' if found.fits else 'does not fit'}"
    )
    write_out(
        f"bandwidth           {found.copy_bytes_s / 1e9:.1f} GB/s copied; reading the "
        f"{found.weight_bytes / 1e6:.1f} MB of weights once takes {1000 * found.least_s:.2f} ms"
    )
    if command.out is not None:
        write_out(str(command.out))
    return 0


def realtime(command: RealtimeCommand) -> int:
    """Evaluate a pilot's policies in a world that does not wait."""
    try:
        from vertebra.evaluate.profile import profile_from_file
        from vertebra.evaluate.realtime import RealTime
        from vertebra.pilot.again import evaluate_again, finished_cells, locked_plan
        from vertebra.pilot.parts import real_parts
        from vertebra.pilot.realtime import in_real_time, realtime_setting, seconds_by_arm
    except ImportError as error:
        raise MissingExtra("Running policies", "pilot") from error
    run = RunDirectory(root=command.run)
    plan = locked_plan(run)
    cells = finished_cells(run, plan)
    measured = read_json(run.latency) if run.latency.is_file() else {}
    files = command.profile or sorted((command.run / "profiles").glob("*.json"))
    profiles = [profile_from_file(path) for path in files]
    seconds = seconds_by_arm(measured, profiles, cells)
    how = RealTime(rate_hz=command.rate, ahead=command.ahead)
    setting = realtime_setting(plan, how, seconds, slowdown=command.slowdown, scenes=command.scenes)
    parts = real_parts()
    with Steps() as steps:
        evaluate_again(
            run,
            plan,
            cells,
            setting,
            parts,
            lambda cell: in_real_time(
                how, seconds[cell.arm.name][0], parts.make_environment, slowdown=command.slowdown
            ),
            lambda what, done, total: steps.tell(what, done, total, None),
        )
    return _print(command, (setting.label,))


def robustness(command: RobustnessCommand) -> int:
    """Evaluate a pilot's policies with one thing changed at a time."""
    try:
        from vertebra.pilot.again import evaluate_again, finished_cells, locked_plan
        from vertebra.pilot.parts import real_parts
        from vertebra.pilot.robustness import factor_setting, factors_by_name, in_lock_step
    except ImportError as error:
        raise MissingExtra("Running policies", "pilot") from error
    run = RunDirectory(root=command.run)
    plan = locked_plan(run)
    cells = finished_cells(run, plan)
    factors = factors_by_name(plan, command.factors)
    settings = [factor_setting(plan, factor, command.scenes) for factor in factors]
    parts = real_parts()
    with Steps() as steps:
        for setting in settings:
            evaluate_again(
                run,
                plan,
                cells,
                setting,
                parts,
                lambda cell: in_lock_step(parts.make_environment),
                lambda what, done, total: steps.tell(what, done, total, None),
            )
    return _print(command, tuple(setting.label for setting in settings))


def _print(command: Any, labels: tuple[str, ...]) -> int:
    """What came of it, read back from the records."""
    found = [one for one in summarise(read_run(command.run)).again if one.label in labels]
    if command.json:
        write_out_json(found)
        return 0
    for one in found:
        gap = "" if one.difference is None else f", {100 * one.difference.value:+.0f} points"
        write_out(f"{one.arm}, {one.words}: success {percent(one.success)}{gap}")
        if one.waiting is not None:
            write_out(
                f"  held on {100 * one.waiting.held_share:.0f} % of the ticks, "
                f"{100 * one.waiting.stale_share:.0f} % of the actions stale"
            )
    write_out(f"`vertebra report {command.run}` shows it on the page.")
    return 0
