/* common/net/summary_pb.h - struct tw_summary to and from the Summary message; agent, controller and twampctl share it. */
#ifndef TW_NET_SUMMARY_PB_H
#define TW_NET_SUMMARY_PB_H

#include "common/net/arena.h"
#include "common/stats.h"
#include "measure.pb-c.h"

/* Builds a message inside the arena (blobs too). TW_ENOMEM beyond the arena's cap. */
enum tw_rc summary_to_pb(const struct tw_summary *s, struct arena *a, Tw__Summary **ret);
/* Into an initialised *ret (histograms are replaced); everything is validated (summary_validate()). On error *ret is
 * reset and *err names the field. */
enum tw_rc summary_from_pb(const Tw__Summary *m, struct tw_summary *ret, struct tw_err *err);

#endif
