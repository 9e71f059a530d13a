#include <fcntl.h>
#include <pthread.h>
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

#include "common/net/identity.h"

static char dir[64], path[128];

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/twid.XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/key", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir); /* also fails when a temporary file was left behind */
}

static void write_file(const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void a_key_is_made_once_and_kept(void **state)
{
    uint8_t first[IDENTITY_KEY_LEN], again[IDENTITY_KEY_LEN];
    struct identity *id = NULL;
    struct tw_err err = { 0 };
    struct stat st;
    mode_t mask = umask(0); /* the mode must not depend on it */

    (void)state;
    if (identity_load(path, &id, &err))
        fail_msg("%s", err.text);
    umask(mask);
    identity_public(id, first);
    identity_free(id);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(identity_load(path, &id, &err), TW_OK);
    identity_public(id, again);
    identity_free(id);
    assert_memory_equal(first, again, sizeof first);
    identity_free(NULL);
}

static void *load(void *arg)
{
    uint8_t *key = arg;
    struct identity *id;

    if (identity_load(path, &id, NULL) == TW_OK) {
        identity_public(id, key);
        identity_free(id);
    }
    return NULL;
}

static void racing_starts_agree_on_one_key(void **state)
{
    uint8_t keys[4][IDENTITY_KEY_LEN] = { 0 };
    pthread_t t[4];

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, load, keys[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    for (int i = 1; i < 4; i++)
        assert_memory_equal(keys[0], keys[i], IDENTITY_KEY_LEN);
    assert_memory_not_equal(keys[0], (uint8_t[IDENTITY_KEY_LEN]){ 0 }, IDENTITY_KEY_LEN);
}

/* RFC 8410 section 10.3. */
#define ED25519_PEM                                                      \
    "-----BEGIN PRIVATE KEY-----\n"                                      \
    "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n" \
    "-----END PRIVATE KEY-----\n"

static void bad_files_are_refused(void **state)
{
    static const struct {
        const char *name, *text;
        mode_t mode;
        enum tw_rc rc;
    } rows[] = {
        { "good", ED25519_PEM, 0600, TW_OK },
        { "good, read only", ED25519_PEM, 0400, TW_OK },
        { "group may read", ED25519_PEM, 0640, TW_EPERM },
        { "others may write", ED25519_PEM, 0602, TW_EPERM },
        { "empty", "", 0600, TW_ECORRUPT },
        { "no PEM", "hello\n", 0600, TW_ECORRUPT },
        { "cut short", "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIE\n", 0600, TW_ECORRUPT },
        /* X25519, which cannot sign */
        { "another algorithm",
          "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VuBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
          "-----END PRIVATE KEY-----\n",
          0600, TW_ECORRUPT },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct identity *id = NULL;
        struct tw_err err = { 0 };
        enum tw_rc rc;

        unlink(path);
        write_file(rows[i].text, rows[i].mode);
        rc = identity_load(path, &id, &err);
        if (rc != rows[i].rc || (rc && !strstr(err.text, path)))
            fail_msg("%s: %s \"%s\"", rows[i].name, tw_rc_name(rc), err.text);
        identity_free(id);
    }
}

static void a_folder_that_is_missing_is_named(void **state)
{
    struct identity *id = NULL;
    struct tw_err err = { 0 };

    (void)state;
    assert_int_equal(identity_load("/nonexistent/key", &id, &err), TW_ENOENT);
    assert_non_null(strstr(err.text, "/nonexistent/key"));
    assert_null(id);
}

/* The key of RFC 8410 and its public half; the signature is checked both ways. */
static void signatures_are_verified(void **state)
{
    static const char data[] = "nonce and names";
    uint8_t sig[IDENTITY_SIG_LEN], key[IDENTITY_KEY_LEN];
    const uint8_t *d = (const uint8_t *)data;
    char text[IDENTITY_FINGERPRINT_TEXT];
    struct identity *id;

    (void)state;
    write_file(ED25519_PEM, 0600);
    assert_int_equal(identity_load(path, &id, NULL), TW_OK);
    identity_public(id, key);
    assert_int_equal(key[0], 0x19);
    assert_int_equal(key[31], 0xe1);
    assert_int_equal(identity_sign(id, d, sizeof data, sig), TW_OK);
    assert_true(identity_verify(key, d, sizeof data, sig, sizeof sig));
    assert_false(identity_verify(key, d, sizeof data - 1, sig, sizeof sig));
    assert_false(identity_verify(key, d, sizeof data, sig, sizeof sig - 1));
    assert_false(identity_verify(key, d, sizeof data, NULL, 0));
    sig[5] ^= 4;
    assert_false(identity_verify(key, d, sizeof data, sig, sizeof sig));
    sig[5] ^= 4;
    key[7] ^= 1;
    assert_false(identity_verify(key, d, sizeof data, sig, sizeof sig));
    identity_fingerprint(key, text);
    assert_int_equal(strlen(text), 64);
    assert_int_equal(strspn(text, "0123456789abcdef"), 64);
    identity_free(id);
}

static void a_fingerprint_is_sha_256(void **state)
{
    char text[IDENTITY_FINGERPRINT_TEXT];

    (void)state;
    identity_fingerprint((const uint8_t[IDENTITY_KEY_LEN]){ 0 }, text);
    assert_string_equal(text, "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925");
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_key_is_made_once_and_kept),       T(racing_starts_agree_on_one_key), T(bad_files_are_refused),
        T(a_folder_that_is_missing_is_named), T(signatures_are_verified),        T(a_fingerprint_is_sha_256),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
