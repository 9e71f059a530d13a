/* common/id_secret.h - the part "ID.SECRET" that join and access tokens have in common: ID, 16 hexadecimal digits, names the token,
 * SECRET is 256 bits. Pure; the caller wipes the secret. */
#ifndef TW_ID_SECRET_H
#define TW_ID_SECRET_H

#include "common/base64url.h"

#define ID_SECRET_ID_OCTETS 8
#define ID_SECRET_ID_TEXT (2 * ID_SECRET_ID_OCTETS + 1) /* with the NUL */
#define ID_SECRET_OCTETS BASE64URL_OCTETS
#define ID_SECRET_CHARS (ID_SECRET_ID_TEXT + BASE64URL_CHARS) /* without one */

/* Of ID and secret, one after the other. Terminates it; returns where the NUL is. */
char *id_secret_format(const uint8_t random[ID_SECRET_ID_OCTETS + ID_SECRET_OCTETS], char *to);
/* Reads ID_SECRET_CHARS characters, fewer if one of them is wrong, such as a NUL; returns what stands behind, or NULL: they are none. */
const char *id_secret_parse(const char *text, char id[ID_SECRET_ID_TEXT], uint8_t secret[ID_SECRET_OCTETS]);

#endif
