#include "controller/relay_text.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "common/net/rpc_frame.h"

char *relay_text_write(const Tw__RelaySaid *said)
{
    size_t len = tw__relay_said__get_packed_size(said);
    uint8_t *packed = len <= RELAY_OCTETS_MAX ? malloc(len + 1) : NULL;
    char *text = packed ? malloc(RELAY_TEXT_MAX + 1) : NULL;

    if (text) {
        tw__relay_said__pack(said, packed);
        EVP_EncodeBlock((unsigned char *)text, packed, (int)len);
    }
    free(packed);
    return text;
}

/* Fills of its last group what the text does not say. */
static size_t padding(const char *text, size_t len)
{
    return (size_t)(text[len - 1] == '=') + (text[len - 2] == '=');
}

static enum tw_rc unpack(const uint8_t *octets, size_t len, struct arena **ret_arena, Tw__RelaySaid **ret,
                         struct tw_err *err)
{
    ProtobufCMessage *m = NULL;
    struct arena *a;
    enum tw_rc rc = arena_new(RPC_ARENA_CAP(len), &a);

    if (rc)
        return tw_err_set(err, rc, "out of memory");
    rc = rpc_body_unpack(&tw__relay_said__descriptor, octets, len, a, &m, err);
    if (!rc && !((Tw__RelaySaid *)m)->self)
        rc = tw_err_set(err, TW_EINVAL, "it does not say whose it is");
    if (rc) {
        arena_free(a);
        return rc;
    }
    *ret_arena = a;
    *ret = (Tw__RelaySaid *)m;
    return TW_OK;
}

enum tw_rc relay_text_read(const char *text, struct arena **ret_arena, Tw__RelaySaid **ret,
                           struct tw_err *err)
{
    size_t len = strnlen(text, RELAY_TEXT_MAX + 1);
    uint8_t *octets;
    enum tw_rc rc;
    int n;

    if (len > RELAY_TEXT_MAX)
        return tw_err_set(err, TW_ERANGE, "it has more than %u characters", RELAY_TEXT_MAX);
    if (!len || len % 4)
        return tw_err_set(err, TW_ECORRUPT, "expected base64");
    octets = malloc(len / 4 * 3);
    if (!octets)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    n = EVP_DecodeBlock(octets, (const unsigned char *)text, (int)len);
    rc = n < (int)padding(text, len) ? tw_err_set(err, TW_ECORRUPT, "expected base64")
                                     : unpack(octets, (size_t)n - padding(text, len), ret_arena, ret, err);
    free(octets);
    return rc;
}
