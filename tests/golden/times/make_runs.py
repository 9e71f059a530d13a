#!/usr/bin/python3
"""Writes runs.txt: when rules run in a year, by Python's zoneinfo and by looking at every minute. Nothing of
common/times is used. A row: zone|cron or every|phase_s|windows|maintenance|year|runs|fingerprint of their moments.
windows and maintenance: days,from,to;... in minutes of the day, days 0 = Monday."""
import datetime
import sys
import zoneinfo

UTC = datetime.timezone.utc
ZONES = ["Europe/Amsterdam", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]
WORK = "0-4,480,1080"
NIGHT = "4-5,1320,360"
RULES = [  # cron or every, phase, windows, maintenance
    ("*/10 8-18 * * mon-fri", 0, "", ""),
    ("30 2 * * *", 0, "", ""),
    ("15,45 1-3 * * *", 0, "", ""),
    ("*/15 * * * *", 0, "", ""),
    ("0 0 1,15 * fri", 0, "", ""),
    ("0 12 */2 * mon", 0, "", ""),
    ("@hourly", 0, "", ""),
    ("@weekly", 0, "", ""),
    ("5 4 29 2 *", 0, "", ""),
    ("*/20 * * * *", 0, WORK, ""),
    ("0 3 * * *", 0, NIGHT, "5,150,210"),
    ("every 3600", 1020, WORK, ""),
    ("every 5400", 300, "", "6,60,240"),
    ("every 1800", 60, NIGHT, "4,1380,1410"),
]
NAMES = {n: i for i, n in enumerate("sun mon tue wed thu fri sat".split())}
NICK = {"@hourly": "0 * * * *", "@weekly": "0 0 * * 0"}


def field(text, low, high):
    found = set()
    for part in text.split(","):
        part, _, step = part.partition("/")
        if part == "*":
            first, last = low, high
        else:
            ends = [NAMES.get(x, None) if x in NAMES else int(x) for x in part.split("-")]
            first, last = ends[0], ends[-1]
        found |= set(range(first, last + 1, int(step or 1)))
    return found


class Cron:
    def __init__(self, text):
        minute, hour, day, month, weekday = NICK.get(text, text).split()
        self.minute, self.hour = field(minute, 0, 59), field(hour, 0, 23)
        self.day, self.month = field(day, 1, 31), field(month, 1, 12)
        self.weekday = {d % 7 for d in field(weekday, 0, 7)}
        self.both = day[0] == "*" or weekday[0] == "*"
        self.wild = minute[0] == "*" or hour[0] == "*"

    def fits(self, t):
        if t.minute not in self.minute or t.hour not in self.hour or t.month not in self.month:
            return False
        day, weekday = t.day in self.day, t.isoweekday() % 7 in self.weekday
        return (day and weekday) if self.both else (day or weekday)


def pieces(text):
    rows = []
    for row in filter(None, text.split(";")):
        days, start, end = row.split(",")
        first, _, last = days.partition("-")
        rows.append((range(int(first), int(last or first) + 1), int(start), int(end)))
    return rows


def within(rows, t):
    at = t.hour * 60 + t.minute
    for days, start, end in rows:
        if start < end:
            if t.weekday() in days and start <= at < end:
                return True
        elif (t.weekday() in days and at >= start) or ((t.weekday() - 1) % 7 in days and at < end):
            return True
    return False


def minutes(year):
    at = datetime.datetime(year, 1, 1, tzinfo=UTC)
    while at.year == year:
        yield at
        at += datetime.timedelta(minutes=1)


def named(cron, zone, year):
    """Rules that name a time of day: each local time once."""
    at, seen = datetime.datetime(year - 1, 12, 30), set()
    while at < datetime.datetime(year + 1, 1, 3):
        if cron.fits(at):
            first = at.replace(tzinfo=zone, fold=0)
            utc = first.astimezone(UTC)
            if utc.astimezone(zone).replace(tzinfo=None) != at:  # it does not exist: the moment of the change
                before = (at - datetime.timedelta(hours=3)).replace(tzinfo=zone).astimezone(UTC)
                after = utc + datetime.timedelta(hours=3)
                while after - before > datetime.timedelta(seconds=1):
                    middle = before + (after - before) / 2
                    middle = middle.replace(microsecond=0)
                    if middle.astimezone(zone).utcoffset() == before.astimezone(zone).utcoffset():
                        before = middle
                    else:
                        after = middle
                utc = after
            if utc.year == year:
                seen.add(utc)
        at += datetime.timedelta(minutes=1)
    return sorted(seen)


def runs(rule, phase, zone, year):
    if rule.startswith("every "):
        every = int(rule.split()[1])
        first = int(datetime.datetime(year, 1, 1, tzinfo=UTC).timestamp())
        last = int(datetime.datetime(year + 1, 1, 1, tzinfo=UTC).timestamp())
        return [datetime.datetime.fromtimestamp(s, UTC) for s in range(first - first % every, last, every) for s in [s + phase]
                if first <= s < last]
    cron = Cron(rule)
    if not cron.wild:
        return named(cron, zone, year)
    return [t for t in minutes(year) if cron.fits(t.astimezone(zone))]


def fingerprint(moments):
    h = 0xcbf29ce484222325
    for t in moments:
        for octet in int(t.timestamp()).to_bytes(8, "big"):
            h = (h ^ octet) * 0x100000001b3 % 2**64
    return f"{h:016x}"


def main():
    with open(sys.argv[1], "w", encoding="ascii") as out:
        out.write("# made by make_runs.py\n")
        for name in ZONES:
            zone = zoneinfo.ZoneInfo(name)
            for rule, phase, windows, maintenance in RULES:
                for year in (2027, 2028):
                    found = [t for t in runs(rule, phase, zone, year)
                             if (not windows or within(pieces(windows), t.astimezone(zone)))
                             and not within(pieces(maintenance), t.astimezone(zone))]
                    out.write(f"{name}|{rule}|{phase}|{windows}|{maintenance}|{year}|{len(found)}|{fingerprint(found)}\n")
            changes, at = [], 1577836800
            while at < 2524608000:
                a, b = (datetime.datetime.fromtimestamp(x, zone).utcoffset() for x in (at, at + 3600))
                if a != b:
                    low, high = at, at + 3600
                    while high - low > 1:
                        mid = (low + high) // 2
                        if datetime.datetime.fromtimestamp(mid, zone).utcoffset() == a:
                            low = mid
                        else:
                            high = mid
                    changes.append((high, int(b.total_seconds())))
                at += 3600
            total = sum(t * (i + 1) + o for i, (t, o) in enumerate(changes)) % 2**64
            out.write(f"{name}|changes|||||{len(changes)}|{total:016x}\n")


main()
