"""NSCLC-Radiomics (LUNG1): planning CTs of lung cancer with T, N, M, overall stage and survival.

Aerts et al., "Decoding tumour phenotype by noninvasive imaging using a quantitative radiomics
approach", Nat. Commun. 2014, doi:10.1038/ncomms5006; TCIA, doi:10.7937/K9/TCIA.2015.PF0M9REI,
CC BY-NC 3.0. Expected: the DICOM files as the NBIA Data Retriever
writes them (LUNG1-001/<study>/<series>/*.dcm, at any depth), and the clinical table in the root.
The table has T 5, N 4 and M 3, which aren't TNM categories: they become blank and are counted.
"""

from pathlib import Path

from clearbench.datasets.public.dicom_set import match_series, series_row
from clearbench.datasets.public.published import DataSetFolder
from clearbench.datasets.rows import (
    TableRow,
    only_file,
    public_cohort_table,
    read_table_rows,
    whole,
)

SOURCE_URL = "https://doi.org/10.7937/K9/TCIA.2015.PF0M9REI"
TABLES = ("*clinical*.csv",)
STAGES = ("I", "II", "IIIa", "IIIb")
VALUES = {
    "overall_stage": ("Overall.Stage", STAGES),
    "t_stage": ("clinical.T.Stage", ("1", "2", "3", "4")),
    "n_stage": ("Clinical.N.Stage", ("0", "1", "2", "3")),
    "m_stage": ("Clinical.M.Stage", ("0", "1")),
    "death": ("deadstatus.event", ("0", "1")),
}
DAYS = "Survival.time"
COLUMNS = ("PatientID", DAYS, *(column for column, _ in VALUES.values()))


def build(root: Path) -> DataSetFolder:
    """Read the DICOM series and the clinical table as a cohort, one scan per study.

    Labels: overall_stage (I, II, IIIa, IIIb), t_stage, n_stage, m_stage, survival_days and death
    (1 died, 0 alive when last seen). Raises BadCohort for another layout or column, or if no
    series belongs to a patient in the table.
    """
    table = only_file(root, TABLES, "clinical table", SOURCE_URL)
    patients = {row["PatientID"] or "": row for row in read_table_rows(table, COLUMNS, SOURCE_URL)}
    found = match_series(root, table, patients, SOURCE_URL)
    rows = [series_row(item) | _labels(patients[item.patient_id]) for item in found.scans]
    without = (f"{name}: in {table.name}, but no series" for name in found.without)
    missing = (*without, *found.missing)
    return DataSetFolder(public_cohort_table("nsclc-radiomics", rows), missing, _blanked(patients))


def _labels(row: TableRow) -> TableRow:
    """Return a patient's labels; a value that isn't a category of its label becomes blank."""
    labels = {name: whole(row[column]) for name, (column, _) in VALUES.items()}
    kept = {name: text if text in VALUES[name][1] else None for name, text in labels.items()}
    return {**kept, "survival_days": whole(row[DAYS])}


def _blanked(patients: dict[str, TableRow]) -> tuple[str, ...]:
    """Return notes: the values that became blank because they aren't categories."""
    notes = []
    for name, (column, allowed) in VALUES.items():
        values = [whole(row[column]) for row in patients.values()]
        odd = [value for value in values if value is not None and value not in allowed]
        if odd:
            notes.append(
                f"{name}: {len(odd)} patients with {column} {', '.join(sorted(set(odd)))} "
                f"are left blank (categories: {', '.join(allowed)})"
            )
    return tuple(notes)
