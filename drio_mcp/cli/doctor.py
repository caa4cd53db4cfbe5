"""`drio-mcp doctor`: looks at the installation from inside and outside, and says what to change."""

from typing import TYPE_CHECKING

import click

from drio_mcp.cli.output import as_json, print_json

if TYPE_CHECKING:
    from drio_mcp.doctor.finding import Finding

MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red")}


@click.command()
@as_json
def doctor(as_json: bool) -> int:
    """Check settings, keys, database, public URL, proxy, clock and sign-in provider; nothing is changed.

    Exit status 1 when something fails; a warning is none.
    """
    from drio_mcp.doctor.examination import examine

    findings = examine()
    if as_json:
        print_json([finding.as_json() for finding in findings])
    else:
        for finding in findings:
            _print(finding)
    return 1 if any(finding.level == "failed" for finding in findings) else 0


def _print(finding: "Finding") -> None:
    mark, colour = MARKS[finding.level]
    click.echo(f"{click.style(mark, fg=colour, bold=True)} {finding.check}: {finding.detail}")
    if finding.change is not None:
        click.echo(f"    → {finding.change}")
