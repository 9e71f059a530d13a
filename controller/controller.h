/* controller/controller.h - the parts of the running controller, wired up by main. Loop thread only. */
#ifndef TW_CONTROLLER_CONTROLLER_H
#define TW_CONTROLLER_CONTROLLER_H

#include "common/conf.h"
#include "common/hostname.h"
#include "common/net/httpd.h"
#include "admin.pb-c.h"
#include "common/net/arena.h"
#include "common/net/reload.h"
#include "common/net/rpc.h"
#include "controller/clocks.h"
#include "controller/core/budget.h"
#include "controller/inventory.h"
#include "controller/publish.h"
#include "controller/reader.h"

struct store;
struct writer;  /* controller/writer.h: the store writer thread */
struct ingest;  /* controller/ingest.h */
struct changes; /* controller/change.h */
struct fleet;   /* controller/fleet.h */
struct push_queue; /* controller/fleet.h */
struct admin;   /* controller/admin.h */
struct doctor;  /* controller/doctor.h */
struct ondemand; /* controller/ondemand.h */
struct alerts;   /* controller/alerts.h */
struct dbjob;   /* controller/dbjob.h */
struct joining; /* controller/joining.h */
struct events;  /* controller/events.h */
struct planner;     /* controller/planner.h */
struct registry;    /* controller/registry.h */
struct relay;       /* controller/relay.h */
struct decide_call; /* controller/decide.h */
struct gate;    /* controller/gate.h */
struct follow;  /* controller/follow.h */
struct login;   /* controller/http/login.h */
struct audit;   /* controller/audit.h */
struct matrix_pages; /* controller/matrix.h */
struct page;    /* controller/http/page.h */
struct export;  /* controller/http/export.h */

struct controller {
    struct loop *loop;
    struct inventory inv;
    struct writer *writer;
    struct reader_pool *readers;
    struct ingest *ingest;
    struct publish *publish;
    struct clocks *clocks;
    struct doctor *doctor;
    struct ondemand *ondemand;
    struct alerts *alerts;
    struct dbjob *dbjob;
    struct joining *joining;
    char db_path[4096], backup_dir[4096];
    struct rpc_server *fleet, *admin, *admin_remote; /* the last: for operators from elsewhere; may be NULL */
    struct httpd *http;
    struct page *page;
    struct matrix_pages *matrix_pages;
    struct export *exports;  /* controller/http/export.h: answers under way */
    unsigned n_exports;
    struct events *events;   /* who looks at the page; NULL without HTTP */
    int64_t started_ns;
    const char *name, *data_dir;
    char host_name[HOSTNAME_MAX];   /* of the machine */
    struct conf_strlist http_names; /* the configuration's */
    char problem[256], control_problem[256], history_problem[256]; /* why we are not ready: "" = ready */
    char skew[160];    /* agents of another release */
    char warning[256]; /* what somebody has to do before it is a problem */
    struct store *store; /* the writer thread's while that runs */
    struct changes *changes;
    struct follow *follow;
    struct learn *learn; /* of the history what others stored */
    bool shared; /* others may change the control state, too */
    struct intervals *intervals;
    struct fleet *fleet_state;
    struct push_queue *pushes; /* controller/fleet_push.h */
    struct admin *admin_state;
    struct gate *gate;   /* who comes in */
    struct login *login; /* at the page; NULL without HTTP */
    struct audit *audit; /* what they change */
    /* controller/decide.h: the number of what others changed last, and up to which memory has followed. */
    uint64_t news, memory;
    struct decide_call *deciding; /* calls that are to run again */
    bool decide_no_more;
    unsigned edits; /* of agents, on their way: agent_edit.c */
    struct reload reload;
    char restart[320]; /* a warning: what waits for it */
    bool auto_approve, http_write, open_metrics;
    struct store_keep keep;
    int64_t history_ns, audit_ns;
    int64_t newest_ns; /* end of the newest result taken since the start; 0: none yet */
    struct budget_limits budgets;
    struct planner *planner; /* controller/planner.h */
    struct registry *registry; /* controller/registry.h; NULL without --control */
    struct relay *relay;       /* controller/relay.h; likewise */
    struct loop_timer retention;
};

#define CONTROLLER_READERS 2u         /* threads */
#define CONTROLLER_HTTP_REQUESTS 128u /* at a time, listeners apart */

struct controller_conf {
    struct loop *loop;
    const char *listen, *admin_listen; /* URLs of common/net/rpc.h */
    const char *admin_tls;             /* tls+tcp:// for operators from elsewhere; NULL: none */
    const char *http;                  /* ADDR:PORT, or "off" */
    const char *http_tls_cert, *http_tls_key; /* files; NULL: plain HTTP */
    bool http_plaintext;               /* that on an address that is not loopback */
    struct conf_strlist http_names;    /* by which browsers ask for it */
    const char *web_root;              /* directory of the page's files; NULL: those inside the program */
    const char *data_dir, *name;
    struct conf_strlist advertise; /* HOST, and http[s]://HOST[:PORT]: where others reach it; with `control` */
    bool shared;            /* others change the store of control state, too */
    const char *history;    /* db/where.h; NULL: in the database of data_dir */
    const char *control;    /* db/where.h, `shared`; NULL: in the database of data_dir */
    const char *ca_dir;     /* of the certificate authority; NULL: ca in data_dir */
    int64_t certificate_life_ns; /* of agents' certificates */
    const char *backup_dir; /* where copies of the database go; NULL: backups in data_dir */
    bool allow_plaintext; /* plain TCP on an address that is not loopback */
    bool auto_approve;
    bool http_write;   /* who comes from loopback is an admin, as long as there are no access tokens; will go */
    bool open_metrics; /* /metrics and /api/v1/sd are for everybody */
    uint32_t http_events_max; /* listeners to events */
    uint64_t max_pair_series;
    uint32_t native_buckets; /* of a native histogram; 0 = none are kept */
    struct store_keep keep; /* how long each level of results is kept */
    int64_t history_days, audit_days; /* audit_days 0: as history_days */
    struct budget_limits budgets;
};
/* Opens the store, loads everything, starts threads and servers. The strings of *conf are used until controller_stop(). On an
 * error *err says what to do. */
enum tw_rc controller_start(const struct controller_conf *conf, struct controller **ret, struct tw_err *err);
/* What may change while it runs; of *conf nothing else counts. */
void controller_use(struct controller *c, const struct controller_conf *conf);
/* SIGHUP: reads anew what files say. What cannot be used is logged and changes nothing. `options`: those of the configuration file;
 * NULL: none. */
void controller_reload(struct controller *c, void (*options)(void *ctx, struct controller *c), void *ctx);
/* Takes nothing more, brings what was taken to the disk, frees everything. The loop may have been stopped. */
void controller_stop(struct controller *c);

/* Rows about ourselves, for metrics and Status. */
size_t controller_self(void *ctx, struct metrics_self *rows, size_t cap);
/* Health: number of problems, each a sentence (static or in the controller's memory). 0 = ready. */
size_t controller_problems(struct controller *c, const char **ret, size_t cap);
/* The same of what is no problem yet, or not one of ours, but that somebody has to see to. */
size_t controller_warnings(struct controller *c, const char **ret, size_t cap);
/* controller/http/routes.c */
extern const struct http_route controller_routes[];
extern const size_t controller_routes_n;
/* controller/admin.c: the service handlers, and the functions behind them that the HTTP API shares. */
Tw__Admin_Service *admin_service(struct controller *c);
void controller_fill_agent(const struct controller *c, const struct agent *a, struct arena *ar, Tw__AgentInfo *ret);

#endif
