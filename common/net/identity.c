#include "common/net/identity.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include "common/folder.h"
#include "common/hextext.h"
#include "common/net/keyfile.h"

#define MAX_FILE 4096 /* a PEM Ed25519 key has 119 octets */

struct identity {
    EVP_PKEY *key; /* OpenSSL wipes it when it is freed */
    uint8_t public[IDENTITY_KEY_LEN];
};

/* ---- Reading ---- */

static EVP_PKEY *parse_pem(const char *text, size_t len)
{
    BIO *bio = BIO_new_mem_buf(text, (int)len);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, pki_no_passphrase, NULL) : NULL;

    BIO_free(bio);
    if (key && EVP_PKEY_get_id(key) != EVP_PKEY_ED25519) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    return key;
}

static enum tw_rc read_key(int fd, const char *path, EVP_PKEY **ret, struct tw_err *err)
{
    char text[MAX_FILE];
    enum tw_rc rc = keyfile_check(fd, path, "holds a private key", err);
    ssize_t n;

    if (rc)
        return rc;
    n = read(fd, text, sizeof text);
    if (n < 0)
        return tw_err_set(err, tw_rc_errno(errno), "%s: %s", path, strerror(errno));
    *ret = parse_pem(text, (size_t)n);
    OPENSSL_cleanse(text, sizeof text);
    return *ret ? TW_OK
                : tw_err_set(err, TW_ECORRUPT, "%s: not an unencrypted Ed25519 private key in PEM", path);
}

/* ---- Making ---- */

static bool write_pem(int fd, EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem()); /* wiped when freed */
    char *text = NULL;
    bool ok = bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    long len = ok ? BIO_get_mem_data(bio, &text) : 0;

    ok = ok && keyfile_put(fd, text, (size_t)len);
    BIO_free(bio);
    return ok;
}

/* TW_EEXIST: somebody else made the file meanwhile, and theirs holds. link() never replaces a file. */
static enum tw_rc make_key(const char *path, struct tw_err *err)
{
    char tmp[PATH_MAX];
    EVP_PKEY *key;
    enum tw_rc rc = TW_OK;
    int fd;

    if (snprintf(tmp, sizeof tmp, "%s.XXXXXX", path) >= (int)sizeof tmp)
        return tw_err_set(err, TW_EINVAL, "%s: path too long", path);
    fd = mkostemp(tmp, O_CLOEXEC); /* mode 0600 */
    if (fd < 0)
        return tw_err_set(err, tw_rc_errno(errno), "%s: cannot be made: %s", path, strerror(errno));
    key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (!key || !write_pem(fd, key))
        rc = tw_err_set(err, TW_EIO, "%s: cannot make or write a key", path);
    else if (link(tmp, path) < 0)
        rc = tw_err_set(err, tw_rc_errno(errno), "%s: %s", path, strerror(errno));
    EVP_PKEY_free(key);
    close(fd);
    unlink(tmp);
    folder_sync(path);
    return rc;
}

static enum tw_rc open_or_make(const char *path, int *ret_fd, struct tw_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    enum tw_rc rc;

    if (fd < 0 && errno == ENOENT) {
        rc = make_key(path, err);
        if (rc && rc != TW_EEXIST)
            return rc;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    }
    if (fd < 0)
        return tw_err_set(err, tw_rc_errno(errno), "%s: %s", path, strerror(errno));
    *ret_fd = fd;
    return TW_OK;
}

enum tw_rc identity_load(const char *path, struct identity **ret, struct tw_err *err)
{
    struct identity *id;
    size_t len = IDENTITY_KEY_LEN;
    int fd = -1;
    enum tw_rc rc = open_or_make(path, &fd, err);

    if (rc)
        return rc;
    id = calloc(1, sizeof *id);
    rc = id ? read_key(fd, path, &id->key, err) : tw_err_set(err, TW_ENOMEM, "out of memory");
    close(fd);
    if (!rc && !EVP_PKEY_get_raw_public_key(id->key, id->public, &len))
        rc = tw_err_set(err, TW_EIO, "%s: OpenSSL does not give the public key", path);
    if (rc) {
        identity_free(id);
        return rc;
    }
    *ret = id;
    return TW_OK;
}

void identity_free(struct identity *id)
{
    if (!id)
        return;
    EVP_PKEY_free(id->key);
    free(id);
}

/* ---- Using ---- */

void identity_public(const struct identity *id, uint8_t ret_key[IDENTITY_KEY_LEN])
{
    memcpy(ret_key, id->public, IDENTITY_KEY_LEN);
}

enum tw_rc identity_sign(const struct identity *id, const uint8_t *data, size_t len,
                         uint8_t ret_sig[IDENTITY_SIG_LEN])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t sig_len = IDENTITY_SIG_LEN;
    bool ok = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, id->key) == 1 &&
              EVP_DigestSign(ctx, ret_sig, &sig_len, data, len) == 1;

    EVP_MD_CTX_free(ctx);
    return ok ? TW_OK : TW_EIO;
}

bool identity_verify(const uint8_t key[IDENTITY_KEY_LEN], const uint8_t *data, size_t len, const uint8_t *sig,
                     size_t sig_len)
{
    EVP_PKEY *pub;
    EVP_MD_CTX *ctx;
    bool ok;

    if (sig_len != IDENTITY_SIG_LEN)
        return false;
    pub = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, IDENTITY_KEY_LEN);
    ctx = EVP_MD_CTX_new();
    ok = pub && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pub) == 1 &&
         EVP_DigestVerify(ctx, sig, sig_len, data, len) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pub);
    return ok;
}

void identity_fingerprint(const uint8_t key[IDENTITY_KEY_LEN], char ret[IDENTITY_FINGERPRINT_TEXT])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];

    SHA256(key, IDENTITY_KEY_LEN, digest);
    hextext_format(digest, sizeof digest, ret);
}

enum tw_rc identity_random(uint8_t *buf, size_t len)
{
    while (len > 0) {
        ssize_t n = getrandom(buf, len, 0);

        if (n < 0 && errno != EINTR)
            return tw_rc_errno(errno);
        if (n > 0) {
            buf += n;
            len -= (size_t)n;
        }
    }
    return TW_OK;
}
