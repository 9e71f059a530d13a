#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/net/authority.h"
#include "common/net/keyfile.h"

#define S INT64_C(1000000000)
#define DAY (86400 * S)
#define NOW (INT64_C(1795000000) * S)

static const char *const hosts[] = { "ctl.example.net", "192.0.2.1" };
static char top[64], dir[128];

static struct authority_make wish(void)
{
    return (struct authority_make){ dir, hosts, TW_NELEM(hosts), NOW, 3650 * DAY, 90 * DAY };
}

static int setup(void **state)
{
    (void)state;
    snprintf(top, sizeof top, "/tmp/twca.XXXXXX");
    if (!mkdtemp(top))
        return -1;
    snprintf(dir, sizeof dir, "%s/ca", top);
    return 0;
}

static const char *in(const char *file)
{
    static char path[192];

    snprintf(path, sizeof path, "%s/%s", dir, file);
    return path;
}

static int teardown(void **state)
{
    (void)state;
    unlink(in("ca.key"));
    unlink(in("ca.pem"));
    unlink(in("server.pem"));
    rmdir(dir);
    return rmdir(top); /* also fails when something was left behind */
}

static struct authority *made(void)
{
    struct authority_make m = wish();
    struct authority *a = NULL;
    struct tw_err err = { 0 };

    if (authority_make(&m, &err) || authority_open(dir, &a, &err))
        fail_msg("%s", err.text);
    return a;
}

static void made_and_read(void **state)
{
    struct authority *a = made();
    struct pki_cert *server = NULL;
    struct pki_info info;
    struct stat st;
    struct tw_err err = { 0 };

    (void)state;
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(stat(in(i == 0 ? "ca.key" : i == 1 ? "ca.pem" : "server.pem"), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
    }
    assert_int_equal(pki_check_ca(authority_ca(a), NOW, &err), PKI_FINE);
    assert_int_equal(
        pki_cert_from_pem(authority_server_pem(a), strlen(authority_server_pem(a)), &server, &err), TW_OK);
    assert_int_equal(pki_check(authority_ca(a), server, PKI_SERVER, NOW, &err), PKI_FINE);
    assert_true(pki_cert_has_host(server, hosts[0]) && pki_cert_has_host(server, hosts[1]));
    authority_server_info(a, &info);
    assert_true(info.not_after_ns == NOW + 90 * DAY);
    pki_cert_free(server);
    authority_free(a);
}

static void not_overwritten(void **state)
{
    struct authority *a = made();
    struct authority_make m = wish();
    struct pki_octets before = { 0 }, after = { 0 };
    struct tw_err err = { 0 };

    (void)state;
    assert_int_equal(keyfile_read(in("ca.key"), &before, NULL), TW_OK);
    assert_int_equal(authority_make(&m, &err), TW_EEXIST);
    assert_non_null(strstr(err.text, "is there already"));
    assert_int_equal(keyfile_read(in("ca.key"), &after, NULL), TW_OK);
    assert_string_equal(before.data, after.data);
    pki_octets_free(&before);
    pki_octets_free(&after);
    authority_free(a);
}

static void empty_directory_is_taken(void **state)
{
    (void)state;
    assert_int_equal(mkdir(dir, 0755), 0);
    authority_free(made());
}

static void impossible_names(void **state)
{
    static const char *const bad[] = { "no such host" };
    struct authority_make m = wish();
    struct tw_err err = { 0 };

    (void)state;
    m.hosts = bad;
    m.n_hosts = 1;
    assert_int_equal(authority_make(&m, &err), TW_EINVAL);
    assert_int_equal(access(dir, F_OK), -1); /* teardown: nothing is left */
    m = wish();
    m.dir = "/nonexistent/dir/ca";
    assert_int_equal(authority_make(&m, &err), TW_ENOENT);
}

static void damaged(void **state)
{
    static const struct {
        const char *file, *text; /* NULL: gone */
        enum tw_rc rc;
        const char *says;
    } rows[] = {
        { "ca.key", NULL, TW_ECORRUPT, "ca.key is missing" },
        { "ca.pem", "rubbish", TW_ECORRUPT, "ca.pem: not exactly one certificate" },
        { "server.pem", "", TW_ECORRUPT, "server.pem: not exactly one certificate" },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct authority *a = made();
        struct tw_err err = { 0 };

        authority_free(a);
        if (rows[i].text)
            assert_int_equal(keyfile_write(in(rows[i].file), rows[i].text, strlen(rows[i].text), NULL),
                             TW_OK);
        else
            unlink(in(rows[i].file));
        if (authority_open(dir, &a, &err) != rows[i].rc || !strstr(err.text, rows[i].says))
            fail_msg("%s: \"%s\"", rows[i].file, err.text);
        teardown(NULL);
        setup(NULL);
    }
}

static void read_by_others(void **state)
{
    struct authority *a = made();
    struct tw_err err = { 0 };

    (void)state;
    authority_free(a);
    assert_int_equal(chmod(in("ca.key"), 0640), 0);
    assert_int_equal(authority_open(dir, &a, &err), TW_EPERM);
    assert_non_null(strstr(err.text, "chmod 600"));
    assert_int_equal(authority_open("/nonexistent", &a, &err), TW_ENOENT);
}

static void renewed(void **state)
{
    struct authority *a = made(), *again = NULL;
    struct pki_cert *server = NULL;
    struct pki_info before, after, stored;
    struct tw_err err = { 0 };

    (void)state;
    authority_server_info(a, &before);
    assert_int_equal(authority_renew_server(a, NOW + 60 * DAY, &err), TW_OK);
    authority_server_info(a, &after);
    assert_true(after.not_after_ns == NOW + 150 * DAY);
    assert_string_not_equal(before.serial, after.serial);
    assert_memory_not_equal(before.key_hash, after.key_hash, PKI_HASH_LEN);
    assert_int_equal(
        pki_cert_from_pem(authority_server_pem(a), strlen(authority_server_pem(a)), &server, &err), TW_OK);
    assert_true(pki_cert_has_host(server, hosts[0]) && pki_cert_has_host(server, hosts[1]));
    assert_int_equal(authority_open(dir, &again, &err), TW_OK); /* it is on the disk */
    authority_server_info(again, &stored);
    assert_string_equal(stored.serial, after.serial);
    pki_cert_free(server);
    authority_free(again);
    authority_free(a);
}

static void more_names(void **state)
{
    static const char *const more[] = { "192.0.2.7" };
    static const char *const bad[] = { "no_such/" };
    char names[PKI_MAX_HOSTS + 1][16], had[PKI_MAX_HOSTS][PKI_HOST_TEXT];
    const char *many[PKI_MAX_HOSTS + 1];
    struct authority *a = made(), *again = NULL;
    struct pki_cert *server = NULL;
    struct pki_info before, after;
    struct tw_err err = { 0 };
    size_t n = authority_hosts(a, had);

    (void)state;
    authority_server_info(a, &before);
    assert_int_equal(authority_add_hosts(a, more, 1, NOW + DAY, &err), TW_OK);
    assert_int_equal(authority_hosts(a, had), n + 1);
    assert_int_equal(authority_add_hosts(a, (const char *const *)hosts, n, NOW + DAY, &err), TW_OK);
    assert_int_equal(authority_hosts(a, had), n + 1); /* it has them already */
    authority_server_info(a, &after);
    assert_true(after.not_after_ns - NOW - DAY == before.not_after_ns - NOW);
    assert_int_equal(authority_open(dir, &again, &err), TW_OK);
    assert_int_equal(
        pki_cert_from_pem(authority_server_pem(again), strlen(authority_server_pem(again)), &server, &err),
        TW_OK);
    assert_true(pki_cert_has_host(server, hosts[0]) && pki_cert_has_host(server, "192.0.2.7"));
    assert_int_equal(pki_check(authority_ca(again), server, PKI_SERVER, NOW + DAY, &err), PKI_FINE);

    assert_int_equal(authority_add_hosts(a, bad, 1, NOW + DAY, &err), TW_EINVAL);
    for (size_t i = 0; i <= PKI_MAX_HOSTS; i++) {
        snprintf(names[i], sizeof names[i], "h%zu", i);
        many[i] = names[i];
    }
    assert_int_equal(authority_add_hosts(a, many, PKI_MAX_HOSTS + 1, NOW + DAY, &err), TW_ENOSPC);
    assert_int_equal(authority_hosts(a, had), n + 1);
    pki_cert_free(server);
    authority_free(again);
    authority_free(a);
}

static void renewing_fails(void **state)
{
    struct authority *a = made();
    struct pki_info before, after;
    struct tw_err err = { 0 };

    (void)state;
    authority_server_info(a, &before);
    assert_int_equal(authority_renew_server(a, NOW + 4000 * DAY, &err), TW_EINVAL); /* the CA is over */
    authority_server_info(a, &after);
    assert_string_equal(before.serial, after.serial);
    authority_free(a);
}

static void issues(void **state)
{
    struct authority *a = made();
    struct pki_octets csr = { 0 };
    struct pki_cert *cert = NULL;
    struct pki_key *key = NULL;
    struct pki_info info;
    struct tw_err err = { 0 };

    (void)state;
    assert_int_equal(pki_key_make(&key), TW_OK);
    assert_int_equal(pki_csr_make(key, "a1", &csr), TW_OK);
    assert_int_equal(authority_issue(a, csr.data, csr.len, "ams", NOW, DAY, &cert, &err), TW_OK);
    pki_cert_info(cert, &info);
    assert_string_equal(info.name, "ams");
    assert_int_equal(pki_check(authority_ca(a), cert, PKI_AGENT, NOW, &err), PKI_FINE);
    pki_cert_free(cert);
    assert_int_equal(authority_issue(a, csr.data, csr.len - 1, "ams", NOW, DAY, &cert, &err), TW_ECORRUPT);
    pki_octets_free(&csr);
    pki_key_free(key);
    authority_free(a);
}

static void lines(void **state)
{
    char text[16], path[96];
    struct tw_err err = { 0 };

    (void)state;
    snprintf(path, sizeof path, "%s/line", top);
    assert_int_equal(keyfile_write(path, "  token\n\n", 9, &err), TW_OK);
    assert_int_equal(keyfile_read_line(path, text, sizeof text, &err), TW_OK);
    assert_string_equal(text, "token");
    assert_int_equal(keyfile_write(path, " \n", 2, &err), TW_OK);
    assert_int_equal(keyfile_read_line(path, text, sizeof text, &err), TW_EINVAL);
    assert_int_equal(keyfile_write(path, "0123456789abcdef", 16, &err), TW_OK);
    assert_int_equal(keyfile_read_line(path, text, sizeof text, &err), TW_EINVAL);
    unlink(path);
    assert_int_equal(keyfile_read_line(path, text, sizeof text, &err), TW_ENOENT);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(made_and_read),    T(not_overwritten), T(empty_directory_is_taken),
        T(impossible_names), T(damaged),         T(read_by_others),
        T(renewed),          T(more_names),      T(renewing_fails),
        T(issues),           T(lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
