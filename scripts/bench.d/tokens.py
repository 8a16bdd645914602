"""Access tokens for users and sessions 1 to N, as the service signs them, a line each: "ID TOKEN".

    JWT_SECRET_KEY=... tokens.py N
    JWT_ALGORITHM=ES256 JWT_PRIVATE_KEY_FILE=... KEY_ID=... tokens.py N

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


def by_secret():
    key = hmac.new(os.environ["JWT_SECRET_KEY"].encode(), digestmod=hashlib.sha256)

    def sign(text):
        signed = key.copy()
        signed.update(text)
        return signed.digest()

    return {"alg": "HS256", "typ": "JWT"}, sign


def by_es256():
    from cryptography.hazmat.primitives.asymmetric import ec, utils
    from cryptography.hazmat.primitives import hashes, serialization

    with open(os.environ["JWT_PRIVATE_KEY_FILE"], "rb") as file:
        key = serialization.load_pem_private_key(file.read(), None)

    def sign(text):
        r, s = utils.decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return {"alg": "ES256", "kid": os.environ["KEY_ID"], "typ": "JWT"}, sign


def main():
    es256 = os.environ.get("JWT_ALGORITHM") == "ES256"
    header, sign = by_es256() if es256 else by_secret()
    head = part(json.dumps(header, separators=(",", ":")).encode())
    now = int(time.time())
    claims = {"use": "access", "iss": "usher", "aud": "usher", "iat": now, "exp": now + LIFE_S}
    out = sys.stdout.buffer
    for n in range(1, int(sys.argv[1]) + 1):
        claims.update(sub=str(n), sid=n, jti=str(uuid.UUID(int=now << 64 | n)))
        text = head + b"." + part(json.dumps(claims, separators=(",", ":")).encode())
        out.write(b"%d %s.%s\n" % (n, text, part(sign(text))))


main()
