/* What doctor found, for people. Findings that stand together and say the same of several subjects are told
 * once: a fleet without a time daemon is one line to read, not a thousand. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include "controller/cli/doctor_print.h"
#include "controller/cli/out.h"

#define SUBJECTS 20 /* named at most */

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

static void print_counts(const Tw__DoctorReply *d)
{
    if (!d->problems && !d->warnings)
        printf("Nothing wrong");
    else if (!d->warnings)
        printf("%u problem%s", d->problems, plural(d->problems));
    else if (!d->problems)
        printf("%u warning%s", d->warnings, plural(d->warnings));
    else
        printf("%u problem%s, %u warning%s", d->problems, plural(d->problems), d->warnings,
               plural(d->warnings));
    printf(" in %u agent%s, %llu pair%s: %u checks, %u way%s probed in %.1f s\n", d->agents,
           plural(d->agents), (unsigned long long)d->pairs, plural(d->pairs), d->checks, d->probes,
           plural(d->probes), out_ns_to_s(d->elapsed_ns));
    if (d->set_aside)
        printf("%u of the agents %s drained or in maintenance, and not complained about: twampctl status\n",
               d->set_aside, d->set_aside == 1 ? "is" : "are");
}

/* ---- What says the same ---- */

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
}

/* Does the text name the subject at `at`, as a whole word? A full stop may come after it. */
static bool names(const char *text, const char *at, const char *subject)
{
    size_t len = strlen(subject);

    if (!len || strncmp(at, subject, len) != 0 || (at > text && is_word(at[-1])))
        return false;
    return !is_word(at[len]) || (at[len] == '.' && !is_word(at[len + 1]));
}

/* Equal, but for the names of their subjects. */
static bool says_the_same(const char *a, const char *a_subject, const char *b, const char *b_subject)
{
    const char *p = a, *q = b;

    while (*p && *q) {
        if (names(a, p, a_subject) && names(b, q, b_subject)) {
            p += strlen(a_subject);
            q += strlen(b_subject);
        } else if (*p++ != *q++) {
            return false;
        }
    }
    return *p == *q;
}

static bool belongs(const Tw__DoctorFinding *a, const Tw__DoctorFinding *b)
{
    return !strcmp(a->severity, b->severity) && !strcmp(a->id, b->id) && !strcmp(a->about, b->about) &&
           says_the_same(a->observed, a->subject, b->observed, b->subject) &&
           says_the_same(a->cause, a->subject, b->cause, b->subject) &&
           says_the_same(a->next, a->subject, b->next, b->subject);
}

/* How many, from v[0] on. */
static size_t group_of(Tw__DoctorFinding **v, size_t n)
{
    size_t k = 1;

    while (k < n && belongs(v[0], v[k]))
        k++;
    return k;
}

/* ---- Lines ---- */

#define LINE_MAX_OCTETS 2048

/* "on ams: chronyc tracking" becomes "on AGENT: chronyc tracking". What has no room is cut. */
static void name_none(const char *text, const Tw__DoctorFinding *f, char ret[LINE_MAX_OCTETS])
{
    size_t n = 0;

    for (const char *p = text; *p && n + strlen(f->about) + 2 < LINE_MAX_OCTETS;) {
        if (!names(text, p, f->subject)) {
            ret[n++] = *p++;
            continue;
        }
        for (const char *about = f->about; *about; about++)
            ret[n++] = (char)toupper((unsigned char)*about);
        p += strlen(f->subject);
    }
    ret[n] = '\0';
}

static void print_line(const char *label, const char *text, const Tw__DoctorFinding *f, bool many)
{
    char line[LINE_MAX_OCTETS];

    if (many)
        name_none(text, f, line);
    printf("  %-5s  ", label);
    out_safe(stdout, many ? line : text, false);
    putchar('\n');
}

/* Of many the earliest: they say the same, and one of them may have begun it. */
static void print_since(Tw__DoctorFinding **v, size_t n, int64_t now_ns)
{
    const Tw__DoctorFinding *first = v[0];
    char time[OUT_NUM], ago[OUT_NUM];

    for (size_t i = 1; i < n; i++)
        if (v[i]->since_ns && (!first->since_ns || v[i]->since_ns < first->since_ns))
            first = v[i];
    if (first->since_ns > 0)
        printf("  since  %s%s (%s ago)\n", out_time(first->since_ns, time),
               first->since_or_before ? " or before" : "", out_ago(first->since_ns, now_ns, ago));
}

static void print_subjects(Tw__DoctorFinding **v, size_t n)
{
    if (strcmp(v[0]->about, v[0]->subject) != 0) { /* there is one controller */
        out_safe(stdout, v[0]->about, false);
        fputs(n == 1 ? " " : "s ", stdout);
    }
    for (size_t i = 0; i < n && i < SUBJECTS; i++) {
        fputs(i ? ", " : "", stdout);
        out_safe(stdout, v[i]->subject, false);
    }
    if (n > SUBJECTS)
        printf(" and %zu more", n - SUBJECTS);
}

static void print_findings(Tw__DoctorFinding **v, size_t n, int64_t now_ns, bool colour)
{
    static const struct {
        const char *severity, *shown, *colour;
    } rows[] = { { "problem", "PROBLEM", "\033[31m" },
                 { "warning", "WARNING", "\033[33m" },
                 { "note", "note", "\033[2m" } };
    size_t i = 0;

    while (i + 1 < TW_NELEM(rows) && strcmp(rows[i].severity, v[0]->severity) != 0)
        i++;
    printf("\n%s%s%s  ", colour ? rows[i].colour : "", rows[i].shown, colour ? "\033[0m" : "");
    print_subjects(v, n);
    fputs("  (", stdout);
    out_safe(stdout, v[0]->id, false);
    puts(")");
    print_line("seen", v[0]->observed, v[0], n > 1);
    print_since(v, n, now_ns);
    print_line("cause", v[0]->cause, v[0], n > 1);
    print_line("do", v[0]->next, v[0], n > 1);
}

void doctor_print(const Tw__DoctorReply *d, int64_t now_ns, bool colour)
{
    print_counts(d);
    for (size_t i = 0, n; i < d->n_findings; i += n) {
        n = group_of(d->findings + i, d->n_findings - i);
        print_findings(d->findings + i, n, now_ns, colour);
    }
    if (d->lost)
        printf("\nand %u findings more, for which there was no room\n", d->lost);
    if (d->not_probed)
        printf("\n%u ways that look bad, too, were not probed: narrow it to an agent, a mesh or a selector\n",
               d->not_probed);
}
