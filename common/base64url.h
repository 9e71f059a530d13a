/* common/base64url.h - 32 octets, a secret or a digest, as text: base64url without padding (RFC 4648 section 5). Pure. */
#ifndef TW_BASE64URL_H
#define TW_BASE64URL_H

#include <stdbool.h>
#include <stdint.h>

#define BASE64URL_OCTETS 32
#define BASE64URL_CHARS 43

/* Terminates it; returns where the NUL is. */
char *base64url_encode(const uint8_t in[BASE64URL_OCTETS], char to[BASE64URL_CHARS + 1]);
/* Reads BASE64URL_CHARS characters, fewer if one is none of the alphabet, such as a NUL. Of the many texts that stand for the same
 * octets only the one that base64url_encode() makes is taken. */
bool base64url_decode(const char *in, uint8_t ret[BASE64URL_OCTETS]);

#endif
