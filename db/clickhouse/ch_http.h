/* db/clickhouse/ch_http.h - statements to ClickHouse over HTTP, one at a time, by the thread that owns the client; only
 * ch_http_interrupt() is for others. Connections stay open between statements.
 *
 * Of several endpoints one is used as db/http_client.h says; the next one takes a statement also when the server says that it cannot
 * (5xx). Every statement given to this client must therefore be one that may come twice: reads, CREATE ... IF NOT EXISTS, and inserts
 * into tables whose key tells a repetition.
 *
 * User and password travel in headers, never in an URL, an error or a log. Certificates are always checked. Needs
 * curl_global_init() before. */
#ifndef TW_DB_CH_HTTP_H
#define TW_DB_CH_HTTP_H

#include <stdbool.h>
#include <stdint.h>
#include "common/rc.h"

struct ch_http;

#define CH_ENDPOINTS_MAX 16
#define CH_NAME_MAX 64 /* of a database, a user */

struct ch_http_cfg {
    const char *endpoints[CH_ENDPOINTS_MAX]; /* "http://HOST:PORT" or "https://HOST:PORT" */
    size_t n_endpoints;                      /* >= 1 */
    const char *database;                    /* of statements that name none; NULL: the server's default */
    const char *user;                        /* NULL: the server's default */
    const char *password_file;               /* its first line; NULL: none */
    const char *ca_file;                     /* NULL: the system's */
    const char *cert_file, *key_file;        /* of the client; NULL: none */
    const char *insert_settings;             /* "insert_quorum=2&..."; NULL: none */
    int64_t connect_ns;                      /* for a connection; 0: 5 s */
    int64_t stall_ns;                        /* without an octet either way; 0: 60 s */
    int64_t insert_stall_ns; /* the same of an insert, which has nothing to sort; 0: as stall_ns */
    int64_t quiet_ns;                        /* until the first endpoint is tried again; 0: 60 s */
    int64_t knock_ns; /* not 0: an endpoint that said nothing just now is asked whether it is there before a
                       * statement goes to it, and has so long to answer; connect_ns counts no more */
};

/* Copies *cfg and reads the password. TW_EINVAL (an endpoint, a file's content), TW_ENOENT or TW_EPERM (a file), TW_ENOMEM. */
enum tw_rc ch_http_new(const struct ch_http_cfg *cfg, struct ch_http **ret, struct tw_err *err);
void ch_http_free(struct ch_http *h); /* also of NULL */
/* The statement that runs now, if one does, ends with TW_ECLOSED at once. Any thread. */
void ch_http_interrupt(struct ch_http *h);
/* From now on no statement lasts beyond that moment (monotonic clock): TW_ETIMEOUT. Any thread. */
void ch_http_hurry(struct ch_http *h, int64_t by_mono_ns);

/* From now on each server is asked once which settings of ch_settings.h it knows, before the first statement
 * to an endpoint that was not the last to answer, and after any failure; those go with what changes
 * something. */
void ch_http_ask_settings(struct ch_http *h);
/* May a partition of any size be dropped, by CH_SETTINGS_DROP_ANY? As the server in use said; false before it
 * was asked. */
bool ch_http_drops_any(const struct ch_http *h);

/* A piece of an answer, in order; what it returns if not TW_OK ends the statement and is its result. */
typedef enum tw_rc (*ch_data_fn)(void *ctx, const uint8_t *data, size_t len);

/* Waits, by ch_http_ask(), until the server in use has what all others had confirmed of those tables
 * (ch_http_bit()) when it was called, until_ns (monotonic) at most. TW_ENOENT: some are not there, and of the
 * others it has all; TW_ETIMEOUT: it is behind. *ret_elsewhere, false before: another server may do it. */
typedef enum tw_rc (*ch_http_sync_fn)(void *ctx, unsigned which, int64_t until_ns, bool *ret_elsewhere,
                                      struct tw_err *err);
/* The endpoints are replicas of each other. */
struct ch_http_replicas {
    const char *change_settings; /* "insert_quorum=2&...": of all but selects, instead of insert_settings */
    const char *alone_settings;  /* those when the quorum is not there; NULL: then it fails */
    const char *select_settings; /* NULL: none */
    /* Answers "0\n", unless an insert that others wait for will not get its quorum soon: then there is no use
     * in waiting for its end. */
    const char *stuck;
    ch_http_sync_fn sync;
    void *sync_ctx; /* lives as long as the client */
};
/* Copies. From now on all tables are synced before the first statement to an endpoint that was not the
 * last to answer, and after any failure: so what was confirmed by one, or read there, is there at the next.
 * TW_ENOMEM
 */
enum tw_rc ch_http_replicas(struct ch_http *h, const struct ch_http_replicas *r, struct tw_err *err);
/* From a ch_http_sync_fn alone: a select, at the server in use and no other one. */
enum tw_rc ch_http_ask(struct ch_http *h, const char *query, ch_data_fn fn, void *ctx, int64_t until_ns,
                       bool *ret_elsewhere, struct tw_err *err);
/* Until this is called tables that are not there are no error of a sync. From now on the endpoint is passed
 * over: its disk was lost. */
void ch_http_expect_tables(struct ch_http *h);
/* Such an endpoint was there; until it is forgotten. */
bool ch_http_saw_bare(const struct ch_http *h);
void ch_http_forget_bare(struct ch_http *h);
/* The one in use is such a one: the next statement goes to the next. */
void ch_http_pass_bare(struct ch_http *h);
/* Tables `which` (ch_http_bit()), now; nothing if there are no replicas. TW_ETIMEOUT: all of them are behind.
 */
enum tw_rc ch_http_sync(struct ch_http *h, unsigned which, struct tw_err *err);
static inline unsigned ch_http_bit(unsigned number)
{
    return 1U << number;
}

/* Is one of the endpoints there, and does it know us? With a knock_ns. */
enum tw_rc ch_http_knock(struct ch_http *h, struct tw_err *err);
/* "HOST:PORT" of the endpoint that is in use. The owner's thread; valid until the next statement. */
const char *ch_http_server(const struct ch_http *h);
/* While it stays the same all answers are one endpoint's. The owner's thread. */
uint64_t ch_http_changes(const struct ch_http *h);

/* Errors: what fn returned; what ClickHouse's exception means (ch_error.h); TW_EIO (no endpoint can be reached), TW_ETIMEOUT, TW_ECLOSED
 * (interrupted), TW_EPERM (certificate). The text names the endpoint and is one line.
 *
 * An answer that breaks off is an error; one in whose middle an exception is written as text is not noticed here: whoever reads rows
 * (ch_rows.h) does. */
enum tw_rc ch_http_select(struct ch_http *h, const char *query, ch_data_fn fn, void *ctx, struct tw_err *err);
/* A statement without answer. */
enum tw_rc ch_http_run(struct ch_http *h, const char *query, struct tw_err *err);
/* "INSERT INTO ... FORMAT RowBinary" and its rows: TW_OK means that the server has confirmed them. Nothing is
 * sent if there are none. */
enum tw_rc ch_http_insert(struct ch_http *h, const char *query, const void *rows, size_t len, struct tw_err *err);

struct ch_http_stats {
    uint64_t statements, failures; /* failures: after all endpoints were tried */
    uint64_t moves;                /* to another endpoint after one failed */
    uint64_t inserts, insert_bytes; /* confirmed */
};
struct ch_http_stats ch_http_stats(const struct ch_http *h);

#endif
