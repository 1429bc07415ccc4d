"""One deadline over a whole request, against servers and proxies that misbehave."""

import socket
import threading
import time
from http.client import HTTPConnection

import pytest
from drips import Server, answers, drips, floods, silent

from examples.oidc_provider.certificates import make_certificates
from guardrail import _http_client as http_client
from guardrail._http_client import (
    Deadline,
    DeadlineExceeded,
    RequestCancelled,
    RequestFailed,
    Response,
    is_loopback,
    send,
    tls_context,
)
from guardrail.identity.tokens.https import FetchFailed, fetch

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Told: yes\r\n\r\n{}"
#: Longer than any of the requests may take, and far shorter than what the servers would.
LIMIT_S = 60.0
TIMEOUT_S = 0.4


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def context(certificates):
    return tls_context(certificates[0].read_bytes())


def request(server, context=None, *, host="127.0.0.1", timeout_s=TIMEOUT_S, **options):
    scheme = "http" if context is None else "https"
    options = {"deadline": Deadline(timeout_s), "limit_bytes": 1000, **options}
    return send(f"{scheme}://{host}:{server.port}/v1?a=b", context=context, **options)


def exceeds(call):
    """Have a call end by its deadline, and in time."""
    begun = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        call()
    assert TIMEOUT_S <= time.monotonic() - begun < LIMIT_S


def test_an_answer_comes_whole_with_its_status_and_headers():
    with Server(answers(OK)) as server:
        got = request(server, method="POST", body=b"sent", headers={"X-Sent": "1"}, timeout_s=10)
    assert (got.status, got.body, got.is_whole, got.headers["x-told"]) == (200, b"{}", True, "yes")
    assert server.heads[0].startswith(b"POST /v1?a=b HTTP/1.1\r\n")
    assert b"X-Sent: 1\r\n" in server.heads[0]


def test_tls_checks_who_answers(certificates, context):
    with Server(answers(OK), certificates[1]) as server:
        assert request(server, context, timeout_s=10).body == b"{}"
        assert request(server, context, host="localhost", timeout_s=10).body == b"{}"
        with pytest.raises(RequestFailed, match="TLS failed"):
            request(server, tls_context(None), timeout_s=10)


SLOW = {
    "nothing": silent,
    "the status": drips(b"", b"HTTP/1.1 200 OK"),
    "a line of the status that never ends": drips(b"HTTP/1.1 200 "),
    "headers": drips(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"),
    "interim answers": drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "the body": drips(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"),
    "a body without an end": drips(b"HTTP/1.0 200 OK\r\n\r\n"),
    "chunks": drips(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "the size of a chunk": drips(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    "trailers": drips(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n"),
}


@pytest.mark.parametrize("behaviour", SLOW.values(), ids=SLOW.keys())
@pytest.mark.parametrize("is_tls", [False, True], ids=["http", "https"])
def test_a_server_that_drips_holds_no_longer_than_the_deadline(
    behaviour, is_tls, certificates, context
):
    with Server(behaviour, certificates[1] if is_tls else None) as server:
        exceeds(lambda: request(server, context if is_tls else None))


def test_a_handshake_that_drips_is_under_the_deadline(context):
    with Server(drips(b"\x16\x03\x03\x40\x00", b"\x00")) as server:  # a record of 16 KiB begins
        exceeds(lambda: request(server, context))
    with Server(silent) as server:
        exceeds(lambda: request(server, context))


def handshake_beyond_it(peer, over):
    peer.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
    peer.recv(4096)
    drips(b"\x16\x03\x03\x40\x00", b"\x00")(peer, over)


@pytest.mark.parametrize(
    "behaviour",
    [
        silent,
        drips(b"", b"HTTP/1.1 200 OK"),
        drips(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"),
        handshake_beyond_it,
    ],
    ids=["silent", "status", "headers", "handshake beyond it"],
)
def test_a_proxy_that_drips_its_answer_to_connect_is_under_the_deadline(
    behaviour, monkeypatch, context
):
    with Server(behaviour) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        options = {"deadline": Deadline(TIMEOUT_S), "limit_bytes": 10, "context": context}
        exceeds(lambda: send("https://keys.example/", **options))
        begun = time.monotonic()
        with pytest.raises(FetchFailed):
            fetch("https://keys.example/", context=context, timeout_s=TIMEOUT_S, limit_bytes=10)
        assert time.monotonic() - begun < LIMIT_S
    assert proxy.heads[0].startswith(b"CONNECT keys.example:443 HTTP/1.")


def test_a_peer_that_reads_nothing_is_under_the_deadline():
    with Server(silent) as server:
        exceeds(lambda: request(server, method="POST", body=b"x" * 50_000_000))


def test_an_address_that_swallows_packets_leaves_time_for_the_next(monkeypatch):
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, Server(answers(OK)) as server:
        # Connections that nobody accepts fill the queue; the kernel then drops what comes.
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        of = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        found = [(*of, full.getsockname()), (*of, ("127.0.0.1", server.port))]
        monkeypatch.setattr(http_client, "_addresses", lambda *_: found)
        assert request(server, timeout_s=2.0).status == 200
        monkeypatch.setattr(http_client, "_addresses", lambda *_: found[:1])
        with pytest.raises(RequestFailed):
            request(server)
        for each in waiting:
            each.close()


def test_a_name_server_that_hangs_is_under_the_deadline(monkeypatch):
    over = threading.Event()
    whole = socket.getaddrinfo

    def look_up(host, *arguments, **options):
        if not options.get("flags"):
            over.wait(30)
        return whole(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    options = {"deadline": Deadline(TIMEOUT_S), "limit_bytes": 10, "context": None}
    exceeds(lambda: send("http://keys.example/", **options))
    over.set()


def test_a_name_that_is_not_known_fails(monkeypatch):
    def look_up(*_, **options):
        raise socket.gaierror(socket.EAI_NONAME, "secret.example")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(RequestFailed, match="gaierror") as caught:
        send("http://keys.example/", deadline=Deadline(5), limit_bytes=10, context=None)
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("behaviour", [silent, SLOW["headers"], SLOW["the body"]])
def test_a_request_that_is_cancelled_ends_soon(behaviour, certificates, context):
    with Server(behaviour, certificates[1]) as server:
        deadline = Deadline(10 * LIMIT_S)
        threading.Timer(0.2, deadline.cancel).start()
        begun = time.monotonic()
        with pytest.raises(RequestCancelled):
            request(server, context, deadline=deadline)
        assert time.monotonic() - begun < LIMIT_S
        with pytest.raises(RequestCancelled):  # and no other begins
            request(server, context, deadline=deadline)


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan"), float("-inf")])
def test_a_deadline_that_is_none_is_over(timeout_s):
    with pytest.raises(DeadlineExceeded):
        Deadline(timeout_s).remaining_s()


@pytest.mark.parametrize("clock", [float("nan"), float("inf")])
def test_a_clock_that_makes_no_sense_ends_a_request(clock):
    readings = iter([0.0, clock])
    with pytest.raises(DeadlineExceeded):
        Deadline(5, elapsed=lambda: next(readings)).remaining_s()


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
    ],
    ids=["until it hangs up", "by length", "chunked"],
)
def test_no_more_is_read_than_the_limit(raw):
    with Server(floods(raw, b"x" * 65_536)) as server:
        got = request(server, timeout_s=10)
    assert (len(got.body), got.is_whole) == (1000, False)


def test_an_answer_that_was_cut_short_is_not_whole(certificates, context):
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}"
    with Server(answers(cut), certificates[1]) as server:
        assert request(server, context, timeout_s=10).is_whole is False
        with pytest.raises(FetchFailed, match="cut short"):
            fetch(
                f"https://127.0.0.1:{server.port}/", context=context, timeout_s=10, limit_bytes=99
            )


def test_gzip_stays_as_it_is():
    raw = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\0\0"
    with Server(answers(raw)) as server:
        got = request(server, timeout_s=10)
    assert got.body == b"\x1f\x8b\0\0"
    assert b"accept-encoding: identity" in server.heads[0].lower()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_an_answer(status):
    raw = b"HTTP/1.1 %d Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    with Server(answers(raw % status)) as server:
        assert request(server, timeout_s=10).status == status
    assert len(server.heads) == 1


@pytest.mark.parametrize(
    "raw", [b"", b"SSH-2.0-x\r\n", b"\0\0\0", b"HTTP/1.1 " + b"9" * 70_000, b"{}"]
)
def test_what_is_no_http_fails_without_a_word_of_it(raw):
    with Server(answers(raw)) as server, pytest.raises(RequestFailed) as caught:
        request(server, timeout_s=10)
    assert "SSH" not in str(caught.value)
    assert caught.value.__context__ is None


LOOPBACK = ["127.0.0.1", "127.9.9.9", "127.1", "localhost", "LOCALHOST", "localhost.",
            "a.localhost", "::1", "::ffff:127.0.0.1", "0x7f000001", "2130706433"]  # fmt: skip
OTHERS = ["10.0.0.1", "128.0.0.1", "keys.example", "localhost.example", "127.0.0.1.example", "::2",
          "fe80::1%lo", "notlocalhost", ""]  # fmt: skip


@pytest.mark.parametrize("host", LOOPBACK)
def test_a_host_that_is_this_machine(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", OTHERS)
def test_a_host_that_is_another_machine(host):
    assert not is_loopback(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "a.localhost", "[::1]"])
def test_loopback_never_goes_through_a_proxy(host, monkeypatch, context):
    with Server(answers(OK)) as proxy:
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        for scheme, tls in (("http", None), ("https", context)):
            with pytest.raises(RequestFailed):  # nobody is there
                send(f"{scheme}://{host}:1/", deadline=Deadline(2), limit_bytes=1, context=tls)
    assert proxy.heads == []


def test_other_hosts_go_through_the_proxy_and_no_proxy_counts(monkeypatch, certificates, context):
    options = {"deadline": Deadline(10), "limit_bytes": 10}
    with Server(answers(OK)) as proxy:
        address = f"127.0.0.1:{proxy.port}"
        monkeypatch.setenv("http_proxy", f"http://me:p%40ss@{address}")
        assert send("http://keys.example/k?a=b", context=None, **options).status == 200
        head = proxy.heads[0]
        assert head.startswith(b"GET http://keys.example/k?a=b HTTP/1.1\r\n")
        assert b"\r\nHost: keys.example\r\n" in head
        assert b"\r\nProxy-Authorization: Basic bWU6cEBzcw==\r\n" in head
        monkeypatch.setenv("no_proxy", "keys.example")
        monkeypatch.setattr(http_client, "_addresses", lambda *_: [])
        with pytest.raises(RequestFailed):
            send("http://keys.example/", context=None, **options)
        assert len(proxy.heads) == 1


def test_a_tunnel_is_checked_as_the_host_that_was_asked_for(monkeypatch, certificates, context):
    with Server(answers(OK), certificates[1]) as server:

        def forward(peer, over):
            with socket.create_connection(("127.0.0.1", server.port)) as beyond:
                peer.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                back = threading.Thread(target=pump, args=(beyond, peer))
                back.start()
                pump(peer, beyond)
                back.join()

        def pump(source, target):
            try:
                while part := source.recv(4096):
                    target.sendall(part)
                target.shutdown(socket.SHUT_WR)
            except OSError:
                pass

        with Server(forward) as proxy:
            monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setattr(http_client, "is_loopback", lambda _: False)
            assert request(server, context, host="localhost", timeout_s=10).body == b"{}"
            with pytest.raises(RequestFailed, match="TLS failed"):
                request(server, context, host="keys.example", timeout_s=10)
    assert [head.split(b" ")[0] for head in proxy.heads] == [b"CONNECT", b"CONNECT"]


@pytest.mark.parametrize(
    "named", ["https://127.0.0.1:1", "socks5://127.0.0.1:1", "http://", "http://[x"]
)
def test_a_proxy_of_another_kind_is_refused_and_not_passed_by(named, monkeypatch):
    monkeypatch.setenv("http_proxy", named)
    with pytest.raises(RequestFailed, match="proxy"):
        send("http://keys.example/", deadline=Deadline(5), limit_bytes=1, context=None)


@pytest.mark.parametrize(
    "url",
    ["http://keys.example/", "ftp://keys.example", "https://", "https://a:b@keys.example/",
     "https://keys.example:0/", "https://keys.example:99999/", "https://k\u00e9ys.example/",
     "https://[/", "keys.example"],
)  # fmt: skip
def test_an_address_that_is_not_of_https_is_refused(url, context):
    with pytest.raises(RequestFailed):
        send(url, deadline=Deadline(5), limit_bytes=1, context=context)


def test_http_is_taken_only_where_no_certificate_was_meant_to_be_checked(context):
    with pytest.raises(RequestFailed):
        send("https://127.0.0.1:1/", deadline=Deadline(5), limit_bytes=1, context=None)


def test_an_answer_shows_nothing_of_itself():
    assert "secret" not in repr(Response(200, {"a": "secret"}, b"secret", True))


def test_the_base_library_still_connects_as_we_expect():
    """`http.client` is told how to connect by an attribute that its documentation lacks."""
    assert HTTPConnection("127.0.0.1")._create_connection is socket.create_connection
