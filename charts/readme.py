#!/usr/bin/env python3
"""Writes the chart's README.md: README.intro.md, and a table of the values with their comments.

    charts/readme.py           write it
    charts/readme.py --check   fail if it is not what would be written

Fails if a value has no comment, or if values.yaml and values.schema.json do not hold the same values.
It reads what values.yaml is written in, not all of YAML: mappings, indented by two, with values on one line or in a list.
"""

import json
import pathlib
import re
import sys

CHART = pathlib.Path(__file__).resolve().parent / "ack-offboarding-operator"
KEY = re.compile(r"^( *)([A-Za-z]+):(?: (.*))?$")


def values(text):
    """Each value: its path, its default, its comment."""
    found, path, comment, in_list = [], [], None, False
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        stripped = line.strip()
        if in_list and stripped and line.startswith("  " * len(path)):
            continue
        in_list = False
        if stripped.startswith("# -- "):
            comment = stripped[5:]
        elif stripped.startswith("#"):
            if comment is not None:
                comment += " " + stripped.lstrip("# ")
        elif not stripped:
            comment = None
        elif key := KEY.match(line):
            path = path[: len(key[1]) // 2] + [key[2]]
            default = key[3]
            following = lines[number].strip() if number < len(lines) else ""
            if default is None and following.startswith("- "):
                default, in_list = "see values.yaml", True
            if default is not None:
                if comment is None:
                    sys.exit(f"values.yaml:{number}: {'.'.join(path)} has no comment that begins with '# -- '")
                found.append((".".join(path), default, comment))
            elif comment is not None:
                sys.exit(f"values.yaml:{number}: {'.'.join(path)} holds values: each of them needs the comment")
            comment = None
        else:
            sys.exit(f"values.yaml:{number}: cannot read {line!r}")
    return found


def schema_values(schema, path=()):
    """The paths of everything in the schema that has no fixed properties of its own."""
    for name, inner in schema["properties"].items():
        if inner.get("additionalProperties") is False:
            yield from schema_values(inner, path + (name,))
        else:
            yield ".".join(path + (name,))


def check_schema(found):
    """Free-form values and what Helm adds are in the schema only in part."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    ours = {name for name, _, _ in found}
    theirs = set(schema_values(schema)) - {"global", "resources.claims"}
    ours = {"resources." + n.split(".")[1] if n.startswith("resources.") else n for n in ours}
    if ours != theirs:
        sys.exit(f"only values.yaml has {sorted(ours - theirs)}, only values.schema.json has {sorted(theirs - ours)}")


def readme():
    found = values((CHART / "values.yaml").read_text(encoding="utf-8"))
    check_schema(found)
    rows = []
    for name, default, comment in found:
        shown = default if default == "see values.yaml" else f"`{default}`"
        rows.append(f"| `{name}` | {shown} | {comment} |".replace("\n", " "))
    intro = (CHART / "README.intro.md").read_text(encoding="utf-8").rstrip()
    return "\n".join(
        [
            "<!-- Written by charts/readme.py from README.intro.md and values.yaml. Change those. -->",
            "",
            intro,
            "",
            "## Values",
            "",
            "| value | default | what it is |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def main():
    target = CHART / "README.md"
    text = readme()
    if sys.argv[1:] == ["--check"]:
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            sys.exit(f"{target.name} is out of date: run charts/readme.py")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        target.write_text(text, encoding="utf-8")


main()
