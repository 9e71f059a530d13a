/* controller/doc_json.h - a YAML document as JSON, which says the same to those who read every value as text. */
#ifndef TW_CONTROLLER_DOC_JSON_H
#define TW_CONTROLLER_DOC_JSON_H

#include <stdbool.h>
#include "common/rc.h"

/* Indented, with a newline at its end; malloc'ed. Anchors are resolved, comments lost; plain numbers, true and false stay as they are, all other
 * values become strings. TW_EINVAL: it is no document, or too large. TW_ENOMEM. */
enum tw_rc doc_to_json(const char *text, char **ret, struct tw_err *err);
/* Is `json` what doc_to_json() makes of `text`, but for white space between its tokens? Then it says nothing new. */
bool doc_is_json_of(const char *json, const char *text);

#endif
