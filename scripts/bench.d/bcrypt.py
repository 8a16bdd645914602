"""bcrypt by the system's libcrypt, which is the service's too.

    bcrypt.py hash COST                     the hash of the bench's password
    bcrypt.py time COST PROCESSES SECONDS   seconds that one takes while so many go on at once
"""
import ctypes
import multiprocessing
import sys
import time

PASSWORD = b"correct horse battery"  # also in load.lua

libcrypt = ctypes.CDLL("libcrypt.so.1")
libcrypt.crypt.restype = ctypes.c_char_p


def bcrypt(cost):
    got = libcrypt.crypt(PASSWORD, b"$2b$%02d$abcdefghijklmnopqrstuu" % cost)
    if not got or not got.startswith(b"$2b$"):
        sys.exit("bcrypt.py: libcrypt knows no bcrypt")
    return got.decode()


def mean_s(args):
    cost, seconds = args
    n, began = 0, time.monotonic()
    while time.monotonic() < began + seconds:
        bcrypt(cost)
        n += 1
    return (time.monotonic() - began) / n


def main():
    what, cost = sys.argv[1], int(sys.argv[2])
    if what == "hash":
        print(bcrypt(cost))
        return
    processes, seconds = int(sys.argv[3]), float(sys.argv[4])
    with multiprocessing.Pool(processes) as pool:
        each = pool.map(mean_s, [(cost, seconds)] * processes, chunksize=1)
    print("%.6f" % (sum(each) / len(each)))


main()
