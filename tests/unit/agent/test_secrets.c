#include <fcntl.h>
#include <malloc.h>
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

#include "agent/secrets.h"

enum { NOBODY = 65534 };

static char dir[64], path[128];

/* Linked with --wrap=free: what is given back must not hold a secret any more. */
void __wrap_free(void *p);
void __real_free(void *p);
static volatile unsigned told; /* volatile: to the compiler free() changes nothing */

void __wrap_free(void *p)
{
    if (p && memmem(p, malloc_usable_size(p), "telltale", 8))
        told++;
    __real_free(p);
}

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/twsecrets.XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    chmod(dir, 0755);
    snprintf(path, sizeof path, "%s/secrets", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir);
}

/* As an editor does it: another file takes the name. */
static void write_octets(const char *text, size_t len, mode_t mode)
{
    char other[160];
    int fd;

    snprintf(other, sizeof other, "%s.new", path);
    fd = open(other, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), (ssize_t)len);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
    assert_int_equal(rename(other, path), 0);
}

static void write_file(const char *text)
{
    write_octets(text, strlen(text), 0600);
}

static struct secrets *load(void)
{
    struct secrets *s = NULL;
    struct tw_err err = { .field = "of the caller" };

    if (secrets_load(path, &s, &err))
        fail_msg("line %u: %s", err.line, err.text);
    assert_true(!err.file[0] && !err.text[0] && !strcmp(err.field, "of the caller")); /* not touched */
    return s;
}

static size_t find(const struct secrets *s, const char *key_id, struct form_key *ret, size_t cap)
{
    return secrets_find(s, key_id, strlen(key_id), ret, cap);
}

static void assert_key(const struct form_key *k, const char *text)
{
    assert_int_equal(k->len, strlen(text));
    assert_memory_equal(k->octets, text, k->len);
}

/* ---- Lines ---- */

#define S10 "0123456789"
#define S80 S10 S10 S10 S10 S10 S10 S10 S10
#define S250 S80 S80 S80 S10
#define S256 S250 "abcdef"
#define HEX64 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" /* 32 octets */
#define HEX512 HEX64 HEX64 HEX64 HEX64 HEX64 HEX64 HEX64 HEX64

static const struct {
    const char *name, *text, *key_id;
    const char *passphrase;
    size_t len; /* of the passphrase, 0 = its text */
} good[] = {
    { "plain", "alice correct horse battery\n", "alice", "correct horse battery", 0 },
    { "no line end", "alice secret", "alice", "secret", 0 },
    { "CRLF", "alice secret\r\nbob other\r\n", "alice", "secret", 0 },
    { "tabs and spaces", "\t alice \t  secret of hers \t \n", "alice", "secret of hers", 0 },
    { "comments and blank lines", "# alice wrong\n\n   \n \t# alice wrong\nalice secret\n#", "alice",
      "secret", 0 },
    { "a passphrase with #", "alice #1 in # order\n", "alice", "#1 in # order", 0 },
    { "a KEYID with # and :", "a#b:c secret\n", "a#b:c", "secret", 0 },
    { "a KEYID of 80 octets", S80 " secret\n", S80, "secret", 0 },
    { "a KEYID of one octet", "a b\n", "a", "b", 0 },
    { "a KEYID in UTF-8", "\xc3\x85sa\xf0\x9f\x94\x91 secret\n", "\xc3\x85sa\xf0\x9f\x94\x91", "secret", 0 },
    { "a passphrase of 256 octets", "a " S256 "\n", "a", S256, 0 },
    { "a passphrase that is not UTF-8", "a \xff\xfe\n", "a", "\xff\xfe", 0 },
    { "hex", "a hex:00fF0a20\n", "a", "\0\xff\n ", 4 },
    { "hex of one octet", "a hex:00", "a", "\0", 1 },
    { "not hex", "a hexagon\n", "a", "hexagon", 0 },
    { "not hex either", "a HEX:00\n", "a", "HEX:00", 0 },
};

static void good_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(good); i++) {
        size_t len = good[i].len ? good[i].len : strlen(good[i].passphrase);
        struct form_key k[2];
        struct secrets *s;
        write_file(good[i].text);
        s = load();
        if (find(s, good[i].key_id, k, 2) != 1 || k[0].len != len ||
            memcmp(k[0].octets, good[i].passphrase, len))
            fail_msg("%s", good[i].name);
        secrets_free(s);
    }
}

static void longest_hex(void **state)
{
    struct form_key k;
    struct secrets *s;

    (void)state;
    write_file("a hex:" HEX512 "\n");
    s = load();
    assert_int_equal(find(s, "a", &k, 1), 1);
    assert_int_equal(k.len, SECRETS_PASSPHRASE_MAX);
    assert_int_equal(k.octets[255], 0x1f);
    secrets_free(s);
}

/* None of the messages may hold anything of the file: every bad line here has "tell" in its secret parts. */
static const struct {
    const char *name, *text;
    size_t len; /* 0 = text */
    unsigned line;
    const char *says;
} bad[] = {
    { "empty", "", 0, 0, "has no entry: expected lines of KEYID and passphrase" },
    { "only comments", "# tell\n\n", 0, 0, "has no entry" },
    { "one word", "ok tell\ntell\n", 0, 2, "has one word: expected KEYID and passphrase" },
    { "one word and blanks", "ok tell\n\n tell \t\r\n", 0, 3, "has one word" },
    { "a KEYID of 81 octets", S80 "x tell\n", 0, 1, "the KEYID has 81 octets: expected at most 80" },
    { "a KEYID that is not UTF-8", "ok tell\nal\xffice tell\n", 0, 2, "the KEYID is not UTF-8" },
    { "a KEYID cut in a character", "al\xc3 tell\n", 0, 1, "the KEYID is not UTF-8" },
    { "a KEYID with ESC", "al\x1bice tell\n", 0, 1, "control character" },
    { "a KEYID with DEL", "al\x7fice tell\n", 0, 1, "control character" },
    { "a passphrase of 257 octets", "a " S256 "x\n", 0, 1,
      "the passphrase has 257 octets: expected at most 256" },
    { "hex without digits", "a hex:\n", 0, 1, "has 0 digits" },
    { "hex with an odd number", "a hex:001\n", 0, 1, "has 3 digits: expected two for each octet" },
    { "hex with something else", "a hex:tell\n", 0, 1, "something else than digits" },
    { "hex with a blank", "a hex:00 1\n", 0, 1, "something else than digits" },
    { "hex of 257 octets", "a hex:" HEX512 "00\n", 0, 1, "has 257 octets: expected at most 256" },
    { "NUL in a passphrase", "ok tell\na te\0ll\n", 16, 2, "NUL octet" },
    { "NUL in a KEYID", "t\0ell x\n", 8, 1, "NUL octet" },
    { "NUL in a comment", "#\0tell\n", 7, 1, "NUL octet" },
};

static void bad_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(bad); i++) {
        struct secrets *s = NULL;
        struct tw_err err = { .line = 99 };
        char text[512];
        enum tw_rc rc;
        write_octets(bad[i].text, bad[i].len ? bad[i].len : strlen(bad[i].text), 0600);
        rc = secrets_load(path, &s, &err);
        tw_err_format(&err, text, sizeof text);
        if (rc != TW_EINVAL || s || err.line != bad[i].line || !strstr(text, bad[i].says) ||
            strncmp(text, path, strlen(path)) != 0 || strstr(text, "tell") || strchr(text, '\n'))
            fail_msg("%s: %s, \"%s\"", bad[i].name, tw_rc_name(rc), text);
        assert_int_not_equal(secrets_load(path, &s, NULL), TW_OK);
    }
}

static char *repeat(const char *line, size_t n)
{
    size_t len = strlen(line);
    char *text = malloc(n * len + 1);

    assert_non_null(text);
    for (size_t i = 0; i < n; i++)
        memcpy(text + i * len, line, len);
    text[n * len] = '\0';
    return text;
}

static void large_files(void **state)
{
    char *text = repeat("a b\n", SECRETS_LINES_MAX + 1),
         *big = repeat("0123456789abcdef", SECRETS_FILE_MAX / 16);
    struct tw_err err = { 0 };
    struct secrets *s = NULL;

    (void)state;
    write_file(text);
    assert_int_equal(secrets_load(path, &s, &err), TW_EINVAL);
    assert_string_equal(err.text, "has 10001 lines: expected at most 10000");
    text[SECRETS_LINES_MAX * 4] = '\0';
    write_file(text);
    s = load();
    assert_int_equal(secrets_count(s), SECRETS_LINES_MAX);
    secrets_free(s);
    memcpy(big, "a b\n#", 5); /* exactly as large as allowed: one comment */
    write_file(big);
    s = load();
    assert_int_equal(secrets_count(s), 1);
    secrets_free(s);
    write_octets(big, SECRETS_FILE_MAX + 1, 0600); /* with its NUL: one octet more */
    assert_int_equal(secrets_load(path, &s, &err), TW_EINVAL);
    assert_string_equal(err.text, "has more than 1048576 octets");
    free(text);
    free(big);
}

/* ---- Who may see the file ---- */

static void modes(void **state)
{
    (void)state;
    for (mode_t m = 0; m <= 0777; m++) {
        struct tw_err err = { 0 };
        struct secrets *s = NULL;
        enum tw_rc rc;
        char want[256];
        if (!(m & 0400)) /* only root could read it anyway */
            continue;
        write_octets("a b\n", 4, m);
        rc = secrets_load(path, &s, &err);
        snprintf(want, sizeof want, "mode %04o lets others in; it holds secrets: chmod 600 %s", (unsigned)m,
                 path);
        if (m & 077 ? rc != TW_EPERM || strcmp(err.text, want) != 0 : rc != TW_OK)
            fail_msg("%04o: %s %s", (unsigned)m, tw_rc_name(rc), err.text);
        if (rc == TW_OK)
            secrets_free(s);
    }
}

/* Of the service manager: root's or ours, and never open to all. */
static void credentials(void **state)
{
    static const struct {
        const char *folder; /* NULL: where the file is */
        mode_t mode;
        enum tw_rc rc;
    } rows[] = { { NULL, 0400, TW_OK },     { NULL, 0440, TW_OK },           { NULL, 0444, TW_EPERM },
                 { NULL, 0460, TW_EPERM },  { "/run/else", 0440, TW_EPERM }, { "", 0440, TW_EPERM },
                 { "/tmp", 0440, TW_EPERM } };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct secrets *s = NULL;
        struct tw_err err = { 0 };
        enum tw_rc rc;
        write_octets("a b\n", 4, rows[i].mode);
        setenv("CREDENTIALS_DIRECTORY", rows[i].folder ? rows[i].folder : dir, 1);
        rc = secrets_load(path, &s, &err);
        unsetenv("CREDENTIALS_DIRECTORY");
        if (rc != rows[i].rc)
            fail_msg("row %zu: %s %s", i, tw_rc_name(rc), err.text);
        if (rc == TW_OK)
            secrets_free(s);
    }
}
static void other_owners(void **state)
{
    struct tw_err err = { 0 };
    struct secrets *s = NULL;
    char want[256];

    (void)state;
    if (geteuid() != 0)
        skip();
    write_file("a b\n");
    assert_int_equal(chown(path, NOBODY, NOBODY), 0);
    assert_int_equal(secrets_load(path, &s, &err), TW_EPERM);
    snprintf(want, sizeof want,
             "belongs to user 65534, expected user 0, as whom this runs: chown it and chmod 600 %s", path);
    assert_string_equal(err.text, want);
    assert_int_equal(seteuid(NOBODY), 0); /* to its owner it is fine */
    s = load();
    secrets_free(s);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(chown(path, 0, 0), 0);
    assert_int_equal(seteuid(NOBODY), 0);
    assert_int_equal(secrets_load(path, &s, &err), TW_EPERM);
    assert_int_equal(seteuid(0), 0);
    assert_string_equal(err.text, "Permission denied");
}

static void not_a_file(void **state)
{
    struct tw_err err = { 0 };
    struct secrets *s = NULL;

    (void)state;
    assert_int_equal(secrets_load(path, &s, &err), TW_ENOENT);
    assert_string_equal(err.file, path);
    assert_int_equal(secrets_load(dir, &s, &err), TW_EINVAL);
    assert_string_equal(err.text, "is not a regular file");
    assert_int_equal(mkfifo(path, 0600), 0); /* must not wait for a writer */
    assert_int_equal(secrets_load(path, &s, &err), TW_EINVAL);
    assert_string_equal(err.text, "is not a regular file");
    assert_int_equal(secrets_load("/dev/zero", &s, &err), TW_EINVAL);
    assert_null(s);
}

/* ---- Looking up ---- */

static void rotation(void **state)
{
    struct form_key k[4];
    struct secrets *s;

    (void)state;
    write_file("alice new\nbob one\nalice old\nalice older\nalic x\nalicee y\n");
    s = load();
    assert_int_equal(secrets_count(s), 6);
    assert_string_equal(secrets_path(s), path);
    assert_int_equal(find(s, "alice", k, 4), 3);
    assert_key(&k[0], "new");
    assert_key(&k[1], "old");
    assert_key(&k[2], "older");
    k[1] = secrets_get(s, 5);
    assert_key(&k[1], "y");
    k[1] = (struct form_key){ 0 };
    assert_int_equal(find(s, "alice", k, 1), 3);
    assert_null(k[1].octets);
    assert_int_equal(find(s, "bob", k, 4), 1);
    assert_int_equal(find(s, "mallory", k, 4), 0);
    assert_int_equal(find(s, "", k, 4), 0);
    assert_int_equal(find(s, S80 S80, k, 4), 0);
    assert_int_equal(secrets_find(s, "alicex", 5, k, 4), 3); /* as it stands in a message: no NUL behind */
    secrets_free(s);
}

static bool signs_as(struct crypto_hmac *m, const char *key)
{
    struct crypto_hmac *other;
    uint8_t mac[CRYPTO_MAC];
    bool ok;

    assert_int_equal(crypto_hmac_new(CRYPTO_SHA256, (const uint8_t *)key, strlen(key), &other), TW_OK);
    crypto_hmac(other, (const uint8_t *)"x", 1, NULL, 0, mac);
    ok = crypto_hmac_ok(m, (const uint8_t *)"x", 1, NULL, 0, mac);
    crypto_hmac_free(other);
    return ok;
}

static void stamp(void **state)
{
    struct stamp_keys keys = { 0 };
    struct secrets *s;
    size_t left = 99;

    (void)state;
    write_file("alice new\nbob bobs\nalice old\ncarol old\nalice new\n");
    s = load();
    assert_int_equal(secrets_stamp_keys(s, "mallory", &keys, &left), TW_ENOENT);
    assert_int_equal(left, 99);
    assert_int_equal(secrets_stamp_keys(s, "alice", &keys, &left), TW_OK);
    assert_true(keys.n == 2 && left == 0 && signs_as(keys.key[0], "new") && signs_as(keys.key[1], "old"));
    stamp_keys_clear(&keys);
    assert_int_equal(secrets_stamp_keys(s, NULL, &keys, &left), TW_OK);
    assert_true(keys.n == 3 && left == 0 && signs_as(keys.key[0], "new") && signs_as(keys.key[1], "bobs") &&
                signs_as(keys.key[2], "old"));
    stamp_keys_clear(&keys);
    secrets_free(s);
}

static void too_many_keys(void **state)
{
    struct stamp_keys keys = { 0 };
    char text[1024] = "";
    struct secrets *s;
    size_t left = 99;

    (void)state;
    for (unsigned i = 0; i < STAMP_KEYS_MAX + 3; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "alice key%u\nuser%u key%u\n", i, i, i);
    write_file(text);
    s = load();
    assert_int_equal(secrets_stamp_keys(s, "alice", &keys, &left), TW_OK);
    assert_true(keys.n == STAMP_KEYS_MAX && left == 3);
    assert_true(signs_as(keys.key[STAMP_KEYS_MAX - 1], "key15"));
    assert_int_equal(secrets_stamp_keys(s, "user3", &keys, &left), TW_OK); /* no room at all */
    assert_int_equal(left, 1);
    stamp_keys_clear(&keys);
    secrets_free(s);
}

/* ---- Reading again ---- */

static void reload(void **state)
{
    struct tw_err err = { 0 };
    struct form_key k;
    struct secrets *s;

    (void)state;
    write_file("alice one\n");
    s = load();
    assert_int_equal(secrets_reload_if_changed(s, &err), TW_EAGAIN);
    write_file("alice two\n");
    assert_int_equal(secrets_reload_if_changed(s, &err), TW_OK);
    assert_int_equal(find(s, "alice", &k, 1), 1);
    assert_key(&k, "two");
    assert_int_equal(secrets_reload_if_changed(s, &err), TW_EAGAIN);
    write_file("alice three\nbob four\n");
    assert_int_equal(secrets_reload_if_changed(s, &err), TW_OK);
    assert_int_equal(secrets_count(s), 2);
    secrets_free(s);
}

static void wipe_file(void)
{
    unlink(path);
}
static void spoil_line(void)
{
    write_file("alice two\nbob\n");
}
static void empty_it(void)
{
    write_file("");
}
static void let_others_read(void)
{
    chmod(path, 0640);
}
static void make_fifo(void)
{
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
}

/* Whatever happens to the file, what was read before stays, and it is said once. */
static void bad_reloads(void **state)
{
    static const struct {
        void (*change)(void);
        enum tw_rc rc;
        unsigned line;
        const char *says;
    } rows[] = {
        { wipe_file, TW_ENOENT, 0, "No such file" },  { spoil_line, TW_EINVAL, 2, "has one word" },
        { empty_it, TW_EINVAL, 0, "has no entry" },   { let_others_read, TW_EPERM, 0, "chmod 600" },
        { make_fifo, TW_EINVAL, 0, "not a regular" },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct tw_err err = { 0 };
        struct secrets *s;
        struct form_key k;
        unlink(path);
        write_file("alice one\n");
        s = load();
        rows[i].change();
        for (unsigned again = 0; again < 3; again++) {
            enum tw_rc rc = secrets_reload_if_changed(s, &err);
            if (rc != (again ? TW_EAGAIN : rows[i].rc) || err.line != rows[i].line ||
                !strstr(err.text, rows[i].says) || strcmp(err.file, path) != 0)
                fail_msg("row %zu, time %u: %s, %u: %s", i, again, tw_rc_name(rc), err.line, err.text);
            assert_int_equal(find(s, "alice", &k, 1), 1);
            assert_key(&k, "one");
        }
        unlink(path);
        write_file("alice good again\n");
        assert_int_equal(secrets_reload_if_changed(s, &err), TW_OK);
        assert_int_equal(find(s, "alice", &k, 1), 1);
        assert_key(&k, "good again");
        secrets_free(s);
    }
}

/* The permissions alone are put right. */
static void chmod_is_noticed(void **state)
{
    struct tw_err err = { 0 };
    struct secrets *s;

    (void)state;
    write_file("alice one\n");
    s = load();
    chmod(path, 0644);
    assert_int_equal(secrets_reload_if_changed(s, &err), TW_EPERM);
    usleep(20000); /* a tick of the file system's clock */
    chmod(path, 0600);
    assert_int_equal(secrets_reload_if_changed(s, &err), TW_OK);
    secrets_free(s);
}

static void all_is_wiped(void **state)
{
    struct secrets *s = NULL;
    char *plain = strdup("telltale");

    (void)state;
    told = 0;
    free(plain);
    assert_int_equal(told, 1); /* the test can fail */
    told = 0;
    write_file("alice telltale\nbob telltale 2\n");
    s = load();
    write_file("alice telltale\nbob telltale 2\nalice\n");
    assert_int_equal(secrets_reload_if_changed(s, NULL), TW_EINVAL);
    write_file("alice telltale\nbob telltale 3\n");
    assert_int_equal(secrets_reload_if_changed(s, NULL), TW_OK);
    secrets_free(s);
    assert_int_equal(told, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(good_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(longest_hex, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(large_files, setup, teardown),
        cmocka_unit_test_setup_teardown(modes, setup, teardown),
        cmocka_unit_test_setup_teardown(other_owners, setup, teardown),
        cmocka_unit_test_setup_teardown(credentials, setup, teardown),
        cmocka_unit_test_setup_teardown(not_a_file, setup, teardown),
        cmocka_unit_test_setup_teardown(rotation, setup, teardown),
        cmocka_unit_test_setup_teardown(stamp, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(reload, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_reloads, setup, teardown),
        cmocka_unit_test_setup_teardown(chmod_is_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(all_is_wiped, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
