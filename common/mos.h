/* common/mos.h - how a telephone call over the path would be rated: the E-model of ITU-T G.107 with its
 * default values, and the codec's equipment impairment of ITU-T G.113 Appendix I. An estimate of the
 * network's part, for planning: no speech was heard. Pure.
 *
 *   R = Ro - Is - Id - Ie-eff        MOS = 1 + 0.035 R + R (R - 60) (100 - R) 7e-6
 *   Ie-eff = Ie + (95 - Ie) Ppl / (Ppl / BurstR + Bpl)
 *
 * Opus has no published Ie and Bpl for the narrow-band model: it is not here. */
#ifndef TW_COMMON_MOS_H
#define TW_COMMON_MOS_H

#include <stddef.h>

enum mos_codec { MOS_G711, MOS_G729A, MOS_CODEC_COUNT };
struct mos_codec_info {
    const char *name;  /* "g711" */
    const char *title; /* "G.711 with packet loss concealment, 20 ms" */
    double ie, bpl;    /* G.113 Appendix I */
    double delay_s;    /* of one packet and of looking ahead */
};
extern const struct mos_codec_info mos_codecs[MOS_CODEC_COUNT];

/* What a call in one direction meets. */
struct mos_path {
    double delay_s;     /* one way, of the network */
    double jitter_s;    /* RFC 3550; the playout buffer is assumed to hold two of it */
    double loss_ratio;  /* 0..1 */
    double burst_ratio; /* BurstR: mean length of loss runs by that of random loss; at least 1 */
};
/* R factor, 0..100. */
double mos_r_factor(const struct mos_path *path, enum mos_codec codec);
/* MOS-CQE of an R factor, 1..4.5. */
double mos_of_r(double r);
/* BurstR of what was seen: `lost` of `sent` in `runs`. 1 where nothing was lost. */
double mos_burst_ratio(double lost, double sent, double runs);

#endif
