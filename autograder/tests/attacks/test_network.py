"""The network is used: a server on the grader's machine, one far away, a name server, an abstract socket."""

from autograder.tests.attacks.attack import Attack

FIRST = """
import os, socket

reached = []


def reach(name, family, kind, address, data=b""):
    try:
        with socket.socket(family, kind) as one:
            one.settimeout(0.3)
            one.connect(address)
            if data:
                one.send(data)
                one.recv(100)
            reached.append(name)
    except OSError:
        pass


QUESTION = bytes.fromhex("123401000001000000000000") + b"\\\\x07example\\\\x03com\\\\x00\\\\x00\\\\x01\\\\x00\\\\x01"
reach("loopback", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", PLACES.port))
reach("abstract", socket.AF_UNIX, socket.SOCK_STREAM, "\\\\0" + PLACES.abstract)
reach("far", socket.AF_INET, socket.SOCK_STREAM, ("192.0.2.1", 80))
reach("metadata", socket.AF_INET, socket.SOCK_STREAM, ("169.254.169.254", 80))
reach("six", socket.AF_INET6, socket.SOCK_STREAM, ("2001:db8::1", 80))
for server in ("192.0.2.53", "127.0.0.53"):
    reach("dns", socket.AF_INET, socket.SOCK_DGRAM, (server, 53), QUESTION)
for family in (socket.AF_PACKET, socket.AF_NETLINK):
    try:
        socket.socket(family, socket.SOCK_RAW).close()
        reached += ["raw"] * (family == socket.AF_PACKET)
    except OSError:
        pass
try:
    socket.getaddrinfo("example.com", 80)
    reached.append("name")
except OSError:
    pass
report(reached=reached, devices=[name for _, name in socket.if_nameindex()])
""".replace("\\\\", "\\")
ATTACKS = [Attack("network", first=FIRST, unprotected=True)]


def test_nothing_is_reached(outcome):
    outcome.held()
    assert outcome.reported["reached"] == []
    assert set(outcome.reported["devices"]) <= {"lo", "tunl0", "sit0", "ip6tnl0", "gre0", "gretap0", "erspan0", "ip_vti0",
                                                "ip6_vti0", "ip6gre0"}  # fmt: skip


def test_without_a_sandbox_the_own_machine_is_reached(unprotected):
    assert {"loopback", "abstract"} <= set(unprotected.reported["reached"])
