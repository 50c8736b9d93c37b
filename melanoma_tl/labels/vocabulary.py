"""The words about melanoma and other findings, in seven languages; `melanoma_tl.labels.meanings` reads with them.

All are written as `melanoma_tl.labels.meanings.normalise` writes them.
"""

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(word.strip() for word in text.replace("\n", ",").split(",") if word.strip())


POSITIVE = _words("positive, pos, positiv, positif, positivo")
"""These may be the result of any test."""

YES = POSITIVE | _words("""
    1, true, t, yes, y, wahr, ja, vrai, oui, verdadero, si, verdadeiro, sim, vero
""")
NO = _words("""
    0, -1, false, f, no, n, falsch, nein, faux, non, falso, nao, negative, neg, negativ, negatif, negativo
""")
ANSWERS = YES | NO
"""To the question "is it a melanoma?"."""

LETTERS = {"t": {"f", "false"}, "f": {"t", "true"}, "y": {"n", "no"}, "n": {"y", "yes"}}
"""Letters that answer, and what may stand beside each: T and N are tumour and normal, M and F are sexes."""

MISSING = _words("""
    n/a, na, n.a., n a, <na>, #n/a, #n/a n/a, #na, nan, 1.#qnan, 1.#ind, none, null, nil, nat, ?, ??, ., .., ...,
    missing, unknown, undefined, pending, tbd, not available, not applicable, not specified, not known, no answer,
    no data, unbekannt, fehlt, keine angabe, k.a., k. a., inconnu, inconnue, non renseigne, desconocido, desconocida,
    sin dato, sin datos, desconhecido, desconhecida, nao informado, sconosciuto, sconosciuta, n.d., n/d, unk,
    not recorded, not given, not reported, nicht bekannt, none known, no id, anonymous, anonym, #ref!, #value!, #null!,
    #name?, #num!, #div/0!, *, - nan, - 1.#ind, - 1.#qnan, #nv, #n/d, #n/v, not provided, not assessed, not done,
    not examined, not graded, not labeled, not labelled, ungraded, unlabeled, unlabelled, withheld, redacted,
    deidentified, de identified, anonymized, anonymised, anonymisiert, anonymise, anonimizado, anonimizada,
    anonimizzato, unknown patient, unbekannter patient, ausstehend, nicht angegeben, nicht befundet, non disponible,
    no disponible, nao disponivel, non disponibile, offen, noch offen, tbc, tba, to be determined, to be confirmed,
    todo, n/k, n.k., empty, blank, leer, vide, vacio, vazio, vuoto,
    sans objet, non applicable, en attente, pendiente, pendente, in attesa, entfallt, entf., ohne angabe, o.a., n.v.,
    nicht vorhanden, nicht zutreffend, nicht verfugbar, no aplica, nao se aplica, non applicabile, keine diagnose,
    ignorado, ignorada, s/d, nd, nr, nicht erhoben, fehlend, steht aus, keine histologie, sin informacion, sem
    informacao, senza informazione, sans information, non precise, non precisee, non precisato, sans
    diagnostic, sin diagnostico, sem diagnostico, senza diagnosi, befund ausstehend, befund folgt
""") | {""}
NOTHING = re.compile(r"[?.*#/]+|#[a-z/0]+[!?]|[(<\[](?:blank|empty|leer|vide|null|none|nan|missing|unknown)[)>\]]")
"""What is missing beside these words: signs alone, the errors of a spreadsheet in any language, and empty cells as
pivot tables and databases write them."""

NUMBERED = re.compile(r"[A-Za-z][A-Za-z_]*\d+", re.ASCII)
"""Letters and a number, as ids mostly are: none of these words, so that it need not be compared with them."""

MELANOMA = _words("mel, mm, mis, ssm, lmm, alm, mel in situ, mm in situ, schwarzer hautkrebs")
"""Beside every phrase with a name of melanoma in it."""

MALIGNANT = _words("mal")
"""Beside every phrase with a word for cancer in it."""

OTHER_CANCERS = _words("""
    bcc, scc, sccka, nmsc, akiec, mal oth, cbc, cec, bowen disease, bowens disease, morbus bowen, maladie de bowen,
    enfermedad de bowen, malattia di bowen, doenca de bowen, weisser hautkrebs, heller hautkrebs,
    morbo di bowen, morbo de bowen, actinic keratosis or intraepithelial carcinoma, intraepithelial carcinoma,
    malignant other, skin metastasis of internal solid cancer non hematological
""")
"""Codes and names of cancers that are no melanoma, beside every phrase with such a name in it."""

REST = _words("""
    other, others, rest, sonstige, andere, autre, autres, otro, otros, outro, outros, altro, altri, misc, miscellaneous,
    miscellanea
""")
"""Words for all that is not named: beside a class folder a class, below one a place like any other."""

UNNAMED = REST | NO | {"other lesions"}
"""What is no melanoma, and may be any other finding, cancers too."""

OTHER = (
    OTHER_CANCERS
    | REST
    | _words("""
    ben, bng, nv, nev, mole, moles, muttermal, leberfleck, grain de beaute, grains de beaute, lunar, lunares, pinta,
    neo, nei, ak, ack, bod, bkl, df, vasc, sek, sk, lplk, inf, ben oth,
    vascular lesions, other lesions, dysplastic, atypical melanocytic proliferation, freckle,
    ephelis, cafe au lait macule, vascular lesion, scar, non neoplastic, inflammatory, genodermatoses,
    healthy, normal, control, controls, gesund, gesunde haut, sain, saine, sano, sana, saudavel, cancer free,
    pseudomelanoma, flat melanotic pigmentations not melanocytic nevus, dermal melanocytosis, mongolian spot,
    indeterminate cell histiocytosis
""")
)
"""Codes and names of HAM10000, ISIC 2018 to 2024, MILK10k, PAD-UFES-20, Derm7pt, BCN20000, DDI and Fitzpatrick17k."""

NAME = re.compile(
    r"\b(?:micro)?melanom(?:a|as|ata|e|es|en|i|s)?\b|\bmelanommetastasen?\b|\blentigo mali(?:gna|gno|n)\b"
    r"|\b(?:mel|mis|ssm|lmm|alm)\b|(?<!\d )(?<!\d)\bmm\b|\b(?:c43|d03)(?:\.\d)?\b"
)
"""The names of melanoma, and its codes where they stand as a word; "mm" after a number is a length.

The codes of a letter and numbers, here and below, are those of ICD-10 (WHO, 2019), chapters II and XII.
"""

SUBTYPE = re.compile(r"\b(?:ssm|lmm|alm)\b|\b(?:superficial spreading|lentigo maligna|acral lentiginous) melanoma\b")
NODULAR = re.compile(r"\bnm\b")
"""Beside subtypes of melanoma, the nodular one; elsewhere it may as well be "non-melanoma"."""

CANCER = re.compile(r"\b(?:malign\w*|malin|malins|bosartig\w*|cancer\w*|\w*krebs\w*|cancro)\b")
"""Words for any cancer."""

CARCINOMA = re.compile(
    r"\b(?!melano)\w*(?:carcinom|karzinom|sarcom|sarkom|lymphom|linfom|basaliom|spinaliom|(?:zell|epithel)krebs)"
    r"|\bepith?eliom|\blymphocytic proliferation|\blymphoproliferative|\bsezary\b"
    r"|\b(?:c44|c46|d04)(?:\.\d)?\b"
    r"|\b(?:bcc|scc|merkel|epithelial (?:skin )?cancer)\b|\bmycosis fungoides|\bleu[ck](?:a|ae|e)mi|\bpaget"
    r"|\bmalignant (?:epidermal|adnexal|epithelial|dermal|soft tissue|lympho\w*|mast cell|vascular|fibro\w*|neural|"
    r"neuroendocrine)\b|\bplasmacytoid dendritic cell"
)
"""Stems of the names of other cancers."""

EITHER = re.compile(
    r"eratoa[ck]|erat\w+ (?:a[ckt]tin|solar)|\b(?:a[ckt]tin|solar|arsen|bowenoid)\w* \w*erat|^(?:ak|ack)$"
    r"|\bcheilitis|\bbowenoid|fibroxanthom|endotheliom|\bsmooth muscle tumou?r"
)
"""Stems of findings that some sources call malignant and others benign: keratoacanthoma, actinic keratosis…"""

ICD_O = re.compile(
    r"(?<![\d/.])(?:icd o(?: 3)?(?:\.\d)?[ :]*)?\b(?:m ?)?([89]\d{3})"
    r"/([01269]|3(?=[1-9]?(?!\d)))(?:(?<=3)[1-9])?(?![\d/.])"
)
"""Codes of morphology and behaviour, perhaps with a grade, such as "8720/3", "M-8720/3" and "ICD-O-3: 8720/32", of
A. Fritz et al., "International Classification of Diseases for Oncology", 3rd edition, first revision, WHO 2013."""

ICD_O_PLACE = re.compile(r"\bc\d\d(?:\.\d)?\b")
"""Where a tumour lies, beside such a code: C44, the skin, says nothing of its kind, unlike the C44 of ICD-10."""

ICD_O_UNSPECIFIED = range(8000, 8006)
ICD_O_MELANOCYTIC = range(8720, 8791)
"""The sections "neoplasms, NOS" and "nevi and melanomas"; of the latter all in situ (2), malignant (3), metastatic (6)
or malignant of whatever origin (9) are melanomas, and 1 is uncertain."""

ICD_O_CANCER = ("2", "3", "6", "9")

BENIGN = re.compile(r"\b(?:benign\w*|benin|gutartig\w*)\b")

FINDING = re.compile(
    r"\b(?:benign|benin|gutartig|(?!no[nt]?n|un)\w*n(?:ae|e|a)v(?:us|i|o|os)\b)"
    r"|\b(?:lentigo\b(?! mali)|lentigines|melanosis|macule)"
    r"|\bmoles?\b|\b(?:d22|d23|l57|l82)(?:\.\d)?\b|\b(?!melano)\w*a[ck]anth?om|melanoacanthom|psoria|e[ck]zem"
    r"|dermatit|vitiligo"
    r"|\b(?:healthy|normal) skin\b|cerat[oi]s|histiozytom|warze\b|h(?:a|ae|e)matom"
    r"|zelln(?:ae|e|a)v|(?<!no)(?<!non)(?<!not)keratos|cheratos|queratos|angiom|fibrom|h?istiocitom"
    r"|histiocyto|lipom|granulom|verru(?:ca|e\b|ga)|\bwart|\bcyst"
    r"|\bacrochordon|\bsebaceous hyperplasia|\b\w*adenoma|\btricho?(?:[io]?lemm|epitheli|blast|disc|follicul)om"
    r"|\bpilomatri[xc]om|\b(?:cylindr|por|syring|hidrocyst|neur|schwann|myx|oste|myoepitheli|hamart|sebace)oma\b"
    r"|a?ngiokeratom|fibroxanthom|\bkeloid|\bmastocyto"
    r"|\bmollusc|\blichen planus|\bfolliculitis|\bacne\b|\brosacea|\btattoo|\bforeign body|\binsect bite"
    r"|\bfibroepithelial polyp|\bfibrous papule|\bh(?:a|ae|e)morrhag|\binflammatory or infectious|\blupus\b"
    r"|leiomyom|follicul(?:om|ar infundib)|\binfundibul|\bmili(?:um|a)\b|\bcomedo|telangiectas|\bfordyce|\bvenous lake"
    r"|\bvascular spider|\bmalformation|\bfasciitis|chondroma\b|\bsteatocyst|\bdilated pore|\baccessory tragus"
    r"|\b(?:mast|langerhans) cell proliferation|\b(?:giant|granular) cell tumou?r|\bglomus tumou?r|\bmixed tumou?r"
    r"|\bsupernumerary nipple|\bhypertrophic scar|\bscar, hypertrophic"
)
"""Stems of the names of other findings."""

NEGATIONS = r"no|non|not|without|kein\w*|nicht|ohne|pas|sans|sin|sem|senza|nao|negativ\w*|free|excluded|absent|never"
NEGATED = re.compile(rf"\b(?:{NEGATIONS}|exclude|except|other than|ausgeschlossen|unlikely|pre)\b")
"""Words that say no to whatever stands beside them."""

UNDONE = re.compile(r"[!=#]|(?<!\.)\b(?:0|false|un|anything but|everything but|all but)\b|^- | -$")
"""What turns a finding around: "benign=0", "!benign", "nevus-"."""

_BETWEEN = (
    "an?|any|un|una|uma|ein|eine|einen|eines|de|di|of|for|fur|auf|von|e|es|est|evidence|signs?|anhalt|hinweis|nachweis|"
    "evidencia|evidenza|malignant"
)
"""What may stand between a "no" and the name."""

DENIED = re.compile(
    rf"(?:\bnon|\b(?:{NEGATIONS}|other than)(?: (?:{_BETWEEN}))*) ?"
    r"(?:melanom\w*|lentigo mali\w*|mel\b|mm\b|mal\b|malign\w*|malin\b|bosartig\w*|cancer\w*|cancro|\w*krebs\w*)"
)
"""A "no" that is about the cancer itself, unlike that of "melanoma without ulceration"."""

CERTAIN = _words("est, nest, ist, es, e, it, this, das, dies, ce, cest, definitely, clearly, certainly, sicher")
"""Words that may stand beside a "no melanoma" and leave it one; "rather" and "probably" do not."""

OR = re.compile(r"\b(?:vs|versus|or|oder|ou|o|und|and|et|e|y)\b|[/&]")
DOUBT = re.compile(
    r"\b(?:suspected|suspicious|suspicion|suspect\w*|verdacht|verdachtig\w*|fraglich\w*|unklar\w*|wahrscheinlich\w*|"
    r"moglich\w*|entartet\w*|douteu\w*|sospe(?:ch|tt)\w*|suspeit\w*|degenerad\w*|possible|possibly|possibil\w*|posibl\w*|"
    r"possivel|potential|potentially|probable|probably|probab\w*|provavel|pending|indeterminate|ausstehend|"
    r"likely|v\.? ?a|rule out|unclear|history|risk|(?:not|nicht|non|cannot|no) (?:be )?(?:excluded?|ausgeschlossen))\b"
    r"|\b[adr]/[deo]\b|\b[cd]\d\d(?:\.\d)? ?[avz]\b|\?"
)
"""Words that say maybe, and letters that do so after a code of ICD-10 in Germany; "a/e", "d/d" and "r/o" ask for
something to be ruled out."""

UNSETTLED = re.compile(
    r"melanom|melanocyt|metasta|indeterminate|uncertain|collision|\b(?:aimp|iamp|samp|stump|meltump)\b"
)
"""What a lesion of which nobody can say whether it is a melanoma is called."""

BESIDE = _words("""
    in, is, has, of, the, a, an, on, or, and, with, as, de, du, des, del, dell, della, di, da, do, eines, la, le, el,
    lo, il, der, die, das, am, im, auf, und, oder, et, y, e, o, ou, ed, melano*, micromelano*, malign*, malin*,
    cancer, cancers, cancerous, cancro, carcinoma, krebs, hautkrebs, tumo*, neoplas*, lesion*, lasion*,
    lesao, bosartig*, schwarz*, skin, haut, peau, piel, pele, pelle, cutane*, kutan*, disease, situ, insitu, invasi*,
    invasor, microinvasi*, infiltra*, primar*, primaire*, secondary, second, multiple, metasta*, hautmetasta*, transit,
    recurren*, local*, early, thin, thick, advanced, superfici*, superfizi*, oberflachlich*, spreading,
    spreitend*, diffusione, extensi*, estensiv*, nodul*, knotig*, lentig*, dubreuilh, acral*, akral*,
    akrolentig*, acrolentig*, diffusi*, disseminati*, espalhamento,
    cute, desmoplas*, neurotrop*, amelano*, achrom*, hypomelan*, pigment*, spitz*, naevoid, nevoid,
    spindle, balloon, animal, cell, dermal, pure, mixed, low, high, csd, mucosal, uveal, ocular, choroid*,
    conjunctiv*, subungual, nail, ungueal, verrucous, polypoid, ulcerat*, melanocytic, proliferation*, radial,
    vertical, growth, phase, pediatric, mel, mm, mis, ssm, nm, lm, lmm, alm, nos, unspecified, unclassified,
    type, typ, tipo, subtype, class, grade, stage, level, clark, breslow, depth, thickness, i, ii, iii, iv, v,
    tis, histolog*, histopatholog*, biopsy, proven, confirmed, diagnos*, positive, yes, chronically, sun,
    exposed, damaged, extrafacial, facial, face, head, neck, trunk, back, chest, abdomen, arm, leg, thigh,
    shoulder, sole, volar, limb, extremit*, upper, lower, left, right, hand, foot, palm*, plantar, scalp, ear,
    nose, lip, image*, photo*
""")
LEAVES_IT = re.compile("|".join(sorted(word.replace("*", r"\w*") for word in BESIDE)) + r"|[.,;:()/|]+")
"""Words (and stems) that may stand beside the name of a cancer and leave it one; beside others it says nothing."""

SIZE = re.compile(
    r"(?:\b(?:less than|more than|up to)|[<>\u2264\u2265]=?)? ?\d+(?:[.,]\d+)?"
    r"(?:(?: (?:to|bis|a|and))? \d+(?:[.,]\d+)?)?"
    r" ?(?:mm|cm)\b|\b(?:clark|level|stage|grade) (?:[0-5]|i{1,3}|iv|v)[abcd]?\b|\bbreslow \d+(?:[.,]\d+)?"
    r"|\b(?:c43|d03)(?:\.\d)?(?: ?g)?\b|\bp?t[0-4][ab]?(?: ?n\d[abc]?(?: ?m\d[abc]?)?)?\b"
)
"""How thick, how far and where, in numbers."""

NOT_QUITE = re.compile(r"\b(?:like|mimic\w*|simulat\w*|juvenile|scar)\b")
ASIDE = re.compile(
    r"\bnot otherwise specified\b|\bn(?:ae|e|a)vus associated\b"
    r"|\bby history(?: and histopathological pattern)?\b|\bnon (?:langerhans|neural)\b|\bs100 negative\b"
    r"|\b(?:associated with|(?:arising|originating) (?:in|from|on)|in|with|ex|auf)"
    r"(?: (?:an?|pre|existing|dysplasti\w*|congenital|compound|intradermal|dermal|junctional|blue|giant|common|"
    r"acquired|associated|adjacent))* "
    r"n(?:ae|e|a)v(?:us|o)\b(?: spilus)?"
    r"|\b(?:with|without|no) (?:regression|ulceration|mitos[ei]s|atypia)\b"
)
"""What stands beside a diagnosis without changing it, such as the naevus that a melanoma began in."""

DENYING = re.compile(
    r"\b(?:isnt|neg|un|ruled out|ausschluss|kontroll\w*|controls?|descartad\w*|exclu(?:id\w*|e|s|ded)?|esclus\w*)\b"
    r"|\bnon(?=m)|\bun(?=auff)"
)
"""What turns the name of a column around, beside what turns a label around."""

GUESS = re.compile(
    r"clinic|klinisch|differenti|\bddx\b|suspect|suspicion|verdacht|sospe|hypothes|impression|presum|predict|"
    r"\bpred\b|vorschlag|first (?:look|read)|history|\bhx\b|anamnes|vorgeschichte|antecedent|previous|prior|fruher|"
    r"\b(?:rater|reader|expert|observer|annotator|opinion|gutachter|ai|model)|famil|comment|kommentar|comentario|remark|bemerkung|\bnotes?\b|notiz|referral|referring|uberweisung"
)
"""Names of columns of what a lesion was taken for, or of what else was said: they need not agree with its label."""

MALIGNANCY = re.compile(r"malign|cancer|bosartig|krebs|\bmalins?\b|cancro|^target$|^(?:diagnosis|iddx) ?1$")
"""Names of columns of which a "yes" is a cancer, which need not be a melanoma, as "target" of ISIC 2024."""
