"""Texts of headers that are kept: names of scanners, makers and kernels that are known.

Kernel, manufacturer and model are free text, so a name of a patient may stand there. A text is kept
as it is if every word of it is one that makers use. Another text becomes a token that only says
whether two texts are equal; with a store's secret, the token can't be guessed.
"""

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from clearbench.scans.volume import ScanFacts

OTHER = "other"
UNKEYED = re.compile(r"other-[0-9a-f]{16}")  # as it is read; never stored
SEPARATORS = re.compile(r"[\s/\\()_,;:.&®™-]+")
LONGEST = 64  # letters, as DICOM allows in these texts
Name = Callable[[str], str]


def _words(text: str) -> frozenset[str]:
    """Return the words of a list."""
    return frozenset(text.split())


# Makers and scanners that are called like people (Anke, Best, Carl Zeiss) are left out on purpose.
MAKERS = _words("""
    accuray agfa analogic brainlab bruker canon carestream cerecom curvebeam elekta elscint fuji
    fujifilm ge gems general electric hitachi hologic imatron kodak koning marconi mediso medtronic
    minfound nanovision neurologica neusoft newtom nms nucletron philips picker planmed
    planmeca pnms
    samsung samsungneurologica sinovision shimadzu siemens healthineers sirona tomotherapy toshiba
    uih united imaging varian vatech wandong xoran yofo
    """)
COMPANY = _words("""
    medical systems system healthcare health care corporation corp company co ltd limited gmbh ag
    inc llc bv nv kg sa spa srl plc technologies technology solutions nuclear medicine electronics
    mec imaging devices international europe america usa china japan beijing shanghai shenzhen
    netherlands the of and ct pet clinical science sciences
    """)
MODELS = _words("""
    somatom definition flash edge as as+ force drive confidence sensation emotion spirit perspective
    scope go up now all top open pro xceed cardiac volume zoom plus plus4 ar star hiq esprit smile
    balance duo art access biograph horizon vision mct vision600 naeotom alpha peak prime symbia
    intevo sliding gantry cite xcite site onsite
    lightspeed brightspeed hispeed prospeed highspeed i lx nx fx qx qxi rt vct xt xte gsi
    discovery optima revolution apex evo ascend frontier hd maxima aspire elite select genesis es
    gemstone spectral ultra pro16 advance ste st ls rx iq mi performix synergy sytec cardiograph
    dual rhapsode
    brilliance ict sp ingenuity core core128 iqon incisive mx mx8000 mxe exp idt quad precedence
    gemini gxl tf tof big bore bigbore vereos mxtwin twin
    aquilion one edition lb cx cxl cxe rxl exceed precision serve start insight lightning helios
    beyond activion asteion multi alexion xvision xpress xvigor x celesteion aquilionone
    scenaria view supria optica eclos presto pronto radix pratico robusto
    neuviz epoch extra ace classic
    uct umi atlas
    bodytom ceretom omnitom airo oarm arm xvi obi truebeam halcyon fidex sct intuity scintron
    imatron
    electron beam speed cat accuitomo
    tx series class somatomforce somatomdrive wide mr slice slices mdct msct helical multislice
    digital family model scanner
    """)
MODEL_NUMBER = re.compile(
    r"(?:ct|uct|umi|ict|mx|rt|st|t|x|q|s|c|pro|core|as|e)?\d{1,3}(?:hd|as|ch|sl|in|[a-z])?\+?"
    r"|[45689]000|3500|7500|9800|[a-z]"
)
KERNEL_WORDS = _words("""
    standard std std+ stnd soft smooth smoother sharp sharper medium detail lung lungs bone boneplus
    bone+ edge chest chst ultra ultrasharp edge+ hd hdlung hdbone asir aidr aidr3d adir firtst
    fbp idose idose4 imr mbir veo aice dlir true fidelity clearinfinity admire safire qir
    brain head body neck spine abdomen cardiac heart vessel stent angio cta pediatric child infant
    ear inner iac temporal sinus dental extremity orbit liver mediastinum routine perfusion
    enhanced enhance plus extra high low resolution very super mild strong weak volume thin thick
    softtissue tissue kernel filter recon dl vsoft vsharp nr quantitative
    ya yb yc yd ye ua ub uc ud ue ea eb ec ed la lb hr
    """)
KERNEL_CODE = re.compile(
    r"[abcdehijpqrstuv][abcfhlnprsv]?\d{2}[a-z]{0,2}\d?"  # Siemens: B30f, Br40d, Hr60h, I31f, Bl57
    r"|f[cls]\d{1,3}[a-z]?"  # Toshiba and Canon: FC08, FL05
    r"|[a-z]\d{0,2}"  # Philips: B, L2; UIH's parts
    r"|(?:[a-z]|ss|ms|ar|as|dr)?\d{1,3}"  # strengths of reconstruction, codes of Hitachi
)
IMAGE_TERM = re.compile(
    r"CT_SOM\d+ [A-Z]{2,5}\d?|CT_[A-Z]{2,4}\d?|[A-Z]?\d{1,3}|"
    r"AXIAL|HELIX|HELICAL|SPIRAL|SEQUENCE|SPI|SEQ|MPR|REFORMATTED|RESAMPLED|VOLUME|CSA|CSAPARALLEL|"
    r"DET_AB|NORM|STD|ADD|AVE|AVERAGE|MIN|MAX|NONE|OTHER|ORIGINAL|DERIVED|PRIMARY|SECONDARY|"
    r"QUANTITY|ENERGY_PROP_WT|VMI|MAT_REMOVED|MAT_MODIFIED|DYNAMIC|DYN|CINE|ATTENUATION|ANGIO|"
    r"CARDIAC|CARDIAC_GATED|CARDRESP_GATED|RESP_GATED|GATED|DIXON|FLUOROSCOPY|CONSTANT_ANGLE|"
    r"STATIONARY|STEPPED"
)


TAIL = re.compile(r"(?<=[a-z])\d{1,3}$")  # LightSpeed16


def _of(words: frozenset[str], pattern: re.Pattern[str]) -> Callable[[str], bool]:
    """Return a test of one word in small letters."""
    return lambda word: word in words or pattern.fullmatch(word) is not None


def _is_of_model(word: str) -> bool:
    """Tell whether a word in small letters may stand in the name of a scanner."""
    words = MODELS | MAKERS | COMPANY
    return TAIL.sub("", word) in words or MODEL_NUMBER.fullmatch(word) is not None


TESTS = MappingProxyType(
    {
        "manufacturer": _of(MAKERS | COMPANY, re.compile(r"[a-z]")),
        "model": _is_of_model,
        "kernel": _of(KERNEL_WORDS, KERNEL_CODE),
    }
)


def is_known(column: str, text: str) -> bool:
    """Tell whether a header's kernel, manufacturer or model has only words that makers use."""
    words = [word for word in SEPARATORS.split(text.lower()) if word]
    return len(text) <= LONGEST and bool(words) and all(map(TESTS[column], words))


def as_read(column: str, text: str) -> str:
    """Return a known text as it is, and a token for another one; "" stays."""
    if not text or is_known(column, text):
        return text
    return f"{OTHER}-{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:16]}"


def plain(text: object) -> str:
    """Return a value for a note or an id: without its token, which isn't keyed."""
    return OTHER if UNKEYED.fullmatch(str(text)) else str(text)


def plain_terms(terms: Iterable[str]) -> tuple[str, ...]:
    """Return the terms of an ImageType for a note or an id: an unknown one is "other"."""
    return tuple(term if IMAGE_TERM.fullmatch(term) else OTHER for term in terms)


def with_keys(facts: ScanFacts, name: Name | None) -> ScanFacts:
    """Return facts whose tokens are keyed by `name`; without it, every other text is "other"."""
    changed: dict[str, Any] = {
        column: (name(text) if name else OTHER)
        for column in TESTS
        if UNKEYED.fullmatch(text := getattr(facts, column))
    }
    return replace(facts, **changed) if changed else facts
