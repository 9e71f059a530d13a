/* HTTPS: certificates that cannot be used, clients that may not come in, and a certificate that is replaced
 * while they are there. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "common/net/httpd.h"
#include "common/net/now.h"

#define DEADLINE_S 20
#define DAY_S 86400

static char dir[64] = "/tmp/twtlsXXXXXX";

static char *in_dir(char buf[128], const char *name)
{
    snprintf(buf, 128, "%s/%s", dir, name);
    return buf;
}

/* ---- Certificates ---- */

static void write_file(const char *name, const void *data, size_t len)
{
    char path[128];
    int fd = open(in_dir(path, name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0 && write(fd, data, len) == (ssize_t)len);
    close(fd);
}

/* NAME.crt and NAME.key: of itself, for 127.0.0.1, with the serial number, valid from .. to seconds from now.
 */
static void make_cert(const char *name, uint8_t serial, int64_t from_s, int64_t to_s)
{
    time_t now = time(NULL);
    unsigned char ip[] = { 127, 0, 0, 1 };
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t crt;
    gnutls_datum_t out;
    char file[64];

    gnutls_x509_privkey_init(&key);
    gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    gnutls_x509_crt_init(&crt);
    gnutls_x509_crt_set_version(crt, 3);
    gnutls_x509_crt_set_serial(crt, &serial, 1);
    snprintf(file, sizeof file, "CN=%s", name);
    gnutls_x509_crt_set_dn(crt, file, NULL);
    gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, ip, sizeof ip, GNUTLS_FSAN_SET);
    gnutls_x509_crt_set_basic_constraints(crt, 1, -1);
    gnutls_x509_crt_set_key(crt, key);
    gnutls_x509_crt_set_activation_time(crt, now + from_s);
    gnutls_x509_crt_set_expiration_time(crt, now + to_s);
    assert_int_equal(gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0), 0);
    assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &out), 0);
    snprintf(file, sizeof file, "%s.crt", name);
    write_file(file, out.data, out.size);
    gnutls_free(out.data);
    assert_int_equal(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &out), 0);
    snprintf(file, sizeof file, "%s.key", name);
    write_file(file, out.data, out.size);
    gnutls_free(out.data);
    assert_int_equal(gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, "secret",
                                                       GNUTLS_PKCS_PBES2_AES_128, &out),
                     0);
    snprintf(file, sizeof file, "%s.locked", name);
    write_file(file, out.data, out.size);
    gnutls_free(out.data);
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_privkey_deinit(key);
}

static void copy_file(const char *from, const char *to)
{
    char path[128], data[8192];
    int fd = open(in_dir(path, from), O_RDONLY);
    ssize_t n = read(fd, data, sizeof data);

    assert_true(n > 0);
    close(fd);
    write_file(to, data, (size_t)n);
}

/* Makes it the one that the server uses. */
static void use_cert(const char *name)
{
    char file[64];

    snprintf(file, sizeof file, "%s.crt", name);
    copy_file(file, "use.crt");
    snprintf(file, sizeof file, "%s.key", name);
    copy_file(file, "use.key");
}

/* ---- The server ---- */

struct rig {
    struct loop *loop;
    struct httpd *httpd;
    pthread_t thread;
    struct http_stream *stream;
    struct loop_task reload, look;
    _Atomic bool reloaded, looked, gone;
    enum tw_rc rc;
    struct tw_err err;
    char cert[128], key[128];
};

static void say_fn(void *ctx, struct http_req *rq)
{
    char *text = NULL;
    int n = asprintf(&text, "%s %s", http_is_secure(rq) ? "secure" : "plain", http_peer(rq));

    (void)ctx;
    http_answer(rq, 200, "text/plain", text, (size_t)n);
}

static void stream_fn(void *ctx, struct http_req *rq)
{
    struct rig *r = ctx;

    http_answer_stream(rq, "text/plain", "first\n", 6, &r->stream);
}

static const struct http_route routes[] = {
    { .path = "/say", .help = "says how it was asked", .fn = say_fn },
    { .path = "/stream", .help = "goes on", .fn = stream_fn },
};

static void on_reload(struct loop_task *t)
{
    struct rig *r = t->ctx;

    r->err = (struct tw_err){ 0 };
    r->rc = httpd_reload(r->httpd, &r->err);
    atomic_store(&r->reloaded, true);
}

static void on_look(struct loop_task *t)
{
    struct rig *r = t->ctx;

    atomic_store(&r->gone, r->stream && http_stream_is_gone(r->stream));
    atomic_store(&r->looked, true);
}

static void *run_loop(void *ctx)
{
    loop_run(((struct rig *)ctx)->loop);
    return NULL;
}

static struct rig *rig_start(bool tls)
{
    struct rig *r = calloc(1, sizeof *r);
    struct httpd_conf c = {
        .address = "127.0.0.1:0", .routes = routes, .n_routes = TW_NELEM(routes), .ctx = r
    };

    assert_int_equal(loop_new(&r->loop), TW_OK);
    c.loop = r->loop;
    if (tls) {
        c.tls_cert = in_dir(r->cert, "use.crt");
        c.tls_key = in_dir(r->key, "use.key");
    }
    if (httpd_start(&c, &r->httpd, &r->err) != TW_OK)
        fail_msg("start: %s", r->err.text);
    r->reload = (struct loop_task){ .fn = on_reload, .ctx = r };
    r->look = (struct loop_task){ .fn = on_look, .ctx = r };
    assert_int_equal(pthread_create(&r->thread, NULL, run_loop, r), 0);
    return r;
}

static void rig_stop(struct rig *r)
{
    loop_stop(r->loop);
    pthread_join(r->thread, NULL);
    httpd_stop(r->httpd);
    if (r->stream)
        http_stream_close(r->stream);
    loop_free(r->loop);
    free(r);
}

static void await(_Atomic bool *flag, const char *what)
{
    int64_t until = tw_mono_now().ns + DEADLINE_S * TW_NS_PER_S;

    while (!atomic_load(flag)) {
        if (tw_mono_now().ns > until)
            fail_msg("waited for %s", what);
        usleep(500);
    }
}

static enum tw_rc reload(struct rig *r)
{
    atomic_store(&r->reloaded, false);
    loop_post(r->loop, &r->reload);
    await(&r->reloaded, "the reload");
    return r->rc;
}

/* ---- A client ---- */

struct client {
    int fd;
    gnutls_session_t session;
    gnutls_certificate_credentials_t cred;
    int error; /* of the handshake; 0: it is done */
};

static int dial(uint16_t port)
{
    struct sockaddr_in sin = { .sin_family = AF_INET,
                               .sin_port = htons(port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval tv = { .tv_sec = DEADLINE_S };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    if (connect(fd, (struct sockaddr *)&sin, sizeof sin) < 0)
        fail_msg("cannot connect");
    return fd;
}

static void client_start(struct client *c, uint16_t port, const char *priorities)
{
    *c = (struct client){ .fd = dial(port) };
    gnutls_certificate_allocate_credentials(&c->cred);
    gnutls_init(&c->session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL);
    assert_int_equal(gnutls_priority_set_direct(c->session, priorities, NULL), 0);
    gnutls_credentials_set(c->session, GNUTLS_CRD_CERTIFICATE, c->cred);
    gnutls_transport_set_int(c->session, c->fd);
    do
        c->error = gnutls_handshake(c->session);
    while (c->error < 0 && !gnutls_error_is_fatal(c->error));
}

static void client_end(struct client *c)
{
    gnutls_deinit(c->session);
    gnutls_certificate_free_credentials(c->cred);
    close(c->fd);
}

/* Of the certificate that the server showed. */
static int serial_of(const struct client *c)
{
    unsigned n = 0;
    const gnutls_datum_t *list = gnutls_certificate_get_peers(c->session, &n);
    unsigned char serial[20] = { 0 };
    size_t len = sizeof serial;
    gnutls_x509_crt_t crt;

    assert_true(list && n);
    gnutls_x509_crt_init(&crt);
    assert_int_equal(gnutls_x509_crt_import(crt, list, GNUTLS_X509_FMT_DER), 0);
    gnutls_x509_crt_get_serial(crt, serial, &len);
    gnutls_x509_crt_deinit(crt);
    return serial[0];
}

/* Asks on a connection that stays open; the answer has to contain the text. */
static bool asks(struct client *c, const char *path, const char *expect)
{
    char request[256], answer[4096];
    size_t len = 0;
    ssize_t n;

    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    if (gnutls_record_send(c->session, request, strlen(request)) <= 0)
        return false;
    answer[0] = '\0';
    while (!strstr(answer, expect) && len < sizeof answer - 1) {
        n = gnutls_record_recv(c->session, answer + len, sizeof answer - 1 - len);
        if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
            continue;
        if (n <= 0)
            return false;
        len += (size_t)n;
        answer[len] = '\0';
    }
    return strstr(answer, expect) != NULL;
}

/* ---- Tests ---- */

static void refuses_what_cannot_be_used(void **state)
{
    static const struct {
        const char *cert, *key;
        enum tw_rc rc;
        const char *expect[2];
    } cases[] = {
        { "nothing.crt", "good.key", TW_ENOENT, { "cannot read the certificate", "nothing.crt" } },
        { "good.crt", "nothing.key", TW_ENOENT, { "cannot read the key", "nothing.key" } },
        { "good.key", "good.key", TW_EINVAL, { "is no certificate", "BEGIN CERTIFICATE" } },
        { "good.crt", "good.crt", TW_EINVAL, { "is no private key", "BEGIN PRIVATE KEY" } },
        { "good.crt", "empty", TW_EINVAL, { "is no private key", "empty" } },
        { "empty", "good.key", TW_EINVAL, { "is no certificate", "empty" } },
        { "good.crt", "other.key", TW_EINVAL, { "is not that of the certificate", "other.key" } },
        { "good.crt", "good.locked", TW_EINVAL, { "has a password", "good.locked" } },
        { "mixed", "good.key", TW_EINVAL, { "not in order", "signed by the next" } },
        { "large", "good.key", TW_EINVAL, { "longer than 256 kB", "large" } },
        { "good.crt", NULL, TW_EINVAL, { "no key", "expected both" } },
        { NULL, "good.key", TW_EINVAL, { "no certificate", "expected both" } },
    };
    struct loop *loop;

    (void)state;
    assert_int_equal(loop_new(&loop), TW_OK);
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        char cert[128], key[128];
        struct httpd_conf c = { .loop = loop, .address = "127.0.0.1:0", .routes = routes, .n_routes = 1 };
        struct httpd *h = NULL;
        struct tw_err err = { 0 };
        enum tw_rc rc;

        c.tls_cert = cases[i].cert ? in_dir(cert, cases[i].cert) : NULL;
        c.tls_key = cases[i].key ? in_dir(key, cases[i].key) : NULL;
        rc = httpd_start(&c, &h, &err);
        if (rc != cases[i].rc || h || strchr(err.text, '\n') || !strstr(err.text, cases[i].expect[0]) ||
            !strstr(err.text, cases[i].expect[1]))
            fail_msg("case %zu: %s: \"%s\"", i, tw_rc_name(rc), err.text);
    }
    loop_free(loop);
}

static void plain_http_stays_at_home(void **state)
{
    static const struct {
        const char *address;
        bool plaintext;
        enum tw_rc rc;
    } cases[] = {
        { "127.0.0.1:0", false, TW_OK }, { "127.9.9.9:0", false, TW_OK },    { "0.0.0.0:0", false, TW_EPERM },
        { "[::]:0", false, TW_EPERM },   { "192.0.2.1:0", false, TW_EPERM }, { "0.0.0.0:0", true, TW_OK },
    };
    struct loop *loop;

    (void)state;
    assert_int_equal(loop_new(&loop), TW_OK);
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct httpd_conf c = { .loop = loop,
                                .address = cases[i].address,
                                .routes = routes,
                                .n_routes = 1,
                                .plaintext = cases[i].plaintext };
        struct httpd *h = NULL;
        struct tw_err err = { 0 };

        if (httpd_start(&c, &h, &err) != cases[i].rc || (!h && !strstr(err.text, "--http-plaintext")))
            fail_msg("%s: \"%s\"", cases[i].address, err.text);
        httpd_stop(h);
    }
    loop_free(loop);
}

static void serves(void **state)
{
    static const struct {
        const char *priorities;
        bool may;
    } cases[] = {
        { "NORMAL", true },
        { "NORMAL:-VERS-ALL:+VERS-TLS1.3", true },
        { "NORMAL:-VERS-ALL:+VERS-TLS1.2", true },
        { "NORMAL:-VERS-ALL:+VERS-TLS1.1:+VERS-TLS1.0", false },
        { "NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+RSA", false },
    };
    struct httpd_counters n;
    struct rig *r;

    (void)state;
    use_cert("good");
    r = rig_start(true);
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct client c;

        client_start(&c, httpd_port(r->httpd), cases[i].priorities);
        if ((c.error == 0) != cases[i].may)
            fail_msg("%s: %s", cases[i].priorities, gnutls_strerror(c.error));
        if (cases[i].may)
            assert_true(asks(&c, "/say", "secure 127.0.0.1"));
        client_end(&c);
    }
    httpd_counters(r->httpd, &n);
    assert_int_equal(n.handshakes, 3);
    assert_true(httpd_cert_end_ns(r->httpd) > tw_wall_now().ns + DAY_S * TW_NS_PER_S);
    rig_stop(r);
}

/* Who speaks plain HTTP to it, or nonsense, or nothing, gets nothing, and is counted. */
static void plain_clients_get_nothing(void **state)
{
    static const char *const said[] = { "GET /say HTTP/1.0\r\n\r\n", "\x16\x03\x01\xff\xff\x01", "" };
    struct httpd_counters n;
    struct rig *r;
    int64_t until;

    (void)state;
    use_cert("good");
    r = rig_start(true);
    for (size_t i = 0; i < TW_NELEM(said); i++) {
        int fd = dial(httpd_port(r->httpd));
        char buf[256] = "";
        ssize_t len;

        if (*said[i])
            assert_true(send(fd, said[i], strlen(said[i]), MSG_NOSIGNAL) > 0);
        shutdown(fd, SHUT_WR);
        while ((len = recv(fd, buf, sizeof buf - 1, 0)) > 0) {
            buf[len] = '\0';
            assert_null(strstr(buf, "HTTP/1"));
        }
        close(fd);
    }
    until = tw_mono_now().ns + DEADLINE_S * TW_NS_PER_S;
    do {
        usleep(500);
        httpd_counters(r->httpd, &n);
    } while (n.unasked < 3 && tw_mono_now().ns < until);
    assert_int_equal(n.unasked, 3);
    assert_int_equal(n.requests, 0);
    rig_stop(r);
}

static void reload_keeps_connections(void **state)
{
    struct client a, b;
    struct httpd_counters n;
    struct rig *r;
    int64_t end_ns;

    (void)state;
    use_cert("good");
    r = rig_start(true);
    end_ns = httpd_cert_end_ns(r->httpd);
    client_start(&a, httpd_port(r->httpd), "NORMAL");
    assert_true(asks(&a, "/say", "secure"));
    use_cert("other");
    assert_int_equal(reload(r), TW_OK);
    client_start(&b, httpd_port(r->httpd), "NORMAL");
    assert_int_equal(serial_of(&a), 1);
    assert_int_equal(serial_of(&b), 2);
    assert_true(asks(&a, "/say", "secure"));
    assert_true(asks(&b, "/say", "secure"));
    assert_int_not_equal(httpd_cert_end_ns(r->httpd), end_ns);
    client_end(&b);
    /* What cannot be used changes nothing. */
    copy_file("good.key", "use.key");
    assert_int_equal(reload(r), TW_EINVAL);
    assert_non_null(strstr(r->err.text, "is not that of the certificate"));
    use_cert("expired");
    assert_int_equal(reload(r), TW_EINVAL);
    assert_non_null(strstr(r->err.text, "has expired at"));
    use_cert("early");
    assert_int_equal(reload(r), TW_EINVAL);
    assert_non_null(strstr(r->err.text, "is not valid before"));
    client_start(&b, httpd_port(r->httpd), "NORMAL");
    assert_int_equal(serial_of(&b), 2);
    assert_true(asks(&a, "/say", "secure"));
    client_end(&a);
    client_end(&b);
    httpd_counters(r->httpd, &n);
    assert_int_equal(n.reloads, 1);
    assert_int_equal(n.reloads_failed, 3);
    rig_stop(r);
}

/* As an authority of ours keeps them. */
static void both_in_one_file(void **state)
{
    char path[128], both[16384];
    struct client c;
    struct rig *r;
    size_t len = 0;

    (void)state;
    for (int i = 0; i < 2; i++) {
        int fd = open(in_dir(path, i ? "good.key" : "good.crt"), O_RDONLY);

        len += (size_t)read(fd, both + len, sizeof both - len);
        close(fd);
    }
    write_file("use.crt", both, len);
    write_file("use.key", both, len);
    r = rig_start(true);
    client_start(&c, httpd_port(r->httpd), "NORMAL");
    assert_int_equal(serial_of(&c), 1);
    assert_true(asks(&c, "/say", "secure"));
    client_end(&c);
    rig_stop(r);
}

/* The program runs nevertheless; what is better replaces it. */
static void expired_certificate_is_served(void **state)
{
    struct client c;
    struct rig *r;

    (void)state;
    use_cert("expired");
    r = rig_start(true);
    client_start(&c, httpd_port(r->httpd), "NORMAL");
    assert_int_equal(serial_of(&c), 3);
    client_end(&c);
    assert_true(httpd_cert_end_ns(r->httpd) < tw_wall_now().ns);
    use_cert("good");
    assert_int_equal(reload(r), TW_OK);
    client_start(&c, httpd_port(r->httpd), "NORMAL");
    assert_int_equal(serial_of(&c), 1);
    client_end(&c);
    rig_stop(r);
}

struct fire {
    uint16_t port;
    pthread_t thread;
    _Atomic bool *end;
    unsigned done, failed;
};

static void *fire_main(void *ctx)
{
    struct fire *f = ctx;

    while (!atomic_load(f->end)) {
        struct client c;

        client_start(&c, f->port, "NORMAL");
        f->failed += c.error != 0 || !asks(&c, "/say", "secure");
        f->done++;
        client_end(&c);
    }
    return NULL;
}

static void reload_under_fire(void **state)
{
    _Atomic bool end = false;
    struct fire f[3];
    struct rig *r;

    (void)state;
    use_cert("good");
    r = rig_start(true);
    for (size_t i = 0; i < TW_NELEM(f); i++) {
        f[i] = (struct fire){ .port = httpd_port(r->httpd), .end = &end };
        assert_int_equal(pthread_create(&f[i].thread, NULL, fire_main, &f[i]), 0);
    }
    for (int i = 0; i < 60; i++) {
        use_cert(i % 2 ? "good" : "other");
        assert_int_equal(reload(r), TW_OK);
    }
    atomic_store(&end, true);
    for (size_t i = 0; i < TW_NELEM(f); i++) {
        pthread_join(f[i].thread, NULL);
        if (f[i].failed || !f[i].done)
            fail_msg("client %zu: %u of %u failed", i, f[i].failed, f[i].done);
    }
    rig_stop(r);
}

/* libmicrohttpd does not look at a stream that waits; its client says goodbye in TLS before it goes. */
static void stream_knows_that_nobody_listens(void **state)
{
    struct client c;
    struct rig *r;
    int64_t until;

    (void)state;
    use_cert("good");
    r = rig_start(true);
    client_start(&c, httpd_port(r->httpd), "NORMAL");
    assert_true(asks(&c, "/stream", "first"));
    loop_post(r->loop, &r->look);
    await(&r->looked, "a look at the stream");
    assert_false(atomic_load(&r->gone));
    gnutls_bye(c.session, GNUTLS_SHUT_WR);
    client_end(&c);
    until = tw_mono_now().ns + DEADLINE_S * TW_NS_PER_S;
    while (!atomic_load(&r->gone) && tw_mono_now().ns < until) {
        atomic_store(&r->looked, false);
        loop_post(r->loop, &r->look);
        await(&r->looked, "a look at the stream");
    }
    assert_true(atomic_load(&r->gone));
    rig_stop(r);
}

static int make_all(void **state)
{
    char both[16384];
    char path[128];
    size_t len = 0;

    (void)state;
    assert_non_null(mkdtemp(dir));
    make_cert("good", 1, -DAY_S, 90 * DAY_S);
    make_cert("other", 2, -DAY_S, 30 * DAY_S);
    make_cert("expired", 3, -2 * DAY_S, -DAY_S);
    make_cert("early", 4, DAY_S, 2 * DAY_S);
    write_file("empty", "", 0);
    for (int i = 0; i < 2; i++) {
        int fd = open(in_dir(path, i ? "other.crt" : "good.crt"), O_RDONLY);
        len += (size_t)read(fd, both + len, sizeof both - len);
        close(fd);
    }
    write_file("mixed", both, len);
    char *large = calloc(1, 300 << 10);
    write_file("large", large, 300 << 10);
    free(large);
    return 0;
}

static int remove_all(void **state)
{
    char cmd[128];

    (void)state;
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    return system(cmd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_cannot_be_used),
        cmocka_unit_test(plain_http_stays_at_home),
        cmocka_unit_test(serves),
        cmocka_unit_test(plain_clients_get_nothing),
        cmocka_unit_test(reload_keeps_connections),
        cmocka_unit_test(both_in_one_file),
        cmocka_unit_test(expired_certificate_is_served),
        cmocka_unit_test(reload_under_fire),
        cmocka_unit_test(stream_knows_that_nobody_listens),
    };

    return cmocka_run_group_tests(tests, make_all, remove_all);
}
