/* fake_etcd.h - etcd.h over one etcd in memory, that loses requests and answers, does them twice or later
 * than it says, and forgets. Any thread, as etcd.h says of each client. */
#ifndef TW_TEST_FAKE_ETCD_H
#define TW_TEST_FAKE_ETCD_H

#include "db/etcd/etcd.h"

void fake_etcd_reset(void); /* no client may be open */
/* One in n transactions goes wrong, as chance wants; 0: none. Those that are under way come. */
void fake_etcd_faults(unsigned one_in, uint64_t seed);
/* From now on no transaction is answered; every second one comes. */
void fake_etcd_down(bool down);
/* Nobody answers those who only ask, either. */
void fake_etcd_silent(bool silent);
/* What is on its way comes, or never will. */
void fake_etcd_flush(bool come);
void fake_etcd_break(void); /* watches end */
/* And changes up to now are known no more. */
void fake_etcd_compact(void);
/* That is done in the middle of the next so many reads of everything. */
void fake_etcd_compact_in_reads(unsigned n);
/* As `etcdctl snapshot save`, and as if all members had ended and begun anew with that: the revision, too. */
void fake_etcd_save(void);
void fake_etcd_restore(void);
/* Clients that watch are answered nothing meanwhile; those that do not are. */
void fake_etcd_cut_watchers(bool cut);
/* What puts anything is refused that way: TW_ENOSPC, its quota is used up; TW_EPERM. TW_OK: nothing is. */
void fake_etcd_refuse(enum tw_rc rc);
/* As if nobody had kept those there are. */
void fake_etcd_end_leases(void);
/* The value of a key, "" if there is none; valid until the next change. */
const char *fake_etcd_value(const char *key);
/* As by hand; value NULL: deletes. */
void fake_etcd_put(const char *key, const char *value);
unsigned fake_etcd_transactions(void); /* that came */
unsigned fake_etcd_keys(const char *prefix);

#endif
