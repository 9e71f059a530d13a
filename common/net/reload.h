/* common/net/reload.h - what became of SIGHUP: each part of the program reads its files anew and says how that went; the service
 * manager, the log, metrics and the status are told. Loop thread. */
#ifndef TW_NET_RELOAD_H
#define TW_NET_RELOAD_H

#include <stddef.h>
#include <stdint.h>
#include "common/metrics_page.h"
#include "common/rc.h"

struct reload {
    uint64_t ok, failed; /* reloads since the start */
    int64_t time_ns;     /* of the last one; 0: there was none */
    char error[480];     /* why a part of it goes on with what it had; "": none does */
    char restart[256];   /* options that were changed and wait for a restart: "name, workers"; "": none */
};

/* Tells the service manager that it begins. */
void reload_begin(struct reload *r);
/* One part, what: "access lists"; error: "" or NULL: it has what the files say. The first error of a reload is kept. */
void reload_part(struct reload *r, const char *what, const char *error);
/* Of the configuration file: what waits for a restart; it is told whenever that changes. */
void reload_restart(struct reload *r, const char *options);
/* Counts, logs a line, tells the service manager that it is over. */
void reload_end(struct reload *r);
/* Its metrics, for which *ret has room; returns how many. */
#define RELOAD_METRICS 5
size_t reload_metrics(const struct reload *r, struct metrics_self *ret);

#endif
