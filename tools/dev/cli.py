"""The command line of ./dev; each command prepares what it needs and then does its one thing."""

import os
from collections.abc import Collection, Sequence
from typing import Annotated

import typer

from benchmarks.report import Table, build_report, write_section
from tools.dev.console import say
from tools.dev.go_programs import GO_PROGRAMS, find_go_program
from tools.dev.java_packages import find_java_packages
from tools.dev.npm_packages import find_npm_packages
from tools.dev.paths import CHECKOUT, SCRIPTS, is_ci
from tools.dev.processes import SetupError, run_foreground
from tools.dev.setup import (
    EVERYTHING,
    ONLY_FOR_TESTS,
    Component,
    Prepared,
    build_child_environment,
    prepare,
)

INTRODUCTION = """
Everything a developer does with this checkout.

The first run makes .venv from requirements.lock. Commands that need more (the Pulumi CLI, DynamoDB
Local, a Docker engine, LocalStack's image) install it once and say so; it is kept in the user's
cache folder (~/.cache/meshwright), never in the checkout. MESHWRIGHT_DOCKER=off goes without
Docker.
"""

app = typer.Typer(
    name="./dev",
    help=INTRODUCTION,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
docker_app = typer.Typer(no_args_is_help=True, help="The Docker engine that set-up started.")
app.add_typer(docker_app, name="docker")
bench_app = typer.Typer(
    no_args_is_help=True,
    help="Measure a part beside its peer in one run; docs/benchmarks.md keeps the figures.",
)
app.add_typer(bench_app, name="bench")

WriteOption = Annotated[
    bool, typer.Option("--write", help="Put the figures into docs/benchmarks.md as well.")
]


def _report(name: str, tables: Sequence[Table], *, write: bool) -> None:
    """Print what a benchmark found and, if asked, keep it in docs/benchmarks.md."""
    report = build_report(name, tables)
    report.show()
    if write:
        write_section(report, CHECKOUT / "docs" / "benchmarks.md")


@bench_app.command("translate")
def bench_translate(*, write: WriteOption = False) -> None:
    """Time and allocations of the translation, per proxy and per changed route, as meshes grow."""
    from benchmarks.translate import measure

    _report("translate", measure(), write=write)


@bench_app.command("api")
def bench_api(
    *,
    sizes: Annotated[
        list[int] | None,
        typer.Option(min=4, help="Measure a mesh of so many resources; may be repeated."),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often to measure; medians count.")] = 20,
    write: WriteOption = False,
) -> None:
    """Requests a second on both stores at 10, 1,000 and 10,000 resources, beside moto's appmesh.

    Some two minutes; DynamoDB is DynamoDB Local.
    """
    enter_environment({Component.DYNAMODB})
    from benchmarks.api import SIZES, measure

    _report("api", measure(sizes or SIZES, rounds), write=write)


@bench_app.command("provider")
def bench_provider(
    *,
    rounds: Annotated[int, typer.Option(min=1, help="How often to measure; medians count.")] = 3,
    write: WriteOption = False,
) -> None:
    """Up, no-op preview and destroy of 500 resources, beside a provider that makes nothing.

    A round takes some two minutes.
    """
    enter_environment({Component.PULUMI})
    from benchmarks.provider import measure

    _report("provider", measure(rounds=rounds, say=say), write=write)


@bench_app.command("xds")
def bench_xds(*, write: WriteOption = False) -> None:
    """Changes, reconnects and memory with up to 5,000 proxies, beside go-control-plane.

    Both servers and the proxies' program run on this machine; some 10 minutes.
    """
    from benchmarks.xds import measure

    _report("xds", measure(), write=write)


def enter_environment(components: Collection[Component]) -> Prepared:
    """Prepare components and tell this process and its children of them."""
    prepared = prepare(components)
    os.environ.update(build_child_environment(prepared, os.environ))
    return prepared


@app.command()
def demo(
    *,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave it running, and print how to poke at it.")
    ] = False,
    requests: Annotated[int, typer.Option(min=1, help="How many requests to send.")] = 2000,
) -> None:
    """Take a mesh from a Pulumi program to real traffic through real Envoys, and show the numbers.

    Starts a control plane, an AWS emulator, three Envoys and three applications; then pulumi up,
    traffic, a change of weights, traffic again, the access logs, and destroy. Nothing is left
    running, after Ctrl-C neither.
    """
    enter_environment(set(EVERYTHING) - ONLY_FOR_TESTS)
    from tools.demo.run import run_demo

    raise typer.Exit(run_demo(keep=keep, requests=requests))


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    options_metavar="[PYTEST ARGUMENTS]",
)
def test(context: typer.Context) -> None:
    """Run the tests, two at a time; arguments go to pytest. With CI=true also lint.

    For example: ./dev test tests/controlplane -k route -x

    Tests that need Docker are skipped where it can't be had; with CI=true that is an error.
    """
    enter_environment(EVERYTHING)
    lint_code = _run_lint(fix=False) if is_ci() else 0
    pytest = [SCRIPTS / "pytest", "-n", "2", "--dist", "worksteal", *context.args]
    test_code = run_foreground(pytest)
    if lint_code:
        say("lint failed; its findings stand above the tests")
    raise typer.Exit(test_code or lint_code)


@app.command()
def lint(
    *, fix: Annotated[bool, typer.Option("--fix", help="Repair what can be repaired.")] = False
) -> None:
    """Check style, layout, imports and types: ruff, import-linter, pyright. CI runs it too."""
    raise typer.Exit(_run_lint(fix=fix))


def _run_lint(*, fix: bool) -> int:
    from tools.dev.lint import build_checks, run_checks

    return run_checks(build_checks(fix=fix))


@app.command()
def setup(
    *,
    only: Annotated[
        list[Component] | None, typer.Option(help="Prepare this component; may be repeated.")
    ] = None,
) -> None:
    """Prepare everything that tests and demo need, and say what is used.

    Other commands do this by themselves, so it is for making a machine ready ahead of time.
    """
    components = only or EVERYTHING
    prepared = enter_environment(components)
    if prepared.pulumi:
        typer.echo(f"Pulumi CLI: {prepared.pulumi}")
    if Component.DYNAMODB in components:
        typer.echo(f"DynamoDB Local: {prepared.dynamodb or 'not used'}")
    if Component.GO in components:
        found = [program.name for program in GO_PROGRAMS if find_go_program(program)]
        typer.echo(f"Go programs: {', '.join(found) or 'not used'}")
    if Component.NPM in components:
        typer.echo(f"npm packages: {find_npm_packages() or 'not used'}")
    if Component.JAVA in components:
        typer.echo(f"Java packages: {find_java_packages() or 'not used'}")
    if Component.DOCKER in components:
        typer.echo(f"Docker engine: {'answers' if prepared.docker else 'not used'}")
    if Component.IMAGES in components:
        typer.echo(f"LocalStack image: {prepared.localstack_image or 'none, moto stands in'}")


@app.command()
def lock(
    *,
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Take the newest versions that fit.")
    ] = False,
) -> None:
    """Write requirements.lock anew after a change of a pyproject.toml."""
    from tools.dev.lockfile import write_lock

    raise typer.Exit(write_lock(upgrade=upgrade))


@docker_app.command()
def stop() -> None:
    """Stop the Docker engine that set-up started, and the containers in it."""
    from tools.dev.docker_engine import stop_engine

    typer.echo("stopped" if stop_engine() else "./dev started no Docker engine that still runs")


def main() -> int:
    """Run ./dev; a set-up that fails ends it with one line."""
    try:
        app(prog_name="./dev")
    except SetupError as error:
        say(str(error))
        return 1
    return 0
