"""What the tools need to know of a C++ header: its text without comments, its includes, and the `#if`s around them.

A tree is a dict from the name that is included ("leash/run.hpp") to the text of the file, so that the tools can be
tried on texts that are nowhere on a disk.
"""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UMBRELLA = "leash/leash.hpp"
CONFIG = "leash/config.hpp"
NAMES = "leash/fwd.hpp"
# For whoever has what they are about (Asio, std::format): they include the umbrella, and nobody includes them.
BESIDE = ["leash/asio.hpp", "leash/format.hpp"]
GUARD = r"LEASH_\d+_\d+_\d+_\w+_[HI]PP"
BODIES = "#if !defined(LEASH_COMPILED) || defined(LEASH_IMPLEMENTATION)"


def read_tree(folder):
    folder = Path(folder)
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
            for path in sorted((folder / "leash").rglob("*.[hi]pp"))}


_TOKEN = re.compile(
    r"""//[^\n]*                                   # a comment to the end of the line
      | /\*.*?\*/                                  # a comment in a piece
      | \bu?8?[LU]?R"(?P<mark>[^()\\\s]{0,16})\(.*?\)(?P=mark)"   # a raw string
      | "(?:\\.|[^"\\\n])*"                        # a string
      | (?<![0-9a-zA-Z_])'(?:\\.|[^'\\\n])+'       # a character; the ' in 1'000 is none
    """,
    re.VERBOSE | re.DOTALL,
)


def without_comments(text, strings=True):
    """The text with comments blanked, and strings emptied unless they are to stay; every line stays where it is."""

    def blank(match):
        token = match.group()
        newlines = "\n" * token.count("\n")
        if token.startswith(("//", "/*")):
            return " " + newlines
        return token if strings else '""' + newlines

    return _TOKEN.sub(blank, text)


class Include:
    def __init__(self, line, name, angled, condition):
        self.line = line            # counted from 1
        self.name = name            # what stands between <> or ""
        self.angled = angled
        self.condition = condition  # the innermost `#if` that it stands in, or None

    def is_leash(self):
        return self.name.startswith("leash/") or not self.angled


def directives(text):
    """(line, keyword, rest) of every preprocessor line; a continued line counts where it begins."""
    lines = without_comments(text).split("\n")
    number = 0
    while number < len(lines):
        first, whole = number, lines[number]
        while whole.endswith("\\") and number + 1 < len(lines):
            number += 1
            whole = whole[:-1] + " " + lines[number]
        number += 1
        match = re.match(r"\s*#\s*([a-z_]+)\b\s*(.*?)\s*$", whole)
        if match:
            yield first + 1, match.group(1), match.group(2)


def guard(name, number):
    """The macro that says of a header that it was seen: LEASH_0_1_0_DETAIL_PUMP_HPP."""
    return "_".join(["LEASH", *number.split("."), re.sub(r"\W", "_", name.partition("/")[2]).upper()])


def includes(text):
    found, open_ifs = [], []
    for line, keyword, rest in directives(text):
        if keyword == "ifndef" and re.fullmatch(GUARD, rest) or f"#{keyword} {rest}" == BODIES:
            open_ifs.append(None)
        elif keyword in ("if", "ifdef", "ifndef"):
            open_ifs.append(f"#{keyword} {rest}")
        elif keyword == "endif" and open_ifs:
            open_ifs.pop()
        elif keyword == "include":
            match = re.match(r'<([^>]+)>|"([^"]+)"', rest)
            if match:
                found.append(Include(line, match.group(1) or match.group(2), match.group(1) is not None,
                                     open_ifs[-1] if open_ifs else None))
    return found


def version(config_text):
    """"0.1.0", from the three LEASH_VERSION_ lines."""
    numbers = []
    for part in ("MAJOR", "MINOR", "PATCH"):
        match = re.search(rf"^#define LEASH_VERSION_{part} (\d+)$", config_text, re.MULTILINE)
        if not match:
            raise ValueError(f"{CONFIG} has no line '#define LEASH_VERSION_{part} <number>'")
        numbers.append(match.group(1))
    return ".".join(numbers)
