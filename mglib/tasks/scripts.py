"""The writing systems of the glyph federation: which characters, and which scripts are kept from training."""

import unicodedata


def _letters(*ranges: tuple[int, int]) -> str:
    """The characters of these inclusive code point ranges; combining marks and unassigned ones left out."""
    every = (chr(code) for first, last in ranges for code in range(first, last + 1))
    return "".join(character for character in every if unicodedata.category(character)[0] in "LNSP")


# Every script is covered by DejaVu Sans, several by further faces. Characters that look alike are dropped later.
SCRIPTS: dict[str, str] = {
    "Latin": _letters((0x41, 0x5A), (0x61, 0x7A), (0x30, 0x39)),
    "Greek": _letters((0x391, 0x3A1), (0x3A3, 0x3A9), (0x3B1, 0x3C9)),
    "Cyrillic": _letters((0x410, 0x44F)),
    "Arabic": _letters((0x621, 0x63A), (0x641, 0x64A)),
    "Syllabics": "ᐁᐃᐅᐊᐯᐱᐳᐸᑌᑎᑐᑕᑫᑭᑯᑲᒉᒋᒍᒐᒣᒥᒧᒪᓀᓂᓄᓇᓓᓕᓗᓚᓭᓯᓱᓴᔐᔑᔓᔕᔦᔨᔪᔭᕂᕆᕈᕋᕓᕕᕗᕙᕞᕠᕤᕦ",
    "Lisu": _letters((0xA4D0, 0xA4F7)),
    "Old Italic": _letters((0x10300, 0x1031E)),
    "Ogham": _letters((0x1681, 0x169A)),
    "Mathematics": "∀∁∂∃∄∅∆∇∈∉∏∑∓∗∘√∛∝∞∟∠∡∤∥∧∩∪∫∬∮∴∵∶∷∺∻∾∿≀≁≃≄≅≉≋≍≎≏≐≓≔≗≙≛≟"
    "≠≡≤≥≨≪≬≮≰≶≺≼⊀⊂⊄⊆⊉⊏⊑⊓⊕⊗⊛⊞⊠⊢⊤⊨⊩⊲⊴⊸⊻⊾⊿⋄⋇⋈⋋⋎⋐⋔⋕⋖⋚⋮⋱",
    "Armenian": _letters((0x531, 0x556), (0x561, 0x587)),
    "N'Ko": _letters((0x7C0, 0x7E7)),
    "Georgian": _letters((0x10D0, 0x10F6)),
    "Tifinagh": _letters((0x2D30, 0x2D65)),
    "Hebrew": _letters((0x5D0, 0x5EA)),
    "Lao": "ກຂຄງຈຊຍດຕຖທນບປຜຝພຟມຢຣລວສຫອຮຯະາຽເແໂໃໄໆ໐໑໒໓໔໕໖໗໘໙ໜໝ",
}

# Chosen for being unlike each other, before anything was measured on them.
VALIDATION = ("Armenian", "N'Ko")
TEST = ("Georgian", "Tifinagh", "Hebrew", "Lao")
