#include "common/id_secret.h"
#include <string.h>
#include "common/hextext.h"

#define ID_CHARS (ID_SECRET_ID_TEXT - 1)

char *id_secret_format(const uint8_t random[ID_SECRET_ID_OCTETS + ID_SECRET_OCTETS], char *to)
{
    to = hextext_format(random, ID_SECRET_ID_OCTETS, to);
    *to++ = '.';
    return base64url_encode(random + ID_SECRET_ID_OCTETS, to);
}

const char *id_secret_parse(const char *text, char id[ID_SECRET_ID_TEXT], uint8_t secret[ID_SECRET_OCTETS])
{
    const char *dot = text + strnlen(text, ID_CHARS);

    memcpy(id, text, (size_t)(dot - text));
    id[dot - text] = '\0';
    if (!hextext_is(id, ID_SECRET_ID_OCTETS) || *dot != '.' || !base64url_decode(dot + 1, secret))
        return NULL;
    return dot + 1 + BASE64URL_CHARS;
}
