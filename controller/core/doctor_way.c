/* controller/core/doctor_way.c - checks of the way from a source to a target: by a probe, if it was probed,
 * and by the results of its pairs; see doctor.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "controller/core/doctor_priv.h"

#define LOSSY 0.01     /* of what was sent; from there on the alert rules that we ship warn, too */
#define LOSSY_LEAST 3u /* probes: one of a hundred may be chance */
#define ICMP_UNREACHABLE 3
#define ICMP6_UNREACHABLE 1
#define ICMP_PORT 3
#define ICMP6_PORT 4

static uint64_t lost_of(const struct doctor_way *w)
{
    return w->lost_forward + w->lost_backward + w->lost_unknown;
}

/* So many of so many are worth telling. */
static bool is_much(uint64_t n, uint64_t of)
{
    return n >= LOSSY_LEAST && (double)n > LOSSY * (double)of;
}

bool doctor_is_much_not_sent(uint64_t not_sent, uint64_t sent)
{
    return is_much(not_sent, sent + not_sent);
}

bool doctor_way_is_suspect(const struct doctor_way *w)
{
    return w->all_lost || w->no_data || w->refusal || w->name_error || w->send_error ||
           is_much(lost_of(w), w->sent) || doctor_is_much_not_sent(w->not_sent, w->sent);
}

const char *doctor_icmp_text(const struct doctor_icmp *i, char *buf, size_t cap)
{
    static const struct {
        bool six;
        uint32_t type, code;
        const char *text;
    } rows[] = {
        { false, 3, 0, "network unreachable" },
        { false, 3, 1, "host unreachable" },
        { false, 3, 2, "protocol unreachable" },
        { false, 3, 3, "port unreachable" },
        { false, 3, 4, "packet too big" },
        { false, 3, 9, "network prohibited" },
        { false, 3, 10, "host prohibited" },
        { false, 3, 13, "administratively prohibited" },
        { false, 11, 0, "time exceeded" },
        { true, 1, 0, "no route" },
        { true, 1, 1, "administratively prohibited" },
        { true, 1, 3, "address unreachable" },
        { true, 1, 4, "port unreachable" },
        { true, 1, 5, "policy" },
        { true, 1, 6, "route rejected" },
        { true, 2, 0, "packet too big" },
        { true, 3, 0, "time exceeded" },
    };
    const char *text = NULL;

    for (size_t k = 0; k < TW_NELEM(rows) && !text; k++)
        if (rows[k].six == i->six && rows[k].type == i->type && rows[k].code == i->code)
            text = rows[k].text;
    if (text)
        snprintf(buf, cap, "ICMP%s %s from %s", i->six ? "v6" : "", text,
                 *i->from ? i->from : "an unknown host");
    else
        snprintf(buf, cap, "ICMP%s type %u code %u from %s", i->six ? "v6" : "", i->type, i->code,
                 *i->from ? i->from : "an unknown host");
    return buf;
}

/* ---- What a probe tells ---- */

static const struct doctor_probe *probe(const struct doctor_exam *e)
{
    return e->way->probe;
}

static const struct doctor_packets *small(const struct doctor_exam *e)
{
    return &probe(e)->packets[DOCTOR_SMALL];
}

static const struct doctor_packets *sized(const struct doctor_exam *e)
{
    return &probe(e)->packets[DOCTOR_SIZED];
}

static const struct doctor_seen *seen(const struct doctor_exam *e, enum doctor_kind k)
{
    return &probe(e)->seen[k];
}

/* Packets were sent, and no answer came from where they went. */
static bool is_mute(const struct doctor_exam *e)
{
    return probe(e) && small(e)->sent && !small(e)->received;
}

bool check_name(struct doctor_exam *e)
{
    const struct doctor_probe *p = probe(e);

    if (!p && e->way->name_error) {
        doctor_find(e, "%u of %u pairs do not run: the name of the target has no address on %s", e->way->name_error,
                    e->way->pairs, e->way->source);
        return true;
    }
    if (!p || !p->lookup_error[0])
        return false;
    doctor_find(e, "%s asked for \"%.100s\": %s", e->way->source, p->host, p->lookup_error);
    return true;
}

bool check_send_refused(struct doctor_exam *e)
{
    if (!probe(e) || small(e)->sent || !small(e)->send_error[0])
        return false;
    doctor_find(e, "%s cannot send to %s: %s", e->way->source, probe(e)->address, small(e)->send_error);
    return true;
}

bool check_acl(struct doctor_exam *e)
{
    if (!is_mute(e) || !probe(e)->watched || !seen(e, DOCTOR_SMALL)->not_allowed)
        return false;
    doctor_find(e, "%u packets sent to %s, %u came there, from %s: %u refused by its access list",
                small(e)->sent, probe(e)->address, seen(e, DOCTOR_SMALL)->came, probe(e)->seen_from,
                seen(e, DOCTOR_SMALL)->not_allowed);
    return true;
}

/* Classes that sign are answered: then it is no fault. */
bool check_auth_demanded(struct doctor_exam *e)
{
    if (!is_mute(e) || !probe(e)->watched || !seen(e, DOCTOR_SMALL)->auth_demanded)
        return false;
    if (e->way->auth || (e->way->pairs && !doctor_way_is_suspect(e->way)))
        return false;
    doctor_find(e, "%u packets sent to %s, %u came there: %u refused, since they are not authenticated",
                small(e)->sent, probe(e)->address, seen(e, DOCTOR_SMALL)->came,
                seen(e, DOCTOR_SMALL)->auth_demanded);
    return true;
}

/* Refused by demand, and the pair itself signs: what the probe found says nothing. */
static bool is_refused_by_demand(const struct doctor_exam *e)
{
    return is_mute(e) && probe(e)->watched && seen(e, DOCTOR_SMALL)->auth_demanded;
}

bool check_answer_not_sent(struct doctor_exam *e)
{
    if (!is_mute(e) || !probe(e)->watched || !seen(e, DOCTOR_SMALL)->send_errors)
        return false;
    doctor_find(e, "%u packets sent to %s, %u came there, from %s: its host refused to send %u answers",
                small(e)->sent, probe(e)->address, seen(e, DOCTOR_SMALL)->came, probe(e)->seen_from,
                seen(e, DOCTOR_SMALL)->send_errors);
    return true;
}

bool check_answer_elsewhere(struct doctor_exam *e)
{
    if (!is_mute(e) || !small(e)->elsewhere)
        return false;
    doctor_find(e, "%u packets sent to %s, %u answers came from %s", small(e)->sent, probe(e)->address,
                small(e)->elsewhere, small(e)->elsewhere_from);
    return true;
}

static bool is_port_unreachable(const struct doctor_icmp *i)
{
    return i->six ? i->type == ICMP6_UNREACHABLE && i->code == ICMP6_PORT
                  : i->type == ICMP_UNREACHABLE && i->code == ICMP_PORT;
}

static void say_icmp(struct doctor_exam *e)
{
    char text[128];

    doctor_find(e, "%u packets sent to %s, none answered, %u times %s", small(e)->sent, probe(e)->address,
                small(e)->icmp.count, doctor_icmp_text(&small(e)->icmp, text, sizeof text));
}

bool check_port_closed(struct doctor_exam *e)
{
    if (!is_mute(e) || !small(e)->icmp.count || !is_port_unreachable(&small(e)->icmp))
        return false;
    say_icmp(e);
    return true;
}

bool check_rejected(struct doctor_exam *e)
{
    if (!is_mute(e) || !small(e)->icmp.count)
        return false;
    say_icmp(e);
    return true;
}

static const char *rtt_note(const struct doctor_way *w)
{
    return w->back_known
               ? w->back_works ? "; the pair the other way works" : "; nor does the pair the other way work"
               : "";
}

bool check_blocked_backward(struct doctor_exam *e)
{
    if (!is_mute(e) || !probe(e)->watched || !seen(e, DOCTOR_SMALL)->answered)
        return false;
    doctor_find(e,
                "%u packets sent to %s, %u came there, from %s, and %u were answered: no answer came back%s",
                small(e)->sent, probe(e)->address, seen(e, DOCTOR_SMALL)->came, probe(e)->seen_from,
                seen(e, DOCTOR_SMALL)->answered, rtt_note(e->way));
    return true;
}

bool check_blocked_forward(struct doctor_exam *e)
{
    const struct doctor_probe *p = probe(e);

    if (!is_mute(e) || !p->watched || seen(e, DOCTOR_SMALL)->came || (p->driver && small(e)->size > 40))
        return false;
    doctor_find(e, "%u packets sent from %s to %s, none came to its reflector, no ICMP%s", small(e)->sent,
                p->local, p->address, rtt_note(e->way));
    return true;
}

bool check_silent(struct doctor_exam *e)
{
    if (!is_mute(e) || is_refused_by_demand(e))
        return false;
    doctor_find(e, "%u packets sent from %s to %s, no answer, no ICMP%s", small(e)->sent, probe(e)->local,
                probe(e)->address, rtt_note(e->way));
    return true;
}

/* ---- MTU ---- */

static bool is_too_large(const struct doctor_exam *e)
{
    return probe(e) && small(e)->received && sized(e)->size && !sized(e)->received;
}

static uint32_t overhead(const struct doctor_exam *e)
{
    return *probe(e)->address == '[' ? 48 : 28;
}

bool check_mtu_local(struct doctor_exam *e)
{
    if (!is_too_large(e) || !sized(e)->too_long)
        return false;
    doctor_find(e, "packets of %u octets (UDP %u) do not leave %s: its interface takes %u",
                sized(e)->size + overhead(e), sized(e)->size, e->way->source, probe(e)->mtu_local);
    return true;
}

bool check_mtu_told(struct doctor_exam *e)
{
    const struct doctor_icmp *i = probe(e) && probe(e)->mtu_icmp.mtu ? &probe(e)->mtu_icmp
                                  : probe(e)                         ? &sized(e)->icmp
                                                                     : NULL;

    if (!is_too_large(e) || !i->mtu)
        return false;
    doctor_find(e,
                "packets of %u octets do not come through: %s says that its next link takes %u; the largest "
                "that came back had %u",
                sized(e)->size + overhead(e), i->from, i->mtu, probe(e)->mtu_through);
    return true;
}

static void say_black_hole(struct doctor_exam *e, const char *where)
{
    char limit[64] = "";

    if (probe(e)->searched)
        snprintf(limit, sizeof limit, "; up to %u octets come back", probe(e)->mtu_through);
    doctor_find(
        e, "packets of %u octets (UDP %u) %s, and no ICMP told so%s; small ones are answered in %.1f ms",
        sized(e)->size + overhead(e), sized(e)->size, where, limit, (double)small(e)->rtt_min_ns / 1e6);
}

bool check_mtu_black_hole_back(struct doctor_exam *e)
{
    if (!is_too_large(e) || !probe(e)->watched || !seen(e, DOCTOR_SIZED)->answered)
        return false;
    say_black_hole(e, "arrive and are answered, but the answers do not come back");
    return true;
}

/* Forward, or nobody counted. */
bool check_mtu_black_hole(struct doctor_exam *e)
{
    if (!is_too_large(e) || (probe(e)->watched && seen(e, DOCTOR_SIZED)->answered))
        return false;
    say_black_hole(e, probe(e)->watched && !probe(e)->driver ? "do not arrive" : "are not answered");
    return true;
}

/* ---- TWAMP-Control ---- */

bool check_control_closed(struct doctor_exam *e)
{
    if (!probe(e) || probe(e)->connect != DOCTOR_REFUSED)
        return false;
    doctor_find(e, "TCP port %u of %s: %s", probe(e)->control_port, probe(e)->address,
                probe(e)->connect_error);
    return true;
}

bool check_control_blocked(struct doctor_exam *e)
{
    if (!probe(e) || (probe(e)->connect != DOCTOR_TIMEOUT && probe(e)->connect != DOCTOR_UNREACHABLE))
        return false;
    doctor_find(e, "TCP port %u of %s: %s", probe(e)->control_port, probe(e)->address,
                probe(e)->connect_error);
    return true;
}

bool check_control_silent(struct doctor_exam *e)
{
    if (!probe(e) || probe(e)->connect != DOCTOR_SILENT)
        return false;
    doctor_find(e, "TCP port %u of %s is open, but says no greeting%s%s", probe(e)->control_port,
                probe(e)->address, *probe(e)->connect_error ? ": " : "", probe(e)->connect_error);
    return true;
}

bool check_control_refused(struct doctor_exam *e)
{
    if (!e->way->refusal)
        return false;
    doctor_find(e, "%u of %u pairs do not run: %.200s", e->way->refused, e->way->pairs, e->way->refusal);
    return true;
}

/* ---- What the results tell ---- */

static bool probe_is_good(const struct doctor_exam *e)
{
    return probe(e) && small(e)->sent && small(e)->received == small(e)->sent;
}

static void say_losses(struct doctor_exam *e, const char *before, const char *more)
{
    const struct doctor_way *w = e->way;

    doctor_find(e,
                "%" PRIu64 " of %" PRIu64 " probes of the last report period lost (%" PRIu64
                " on the way there, %" PRIu64 " on the way back), %u of %u pairs all lost%s%s",
                lost_of(w), w->sent, w->lost_forward, w->lost_backward, w->all_lost, w->pairs, before, more);
}

bool check_keys_differ(struct doctor_exam *e)
{
    if (!e->way->auth || !e->way->all_lost || (!probe_is_good(e) && !is_refused_by_demand(e)))
        return false;
    say_losses(e, "; packets of doctor ", is_refused_by_demand(e) ? "arrive" : "come back");
    return true;
}

bool check_one_way_only(struct doctor_exam *e)
{
    if (probe(e) || !e->way->all_lost || !e->way->back_known || !e->way->back_works)
        return false;
    say_losses(e, "; ", "the pair the other way works");
    return true;
}

bool check_all_lost(struct doctor_exam *e)
{
    if (probe(e) || !e->way->all_lost)
        return false;
    say_losses(e, "", "");
    return true;
}

bool check_send_error(struct doctor_exam *e)
{
    if (!e->way->send_error)
        return false;
    doctor_find(e, "%u of %u pairs could not send a single probe in the last report period",
                e->way->send_error, e->way->pairs);
    return true;
}

bool check_not_sent(struct doctor_exam *e)
{
    const struct doctor_way *w = e->way;

    if (!doctor_is_much_not_sent(w->not_sent, w->sent))
        return false;
    doctor_find(e,
                "%" PRIu64 " of %" PRIu64 " probes of the last report period were refused by the host of %s: "
                "they were not sent, and do not count as lost",
                w->not_sent, w->sent + w->not_sent, w->source);
    return true;
}

bool check_recovered(struct doctor_exam *e)
{
    if (!e->way->all_lost || !probe_is_good(e))
        return false;
    say_losses(e, "; ", "all packets of doctor come back");
    return true;
}

bool check_lossy(struct doctor_exam *e)
{
    bool by_probe = probe(e) && small(e)->received && small(e)->received < small(e)->sent;
    char more[64] = "";

    if (by_probe)
        snprintf(more, sizeof more, "%u of %u packets of doctor lost", small(e)->sent - small(e)->received,
                 small(e)->sent);
    if (!is_much(lost_of(e->way), e->way->sent)) {
        if (by_probe)
            doctor_find(e, "%s", more);
        return by_probe;
    }
    say_losses(e, by_probe ? "; " : "", more);
    return true;
}

bool check_no_data(struct doctor_exam *e)
{
    if (!e->way->no_data || e->way->source_behind)
        return false;
    doctor_find(e, "%u of %u pairs have no result of the last two report periods", e->way->no_data,
                e->way->pairs);
    return true;
}

bool check_not_probed(struct doctor_exam *e)
{
    if (!e->way->not_probed)
        return false;
    doctor_find(e, "%s", e->way->not_probed);
    return true;
}
