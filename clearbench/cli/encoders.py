"""`clearbench models …`: the registry."""

from pathlib import Path
from typing import Annotated

import typer

from clearbench.cli.options import BROKEN, EncoderName, Json, Net, NewCards, Registry
from clearbench.cli.sections import Group
from clearbench.exit_codes import ExitCode

models_app = typer.Typer(
    help="List, show, add, check and freeze encoders.",
    no_args_is_help=True,
    rich_markup_mode=None,
    cls=Group,
)


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(models_app, name="models")


@models_app.command(name="list")
def list_models(registry: Registry = None, as_json: Json = False) -> None:
    """List every encoder, one per line."""
    from clearbench.display.console import dump, show_list, show_rows
    from clearbench.display.encoders import encoder_rows
    from clearbench.encoders.availability import availability
    from clearbench.encoders.plugins import find_faults
    from clearbench.encoders.registry import list_encoders

    cards = list_encoders(registry or ())
    faults = [fault.reason for fault in find_faults()]
    rows = encoder_rows([(item, availability(item)) for item in cards.found])
    dump(rows) if as_json else show_rows(rows, more="a wider terminal or --json shows them")
    show_list(cards.broken, BROKEN)
    show_list(faults, "plug-ins that can't be used")
    raise typer.Exit(ExitCode.FAILED if cards.broken or faults else ExitCode.DONE)


@models_app.command()
def show(
    name: EncoderName,
    registry: Registry = None,
    as_json: Json = False,
) -> None:
    """Show an encoder's card: its input, its features, and the source of its weights."""
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
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The new encoder's name.", show_default=False)
    ],
    timm: Annotated[
        str, typer.Option("--timm", help="A model of timm, such as resnet50.a1_in1k.")
    ] = "",
    open_clip: Annotated[
        str, typer.Option("--open-clip", help="hf-hub:org/name, or a folder with the same files.")
    ] = "",
    transformers: Annotated[
        str,
        typer.Option("--transformers", help="hf-hub:org/name, or a folder with the same files."),
    ] = "",
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            help="Your own weights. With --timm or --torchvision: weights of that architecture. "
            "With --net: a MoCo checkpoint of CLEAR's code, a VMamba or MambaOut file, or one of "
            "`pretrain`.",
            show_default=False,
        ),
    ] = None,
    torchvision: Annotated[
        str,
        typer.Option(
            "--torchvision", help="With --checkpoint: its architecture, such as resnet50."
        ),
    ] = "",
    net: Net = "",
    ema: Annotated[
        bool | None,
        typer.Option(
            "--ema/--no-ema",
            help="With --checkpoint, if it has both: averaged weights (EMA, teacher), or the raw "
            "ones. [default: as its library's own loader]",
            show_default=False,
        ),
    ] = None,
    unused: Annotated[
        list[str] | None,
        typer.Option(
            "--unused",
            metavar="NAMES",
            help="With --checkpoint: beginnings of names in it that are no part of the encoder.",
            show_default=False,
        ),
    ] = None,
    branch: Annotated[
        str, typer.Option("--branch", help="Which encoder of a MoCo checkpoint: base or momentum.")
    ] = "base",
    num_heads: Annotated[
        int | None,
        typer.Option(
            "--num-heads",
            help="Attention heads of a ViT, with --net vit. [default: one per 64 channels]",
        ),
    ] = None,
    views: Annotated[
        list[str] | None,
        typer.Option(
            "--views",
            metavar="WINDOWS",
            help="The card's default windows. [default: lung,mediastinum]",
            show_default=False,
        ),
    ] = None,
    size_px: Annotated[
        int,
        typer.Option(
            "--size-px",
            metavar="PIXELS",
            help="The image's size. [default: the model's own]",
            min=0,
            show_default=False,
        ),
    ] = 0,
    pooling: Annotated[
        str,
        typer.Option("--pooling", help="cls, mean, cls+mean or native. [default: the model's own]"),
    ] = "",
    licence: Annotated[str, typer.Option("--licence", help="The licence of the weights.")] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace an encoder of this name.")
    ] = False,
    folder: NewCards = Path("registry"),
) -> None:
    """Add an encoder: a model of timm, open_clip or transformers, or your own checkpoint."""
    from clearbench.cli.options import words
    from clearbench.display.encoders import show_added, show_converted
    from clearbench.encoders.adding.add import add_encoder
    from clearbench.encoders.adding.checkpoint import convert_checkpoint
    from clearbench.encoders.adding.request import Changes, make_request
    from clearbench.errors import BadRequest

    request = make_request(
        timm=timm,
        open_clip=open_clip,
        transformers=transformers,
        checkpoint=checkpoint,
        net=net,
        torchvision=torchvision,
        ema=ema,
        unused=words(unused),
    )
    shown = tuple(words(views))
    if request.family != "lecl" or request.checkpoint is None:
        if num_heads is not None or branch != "base":
            raise BadRequest("--branch and --num-heads need --checkpoint FILE --net NET")
        changes = Changes(shown, size_px, pooling, licence)
        show_added(add_encoder(name, request, folder, changes, replace=replace))
        return
    if size_px or pooling:
        raise BadRequest("--net: the checkpoint has its own size and pooling; leave both out")
    converted = convert_checkpoint(
        name,
        request.checkpoint,
        net,
        folder,
        branch=branch,  # type: ignore[arg-type]  # checked there
        num_heads=num_heads,
        licence=licence or "unknown",
        views=shown,
        ema=ema,
        unused=words(unused),
        replace=replace,
    )
    show_converted(name, converted)
