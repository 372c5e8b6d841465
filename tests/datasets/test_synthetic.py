"""The synthetic cohort: fixed by a seed, complete, plausible in HU, with correct labels."""

import csv
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest

from clearbench.datasets.synthetic import write_cohort
from clearbench.datasets.synthetic.anatomy import draw_body, draw_tissues
from clearbench.datasets.synthetic.cohort import (
    COHORT_COLUMNS,
    LESION_COLUMNS,
    PlannedScan,
    plan_scans,
)
from clearbench.datasets.synthetic.findings import (
    LARGE_MM,
    MANY_LESIONS,
    SITES,
    DrawnLesion,
    draw_patients,
    label_table,
    stage_of,
)
from clearbench.datasets.synthetic.scan import SIZE_PX, draw_scan, scan_grid
from clearbench.datasets.synthetic.tissues import Tissue
from clearbench.errors import BadRequest

PATIENTS, SEED = 8, 5
HERE = (0.5, 0.5, 0.5)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small cohort, written once."""
    return write_cohort(tmp_path_factory.mktemp("made") / "it", patients=PATIENTS, seed=SEED)


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def contents(root: Path) -> dict[str, bytes]:
    """Relative names and bytes of all files below a folder."""
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_the_tables_have_the_promised_columns(table: Path) -> None:
    """Columns are in a fixed order; every path exists."""
    rows = rows_of(table)
    assert tuple(rows[0]) == COHORT_COLUMNS
    assert tuple(rows_of(table.with_name("lesions.csv"))[0]) == LESION_COLUMNS
    assert all((table.parent / row["path"]).exists() for row in rows)
    assert len({row["scan_id"] for row in rows}) == len(rows) == PATIENTS + 1


def test_slices_with_lesions_are_marked(table: Path) -> None:
    """Marked slices of the cohort are those of the lesion table, in all and by site."""
    lesions = rows_of(table.with_name("lesions.csv"))
    for row in rows_of(table):
        own = [box for box in lesions if box["scan_id"] == row["scan_id"]]
        assert set(row["key_slices"].split()) == {box["slice_index"] for box in own}
        for site in SITES:
            here = {box["slice_index"] for box in own if box["site"] == site}
            assert set(row[f"key_slices_{site}"].split()) == here
            assert bool(here) == (row[site] == "1")


def test_half_is_dicom_and_half_nifti(table: Path) -> None:
    """The two formats alternate."""
    is_nifti = [row["path"].endswith(".nii.gz") for row in rows_of(table)]
    assert abs(sum(is_nifti) - len(is_nifti) / 2) < 1


def test_the_same_seed_gives_the_same_bytes(table: Path, tmp_path: Path) -> None:
    """Threads, folder and time leave no trace in the files; another seed does."""
    again = write_cohort(tmp_path / "again", patients=PATIENTS, seed=SEED)
    other = write_cohort(tmp_path / "other", patients=4, seed=SEED + 1)
    assert contents(again.parent) == contents(table.parent)
    assert rows_of(other) != rows_of(table)[:4]


def test_a_rerun_keeps_the_files(table: Path) -> None:
    """A complete cohort of the same parameters is not written again."""
    before = {path: path.stat().st_mtime_ns for path in table.parent.rglob("*")}
    heard: list[int] = []
    assert (
        write_cohort(
            table.parent, patients=PATIENTS, seed=SEED, on_event=lambda done, _: heard.append(done)
        )
        == table
    )
    assert {path: path.stat().st_mtime_ns for path in table.parent.rglob("*")} == before
    assert not heard


def test_other_parameters_do_not_overwrite(table: Path) -> None:
    """A folder that holds another cohort, or anything else, is refused."""
    with pytest.raises(BadRequest, match="has other contents"):
        write_cohort(table.parent, patients=PATIENTS, seed=SEED + 1)


def test_an_interrupted_run_is_not_taken_as_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failure nothing is at the root, and the next run does everything."""

    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    root = tmp_path / "cohort"
    with pytest.raises(KeyboardInterrupt):
        write_cohort(root, patients=4, on_event=stop)
    assert not list(tmp_path.iterdir())
    with monkeypatch.context() as broken:
        broken.setattr("shutil.rmtree", lambda *_, **__: None)  # as if killed
        with pytest.raises(KeyboardInterrupt):
            write_cohort(root, patients=4, on_event=stop)
    assert not root.exists()
    assert next(tmp_path.iterdir()).name.endswith(".tmp")
    events: list[tuple[int, int]] = []
    write_cohort(root, patients=4, on_event=lambda *event: events.append(event))
    assert events == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_too_few_patients_are_refused(tmp_path: Path) -> None:
    """Fewer patients than stages is an error, before anything is written."""
    with pytest.raises(ValueError, match="too few"):
        write_cohort(tmp_path / "cohort", patients=3)
    assert not list(tmp_path.iterdir())


def test_boxes_lie_in_the_image_at_a_positive_site(table: Path) -> None:
    """Each box holds pixels of an existing slice, and its site's label is 1."""
    scans = {row["scan_id"]: row for row in rows_of(table)}
    planned = {scan.scan_id: scan for scan in plan_scans(PATIENTS, SEED)}
    boxes = rows_of(table.with_name("lesions.csv"))
    for box in boxes:
        assert 0 <= int(box["slice_index"]) < planned[box["scan_id"]].technique.slices
        assert 0 <= int(box["x1"]) < int(box["x2"]) <= SIZE_PX
        assert 0 <= int(box["y1"]) < int(box["y2"]) <= SIZE_PX
        assert scans[box["scan_id"]][box["site"]] == "1"


def test_every_lesion_can_be_seen() -> None:
    """No lesion falls between slices or out of the scanned stretch, in any scan of its patient."""
    for scan in plan_scans(12, SEED):
        boxes = draw_scan(scan.patient, scan.technique, scan.seeds).boxes
        shown = {(box.site, box.diameter_mm) for box in boxes}
        assert shown == {(lesion.site, lesion.diameter_mm) for lesion in scan.patient.lesions}


def medians(scan: PlannedScan) -> Iterator[tuple[Tissue, float]]:
    """The median HU of every tissue in a drawn scan."""
    drawn = draw_scan(scan.patient, scan.technique, scan.seeds)
    body = draw_body(scan.seeds.cohort, scan.seeds.patient)
    grid = scan_grid(body, scan.technique, drawn.spacing_mm)
    tissues = draw_tissues(body, grid, scan.technique.has_table)
    for tissue in Tissue:
        if (tissues == tissue).sum() > 100:
            yield tissue, float(np.median(drawn.hu[tissues == tissue]))


@pytest.mark.parametrize("index", range(4))
def test_hu_are_plausible(index: int) -> None:
    """Air, lung, fat, liver and bone have the HU that readers and windows expect."""
    found = dict(medians(plan_scans(PATIENTS, SEED)[index]))
    assert -1024 <= found[Tissue.AIR] < -970
    assert -920 < found[Tissue.LUNG] < -550
    assert -130 < found[Tissue.FAT] < -70
    assert 30 < found[Tissue.LIVER] < 130
    assert 120 < found[Tissue.MARROW] < 260
    assert found[Tissue.CORTEX] > 250


def test_files_hold_the_standard_orientation(table: Path) -> None:
    """In a written file the spine is behind, the liver right, the lungs above it."""
    row = next(row for row in rows_of(table) if row["path"].endswith(".nii.gz"))
    image = nibabel.load(table.parent / row["path"])
    assert nibabel.aff2axcodes(image.affine) == ("L", "P", "S")
    hu = np.asarray(image.dataobj).T
    z, y, x = hu.shape
    is_lung = (hu > -930) & (hu < -700)
    is_lung[:, [0, -1]] = False
    bone_rows = np.nonzero(hu[: z // 3, :, x // 2 - 8 : x // 2 + 8] > 300)[1]
    assert bone_rows.mean() > 0.6 * y
    assert is_lung[-z // 3 :].sum() > 3 * is_lung[: z // 3].sum()
    low = hu[z // 4 : z // 2, y // 4 : y // 2]
    organ = (low > 20) & (low < 200)
    assert organ[..., : x // 2].sum() > organ[..., x // 2 :].sum()


def test_scans_of_a_patient_agree(table: Path) -> None:
    """Two scans of one patient have other days, the same labels and the same side."""
    by_patient: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in rows_of(table):
        by_patient[row["patient_id"]].append(row)
    assert max(len(rows) for rows in by_patient.values()) == 2
    for rows in by_patient.values():
        shared = {
            (row["split"], row["stage"], row["lung_disease"], *map(row.get, SITES)) for row in rows
        }
        assert len(shared) == 1
        assert len({row["day"] for row in rows}) == len(rows)


@pytest.mark.parametrize("seed", [2411, 1, 2])
def test_each_label_has_positives_and_negatives_on_both_sides(seed: int) -> None:
    """With 60 patients every label has 12 positives, 5 of them in test, and negatives too."""
    patients = draw_patients(60, seed)
    labels = label_table(patients)
    test = np.array([patient.side == "test" for patient in patients])
    assert 20 <= test.sum() <= 28
    assert labels.sum(axis=0).min() >= 12
    assert labels[test].sum(axis=0).min() >= 5
    assert (~labels[test]).sum(axis=0).min() >= 5
    assert (~labels[~test]).sum(axis=0).min() >= 5


def test_stage_follows_from_the_lesions() -> None:
    """Number comes first, then nodes, then size."""
    small, large = DrawnLesion("lung", 10.0, HERE), DrawnLesion("liver", LARGE_MM, HERE)
    node = DrawnLesion("mediastinum", 12.0, HERE)
    assert stage_of((small,)) == "I"
    assert stage_of((small, large)) == "II"
    assert stage_of((large, node)) == "III"
    assert stage_of((small,) * MANY_LESIONS) == "IV"


def test_technique_does_not_predict_labels() -> None:
    """Over 600 patients no technical column is associated with a label."""
    plan = [scan for scan in plan_scans(600, SEED) if scan.day == 0]
    labels = label_table(tuple(scan.patient for scan in plan)).astype(float)
    technical = np.array(
        [
            [
                scan.technique.thickness_mm,
                scan.technique.noise_hu,
                scan.technique.contrast,
                scan.technique.slices,
                scan.technique.margin_mm,
                scan.technique.has_table,
                scan.technique.kernel == "sharp",
                scan.technique.manufacturer == "Helion",
                scan.path.endswith(".nii.gz"),
            ]
            for scan in plan
        ],
        dtype=float,
    )
    ties = np.corrcoef(technical.T, labels.T)[: technical.shape[1], technical.shape[1] :]
    assert np.abs(ties).max() < 0.16
