/* tests/sim/sim_ctl.c - a real Control-Client and a real Server on a virtual clock and a TCP connection that
 * cuts, delays and breaks, in every mode and with every feature: what both ends believe must agree.
 *
 *   sim_ctl [--seed N] [--seeds N] [--verbose]
 *
 * Without --seed the seeds 1..N run; a failure prints the seed that repeats it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/core/twamp_ctl.h"
#include "tests/unit/common/rng.h"

#define MS TW_NS_PER_MS
#define S TW_NS_PER_S
#define PASSPHRASE "correct horse battery"

enum {
    SESSIONS = 6,    /* of a server's connection */
    OPENED_MAX = 64, /* in a run */
    SEGMENTS = 4096,
    STEPS_MAX = 20000,
};

/* ---- One direction of a TCP connection ---- */

struct segment {
    int64_t at;
    size_t len;
    uint8_t data[64];
};
struct pipe {
    struct segment *v;
    size_t head, tail;
    int64_t last;
};

/* ---- A run ---- */

enum fault { NONE, BREAK, WRONG_PASSPHRASE, UNKNOWN_USER, SLOW_HANDSHAKE, LONG_SILENCE, FAULTS };
static const char *const fault_names[FAULTS] = { "none",         "break",          "wrong passphrase",
                                                 "unknown user", "slow handshake", "long silence" };

enum life { OPENING, OPEN, REFUSED, STARTED, STOPPED, DROPPED, ENDED };
struct reflector {
    uint32_t id;
    enum life life;
    struct ctl_session s;
    int64_t answer_at, ends_at;
    enum ctl_accept answer;
    uint16_t port;
};

enum told { UNKNOWN, ASKED, ACCEPTED, DENIED, RUNNING, DONE };
struct asked {
    enum told told;
    struct ctl_session_spec spec;
    struct ctl_session s;
};

struct run {
    uint64_t rng, random; /* of the simulation; of the two ends */
    int64_t now;
    enum fault fault;
    int64_t break_at;
    bool broken;
    struct ctl_server *server;
    struct ctl_client *client;
    struct pipe up, down; /* to the server, to the client */
    bool server_closed, client_closed, fin_up, fin_down;
    enum ctl_why why;
    char client_text[256];

    struct reflector reflectors[OPENED_MAX];
    size_t n_reflectors;
    struct asked asked[OPENED_MAX];
    size_t n_asked;
    unsigned rounds;         /* left */
    int64_t act_at;          /* when the application does its next thing; INT64_MAX = it waits */
    bool ready, start_given; /* of this round */
    size_t round_from;       /* sessions of this round begin here in asked[] */
    bool failed;
    uint64_t seed;
};

static void fail(struct run *r, const char *text)
{
    if (!r->failed)
        printf("FAILED: seed %" PRIu64 " (%s): %s\n", r->seed, fault_names[r->fault], text);
    r->failed = true;
}
#define MUST(r, cond)         \
    do {                      \
        if (!(cond))          \
            fail((r), #cond); \
    } while (0)

static uint64_t below(struct run *r, uint64_t n)
{
    return rng_below(&r->rng, n);
}

static void draw(void *ctx, uint8_t *buf, size_t n)
{
    struct run *r = ctx;

    for (size_t i = 0; i < n; i++)
        buf[i] = (uint8_t)rng_next(&r->random);
}

static size_t secret_of(void *ctx, const char *key_id, unsigned which, uint8_t *ret, size_t cap)
{
    (void)ctx;
    if (strcmp(key_id, "alice") || which || cap < strlen(PASSPHRASE))
        return 0;
    memcpy(ret, PASSPHRASE, strlen(PASSPHRASE));
    return strlen(PASSPHRASE);
}

static struct tw_now now_of(const struct run *r)
{
    return (struct tw_now){ { r->now }, { INT64_C(1795424486) * S + r->now } };
}

static void pipe_send(struct run *r, struct pipe *p, const uint8_t *data, size_t len, int64_t delay)
{
    while (len) {
        struct segment *g = &p->v[p->tail++ % SEGMENTS];
        g->len = 1 + below(r, below(r, 4) ? sizeof g->data : 3);
        g->len = g->len < len ? g->len : len;
        g->at = r->now + delay + (int64_t)below(r, 20 * MS);
        g->at = p->last = g->at > p->last ? g->at : p->last;
        memcpy(g->data, data, g->len);
        data += g->len;
        len -= g->len;
        MUST(r, p->tail - p->head < SEGMENTS);
    }
}

/* ---- The server's shell ---- */

static struct reflector *reflector_of(struct run *r, uint32_t id)
{
    for (size_t i = 0; i < r->n_reflectors; i++)
        if (r->reflectors[i].id == id)
            return &r->reflectors[i];
    fail(r, "the server names a session that was never opened");
    return &r->reflectors[0];
}

static void open_reflector(struct run *r, const struct ctl_server_out *o)
{
    struct reflector *f = &r->reflectors[r->n_reflectors++];

    MUST(r, r->n_reflectors < OPENED_MAX);
    *f = (struct reflector){ .id = o->id, .life = OPENING, .s = *o->session, .ends_at = INT64_MAX };
    f->answer_at = r->now + (int64_t)below(r, below(r, 3) ? 1 : 100 * MS);
    f->answer = below(r, 12) ? CTL_OK : CTL_NO_RESOURCES;
    f->port = below(r, 2) && f->s.spec.receiver.port ? f->s.spec.receiver.port : (uint16_t)(20000 + o->id);
}

static void live(struct run *r, uint32_t id, enum life from, enum life from2, enum life to)
{
    struct reflector *f = reflector_of(r, id);

    MUST(r, f->life == from || f->life == from2);
    f->life = to;
    if (to == STARTED)
        f->ends_at = below(r, 30) ? INT64_MAX : r->now + (int64_t)below(r, 5 * S); /* REFWAIT */
    if (to == STOPPED)
        f->ends_at = r->now + f->s.spec.timeout_ns;
}

static void server_outputs(struct run *r)
{
    struct ctl_server_out o;

    while (ctl_server_next(r->server, &o) == TW_OK) {
        MUST(r, !r->server_closed);
        if (o.what == CTL_SEND)
            pipe_send(r, &r->down, o.data, o.len, 0);
        else if (o.what == CTL_OPEN)
            open_reflector(r, &o);
        else if (o.what == CTL_START)
            live(r, o.id, OPEN, OPEN, STARTED);
        else if (o.what == CTL_STOP)
            live(r, o.id, STARTED, STARTED, STOPPED);
        else if (o.what == CTL_DROP)
            live(r, o.id, OPEN, STARTED, DROPPED);
        else if (o.what == CTL_CLOSE) {
            r->server_closed = r->fin_down = true;
            r->why = o.why;
        }
    }
}

static void answer_open(struct run *r, struct reflector *f)
{
    bool taken = ctl_server_opened(r->server, now_of(r), f->id, f->answer, f->port);

    MUST(r, taken || r->server_closed);
    f->life = !taken ? DROPPED : f->answer ? REFUSED : OPEN;
    server_outputs(r);
}

static void reflector_events(struct run *r)
{
    for (size_t i = 0; i < r->n_reflectors; i++) {
        struct reflector *f = &r->reflectors[i];
        if (f->life == OPENING && f->answer_at <= r->now)
            answer_open(r, f);
        if ((f->life == STARTED || f->life == STOPPED) && f->ends_at <= r->now) {
            f->life = ENDED;
            ctl_server_ended(r->server, now_of(r), f->id);
            server_outputs(r);
        }
    }
}

/* ---- The client's application ---- */

static bool is_individual(const struct run *r)
{
    return ctl_client_mode(r->client) & TWAMP_INDIVIDUAL;
}

static void ask(struct run *r)
{
    uint32_t mode = ctl_client_mode(r->client);
    struct asked *a = &r->asked[r->n_asked];

    *a = (struct asked){ .told = ASKED };
    a->spec = (struct ctl_session_spec){
        .sender = { .port = (uint16_t)(10000 + r->n_asked) },
        .receiver = { .port = (uint16_t)below(r, 3) ? (uint16_t)(30000 + r->n_asked) : 0 },
        .padding_bytes = (uint32_t)(200 + below(r, 1000)),
        .start_ntp = below(r, 2) ? rng_next(&r->rng) : 0,
        .timeout_ns = (int64_t)below(r, 3000) * MS,
        .dscp = (uint8_t)below(r, 64),
    };
    if (mode & TWAMP_REFLECT) {
        a->spec.reflect_octets = (uint16_t)rng_next(&r->rng);
        a->spec.reflect_bytes = (uint16_t)below(r, 100);
    }
    MUST(r, ctl_client_request(r->client, now_of(r), (uint32_t)r->n_asked, &a->spec) == TW_OK);
    r->n_asked++;
}

static bool all_told(const struct run *r)
{
    for (size_t i = r->round_from; i < r->n_asked; i++)
        if (r->asked[i].told == ASKED)
            return false;
    return true;
}

static size_t count_told(const struct run *r, enum told told)
{
    size_t n = 0;

    for (size_t i = r->round_from; i < r->n_asked; i++)
        n += r->asked[i].told == told;
    return n;
}

static void give_start(struct run *r)
{
    uint32_t some[OPENED_MAX];
    size_t n = 0;

    for (size_t i = r->round_from; is_individual(r) && i < r->n_asked; i++)
        if (below(r, 2))
            some[n++] = (uint32_t)i;
    MUST(r, ctl_client_start(r->client, now_of(r), some, n) == TW_OK);
    r->start_given = true;
}

static void new_round(struct run *r)
{
    r->rounds--;
    r->round_from = r->n_asked;
    r->start_given = false;
    for (uint64_t n = 1 + below(r, 4); n; n--)
        ask(r);
    if (below(r, 2))
        give_start(r); /* behind the requests in the queue */
    r->act_at = r->start_given ? INT64_MAX : r->now + (int64_t)below(r, 100 * MS);
}

/* Whatever is left of the round ends: with RFC 5938 some one by one, at last all. */
static void give_stop(struct run *r)
{
    uint32_t one = (uint32_t)(r->round_from + below(r, r->n_asked - r->round_from));
    size_t n = is_individual(r) && below(r, 3) == 0;

    MUST(r, ctl_client_stop(r->client, now_of(r), &one, n) == TW_OK);
    r->act_at = INT64_MAX; /* CTLC_STOPPED brings us back */
}

static void act(struct run *r)
{
    r->act_at = INT64_MAX;
    if (r->client_closed || !r->ready)
        return;
    if (!r->start_given && r->round_from < r->n_asked) {
        if (all_told(r))
            give_start(r);
        else
            r->act_at = r->now + 50 * MS;
    } else if (count_told(r, RUNNING)) {
        give_stop(r);
    } else if (r->rounds) {
        new_round(r);
    } else {
        r->fin_up = r->client_closed = true; /* as twping does */
    }
}

static int64_t pause(struct run *r)
{
    if (r->fault == LONG_SILENCE && !r->rounds && !below(r, 2))
        return r->now + 40 * S;
    return r->now + (int64_t)below(r, 3 * S);
}

static void note_accepted(struct run *r, const struct ctl_client_out *o)
{
    MUST(r, r->asked[o->id].told == ASKED);
    r->asked[o->id].told = ACCEPTED;
    r->asked[o->id].s = *o->session;
}

static void note_refused(struct run *r, uint32_t id)
{
    if (id != CTL_ALL && r->asked[id].told == ASKED)
        r->asked[id].told = DENIED;
    else
        r->act_at = pause(r);
}

static void note_started(struct run *r, uint32_t id)
{
    for (size_t i = r->round_from; i < r->n_asked; i++)
        if ((id == CTL_ALL || id == i) && r->asked[i].told == ACCEPTED)
            r->asked[i].told = RUNNING;
    r->act_at = pause(r);
}

static void note_stopped(struct run *r, uint32_t id)
{
    for (size_t i = r->round_from; i < r->n_asked; i++)
        if ((id == CTL_ALL || id == i) && r->asked[i].told == RUNNING)
            r->asked[i].told = DONE;
    r->act_at = pause(r);
}

static void client_outputs(struct run *r)
{
    int64_t delay = r->fault == SLOW_HANDSHAKE ? 11 * S : 0;
    struct ctl_client_out o;

    while (ctl_client_next(r->client, &o) == TW_OK) {
        if (o.what == CTLC_SEND)
            pipe_send(r, &r->up, o.data, o.len, delay);
        else if (o.what == CTLC_READY)
            r->ready = true;
        else if (o.what == CTLC_ACCEPTED)
            note_accepted(r, &o);
        else if (o.what == CTLC_REFUSED)
            note_refused(r, o.id);
        else if (o.what == CTLC_STARTED)
            note_started(r, o.id);
        else if (o.what == CTLC_STOPPED)
            note_stopped(r, o.id);
        else if (o.what == CTLC_CLOSE) {
            MUST(r, !r->client_closed);
            r->client_closed = r->fin_up = true;
            snprintf(r->client_text, sizeof r->client_text, "%s", o.text);
        }
        if (o.what == CTLC_READY)
            r->act_at = r->now;
    }
}

/* ---- Time ---- */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static const struct segment *head_of(const struct pipe *p)
{
    return p->head == p->tail ? NULL : &p->v[p->head % SEGMENTS];
}

static int64_t next_event(struct run *r)
{
    int64_t t = earlier(r->break_at, r->act_at);
    const struct segment *up = head_of(&r->up), *down = head_of(&r->down);

    if (up && (r->server_closed || ctl_server_room(r->server) >= up->len))
        t = earlier(t, up->at);
    if (down)
        t = earlier(t, down->at);
    if (!r->server_closed)
        t = earlier(t, ctl_server_next_due(r->server).ns);
    if (!r->client_closed)
        t = earlier(t, ctl_client_next_due(r->client).ns);
    for (size_t i = 0; i < r->n_reflectors; i++) {
        const struct reflector *f = &r->reflectors[i];
        if (f->life == OPENING)
            t = earlier(t, f->answer_at);
        if (f->life == STARTED || f->life == STOPPED)
            t = earlier(t, f->ends_at);
    }
    return t;
}

static void deliver(struct run *r)
{
    const struct segment *g;

    while ((g = head_of(&r->up)) && g->at <= r->now) {
        if (!r->server_closed && ctl_server_room(r->server) < g->len)
            break;
        if (!r->server_closed) {
            ctl_server_on_bytes(r->server, now_of(r), g->data, g->len);
            server_outputs(r);
        }
        r->up.head++;
    }
    while ((g = head_of(&r->down)) && g->at <= r->now) {
        if (!r->client_closed) {
            ctl_client_on_bytes(r->client, now_of(r), g->data, g->len);
            client_outputs(r);
        }
        r->down.head++;
    }
}

/* The ends of the connection become known when everything before them has been read. */
static void ends(struct run *r)
{
    bool opening = false;

    for (size_t i = 0; i < r->n_reflectors; i++)
        opening |= r->reflectors[i].life == OPENING;
    if (r->fin_up && !head_of(&r->up) && !r->server_closed && (!opening || below(r, 2))) {
        ctl_server_on_close(r->server, now_of(r));
        server_outputs(r);
        MUST(r, r->server_closed);
    }
    if (r->fin_down && !head_of(&r->down) && !r->client_closed) {
        ctl_client_on_close(r->client, now_of(r));
        client_outputs(r);
        MUST(r, r->client_closed);
    }
}

static void break_connection(struct run *r)
{
    r->broken = r->fin_up = r->fin_down = true;
    r->break_at = INT64_MAX;
    r->up.head = r->up.tail;
    r->down.head = r->down.tail;
}

static void step(struct run *r)
{
    r->now = earlier(next_event(r), r->now + 3600 * S);
    if (r->break_at <= r->now)
        break_connection(r);
    deliver(r);
    if (!r->server_closed) {
        ctl_server_on_time(r->server, now_of(r));
        server_outputs(r);
        MUST(r, ctl_server_next_due(r->server).ns > r->now);
    }
    if (!r->client_closed) {
        ctl_client_on_time(r->client, now_of(r));
        client_outputs(r);
        MUST(r, r->client_closed || ctl_client_next_due(r->client).ns > r->now);
    }
    reflector_events(r);
    if (r->act_at <= r->now) {
        act(r);
        client_outputs(r);
    }
    ends(r);
}

/* ---- A whole run ---- */

static struct tw_addr address(const char *text)
{
    struct tw_addr a = { .family = 0 };

    tw_addr_parse(text, 0, &a);
    return a;
}

static const uint32_t security[] = { TWAMP_OPEN, TWAMP_AUTHENTICATED, TWAMP_ENCRYPTED, TWAMP_MIXED };

/* Mode and features go round with the seed, so that every combination is met. */
static uint32_t mode_of_seed(uint64_t seed)
{
    static const uint32_t features[] = { TWAMP_INDIVIDUAL, TWAMP_REFLECT, TWAMP_SYMMETRICAL, TWAMP_DSCP_ECN,
                                         TWAMP_PTP };
    uint32_t mode = security[seed % 4];

    for (size_t i = 0; i < TW_NELEM(features); i++)
        if (seed / 4 >> i & 1)
            mode |= features[i];
    return mode;
}

static void make_ends(struct run *r, uint32_t mode)
{
    bool v6 = below(r, 2);
    struct tw_addr s = address(v6 ? "[2001:db8::1]:862" : "192.0.2.1:862"),
                   c = address(v6 ? "[2001:db8::9]:40000" : "192.0.2.9:40000");
    const char *passphrase = r->fault == WRONG_PASSPHRASE ? "wrong" : PASSPHRASE;
    struct ctl_server_cfg server = { .modes = mode | security[below(r, 4)],
                                     .count = 1024,
                                     .start_time_ntp = 77,
                                     .servwait_ns = 20 * S,
                                     .handshake_ns = 10 * S,
                                     .max_timeout_ns = 2 * S,
                                     .max_sessions = SESSIONS,
                                     .max_padding_bytes = 9000,
                                     .local = s,
                                     .peer = c,
                                     .secret = secret_of,
                                     .random = draw,
                                     .ctx = r };
    struct ctl_client_cfg client = { .modes = mode & TWAMP_SECURITY,
                                     .features = mode & TWAMP_FEATURES,
                                     .key_id = r->fault == UNKNOWN_USER ? "mallory" : "alice",
                                     .passphrase = (const uint8_t *)passphrase,
                                     .passphrase_len = strlen(passphrase),
                                     .answer_ns = 30 * S,
                                     .local = c,
                                     .peer = s,
                                     .random = draw,
                                     .ctx = r };

    MUST(r, ctl_server_new(&server, now_of(r), &r->server) == TW_OK);
    MUST(r, ctl_client_new(&client, now_of(r), &r->client) == TW_OK);
}

static bool is_same_session(const struct ctl_session *a, const struct reflector *f)
{
    const struct ctl_session *b = &f->s;

    return !memcmp(a->sid, b->sid, CTL_SID) && a->mode == b->mode &&
           !memcmp(&a->keys, &b->keys, sizeof a->keys) && a->server_octets == b->server_octets &&
           !memcmp(a->spec.sender.ip, b->spec.sender.ip, 16) &&
           !memcmp(a->spec.receiver.ip, b->spec.receiver.ip, 16) &&
           a->spec.sender.port == b->spec.sender.port && a->spec.receiver.port == f->port &&
           a->spec.padding_bytes == b->spec.padding_bytes && a->spec.dscp == b->spec.dscp &&
           a->spec.start_ntp == b->spec.start_ntp && a->spec.reflect_octets == b->spec.reflect_octets &&
           a->spec.reflect_bytes == b->spec.reflect_bytes &&
           b->spec.timeout_ns == (a->spec.timeout_ns < 2 * S ? a->spec.timeout_ns : 2 * S);
}

static const struct reflector *partner(const struct run *r, const struct ctl_session *s)
{
    for (size_t i = 0; i < r->n_reflectors; i++)
        if (!memcmp(r->reflectors[i].s.sid, s->sid, CTL_SID))
            return &r->reflectors[i];
    return NULL;
}

/* What both ends believe about each session agrees, and nothing is left running. */
static void check_sessions(struct run *r)
{
    for (size_t i = 0; i < r->n_asked; i++) {
        const struct asked *a = &r->asked[i];
        const struct reflector *f = partner(r, &a->s);
        if (a->told < ACCEPTED || a->told == DENIED)
            continue;
        MUST(r, f && is_same_session(&a->s, f));
        if (a->told >= RUNNING && f)
            MUST(r, f->life >= STARTED);
    }
    for (size_t i = 0; i < r->n_reflectors; i++)
        MUST(r, r->reflectors[i].life == REFUSED || r->reflectors[i].life >= DROPPED);
}

static void check_end(struct run *r)
{
    bool login = r->fault == WRONG_PASSPHRASE || r->fault == UNKNOWN_USER;

    if (login && !(ctl_client_mode(r->client) & TWAMP_OPEN)) {
        MUST(r, r->why == CTL_WHY_LOGIN && !r->ready);
        MUST(r, !strcmp(r->client_text, "the server refuses the login: unknown user or wrong passphrase"));
    } else if (r->fault == SLOW_HANDSHAKE) {
        MUST(r, r->why == CTL_WHY_TIMEOUT && !r->ready && !r->n_reflectors);
    } else if (r->fault == NONE) {
        MUST(r, r->why == CTL_WHY_PEER && r->ready && !r->rounds);
        MUST(r, !*r->client_text);
    } else if (r->fault == LONG_SILENCE) {
        MUST(r, r->ready && (r->why == CTL_WHY_PEER || r->why == CTL_WHY_TIMEOUT));
    }
}

struct tally {
    uint64_t sessions, started, by_fault[FAULTS], by_why[CTL_WHYS];
    bool modes[1 << 7];
};

static bool run_one(uint64_t seed, struct tally *t)
{
    struct run *r = calloc(1, sizeof *r);
    uint32_t mode = mode_of_seed(seed);
    unsigned steps = 0;
    bool ok;

    r->seed = seed;
    r->rng = seed;
    r->random = ~seed;
    r->up.v = calloc(SEGMENTS, sizeof *r->up.v);
    r->down.v = calloc(SEGMENTS, sizeof *r->down.v);
    r->fault = below(r, 2) ? NONE : (enum fault)below(r, FAULTS);
    r->break_at = r->fault == BREAK ? (int64_t)below(r, below(r, 2) ? S : 20 * S) : INT64_MAX;
    r->act_at = INT64_MAX;
    r->rounds = 1 + (unsigned)below(r, 3);
    make_ends(r, mode);
    server_outputs(r);
    client_outputs(r);
    while (!r->failed && next_event(r) != INT64_MAX && steps++ < STEPS_MAX)
        step(r);
    MUST(r, steps < STEPS_MAX);
    MUST(r, r->server_closed && r->client_closed);
    check_sessions(r);
    check_end(r);
    t->sessions += r->n_reflectors;
    for (size_t i = 0; i < r->n_asked; i++)
        t->started += r->asked[i].told >= RUNNING;
    t->by_fault[r->fault]++;
    t->by_why[r->why]++;
    t->modes[seed % 4 | (seed / 4 & 31) << 2] |= r->ready;
    ok = !r->failed;
    ctl_server_free(r->server);
    ctl_client_free(r->client);
    free(r->up.v);
    free(r->down.v);
    free(r);
    return ok;
}

/* A simulation in which nothing happens proves nothing. */
static bool is_tally_plausible(const struct tally *t, uint64_t seeds)
{
    if (seeds < 2000)
        return true;
    for (size_t i = 0; i < FAULTS; i++)
        if (!t->by_fault[i])
            return false;
    for (size_t i = 0; i < TW_NELEM(t->modes); i++)
        if (!t->modes[i])
            return false;
    return t->sessions > seeds && t->started > seeds && t->by_why[CTL_WHY_TIMEOUT] &&
           t->by_why[CTL_WHY_LOGIN];
}

int main(int argc, char **argv)
{
    uint64_t seed = 0, seeds = 4000, bad = 0;
    struct tally t = { 0 };
    bool verbose = false;

    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--verbose"))
            verbose = true;
        else if (i + 1 < argc && !strcmp(argv[i], "--seed"))
            seed = strtoull(argv[++i], NULL, 0);
        else if (i + 1 < argc && !strcmp(argv[i], "--seeds"))
            seeds = strtoull(argv[++i], NULL, 0);
        else {
            fprintf(stderr, "usage: sim_ctl [--seed N] [--seeds N] [--verbose]\n");
            return 2;
        }
    }
    if (seed)
        seeds = 1;
    printf("seeds %" PRIu64 "..%" PRIu64 "\n", seed ? seed : 1, seed ? seed : seeds);
    for (uint64_t k = 0; k < seeds; k++)
        bad += !run_one((seed ? seed : 1) + k, &t);
    if (!is_tally_plausible(&t, seeds)) {
        printf("FAILED: too little happened\n");
        bad++;
    }
    if (verbose) {
        for (size_t i = 0; i < FAULTS; i++)
            printf("fault %-18s %6" PRIu64 "\n", fault_names[i], t.by_fault[i]);
        for (size_t i = 0; i < CTL_WHYS; i++)
            printf("end   %-18s %6" PRIu64 "\n", ctl_why_name((enum ctl_why)i), t.by_why[i]);
        printf("sessions opened %" PRIu64 ", started %" PRIu64 "\n", t.sessions, t.started);
    }
    printf("%" PRIu64 " runs failed\n", bad);
    return bad ? 1 : 0;
}
