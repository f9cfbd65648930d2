#!/usr/bin/python3 -I
"""scripted.py: an HTTP server that answers what a scenario says, byte for byte, and also what no server should.

  scripted.py SCENARIO.json

It prints one line of JSON, {"host": "unix:///…" | "tcp://127.0.0.1:PORT", "pid": N}, when it listens, and ends on
SIGTERM or with its parent. spec/support/scripted.lua starts it from specs. Strings hold bytes: one character of
U+0000…U+00FF for each (Latin-1), here and in the log.

The scenario:
  listen       a path: that Unix socket; absent: a free port of 127.0.0.1
  tls          {"cert", "key"}: files; connections are TLS then
  log          file for JSON lines: {"connection", "number", "method", "path", "headers": {lower case}, "body"} of each
               request when it was read whole, {"connection", "event": "open" | "closed"}: the client closed it,
               or its side of it; "clean" is false where TLS was not ended but cut
  api_version  what the default answer to /_ping says in Api-Version ("1.41"); false: no default answers
  connections  list; element N is a reply that connection N gets before (instead of) any request; false: none
  routes       list; the first that fits a request and is not used up answers it. None: 404 with a JSON message
    method, path (without its query) or prefix, query (text that is in it), connection (number): what must fit
    times      how often it answers at most
    reply      or replies: one for each request in turn, the last one for all that follow

A reply:
  status 200, reason, headers {name: value} or [[name, value], …], type (Content-Type)
  body         text, or a list of pieces, which are text or one of
    {"text": T, "repeat": N, "each": N}    T N times, written so many bytes at a time
    {"delay": SECONDS}   {"wait": true}    for ever, or until the client closes
    {"wait_for": FILE}                     until the file exists
    {"read": N}                            until N more bytes came from the client (logged as event "read", "body")
    {"chunks": true}                       until a chunked body was read (unread: logged as event "read", too)
    {"echo": true}                         give back all that comes until the client closes its side
    {"half_close": true}  {"close": true}  {"drop": true}: close without an end of TLS
    {"reset": true}: RST (on a Unix socket a plain close)
  framing      "length" (default), "chunked" (a chunk for each text piece), "close" (ends with the connection), "none"
  length       a Content-Length that may lie
  raw          text or pieces: sent instead of status, headers and body
  each         write all of it so many bytes at a time
  delay        seconds before it
  unread       true: it comes before the request's body was read
  cut          end after so many bytes of it
  after        "keep" (default; "close" with framing close, with raw, and behind a cut), "close", "half_close" (not
               over TLS), "drop", "reset", "wait"
"""
import ctypes, json, os, signal, socket, ssl, struct, sys, threading, time

with open(sys.argv[1]) as f:
    scenario = json.load(f)
lock = threading.Lock()
log = open(scenario['log'], 'a') if scenario.get('log') else None
counts = {'connection': 0, 'request': 0}
tls = None
if scenario.get('tls'):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(scenario['tls']['cert'], scenario['tls']['key'])


def record(**event):
    if log:
        with lock:
            log.write(json.dumps(event) + '\n')
            log.flush()


class Closed(Exception):
    """The connection is over."""


def as_list(x):
    return x if isinstance(x, list) else [x] if x else []


class Connection:
    def __init__(self, sock, number):
        self.sock, self.number, self.unread = sock, number, b''
        self.ended = False  # the client closed its side
        self.left = None    # bytes until the cut; None: no cut
        self.each = None
        if sock.family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def run(self):
        record(connection=self.number, event='open')
        try:
            if tls:
                self.sock = tls.wrap_socket(self.sock, server_side=True, suppress_ragged_eofs=False)
            first = scenario.get('connections') or []
            if self.number <= len(first) and first[self.number - 1]:
                self.reply(first[self.number - 1], 'GET')
            while True:
                self.answer()
        except Closed:
            pass
        except OSError:
            self.close_event(clean=False)
        self.sock.close()

    # --- what comes -----------------------------------------------------------------------------------------------

    def close_event(self, clean=True):
        if not self.ended:
            self.ended = True
            record(connection=self.number, event='closed', clean=clean)

    def more(self):
        data = self.sock.recv(65536)
        if not data:
            self.close_event()
            raise Closed
        self.unread += data

    def until(self, mark):
        while mark not in self.unread:
            self.more()
        head, _, self.unread = self.unread.partition(mark)
        return head

    def exactly(self, n):
        while len(self.unread) < n:
            self.more()
        data, self.unread = self.unread[:n], self.unread[n:]
        return data

    def chunks(self):
        body, size = [], 1
        while size:
            size = int(self.until(b'\r\n').split(b';')[0], 16)
            body.append(self.exactly(size))
            self.until(b'\r\n')
        return b''.join(body)

    def answer(self):
        lines = self.until(b'\r\n\r\n').decode('latin-1').split('\r\n')
        method, target, _ = lines[0].split(' ', 2)
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(':')
            headers[name.strip().lower()] = value.strip()
        if headers.get('expect', '').lower() == '100-continue':
            self.sock.sendall(b'HTTP/1.1 100 Continue\r\n\r\n')
        reply = choose(self.number, method, target)
        body = b''
        if reply.get('unread'):
            pass
        elif 'chunked' in headers.get('transfer-encoding', '').lower():
            body = self.chunks()
        else:
            body = self.exactly(int(headers.get('content-length') or 0))
        with lock:
            counts['request'] += 1
            number = counts['request']
        record(connection=self.number, number=number, method=method, path=target, headers=headers,
               body=body.decode('latin-1'))
        self.reply(reply, method)
        if headers.get('connection', '').lower() == 'close':
            raise Closed

    # --- what goes ------------------------------------------------------------------------------------------------

    def send(self, data):
        if self.left is not None:
            data = data[:self.left]
            self.left -= len(data)
        step = self.each or len(data) or 1
        for i in range(0, len(data), step):
            self.sock.sendall(data[i:i + step])
        if self.left == 0:
            raise CutHere

    def pieces(self, pieces, wrap=lambda data: data):
        for piece in as_list(pieces):
            if isinstance(piece, str):
                piece = {'text': piece}
            if 'text' in piece:
                data, former = piece['text'].encode('latin-1'), self.each
                self.each = piece.get('each', former)
                for _ in range(int(piece.get('repeat', 1))):
                    self.send(wrap(data))
                self.each = former
            elif 'delay' in piece:
                time.sleep(piece['delay'])
            elif 'wait_for' in piece:
                while not os.path.exists(piece['wait_for']):
                    time.sleep(0.002)
            elif 'read' in piece:
                data = self.exactly(int(piece['read']))
                record(connection=self.number, event='read', body=data.decode('latin-1'))
            elif 'chunks' in piece:
                record(connection=self.number, event='read', body=self.chunks().decode('latin-1'))
            elif 'echo' in piece:
                try:
                    while True:
                        data, self.unread = self.unread, b''
                        self.send(data)
                        self.more()
                except Closed:
                    pass
            else:
                self.end(next(iter(piece)))

    def end(self, how):
        if how == 'half_close' and not tls:
            self.sock.shutdown(socket.SHUT_WR)
            how = 'wait'
        if how == 'close' and tls:  # close_notify, and the client's
            self.sock.settimeout(10)
            self.sock.unwrap()
        if how == 'wait':
            while True:
                self.more()
        if how == 'reset':
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        if how != 'keep':
            raise Closed

    def reply(self, r, method):
        time.sleep(r.get('delay', 0))
        cut = r.get('cut')
        self.each, self.left = r.get('each'), None if cut is None else int(cut)
        framing = 'close' if 'raw' in r else r.get('framing', 'length')
        try:
            if self.left == 0:
                raise CutHere
            if 'raw' in r:
                self.pieces(r['raw'])
            else:
                self.send(self.head(r, framing))
                if method != 'HEAD' and r.get('status', 200) not in (204, 304):
                    if framing == 'chunked':
                        self.pieces(r.get('body'), lambda data: b'%x\r\n%s\r\n' % (len(data), data))
                        self.send(b'0\r\n\r\n')
                    else:
                        self.pieces(r.get('body'))
        except CutHere:
            pass
        self.end(r.get('after') or ('close' if framing == 'close' or cut is not None else 'keep'))

    def head(self, r, framing):
        status = int(r.get('status', 200))
        headers = r.get('headers') or {}
        headers = [list(x) for x in (headers.items() if isinstance(headers, dict) else headers)]
        if r.get('type'):
            headers.append(['Content-Type', r['type']])
        if r.get('length') is not None:
            headers.append(['Content-Length', int(r['length'])])
        elif framing == 'length' and status not in (204, 304):
            headers.append(['Content-Length', sum(size(p) for p in as_list(r.get('body')))])
        elif framing == 'chunked':
            headers.append(['Transfer-Encoding', 'chunked'])
        elif framing == 'close':
            headers.append(['Connection', 'close'])
        lines = [f"HTTP/1.1 {status} {r.get('reason', 'Scripted')}"] + [f'{k}: {v}' for k, v in headers]
        return '\r\n'.join(lines + ['', '']).encode('latin-1')


class CutHere(Exception):
    """The bytes that the reply may have are sent."""


def size(piece):
    if isinstance(piece, str):
        return len(piece)
    return len(piece.get('text', '')) * int(piece.get('repeat', 1))


def choose(connection, method, target):
    path, _, query = target.partition('?')
    with lock:
        for route in scenario.get('routes') or []:
            used = route.setdefault('used', 0)
            if (route.get('method', method) == method and route.get('path', path) == path
                    and path.startswith(route.get('prefix', '')) and route.get('query', '') in query
                    and route.get('connection', connection) == connection and used < route.get('times', used + 1)):
                route['used'] = used + 1
                replies = route.get('replies') or [route.get('reply') or {}]
                return replies[min(used, len(replies) - 1)]
    version = scenario.get('api_version', '1.41')
    if version and path.endswith('/_ping') and method in ('GET', 'HEAD'):
        return {'headers': {'Api-Version': version, 'Docker-Experimental': 'false', 'Ostype': 'linux'},
                'type': 'text/plain; charset=utf-8', 'body': 'OK'}
    message = json.dumps({'message': f'scripted: no route for {method} {path}'})
    return {'status': 404, 'reason': 'Not Found', 'type': 'application/json', 'body': message}


def main():
    parent = os.getppid()
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: end with the spec that started it
    if os.getppid() != parent:
        sys.exit(1)
    path = scenario.get('listen')
    server = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
    if path:
        server.bind(path)
    else:
        server.bind(('127.0.0.1', 0))
    server.listen(256)
    host = 'unix://' + path if path else 'tcp://127.0.0.1:%d' % server.getsockname()[1]
    print(json.dumps({'host': host, 'pid': os.getpid()}), flush=True)
    while True:
        sock, _ = server.accept()
        counts['connection'] += 1
        threading.Thread(target=Connection(sock, counts['connection']).run, daemon=True).start()


main()
