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
    from clearbench.display.console import dump, show_list, show_rows
    from clearbench.display.encoders import encoder_rows
    from clearbench.encoders.availability import availability
    from clearbench.encoders.plugins import find_faults
    from clearbench.encoders.registry import list_encoders

    cards = list_encoders(registry or ())
    faults = [fault.reason for fault in find_faults()]
    rows = encoder_rows([(item, availability(item)) for item in cards.found])
    dump(rows) if as_json else show_rows(rows)
    show_list(cards.broken, BROKEN)
    show_list(faults, "plug-ins that can't be used")
    raise typer.Exit(1 if cards.broken or faults else 0)


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
