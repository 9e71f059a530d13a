#include "tests/cluster/current/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *what, const char *path)
{
    fprintf(stderr, "%s: %s\n", path, what);
    exit(1);
}

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "r");
    char *text = NULL;
    size_t cap = 0;

    if (!f || getdelim(&text, &cap, '\0', f) < 0)
        die("cannot be read", path);
    fclose(f);
    return text;
}

/* What is between <name> and </name>, from *at on, which it moves behind; NULL: no more. */
static char *next_element(const char **at, const char *name)
{
    char begin[64], end[64];
    const char *p, *q;

    snprintf(begin, sizeof begin, "<%s>", name);
    snprintf(end, sizeof end, "</%s>", name);
    p = strstr(*at, begin);
    q = p ? strstr(p, end) : NULL;
    if (!q)
        return NULL;
    p += strlen(begin);
    *at = q + strlen(end);
    return strndup(p, (size_t)(q - p));
}

static char *element(const char *text, const char *name)
{
    return next_element(&text, name);
}

static unsigned number(const char *text, const char *name)
{
    char *value = element(text, name);
    unsigned n = value ? (unsigned)atoi(value) : 0;

    free(value);
    return n;
}

static char *file_in(const char *text, const char *name)
{
    char *path = element(text, name), *content = path ? read_file(path) : NULL;

    free(path);
    return content;
}

void config_read(const char *path, struct config *ret)
{
    char *text = read_file(path), *address;
    const char *at = text;

    *ret = (struct config){ .path = element(text, "path"),
                            .http_port = number(text, "http_port"),
                            .https_port = number(text, "https_port"),
                            .certificate = file_in(text, "certificateFile"),
                            .private_key = file_in(text, "privateKeyFile"),
                            .users = file_in(text, "users_config"),
                            .most_to_drop = element(text, "max_partition_size_to_drop") };
    while (ret->n_listen < CONFIG_LISTEN_MAX && (address = next_element(&at, "listen_host")))
        ret->listen[ret->n_listen++] = address;
    if (!ret->path || !ret->users || !ret->http_port || !ret->n_listen)
        die("expected path, users_config, http_port and listen_host", path);
    if (ret->https_port && (!ret->certificate || !ret->private_key))
        die("https_port: expected certificateFile and privateKeyFile", path);
    free(text);
}

/* As XML has it. */
static char *unescape(char *text)
{
    char *amp = text;

    while ((amp = strstr(amp, "&amp;")) != NULL) {
        amp++;
        memmove(amp, amp + 4, strlen(amp + 4) + 1);
    }
    return text;
}

bool config_knows(const struct config *c, const char *user, const char *password)
{
    char *users = element(c->users, "users"), *own = NULL, *expected = NULL;
    bool known;

    if (users && strlen(user ? user : "default") < 60)
        own = element(users, user ? user : "default");
    if (own)
        expected = element(own, "password");
    known = expected && !strcmp(unescape(expected), password ? password : "");
    free(users);
    free(own);
    free(expected);
    return known;
}

void config_free(struct config *c)
{
    for (unsigned i = 0; i < c->n_listen; i++)
        free(c->listen[i]);
    free(c->path);
    free(c->certificate);
    free(c->private_key);
    free(c->users);
    free(c->most_to_drop);
}
