/* controller/notify_format.h - what a receiver is sent. A notice's body is a JSON object, which goes to
 * generic webhooks and to commands as it is (docs/alerts.md has its members); the others are made of it. Pure
 * but for cJSON. */
#ifndef TW_CONTROLLER_NOTIFY_FORMAT_H
#define TW_CONTROLLER_NOTIFY_FORMAT_H

#include "controller/core/alert.h"

/* malloc'ed; NULL: no memory. labels as alert_engine_labels() gives them. */
char *notify_body(const struct alert *a, const char *event, const char *key, const char *controller,
                  const struct tw_label *labels, size_t n_labels, int64_t now_ns);
/* Several bodies as one, for the Alertmanager: '{"alerts": [BODY, ...]}'. */
char *notify_bodies(char *const *bodies, size_t n);

/* Of a body or several; malloc'ed; NULL: no memory, or it is no body. now_ns: of sending; hold_ns: how long a
 * firing alert counts when nothing more is heard. */
char *notify_alertmanager(const char *body, int64_t now_ns, int64_t hold_ns);
char *notify_slack(const char *body);
/* RFC 5322, with line ends as sendmail takes them; the header holds nothing that a body can break. */
char *notify_mail(const char *body, const struct alert_receiver *r, int64_t now_ns);
/* TWAMP_ALERT_...=...; NULL-terminated, each malloc'ed; n: how many. */
#define NOTIFY_ENV_MAX 40
size_t notify_environment(const char *body, char *ret[NOTIFY_ENV_MAX]);

#endif
