"""Columns that would show who a person is: names, dates of birth, addresses, numbers to call."""

import re
import unicodedata
from collections.abc import Sequence
from types import MappingProxyType

from clearbench.cohort.columns import plain_name
from clearbench.cohort.identifiers import has_ids
from clearbench.cohort.ordinary_words import is_ordinary

# Words of a column's name, as `_plain` writes it; a part of them is enough.
NAMED = re.compile(
    r"accession|instanceuid|(?<!at)(?<!live)(?<!still)(?<!preterm)birth"
    r"(?!weight|length|order|height|defect|rank|mode)|dob\d*$|geburt|naissance|nacimiento|nascita"
    r"|(patient|first|last|full|given|family|sur|middle|maiden|for|physician|doctor)s?names?$"
    r"|(physicians?|operators?|technologists?|technicians?|radiographers?)(name|ofrecord|initials)?$"
    r"|address|street|strasse|postcode|postalcode|postleitzahl|codigopostal|codepostal|wohnort|anschrift"
    r"|e?mail$|telefon|phone|mobile(no|nr|number)|^fax|filename.+"
    r"|socialsecurity|nhs(number|no|nr)$|insurance(no|nr|number|id)|passport|national(id|no|nr)"
    r"|(hospital|krankenhaus|aufnahme|fall)(no|nr|num|nummer|number)$|personn?ummer"
    r"|versichert(en|er)?(nr|nummer)|krankenkassennummer|(refer|zuweis|uberweis)(rer|er|ingphys.*)$"
    r"|姓名|名字|出生|生日|电话|手机|住址|地址|身份证|病历号|住院号|氏名|生年月日|住所|電話|성명|이름|생년월일"
)
# The whole name, as `_plain` writes it, without digits at its end.
WHOLE = frozenset(
    {
        "name", "names", "nom", "nome", "nombre", "naam", "navn", "namn", "imie", "nazwisko",
        "vorname", "nachname", "familie", "familienname", "rufname", "geburtsname", "prenom",
        "prenoms", "nomdefamille", "cognome", "apellido", "apellidos", "nombres", "sobrenome",
        "apelido", "voornaam", "achternaam", "fornavn", "efternavn", "etternavn", "fornamn",
        "efternamn", "surname", "forename", "givenname", "initials", "initialen", "geb", "gebdat",
        "gebdatum", "birthday", "zip", "zipcode", "plz", "city", "wohnort", "address", "adresse",
        "direccion", "indirizzo", "endereco", "referrer", "referringphysician", "referringdoctor",
        "hausarzt", "mail", "fax", "phone", "personnr", "fodselsnummer", "burgerservicenummer",
        "dni", "curp", "codicefiscale", "ahv", "ahvnr", "fallnr", "fallid", "untersucher", "kurzel",
        "kuerzel", "фио", "имя", "фамилия", "отчество",
    }
)  # fmt: skip
# A word of the name: geb_serial, DOB (years)
PARTS = frozenset({"dob", "geb", "gebdat", "geburtsdatum", "vorname", "nachname", "surname"})
# These too, where nearly all cells have six digits or more: tel, but also CPR, a resuscitation.
NUMBERED = frozenset(
    {
        "tel", "cell", "mobile", "mobil", "handy", "fax", "contact", "personnummer", "cpr", "bsn",
        "nhs", "ssn", "nir", "pesel", "cf", "insurance",
    }
)  # fmt: skip
# These too, where the cells are words of their own: a report.
WRITTEN = frozenset(
    {
        "report", "reporttext", "radiologyreport", "befund", "befundtext", "bericht", "impression",
        "comment", "comments", "remark", "remarks", "note", "notes", "freetext", "text",
        "kommentar", "bemerkung", "bemerkungen", "anamnese", "clinicalhistory", "indication",
        "observaciones", "comentario", "commentaire", "narrative",
    }
)  # fmt: skip
MONTHS = (
    r"(jan|feb|mar|mär|mrz|apr|may|mai|maj|jun|jul|aug|sep|oct|okt|nov|dec|dez|ene|abr|ago|dic|gen"
    r"|mag|giu|lug|set|ott|fév|avr|juin|juil|aoû|déc|fev|out)[^\W\d_]*\.?"
)
DAY = r"(0?[1-9]|[12]\d|3[01])"
# Surely a date, even in one cell; no version (3.1.12), no range (3-5) and no ratio.
DATE = re.compile(
    rf"(19|20)\d\d[-/.](0?[1-9]|1[0-2])[-/.]{DAY}(?:[T ].*)?"
    rf"|{DAY}[-/.]{DAY}[-/.](19|20)\d\d(?:[T ].*)?|{DAY}[-/]{DAY}[-/]\d\d"
    r"|(0[1-9]|[12]\d|3[01])\.(0[1-9]|1[0-2])\.\d\d"
    rf"|(19|20)\d\d ?[年년] ?\d{{1,2}} ?[月월] ?\d{{1,2}} ?[日일]"
    rf"|(?i:{DAY}(st|nd|rd|th|\.)?[-. ]*(de )?{MONTHS}[-., ]*(de )?(19|20)?\d\d"
    rf"|{MONTHS}[- ]*{DAY}(st|nd|rd|th)?[-, ]+(19|20)?\d\d)"
)
DIGITS_OF_A_DATE = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
WORD = r"[^\W\d_]+(?:['’-][^\W\d_]+)*\.?"
# "Anna Smith", "SMITH, Anna B.", "Smith^Anna" as DICOM writes it
PERSON = re.compile(
    rf"{WORD}(?:\^+{WORD})+\^*|{WORD}, ?{WORD}(?: {WORD})?|{WORD}(?: {WORD}){{1,2}}"
)
# "Mr Smith" anywhere in a text; MR is a modality
TITLED = re.compile(
    r"(?<![^\W\d_])(Mr|Mrs|Ms|Miss|Dr|Prof|Herr|Herrn|Frau|Mme|Mlle|Monsieur|Madame|Signor|Signora"
    r"|Señor|Señora|Dott|Dhr|Mevr)\.? +(?:(?:Dr|Prof|med)\.? +)*[^\W\d_a-z][^\W\d_]*[a-z'’-]"
)
# "SMITH^ANNA" as DICOM writes it, anywhere in a text; 10^9 and x^y are none
CARET = re.compile(r"(?<![^\W\d_])[^\W\d_]{2,}\^[^\W\d_]{2,}")
CHINESE = re.compile(
    r"[王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎]"
    r"[\u4e00-\u9fff]{1,2}"
)
MAIL = re.compile(r"[^@\s]+@[^@\s]+\.\w+|@[A-Za-z][\w.]{2,}")
URL = re.compile(r"(?i:(https?|ftp|file)://\S+|www\.\S+\.\S+)")
# A first number below 10 is a version: 5.1.9.7
IP = re.compile(r"([1-9]\d|1\d\d|2[0-4]\d|25[0-5])(\.(\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])){3}")
PHONE = re.compile(
    r"(?=.*[+ /()-])(\+|\(?0)\d[\d ()/-]{6,}"
    r"|(\+?1[-. ]?)?(\([2-9]\d\d\) ?|[2-9]\d\d[-. ])[2-9]\d\d[-. ]\d{4}"
)
# Social security, CPR and personal numbers with a date of birth, a Chinese identity number
NATIONAL = re.compile(
    r"\d{3}-\d{2}-\d{4}|(19|20)?\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])[-+]\d{4}"
    r"|(0[1-9]|[12]\d|3[01])(0[1-9]|1[0-2])\d\d-\d{4}"
    r"|\d{6}(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])\d{3}[\dXx]|\d{3} \d{3} \d{4}"
)
ADDRESS = re.compile(
    r"\d+\w? +[A-Z]\w+.*\b(St|Street|Rd|Road|Ave|Avenue|Lane|Way|Drive|Court)\b.*"
    r"|(?i:[^\W\d_].*(str\.?|stra(ß|ss)e|weg|platz|gasse|allee) ?\d+.*)"
    r"|(\d+,? )?(rue|via|calle|rua) .+"
    r"|.*[^\W\d_]{3,}.* \d{1,4}\w?, *\d{4,5} .+"
)
# What they are, and in how many filled cells they show.
PATTERNS = MappingProxyType(
    {
        DATE: ("dates", 1),
        DIGITS_OF_A_DATE: ("dates", 3),
        MAIL: ("mail addresses or names of users", 1),
        URL: ("addresses of the web", 1),
        IP: ("addresses of computers", 2),
        NATIONAL: ("numbers of people", 1),
        PHONE: ("numbers to call", 1),
        ADDRESS: ("addresses", 3),
    }
)
FILE = re.compile(
    r"(?i:(.*[/\\])?([^/\\]+)\.(dcm|ima|nii|nii\.gz|mh[ad]|nrrd|png|jpe?g|tiff?|pdf|docx?|txt|zip))"
)
STROKES = str.maketrans("øłđ", "old")  # these have no accent that could be taken off
SENTENCES = "it has sentences, which may name people"
FEWEST = 3  # filled cells; fewer show no names
FEWEST_WORDS = 5  # patients; fewer may differ by chance
FEWEST_SHORT = 8  # patients, for short words
LONG_WORD = 5  # letters; codes such as IIIA are shorter
LONG_TEXT = 8  # words of a sentence
LONGEST = 300  # letters of a date, an address or a number
MOST_CELLS = 500  # that are looked at
MOST = 0.8  # share of the cells that must have the pattern


def why_personal(name: str, cells: Sequence[str | None], patients: Sequence[str | None]) -> str:
    """Return why a column can't be a label of a store: what it seems to hold; "" if it may be one.

    By its name; or by its content [rows], each patient's [rows] different cells counted once:
    nearly all are dates, addresses, numbers to call, or words that are another for every patient.
    One cell is enough for a person with a title ("Mr Smith"), and for a file with a name.
    """
    pairs = dict.fromkeys(zip(patients, cells, strict=True))
    every = [cell for _, cell in pairs if cell is not None]
    # evenly spread, so that a table of 100,000 rows costs no more than a small one
    known = every[:: max(1, len(every) // MOST_CELLS)]
    if _is_named(name, known):
        return "its name says that it has identifiers, names, dates of birth or addresses"
    if has_ids(name, known):
        return "its values are ids"
    words = {cell for cell in every if re.search(r"[^\W\d_]{2}", cell)}
    if any(TITLED.search(cell) or CARET.search(cell) for cell in words):
        return "it names a person"
    for pattern, (what, fewest) in PATTERNS.items():
        if len(known) >= fewest and _share(pattern, known) >= MOST:
            return f"it has {what}"
    if len(words) > 1 and any(map(_is_file_of_a_person, words)):
        return "its names of files may have names of people"
    if _is_written(name, known):
        return SENTENCES
    return _why_words(known) if len(known) >= FEWEST else ""


def _plain(name: str) -> str:
    """Return a column's name in lower case, without separators, brackets and accents."""
    apart = unicodedata.normalize("NFKD", name.casefold().translate(STROKES))
    bare = re.sub(r"[()\[\]{}:#/*]|[\u0300-\u036f]", "", apart)
    return plain_name(unicodedata.normalize("NFC", bare))


def _is_named(name: str, cells: Sequence[str]) -> bool:
    """Tell whether a column's name says that it is personal, in part by what the cells are."""
    plain = _plain(name)
    whole = re.sub(r"\d+$", "", plain)
    parts = re.split(r"[\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
    if NAMED.search(plain) or whole in WHOLE or PARTS & set(parts):
        return True
    if whole in NUMBERED:
        return bool(cells) and _share(re.compile(r"\D*(\d\D*){6,}"), cells) >= MOST
    return False


def _is_written(name: str, cells: Sequence[str]) -> bool:
    """Tell whether a column's name and cells are those of reports: texts that seldom repeat."""
    texts = [cell for cell in cells if _words(cell) > 2]
    few = min(len(texts), len(set(cells))) <= len(cells) / 2
    return re.sub(r"\d+$", "", _plain(name)) in WRITTEN and not few


def _why_words(known: Sequence[str]) -> str:
    """Return why words are perhaps names of people, or sentences; "" if they may be findings."""
    differ = len(set(known)) >= MOST * len(known)
    if differ and sum(_words(cell) >= LONG_TEXT for cell in known) >= MOST * len(known):
        return SENTENCES
    findings = sum(map(is_ordinary, known)) >= len(known) / 2
    if findings:
        return ""
    if differ and sum(map(_is_person, known)) >= MOST * len(known):
        return "it seems to have names of people"
    if len(set(known)) < len(known):
        return ""
    long = [word for word in known if re.fullmatch(rf"\D*[^\W\d_]{{{LONG_WORD}}}\D*", word)]
    short = [word for word in known if word.istitle() and re.fullmatch(rf"{WORD}", word)]
    for words, fewest in ((long, FEWEST_WORDS), (short, FEWEST_SHORT)):
        if len(known) >= fewest and len(words) >= MOST * len(known):
            return "its words differ for every patient, and may be names of people"
    return ""


def _words(cell: str) -> int:
    """Return the number of words; numbers are none."""
    return len(re.findall(r"[^\W\d_]+", cell))


def _share(pattern: re.Pattern[str], cells: Sequence[str]) -> float:
    """Return the share of the cells that a pattern fits; long ones are texts, and fit none."""
    short = (cell for cell in cells if len(cell) <= LONGEST)
    return sum(pattern.fullmatch(cell) is not None for cell in short) / len(cells)


def _is_file_of_a_person(cell: str) -> bool:
    """Return True for a file whose name has two words that are no usual ones of files."""
    match = FILE.fullmatch(cell)
    parts = re.findall(r"[^\W\d_]{3,}", match[2]) if match else []
    return sum(not is_ordinary(part) for part in parts) > 1


def _is_person(cell: str) -> bool:
    """Return True for two or three words that all begin with a capital, as names of people do.

    Or for a Chinese name: one of the usual surnames, and one or two characters.
    """
    if CHINESE.fullmatch(cell):
        return True
    words = re.split(r"[\s,^]+", cell.strip("^ "))
    return (
        PERSON.fullmatch(cell) is not None
        and len(words) > 1
        and all(word[:1].isupper() for word in words)
    )
