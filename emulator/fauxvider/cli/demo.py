"""`fauxvider demo`: the tour on the terminal, and as a page with pictures."""

from __future__ import annotations

from pathlib import Path

import click

from fauxvider.demo.page import report_page
from fauxvider.demo.tour import Stop, Tour, take_tour
from fauxvider.values import span_text

__all__ = ["demo"]


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("fauxvider-demo"),
    show_default=True,
    help="Folder for the pictures and the report.",
)
def demo(out: Path) -> None:
    """Show the whole thing at work: five models, callbacks, bills, an expiring URL. Needs no network."""
    out.mkdir(parents=True, exist_ok=True)
    tour = take_tour(out, say=click.echo)
    (out / "report.html").write_text(report_page(tour), encoding="utf-8")
    click.echo()
    _show(tour)
    click.echo(f"\nPictures and report: {out / 'report.html'}")
    if any(stop.cost_agrees is False for stop in tour.stops):
        raise click.ClickException("a cost differs from its document")


def _show(tour: Tour) -> None:
    width = max(len(stop.title) for stop in tour.stops)
    click.secho(f"{'model':<{width}}  {'picture':<34}  {'cost shown':>12}  documented", bold=True)
    for stop in tour.stops:
        verdict = {True: "agrees", False: "DIFFERS", None: "-"}[stop.cost_agrees]
        click.echo(
            f"{stop.title:<{width}}  {stop.picture_note:<34}  {stop.cost_shown or '-':>12}  {verdict}: {stop.cost_says}"
        )
    click.echo()
    for stop in tour.stops:
        path = "  ".join(f"{word} +{span_text(at)}" for at, word in stop.statuses)
        click.echo(f"{stop.title:<{width}}  {path}")
    for stop in tour.stops:
        _show_delivery(stop)


def _show_delivery(stop: Stop) -> None:
    if stop.attempts:
        click.secho(f"\n{stop.title}: callback {stop.signed}", bold=True)
        for number, attempt in enumerate(stop.attempts, 1):
            click.echo(f"  attempt {number}  +{span_text(attempt.after):<6}  {attempt.outcome}")
    if stop.url_life:
        click.secho(f"\n{stop.title}: the picture's URL", bold=True)
        for when, status in stop.url_life:
            click.echo(f"  {when:<8}  HTTP {status}")
