#include "controller/zone_table.h"

#include <glib.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/name_index.h"

#define FROM_S INT64_C(1577836800)  /* 2020-01-01 */
#define TO_S INT64_C(2524608000)    /* 2050-01-01 */
#define STEP_S (INT64_C(7) * 86400) /* no zone changes twice within it, but for Ramadan: that is four weeks \
                                     */
#define NAMES "/usr/share/zoneinfo/tzdata.zi"

/* ---- Names ---- */

/* Of the database: nothing that could lead out of its folder, and none of the notations such as "+01:00" that
 * GLib takes besides. */
static bool is_name(const char *name)
{
    static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-/";
    size_t len = strlen(name);

    return len && len < ZONE_NAME && strspn(name, chars) == len && g_ascii_isalpha(name[0]) &&
           !strstr(name, "//");
}

/* Lines of zones and of links: "Z NAME ...", "L TARGET NAME". */
static const char *name_of_line(char *line)
{
    char *save = NULL, *kind = strtok_r(line, " \n", &save), *first = strtok_r(NULL, " \n", &save);

    if (kind && !strcmp(kind, "Z"))
        return first;
    return kind && first && !strcmp(kind, "L") ? strtok_r(NULL, " \n", &save) : NULL;
}

static void find_near(const char *name, char near[ZONE_NAME])
{
    unsigned least = UINT_MAX, distance;
    FILE *f = fopen(NAMES, "re");
    char line[256];

    near[0] = 0;
    while (f && fgets(line, sizeof line, f)) {
        const char *candidate = name_of_line(line);

        if (!candidate || strlen(candidate) >= ZONE_NAME ||
            (distance = name_distance(candidate, name)) >= least)
            continue;
        least = distance;
        memcpy(near, candidate, strlen(candidate) + 1);
    }
    if (f)
        fclose(f);
    if (!name_is_near(least, name))
        near[0] = 0;
}

/* ---- Tables ---- */

static int32_t offset_at(GTimeZone *tz, int64_t at_s)
{
    return g_time_zone_get_offset(tz, g_time_zone_find_interval(tz, G_TIME_TYPE_UNIVERSAL, at_s));
}

/* One that is somewhere in (from, to]. */
static int64_t find_change(GTimeZone *tz, int64_t from_s, int64_t to_s)
{
    int32_t before = offset_at(tz, from_s);

    while (to_s - from_s > 1) {
        int64_t mid_s = from_s + (to_s - from_s) / 2;

        if (offset_at(tz, mid_s) == before)
            from_s = mid_s;
        else
            to_s = mid_s;
    }
    return to_s;
}

static void fill(GTimeZone *tz, struct zone *z)
{
    z->offset_s = offset_at(tz, FROM_S);
    for (int64_t at_s = FROM_S; at_s < TO_S && z->n < ZONE_CHANGES_MAX; at_s += STEP_S) {
        if (offset_at(tz, at_s) == offset_at(tz, at_s + STEP_S))
            continue;
        z->v[z->n].at_s = find_change(tz, at_s, at_s + STEP_S);
        z->v[z->n].offset_s = offset_at(tz, z->v[z->n].at_s);
        z->n++;
    }
}

enum tw_rc zone_table_make(const char *name, struct zone *ret, char near[ZONE_NAME])
{
    GTimeZone *tz = is_name(name) ? g_time_zone_new_identifier(name) : NULL;
    struct zone z = { 0 };

    near[0] = 0;
    if (!tz) {
        find_near(name, near);
        return TW_ENOENT;
    }
    z.v = calloc(ZONE_CHANGES_MAX, sizeof *z.v);
    if (z.v) {
        fill(tz, &z);
        memcpy(z.name, name, strlen(name) + 1);
        *ret = z;
    }
    g_time_zone_unref(tz);
    return z.v ? TW_OK : TW_ENOMEM;
}
