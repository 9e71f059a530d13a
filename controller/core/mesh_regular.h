/* controller/core/mesh_regular.h - the pairs of a k-regular mesh: each member has exactly `degree` targets and is
 * the target of exactly `degree` others. Pure; by the names alone, so order and history do not show.
 *
 * It is made of `degree` rings. Each ring orders the members by another hash of their names and leads each to the
 * next one; where that pair is there already, or excluded, two members of the ring swap their targets. Above three
 * quarters of the possible degree the same rings say what is left out instead; from members - 1 on it is the full mesh.
 *
 * What moves when a member comes or goes, besides the 2 * degree pairs that are its own: about `degree` pairs of the
 * others, one where it is put into each ring, and a few more where swaps follow. With members >= 4 * degree at most
 * 4 * degree of them go and 4 * degree come, and on average below 2.5 * degree. Nearer to the full mesh swaps follow
 * swaps: up to a third of all pairs more. */
#ifndef TW_CONTROLLER_MESH_REGULAR_H
#define TW_CONTROLLER_MESH_REGULAR_H

#include "common/rc.h"

#include <stddef.h>
#include <stdint.h>

/* A pair is source << 32 | target, both places in `names`, which are sorted, each once. excluded: pairs that must
 * not come, sorted. Up to three quarters of the possible degree others take their places as long as there are any;
 * above, and when there are none, the degree is lower there. *ret: malloc'ed, sorted. TW_ENOMEM. */
enum tw_rc mesh_regular(const char *const *names, size_t n, uint32_t degree, const uint64_t *excluded,
                        size_t n_excluded, uint64_t **ret, size_t *ret_n);

/* The same a ring at a time, and what comes of it is in no order. names and excluded are not needed any more
 * when this returns. */
struct rings;
enum tw_rc mesh_rings_new(const char *const *names, size_t n, uint32_t degree, const uint64_t *excluded,
                          size_t n_excluded, struct rings **ret);
/* About *left members' places in a ring, which are taken off that. TW_EAGAIN: there are more. */
enum tw_rc mesh_rings_go_on(struct rings *r, size_t *left);
void mesh_rings_take(struct rings *r, uint64_t **ret, size_t *ret_n);
void mesh_rings_free(struct rings *r); /* NULL is allowed */

#endif
