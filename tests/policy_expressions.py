"""Expressions of CEL and what they are: true, false or an error, offline and on a server.

`object` is a ConfigMap with `OBJECT_DATA`: a server refuses constants that cannot be right.
"""

from __future__ import annotations

OBJECT_DATA = {
    "ip": "10.0.0.5",
    "cidr": "10.1.2.3/8",
    "empty": "",
    "hex": "0x12",
    "long": "99999999999999999999",
}

TRUE = (
    *("isIP('10.0.0.1')", "isIP('::1')", "isIP('2001:DB8::1')", "isIP('::')"),
    *("isIP('1:2:3:4:5:6:7::')", "isIP('::1.2.3.4')", "isIP('64:ff9b::10.0.0.1')"),
    *("ip('::1').isLoopback()", "ip('127.255.0.1').isLoopback()"),
    *("ip('fe80::1').isLinkLocalUnicast()", "ip('169.254.1.1').isLinkLocalUnicast()"),
    *("ip('febf::1').isLinkLocalUnicast()", "ip('0.0.0.0').isUnspecified()"),
    *("ip('ff02::1').isLinkLocalMulticast()", "ip('ff12::1').isLinkLocalMulticast()"),
    *("ip('224.0.0.9').isLinkLocalMulticast()", "ip('10.0.0.1').isGlobalUnicast()"),
    *("ip('240.0.0.1').isGlobalUnicast()", "ip('fec0::1').isGlobalUnicast()"),
    *("ip('0.0.0.1').isGlobalUnicast()", "ip('fc00::1').isGlobalUnicast()"),
    *("ip('10.0.0.1').family() == 4", "ip('::1').family() == 6"),
    *("ip('::1') == ip('0:0:0:0:0:0:0:1')", "ip('10.0.0.1') != ip('10.0.0.2')"),
    *("ip.isCanonical('::1')", "ip.isCanonical('10.0.0.1')"),
    *("isCIDR('10.0.0.0/8')", "isCIDR('10.1.2.3/8')", "isCIDR('::/0')"),
    *("isCIDR('10.0.0.1/32')", "isCIDR('fe80::1/64')"),
    "cidr('10.0.0.0/8').containsIP('10.255.255.255')",
    "cidr('10.1.2.3/8').containsIP(ip('10.0.0.5'))",
    "cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')",
    "cidr('10.0.0.0/8').containsCIDR(cidr('10.0.0.0/8'))",
    "cidr('10.1.2.3/8').ip() == ip('10.1.2.3')",
    "cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8')",
    "cidr('10.1.2.3/8').prefixLength() == 8",
    "cidr(object.data.cidr).containsIP(object.data.ip)",
    *(
        "object.data.?ip.orValue('x') == '10.0.0.5'",
        "object.data.?no.orValue('x') == 'x'",
    ),
    *("object.data[?'no'].orValue('x') == 'x'", "!object.data.?no.hasValue()"),
    "object.?no.?data.or(object.?data.?ip).orValue('x') == '10.0.0.5'",
    *("has(object.data.empty)", "!has(object.data.no)", "'ip' in object.data"),
    *("object.data.all(k, k != 'no')", "object.data.exists(k, k == 'ip')"),
    *("size(object.data.filter(k, k == 'ip')) == 1", "size('\\u00e4') == 1"),
    *("object.data.no == 'x' || true", "true || object.data.no == 'x'"),
    *("!(object.data.no == 'x' && false)", "dyn(1) == dyn(1.0)", "dyn(1) == dyn(1u)"),
    *(
        "dyn(1) < dyn(1.5)",
        "dyn('1') != dyn(1)",
        "dyn(1) in [1.0]",
        "dyn(null) == null",
    ),
    *("int('012') == 12", "int('-12') == -12", "int('+12') == 12"),
    *("'a.b'.split('.') == ['a', 'b']", "''.split(',') == ['']"),
    *("'a,'.split(',') == ['a', '']", "'a=b=c'.split('=', 2) == ['a', 'b=c']"),
    *(
        "'ABC'.lowerAscii() == 'abc'",
        "'  a '.trim() == 'a'",
        "['a', 'b'].join('-') == 'a-b'",
    ),
    *("'abc'.matches('b')", "!'abc\\n'.matches('^abc$')", "'aXc'.matches('(?i)^axc$')"),
    *(
        "'abc'.replace('b', 'x') == 'axc'",
        "'abc'.indexOf('c') == 2",
        "'abc'.substring(1) == 'bc'",
    ),
    *("[1, 2].exists_one(i, i == 1)", "[1, 2].map(i, i * 2) == [2, 4]"),
    *("[3, 4].map(i, i > 3, i) == [4]", "[1] + [2] == [1, 2]", "string(1) == '1'"),
    *(
        "oldObject == null",
        "request.operation == 'CREATE'",
        "request.kind.kind == 'ConfigMap'",
    ),
    *(
        "request.resource.resource == 'configmaps'",
        "request.namespace == object.metadata.namespace",
    ),
    "namespaceObject.metadata.name == object.metadata.namespace",
    *("variables.first == 'x'", "variables.second == 'xy'", "true || variables.broken"),
)
FALSE = (
    *("isIP('')", "isIP('10.0.0')", "isIP('10.0.0.01')", "isIP('10.0.0.256')"),
    *("isIP(' 10.0.0.1')", "isIP('10.0.0.1 ')", "isIP('0x7f.0.0.1')", "isIP('1')"),
    *("isIP('fe80::1%eth0')", "isIP('::ffff:10.0.0.1')", "isIP('::ffff:a00:1')"),
    *(
        "isIP('1:2:3:4:5:6:7:8::')",
        "isIP(':::')",
        "isIP('12345::')",
        "isIP('::1.2.3.04')",
    ),
    *("isIP('10.0.0.1/32')", "isIP('\\u0661.0.0.1')", "isIP('1::2::3')"),
    *("isCIDR('10.0.0.0')", "isCIDR('10.0.0.0/33')", "isCIDR('10.0.0.0/08')"),
    *("isCIDR('10.0.0.0/+8')", "isCIDR('10.0.0.0/255.0.0.0')", "isCIDR('10.0.0.0/')"),
    *("isCIDR('::ffff:10.0.0.0/100')", "isCIDR('fe80::1%a/64')", "isCIDR('::/129')"),
    *("ip('0.0.0.1').isUnspecified()", "ip('255.255.255.255').isGlobalUnicast()"),
    *("ip('ff05::1').isLinkLocalMulticast()", "ip('224.0.1.1').isLinkLocalMulticast()"),
    *("ip('::7f00:1').isLoopback()", "ip('64:ff9b::127.0.0.1').isLoopback()"),
    *("ip.isCanonical('2001:DB8::1')", "ip.isCanonical('0:0:0:0:0:0:0:1')"),
    "cidr('::/0').containsIP('10.0.0.1')",
    "cidr('10.0.0.0/8').containsCIDR('10.0.0.0/7')",
    "cidr('10.0.0.0/8').containsCIDR('::/8')",
    "cidr('10.1.2.3/8') == cidr('10.0.0.0/8')",
    *("object.data.empty == 'x'", "dyn(1) == dyn('1')", "object == null"),
    *("'a\\nb'.matches('^a$')", "'a'.contains('A')", "'ip' in ['no']"),
)
ERROR = (
    *("ip('x').isLoopback()", "ip('::ffff:127.0.0.1').isLoopback()", "ip('')== ip('')"),
    *("cidr('10.0.0.0').prefixLength() == 8", "cidr('10.0.0.0/8').containsIP('x')"),
    *("object.data.no == 'x'", "object.data['no'] == 'x'", "object.no.no == 'x'"),
    *(
        "dyn('1') < dyn(1)",
        "dyn(1) + dyn('1') == 2",
        "int(object.data.ip) == 1",
        "1 / size(object.data.empty) == 1",
    ),
    *("int(object.data.long) == 1", "[1, 2][dyn(5)] == 1", "variables.broken"),
    *("dyn(1).matches('1')", "dyn('a') && true", "int(object.data.hex) == 18"),
    *("isIP(dyn(1))", "ip.isCanonical('x')", "object.data.all(k, object.data.no == k)"),
    "9223372036854775807 + int(object.data.?no.orValue('1')) > 0",
)
EXPRESSIONS = {
    **dict.fromkeys(TRUE, "true"),
    **dict.fromkeys(FALSE, "false"),
    **dict.fromkeys(ERROR, "error"),
}


def policy() -> list[dict[str, object]]:
    """A policy, and its binding, with one validation per expression: `try` picks one."""
    about = {"name": "wharfinger-expressions"}
    group = "admissionregistration.k8s.io/v1"
    rule = {
        "apiGroups": [""],
        "apiVersions": ["*"],
        "operations": ["CREATE"],
        "resources": ["configmaps"],
    }
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "matchConditions": [{"name": "tried", "expression": "has(object.data.try)"}],
        "variables": [
            {"name": "first", "expression": "'x'"},
            {"name": "broken", "expression": "object.data.no == 'x'"},
            {"name": "second", "expression": "variables.first + 'y'"},
        ],
        "validations": [
            {
                "expression": f"object.data.try != '{index}' || ({text})",
                "message": "is false",
            }
            for index, text in enumerate(EXPRESSIONS)
        ],
    }
    bound = {"policyName": about["name"], "validationActions": ["Deny"]}
    kind = "ValidatingAdmissionPolicy"
    return [
        {"apiVersion": group, "kind": kind, "metadata": about, "spec": spec},
        {
            "apiVersion": group,
            "kind": f"{kind}Binding",
            "metadata": about,
            "spec": bound,
        },
    ]


def config_map(index: int, namespace: str) -> dict[str, object]:
    """The object that tries one expression."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "tried", "namespace": namespace},
        "data": {**OBJECT_DATA, "try": str(index)},
    }
