"""`clearbench pretrain`: LeCL."""

from pathlib import Path
from typing import Annotated

import typer

from clearbench.cli.options import Device, Net, NewCards, Precision, Store, store_path
from clearbench.exit_codes import ExitCode


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(pretrain)


def pretrain(
    net: Net,
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            help="DeepLesion's folder, a cohort table, or a folder with cohort.csv.",
            show_default=False,
        ),
    ],
    lesions: Annotated[
        Path | None,
        typer.Option(
            "--lesions",
            help="A table of boxes: scan_id, slice_index, x1, y1, x2, y2. [default: lesions.csv "
            "next to the cohort]",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        str,
        typer.Option(
            "--split", help="The side to train on, or all. [default: train]", show_default=False
        ),
    ] = "",
    name: Annotated[
        str,
        typer.Option(
            "--name", help="The new encoder's name. [default: my-CARD]", show_default=False
        ),
    ] = "",
    like: Annotated[
        str,
        typer.Option(
            "--like",
            help="Take sizes and input from this card. [default: the net's full size]",
            show_default=False,
        ),
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="The folder for checkpoint, log and slices; a second run continues from it. "
            "[default: pretraining/NAME]",
            show_default=False,
        ),
    ] = None,
    registry: NewCards = Path("registry"),
    store: Store = None,
    epochs: Annotated[int, typer.Option("--epochs", help="Passes over the slices.")] = 100,
    batch_size: Annotated[
        int, typer.Option("--batch-size", help="Slices per step, all processes together.")
    ] = 256,
    lr: Annotated[
        float, typer.Option("--lr", help="Learning rate for a batch of 256; scales with it.")
    ] = 1e-4,
    weight_decay: Annotated[float, typer.Option("--weight-decay", help="Of AdamW.")] = 1e-6,
    warmup_epochs: Annotated[
        float, typer.Option("--warmup-epochs", help="Epochs until the full learning rate.")
    ] = 10,
    clip: Annotated[
        float, typer.Option("--clip", help="Largest norm of a gradient; 0: no limit.")
    ] = 1.0,
    temperature: Annotated[float, typer.Option("--temperature", help="Of the loss.")] = 1.0,
    lesion_weight: Annotated[
        float, typer.Option("--lesion-weight", help="λ of the loss; 0 is plain MoCo v3.")
    ] = 1.0,
    lambda_placement: Annotated[
        str, typer.Option("--lambda-placement", help="λ inside or outside the exponential.")
    ] = "inside",
    negatives: Annotated[
        str,
        typer.Option(
            "--negatives",
            help="all, or other-patients: slices of the same patient are not negatives.",
        ),
    ] = "all",
    augment: Annotated[
        str,
        typer.Option("--augment", help="clear (as in the paper), or ct (HU jitter, no flip)."),
    ] = "clear",
    momentum: Annotated[float, typer.Option("--momentum", help="Of the momentum encoder.")] = 0.99,
    momentum_schedule: Annotated[
        str, typer.Option("--momentum-schedule", help="constant, or cosine up to 1.")
    ] = "cosine",
    hidden: Annotated[int, typer.Option("--hidden", help="Width inside the heads.")] = 4096,
    projection: Annotated[int, typer.Option("--projection", help="Width of the keys.")] = 256,
    others_per_lesion: Annotated[
        float | None,
        typer.Option(
            "--others-per-lesion",
            help="At most this many slices without a lesion per lesion slice. [default: all]",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of weights, order and views.")] = 0,
    device: Device = "auto",
    precision: Precision = "auto",
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            help="Processes that make views, for each training process. [default: 0 on a CPU, 8 "
            "on a GPU]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Train a LeCL encoder on slices with lesion boxes, and add it to the registry.

    Several processes: torchrun --nproc-per-node N -m clearbench pretrain, then the options.
    """
    from clearbench.cores import prepare_threads
    from clearbench.display.pretraining import PretrainProgress, show_pretrained

    prepare_threads()  # before the imports that load torch
    from clearbench.pretraining.run import pretrain as run
    from clearbench.pretraining.settings import PretrainSettings
    from clearbench.pretraining.stacks import DataRequest

    settings = PretrainSettings(
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        warmup_epochs=warmup_epochs,
        clip=clip,
        temperature=temperature,
        lesion_weight=lesion_weight,
        lambda_placement=lambda_placement,  # type: ignore[arg-type]  # checked there
        negatives=negatives,  # type: ignore[arg-type]
        augment=augment,  # type: ignore[arg-type]
        momentum=momentum,
        momentum_schedule=momentum_schedule,  # type: ignore[arg-type]
        hidden=hidden,
        projection=projection,
        others_per_lesion=others_per_lesion,
        seed=seed,
    )
    with PretrainProgress() as progress:
        done = run(
            net,
            DataRequest(data, lesions, split, store_path(store)),
            settings=settings,
            name=name,
            like=like,
            out=out,
            registry=registry,
            device=device,
            precision=precision,
            workers=workers,
            on_event=progress,
            on_scan=progress.scanned,
        )
    if done is not None:
        show_pretrained(done)
        if done.problems:
            raise typer.Exit(ExitCode.FAILED)
