#include "tests/fuzz/good_calls.h"
#include <string.h>
#include "admin.pb-c.h"
#include "controller/http/pb_json.h"
#include "tests/fuzz/check.h"

#define PAIR "\"source\":\"ams\",\"target\":\"fra\""

static const struct {
    const char *method, *request;
} calls[] = {
    { "TestStart", "{" PAIR ",\"count\":5}" },
    { "TestStart", "{" PAIR ",\"mesh\":\"core\",\"class\":\"voice\",\"count\":3,\"parallel\":2}" },
    { "TestStart", "{\"select\":\"site=ams\",\"target_select\":\"site=fra\",\"count\":5}" },
    { "TestStart", "{\"source\":\"fra\",\"target\":\"192.0.2.9\",\"count\":5}" },
    { "TestStart", "{\"source\":\"fra\",\"target\":\"host.example.net:862\",\"count\":5}" },
    { "TestProgress", "{\"test_id\":1,\"runs\":true}" },
    { "TestProgress", "{\"test_id\":1,\"packets\":true}" },
    { "TestProgress", "{\"test_id\":2,\"runs\":true,\"packets\":true}" },
    { "TestStop", "{\"test_id\":1}" },
    { "TestList", "{}" },
    { "TestList", "{\"test_id\":1}" },
    { "AgentLabel",
      "{\"name\":\"ams\",\"set_labels\":[{\"key\":\"k\",\"value\":\"v\"}],\"remove_labels\":[\"site\"]}" },
    { "AgentLabel", "{\"select\":\"site=fra\",\"set_labels\":[{\"key\":\"site\",\"value\":\"lon\"}]}" },
    { "AgentDrain", "{\"name\":\"ams\",\"reason\":\"because\"}" },
    { "AgentUndrain", "{\"name\":\"ams\"}" },
    { "AgentMaintenance", "{\"name\":\"fra\",\"end\":true}" },
    { "AgentMaintenance", "{\"select\":\"site=ams\",\"reason\":\"because\"}" },
    { "AgentRename", "{\"name\":\"ams\",\"new_name\":\"lon\"}" },
    { "AgentRevoke", "{\"name\":\"fra\",\"reason\":\"because\"}" },
    { "AgentRemove", "{\"name\":\"fra\"}" },
    { "AgentShow", "{\"name\":\"ams\"}" },
    { "AlertSilence", "{\"match\":\"mesh=core\",\"duration_ns\":3600000000000,\"reason\":\"because\"}" },
    { "AlertSilences", "{}" },
    { "AlertUnsilence", "{\"id\":1}" },
    { "AlertExplain", "{" PAIR ",\"mesh\":\"core\",\"class\":\"voice\"}" },
    { "AlertList", "{}" },
    { "AlertList", "{\"state\":\"all\"}" },
    { "AlertShow", "{\"id\":1}" },
    { "AlertAck", "{\"id\":1,\"reason\":\"because\"}" },
    { "AlertRules", "{}" },
    { "AlertReceivers", "{}" },
    { "AlertHistory", "{}" },
    { "AlertExport", "{}" },
    { "Flight", "{\"pairs\":{" PAIR "}}" },
    { "Flight", "{\"pairs\":{" PAIR ",\"mesh\":\"core\",\"class\":\"voice\"}}" },
    { "FlightFreeze", "{\"pairs\":{\"mesh\":\"core\"},\"reason\":\"because\"}" },
    { "FlightList", "{}" },
    { "Report", "{\"from\":\"-30d\"}" },
    { "Report", "{\"from\":\"-30d\",\"group_by\":\"label:site\",\"sort_by\":\"loss_ratio\",\"top\":2}" },
    { "Report", "{\"from\":\"-1h\",\"before_from\":\"-30d\",\"before_to\":\"-1h\"}" },
    { "ReportSla",
      "{\"from\":\"-30d\",\"objectives\":\"objectives: {loss: 1%, p95: 10ms, availability: 99.9%}\\n\"}" },
    { "Results", "{\"from\":\"-30d\"}" },
    { "Results", "{\"from\":\"-30d\",\"limit\":3}" },
    { "Outages", "{\"from\":\"-30d\"}" },
    { "Completeness", "{\"from\":\"-30d\"}" },
    { "ScheduleHistory", "{}" },
    { "ScheduleRollback", "{\"generation\":1}" },
    { "ScheduleRollback", "{\"generation\":1,\"plan_only\":true}" },
    { "DoctorStart", "{" PAIR ",\"probe_all\":true}" },
    { "DoctorLook", "{\"id\":1}" },
    { "AuditList", "{}" },
    { "AccessList", "{}" },
    { "JoinTokenList", "{}" },
    { "JoinTokenCreate", "{\"uses\":2,\"approve\":true,\"labels\":[{\"key\":\"site\",\"value\":\"lon\"}]}" },
    { "JoinTokenCreate", "{\"name_glob\":\"l*\"}" },
    { "AgentApprove", "{\"name\":\"lon\"}" },
    { "AgentRevoke", "{\"name\":\"lon\"}" },
    { "DatabaseStart", "{}" },
    { "Clock", "{}" },
    { "Status", "{}" },
};

size_t good_call(uint8_t which, int64_t now_ns, uint8_t *out, size_t cap, unsigned *ret_method)
{
    const ProtobufCServiceDescriptor *d = &tw__admin__descriptor;
    const char *method = calls[which % TW_NELEM(calls)].method;
    cJSON *o = cJSON_Parse(calls[which % TW_NELEM(calls)].request);
    ProtobufCMessage *m = NULL;
    struct tw_err err = { 0 };
    size_t len;
    unsigned i = 0;

    while (i < d->n_methods && strcmp(d->methods[i].name, method) != 0)
        i++;
    CHECK(o && i < d->n_methods);
    if (pb_json_parse(d->methods[i].input, o, false, now_ns, &m, &err) != TW_OK) {
        fprintf(stderr, "%s: %s: %s\n", method, err.field, err.text);
        abort();
    }
    cJSON_Delete(o);
    len = protobuf_c_message_get_packed_size(m);
    CHECK(len <= cap);
    protobuf_c_message_pack(m, out);
    protobuf_c_message_free_unpacked(m, NULL);
    *ret_method = i;
    return len;
}
