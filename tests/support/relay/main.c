/* tests/support/relay/main.c - a switch in user space that delays, loses, copies and reorders packets by
 * rules (rules.h), and records exactly what it did to each (record.h). For tests: what twampmesh measures
 * must equal it.
 *
 * usage: relay --rules FILE [--record FILE] [--rows N] [--spin DURATION] [--realtime] NAME=INTERFACE...
 *
 * Prints "ready" when it forwards. SIGHUP: reads the rules again and begins to number anew. SIGTERM: writes
 * the record, prints what it counted, and ends; with exit code 1 if the record is not complete. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include "common/net/now.h"
#include "common/timerq.h"
#include "tests/support/relay/port.h"
#include "tests/support/relay/record.h"

enum { PORTS_MAX = 64, MACS_MAX = 256, ASKED_MAX = 1 << 16 };

/* A packet on its way. */
struct job {
    struct timerq_entry due;
    struct packet pkt;
    unsigned to;
    size_t row; /* in the record; SIZE_MAX: none */
    uint8_t data[];
};

struct relay {
    const char *rules_file, *record_file;
    int64_t spin_ns;
    size_t rows;
    bool realtime;

    struct rules *rules;
    struct records records;
    struct timerq queue; /* by the wall clock, by which arrivals are timed: nobody steps it during a test */
    struct port ports[PORTS_MAX];
    const char *names[PORTS_MAX];
    unsigned ports_n;
    size_t *asked[PORTS_MAX]; /* by number of the send time modulo ASKED_MAX: row + 1, 0 = of no interest */
    struct {
        uint8_t mac[FRAME_MAC];
        unsigned port;
    } macs[MACS_MAX];
    unsigned macs_n;
    uint64_t passed, failed, drops;
};

static volatile sig_atomic_t stopping, reloading;

static void on_signal(int sig)
{
    if (sig == SIGHUP)
        reloading = 1;
    else
        stopping = 1;
}

/* ---- where to ---- */

static unsigned mac_find(const struct relay *r, const uint8_t *mac)
{
    unsigned i = 0;

    while (i < r->macs_n && memcmp(r->macs[i].mac, mac, FRAME_MAC) != 0)
        i++;
    return i;
}

static void learn(struct relay *r, const uint8_t *mac, unsigned port)
{
    unsigned i = mac_find(r, mac);

    if (i == MACS_MAX || mac[0] & 1)
        return;
    if (i == r->macs_n)
        memcpy(r->macs[r->macs_n++].mac, mac, FRAME_MAC);
    r->macs[i].port = port;
}

/* ---- departure ---- */

static void depart(struct relay *r, struct job *j)
{
    struct record none, *row = j->row == SIZE_MAX ? &none : &r->records.rows[j->row];
    struct port *p = &r->ports[j->to];
    struct tw_wall now = tw_wall_now();
    uint32_t id;

    if (port_send(p, &j->pkt, &id)) {
        r->failed++;
        row->fate = FATE_FAILED;
    } else {
        row->departure_ns = now.ns; /* until the kernel says it better */
        row->source = DEPARTURE_USER;
        r->asked[j->to][id % ASKED_MAX] = j->row == SIZE_MAX ? 0 : j->row + 1;
    }
    free(j);
}

static void take_send_times(struct relay *r, unsigned port)
{
    struct tw_wall t;
    uint32_t id;

    while (port_sent_at(&r->ports[port], &id, &t)) {
        size_t *slot = &r->asked[port][id % ASKED_MAX];
        if (*slot && t.ns) {
            r->records.rows[*slot - 1].departure_ns = t.ns;
            r->records.rows[*slot - 1].source = DEPARTURE_KERNEL;
        }
        *slot = 0;
    }
}

/* ---- arrival ---- */

static bool queue_packet(struct relay *r, const struct packet *pkt, unsigned to, size_t row, int64_t due_ns)
{
    struct job *j = malloc(sizeof *j + pkt->len);

    if (!j || timerq_reserve(&r->queue, r->queue.len + 1)) {
        free(j);
        return false;
    }
    j->due = (struct timerq_entry){ 0 };
    j->pkt = *pkt;
    j->pkt.data = j->data;
    memcpy(j->data, pkt->data, pkt->len);
    j->to = to;
    j->row = row;
    if (timerq_set(&r->queue, &j->due, (struct tw_mono){ due_ns })) {
        free(j);
        return false;
    }
    return true;
}

/* Records one copy of a packet, and queues it unless it is lost. */
static void schedule(struct relay *r, const struct packet *pkt, unsigned to, struct record *row,
                     int64_t delay_ns)
{
    size_t at;

    row->due_ns = pkt->arrival.ns + delay_ns;
    at = records_add(&r->records, row);
    if (row->fate != FATE_SENT && row->fate != FATE_COPY)
        return;
    if (!queue_packet(r, pkt, to, at, row->due_ns))
        r->failed++;
}

static void forward(struct relay *r, const struct packet *pkt, unsigned from, unsigned to)
{
    struct verdict v;
    struct packet moved = *pkt;
    struct frame f;
    struct record row;
    int64_t shift;

    frame_parse(pkt->data, pkt->len, &f);
    rules_decide(r->rules, from, to, &f, pkt->arrival, &v);
    shift = rules_clock_shift(r->rules, from, to, &f);
    row = (struct record){ .number = v.number,
                           .arrival_ns = pkt->arrival.ns,
                           .rule = (uint8_t)v.rule,
                           .from = (uint8_t)from,
                           .to = (uint8_t)to,
                           .fate = (uint8_t)v.fate,
                           .size = (uint32_t)f.payload_len,
                           .sport = f.sport,
                           .dport = f.dport };
    if (f.udp) {
        row.ip_len = f.ip_len;
        memcpy(row.src, f.src, f.ip_len);
        memcpy(row.dst, f.dst, f.ip_len);
        row.seq = frame_word(&f, 0);
        row.seq24 = frame_word(&f, 24);
    }
    frame_shift_times(&f, shift, pkt->offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM);
    if (!v.rule) {
        r->passed++;
        r->failed += !queue_packet(r, &moved, to, SIZE_MAX, pkt->arrival.ns);
    } else {
        schedule(r, &moved, to, &row, v.delay_ns);
        row.fate = FATE_COPY;
        if (v.copy)
            schedule(r, &moved, to, &row, v.copy_delay_ns);
    }
    frame_shift_times(&f, -shift, pkt->offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM); /* for the next port */
}

static bool receive(struct relay *r, unsigned from)
{
    struct packet pkts[PORT_BATCH];
    unsigned n = port_receive(&r->ports[from], pkts);
    struct tw_wall now = tw_wall_now();

    for (unsigned i = 0; i < n; i++) {
        unsigned known;
        if (pkts[i].len < 2 * FRAME_MAC)
            continue;
        if (!pkts[i].arrival.ns)
            pkts[i].arrival = now;
        learn(r, pkts[i].data + FRAME_MAC, from);
        known = mac_find(r, pkts[i].data);
        for (unsigned to = 0; to < r->ports_n; to++)
            if (to != from && (known == r->macs_n || r->macs[known].port == to))
                forward(r, &pkts[i], from, to);
    }
    return n == PORT_BATCH;
}

/* ---- the loop ---- */

/* Sleeps until a packet comes or the next departure is near, and leaves the rest to the caller, who comes
 * again. */
static void wait_for_work(struct relay *r, struct pollfd *polls, const sigset_t *mask)
{
    struct tw_mono due = timerq_next_due(&r->queue);
    int64_t left = due.ns == INT64_MAX ? TW_NS_PER_S : due.ns - tw_wall_now().ns - r->spin_ns;
    struct timespec t = { 0 };

    if (left > 0) {
        t.tv_sec = left / TW_NS_PER_S;
        t.tv_nsec = left % TW_NS_PER_S;
    }
    if (ppoll(polls, r->ports_n, &t, mask) <= 0)
        for (unsigned i = 0; i < r->ports_n; i++)
            polls[i].revents = 0;
}

static void reload(struct relay *r)
{
    struct tw_err err = { 0 };
    struct rules *fresh;
    char text[512];

    reloading = 0;
    if (rules_load(r->rules_file, r->names, r->ports_n, &fresh, &err)) {
        fprintf(stderr, "relay: %s; the rules stay as they were\n", tw_err_format(&err, text, sizeof text));
        return;
    }
    rules_free(r->rules);
    r->rules = fresh;
    puts("reloaded");
}

static void run(struct relay *r)
{
    struct pollfd polls[PORTS_MAX];
    struct timerq_entry *e;
    sigset_t mask;

    sigprocmask(SIG_SETMASK, NULL, &mask);
    sigdelset(&mask, SIGTERM);
    sigdelset(&mask, SIGINT);
    sigdelset(&mask, SIGHUP);
    for (unsigned i = 0; i < r->ports_n; i++)
        polls[i] = (struct pollfd){ .fd = r->ports[i].fd, .events = POLLIN };
    while (!stopping) {
        wait_for_work(r, polls, &mask);
        if (reloading)
            reload(r);
        for (unsigned i = 0; i < r->ports_n; i++)
            if (polls[i].revents & POLLIN)
                receive(r, i);
        while ((e = timerq_pop(&r->queue, (struct tw_mono){ tw_wall_now().ns })))
            depart(r, (struct job *)((char *)e - offsetof(struct job, due)));
        for (unsigned i = 0; i < r->ports_n; i++)
            if (polls[i].revents & POLLERR)
                take_send_times(r, i);
    }
}

/* ---- life ---- */

static enum tw_rc set_up(struct relay *r, char **specs, unsigned n, struct tw_err *err)
{
    enum tw_rc rc;

    for (unsigned i = 0; i < n; i++) {
        if ((rc = port_open(specs[i], &r->ports[i], err)))
            return rc;
        r->names[i] = r->ports[i].name;
        r->ports_n++;
        r->asked[i] = calloc(ASKED_MAX, sizeof *r->asked[i]);
        if (!r->asked[i])
            return tw_err_set(err, TW_ENOMEM, "out of memory");
    }
    if ((rc = rules_load(r->rules_file, r->names, r->ports_n, &r->rules, err)))
        return rc;
    timerq_init(&r->queue);
    if (records_init(&r->records, r->rows))
        return tw_err_set(err, TW_ENOMEM, "no memory for %zu rows", r->rows);
    return TW_OK;
}

static void tear_down(struct relay *r)
{
    struct timerq_entry *e;

    while ((e = timerq_pop(&r->queue, TW_MONO_NEVER))) {
        struct job *j = (struct job *)((char *)e - offsetof(struct job, due));
        if (j->row != SIZE_MAX)
            r->records.rows[j->row].fate = FATE_HELD;
        free(j);
    }
    timerq_free(&r->queue);
    for (unsigned i = 0; i < r->ports_n; i++) {
        take_send_times(r, i);
        r->drops += port_drops(&r->ports[i]);
        free(r->asked[i]);
        port_close(&r->ports[i]);
    }
    rules_free(r->rules);
}

/* Neither page faults nor lazy timers, and, if wished for, before everybody else. */
static void be_punctual(const struct relay *r)
{
    struct sched_param first = { .sched_priority = 1 };

    mlockall(MCL_CURRENT | MCL_FUTURE);
    prctl(PR_SET_TIMERSLACK, 1);
    if (r->realtime && sched_setscheduler(0, SCHED_FIFO, &first))
        fprintf(stderr, "relay: no real-time priority: %s\n", strerror(errno));
}

static void catch_signals(void)
{
    struct sigaction act = { .sa_handler = on_signal };
    sigset_t mask;

    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGHUP);
    sigprocmask(SIG_BLOCK, &mask, NULL); /* but while waiting */
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGHUP, &act, NULL);
}

static bool options(struct relay *r, int argc, char **argv)
{
    static const struct option known[] = {
        { "rules", required_argument, NULL, 'r' }, { "record", required_argument, NULL, 'o' },
        { "rows", required_argument, NULL, 'n' },  { "spin", required_argument, NULL, 's' },
        { "realtime", no_argument, NULL, 'R' },    { 0 },
    };
    int c;

    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (c == 'r')
            r->rules_file = optarg;
        else if (c == 'o')
            r->record_file = optarg;
        else if (c == 'n' && strtoull(optarg, NULL, 10) > 0)
            r->rows = strtoull(optarg, NULL, 10);
        else if (c == 'R')
            r->realtime = true;
        else if (c != 's' || tw_duration_parse(optarg, &r->spin_ns))
            return false;
    }
    return r->rules_file && argc - optind >= 2 && argc - optind <= PORTS_MAX;
}

int main(int argc, char **argv)
{
    static struct relay r = { .spin_ns = 60 * TW_NS_PER_US, .rows = 250000 };
    struct tw_err err = { 0 };
    char text[512];
    enum tw_rc rc;

    if (!options(&r, argc, argv)) {
        fputs("usage: relay --rules FILE [--record FILE] [--rows N] [--spin DURATION] [--realtime] "
              "NAME=INTERFACE...\n",
              stderr);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    catch_signals();
    rc = set_up(&r, argv + optind, (unsigned)(argc - optind), &err);
    if (rc == TW_OK) {
        be_punctual(&r);
        puts("ready");
        run(&r);
    }
    tear_down(&r);
    if (rc == TW_OK && r.record_file)
        rc = records_write(&r.records, r.record_file, r.names, &err);
    if (rc)
        fprintf(stderr, "relay: %s\n", tw_err_format(&err, text, sizeof text));
    printf("recorded %zu, passed on %" PRIu64 ", failed %" PRIu64 ", came too fast %" PRIu64
           ", no room to record %" PRIu64 "\n",
           r.records.n, r.passed, r.failed, r.drops, r.records.missed);
    records_free(&r.records);
    return rc || r.failed || r.drops || r.records.missed;
}
