"""An agent that goes from one controller to another begins there where its spool is stored, whoever stored it."""
import json
import signal
import time

from clickhouse import ClickHouse
from etcd import Etcd
from lab import CONTROLLER, NET4, expect, wait
from meshes import full
from test_away import TWO, Fleet
from test_outage import nothing_lost_or_doubled
from test_two_controllers import both

AWAY_SUMMARIES = 12 # that the other one stores before the agents come back
STILL_S, EACH_S = 8, 4  # so long an agent sends to a controller that stands still; what all of them measure in a second
UNDER_WAY = 4       # that a controller may have stored and not said when it ended: one of each flow


def stored(ch):
    """Rows of summaries, and how many of them are there once more."""
    rows, different = ch.ask("SELECT count(), uniqExact(agent_id, spool_id, seq) FROM tw.summary").split()
    return int(rows), int(rows) - int(different)


def at_both(lab):
    for name in TWO:
        lab.agents[name].stop()
        lab.start_agent(name, "--controller", f"tcp://{NET4}.{CONTROLLER}:8620,tcp://{NET4}.{CONTROLLER}:8621")


def more(ch, n):
    before = stored(ch)[0]
    wait(f"{n} more summaries", lambda: stored(ch)[0] >= before + n, 40)


def connected(lab):
    return sum(a["state"] == "up" for a in lab.agent_list())


def test_nothing_is_sent_again(build):
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        second = both(lab, ch, etcd)
        at_both(lab)
        lab.apply(full(TWO))
        more(ch, AWAY_SUMMARIES)
        lab.controller.kill()
        more(ch, AWAY_SUMMARIES)
        # From now on the first does not hear what the second stores, until the agents come.
        lab.start_controller("--history", ch.location(), "--control", etcd.location())
        began = lab.metric("twamp_ingest_read_back_total")
        more(ch, AWAY_SUMMARIES)
        second.process.stop()
        wait("all agents at the first", lambda: connected(lab) == len(TWO), 15)
        more(ch, AWAY_SUMMARIES)
        rows, again = stored(ch)
        expect(again <= UNDER_WAY, f"{again} of {rows} summaries were stored once more")
        expect(lab.metric("twamp_ingest_read_back_total") >= began + 1, "nobody's spool was read back")
        for counter in ["read_back_late", "out_of_sequence"]:
            expect(lab.metric(f"twamp_ingest_{counter}_total") == 0, counter)
        print(f"# {again} of {rows} summaries were sent again")


def test_one_stood_still(build):
    """What a controller had received when it stopped it stores when it goes on, after another one did: that is there twice, and read once."""
    with Fleet(build, TWO) as lab, ClickHouse(lab) as ch, Etcd(lab) as etcd:
        second = both(lab, ch, etcd)
        at_both(lab)
        lab.apply(full(TWO))
        more(ch, AWAY_SUMMARIES)
        lab.controller.popen.send_signal(signal.SIGSTOP)
        wait("all agents at the second", lambda: sum(a["state"] == "up" for a in json.loads(second.ctl("-o", "json", "agent", "list"))["agents"]) == len(TWO))
        more(ch, AWAY_SUMMARIES)
        lab.controller.popen.send_signal(signal.SIGCONT)
        wait("the first to be ready", lab.is_ready)
        counted = [second.metric(f"twamp_ingest_{counter}_total") for counter in ["read_back_late", "out_of_sequence"]]
        second.process.stop()
        wait("all agents at the first", lambda: connected(lab) == len(TWO), 15)
        more(ch, AWAY_SUMMARIES)
        counted += [lab.metric(f"twamp_ingest_{counter}_total") for counter in ["out_of_sequence"]]
        rows, again = stored(ch)
        expect(again <= STILL_S * EACH_S + UNDER_WAY, f"{again} of {rows} summaries were stored once more")
        expect(not any(counted), f"read back late, out of sequence at the second, and at the first: {counted}")
        nothing_lost_or_doubled(lab.results("mesh=lab"))
        print(f"# {again} of {rows} summaries were stored once more")
