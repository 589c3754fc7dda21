"""A service that answers like Intel's PCS and AMD's KDS, over HTTPS on 127.0.0.1, and misbehaves on demand."""
import http.server
import json
import ssl
import subprocess
import threading
import urllib.parse

JSON, CRL, PEM, DER = "application/json", "application/pkix-crl", "application/x-pem-file", "application/octet-stream"


class Answer:
    def __init__(self, body, content_type, headers=None, status=200):
        self.body = body if isinstance(body, bytes) else body.encode()
        self.content_type, self.headers, self.status = content_type, dict(headers or {}), status
        self.repeated = []  # headers that come a second time
        self.manner = "whole"  # or: truncated, endless, slow


def make_certificate(directory, name="IP:127.0.0.1"):
    """A self-signed server certificate; gives the files of certificate and key."""
    certificate, key = directory + "/server.pem", directory + "/server.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "2", "-subj", "/CN=fake service", "-addext", "subjectAltName=" + name, "-keyout", key, "-out",
                    certificate], check=True, capture_output=True)
    return certificate, key


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        service = self.server.service
        service.requests.append(self.path)
        answer = service.answers.get(self.path) or Answer("nothing here", "text/plain", status=404)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        for name, value in list(answer.headers.items()) + answer.repeated:
            self.send_header(name, value)
        if answer.manner != "endless":
            self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            getattr(self, "send_" + answer.manner)(answer.body)
        except OSError:
            pass  # the client had enough

    def send_whole(self, body):
        self.wfile.write(body)

    def send_truncated(self, body):
        self.wfile.write(body[:-10])

    def send_endless(self, body):
        while not self.server.service.is_over.is_set():
            self.wfile.write(body * 100)

    def send_slow(self, body):
        self.wfile.write(body[:10])
        self.server.service.is_over.wait()

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # handshakes that the client refuses are what some cases want


class FakeService:
    """`with FakeService(directory) as service:`; `answers` maps paths with their query to Answer."""

    def __init__(self, directory, name="IP:127.0.0.1"):
        self.ca, key = make_certificate(directory, name)
        self.answers, self.requests, self.is_over = {}, [], threading.Event()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca, key)
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.service = self
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = "https://127.0.0.1:%d" % self.server.server_address[1]

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def words(self):
        """What `casemate quote` needs to come here."""
        return ["--pcs", self.url, "--kds", self.url, "--ca", self.ca]


def signed(text, signature, member):
    """As PCS delivers it; text that is not yet in that form gets it, byte by byte."""
    return text if member in json.loads(text) else '{"%s":%s,"signature":"%s"}' % (member, text, signature)


def pcs_answers(collateral, tee, fmspc, authority):
    """What PCS answers for one platform, made of a collateral.json."""
    chain = {name: urllib.parse.quote(collateral[name]) for name in
             ("tcb_info_issuer_chain", "qe_identity_issuer_chain", "pck_crl_issuer_chain")}
    info = signed(collateral["tcb_info"], collateral["tcb_info_signature"], "tcbInfo")
    identity = signed(collateral["qe_identity"], collateral["qe_identity_signature"], "enclaveIdentity")
    own, sgx = "/%s/certification/v4/" % tee, "/sgx/certification/v4/"
    return {
        own + "tcb?fmspc=" + fmspc: Answer(info, JSON, {"TCB-Info-Issuer-Chain": chain["tcb_info_issuer_chain"]}),
        own + "qe/identity":
            Answer(identity, JSON, {"SGX-Enclave-Identity-Issuer-Chain": chain["qe_identity_issuer_chain"]}),
        sgx + "pckcrl?ca=%s&encoding=der" % authority:
            Answer(bytes.fromhex(collateral["pck_crl"]), CRL, {"SGX-PCK-CRL-Issuer-Chain": chain["pck_crl_issuer_chain"]}),
        sgx + "rootcacrl": Answer(bytes.fromhex(collateral["root_ca_crl"]), CRL),
    }
