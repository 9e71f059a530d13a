/* controller/admin_alert.h - what the handlers about alerts share. */
#ifndef TW_CONTROLLER_ADMIN_ALERT_H
#define TW_CONTROLLER_ADMIN_ALERT_H

#include "controller/admin.h"
#include "controller/alerts.h"

/* NULL: it is unknown, or there is no room. */
Tw__AlertNumber *admin_alert_number(struct arena *ar, struct tw_num v);

#endif
