"""A server that knows nothing of TLS: takes lines, one connection after the other, and prints what it believes.
"ledger.py PORT"; after "ready" one line for each line of a peer, then "end" or "broken NAME" when the peer went."""
import errno
import socket
import sys

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
believed = []
print("ready", flush=True)
while True:
    connection, _ = listener.accept()
    with connection:
        pending = b""
        try:
            while data := connection.recv(4096):
                *lines, pending = (pending + data).split(b"\n")
                believed += lines
                for line in lines:
                    print("line " + ascii(line.decode("latin-1")), flush=True)
                    connection.sendall(b"ok " + line + b"\n")
            print("end" if not pending else "end within " + ascii(pending.decode("latin-1")), flush=True)
        except OSError as error:
            print("broken " + errno.errorcode.get(error.errno, str(error)), flush=True)
