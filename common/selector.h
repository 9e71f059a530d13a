/* common/selector.h - labels of agents, and which of them a selector means: "site=ams,role!=edge". Pure. */
#ifndef TW_COMMON_SELECTOR_H
#define TW_COMMON_SELECTOR_H

#include <stdbool.h>
#include "common/rc.h"

struct tw_label {
    const char *key, *value;
};

#define TW_LABEL_MAX 64        /* octets of a key or a value with its NUL */
#define TW_LABELS_MAX 32       /* of one agent */
#define SELECTOR_TEXT_MAX 1024 /* octets of a selector, with its NUL */
#define SELECTOR_TERMS_MAX 32
#define SELECTOR_VALUES_MAX 128  /* of all its terms together */
#define SELECTOR_NAME_KEY "name" /* stands for the agent's name; no label can have this key */

struct selector; /* does not change once it is made: any thread can match by it */

/* Terms between commas, all of which must hold:
 *   k=v   k!=v   k in (a,b)   k notin (a,b)   k (there is such a label)   !k (there is none)
 * "!=" and "notin" hold, too, where there is no such label. The key "name" is the agent's name. "*" alone
 * means every agent. Spaces around words do not matter. Keys and values are 1..63 characters of A-Z a-z 0-9
 * . _ - / each. TW_EINVAL, err saying what was expected at which character (err->column); TW_ENOMEM.
 * On TW_OK the caller ends *ret with selector_free(). */
enum tw_rc selector_parse(const char *text, struct selector **ret, struct tw_err *err);
void selector_free(struct selector *s); /* NULL is allowed */
/* NULL means every agent, as "*" does. */
bool selector_match(const struct selector *s, const struct tw_label *labels, size_t n, const char *name);
/* The value of a label; NULL: there is none. */
const char *label_value(const struct tw_label *labels, size_t n, const char *key);
/* 1..63 of the characters that keys and values may have. */
bool label_word_ok(const char *word);
/* As label_word_ok(), and not the key that stands for the name. */
bool label_key_ok(const char *key);

#endif
