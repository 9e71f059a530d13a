#!/usr/bin/python3
"""Is a quantity flat? Judged on samples of a soak test; run by itself it checks itself (prints what is wrong, exit 1)."""
import statistics
import sys

SETTLED = 0.25  # the first quarter may still fill caches


def growth(values):
    """Median of the last quarter less that of the second one."""
    n = len(values)
    if n < 8:
        raise ValueError(f"{n} samples are too few to judge, 8 at least")
    return statistics.median(values[n * 3 // 4:]) - statistics.median(values[int(n * SETTLED):n // 2])


def judge(values, share, absolute):
    """None if the quantity has not grown by more than share of itself plus absolute; else words."""
    n = len(values)
    grown = growth(values)
    base = statistics.median(values[int(n * SETTLED):n // 2])
    allowed = share * base + absolute
    if grown <= allowed:
        return None
    return f"grew by {grown:.1f} from {base:.1f}, {allowed:.1f} allowed"


def within(values, bound):
    """None if it never was above a bound, as caches are that fill; else words."""
    return None if max(values) <= bound else f"was {max(values):.1f}, {bound:.1f} allowed"


def check_itself():
    saw = [100 + (i % 5) for i in range(200)]
    steps = [100.0] * 100 + [100 + 0.1 * i for i in range(100)]
    cases = [
        ("flat", [100.0] * 40, None),
        ("warm-up only", [min(100, 10 * i) for i in range(60)], None),
        ("a saw", saw, None),
        ("shrinking", list(range(200, 100, -1)), None),
        ("a slow leak", [100 + 0.2 * i for i in range(200)], "grew"),
        ("a leak that begins late", steps, "grew"),
        ("one outlier", [100.0] * 99 + [5000.0], None),
    ]
    wrong = 0
    for name, values, want in cases:
        got = judge(values, 0.02, 1)
        if (got is None) != (want is None):
            print(f"{name}: {got}, expected {want}")
            wrong += 1
    if within([1.0, 2.0], 2.0) is not None or within([1.0, 2.1, 1.0], 2.0) is None:
        print("a bound is not kept to")
        wrong += 1
    try:
        growth([1.0] * 7)
        print("too few samples were judged")
        wrong += 1
    except ValueError:
        pass
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(check_itself())
