/* db/etcd/number.h - a number by which a control state in etcd is known elsewhere: made once, by chance, and the same for
 * all who share it, /twampmesh/CLUSTER/number. */
#ifndef TW_DB_ETCD_NUMBER_H
#define TW_DB_ETCD_NUMBER_H

#include "db/etcd/etcd.h"

/* > 0 */
enum tw_rc etcd_number(const struct http_location *at, int64_t stall_ns, int64_t *ret, struct tw_err *err);

#endif
