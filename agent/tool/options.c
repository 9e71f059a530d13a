/* agent/tool/options.c - see options.h. */
#include "agent/tool/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "common/addr.h"
#include "common/clk.h"
#include "agent/tool/run.h"
#include "common/dscp.h"

#define FIELD(f) offsetof(struct tool_options, f)
#define DATAGRAM_HEAD 14 /* what the Python tool's padding is added to */

/* ---- Readers ---- */

/* Decimal, or hexadecimal after 0x; within [min, max]. */
static bool read_number(const char *text, int64_t min, int64_t max, int64_t *ret)
{
    bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    const char *digits = hex ? text + 2 : text;
    char *end;
    long long v;

    if (hex ? !strchr("0123456789abcdefABCDEF", *digits) || !*digits : !strchr("-0123456789", *digits))
        return false;
    errno = 0;
    v = strtoll(digits, &end, hex ? 16 : 10);
    if (errno || *end || end == digits || v < min || v > max)
        return false;
    *ret = v;
    return true;
}

enum tw_rc tool_parse_octet(const char *text, void *field, struct tw_err *err)
{
    if (read_number(text, 0, 255, field))
        return TW_OK;
    return tw_err_set(err, TW_EINVAL, "must be 0..255 or 0x00..0xff, not \"%.60s\"", text);
}

enum tw_rc tool_parse_dscp(const char *text, void *field, struct tw_err *err)
{
    uint8_t dscp;

    if (dscp_parse(text, &dscp) != TW_OK)
        return tw_err_set(err, TW_EINVAL,
                          "must be a name such as ef, af41 or cs1, or 0..63 or 0x00..0x3f, not \"%.60s\" "
                          "(twamp dscptable lists them)",
                          text);
    *(int64_t *)field = dscp;
    return TW_OK;
}

enum tw_rc tool_parse_interval(const char *text, void *field, struct tw_err *err)
{
    int64_t v;

    if (read_number(text, 1, 60000, &v))
        v *= TW_NS_PER_MS;
    else if (tw_duration_parse(text, &v) != TW_OK || v < TW_NS_PER_MS || v > 60 * TW_NS_PER_S)
        return tw_err_set(err, TW_EINVAL,
                          "must be 1..60000 milliseconds, or a duration such as \"20ms\" from 1ms to 1m, "
                          "not \"%.60s\"",
                          text);
    *(int64_t *)field = v;
    return TW_OK;
}

enum tw_rc tool_parse_padding(const char *text, void *field, struct tw_err *err)
{
    if (read_number(text, TOOL_PADDING_IMIX, TEST_DATAGRAM_MAX - DATAGRAM_HEAD, field))
        return TW_OK;
    return tw_err_set(err, TW_EINVAL, "must be 0..%d octets, or -1 for IMIX, not \"%.60s\"",
                      TEST_DATAGRAM_MAX - DATAGRAM_HEAD, text);
}

/* "8000" alone is a port, as people type it. */
static bool read_listen(const char *text, char *ret, size_t cap)
{
    struct tw_addr a;
    char full[80];

    snprintf(full, sizeof full, "%s%.70s", strspn(text, "0123456789") == strlen(text) ? ":" : "", text);
    if (tw_addr_parse(full, 8000, &a) != TW_OK)
        return false;
    tw_addr_format(&a, full);
    snprintf(ret, cap, "%s", full);
    return true;
}

/* Parts in any order, separated by commas; "" is what -m alone means. */
enum tw_rc tool_parse_metrics(const char *text, void *field, struct tw_err *err)
{
    struct tool_metrics_opt m = { .on = true, .address = TOOL_METRICS_ADDRESS };
    char part[80];

    for (const char *p = text; *p;) {
        size_t len = strcspn(p, ",");

        snprintf(part, sizeof part, "%.*s", (int)(len < sizeof part ? len : sizeof part - 1), p);
        if (!strcmp(part, "histogram"))
            m.histogram = true;
        else if (!read_listen(part, m.address, sizeof m.address))
            return tw_err_set(
                err, TW_EINVAL,
                "must be ADDRESS:PORT, \"histogram\" or both separated by a comma, not \"%.60s\"", text);
        p += len + (p[len] == ',');
    }
    *(struct tool_metrics_opt *)field = m;
    return TW_OK;
}

static const struct {
    const char *name;
    enum stamp_tlv_type type;
} tlvs[] = {
    { "location", STAMP_TLV_LOCATION }, { "timestamp", STAMP_TLV_TIMESTAMP_INFO },
    { "cos", STAMP_TLV_COS },           { "direct", STAMP_TLV_DIRECT },
    { "access", STAMP_TLV_ACCESS },     { "follow-up", STAMP_TLV_FOLLOW_UP },
    { "hmac", STAMP_TLV_HMAC },         { "padding", STAMP_TLV_PADDING },
};

const char *tool_tlv_name(enum stamp_tlv_type t)
{
    for (size_t i = 0; i < TW_NELEM(tlvs); i++)
        if (tlvs[i].type == t)
            return tlvs[i].name;
    return "unknown";
}

enum tw_rc tool_parse_tlvs(const char *text, void *field, struct tw_err *err)
{
    uint32_t found = 0;
    size_t len, i;

    for (const char *p = text; *p; p += len + (p[len] == ',')) {
        len = strcspn(p, ",");
        for (i = 0; i < TW_NELEM(tlvs); i++)
            if (strlen(tlvs[i].name) == len && !strncmp(tlvs[i].name, p, len))
                break;
        if (i == TW_NELEM(tlvs))
            return tw_err_set(
                err, TW_EINVAL,
                "must be of location, timestamp, cos, direct, access, follow-up, hmac, padding, "
                "separated by commas, not \"%.60s\"",
                text);
        found |= STAMP_TLV_BIT(tlvs[i].type);
    }
    if (!found)
        return tw_err_set(err, TW_EINVAL, "must name at least one TLV");
    *(uint32_t *)field = found;
    return TW_OK;
}

/* ---- TWAMP-Control ---- */

struct named_bits {
    const char *name, *letter; /* letter: as perfSONAR's twping has it */
    uint32_t bits;
};
static const struct named_bits modes[] = {
    { "open", "O", TWAMP_OPEN },           { "authenticated", "A", TWAMP_AUTHENTICATED },
    { "encrypted", "E", TWAMP_ENCRYPTED }, { "mixed", "M", TWAMP_MIXED },
    { "all", "all", TWAMP_SECURITY },
};
static const struct named_bits features[] = {
    { "individual", "individual", TWAMP_INDIVIDUAL },
    { "reflect", "reflect", TWAMP_REFLECT },
    { "symmetrical", "symmetrical", TWAMP_SYMMETRICAL },
    { "dscp", "dscp", TWAMP_DSCP_ECN },
    { "ptp", "ptp", TWAMP_PTP },
    { "all", "all", TWAMP_FEATURES },
    { "none", "none", 0 },
};

static const struct named_bits *find_bits(const struct named_bits *rows, size_t n, const char *p, size_t len)
{
    for (size_t i = 0; i < n; i++)
        if ((strlen(rows[i].name) == len && !strncasecmp(rows[i].name, p, len)) ||
            (strlen(rows[i].letter) == len && !strncasecmp(rows[i].letter, p, len)))
            return &rows[i];
    return NULL;
}

static bool parse_bits(const struct named_bits *rows, size_t n, const char *text, uint32_t *ret)
{
    uint32_t found = 0;
    size_t len;

    for (const char *p = text; *p; p += len + (p[len] == ',')) {
        const struct named_bits *b;
        len = strcspn(p, ",");
        b = find_bits(rows, n, p, len);
        if (!b)
            return false;
        found |= b->bits;
    }
    *ret = found;
    return *text;
}

enum tw_rc tool_parse_modes(const char *text, void *field, struct tw_err *err)
{
    if (parse_bits(modes, TW_NELEM(modes), text, field))
        return TW_OK;
    return tw_err_set(
        err, TW_EINVAL,
        "must be open, authenticated, encrypted, mixed (O, A, E, M) or several of them separated by "
        "commas, or all, not \"%.60s\"",
        text);
}

enum tw_rc tool_parse_features(const char *text, void *field, struct tw_err *err)
{
    if (parse_bits(features, TW_NELEM(features), text, field))
        return TW_OK;
    return tw_err_set(
        err, TW_EINVAL,
        "must be individual, reflect, symmetrical, dscp, ptp or several of them separated by commas, or "
        "all or none, not \"%.60s\"",
        text);
}

enum tw_rc tool_parse_ports(const char *text, void *field, struct tw_err *err)
{
    unsigned low, high;
    int end = 0;

    if (sscanf(text, "%5u-%5u%n", &low, &high, &end) == 2 && !text[end] && low && low <= high &&
        high <= 65535) {
        *(struct tool_ports *)field = (struct tool_ports){ (uint16_t)low, (uint16_t)high };
        return TW_OK;
    }
    return tw_err_set(err, TW_EINVAL,
                      "must be two ports such as 20000-20999, the lower one first, not \"%.60s\"", text);
}

enum tw_rc tool_options_tos(const struct tool_options *o, uint8_t dflt, uint8_t *ret, struct tw_err *err)
{
    if (o->tos >= 0 && o->dscp >= 0 && o->tos >> 2 != o->dscp)
        return tw_err_set(err, TW_EINVAL, "--tos 0x%02x is DSCP %d, but --dscp says %d: give one of them",
                          (unsigned)o->tos, (int)o->tos >> 2, (int)o->dscp);
    *ret = o->tos >= 0 ? (uint8_t)o->tos : o->dscp >= 0 ? dscp_to_tos((uint8_t)o->dscp, 0) : dflt;
    return TW_OK;
}

/* ---- Shared groups ---- */

static const struct conf_opt log_opts[] = {
    { .name = "logfile",
      .short_name = 'l',
      .type = CONF_STR,
      .offset = FIELD(logfile),
      .arg = "FILE",
      .prefer = true,
      .help = "Where the log goes; \"-\" is standard output. Without it: standard error." },
    { .name = "quiet",
      .short_name = 'q',
      .type = CONF_FLAG,
      .offset = FIELD(quiet),
      .prefer = true,
      .help = "Log only errors, and show no progress." },
    { .name = "verbose",
      .short_name = 'v',
      .type = CONF_FLAG,
      .offset = FIELD(verbose),
      .prefer = true,
      .help = "Log what is done." },
    { .name = "debug",
      .short_name = 'd',
      .type = CONF_FLAG,
      .offset = FIELD(debug),
      .prefer = true,
      .help = "Log every packet." },
    { .name = "metrics",
      .short_name = 'm',
      .type = CONF_PARSED,
      .parse = tool_parse_metrics,
      .offset = FIELD(metrics),
      .arg = "[histogram,]ADDR:PORT",
      .implied = "",
      .prefer = true,
      .help = "Serve Prometheus metrics, at " TOOL_METRICS_ADDRESS
              " if nothing else is said: of the run (sender, controller), or of the reflector (responder, "
              "server). "
              "\"histogram\" gives twampy_latency and twampy_jitter as histograms. No effect elsewhere." },
    { .name = "nodegraph",
      .short_name = 'g',
      .type = CONF_FLAG,
      .offset = FIELD(nodegraph),
      .prefer = true,
      .help = "With --metrics: also twampy_edge, for Grafana's node graph." },
};

static const struct conf_opt mark_opts[] = {
    { .name = "tos",
      .type = CONF_PARSED,
      .parse = tool_parse_octet,
      .offset = FIELD(tos),
      .arg = "OCTET",
      .prefer = true,
      .help = "TOS or Traffic Class octet of the probes, 0..255 or 0x00..0xff. Default: 0x88 (AF41)." },
    { .name = "dscp",
      .type = CONF_PARSED,
      .parse = tool_parse_dscp,
      .offset = FIELD(dscp),
      .arg = "NAME",
      .prefer = true,
      .help = "DSCP of the probes instead of --tos: a name (ef, af41, cs1, ...), 0..63 or 0x00..0x3f." },
    { .name = "ttl",
      .type = CONF_INT,
      .offset = FIELD(ttl),
      .dflt = "64",
      .min = 1,
      .max = 255,
      .prefer = true,
      .help = "TTL or Hop Limit of the probes." },
    { .name = "padding",
      .type = CONF_PARSED,
      .parse = tool_parse_padding,
      .offset = FIELD(padding),
      .arg = "N",
      .prefer = true,
      .help = "Octets after the 14 of the TWAMP header (44 or 112 in STAMP); -1 sends an IMIX of exactly 7 "
              "small, 4 "
              "of 576 and 1 of 1500 octets in every 12. Without it and --size: as much as makes request and "
              "answer "
              "equally long." },
    { .name = "do-not-fragment",
      .type = CONF_FLAG,
      .offset = FIELD(do_not_fragment),
      .prefer = true,
      .help = "Set Don't Fragment (IPv4), or do not fragment (IPv6): what is too large for the path is a "
              "send error." },
};

static const char *const on_off[] = { "on", "off", NULL };
static const char *const spacings[] = { "fixed", "exponential", NULL };
static const char *const jsons[] = { "none", "run", "compat", NULL };

static const struct conf_opt run_opts[] = {
    { .name = "interval",
      .short_name = 'i',
      .type = CONF_PARSED,
      .parse = tool_parse_interval,
      .offset = FIELD(interval_ns),
      .dflt = "100",
      .arg = "MS",
      .prefer = true,
      .help = "Time between probes: milliseconds, or with a unit such as 20ms. Allowed: 1ms..1m." },
    { .name = "count",
      .short_name = 'c',
      .type = CONF_INT,
      .offset = FIELD(count),
      .dflt = "100",
      .min = 1,
      .max = 1000000000,
      .arg = "N",
      .prefer = true,
      .help = "Probes to send, of each flow." },
    { .name = "forever",
      .short_name = 'f',
      .type = CONF_FLAG,
      .offset = FIELD(forever),
      .prefer = true,
      .help = "Send without end and without pauses, and print a result for each --report-period." },
    { .name = "json",
      .short_name = 'j',
      .type = CONF_ENUM,
      .choices = jsons,
      .offset = FIELD(json),
      .arg = "FORM",
      .implied = "run",
      .prefer = true,
      .help = "Print JSON: one document per run (with --forever, per report period) as "
              "docs/schema/run-v1.json says; "
              "\"compat\" prints the lines and the array of the Python tool." },
    { .name = "csv",
      .type = CONF_FLAG,
      .offset = FIELD(csv),
      .help = "Print CSV: a line per flow and one for all." },
    { .name = "raw",
      .type = CONF_FLAG,
      .offset = FIELD(raw),
      .help = "Print a line per packet; with --json a document per packet, and the result at the end." },
    { .name = "size",
      .type = CONF_INT,
      .offset = FIELD(size),
      .min = 14,
      .max = TEST_DATAGRAM_MAX,
      .arg = "N",
      .help = "Octets of a probe's UDP payload in all, instead of --padding." },
    { .name = "zero-padding",
      .type = CONF_FLAG,
      .offset = FIELD(zero_padding),
      .help = "Pad with zeros; else with pseudo-random octets, which links cannot compress." },
    { .name = "flows",
      .type = CONF_INT,
      .offset = FIELD(flows),
      .dflt = "1",
      .min = 1,
      .max = RUN_FLOWS_MAX,
      .arg = "K",
      .help =
          "Send from K source ports, to see several equal paths; results are given for each and together." },
    { .name = "timeout",
      .type = CONF_DURATION,
      .offset = FIELD(timeout_ns),
      .dflt = "5s",
      .min = TW_NS_PER_MS,
      .max = 60 * TW_NS_PER_S,
      .arg = "TIME",
      .help = "A probe that is not answered for so long is lost." },
    { .name = "spacing-kind",
      .type = CONF_ENUM,
      .choices = spacings,
      .offset = FIELD(spacing_kind),
      .dflt = "fixed",
      .arg = "KIND",
      .help = "Intervals all the same, or exponentially distributed around --interval (a Poisson stream)." },
    { .name = "precise",
      .type = CONF_FLAG,
      .offset = FIELD(precise),
      .help = "Send closer to the time that is due: wake a little earlier (20 to 200 us, learnt) and wait "
              "for the "
              "rest without sleeping. Costs that much CPU for each packet." },
    { .name = "tx-timestamps",
      .type = CONF_ENUM,
      .offset = FIELD(tx_timestamps),
      .dflt = "on",
      .choices = on_off,
      .arg = "on|off",
      .help =
          "Ask the kernel when each packet really left. Without it delays begin when the packet is handed "
          "to the kernel." },
    { .name = "exponential",
      .type = CONF_FLAG,
      .offset = FIELD(exponential),
      .help = "The same as --spacing-kind=exponential." },
    { .name = "report-period",
      .type = CONF_DURATION,
      .offset = FIELD(report_period_ns),
      .dflt = "10s",
      .min = TW_NS_PER_S,
      .max = 3600 * TW_NS_PER_S,
      .arg = "TIME",
      .help = "With --forever and --metrics: how often there is a result, aligned to the clock." },
};

static const struct conf_opt source_opts[] = {
    { .name = "bind",
      .type = CONF_STR,
      .offset = FIELD(bind),
      .arg = "ADDR[:PORT]",
      .help = "Address to send from, instead of the second argument." },
    { .name = "interface",
      .type = CONF_STR,
      .offset = FIELD(interface),
      .arg = "NAME",
      .help = "Interface to send from and to receive at." },
};

static const struct conf_opt control_opts[] = {
    { .name = "mode",
      .type = CONF_PARSED,
      .parse = tool_parse_modes,
      .offset = FIELD(modes),
      .arg = "NAME,...",
      .help =
          "Modes that may be used: encrypted, authenticated, mixed, open; the first of them that the server "
          "offers and for which there is a passphrase is. Without it: all." },
    { .name = "features",
      .type = CONF_PARSED,
      .parse = tool_parse_features,
      .offset = FIELD(features),
      .arg = "NAME,...",
      .help =
          "Features that the server must offer: individual (RFC 5938), reflect, symmetrical (RFC 6038), dscp "
          "(RFC 7750), ptp (RFC 8186)." },
    { .name = "user",
      .type = CONF_STR,
      .offset = FIELD(user),
      .arg = "NAME",
      .help = "Who we are to the server: the KeyID, whose passphrase is in --secrets." },
    { .name = "control-port",
      .type = CONF_INT,
      .offset = FIELD(control_port),
      .dflt = "862",
      .min = 1,
      .max = 65535,
      .arg = "PORT",
      .help = "TCP port of the server." },
};

static const struct conf_opt secrets_opts[] = {
    { .name = "secrets",
      .type = CONF_STR,
      .offset = FIELD(secrets),
      .arg = "FILE",
      .help =
          "File of keys: a name, white space and the passphrase in each line; only its owner may read it." },
};

static const struct {
    enum tool_share group;
    const struct conf_opt *opts;
    size_t n;
} groups[] = {
    { TOOL_SHARES_LOG, log_opts, TW_NELEM(log_opts) },
    { TOOL_SHARES_MARK, mark_opts, TW_NELEM(mark_opts) },
    { TOOL_SHARES_SECRETS, secrets_opts, TW_NELEM(secrets_opts) },
    { TOOL_SHARES_RUN, run_opts, TW_NELEM(run_opts) },
    { TOOL_SHARES_SOURCE, source_opts, TW_NELEM(source_opts) },
    { TOOL_SHARES_CONTROL, control_opts, TW_NELEM(control_opts) },
};

const struct conf_opt *tool_group(enum tool_share group, size_t *ret_n)
{
    for (size_t i = 0; i < TW_NELEM(groups); i++)
        if (groups[i].group == group) {
            *ret_n = groups[i].n;
            return groups[i].opts;
        }
    *ret_n = 0;
    return NULL;
}
