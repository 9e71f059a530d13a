/* JSON from an HTTP client as the request of each method of the Admin service; the first octet chooses the method, and whether it came
 * as a query. What is taken can be packed, and shown again. */
#include <stdlib.h>
#include "admin.pb-c.h"
#include "common/clk.h"
#include "controller/http/pb_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(ProtobufCMessage *m)
{
    size_t len = protobuf_c_message_get_packed_size(m);
    uint8_t *packed = malloc(len + 1);
    cJSON *o = cJSON_CreateObject();

    if (packed && protobuf_c_message_pack(m, packed) != len)
        abort();
    free(packed);
    if (o)
        pb_json_add(o, m);
    cJSON_Delete(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const ProtobufCServiceDescriptor *d = &tw__admin__descriptor;
    ProtobufCMessage *m = NULL;
    struct tw_err err = { 0 };
    cJSON *o;

    if (size < 2)
        return 0;
    o = cJSON_ParseWithLength((const char *)data + 1, size - 1);
    if (o && pb_json_parse(d->methods[(data[0] >> 1) % d->n_methods].input, o, data[0] & 1,
                           INT64_C(1700000000) * TW_NS_PER_S, &m, &err) == TW_OK) {
        use(m);
        protobuf_c_message_free_unpacked(m, NULL);
    }
    cJSON_Delete(o);
    return 0;
}
