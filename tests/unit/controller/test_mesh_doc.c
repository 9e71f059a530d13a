/* Documents as people write them: good ones to the last field, bad ones to line, column, field and advice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/core/plan.h"

#define FULL "mesh: m\ntopology: full\nmembers: [a, b]\n" /* 3 lines */
#define CLASS "classes: {c: {}}\n"                        /* 1 line */
#define CLASS_OF(keys) FULL "classes:\n  voice:\n" keys   /* keys begin on line 6 */
#define GROUPS(groups) \
    "mesh: m\ntopology: full\nmembers: [a, b]\n" CLASS "groups:\n" groups /* groups on line 6 */
#define LIST(pairs) \
    "mesh: m\ntopology: list\n" CLASS "targets: {edge: 192.0.2.1}\npairs:\n" pairs /* on line 6 */

static const struct {
    const char *name, *text;
    unsigned line, column; /* 0: nowhere */
    const char *field, *says;
} bad[] = {
    /* Keys */
    { "unknown key", FULL CLASS "topolgy: full\n", 5, 1, "",
      "unknown key \"topolgy\": did you mean \"topology\"?" },
    { "unknown key of a class", CLASS_OF("    dcsp: EF\n"), 6, 5, "classes.voice", "did you mean \"dscp\"?" },
    { "nothing like it", CLASS_OF("    colour: red\n"), 6, 5, "classes.voice",
      "expected one of dscp, spacing" },
    { "merge key", CLASS_OF("    <<: {}\n"), 6, 5, "classes.voice", "unknown key \"<<\"" },
    { "key twice", FULL CLASS "mesh: n\n", 5, 1, "mesh", "given twice" },
    { "class key twice", CLASS_OF("    size: 100\n    size: 200\n"), 7, 5, "classes.voice.size",
      "given twice" },
    { "no mesh", "topology: full\nmembers: [a, b]\n" CLASS, 1, 1, "mesh", "missing" },
    { "no topology", "mesh: m\nmembers: [a, b]\n" CLASS, 1, 1, "topology", "missing" },
    { "no classes", FULL, 1, 1, "classes", "missing" },
    { "list as key", "? [a]\n: b\n", 1, 3, "", "expected a name before the colon" },
    { "NUL in a key", "\"me\\0sh\": m\n", 1, 1, "", "NUL" },
    /* Shapes */
    { "text where a list belongs", "mesh: m\ntopology: full\nmembers: a\n" CLASS, 3, 10, "members",
      "expected a list such as [a, b], got a plain value" },
    { "list where text belongs", "mesh: [m]\n", 1, 7, "mesh", "expected a plain value, got a list" },
    { "list in a list", "mesh: m\nmembers: [a, [b]]\n", 2, 14, "members[1]", "expected a plain value" },
    { "class without keys", FULL "classes:\n  voice:\n", 5, 9, "classes.voice", "no value" },
    { "null", FULL CLASS "description: null\n", 5, 14, "description", "no value" },
    { "root is a list", "- a\n", 1, 1, "", "expected keys and values, got a list" },
    { "root is text", "hello\n", 1, 1, "", "expected keys and values, got a plain value" },
    { "root refers to itself", "&a [*a]\n", 1, 1, "", "expected keys and values" },
    { "members contain themselves", "mesh: m\nmembers: &a [*a]\n", 2, 10, "members[0]",
      "expected a plain value" },
    /* Names */
    { "capital letters", "mesh: Voice\n", 1, 7, "mesh", "a-z 0-9 -; got \"Voice\"" },
    { "empty name", "mesh: \"\"\n", 1, 7, "mesh", "expected the name of a mesh" },
    { "long name", "mesh: aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg\n", 1, 7, "mesh",
      "1 to 63" },
    { "dot in a class", FULL "classes: {a.b: {}}\n", 4, 11, "classes.a.b", "expected the name of a class" },
    { "agent with a space", "mesh: m\nmembers: [a, \"b c\"]\n", 2, 14, "members[1]", "expected an agent" },
    { "lone at sign", "mesh: m\nmembers: [a, \"@\"]\n", 2, 14, "members[1]", "expected an agent" },
    { "not ASCII", "mesh: m\xc3\xbcnchen\n", 1, 7, "mesh", "got \"m??nchen\"" },
    /* Lists */
    { "no members", "mesh: m\nmembers: []\n", 2, 10, "members", "the list is empty" },
    { "one member", "mesh: m\ntopology: full\nmembers: [a]\n" CLASS, 3, 11, "members",
      "at least two members, this is 1" },
    { "all as a member", "mesh: m\ntopology: full\nmembers: [all]\n" CLASS, 3, 11, "members",
      "\"all\" is one member; all agents are members: [\"@all\"]" },
    { "a group without its sign", "mesh: m\ntopology: full\nmembers: [g]\ngroups: {g: [a, b]}\n" CLASS, 3, 11, "members",
      "\"g\" is one member: did you mean the group \"@g\"?" },
    { "member twice", "mesh: m\nmembers: [b, a, b]\n", 2, 17, "members", "entry \"b\" is given twice" },
    { "hubs in a full mesh", FULL CLASS "hubs: [c]\n", 5, 8, "hubs",
      "belongs to topology hub-spoke, this is full" },
    { "members in a list", "mesh: m\ntopology: list\npairs: [[a, b]]\nmembers: [a, b]\n" CLASS, 4, 11,
      "members", "belongs to topology full" },
    { "no spokes", "mesh: m\ntopology: hub-spoke\nhubs: [a]\n" CLASS, 1, 1, "spokes",
      "topology hub-spoke needs \"spokes\"" },
    { "hub is a spoke",
      "mesh: m\ntopology: hub-spoke\nhubs: [a]\nspokes: [b, \"@g\"]\ngroups: {g: [a]}\n" CLASS, 4, 13,
      "spokes", "\"a\" is both a hub and a spoke" },
    { "topology by another name", "mesh: m\ntopology: star\n", 2, 11, "topology",
      "one of full, hub-spoke, list, disjoint, ring, k-regular; got \"star\"" },
    { "topology with a slip", "mesh: m\ntopology: rnig\n", 2, 11, "topology", "did you mean \"ring\"?" },
    { "one side only", "mesh: m\ntopology: disjoint\nleft: [a]\n" CLASS, 1, 1, "right",
      "topology disjoint needs \"right\"" },
    { "members of a disjoint", "mesh: m\ntopology: disjoint\nleft: [a]\nright: [b]\nmembers: [a]\n" CLASS, 5,
      11, "members", "belongs to topology full, ring or k-regular, this is disjoint" },
    { "ring of one", "mesh: m\ntopology: ring\nmembers: [a]\n" CLASS, 3, 11, "members",
      "a ring mesh needs at least two members, this is 1" },
    { "no degree", "mesh: m\ntopology: k-regular\nmembers: [a, b]\n" CLASS, 1, 1, "degree",
      "topology k-regular needs \"degree\"" },
    { "degree 0", "mesh: m\ntopology: k-regular\nmembers: [a, b]\ndegree: 0\n" CLASS, 4, 9, "degree",
      "expected 1 to 1000000 targets of each member, got \"0\"" },
    { "degree of a full mesh", FULL CLASS "degree: 3\n", 5, 9, "degree",
      "belongs to topology k-regular, this is full" },
    { "target in a k-regular mesh",
      "mesh: m\ntopology: k-regular\ndegree: 1\nmembers: [a, b, \"@g\"]\ngroups: {g: [r]}\ntargets: {r: "
      "192.0.2.1}\n" CLASS,
      4, 17, "members", "\"r\" is a target and cannot send: a k-regular mesh has agents only" },
    { "one way of a list", LIST("  [[a, b]]\none_way: true\n"), 7, 10, "one_way",
      "belongs to topology full, hub-spoke, disjoint or ring, this is list" },
    { "one way by another word", FULL CLASS "one_way: yes\n", 5, 10, "one_way",
      "expected one of false, true" },
    { "reserved name", "mesh: on-demand\n", 1, 7, "mesh", "reserved for tests on demand" },
    /* Pairs */
    { "self pair", LIST("  - [a, b]\n  - [a, a]\n"), 7, 6, "pairs[1]", "\"a\" is paired with itself" },
    { "self pair excluded", FULL CLASS "exclude: [[a, a]]\n", 5, 12, "exclude[0]",
      "\"a\" is paired with itself" },
    { "pair of three", LIST("  - [a, b, c]\n"), 6, 5, "pairs[0]", "expected [source, target], got 3 names" },
    { "pair twice", LIST("  - [a, b]\n  - [b, a]\n  - [a, b]\n"), 8, 6, "pairs[2]", "given twice" },
    { "no pairs", LIST("  []\n"), 6, 3, "pairs", "the list is empty" },
    { "target sends", LIST("  - [edge, a]\n"), 6, 6, "pairs[0]", "\"edge\" is a target and cannot send" },
    { "unknown group in a pair", LIST("  - [a, \"@g\"]\n"), 6, 9, "pairs[0]", "group \"@g\" is unknown" },
    /* Groups */
    { "unknown group", "mesh: m\ntopology: full\nmembers: [a, \"@emae\"]\ngroups: {emea: [b]}\n" CLASS, 3, 14,
      "members[1]", "did you mean \"@emea\"?" },
    { "unknown group in a group", GROUPS("  x: [a]\n  y: [a, \"@zz\"]\n"), 7, 10, "groups.y[1]",
      "group \"@zz\" is unknown" },
    { "group without members", GROUPS("  x: []\n"), 6, 6, "groups.x", "the list is empty" },
    { "group twice", GROUPS("  x: [a]\n  x: [b]\n"), 7, 3, "groups", "key \"x\" is given twice" },
    { "group in itself", GROUPS("  x: [a, \"@x\"]\n"), 6, 10, "groups.x[1]", "contain each other: @x -> @x" },
    { "cycle", GROUPS("  x: [\"@y\"]\n  y: [a, \"@z\"]\n  z: [\"@y\"]\n"), 8, 7, "groups.z[0]",
      "groups contain each other: @y -> @z -> @y" },
    { "group name too long for its @",
      GROUPS("  a23456789012345678901234567890123456789012345678901234567890123: [a]\n"), 6, 3,
      "groups.a2345678901234567890123456789012345678901234...", "1 to 62" },
    { "group as text", GROUPS("  x: a\n"), 6, 6, "groups.x",
      "expected a list such as [a, b], or keys and values" },
    { "group without anybody", GROUPS("  x: {allow_empty: true}\n"), 6, 6, "groups.x",
      "expected one of members, select, cidr" },
    { "unknown key of a group", GROUPS("  x: {selct: a}\n"), 6, 7, "groups.x", "did you mean \"select\"?" },
    { "selector", GROUPS("  x: {select: \"site==ams\"}\n"), 6, 21, "groups.x.select", "at character 6" },
    { "selector without quotes", GROUPS("  x:\n    select: site=\n"), 7, 18, "groups.x.select", "expected" },
    { "prefix", GROUPS("  x: {cidr: [10.0.0.0/8, 10.0.0.1/8]}\n"), 6, 26, "groups.x.cidr[1]",
      "no bits set behind the prefix; got \"10.0.0.1/8\"" },
    { "no prefix", GROUPS("  x: {cidr: []}\n"), 6, 13, "groups.x.cidr", "expected 1 to 1024 ranges" },
    { "group in itself by a map", GROUPS("  x: {members: [\"@x\"], select: \"*\"}\n"), 6, 17, "groups.x[0]",
      "contain each other" },
    { "allow_empty", GROUPS("  x: {select: a, allow_empty: 1}\n"), 6, 31, "groups.x.allow_empty",
      "expected one of false, true" },
    /* Targets */
    { "cut address", FULL CLASS "targets: {edge: 192.0.2}\n", 5, 17, "targets.edge",
      "expected a unicast address or a host name" },
    { "address of five", FULL CLASS "targets: {edge: 192.0.2.1.5}\n", 5, 17, "targets.edge", "a host name" },
    { "host name with a slash", FULL CLASS "targets: {edge: a/b.example}\n", 5, 17, "targets.edge",
      "a host name" },
    { "host name with a dash at the end", FULL CLASS "targets: {edge: r1-.example}\n", 5, 17, "targets.edge",
      "a host name" },
    { "host name with two dots", FULL CLASS "targets: {edge: r1..example}\n", 5, 17, "targets.edge",
      "a host name" },
    { "host name too long",
      FULL CLASS
      "targets: {edge: a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a."
      "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.ab}\n",
      5, 17, "targets.edge", "a host name" },
    { "host with port 0", FULL CLASS "targets: {edge: \"r1:0\"}\n", 5, 17, "targets.edge", "a host name" },
    { "host with port 65536", FULL CLASS "targets: {edge: \"r1:65536\"}\n", 5, 17, "targets.edge",
      "a host name" },
    { "target as a list", FULL CLASS "targets: {edge: [r1]}\n", 5, 17, "targets.edge",
      "expected an address, or keys" },
    { "target without address", FULL CLASS "targets: {edge: {family: 4}}\n", 5, 17, "targets.edge.address",
      "missing" },
    { "target of family 5", FULL CLASS "targets: {edge: {address: r1, family: 5}}\n", 5, 39,
      "targets.edge.family", "expected one of 4, 6" },
    { "address of another family", FULL CLASS "targets: {edge: {address: 192.0.2.1, family: 6}}\n", 5, 46,
      "targets.edge.family", "the address is of family 4" },
    { "port 0", FULL CLASS "targets: {edge: \"192.0.2.1:0\"}\n", 5, 17, "targets.edge",
      "got \"192.0.2.1:0\"" },
    { "multicast", FULL CLASS "targets: {edge: \"ff02::1\"}\n", 5, 17, "targets.edge", "unicast" },
    { "any address", FULL CLASS "targets: {edge: \":862\"}\n", 5, 17, "targets.edge", "unicast" },
    { "zone", FULL CLASS "targets: {edge: \"fe80::1%lo\"}\n", 5, 17, "targets.edge", "unicast" },
    /* Classes */
    { "no class", FULL "classes: {}\n", 4, 10, "classes", "expected 1 to 64 classes, got 0" },
    { "class twice", FULL "classes:\n  a: {}\n  a: {}\n", 6, 3, "classes", "key \"a\" is given twice" },
    { "DSCP by a wrong name", CLASS_OF("    dscp: AF51\n"), 6, 11, "classes.voice.dscp",
      "expected EF, AF11..AF43, CS0..CS7, LE, VOICE-ADMIT, BE, 0..63 or 0x00..0x3f; got \"AF51\"" },
    { "DSCP too large", CLASS_OF("    dscp: 64\n"), 6, 11, "classes.voice.dscp", "got \"64\"" },
    { "no unit", CLASS_OF("    spacing: 20\n"), 6, 14, "classes.voice.spacing",
      "with its unit, such as 20ms" },
    { "negative", CLASS_OF("    spacing: -1s\n"), 6, 14, "classes.voice.spacing", "got \"-1s\"" },
    { "spacing too small", CLASS_OF("    spacing: 999us\n"), 6, 14, "classes.voice.spacing",
      "expected 1ms to 1h" },
    { "spacing beyond all numbers", CLASS_OF("    spacing: 99999999999999999999h\n"), 6, 14,
      "classes.voice.spacing", "expected 1ms to 1h" },
    { "spacing kind", CLASS_OF("    spacing_kind: poisson\n"), 6, 19, "classes.voice.spacing_kind",
      "one of fixed, exponential; got \"poisson\"" },
    { "size too small", CLASS_OF("    size: 13\n"), 6, 11, "classes.voice.size",
      "expected 14 to 9000 octets of UDP payload" },
    { "size too large", CLASS_OF("    size: 9001\n"), 6, 11, "classes.voice.size", "got \"9001\"" },
    { "size with a unit", CLASS_OF("    size: 200B\n"), 6, 11, "classes.voice.size", "got \"200B\"" },
    { "size beyond 64 bit", CLASS_OF("    size: 18446744073709551716\n"), 6, 11, "classes.voice.size",
      "expected 14" },
    { "timeout above the period", CLASS_OF("    report_period: 10s\n    timeout: 11s\n"), 6, 5,
      "classes.voice.timeout", "timeout 11s is longer than report_period 10s" },
    { "default timeout above the period", CLASS_OF("    report_period: 1s\n"), 6, 5, "classes.voice.timeout",
      "timeout 2s is longer than report_period 1s" },
    { "timeout too short", CLASS_OF("    timeout: 9ms\n"), 6, 14, "classes.voice.timeout",
      "expected 10ms to 1h" },
    { "period does not divide a day", CLASS_OF("    report_period: 7s\n"), 6, 20,
      "classes.voice.report_period", "7s does not divide a day" },
    { "period too short", CLASS_OF("    report_period: 500ms\n"), 6, 20, "classes.voice.report_period",
      "expected 1s to 1h" },
    { "TTL 0", CLASS_OF("    ttl: 0\n"), 6, 10, "classes.voice.ttl", "expected 1 to 255 hops" },
    { "too many flows", CLASS_OF("    flows: 33\n"), 6, 12, "classes.voice.flows", "expected 1 to 32 flows" },
    { "unknown protocol", CLASS_OF("    protocol: icmp\n"), 6, 15, "classes.voice.protocol",
      "one of light, stamp, twamp; got \"icmp\"" },
    { "unknown auth", CLASS_OF("    auth: secret\n"), 6, 11, "classes.voice.auth",
      "one of none, authenticated, encrypted, mixed; got \"secret\"" },
    { "light does not sign", CLASS_OF("    auth: authenticated\n    key_id: k\n"), 6, 11,
      "classes.voice.auth", "\"authenticated\" is not for protocol light: expected none" },
    { "STAMP does not encrypt", CLASS_OF("    protocol: stamp\n    auth: encrypted\n    key_id: k\n"), 7, 11,
      "classes.voice.auth", "\"encrypted\" is not for protocol stamp: expected none, authenticated" },
    { "no key", CLASS_OF("    protocol: twamp\n    auth: mixed\n"), 7, 11, "classes.voice.key_id",
      "missing: auth mixed needs the name of an entry" },
    { "no key for an HMAC TLV", CLASS_OF("    protocol: stamp\n    tlvs: [hmac]\n"), 7, 11,
      "classes.voice.key_id", "missing: TLV hmac needs" },
    { "key for nothing", CLASS_OF("    protocol: stamp\n    key_id: k\n"), 7, 13, "classes.voice.key_id",
      "nothing is signed with auth none" },
    { "key with a space", CLASS_OF("    key_id: a b\n"), 6, 13, "classes.voice.key_id",
      "1 to 80 printable characters without spaces; got \"a b\"" },
    { "key not ASCII", CLASS_OF("    key_id: k\xc3\xbc\n"), 6, 13, "classes.voice.key_id", "got \"k??\"" },
    { "key of 81 octets",
      CLASS_OF("    key_id: "
               "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggghhhhhhhhhhi\n"),
      6, 13, "classes.voice.key_id", "1 to 80" },
    { "unknown TLV", CLASS_OF("    protocol: stamp\n    tlvs: [cos, colour]\n"), 7, 17,
      "classes.voice.tlvs[1]",
      "one of location, timestamp-info, cos, direct-measurement, access-report, follow-up, hmac; got" },
    { "TLV twice", CLASS_OF("    protocol: stamp\n    tlvs: [cos, cos]\n"), 7, 17, "classes.voice.tlvs",
      "entry \"cos\" is given twice" },
    { "TLVs as text", CLASS_OF("    tlvs: cos\n"), 6, 11, "classes.voice.tlvs", "expected a list" },
    { "TLVs in TWAMP", CLASS_OF("    tlvs: [cos]\n"), 6, 11, "classes.voice.tlvs",
      "only protocol stamp has TLVs, this is light" },
    { "reply DSCP in TWAMP", CLASS_OF("    protocol: twamp\n    reply_dscp: EF\n"), 7, 17,
      "classes.voice.reply_dscp", "only protocol stamp has TLVs, this is twamp" },
    { "reply DSCP", CLASS_OF("    reply_dscp: 64\n"), 6, 17, "classes.voice.reply_dscp", "got \"64\"" },
    { "STAMP too small", CLASS_OF("    protocol: stamp\n    size: 43\n"), 7, 11, "classes.voice.size",
      "43 octets are too few for protocol stamp with auth none and these TLVs: expected at least 44" },
    { "STAMP with TLVs too small",
      CLASS_OF("    protocol: stamp\n    auth: authenticated\n    key_id: k\n    tlvs: [location]\n    size: "
               "191\n"),
      10, 11, "classes.voice.size", "expected at least 192" }, /* 112, 60, and 20 of the HMAC */
    { "TWAMP too small", CLASS_OF("    size: 47\n    protocol: twamp\n    auth: encrypted\n    key_id: k\n"),
      6, 11, "classes.voice.size", "expected at least 48" },
    { "no room for a padding TLV", CLASS_OF("    protocol: stamp\n    size: 47\n"), 7, 11,
      "classes.voice.size",
      "47 octets leave 3 for padding, which takes 4 at least: expected 44, or at least 48" },
    { "DF by another word", CLASS_OF("    df: yes\n"), 6, 9, "classes.voice.df", "one of false, true" },
    { "padding of ones", CLASS_OF("    padding: ones\n"), 6, 14, "classes.voice.padding",
      "one of random, zero" },
    { "bind with a port", CLASS_OF("    bind: 192.0.2.1:862\n"), 6, 11, "classes.voice.bind",
      "a source address without a port" },
    { "bind to a cut address", CLASS_OF("    bind: 192.0.2\n"), 6, 11, "classes.voice.bind",
      "got \"192.0.2\"" },
    { "bind to any", CLASS_OF("    bind: \"::\"\n"), 6, 11, "classes.voice.bind", "a source address" },
    { "bind to a long name", CLASS_OF("    bind: interface0123456\n"), 6, 11, "classes.voice.bind",
      "the name of an interface" },
    { "bind to a path", CLASS_OF("    bind: ../eth0\n"), 6, 11, "classes.voice.bind",
      "the name of an interface" },
    /* Inheritance */
    { "extends nobody", CLASS_OF("    extends: vioce\n"), 6, 14, "classes.voice.extends",
      "class \"vioce\" is unknown: did you mean \"voice\"?" },
    { "extends something far", CLASS_OF("    extends: bulk\n"), 6, 14, "classes.voice.extends",
      "class \"bulk\" is unknown: expected another name under classes" },
    { "extends itself", CLASS_OF("    extends: voice\n"), 6, 14, "classes.voice.extends",
      "classes extend each other: voice -> voice" },
    { "cycle of classes",
      FULL "classes:\n  x: {extends: a}\n  a: {extends: b}\n  b: {extends: c}\n  c: {extends: a}\n", 8, 16,
      "classes.x.extends", "classes extend each other: a -> b -> c -> a" },
    { "extends a list", CLASS_OF("    extends: [a]\n"), 6, 14, "classes.voice.extends",
      "expected a plain value" },
    { "defaults that extend", FULL CLASS "defaults: {extends: c}\n", 5, 12, "defaults",
      "unknown key \"extends\"" },
    { "wrong default, before it is met", FULL CLASS "defaults: {ttl: 0}\n", 5, 17, "defaults.ttl",
      "expected 1 to 255" },
    { "wrong default, first", FULL "defaults: {ttl: 0}\n" CLASS, 4, 17, "defaults.ttl", "expected 1 to 255" },
    { "defaults as a list", FULL CLASS "defaults: [a]\n", 5, 11, "defaults", "expected keys and values" },
    { "wrong value of a class that is extended", FULL "classes:\n  a: {extends: b}\n  b: {ttl: 0}\n", 6, 12,
      "classes.b.ttl", "expected 1 to 255" },
    { "extends what is no class", FULL "classes:\n  a: {extends: b}\n  b: 7\n", 6, 6, "classes.b",
      "expected keys and values" },
    { "inherited timeout", FULL "defaults: {timeout: 5s}\nclasses: {c: {report_period: 2s}}\n", 5, 14,
      "classes.c.timeout", "timeout 5s is longer" },
    { "inherited size too small", FULL "defaults: {size: 20}\nclasses: {c: {protocol: stamp}}\n", 4, 18,
      "classes.c.size", "20 octets are too few" },
    { "inherited auth",
      FULL "defaults: {protocol: stamp, auth: authenticated, key_id: k}\nclasses: {c: {protocol: light}}\n",
      4, 35, "classes.c.auth", "is not for protocol light: expected none" },
    /* Text that is no document */
    { "empty", "", 1, 1, "", "the document is empty" },
    { "only a comment", "# nothing\n", 1, 1, "", "the document is empty" },
    { "two documents", FULL CLASS "---\n" FULL CLASS, 5, 1, "", "a second document begins here" },
    { "tab", "mesh: m\nclasses:\n\tvoice: {}\n", 3, 1, "", "a tab: indent with spaces" },
    { "unquoted group", "mesh: m\nmembers: [a, @emea]\n", 2, 14, "", "quote the names of groups: \"@name\"" },
    { "unclosed list", "mesh: m\nmembers: [a, b\n", 3, 1, "", "" },
    { "bad indent", "mesh: m\n  topology: full\n", 2, 11, "", "mapping values are not allowed" },
    { "undefined alias", "mesh: *x\n", 1, 7, "", "found undefined alias" },
    { "not UTF-8", "mesh: m\n# caf\xe9\n", 2, 6, "", "not UTF-8" },
    { "overlong UTF-8", "mesh: \xc0\xaf\n", 1, 7, "", "not UTF-8" },
    { "surrogate", "mesh: \xed\xa0\x80\n", 1, 7, "", "not UTF-8" },
    { "cut UTF-8", "mesh: \xe2\x82", 1, 7, "", "not UTF-8" },
    { "control character", "mesh: m\x1b[0m\n", 1, 8, "", "control character" },
    { "nested too deeply", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 1, 17, "", "nested too deeply" },
    { "nested too deeply in blocks", "- - - - - - - - - - - - - - - - - - - - a\n", 1, 33, "",
      "nested too deeply" },
};

static void expect_refused(const char *name, const char *text, size_t len, unsigned line, unsigned column,
                           const char *field, const char *says)
{
    struct mesh *m = NULL;
    struct tw_err e;
    enum tw_rc rc = mesh_doc_parse("x.yaml", text, len, &m, &e);

    if (rc == TW_OK || m)
        fail_msg("%s: accepted", name);
    if (rc != e.rc || strcmp(e.file, "x.yaml") || e.line != line || e.column != column ||
        strcmp(e.field, field) || !strstr(e.text, says))
        fail_msg("%s: rc %s, %s:%u:%u, field \"%s\", says \"%s\"\nexpected %u:%u, field \"%s\", \"%s\"", name,
                 tw_rc_name(rc), e.file, e.line, e.column, e.field, e.text, line, column, field, says);
}

static void refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(bad); i++)
        expect_refused(bad[i].name, bad[i].text, strlen(bad[i].text), bad[i].line, bad[i].column,
                       bad[i].field, bad[i].says);
}

static void refuses_nul(void **state)
{
    static const char text[] = "mesh: m\nx\0y: 1\n";

    (void)state;
    expect_refused("NUL", text, sizeof text - 1, 2, 2, "", "a NUL character");
}

static struct mesh *parse(const char *text)
{
    struct mesh *m = NULL;
    struct tw_err e;
    char line[512];

    if (mesh_doc_parse("x.yaml", text, strlen(text), &m, &e))
        fail_msg("%s\n%s", tw_err_format(&e, line, sizeof line), text);
    return m;
}

static void expect_class(const struct mesh_class *c, const struct mesh_class *want)
{
    assert_string_equal(c->name, want->name);
    assert_int_equal(c->dscp, want->dscp);
    assert_int_equal(c->ttl, want->ttl);
    assert_int_equal(c->size_bytes, want->size_bytes);
    assert_int_equal(c->exponential, want->exponential);
    assert_int_equal(c->spacing_ns, want->spacing_ns);
    assert_int_equal(c->timeout_ns, want->timeout_ns);
    assert_int_equal(c->report_period_ns, want->report_period_ns);
    assert_int_equal(c->flows, want->flows);
    assert_int_equal(c->protocol, want->protocol);
    assert_int_equal(c->auth, want->auth);
    assert_string_equal(c->key_id, want->key_id);
    assert_string_equal(c->bind, want->bind);
    assert_int_equal(c->tlvs, want->tlvs);
    assert_int_equal(c->reply_dscp, want->reply_dscp);
    assert_true(mesh_class_same(c, want));
}

static void every_field(void **state)
{
    struct mesh *m =
        parse("mesh: branches\n"
              "description: \"two\\nlines\"\n"
              "topology: hub-spoke\n"
              "hubs: [dc.one, dc2]\n"
              "spokes: ['@north', no]\n" /* no boolean: every value is text */
              "exclude: [[no, dc2]]\n"
              "groups: {north: [oslo, \"@far\"], far: [alta]}\n"
              "targets: {r1: 192.0.2.1, r2: '[2001:db8::1]:863'}\n"
              "classes:\n"
              "  all: {dscp: 0x2E, spacing: 1.5s, spacing_kind: exponential, size: 9000, timeout: 10ms,\n"
              "        report_period: 1m, ttl: 1, flows: 32, protocol: stamp, auth: authenticated,\n"
              "        key_id: site.2026, df: true, padding: zero, bind: eth0.7, tlvs: [follow-up],\n"
              "        reply_dscp: AF41}\n"
              "  none: {}\n");
    const struct mesh_class all = { "all",
                                    .dscp = 46,
                                    .ttl = 1,
                                    .size_bytes = 9000,
                                    .exponential = true,
                                    .spacing_ns = 1500000000,
                                    .timeout_ns = 10000000,
                                    .report_period_ns = 60000000000,
                                    .flows = 32,
                                    .protocol = MESH_STAMP,
                                    .auth = MESH_AUTHENTICATED,
                                    .key_id = "site.2026",
                                    .df = true,
                                    .zero_padding = true,
                                    .bind = "eth0.7",
                                    .tlvs = MESH_TLV_BIT(MESH_TLV_COS) | MESH_TLV_BIT(MESH_TLV_FOLLOW_UP) |
                                            MESH_TLV_BIT(MESH_TLV_HMAC),
                                    .reply_dscp = 34 };
    const struct mesh_class none = { "none",
                                     .ttl = 255,
                                     .size_bytes = 100,
                                     .spacing_ns = 100000000,
                                     .timeout_ns = 2000000000,
                                     .report_period_ns = 10000000000,
                                     .flows = 1 };

    (void)state;
    assert_string_equal(m->name, "branches");
    assert_string_equal(m->description, "two\nlines");
    assert_int_equal(m->topology, MESH_HUB_SPOKE);
    assert_int_equal(m->hubs.n, 2);
    assert_string_equal(m->hubs.v[0].name, "dc.one");
    assert_int_equal(m->spokes.n, 2);
    assert_string_equal(m->spokes.v[0].name, "@north");
    assert_string_equal(m->spokes.v[1].name, "no");
    assert_int_equal(m->spokes.v[1].line, 5);
    assert_int_equal(m->spokes.v[1].column, 20);
    assert_int_equal(m->n_exclude, 1);
    assert_string_equal(m->exclude[0].source.name, "no");
    assert_string_equal(m->exclude[0].target.name, "dc2");
    assert_int_equal(m->n_groups, 2);
    assert_string_equal(m->groups[0].members.v[1].name, "@far");
    assert_int_equal(m->n_targets, 2);
    assert_int_equal(m->targets[0].addr.port, 862);
    assert_int_equal(m->targets[1].addr.port, 863);
    assert_int_equal(m->targets[1].addr.family, 6);
    assert_int_equal(m->n_classes, 2);
    expect_class(&m->classes[0], &all);
    expect_class(&m->classes[1], &none);
    mesh_free(m);
}

/* One line each: what a class becomes. */
static void classes_as_given(void **state)
{
    static const struct {
        const char *keys;
        uint16_t min_bytes, size_bytes;
        uint32_t tlvs;
        uint8_t reply_dscp;
    } rows[] = {
        { "protocol: light, size: 14", 14, 14, 0, 0 },
        { "protocol: stamp", 44, 100, 0, 0 },
        { "protocol: stamp, size: 44", 44, 44, 0, 0 },
        { "protocol: stamp, auth: authenticated, key_id: k", 112, 112, 0, 0 }, /* 100 would be too few */
        { "protocol: stamp, tlvs: [cos], dscp: EF", 52, 100, 0x10, 46 },
        { "protocol: stamp, reply_dscp: CS1, dscp: EF", 52, 100, 0x10, 8 },
        { "protocol: stamp, reply_dscp: 0, dscp: EF, tlvs: [cos]", 52, 100, 0x10, 0 },
        { "protocol: stamp, key_id: k, tlvs: [hmac]", 64, 100, 0x100, 0 },
        { "protocol: stamp, size: 184, key_id: k, "
          "tlvs: [location, timestamp-info, cos, direct-measurement, access-report, follow-up, hmac]",
          184, 184, 0x1fc, 0 },
        { "protocol: twamp, size: 14", 14, 14, 0, 0 },
        { "protocol: twamp, auth: authenticated, key_id: k, size: 48", 48, 48, 0, 0 },
        { "protocol: twamp, auth: encrypted, key_id: k, size: 49", 48, 49, 0, 0 },
        { "protocol: twamp, auth: mixed, key_id: k, size: 14", 14, 14, 0, 0 },
        { "protocol: light, size: imix, bind: 2001:db8::1", 14, 0, 0, 0 },
        { "df: false, padding: random, bind: 192.0.2.1", 14, 100, 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        char text[512];
        struct mesh *m;
        const struct mesh_class *c;

        snprintf(text, sizeof text, FULL "classes: {c: {%s}}\n", rows[i].keys);
        m = parse(text);
        c = &m->classes[0];
        if (mesh_class_min_bytes(c) != rows[i].min_bytes || c->size_bytes != rows[i].size_bytes ||
            c->imix != !rows[i].size_bytes || c->tlvs != rows[i].tlvs || c->reply_dscp != rows[i].reply_dscp)
            fail_msg("%s: min %u, size %u, TLVs 0x%x, reply DSCP %u", rows[i].keys, mesh_class_min_bytes(c),
                     c->size_bytes, c->tlvs, c->reply_dscp);
        mesh_free(m);
    }
}

static void groups_that_select(void **state)
{
    struct mesh *m = parse(FULL CLASS "groups:\n"
                                      "  x: {members: [z, \"@y\"], select: \"site=ams,role!=edge\", cidr: "
                                      "[10.0.0.0/8, \"2001:db8::/32\"]}\n"
                                      "  y: {select: \"*\", allow_empty: true}\n"
                                      "  z: [b]\n");
    const struct tw_label ams = { "site", "ams" };

    (void)state;
    assert_int_equal(m->groups[0].members.n, 2);
    assert_int_equal(m->groups[0].n_cidr, 2);
    assert_int_equal(m->groups[0].cidr[1].len, 32);
    assert_true(selector_match(m->groups[0].select, &ams, 1, "any"));
    assert_false(selector_match(m->groups[0].select, NULL, 0, "any"));
    assert_false(m->groups[0].allow_empty);
    assert_true(mesh_group_selects(&m->groups[1]) && m->groups[1].allow_empty);
    assert_false(mesh_group_selects(&m->groups[2]));
    mesh_free(m);
}

static void targets_by_name(void **state)
{
    static const struct {
        const char *value, *host;
        uint16_t port;
        uint8_t family, addr_family;
    } rows[] = {
        { "router.example.net", "router.example.net", 862, 0, 0 },
        { "Router.Example.NET:8620", "router.example.net", 8620, 0, 0 },
        { "r1", "r1", 862, 0, 0 },
        { "_twamp.example.", "_twamp.example.", 862, 0, 0 },
        { "4.example", "4.example", 862, 0, 0 },
        { "{address: r1.example, family: 6}", "r1.example", 862, 6, 0 },
        { "{family: 4, address: \"r1.example:1\"}", "r1.example", 1, 4, 0 },
        { "{address: 192.0.2.1}", "", 862, 0, 4 },
        { "{address: \"2001:db8::1\", family: 6}", "", 862, 0, 6 },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        char text[256];
        const struct mesh_target *t;
        struct mesh *m;

        snprintf(text, sizeof text, FULL CLASS "targets:\n  edge: %s\n", rows[i].value);
        m = parse(text);
        t = &m->targets[0];
        if (strcmp(t->host, rows[i].host) || t->addr.port != rows[i].port || t->family != rows[i].family ||
            t->addr.family != rows[i].addr_family)
            fail_msg("%s: host \"%s\", port %u, family %u, %u", rows[i].value, t->host, t->addr.port,
                     t->family, t->addr.family);
        mesh_free(m);
    }
}

static void topologies_as_given(void **state)
{
    struct mesh *m = parse("mesh: m\ntopology: disjoint\nleft: [a]\nright: [a, b]\none_way: true\n" CLASS);

    (void)state;
    assert_int_equal(m->topology, MESH_DISJOINT);
    assert_int_equal(m->left.n, 1);
    assert_int_equal(m->right.n, 2);
    assert_true(m->one_way);
    mesh_free(m);
    m = parse("mesh: m\ntopology: k-regular\nmembers: [a, b, c]\ndegree: 2\n" CLASS);
    assert_int_equal(m->topology, MESH_K_REGULAR);
    assert_int_equal(m->degree, 2);
    assert_false(m->one_way);
    mesh_free(m);
    mesh_free(parse("mesh: m\ntopology: ring\nmembers: [\"@all\"]\ngroups: {all: {select: \"*\"}}\n" CLASS));
}

/* Each class as if all that it inherits stood in it. */
static void classes_inherit(void **state)
{
    static const struct {
        const char *document, *written_out; /* class c of both is the same */
    } rows[] = {
        { "classes: {c: {}}", "classes: {c: {}}" },
        { "defaults: {dscp: EF, spacing: 20ms}\nclasses: {c: {spacing: 30ms}}",
          "classes: {c: {dscp: EF, spacing: 30ms}}" },
        { "classes: {c: {spacing: 30ms}}\ndefaults: {dscp: EF, spacing: 20ms}",
          "classes: {c: {dscp: EF, spacing: 30ms}}" },
        { "defaults: {ttl: 7}\nclasses: {c: {extends: b, size: 300}, b: {extends: a, dscp: EF, size: 200}, "
          "a: {flows: 3, dscp: 1}}",
          "classes: {c: {ttl: 7, size: 300, dscp: EF, flows: 3}}" },
        { "defaults: {ttl: 7}\nclasses: {a: {ttl: 8}, c: {extends: a}}", "classes: {c: {ttl: 8}}" },
        { "defaults: {df: true, padding: zero, spacing_kind: exponential}\nclasses: {c: {df: false, padding: "
          "random, spacing_kind: fixed}}",
          "classes: {c: {}}" },
        /* What is given again takes the place of what was, it is not added to it. */
        { "defaults: {protocol: stamp, tlvs: [location, cos]}\nclasses: {c: {tlvs: [follow-up]}}",
          "classes: {c: {protocol: stamp, tlvs: [follow-up]}}" },
        { "defaults: {size: imix}\nclasses: {c: {size: 200}}", "classes: {c: {size: 200}}" },
        { "defaults: {size: 200}\nclasses: {c: {size: imix}}", "classes: {c: {size: imix}}" },
        /* What has no use in a class is left aside. */
        { "defaults: {protocol: stamp, auth: authenticated, key_id: k, tlvs: [cos], reply_dscp: EF}\n"
          "classes: {c: {protocol: light, auth: none}}",
          "classes: {c: {}}" },
        { "defaults: {protocol: stamp, auth: authenticated, key_id: k, tlvs: [cos]}\nclasses: {c: {auth: "
          "none}}",
          "classes: {c: {protocol: stamp, tlvs: [cos]}}" },
        { "defaults: {key_id: k}\nclasses: {c: {}}", "classes: {c: {}}" },
        { "defaults: {key_id: k}\nclasses: {c: {protocol: twamp, auth: mixed}}",
          "classes: {c: {protocol: twamp, auth: mixed, key_id: k}}" },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        char text[512];
        struct mesh *a, *b;
        size_t c = 0;

        snprintf(text, sizeof text, FULL "%s\n", rows[i].document);
        a = parse(text);
        snprintf(text, sizeof text, FULL "%s\n", rows[i].written_out);
        b = parse(text);
        while (strcmp(a->classes[c].name, "c"))
            c++;
        if (!mesh_class_same(&a->classes[c], &b->classes[0]))
            fail_msg("%s", rows[i].document);
        mesh_free(a);
        mesh_free(b);
    }
}

static void same_in_json(void **state)
{
    struct mesh *m =
        parse("\xef\xbb\xbf{\"mesh\":\"m\",\r\n\t\"topology\":\"full\",\r\n\t\"members\":[\"a\",\"@g\"],"
              "\"groups\":{\"g\":"
              "[\"b\"]},\r\n\t\"classes\":{\"voice\":{\"dscp\":\"EF\",\"size\":200,\"spacing\":\"20ms\"}}}");

    (void)state;
    assert_string_equal(m->members.v[1].name, "@g");
    assert_int_equal(m->classes[0].dscp, 46);
    assert_int_equal(m->classes[0].size_bytes, 200);
    mesh_free(m);
}

static void anchors_share(void **state)
{
    struct mesh *m = parse(FULL "classes: {a: &x {size: 300}, b: *x}\n");

    (void)state;
    assert_int_equal(m->classes[1].size_bytes, 300);
    assert_string_equal(m->classes[1].name, "b");
    mesh_free(m);
}

/* Room for a document made by a loop. */
static char big[(1 << 20) + 1024];

static void aliases_are_bounded(void **state)
{
    size_t len =
        (size_t)sprintf(big, "mesh: m\ntopology: full\nmembers: [a, b]\n" CLASS "groups:\n  g0: &g [a0");

    (void)state;
    for (int i = 1; i < 2000; i++)
        len += (size_t)sprintf(big + len, ", a%d", i);
    len += (size_t)sprintf(big + len, "]\n");
    for (int i = 1; i < 2000; i++) /* 2,000 times 2,000 members from 40 kB */
        len += (size_t)sprintf(big + len, "  g%d: *g\n", i);
    expect_refused("alias bomb", big, len, 6, 11795, "groups.g149[1842]",
                   "aliases repeat too much: more than 300000");
}

static void size_is_bounded(void **state)
{
    struct mesh *m = NULL;
    struct tw_err e;

    (void)state;
    memset(big, '#', sizeof big);
    assert_int_not_equal(mesh_doc_parse("x", big, (1 << 20) + 1, &m, &e), TW_OK);
    assert_non_null(strstr(e.text, "1048577 octets: expected at most 1048576"));
    memset(big, '[', sizeof big);
    assert_int_not_equal(mesh_doc_parse("x", big, 1 << 20, &m, NULL), TW_OK);
    for (size_t i = 0; i < 1 << 20; i += 2)
        memcpy(big + i, i ? "a," : "[a", 2);
    assert_int_not_equal(mesh_doc_parse("x", big, 1 << 20, &m, &e), TW_OK);
    assert_non_null(strstr(e.text, "too many values"));
}

static void group_chain(unsigned n, char *text)
{
    size_t len = (size_t)sprintf(text, FULL CLASS "groups:\n");

    for (unsigned i = 1; i < n; i++)
        len += (size_t)sprintf(text + len, "  g%u: [\"@g%u\"]\n", i, i + 1);
    sprintf(text + len, "  g%u: [z]\n", n);
}

static void group_depth_is_bounded(void **state)
{
    (void)state;
    group_chain(MESH_GROUP_DEPTH, big);
    mesh_free(parse(big));
    group_chain(MESH_GROUP_DEPTH + 1, big);
    expect_refused("33 deep", big, strlen(big), 37, 9, "groups.g32[0]", "nested too deeply");
}

/* ---- Examples ---- */

/* A fleet that has all that the examples name and select, sorted by name. */
static const struct tw_label shop[] = { { "country", "nl" }, { "role", "shop" } },
                             centre[] = { { "role", "dc" } }, production[] = { { "env", "production" } };
static const struct tw_addr inside[] = { { .family = 4, .ip = { 10, 1, 2, 3 } } };
#define AGENT(text)  \
    {                \
        .name = text \
    }
#define LABELLED(text, l)                                                                         \
    {                                                                                             \
        .name = text, .labels = l, .n_labels = TW_NELEM(l), .addresses = inside, .n_addresses = 1 \
    }
static const struct mesh_agent fleet[] = {
    AGENT("ams"),
    LABELLED("backup-dc", centre),
    AGENT("bergen"),
    AGENT("dc1"),
    AGENT("dc2"),
    LABELLED("dc3", centre),
    AGENT("fra"),
    AGENT("lon"),
    AGENT("mad"),
    AGENT("malmo"),
    AGENT("milan"),
    AGENT("oslo"),
    AGENT("par"),
    LABELLED("prod1", production),
    LABELLED("prod2", production),
    LABELLED("prod3", production),
    AGENT("rome"),
    LABELLED("shop1", shop),
    LABELLED("shop2", shop),
    AGENT("stockholm"),
    AGENT("vie"),
};

static void try_example(const char *name)
{
    const struct mesh_agents agents = { fleet, TW_NELEM(fleet) };
    struct mesh_pairs pairs = { .agents = &agents };
    struct plan_cost cost = { 0 };
    struct tw_err e = { 0 };
    struct mesh *m;
    char path[512];
    size_t len;
    FILE *f;

    snprintf(path, sizeof path, TW_SOURCE_DIR "/deploy/examples/%s", name);
    f = fopen(path, "r");
    if (!f)
        fail_msg("%s: cannot be read", path);
    len = fread(big, 1, sizeof big - 1, f);
    fclose(f);
    big[len] = '\0';
    pairs.mesh = m = parse(big);
    if (mesh_expand(m, &agents, true, &pairs.v, &pairs.n, NULL, &e) || !pairs.n)
        fail_msg("%s: %zu pairs: %u: %s", name, pairs.n, e.line, e.text);
    assert_int_equal(plan_add(&cost, &pairs, false), TW_OK);
    assert_int_equal(cost.pairs, pairs.n);
    assert_true(cost.pps > 0);
    plan_free(&cost);
    free(pairs.v);
    mesh_free(m);
}

static void examples_are_good(void **state)
{
    DIR *dir = opendir(TW_SOURCE_DIR "/deploy/examples");
    bool seen[MESH_TOPOLOGIES] = { false };
    struct dirent *entry;

    (void)state;
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        const char *end = strrchr(entry->d_name, '.');

        if (!end || strcmp(end, ".yaml") || !strcmp(entry->d_name, "alerts.yaml")) /* that is no mesh */
            continue;
        try_example(entry->d_name);
        for (int i = 0; i < MESH_TOPOLOGIES; i++) {
            char text[64];

            snprintf(text, sizeof text, "\ntopology: %s\n", mesh_topology_name((enum mesh_topology)i));
            seen[i] |= strstr(big, text) != NULL;
        }
    }
    closedir(dir);
    for (int i = 0; i < MESH_TOPOLOGIES; i++)
        if (!seen[i])
            fail_msg("no example has topology %s", mesh_topology_name((enum mesh_topology)i));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses),           cmocka_unit_test(refuses_nul),
        cmocka_unit_test(every_field),       cmocka_unit_test(groups_that_select),
        cmocka_unit_test(targets_by_name),   cmocka_unit_test(topologies_as_given),
        cmocka_unit_test(classes_inherit),   cmocka_unit_test(same_in_json),
        cmocka_unit_test(anchors_share),     cmocka_unit_test(aliases_are_bounded),
        cmocka_unit_test(size_is_bounded),   cmocka_unit_test(group_depth_is_bounded),
        cmocka_unit_test(examples_are_good), cmocka_unit_test(classes_as_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
