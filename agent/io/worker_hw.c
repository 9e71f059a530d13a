/* agent/io/worker_hw.c - time stamps of network cards, as system time. What a card says is believed where it
 * fits the kernel's own stamp of the same packet: a card is not told for each stamp whose it is, and clocks
 * are set. */
#include <string.h>
#include "agent/io/worker_priv.h"

/* From the card to the kernel: interrupts are held back, and threads are busy. */
#define RX_EARLIER_MAX_NS (50 * TW_NS_PER_MS)

void worker_set_phcs(struct worker *w, const struct worker_phc *phcs, size_t n)
{
    pthread_mutex_lock(&w->clock_lock);
    memcpy(w->phcs_set, phcs, n * sizeof *phcs);
    w->n_phcs_set = n;
    pthread_mutex_unlock(&w->clock_lock);
    atomic_fetch_add_explicit(&w->phcs_version, 1, memory_order_release);
}

void worker_apply_phcs(struct worker *w)
{
    unsigned version = atomic_load_explicit(&w->phcs_version, memory_order_acquire);

    if (version == w->phcs_seen)
        return;
    pthread_mutex_lock(&w->clock_lock);
    memcpy(w->phcs, w->phcs_set, sizeof w->phcs);
    w->n_phcs = w->n_phcs_set;
    pthread_mutex_unlock(&w->clock_lock);
    w->phcs_seen = version;
}

/* Within [from, to], give or take the error of the reading. */
bool worker_hw_time(const struct worker *w, int64_t phc_ns, uint32_t interface, int64_t from_ns,
                    int64_t to_ns, struct tw_wall *ret)
{
    for (size_t i = 0; i < w->n_phcs; i++) {
        struct tw_wall t;
        int64_t error;

        if ((interface && w->phcs[i].interface != interface) ||
            phc_map_convert(&w->phcs[i].map, phc_ns, &t, &error) != TW_OK)
            continue;
        if (t.ns < from_ns - error || t.ns > to_ns + error)
            continue;
        *ret = t;
        return true;
    }
    return false;
}

void worker_rx_time(const struct worker *w, const struct udp_in *in, struct tw_wall *ret,
                    enum tw_ts_source *ret_source)
{
    *ret = in->time;
    *ret_source = in->source;
    if (in->phc_ns &&
        worker_hw_time(w, in->phc_ns, in->phc_interface, in->time.ns - RX_EARLIER_MAX_NS, in->time.ns, ret))
        *ret_source = TW_TS_HARDWARE;
}
