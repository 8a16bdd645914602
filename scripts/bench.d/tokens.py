"""Access tokens for users and sessions 1 to N, as the service signs them, a line each: "ID TOKEN".

    JWT_SECRET_KEY=... tokens.py N

Made here, since a million logins would take a day.
"""
import base64
import hashlib
import hmac
import json
import os
import sys
import time
import uuid

LIFE_S = 6 * 3600


def part(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def main():
    key = hmac.new(os.environ["JWT_SECRET_KEY"].encode(), digestmod=hashlib.sha256)
    head = part(b'{"alg":"HS256","typ":"JWT"}')
    now = int(time.time())
    claims = {"use": "access", "iss": "usher", "aud": "usher", "iat": now, "exp": now + LIFE_S}
    out = sys.stdout.buffer
    for n in range(1, int(sys.argv[1]) + 1):
        claims.update(sub=str(n), sid=n, jti=str(uuid.UUID(int=now << 64 | n)))
        text = head + b"." + part(json.dumps(claims, separators=(",", ":")).encode())
        signed = key.copy()
        signed.update(text)
        out.write(b"%d %s.%s\n" % (n, text, part(signed.digest())))


main()
