#include "tests/fuzz/fake_controller.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/log.h"
#include "common/net/authority.h"
#include "common/net/now.h"
#include "common/net/rpc_frame.h"
#include "common/net/rpc_hello.h"
#include "controller/admin.h"
#include "fleet.pb-c.h"
#include "measure.pb-c.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/fake_net.h"
#include "tests/fuzz/fake_results.h"

#define DAY_NS (86400 * TW_NS_PER_S)
#define BODY_MAX 65536

enum { ADMIN_PLACE, FLEET_PLACE }; /* in the order in which the controller listens */

#define MESH                                                                                               \
    "mesh: core\ntopology: full\nmembers: [ams, fra]\nclasses: {voice: {size: 200, spacing: 1s, timeout: " \
    "1s, report_period: 10s}}\n"
#define ALERTS                                                                                           \
    "site_label: site\nrules:\n  loss:\n    metric: loss\n    warning: { raise: 1%, clear: 0.5% }\n    " \
    "for: 1m\n"                                                                                          \
    "receivers:\n  hook: { webhook: 'http://127.0.0.1:1/x' }\nroutes:\n  - { receiver: hook }\n"

const char *const fake_words[] = {
    "ams",
    "fra",
    "core",
    "voice",
    "",
    "ams",
    "core",
    "site=ams",
    "fra",
    "lon",
    "*",
    "1h",
    "now",
    "-1h",
    "2026-11-17T12:00:00Z",
    "viewer",
    "operator",
    "admin",
    "backup",
    "check",
    "json",
    "html",
    "p95",
    "loss",
    "rtt",
    "forward",
    "all",
    "1",
    "0",
    "7",
    "7fffffff",
    "tester",
    "because",
    MESH,
    "mesh: m2\ntopology: list\npairs: [{from: ams, to: 192.0.2.9}]\nclasses: {a: {}}\n",
    ALERTS,
    "size",
    "1000",
    "site",
    "192.0.2.1",
    "2001:db8::1",
    "test",
    "hosts",
    "schedule-delta",
    "times",
    "stamp",
    "a.yaml",
    "pending",
    "active",
    "source",
    "target",
    "class",
    "warning",
    "critical",
    "bad\nname",
    "10.0.0.0/8",
    "mesh",
    "sd",
    "name",
    "5m",
    "100ms",
};
const size_t fake_words_n = TW_NELEM(fake_words);

static struct {
    char dir[64];
    struct identity *identity[2];
    uint8_t *db; /* the database as each input finds it */
    size_t db_len;
    struct fake_controller *now;
    enum fake_peer of_conn[FAKE_CONNS];
    uint64_t next_id;
    uint64_t through[FAKE_PEERS];             /* that was acknowledged of each */
    uint64_t generation, pair_id[FAKE_PEERS]; /* of the schedule that each was sent last */
} w;

/* ---- Files ---- */

static void path_of(const char *name, char ret[256])
{
    snprintf(ret, 256, "%s/data%s%s", w.dir, *name ? "/" : "", name);
}

static void remove_below(const char *path, const char *keep)
{
    DIR *d = opendir(path);
    struct dirent *e;

    while (d && (e = readdir(d))) {
        char below[512];

        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || (keep && !strcmp(e->d_name, keep)))
            continue;
        snprintf(below, sizeof below, "%s/%s", path, e->d_name);
        if (e->d_type == DT_DIR) {
            remove_below(below, NULL);
            rmdir(below);
        } else {
            unlink(below);
        }
    }
    if (d)
        closedir(d);
}

static void read_db(void)
{
    char path[256];
    struct stat st;
    int fd;

    path_of("controller.db", path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0 && fstat(fd, &st) == 0);
    w.db_len = (size_t)st.st_size;
    w.db = malloc(w.db_len);
    CHECK(w.db && read(fd, w.db, w.db_len) == st.st_size);
    close(fd);
}

static void write_db(const uint8_t *db, size_t len)
{
    char path[256];
    int fd;

    path_of("", path);
    remove_below(path, "ca");
    path_of("controller.db", path);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && write(fd, db, len) == (ssize_t)len);
    close(fd);
}

/* ---- Connections ---- */

static void take_schedule(enum fake_peer peer, const Tw__Frame *f)
{
    Tw__ScheduleRequest *rq = tw__schedule_request__unpack(NULL, f->body.len, f->body.data);

    CHECK(rq);
    w.generation = rq->generation;
    if (rq->n_sessions)
        w.pair_id[peer] = rq->sessions[0]->pair_id;
    tw__schedule_request__free_unpacked(rq, NULL);
}

static void take_frame(enum fake_peer peer, const Tw__Frame *f)
{
    struct fake_controller *n = w.now;

    if (f->kind == TW__FRAME_KIND__FRAME_REPLY && n && n->on_answer)
        n->on_answer(n->ctx,
                     &(struct fake_answer){ peer, f->id, f->status, f->detail, f->body.data, f->body.len });
    if (f->kind == TW__FRAME_KIND__FRAME_REQUEST && f->method == RPC_FLEET_AGENT * 256)
        take_schedule(peer, f);
    if (f->kind == TW__FRAME_KIND__FRAME_REQUEST && n && n->on_call)
        n->on_call(n->ctx, peer, f->id, f->method);
    if (f->kind == TW__FRAME_KIND__FRAME_ACK)
        w.through[peer] = f->status ? 0 : f->through_seq;
}

static void on_out(struct conn *c, size_t number, const uint8_t *data, size_t len)
{
    struct tw_err err = { 0 };
    struct arena *a;
    size_t n;

    (void)c;
    CHECK(arena_new(4 * RPC_MAX_FRAME, &a) == TW_OK);
    for (; len; data += n, len -= n) {
        Tw__Frame *f = NULL;

        CHECK(rpc_frame_cut(data, len, RPC_MAX_FRAME, &n) == TW_OK);
        CHECK(rpc_frame_unpack(data + RPC_FRAME_HEADER, n - RPC_FRAME_HEADER, a, &f, &err) == TW_OK);
        take_frame(w.of_conn[number], f);
        arena_reset(a);
    }
    arena_free(a);
}

static void on_opened(size_t number, size_t place)
{
    (void)place;
    w.of_conn[number] = FAKE_PEERS; /* whoever connects knows better */
}

static struct conn *conn_of(enum fake_peer peer)
{
    for (size_t i = 0; i < FAKE_CONNS; i++)
        if (w.of_conn[i] == peer && fake_net_conn(i))
            return fake_net_conn(i);
    return NULL;
}

bool fake_controller_is_up(const struct fake_controller *f, enum fake_peer peer)
{
    (void)f;
    return conn_of(peer) != NULL;
}

void fake_controller_cut(struct fake_controller *f, enum fake_peer peer)
{
    struct conn *c = conn_of(peer);

    if (c)
        fake_net_fail(c, TW_EIO);
    fake_loop_run(f->loop);
}

static void feed(struct conn *c, const Tw__Frame *f, const ProtobufCMessage *body)
{
    size_t n = rpc_frame_size(f, body);
    uint8_t *buf = malloc(n);

    CHECK(buf);
    rpc_frame_pack(f, body, buf);
    fake_net_feed(c, buf, n);
    free(buf);
}

static void say_hello(struct conn *c, enum fake_peer peer)
{
    static const struct {
        const char *name;
        Tw__Role role;
    } who[] = { { "tester", TW__ROLE__ROLE_OPERATOR },
                { "ams", TW__ROLE__ROLE_AGENT },
                { "fra", TW__ROLE__ROLE_AGENT },
                { "new", TW__ROLE__ROLE_JOINER } };
    struct hello_id id = { .role = who[peer].role };
    struct hello_server server = { .version = 1 };
    struct hello_channel ch = { .tls = false };
    uint8_t sig[IDENTITY_SIG_LEN];
    Tw__Frame f = TW__FRAME__INIT;
    Tw__ClientHello m;

    snprintf(id.name, sizeof id.name, "%s", who[peer].name);
    snprintf(id.software, sizeof id.software, "fuzz 1");
    memset(server.nonce, 0x5a, sizeof server.nonce);
    memset(id.boot_id, (int)peer, sizeof id.boot_id);
    memset(id.spool_id, (int)peer, sizeof id.spool_id);
    if (id.role == TW__ROLE__ROLE_AGENT)
        identity_public(w.identity[peer - FAKE_AMS], id.public_key);
    CHECK(hello_make_client(&id, id.role == TW__ROLE__ROLE_AGENT ? w.identity[peer - FAKE_AMS] : NULL,
                            &server, &ch, sig, &m) == TW_OK);
    f.kind = TW__FRAME_KIND__FRAME_HELLO;
    feed(c, &f, &m.base);
}

static void find_new(enum fake_peer peer)
{
    for (size_t i = 0; i < FAKE_CONNS; i++)
        if (fake_net_conn(i) && w.of_conn[i] == FAKE_PEERS)
            w.of_conn[i] = peer;
}

void fake_controller_connect(struct fake_controller *f, enum fake_peer peer)
{
    struct conn *c;

    if (conn_of(peer) || !fake_net_connect(peer == FAKE_OPERATOR ? ADMIN_PLACE : FLEET_PLACE, 0))
        return;
    fake_loop_run(f->loop);
    find_new(peer);
    c = conn_of(peer);
    if (!c)
        return;
    say_hello(c, peer);
    fake_loop_run(f->loop);
}

uint64_t fake_controller_call(struct fake_controller *f, enum fake_peer peer, uint32_t method,
                              const uint8_t *body, size_t len)
{
    Tw__Frame frame = TW__FRAME__INIT;
    struct conn *c = conn_of(peer);

    (void)f;
    if (!c)
        return 0;
    w.next_id += 2;
    frame.kind = TW__FRAME_KIND__FRAME_REQUEST;
    frame.id = w.next_id;
    frame.method = method;
    frame.body = (ProtobufCBinaryData){ len, (uint8_t *)body };
    feed(c, &frame, NULL);
    return frame.id;
}

void fake_controller_data(struct fake_controller *f, enum fake_peer peer, const uint8_t *body, size_t len)
{
    Tw__Frame frame = TW__FRAME__INIT;
    struct conn *c = conn_of(peer);

    (void)f;
    frame.kind = TW__FRAME_KIND__FRAME_DATA;
    frame.body = (ProtobufCBinaryData){ len, (uint8_t *)body };
    if (c)
        feed(c, &frame, NULL);
}

void fake_controller_reply(struct fake_controller *f, enum fake_peer peer, uint64_t id, Tw__Status status,
                           const uint8_t *body, size_t len)
{
    Tw__Frame frame = TW__FRAME__INIT;
    struct conn *c = conn_of(peer);
    char detail[] = "said by the agent";

    (void)f;
    frame.kind = TW__FRAME_KIND__FRAME_REPLY;
    frame.id = id;
    frame.status = status;
    if (status)
        frame.detail = detail;
    frame.body = (ProtobufCBinaryData){ len, (uint8_t *)body };
    if (c)
        feed(c, &frame, NULL);
}

/* ---- The controller ---- */

static enum tw_rc try_start(struct fake_controller *f, bool http, struct tw_err *err)
{
    static char data[128], fleet[128], admin[128];
    enum tw_rc rc;
    struct controller_conf conf = { .http = http ? "127.0.0.1:0" : "off",
                                    .auto_approve = true,
                                    .http_events_max = 4,
                                    .max_pair_series = 100,
                                    .native_buckets = 160,
                                    .name = "fuzz",
                                    .keep = { { 30 * DAY_NS, 30 * DAY_NS, 90 * DAY_NS, 730 * DAY_NS,
                                                3650 * DAY_NS } },
                                    .history_days = 30 };

    snprintf(data, sizeof data, "%s/data", w.dir);
    snprintf(fleet, sizeof fleet, "ipc://%s/fleet", w.dir);
    snprintf(admin, sizeof admin, "ipc://%s/admin", w.dir);
    conf.data_dir = data;
    conf.listen = fleet;
    conf.admin_listen = admin;
    conf.loop = f->loop;
    w.now = f;
    w.next_id = 1;
    fake_net_out = on_out;
    fake_net_opened = on_opened;
    fake_net_ipc = ADMIN_PLACE;
    rc = controller_start(&conf, &f->c, err);
    if (rc == TW_OK)
        fake_loop_run(f->loop);
    return rc;
}

static void start(struct fake_controller *f, bool http)
{
    struct tw_err err = { 0 };

    if (try_start(f, http, &err) == TW_OK)
        return;
    fprintf(stderr, "the controller does not start: %s\n", err.text);
    abort();
}

static void stop(struct fake_controller *f)
{
    controller_stop(f->c);
    f->c = NULL;
    CHECK(fake_net_clean());
}

static void pack_call(struct fake_controller *f, enum fake_peer peer, uint32_t method,
                      const ProtobufCMessage *m)
{
    uint8_t body[BODY_MAX];
    size_t len = protobuf_c_message_get_packed_size(m);

    CHECK(len <= sizeof body);
    protobuf_c_message_pack(m, body);
    CHECK(fake_controller_call(f, peer, method, body, len));
    fake_loop_run(f->loop);
}

static void enrol(struct fake_controller *f, enum fake_peer peer, const char *site)
{
    Tw__EnrolRequest rq = TW__ENROL_REQUEST__INIT;
    char address[] = "192.0.2.1", key[] = "site", value[16], test[] = "test", hosts[] = "hosts";
    char *addresses[] = { address }, *capabilities[] = { test, hosts };
    Tw__Label label = TW__LABEL__INIT, *labels[] = { &label };

    address[8] = (char)('0' + peer);
    snprintf(value, sizeof value, "%s", site);
    label.key = key;
    label.value = value;
    rq.labels = labels;
    rq.addresses = addresses;
    rq.capabilities = capabilities;
    rq.n_labels = rq.n_addresses = 1;
    rq.n_capabilities = 2;
    rq.reflector_port = 862;
    pack_call(f, peer, RPC_FLEET_CONTROLLER * 256, &rq.base);
}

static unsigned method_of(const char *name)
{
    const ProtobufCServiceDescriptor *d = &tw__admin__descriptor;

    for (unsigned i = 0; i < d->n_methods; i++)
        if (!strcmp(d->methods[i].name, name))
            return RPC_ADMIN * 256 + i;
    abort();
}

static void apply_documents(struct fake_controller *f)
{
    Tw__ScheduleApplyRequest mesh = TW__SCHEDULE_APPLY_REQUEST__INIT;
    Tw__AlertApplyRequest alerts = TW__ALERT_APPLY_REQUEST__INIT;
    char name[] = "core.yaml", author[] = "tester";

    mesh.file = alerts.file = name;
    mesh.author = alerts.author = author;
    mesh.document = (char *)MESH;
    alerts.document = (char *)ALERTS;
    pack_call(f, FAKE_OPERATOR, method_of("ScheduleApply"), &mesh.base);
    pack_call(f, FAKE_OPERATOR, method_of("AlertApply"), &alerts.base);
    fake_loop_advance(f->loop, 10 * TW_NS_PER_S); /* so that agents have their schedule */
    CHECK(w.generation && w.pair_id[FAKE_AMS] && w.pair_id[FAKE_FRA]);
}

static void send_results(struct fake_controller *f, enum fake_peer peer)
{
    uint8_t body[BODY_MAX];
    size_t len =
        fake_results(w.pair_id[peer], w.generation, (uint8_t)peer, tw_wall_now().ns, body, sizeof body);

    fake_controller_data(f, peer, body, len);
    fake_loop_advance(f->loop, TW_NS_PER_S);
    CHECK(w.through[peer] == FAKE_RESULTS); /* all are stored */
}

static void make_ca(void)
{
    static const char *const hosts[] = { "localhost" };
    char dir[256];
    struct tw_err err = { 0 };

    path_of("", dir);
    mkdir(dir, 0700);
    path_of("ca", dir);
    CHECK(authority_make(&(struct authority_make){ .dir = dir,
                                                   .hosts = hosts,
                                                   .n_hosts = 1,
                                                   .now_ns = FAKE_LOOP_START_NS,
                                                   .ca_life_ns = 3650 * DAY_NS,
                                                   .server_life_ns = 365 * DAY_NS },
                         &err) == TW_OK);
}

static void make_identities(void)
{
    struct tw_err err = { 0 };
    char file[128];

    for (size_t i = 0; i < TW_NELEM(w.identity); i++) {
        snprintf(file, sizeof file, "%s/key%zu", w.dir, i);
        CHECK(identity_load(file, &w.identity[i], &err) == TW_OK);
    }
}

static void connect_all(struct fake_controller *f)
{
    fake_controller_connect(f, FAKE_OPERATOR);
    fake_controller_connect(f, FAKE_AMS);
    fake_controller_connect(f, FAKE_FRA);
    CHECK(conn_of(FAKE_OPERATOR) && conn_of(FAKE_AMS) && conn_of(FAKE_FRA));
    enrol(f, FAKE_AMS, "ams");
    enrol(f, FAKE_FRA, "fra");
}

static void leave_nothing(void)
{
    remove_below(w.dir, NULL);
    rmdir(w.dir);
    for (size_t i = 0; i < TW_NELEM(w.identity); i++)
        identity_free(w.identity[i]);
    free(w.db);
}

/* While all is made that there is to be. */
static void must_be_ok(void *ctx, const struct fake_answer *a)
{
    (void)ctx;
    if (a->status == TW__STATUS__STATUS_OK)
        return;
    fprintf(stderr, "peer %d: %s\n", (int)a->peer, a->detail);
    abort();
}

static void prepare(void)
{
    struct fake_controller f = { .on_answer = must_be_ok };

    log_init("fuzz", LOG_INFO_, LOG_TEXT);
    if (!getenv("TW_FUZZ_LOG")) /* what hostile peers do is logged a lot */
        log_to(open("/dev/null", O_WRONLY | O_CLOEXEC));
    snprintf(w.dir, sizeof w.dir, "%s/tw-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    CHECK(mkdtemp(w.dir));
    atexit(leave_nothing);
    fake_loop_reset_clock();
    make_ca();
    make_identities();
    CHECK(loop_new(&f.loop) == TW_OK);
    start(&f, false);
    connect_all(&f);
    apply_documents(&f);
    send_results(&f, FAKE_AMS);
    send_results(&f, FAKE_FRA);
    for (unsigned n = 0; n < 8; n++) /* roll-ups and alerts */
        fake_loop_advance(f.loop, 15 * TW_NS_PER_S);
    stop(&f);
    loop_free(f.loop);
    read_db();
}

void fake_controller_begin(struct fake_controller *f, bool http)
{
    if (!w.db)
        prepare();
    fake_loop_reset_clock();
    write_db(w.db, w.db_len);
    CHECK(loop_new(&f->loop) == TW_OK);
    start(f, http);
    connect_all(f);
}

uint8_t *fake_controller_db(size_t *ret_len)
{
    uint8_t *copy;

    if (!w.db)
        prepare();
    copy = malloc(w.db_len);
    CHECK(copy);
    *ret_len = w.db_len;
    return memcpy(copy, w.db, w.db_len);
}

const char *fake_controller_db_path(const uint8_t *db, size_t len)
{
    static char path[256];

    write_db(db, len);
    path_of("controller.db", path);
    return path;
}

enum tw_rc fake_controller_begin_on_it(struct fake_controller *f, struct tw_err *err)
{
    enum tw_rc rc;

    fake_loop_reset_clock();
    CHECK(loop_new(&f->loop) == TW_OK);
    rc = try_start(f, false, err);
    if (rc == TW_OK) {
        fake_controller_connect(f, FAKE_OPERATOR);
        return rc;
    }
    CHECK(fake_net_clean());
    fake_loop_run(f->loop);
    CHECK(fake_loop_timers(f->loop) == 0);
    loop_free(f->loop);
    return rc;
}

void fake_controller_end(struct fake_controller *f, bool again)
{
    struct fake_controller next = { .loop = f->loop };

    fake_loop_run(f->loop);
    stop(f);
    if (again) { /* whatever was accepted can be loaded */
        start(&next, false);
        stop(&next);
    }
    CHECK(fake_loop_timers(f->loop) == 0);
    loop_free(f->loop);
    f->loop = NULL;
}
