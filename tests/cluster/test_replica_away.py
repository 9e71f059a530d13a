"""A controller whose history is on two replicas, while one of them is away: it is ready, goes on, and says so."""
from lab import expect, wait
from meshes import full
from replicas import Replicas
from test_away import Fleet, TWO


def complete(lab, value):
    wait(f"twamp_history_complete to be {value}", lambda: lab.metric("twamp_history_complete") == value, 40)


def is_found(lab):
    return "of 2 replicas in cluster pair 1 are there" in " ".join(lab.ctl_run("doctor")[1:])


def test_is_told(build):
    with Fleet(build, TWO) as lab:
        history = Replicas(lab)
        servers = [history.zookeeper, *history.replicas]
        try:
            history.start()
            lab.start_controller("--history", history.location())
            for a in TWO:
                lab.start_agent(a)
            lab.approve_all()
            lab.apply(full(TWO))
            complete(lab, 1)
            history.replicas[0].kill()
            complete(lab, 0)
            wait("the finding of doctor", lambda: is_found(lab), 20)
            wait("the controller to be ready without it", lab.is_ready, 20)
            inserts = lab.metric("twamp_history_inserts_total")
            wait("results to be stored", lambda: lab.metric("twamp_history_inserts_total") > inserts, 40)
            history.replicas[0].start()
            complete(lab, 1)
            expect(not is_found(lab), "doctor still finds it away")
            wait("it to have everything", lambda: lab.metric("twamp_history_replica_behind_seconds") == 0, 60)
        finally:
            for s in servers:
                s.kill()
