"""`clearbench models …`: the registry."""

from typing import Annotated

import typer

from clearbench.cli.options import Json, Registry

models_app = typer.Typer(help="Encoders: their cards.", no_args_is_help=True, rich_markup_mode=None)


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(models_app, name="models")


@models_app.command(name="list")
def list_models(registry: Registry = None, as_json: Json = False) -> None:
    """List every encoder, in one line each."""
    from clearbench.display.console import dump, show_rows
    from clearbench.encoders.registry import encoder_names, find_encoder

    found = [find_encoder(name, registry or ()) for name in encoder_names(registry or ())]
    rows = [
        {
            "encoder": item.name,
            "title": item.card.title,
            "dim": item.card.dim,
            "input px": item.card.input.size_px,
            "views": "free"
            if item.card.input.views == "free"
            else ", ".join(item.card.input.views),
            "weights": item.card.source.partition(":")[0],
            "licence": item.card.weights.licence,
        }
        for item in found
    ]
    dump(rows) if as_json else show_rows(rows)


@models_app.command()
def show(
    name: Annotated[
        str, typer.Argument(help="An encoder's name, or the path of its card.", show_default=False)
    ],
    registry: Registry = None,
    as_json: Json = False,
) -> None:
    """Show an encoder's card: what it sees, what it answers, where its weights come from."""
    from clearbench.display.console import dump, show_rows
    from clearbench.encoders.registry import find_encoder

    card = find_encoder(name, registry or ()).card.model_dump(mode="json")
    if as_json:
        dump(card)
        return
    flat = {k: v for k, v in card.items() if not isinstance(v, dict)}
    flat |= {
        f"{table}.{k}": v
        for table, inner in card.items()
        if isinstance(inner, dict)
        for k, v in inner.items()
    }
    show_rows(
        [
            {"fact": key, "value": value}
            for key, value in flat.items()
            if value not in (None, "", [])
        ]
    )
