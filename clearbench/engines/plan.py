"""A cohort → the reading tasks for one encoder."""

import re
from dataclasses import replace as changed
from zlib import crc32

from clearbench.cohort.pseudonyms import open_pseudonyms
from clearbench.cohort.table import Cohort
from clearbench.encoders.encoder import Encoder
from clearbench.engines.local import encoder_record
from clearbench.engines.reader import ReadTask, source_of
from clearbench.errors import BadArgument
from clearbench.store.folder import ScanKey, StoreFolder


def read_tasks(
    cohort: Cohort,
    encoder: Encoder,
    store: StoreFolder,
    *,
    shard: str = "",
    resample: bool = False,
    replace: bool = False,
) -> tuple[ReadTask, ...]:
    """List the reading tasks for one encoder, sorted by path, so that disk reads are in order."""
    pseudonyms = open_pseudonyms(store.root)
    wanted = read_shard(shard)
    record = changed(encoder_record(encoder), card={})  # it goes to other processes with each scan
    rows = sorted(cohort.rows(), key=lambda row: (row.path, row.series_id))
    return tuple(
        ReadTask(
            scan_id=row.scan_id,
            patient_id=row.patient_id,
            source=source_of(row),
            done=ScanKey(encoder.name, encoder.fingerprint, cohort.name, row.scan_id).path(store),
            spacing_mm=encoder.card.slicing.spacing_mm,
            resample=resample,
            replace=replace,
            pseudonyms=pseudonyms,
            record=record,
        )
        for row in rows
        # not hash(), which differs between processes
        if crc32(row.scan_id.encode()) % wanted[1] == wanted[0] - 1
    )


def read_shard(text: str) -> tuple[int, int]:
    """Read `i/n`: the i-th of n parts, counted from 1; raises BadArgument."""
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text or "1/1")
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise BadArgument("shard", text, "write i/n with 1 ≤ i ≤ n, e.g. 2/8")
    return int(match[1]), int(match[2])
