/* agent/access_lists.h - whom the reflectors answer and whose connections the TWAMP-Control server takes:
 * from options and files, read anew when somebody asks. A file that cannot be used leaves the lists before in
 * use. Loop thread only. */
#ifndef TW_AGENT_ACCESS_LISTS_H
#define TW_AGENT_ACCESS_LISTS_H

#include "agent/control.h"
#include "agent/options.h"
#include "agent/xdp/xdp_reflect.h"
#include "common/acl.h"

struct access_lists;

struct access_lists_conf {
    const struct agent_options
        *opt; /* reflect_allow, reflect_deny, reflect_acl, and those of control; outlive it */
    struct loop *loop;
};

/* *err names the option or file, and the line. */
enum tw_rc access_lists_load(const struct access_lists_conf *c, struct access_lists **ret,
                             struct tw_err *err);
void access_lists_free(struct access_lists *a); /* NULL: nothing */
/* Of the lists as they are now; valid until they are read anew. NULL: everybody may. */
struct acl *access_lists_reflect(const struct access_lists *a);
struct acl *access_lists_control(const struct access_lists *a);

/* Whom to tell when they have changed; control and xdp may be NULL. They outlive access_lists_stop(). */
void access_lists_start(struct access_lists *a, struct worker **workers, size_t n_workers,
                        struct control *control, struct xdp_reflect *xdp);
void access_lists_stop(struct access_lists *a); /* NULL: nothing */
void access_lists_reload(struct access_lists *a);
/* Why the files as they are now are not in use; "" = they are. */
const char *access_lists_error(const struct access_lists *a);

#endif
