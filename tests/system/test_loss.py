"""Loss made by the kernel's packet filter, whose own counters are the truth."""
from lab import Lab, expect, wait
from meshes import one_way, total

DROP = """
table inet lab {{
  counter drops {{ }}
  chain in {{
    type filter hook input priority 0
    udp {port} 862 numgen inc mod {k} == 0 counter name drops drop
  }}
}}
"""


SENT = """
table inet sent {
  counter probes { }
  chain out {
    type filter hook output priority 0
    udp dport 862 counter name probes
  }
}
"""


def settle(lab, source):
    """Stops the mesh and waits until everything that left the source is accounted for at the controller."""
    lab.ctl("schedule", "pause", "lab")
    wait("every probe to be in a summary",
         lambda: total(lab.results("mesh=lab"), "sent") == lab.counter(source, "probes", "sent"))


def dropped_one_way(build, who, port, direction, other):
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_fleet()
        lab.nft("a1", SENT)
        lab.nft(who, DROP.format(port=port, k=7))
        lab.apply(one_way("a1", "a2"))
        wait("drops", lambda: lab.counter(who, "drops") >= 60, 30)
        settle(lab, "a1")
        rows = lab.results("mesh=lab")
        truth = lab.counter(who, "drops")
        sent, received = total(rows, "sent"), total(rows, "received")
        expect(sent == received + truth, f"sent {sent} != received {received} + dropped {truth}")
        unknown = total(rows, "lost_unknown")
        expect(total(rows, f"lost_{other}") == 0, f"{total(rows, f'lost_{other}')} losses in the wrong direction")
        # Nothing answers after the last probe, so only a loss at the very end may stay unknown.
        expect(unknown <= 1 and total(rows, f"lost_{direction}") == truth - unknown,
               f"{direction} {total(rows, f'lost_{direction}')} + unknown {unknown} != dropped {truth}")


def test_forward_loss_is_exact(build):
    dropped_one_way(build, "a2", "dport", "forward", "backward")


def test_backward_loss_is_exact(build):
    dropped_one_way(build, "a1", "sport", "backward", "forward")


def test_total_loss_is_not_silence(build):
    with Lab(build, ["a1", "a2"]) as lab:
        lab.start_fleet()
        lab.nft("a2", DROP.format(port="dport", k=1))
        lab.apply(one_way("a1", "a2"))
        row = wait("a summary with all lost", lambda: next(
            (r for r in lab.results("mesh=lab") if r["status"] == "all_lost" and r["sent"] >= 50), None))
        expect(row["received"] == 0 and row["loss_ratio"] == 1 and row["delay_roundtrip_p50_seconds"] is None, str(row))
        page = lab.http("/metrics")[1]
        expect('twamp_pair_status{mesh="lab",class="c",source="a1",target="a2",status="all_lost"} 1' in page, "no all_lost in metrics")
        expect("twamp_delay_quantile_seconds{" not in page, "delays are shown though nothing came back")
