"""`clearbench models …`: the registry."""

from pathlib import Path
from typing import Annotated

import typer

from clearbench.cli.options import BROKEN, EncoderName, Json, Net, NewCards, Registry

models_app = typer.Typer(
    help="Encoders: their cards, checks and weights.", no_args_is_help=True, rich_markup_mode=None
)


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(models_app, name="models")


@models_app.command(name="list")
def list_models(registry: Registry = None, as_json: Json = False) -> None:
    """List every encoder, in one line each."""
    from clearbench.cards import read_all
    from clearbench.display.console import dump, show_list, show_rows
    from clearbench.encoders.registry import encoder_names, find_encoder

    extra = registry or ()
    cards = read_all(encoder_names(extra), lambda name: find_encoder(name, extra))
    rows = [
        {
            "encoder": item.name,
            "title": item.card.title,
            "dim": item.card.dim,
            "input px": item.card.seen.size_px,
            "views": "free" if item.card.seen.views == "free" else ", ".join(item.card.seen.views),
            "weights": item.card.source.partition(":")[0],
            "licence": item.card.weights.licence,
        }
        for item in cards.found
    ]
    dump(rows) if as_json else show_rows(rows)
    show_list(cards.broken, BROKEN)
    raise typer.Exit(1 if cards.broken else 0)


@models_app.command()
def show(
    name: EncoderName,
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


@models_app.command()
def add(
    name: Annotated[str, typer.Argument(help="The new encoder's name.", show_default=False)],
    checkpoint: Annotated[
        Path,
        typer.Option(
            "--checkpoint",
            help="A MoCo checkpoint of CLEAR's code, a VMamba or MambaOut file, or one of "
            "`clearbench pretrain`.",
            show_default=False,
        ),
    ],
    net: Net,
    branch: Annotated[
        str, typer.Option("--branch", help="Of a MoCo checkpoint: base or momentum.")
    ] = "base",
    num_heads: Annotated[
        int | None,
        typer.Option("--num-heads", help="Of a ViT. [default: one per 64 channels]"),
    ] = None,
    licence: Annotated[
        str, typer.Option("--licence", help="What the weights' makers allow.")
    ] = "unknown",
    folder: NewCards = Path("registry"),
) -> None:
    """Make an encoder of a checkpoint: its weights as safetensors, and a card."""
    from clearbench.display.encoders import show_adopted
    from clearbench.encoders.adopt import adopt_checkpoint

    show_adopted(
        name,
        adopt_checkpoint(
            name,
            checkpoint,
            net,
            folder,
            branch=branch,  # type: ignore[arg-type]  # checked there
            num_heads=num_heads,
            licence=licence,
        ),
    )
