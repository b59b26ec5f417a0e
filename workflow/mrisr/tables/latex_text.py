"""Text for LaTeX: every character compiles with pdflatex and no package."""

import unicodedata

_TEX = {
    **{character: rf"\{character}" for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''"},
    **{"±": r"$\pm$", "×": r"$\times$", "∞": r"$\infty$", "−": "$-$", "·": r"$\cdot$"},
    **{"↑": r"$\uparrow$", "↓": r"$\downarrow$", "→": r"$\to$", "←": r"$\leftarrow$"},
    **{"≤": r"$\leq$", "≥": r"$\geq$", "≈": r"$\approx$", "≠": r"$\neq$", "°": r"$^\circ$"},
    # As formulas: in text they come from a font that some installations have as a bitmap only.
    **{"†": r"$\dagger$", "‡": r"$\ddagger$", "✓": r"$\surd$", "✗": r"$\times$"},
    **{"§": r"$\mathsection$", "¶": r"$\mathparagraph$"},
    **{"–": "--", "—": "---", "‘": "`", "’": "'", "“": "``", "”": "''", "…": r"\ldots{}"},
    **{"²": "$^2$", "³": "$^3$", "¹": "$^1$", "½": r"$\frac12$", "µ": r"$\mu$"},
    **{"ß": r"\ss{}", "æ": r"\ae{}", "Æ": r"\AE{}", "œ": r"\oe{}", "Œ": r"\OE{}"},
    **{"ø": r"\o{}", "Ø": r"\O{}", "ł": r"\l{}", "Ł": r"\L{}", "ı": r"\i{}"},
}
_ACCENTS = {
    **{"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u"},
    **{"\u0307": ".", "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0323": "d"},
    **{"\u0327": "c", "\u0331": "b"},
}
# Greek letters that look like Latin ones have no command.
_GREEK = {
    **{name: rf"$\{name}$" for name in ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")},
    **{name: rf"$\{name}$" for name in ("eta", "theta", "iota", "kappa", "mu", "nu", "xi", "pi")},
    **{name: rf"$\{name}$" for name in ("rho", "sigma", "tau", "upsilon", "phi", "chi", "psi")},
    **{"omega": r"$\omega$", "lamda": r"$\lambda$", "omicron": "$o$"},
}
_CAPITALS = ("Gamma", "Delta", "Theta", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega")


def escape(text: str) -> str:
    """Return text as LaTeX source.

    Latin letters with accents and Greek letters become commands. A character without a glyph in
    pdflatex becomes its code point, as U+4E2D. White space becomes one space.
    """
    words = " ".join(unicodedata.normalize("NFC", text).split())
    return "".join(map(_character, words))


def _character(character: str) -> str:
    if character in _TEX:
        return _TEX[character]
    if character.isascii():
        return character if character.isprintable() else ""
    base, *marks = unicodedata.normalize("NFD", character)
    if base.isascii() and base.isalpha() and marks and all(mark in _ACCENTS for mark in marks):
        # A dot-less i or j carries the accents above it.
        above = base in "ij" and not {"\u0323", "\u0327", "\u0331"} & set(marks)
        found = rf"\{base}" if above else base
        for mark in marks:
            found = rf"\{_ACCENTS[mark]}{{{found}}}"
        return found
    return _greek(character) or f"U+{ord(character):04X}"


def _greek(character: str) -> str:
    kind, _, name = unicodedata.name(character, "").partition(" LETTER ")
    if kind == "GREEK SMALL":
        return _GREEK.get(name.removeprefix("FINAL ").lower(), "")
    name = name.capitalize().replace("Lamda", "Lambda")
    return rf"$\{name}$" if kind == "GREEK CAPITAL" and name in (*_CAPITALS, "Lambda") else ""
