"""An OTLP receiver on loopback: what a collector is to who sends, made of the official messages."""

from __future__ import annotations

import gzip
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


class Collector:
    """Takes logs and spans by OTLP over HTTP; may be slow, refuse, or be down.

    Attributes:
        logs, spans: what arrived, in its order; each a protobuf message.
        slow_s: how long each request takes.
        refuses: the status that is answered instead of taking; 0 for none.
        answers: what is answered after taking: status, content type and body; ``None``: as OTLP
            has it.
        rejects: how many of the items of a request it drops, and what it says of that.
    """

    def __init__(self, port: int = 0):
        self.logs, self.spans = [], []
        self.slow_s, self.refuses, self.requests = 0.0, 0, 0
        self.answers, self.rejects = None, (0, "")
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.requests += 1
                time.sleep(collector.slow_s)
                if collector.refuses:
                    self.send_response(collector.refuses)
                    self.send_header("Retry-After", "1")
                    self.send_header("Location", f"{collector.endpoint}/elsewhere")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                raw = collector.take(self.path, body)
                self._answer(*(collector.answers or (200, "application/x-protobuf", raw)))

            def do_GET(self):
                collector.requests += 1
                self._answer(200, "application/x-protobuf", b"")

            def _answer(self, status, kind, raw):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                with suppress(ConnectionError):  # who does not want all of it hangs up
                    self.wfile.write(raw)

            def log_message(self, *_):
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.endpoint = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, path, body):
        rejected, message = self.rejects
        if path == "/v1/logs":
            request = ExportLogsServiceRequest.FromString(body)
            for resource in request.resource_logs:
                for scope in resource.scope_logs:
                    self.logs.extend(scope.log_records)
            said = ExportLogsServiceResponse()
            said.partial_success.rejected_log_records = rejected
            said.partial_success.error_message = message
            return said.SerializeToString()
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)
        said = ExportTraceServiceResponse()
        said.partial_success.rejected_spans = rejected
        said.partial_success.error_message = message
        return said.SerializeToString()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


def attributes_of(item):
    """Return the attributes of a log record or a span."""
    found = {}
    for each in item.attributes:
        kind = each.value.WhichOneof("value")
        value = getattr(each.value, kind)
        if kind == "array_value":
            value = tuple(one.string_value for one in value.values)
        found[each.key] = value
    return found


def ids(items):
    return [attributes_of(item)["guardrail.decision.id"] for item in items]
