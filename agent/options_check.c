/* agent/options_check.c - what the table of options cannot say; see options.h. */
#include "agent/options.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent/core/homing.h"
#include "agent/core/twamp_form.h"
#include "common/acl.h"
#include "common/addr.h"
#include "common/net/httpd.h"
#include "common/net/rpc_hello.h"
#include "common/prefix.h"

#define ADDRESSES_MAX 8 /* of a reflector, and of a TWAMP-Control server */
#define DFLT_PORT 862

static void check_name(struct agent_options *o, struct conf_errors *e)
{
    char host[65] = "";

    if (!o->name && gethostname(host, sizeof host - 1) == 0) {
        for (char *p = host; *p; p++)
            *p = (char)tolower((unsigned char)*p);
        o->name = strdup(host);
    }
    if (!o->name)
        conf_errors_set(e, "name", "the host has no name: give one");
    else if (!hello_agent_name_ok(o->name))
        conf_errors_set(e, "name", "\"%.63s\" is no agent name: expected 1 to 63 of a-z 0-9 . -", o->name);
}

static void check_labels(struct agent_options *o, struct conf_errors *e)
{
    for (size_t i = 0; i < o->labels.n; i++) {
        const char *eq = strchr(o->labels.v[i], '=');
        if (!eq || eq == o->labels.v[i] || !eq[1] || strlen(o->labels.v[i]) > 128)
            conf_errors_set(e, "label", "\"%.64s\" is no label: expected KEY=VALUE", o->labels.v[i]);
    }
}

/* ---- Addresses ---- */

static void check_listeners(const struct conf_strlist *list, const char *option, struct conf_errors *e)
{
    struct tw_addr a, first = { 0 };
    size_t n = 0;

    for (size_t i = 0; i < list->n; i++) {
        if (!strcmp(list->v[i], "none"))
            continue;
        if (tw_addr_parse(list->v[i], DFLT_PORT, &a) != TW_OK) {
            conf_errors_set(e, option, "\"%.64s\" is no address; expected 192.0.2.1:862 or [2001:db8::1]:862",
                            list->v[i]);
            continue;
        }
        first = n++ ? first : a;
        if (a.port != first.port)
            conf_errors_set(e, option, "\"%.64s\": all addresses must have the same port", list->v[i]);
    }
    if (n > ADDRESSES_MAX)
        conf_errors_set(e, option, "at most %d addresses", ADDRESSES_MAX);
}

static void check_advertised(struct agent_options *o, struct conf_errors *e)
{
    struct tw_addr ignored;

    for (size_t i = 0; i < o->advertise.n; i++)
        if (tw_addr_parse(o->advertise.v[i], 0, &ignored) != TW_OK)
            conf_errors_set(e, "advertise", "\"%.64s\" is no numeric address", o->advertise.v[i]);
}

static void check_prefixes(const struct conf_strlist *list, const char *option, struct conf_errors *e)
{
    struct acl_rules rules = { 0 };

    for (size_t i = 0; i < list->n; i++) {
        struct tw_err err = { 0 };
        if (acl_rules_add(&rules, true, list->v[i], &err) != TW_OK)
            conf_errors_set(e, option, "%s", err.text);
    }
    acl_rules_free(&rules);
}

static void check_targets(struct agent_options *o, struct conf_errors *e)
{
    struct tw_prefix ignored;

    for (size_t i = 0; i < o->probe_allow.n; i++)
        if (tw_prefix_parse(o->probe_allow.v[i], &ignored) != TW_OK)
            conf_errors_set(e, "probe-allow",
                            "\"%.64s\" is no prefix; expected 192.0.2.0/24 or 2001:db8::/32",
                            o->probe_allow.v[i]);
}

static void check_addresses(struct agent_options *o, struct conf_errors *e)
{
    check_listeners(&o->reflect, "reflect", e);
    check_listeners(&o->control, "control", e);
    check_advertised(o, e);
    check_prefixes(&o->reflect_allow, "reflect-allow", e);
    check_prefixes(&o->reflect_deny, "reflect-deny", e);
    check_prefixes(&o->control_allow, "control-allow", e);
    check_prefixes(&o->control_deny, "control-deny", e);
    check_targets(o, e);
}

/* ---- What needs, or forbids, something else ---- */

static bool has_control(const struct agent_options *o)
{
    return o->control.n && strcmp(o->control.v[0], "none") != 0;
}

static void check_secrets(struct agent_options *o, struct conf_errors *e)
{
    if (o->demand_auth && o->xdp)
        conf_errors_set(
            e, "xdp",
            "answers what is not authenticated, which --demand-auth forbids; expected one of the two");
    if (o->demand_auth && !o->secrets)
        conf_errors_set(e, "demand-auth", "nothing could be authenticated without --secrets");
    if (has_control(o) && !o->secrets && !(o->control_modes & TWAMP_OPEN))
        conf_errors_set(e, "control-modes", "every mode but open needs --secrets");
}

static bool begins_with(const char *url, const char *const *begins, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strncmp(url, begins[i], strlen(begins[i])))
            return true;
    return false;
}

static void check_controller(const struct agent_options *o, const char *url, struct conf_errors *e)
{
    static const char *const known[] = { "tcp://", "tls+tcp://", "ipc://" };
    static const char *const safe[] = { "tls+tcp://", "tcp://127.",
                                        "tcp://[::1]:", "tcp://localhost:", "ipc://" };

    if (!begins_with(url, known, TW_NELEM(known)))
        conf_errors_set(e, "controller",
                        "\"%.100s\" is no URL; expected tls+tcp://HOST:PORT or tcp://HOST:PORT", url);
    else if (!o->allow_plaintext && !begins_with(url, safe, TW_NELEM(safe)))
        conf_errors_set(e, "controller",
                        "%.100s is not on this host and would not be encrypted; use tls+tcp://, or "
                        "give --allow-plaintext if that network is trusted",
                        url);
}

static void check_controllers(struct agent_options *o, struct conf_errors *e)
{
    const struct conf_strlist *list = &o->controllers;

    if (!list->n || list->n > HOMING_MAX)
        conf_errors_set(e, "controller", "expected 1 to %d of them", HOMING_MAX);
    for (size_t i = 0; i < list->n; i++) {
        check_controller(o, list->v[i], e);
        for (size_t k = 0; k < i; k++)
            if (!strcmp(list->v[i], list->v[k]))
                conf_errors_set(e, "controller", "%.100s is given twice", list->v[i]);
    }
}

static void check_http(struct agent_options *o, struct conf_errors *e)
{
    struct httpd_conf c = { .address = o->http,
                            .tls_cert = o->http_tls_cert,
                            .tls_key = o->http_tls_key,
                            .plaintext = o->http_plaintext };

    httpd_check_option(&c, e);
}

void agent_options_check(void *target, struct conf_errors *errors)
{
    static void (*const checks[])(struct agent_options *,
                                  struct conf_errors *) = { check_name,    check_labels,      check_addresses,
                                                            check_secrets, check_controllers, check_http };

    for (size_t i = 0; i < TW_NELEM(checks); i++)
        checks[i](target, errors);
}
