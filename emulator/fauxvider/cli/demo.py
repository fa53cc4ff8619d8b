"""`fauxvider demo`: the tour on the terminal, and as a page with pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from fauxvider.cli.files import made_folder, written
from fauxvider.cli.rendering import MODEL_OPTIONS, RENDERER, RenderOptions, open_renderer, with_options
from fauxvider.demo.gallery import Gallery
from fauxvider.demo.page import SHEET, report_page
from fauxvider.demo.sheet import write_sheet
from fauxvider.demo.tour import Stop, Tour, take_tour
from fauxvider.errors import RenderError, UsageError
from fauxvider.values import span_text

__all__ = ["demo"]


_DEMO_SIDE = 512  # of the tiny models: the sheet shows pictures side by side, not in full size


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("fauxvider-demo"),
    show_default=True,
    help="Folder for the pictures and the report.",
)
@with_options((RENDERER, *MODEL_OPTIONS))
def demo(out: Path, **given: Any) -> None:
    """Show the whole thing at work: five models, callbacks, bills, an expiring URL. Needs no network.

    With --renderer diffusers the pictures are really rendered, and sheet.png shows them side by side.
    """
    render = RenderOptions.taken(given)
    if render.renderer != "synthetic" and not render.folders and render.render_max_side is None:
        render = replace(render, render_max_side=_DEMO_SIDE)
    pipeline = open_renderer(render)
    made_folder(out)
    try:
        tour = take_tour(out, say=click.echo, pipeline=pipeline)
    except RenderError as error:
        raise UsageError(str(error)) from None
    if tour.gallery is not None:
        write_sheet(tour.gallery, out / SHEET)
    written(out / "report.html", report_page(tour))
    click.echo()
    _show(tour)
    if tour.gallery is not None:
        _show_gallery(tour.gallery)
        click.echo(f"\nPicture sheet: {out / SHEET}")
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


def _show_gallery(gallery: Gallery) -> None:
    click.secho(f"\nRendered by {gallery.machine}", bold=True)
    width = max(len(tile.title) for row in gallery.rows for tile in row.tiles)
    for row in gallery.rows:
        click.echo(row.title)
        for tile in row.tiles:
            click.echo(f"  {tile.title:<{width}}  {'; '.join(filter(None, (*tile.lines, tile.away)))}")


def _show_delivery(stop: Stop) -> None:
    if stop.attempts:
        click.secho(f"\n{stop.title}: callback {stop.signed}", bold=True)
        for number, attempt in enumerate(stop.attempts, 1):
            click.echo(f"  attempt {number}  +{span_text(attempt.after):<6}  {attempt.outcome}")
    if stop.url_life:
        click.secho(f"\n{stop.title}: the picture's URL", bold=True)
        for when, status in stop.url_life:
            click.echo(f"  {when:<8}  HTTP {status}")
