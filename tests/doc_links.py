#!/usr/bin/env python3
"""Links in documents lead somewhere: files that are there, and headings that they have. usage: tests/doc_links.py"""
import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$", re.M | re.S)


def documents():
    return [*TOP.glob("*.md"), *TOP.glob("docs/*.md"), *TOP.glob("deploy/**/*.md")]


def anchors(path):
    """As the usual viewers make them of headings: lower case, without punctuation, with hyphens for spaces; a repeated one gets a number."""
    seen = {}
    for heading in re.findall(r"^#+ +(.*)$", CODE.sub("", path.read_text()), re.M):
        name = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        seen[name] = seen.get(name, -1) + 1
        yield f"{name}-{seen[name]}" if seen[name] else name


def wrong(path, link):
    """Why a link leads nowhere; None: it does not."""
    if re.match(r"[a-z]+:", link):
        return None  # somebody else's
    name, _, anchor = link.partition("#")
    target = (path.parent / name).resolve() if name else path
    if not target.exists():
        return "there is no such file"
    if anchor and target.suffix == ".md" and anchor not in anchors(target):
        return f"{target.name} has no such heading"
    return None


def main():
    links, bad = 0, []
    for path in documents():
        for link in LINK.findall(CODE.sub("", path.read_text())):
            links += 1
            why = wrong(path, link)
            if why:
                bad.append(f"{path.relative_to(TOP)}: ({link}): {why}")
    print("\n".join(bad) or f"{links} links")
    sys.exit(1 if bad or links < 100 else 0)


if __name__ == "__main__":
    main()
