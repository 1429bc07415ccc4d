"""An OTLP receiver on loopback: what a collector is to who sends, made of the official messages."""

from __future__ import annotations

import gzip
import threading
import time
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
    """

    def __init__(self, port: int = 0):
        self.logs, self.spans = [], []
        self.slow_s, self.refuses, self.requests = 0.0, 0, 0
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.requests += 1
                time.sleep(collector.slow_s)
                if collector.refuses:
                    self.send_response(collector.refuses)
                    self.send_header("Retry-After", "1")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                self._answer(collector.take(self.path, body))

            def _answer(self, raw):
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_):
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.endpoint = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, path, body):
        if path == "/v1/logs":
            request = ExportLogsServiceRequest.FromString(body)
            for resource in request.resource_logs:
                for scope in resource.scope_logs:
                    self.logs.extend(scope.log_records)
            return ExportLogsServiceResponse().SerializeToString()
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)
        return ExportTraceServiceResponse().SerializeToString()

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
