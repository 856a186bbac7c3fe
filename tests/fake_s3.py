"""The part of S3 that Arrow uses, on this machine, in memory: objects, listing, uploads in parts. For tests alone."""

from __future__ import annotations

import hashlib
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

Objects = dict[str, bytes]


class S3Server(ThreadingHTTPServer):
    """One server with its objects, by ``bucket/key``.

    Attributes:
        refusing: how many of the next requests that write are answered by 403. seen: methods and paths so far.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: Objects = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.refusing = 0
        self.seen: list[str] = []

    def uri(self, path: str) -> str:
        """The address of a path on it."""
        return f"s3://{path}?scheme=http&endpoint_override=127.0.0.1:{self.server_address[1]}&region=us-east-1"


@contextmanager
def running() -> Iterator[S3Server]:
    """A server that answers meanwhile."""
    with S3Server() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: S3Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _asked(self) -> tuple[str, dict[str, str]]:
        parts = urlsplit(self.path)
        self.server.seen.append(f"{self.command} {parts.path}")
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        return unquote(parts.path).lstrip("/"), query

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            raw = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                raw += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "x-amz-decoded-content-length" not in self.headers:
            return raw
        body = b""  # Amazon's own chunks, each with its length and perhaps a signature, and sums behind the last
        while raw:
            head, _, raw = raw.partition(b"\r\n")
            size = int(head.split(b";")[0], 16)
            if not size:
                break
            body, raw = body + raw[:size], raw[size + 2 :]
        return body

    def _answer(self, code: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(code)
        length = headers.pop("length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _xml(self, text: str, code: int = 200) -> None:
        self._answer(code, f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode(), Content_Type="application/xml")

    def _failed(self, code: int, kind: str) -> None:
        self._xml(f"<Error><Code>{kind}</Code><Message>{kind}</Message></Error>", code)

    def _refused(self) -> bool:
        if self.server.refusing <= 0:
            return False
        self.server.refusing -= 1
        self._body()
        self._failed(403, "AccessDenied")
        return True

    def do_HEAD(self) -> None:
        path, _ = self._asked()
        if "/" not in path:
            known = any(key.startswith(f"{path}/") for key in self.server.objects)
            self._answer(200 if known else 404)
        elif path in self.server.objects:
            content = self.server.objects[path]
            self._answer(200, length=str(len(content)), ETag=_tag(content), Content_Type="application/octet-stream",
                         Last_Modified="Thu, 01 Jan 2026 00:00:00 GMT")  # fmt: skip
        else:
            self._answer(404)

    def do_GET(self) -> None:
        path, query = self._asked()
        if "list-type" in query:
            self._list(path.rstrip("/"), query)
        elif path not in self.server.objects:
            self._failed(404, "NoSuchKey")
        else:
            content = self.server.objects[path]
            tag = _tag(content)
            if (span := self.headers.get("Range")) is not None:
                first, _, last = span.removeprefix("bytes=").partition("-")
                part = content[int(first) : int(last) + 1 if last else None]
                end = int(first) + len(part) - 1
                self._answer(206, part, ETag=tag, Content_Range=f"bytes {first}-{end}/{len(content)}")
            else:
                self._answer(200, content, ETag=tag)

    def _list(self, bucket: str, query: dict[str, str]) -> None:
        prefix, mark = query.get("prefix", ""), query.get("delimiter", "")
        keys = sorted(key.removeprefix(f"{bucket}/") for key in self.server.objects if key.startswith(f"{bucket}/"))
        objects, folders = [], set()
        for key in (key for key in keys if key.startswith(prefix)):
            if mark and mark in key[len(prefix) :]:
                folders.add(prefix + key[len(prefix) :].split(mark)[0] + mark)
            else:
                objects.append(key)
        limit = int(query.get("max-keys", "1000"))
        shown = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.server.objects[f'{bucket}/{key}'])}</Size>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            for key in objects[:limit]
        ) + "".join(f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in sorted(folders))
        count = len(objects[:limit]) + len(folders)
        self._xml(
            f"<ListBucketResult><Name>{bucket}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{count}</KeyCount>"
            f"<IsTruncated>false</IsTruncated>{shown}</ListBucketResult>"
        )

    def do_PUT(self) -> None:
        path, query = self._asked()
        if self._refused():
            return
        body = self._body()
        if "uploadId" in query:
            self.server.parts[query["uploadId"]][int(query["partNumber"])] = body
        else:
            self.server.objects[path] = body
        self._answer(200, ETag=_tag(body))

    def do_POST(self) -> None:
        path, query = self._asked()
        if self._refused():
            return
        body = self._body()
        if "uploads" in query:
            upload = f"u{len(self.server.parts)}"
            self.server.parts[upload] = {}
            self._xml(f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>")
        elif "uploadId" in query:
            parts = self.server.parts.pop(query["uploadId"])
            self.server.objects[path] = b"".join(parts[number] for number in sorted(parts))
            self._xml(f"<CompleteMultipartUploadResult><ETag>{_tag(body)}</ETag></CompleteMultipartUploadResult>")
        else:  # many at once
            bucket = path.rstrip("/")
            for element in ElementTree.fromstring(body).iter():
                if element.tag.endswith("Key") and element.text:
                    self.server.objects.pop(f"{bucket}/{element.text}", None)
            self._xml("<DeleteResult></DeleteResult>")

    def do_DELETE(self) -> None:
        path, query = self._asked()
        if self._refused():
            return
        if "uploadId" in query:
            self.server.parts.pop(query["uploadId"], None)
        else:
            self.server.objects.pop(path, None)
        self._answer(204)


def _tag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
