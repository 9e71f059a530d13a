/* The tree that is printed as JSON, as YAML: libyaml writes and quotes. What is left to us is to say which
 * texts would be read as something else if they stood there plainly. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>
#include "controller/cli/out.h"

#define NO_FOLDING (-1) /* what is on one line stays there */

/* Some reader takes it for a truth value, for nothing, or for a number (YAML 1.1 and 1.2). */
static bool reads_as_another_type(const char *text)
{
    static const char *const words[] = { "true", "false", "yes", "no", "on", "off", "null", "y", "n" };

    if (!((*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') || *text == '/'))
        return true; /* numbers, times, ~, and whatever has a meaning at the beginning */
    for (size_t i = 0; i < TW_NELEM(words); i++)
        if (!strcasecmp(text, words[i]))
            return true;
    return false;
}

static yaml_scalar_style_t style_of(const char *text)
{
    if (strchr(text, '\n'))
        return YAML_LITERAL_SCALAR_STYLE; /* the emitter knows where it cannot be */
    return reads_as_another_type(text) ? YAML_SINGLE_QUOTED_SCALAR_STYLE : YAML_PLAIN_SCALAR_STYLE;
}

/* Each emits; the emitter has taken the event whether it succeeds or not. */
static bool scalar(yaml_emitter_t *e, const char *text, yaml_scalar_style_t style, bool is_text)
{
    yaml_event_t event;

    return yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text, (int)strlen(text), 1,
                                        is_text, style) &&
           yaml_emitter_emit(e, &event);
}

/* Readers of YAML 1.1 take "2e-06" for a text, and "2.0e-06" for a number. */
static bool number(yaml_emitter_t *e, const char *text)
{
    size_t mantissa = strcspn(text, "e");
    char buf[OUT_NUM + 2];

    snprintf(buf, sizeof buf, "%.*s%s%s", (int)mantissa, text,
             text[mantissa] && !memchr(text, '.', mantissa) ? ".0" : "", text + mantissa);
    return scalar(e, buf, YAML_PLAIN_SCALAR_STYLE, false);
}

static bool node(yaml_emitter_t *e, const cJSON *item);

static bool list(yaml_emitter_t *e, const cJSON *array)
{
    yaml_event_t event;
    bool ok = yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE) &&
              yaml_emitter_emit(e, &event);

    for (const cJSON *i = array->child; ok && i; i = i->next)
        ok = node(e, i);
    return ok && yaml_sequence_end_event_initialize(&event) && yaml_emitter_emit(e, &event);
}

static bool map(yaml_emitter_t *e, const cJSON *object)
{
    yaml_event_t event;
    bool ok = yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE) &&
              yaml_emitter_emit(e, &event);

    for (const cJSON *i = object->child; ok && i; i = i->next)
        ok = scalar(e, i->string, style_of(i->string), true) && node(e, i);
    return ok && yaml_mapping_end_event_initialize(&event) && yaml_emitter_emit(e, &event);
}

/* Depth is what commands build: a few. */
static bool node(yaml_emitter_t *e, const cJSON *item)
{
    char text[OUT_NUM];

    if (cJSON_IsObject(item))
        return map(e, item);
    if (cJSON_IsArray(item))
        return list(e, item);
    if (cJSON_IsString(item))
        return scalar(e, item->valuestring, style_of(item->valuestring), true);
    if (cJSON_IsRaw(item))
        return number(e, item->valuestring);
    if (cJSON_IsNumber(item))
        return number(e, numtext_exact(item->valuedouble, text));
    return scalar(e,
                  cJSON_IsTrue(item)    ? "true"
                  : cJSON_IsFalse(item) ? "false"
                                        : "null",
                  YAML_PLAIN_SCALAR_STYLE, false);
}

static bool document(yaml_emitter_t *e, const cJSON *root, bool begin)
{
    yaml_event_t event;

    return yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING) && yaml_emitter_emit(e, &event) &&
           yaml_document_start_event_initialize(&event, NULL, NULL, NULL, !begin) &&
           yaml_emitter_emit(e, &event) && node(e, root) && yaml_document_end_event_initialize(&event, 1) &&
           yaml_emitter_emit(e, &event) && yaml_stream_end_event_initialize(&event) &&
           yaml_emitter_emit(e, &event);
}

static int write_to(void *to, unsigned char *text, size_t len)
{
    return fwrite(text, 1, len, to) == len;
}

bool out_yaml_print(cJSON *root, FILE *to, bool begin, const char **ret_why)
{
    yaml_emitter_t e;
    bool ok = false;

    *ret_why = "out of memory";
    if (root && yaml_emitter_initialize(&e)) {
        yaml_emitter_set_output(&e, write_to, to);
        yaml_emitter_set_unicode(&e, 1);
        yaml_emitter_set_width(&e, NO_FOLDING);
        ok = document(&e, root, begin);
        if (!ok) /* libyaml's texts are constants; it has none for a text that it does not take */
            *ret_why = e.problem ? e.problem : "a text is not UTF-8, or out of memory";
        yaml_emitter_delete(&e);
    }
    cJSON_Delete(root);
    return ok;
}
