/* controller/ondemand_class.h - the class of a test on demand: that of a mesh, or settings by themselves, in
 * the language of mesh documents. */
#ifndef TW_CONTROLLER_ONDEMAND_CLASS_H
#define TW_CONTROLLER_ONDEMAND_CLASS_H

#include "admin.pb-c.h"
#include "controller/core/mesh.h"

#define ONDEMAND_AD_HOC "ad-hoc" /* the class name of settings by themselves */
#define ONDEMAND_SETTINGS_MAX 32
#define ONDEMAND_SETTINGS_TEXT 512

/* base NULL: the defaults of a class. `over` replaces single keys; the result is named ONDEMAND_AD_HOC if
 * there are any or there is no base. TW_EINVAL: err->field is the key. */
enum tw_rc ondemand_class(const struct mesh_class *base, Tw__TestSetting *const *over, size_t n,
                          struct mesh_class *ret, struct tw_err *err);
/* What is not a default, as in a document, in one line: "protocol: stamp, spacing: 20ms". Returns buf. */
const char *ondemand_class_text(const struct mesh_class *c, char buf[ONDEMAND_SETTINGS_TEXT]);

#endif
