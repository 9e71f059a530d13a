/* Captured packets of independent implementations: tests/golden/vectors/NAME.json. */
#ifndef TESTS_UNIT_AGENT_CORE_GOLDEN_H
#define TESTS_UNIT_AGENT_CORE_GOLDEN_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cjson/cJSON.h>

#include "common/rc.h"

static inline cJSON *golden_load(const char *name)
{
    static char text[1 << 17];
    char path[512];
    size_t n;
    FILE *f;

    snprintf(path, sizeof path, "%s/tests/golden/vectors/%s.json", TW_SOURCE_DIR, name);
    f = fopen(path, "r");
    if (!f)
        fail_msg("%s cannot be read", path);
    n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    return cJSON_Parse(text);
}

/* The array of test packets, of a controlled session or a Light one. */
static inline const cJSON *golden_packets(const cJSON *doc)
{
    const cJSON *sessions = cJSON_GetObjectItem(doc, "test_sessions");
    const cJSON *packets = cJSON_GetObjectItem(sessions ? cJSON_GetArrayItem(sessions, 0) : doc, "packets");

    if (cJSON_GetArraySize(packets) < 2)
        fail_msg("no packets in the vector");
    return packets;
}

static inline const char *golden_text(const cJSON *packet, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(packet, name));

    return text ? text : "";
}

static inline uint64_t golden_number(const cJSON *packet, const char *name)
{
    return (uint64_t)cJSON_GetNumberValue(cJSON_GetObjectItem(packet, name));
}

/* The hex of a field that is an object of its own: a timestamp or an Error Estimate. */
static inline uint64_t golden_hex(const cJSON *packet, const char *name)
{
    return strtoull(golden_text(cJSON_GetObjectItem(packet, name), "hex"), NULL, 16);
}

static inline size_t test_unhex(const char *hex, uint8_t *buf, size_t cap)
{
    size_t n = 0;

    for (; *hex; hex++) {
        unsigned byte;
        if (*hex == ' ')
            continue;
        if (n == cap || sscanf(hex, "%2x", &byte) != 1)
            fail_msg("bad hex: %s", hex);
        buf[n++] = (uint8_t)byte;
        hex++;
    }
    return n;
}

static inline size_t golden_wire(const cJSON *packet, uint8_t *buf, size_t cap)
{
    return test_unhex(golden_text(packet, "wire"), buf, cap);
}

#endif
