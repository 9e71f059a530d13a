/* controller/core/class_diff.h - what of a class was altered, in words. Pure. */
#ifndef TW_CONTROLLER_CLASS_DIFF_H
#define TW_CONTROLLER_CLASS_DIFF_H

#include "controller/core/mesh.h"

#define CLASS_DIFF_MAX 256

/* "spacing 20ms -> 50ms, flows 1 -> 2", with the keys of documents; "" if an agent would have to do the same. What does not fit is left out,
 * and "..." stands for it. Returns buf. */
const char *class_diff(const struct mesh_class *before, const struct mesh_class *after, char buf[CLASS_DIFF_MAX]);
/* As documents have it: "20ms", "1500us", "1h". Returns buf. */
const char *class_duration(int64_t ns, char buf[24]);

#endif
