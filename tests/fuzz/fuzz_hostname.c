/* A host name with a port, as an operator or a document may say it. */
#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>
#include "common/addr.h"
#include "common/hostname.h"
#include "tests/fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What holds of every name that is taken: it is none of an address to anybody, and means the same again. */
static void check(const char *host, uint16_t port)
{
    char again[HOSTNAME_MAX];
    struct tw_addr a;
    struct in_addr in;
    uint16_t port_again;

    CHECK(port && hostname_ok(host) && strlen(host) < HOSTNAME_MAX);
    CHECK(host[strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789-_.")] == '\0');
    CHECK(tw_addr_parse(host, 862, &a) != TW_OK);
    CHECK(!inet_aton(host, &in));
    CHECK(hostname_parse(host, port, again, sizeof again, &port_again) == TW_OK);
    CHECK(!strcmp(host, again) && port == port_again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1); /* its own block: a read behind the end shows */
    char host[HOSTNAME_MAX];
    uint16_t port = 0;

    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    if (hostname_parse(text, 862, host, sizeof host, &port) == TW_OK)
        check(host, port);
    else
        CHECK(!port && (strchr(text, ':') || !hostname_ok(text)));
    free(text);
    return 0;
}
