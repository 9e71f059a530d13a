/* The text of a token, as anybody may send it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "controller/core/access.h"
#include "tests/fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The token of the octets 0 to 39 is known, and nothing else. */
static void look(const char *text)
{
    uint8_t random[ACCESS_RANDOM_OCTETS];
    struct access_token t = { .role = ACCESS_OPERATOR, .name = "n" };
    struct access_who who = { .role = ACCESS_NOBODY }, before = who;
    char right[ACCESS_TOKEN_TEXT];
    struct access *a = NULL;
    enum access_verdict v;

    for (size_t i = 0; i < sizeof random; i++)
        random[i] = (uint8_t)i;
    access_make(random, &t, right);
    if (access_new(1, &a) != TW_OK)
        return;
    CHECK(access_put(a, &t) == TW_OK);
    v = access_find(a, (struct tw_wall){ 1 }, text, &who);
    CHECK((v == ACCESS_OK) == !strcmp(text, right));
    CHECK((v == ACCESS_MALFORMED) == !access_text_ok(text));
    CHECK(v == ACCESS_OK ? who.role == ACCESS_OPERATOR : !memcmp(&who, &before, sizeof who));
    access_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1); /* its own block: a read behind the end shows */

    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    look(text);
    free(text);
    return 0;
}
