"""Images that were windowed before are embedded under their own windows, unless views are typed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clearbench import pipeline
from clearbench.cohort.table import Cohort, read_cohort
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.registry import find_encoder
from clearbench.engines.events import EmbedStarted
from clearbench.engines.views import windows_of_images
from clearbench.errors import BadArgument
from clearbench.scans.write import write_nifti

CARD = Path(__file__).parents[1] / "cards" / "tiny.toml"
FREE = 'views         = "free"\ndefault_views = ["lung", "mediastinum"]'


def write_images(folder: Path, windows: Sequence[str], slices: int = 2) -> None:
    for window in windows:
        (folder / window).mkdir(parents=True)
        for number in range(slices):
            pixels = np.random.default_rng(number).integers(0, 256, (16, 16)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / window / f"{number}.png")


def cohort_of(root: Path, *scans: str) -> Cohort:
    rows = [f"{scan},{scan},{scan}" for scan in scans]
    (root / "mine.csv").write_text("\n".join(["scan_id,patient_id,path", *rows]))
    return read_cohort(root / "mine.csv")


def card(tmp_path: Path, views: str = FREE) -> EncoderCard:
    text = CARD.read_text()
    assert FREE in text
    (tmp_path / "card.toml").write_text(text.replace(FREE, views))
    return find_encoder(str(tmp_path / "card.toml")).card


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two scans of images under Bone and brain."""
    for scan in ("a", "b"):
        write_images(tmp_path / scan, ["Bone", "brain"])
    return tmp_path


def embed(root: Path, store: str, **options: object) -> pipeline.EmbedReport:
    cohort_of(root, "a", "b")
    options = {"models": [str(CARD)], "workers": 0, **options}
    return pipeline.embed(root / "mine.csv", store=root / store, **options)  # type: ignore[arg-type]


def started(report: pipeline.EmbedReport) -> EmbedStarted:
    return report.runs[0].started


def test_typed_windows_and_the_images_own_are_the_same_features(images: Path) -> None:
    own, typed = embed(images, "own"), embed(images, "typed", views=["brain", "bone"])
    assert not own.failed
    assert started(own).fingerprint == started(typed).fingerprint
    assert started(own).views == started(typed).views == ("brain", "bone")
    assert (started(own).views_from_images, started(typed).views_from_images) == (True, False)
    files = {
        store: sorted((images / store / "features").rglob("*.h5")) for store in ("own", "typed")
    }
    assert [path.name for path in files["own"]] == [path.name for path in files["typed"]]
    again = embed(images, "own", views=["brain", "bone"])
    assert len(again.runs[0].of("skipped")) == 2


def test_typed_views_win(images: Path) -> None:
    report = embed(images, "store", views=["bone"])
    assert started(report).views == ("bone",)
    assert not report.failed
    failed = embed(images, "store", views=["lung"]).failed
    assert set(failed) == {"a", "b"}
    assert all("have the windows bone, brain, not lung" in reason for reason in failed.values())


def test_scans_in_hu_keep_the_views_of_the_card(tmp_path: Path) -> None:
    for scan in ("a", "b"):
        hu = np.random.default_rng(0).integers(-1000, 400, (2, 16, 16)).astype(np.int16)
        write_nifti(tmp_path / f"{scan}.nii.gz", hu, (5.0, 1.0, 1.0))
    (tmp_path / "mine.csv").write_text("scan_id,patient_id,path\na,a,a.nii.gz\nb,b,b.nii.gz\n")
    report = pipeline.embed(tmp_path / "mine.csv", [str(CARD)], store=tmp_path / "store", workers=0)
    assert started(report).views == ("lung", "mediastinum")
    assert not started(report).views_from_images


def test_different_windows_are_refused_with_the_ones_there_are(images: Path) -> None:
    write_images(images / "c", ["brain"])
    (images / "d").mkdir()
    (images / "d" / "0.dcm").write_bytes(b"x")
    cohort = cohort_of(images, "a", "b", "c", "d")
    with pytest.raises(BadArgument) as caught:
        windows_of_images(card(images), cohort)
    words = (
        "scans of cohort mine have different windows: brain, bone (2 scans: a, b); brain (1 scan: "
        "c); HU (1 scan: d); choose views, e.g. brain"
    )
    assert (caught.value.name, caught.value.reason) == ("views", words)
    write_images(images / "e", ["lung"])
    cohort = cohort_of(images, "a", "e")
    with pytest.raises(
        BadArgument, match=r"lung \(1 scan: e\); choose views, e.g. brain,bone,lung"
    ):
        windows_of_images(card(images), cohort)


def test_scans_that_are_missing_or_empty_do_not_count(images: Path) -> None:
    (images / "empty").mkdir()
    cohort = cohort_of(images, "missing", "empty", "a", "b")
    assert windows_of_images(card(images), cohort) == ("brain", "bone")
    assert windows_of_images(card(images), cohort_of(images, "missing", "empty")) == ()


def test_no_pixel_is_read(images: Path) -> None:
    for file in images.rglob("*.png"):
        file.write_bytes(b"damaged")
    assert windows_of_images(card(images), cohort_of(images, "a", "b")) == ("brain", "bone")


@pytest.mark.parametrize(
    "views",
    [
        "views = { lung = [-1350.0, 150.0], soft = [-100.0, 200.0] }",
        f'{FREE}\nchannels = "hu"',
        'views = "free"\ndefault_views = ["lung", "brain", "bone"]\nchannels = "stack"',
    ],
    ids=["fixed", "raw HU", "stacked"],
)
def test_a_card_whose_views_the_images_cannot_choose_keeps_its_own(
    images: Path, views: str
) -> None:
    assert windows_of_images(card(images, views), cohort_of(images, "a", "b")) == ()


def test_a_card_with_fixed_views_refuses_such_images(images: Path) -> None:
    card(images, "views = { lung = [-1350.0, 150.0] }")
    report = embed(images, "store", models=[str(images / "card.toml")])
    assert set(report.failed) == {"a", "b"}
    assert all("needs HU" in reason for reason in report.failed.values())


def test_the_windows_of_real_head_cts(tmp_path: Path, shared_data: Path) -> None:
    """Patient 084 lacks the bone window of one slice: it has the folder, and that counts."""
    rows = [f"s{name},{name},{shared_data / 'ct-ich' / name}" for name in ("050", "084")]
    (tmp_path / "ich.csv").write_text("\n".join(["scan_id,patient_id,path", *rows]))
    assert windows_of_images(card(tmp_path), read_cohort(tmp_path / "ich.csv")) == ("brain", "bone")
