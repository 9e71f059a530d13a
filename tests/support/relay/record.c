/* tests/support/relay/record.c - see record.h */
#include "tests/support/relay/record.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum tw_rc records_init(struct records *r, size_t cap)
{
    *r = (struct records){ .rows = calloc(cap, sizeof *r->rows), .cap = cap };
    return r->rows ? TW_OK : TW_ENOMEM;
}

void records_free(struct records *r)
{
    free(r->rows);
}

size_t records_add(struct records *r, const struct record *row)
{
    if (r->n == r->cap) {
        r->missed++;
        return SIZE_MAX;
    }
    r->rows[r->n] = *row;
    return r->n++;
}

static void write_row(FILE *f, const struct record *r, const char *const *names)
{
    static const char *const sources[] = { "none", "user", "kernel" };
    char src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN];
    int family = r->ip_len == 4 ? AF_INET : AF_INET6;

    fprintf(f, "%u,%s,%s,%" PRIu64 ",%s,", r->rule, names[r->from], names[r->to], r->number,
            fate_name(r->fate));
    fprintf(f, "%" PRId64 ",%" PRId64 ",%" PRId64 ",%s,", r->arrival_ns, r->due_ns, r->departure_ns,
            sources[r->source]);
    fprintf(f, "%s,%u,%s,%u,", inet_ntop(family, r->src, src, sizeof src), r->sport,
            inet_ntop(family, r->dst, dst, sizeof dst), r->dport);
    fprintf(f, "%u,%u,%u\n", r->size, r->seq, r->seq24);
}

enum tw_rc records_write(const struct records *r, const char *file, const char *const *names,
                         struct tw_err *err)
{
    FILE *f = fopen(file, "we");
    bool bad;

    if (!f)
        return tw_err_set(err, TW_EIO, "%s: cannot be written: %s", file, strerror(errno));
    fputs("rule,from,to,number,fate,arrival_ns,due_ns,departure_ns,departure_source,src,sport,dst,dport,size,"
          "seq,"
          "seq24\n",
          f);
    for (size_t i = 0; i < r->n; i++)
        write_row(f, &r->rows[i], names);
    bad = ferror(f);
    bad |= fclose(f) != 0;
    return bad ? tw_err_set(err, TW_EIO, "%s: writing failed", file) : TW_OK;
}
