"""Mesh documents for the tests: short periods, so that nobody waits."""


def full(members, name="lab", classes=None):
    """A full mesh. classes: {name: "dscp: EF, spacing: 20ms, ..."}"""
    classes = classes or {"voice": "dscp: EF, spacing: 20ms, size: 200", "bulk": "spacing: 100ms, size: 1400"}
    lines = [f"mesh: {name}", "topology: full", f"members: [{', '.join(members)}]", "classes:"]
    lines += [f"  {c}: {{ {text}, timeout: 500ms, report_period: 1s }}" for c, text in classes.items()]
    return "\n".join(lines) + "\n"


def one_way(source, target, name="lab", spec="spacing: 10ms, size: 100", timeout="300ms"):
    """One pair, one class "c"."""
    return (f"mesh: {name}\ntopology: list\npairs:\n  - [{source}, {target}]\nclasses:\n"
            f"  c: {{ {spec}, timeout: {timeout}, report_period: 1s }}\n")


def total(rows, field):
    return sum(r[field] for r in rows)


def by_pair(rows):
    """Summaries grouped by pair and flow, in order of time."""
    out = {}
    for r in rows:
        out.setdefault((r["mesh"], r["class"], r["source"], r["target"], r["flow"]), []).append(r)
    for v in out.values():
        v.sort(key=lambda r: r["start_ns"])
    return out
